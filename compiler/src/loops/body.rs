//! The bodies of kernels: the statements that compute each value's op on a row.

#![expect(
    clippy::indexing_slicing,
    clippy::unreachable,
    reason = "places are of a verified graph, and of lists made for it"
)]

use std::ops::Range;

use schur_ir::dim::Dim;
use schur_ir::graph::{Axis, Contract, Graph, Map, Op, Operand, Path, RowMap, Segment, ValueId};

use super::elementwise::as_maps;
use super::layout::{callers, chunk_paths, split_path, to_components};
use super::reads::root;
use super::schedule::Schedule;
use super::storage::{Place, Storage, is_serial, scratch_width};
use super::{Access, Array, Kernel, Layout, MapStmt, Nest, Pick, RowAddress, RowTerm, Stmt, Write};

/// The kernels with their bodies, in tiles of one row.
pub(super) fn kernels(graph: &Graph, schedule: &Schedule, storage: &Storage) -> Vec<Kernel> {
    let callers = callers(graph);
    let kernels = schedule.kernels.iter().zip(schedule.values()).enumerate().map(|(k, (rows, values))| {
        let emitter = Emitter { graph, storage, callers: &callers };
        let computed = values.iter().flat_map(|&v| emitter.statements(v).into_iter().map(move |stmt| (stmt, v)));
        let (body, computes) = computed.unzip();
        Kernel {
            name: name(graph, k, &values),
            rows: rows.clone(),
            tile: 1,
            chunk: 1,
            serial: values.iter().any(|&v| is_serial(graph, v)),
            scratch: storage.scratch[k].clone(),
            calls: false,
            ahead: None,
            by_row_above: None,
            together: Vec::new(),
            body,
            values: computes,
        }
    });
    kernels.collect()
}

/// `k0_embed_norm`: the first and the last layer that the kernel computes.
fn name(graph: &Graph, k: usize, values: &[ValueId]) -> String {
    let layers: Vec<&str> = values.iter().map(|&v| &*graph.node(v).layer).filter(|l| !l.is_empty()).collect();
    match (layers.first(), layers.last()) {
        (Some(first), Some(last)) if first != last => format!("k{k}_{first}_to_{last}"),
        (Some(layer), _) => format!("k{k}_{layer}"),
        (None, _) => format!("k{k}"),
    }
}

struct Emitter<'a> {
    graph: &'a Graph,
    storage: &'a Storage,
    callers: &'a [bool],
}

impl Emitter<'_> {
    fn statements(&self, value: ValueId) -> Vec<Stmt> {
        match &self.graph.node(value).op {
            Op::Contract(contract) => self.contract(value, contract),
            Op::Map(map) => vec![self.map(value, map)],
            Op::Max(max) => vec![self.max(value, max.value, max.keep)],
            Op::Input(_) | Op::Param(_) | Op::Reshape(_) => Vec::new(),
        }
    }

    fn contract(&self, value: ValueId, contract: &Contract) -> Vec<Stmt> {
        let nests: Vec<Nest> = self
            .component_paths(value, contract)
            .into_iter()
            .filter(|path| path.axes.iter().all(|a| a.size > 0))
            .map(|path| Nest {
                out: self.output(value, &contract.out, &contract.rows, &path.out, &path.axes),
                write: Write::Add,
                factors: path
                    .factors
                    .iter()
                    .map(|f| self.operand(&contract.operands[f.operand], &contract.rows, &f.segment, &path.axes))
                    .collect(),
                coefficient: path.coefficient,
                divisor: contract.divisor.clone(),
                axes: path.axes,
                call: None,
            })
            .collect();
        if contract.reduces() {
            return nests.into_iter().map(Stmt::Nest).collect();
        }
        let (dtype, width) = (self.graph.ty(value).dtype, self.graph.ty(value).width());
        let (maps, mut nests) = as_maps(nests, dtype);
        let written = maps.iter().map(|map| map.out.segment.offset..map.out.segment.offset + map.count);
        let zeros = choose_writes(&mut nests, width, written);
        let zero = |(offset, count): (usize, usize)| {
            let segment = Segment::run(offset);
            let place = self.storage.written(value);
            let row = self.row_address(&contract.out, &self.graph.ty(value).dims, &contract.rows);
            let width = self.row_width(place.array, value, width);
            Stmt::Zero { out: Access { array: place.array, row, width, segment }, count }
        };
        let statements = zeros.into_iter().map(zero).chain(maps.into_iter().map(Stmt::Map));
        statements.chain(nests.into_iter().map(Stmt::Nest)).collect()
    }

    /// The paths, cut at the chunks and components of what is stored component by component.
    fn component_paths(&self, value: ValueId, contract: &Contract) -> Vec<Path> {
        let touched = contract.operands.iter().map(|o| root(self.graph, o.value)).chain([value]);
        let is_apart = |v: &ValueId| self.storage.places[v.index()].is_some_and(|p| p.layout == Layout::Components);
        if !touched.into_iter().any(|v| is_apart(&v)) {
            return contract.paths.clone();
        }
        let cut = contract.paths.iter().flat_map(|path| chunk_paths(self.graph, self.callers, contract, path, value));
        cut.map(|path| split_path(self.graph, contract, &path, value)).collect()
    }

    fn map(&self, value: ValueId, map: &Map) -> Stmt {
        let count = self.graph.ty(value).width();
        let axes = [Axis { letter: 'u', size: count }];
        let segment = Segment::run(0);
        let operands =
            map.operands.iter().map(|o| (self.operand(o, &map.rows, &segment, &axes), self.graph.ty(o.value).dtype));
        let out = self.output(value, &RowMap::identity(map.rows.len()), &map.rows, &segment, &axes);
        Stmt::Map(MapStmt { expr: map.expr.clone(), operands: operands.collect(), out, count, call: None })
    }

    fn max(&self, value: ValueId, of: ValueId, keep: usize) -> Stmt {
        let count = self.graph.ty(value).width();
        let axes = [Axis { letter: 'u', size: count }];
        let segment = Segment::run(0);
        let rows = &self.graph.ty(of).dims;
        let operand = Operand { value: of, map: RowMap::identity(rows.len()) };
        Stmt::Max {
            value: self.operand(&operand, rows, &segment, &axes),
            out: self.output(value, &RowMap::identity(keep), rows, &segment, &axes),
            count,
        }
    }

    fn operand(&self, operand: &Operand, rows: &[Dim], segment: &Segment, axes: &[Axis]) -> Access {
        let ty = self.graph.ty(operand.value);
        let place = self.storage.places[operand.value.index()];
        let place = place.unwrap_or_else(|| unreachable!("{} is read, so it has a place", operand.value));
        let row = self.row_address(&operand.map, &ty.dims, rows);
        self.access(place, root(self.graph, operand.value), row, ty.width(), segment, axes)
    }

    fn output(&self, value: ValueId, map: &RowMap, rows: &[Dim], segment: &Segment, axes: &[Axis]) -> Access {
        let ty = self.graph.ty(value);
        let row = self.row_address(map, &ty.dims, rows);
        self.access(self.storage.written(value), value, row, ty.width(), segment, axes)
    }

    fn access(
        &self,
        place: Place,
        root: ValueId,
        row: RowAddress,
        width: usize,
        segment: &Segment,
        axes: &[Axis],
    ) -> Access {
        let segment = match place.layout {
            Layout::Irreps => Some(segment.clone()),
            Layout::Components => to_components(segment, axes, &self.graph.ty(root).irreps),
        };
        let segment = segment.unwrap_or_else(|| unreachable!("the layout of {root} was chosen to fit its segments"));
        Access { array: place.array, row, width: self.row_width(place.array, root, width), segment }
    }

    /// Elements from one row to the next of an array that holds a value, or a reshaped one in rows of `width` elements.
    fn row_width(&self, array: Array, value: ValueId, width: usize) -> usize {
        match array {
            Array::Memory(_) => width,
            Array::Scratch(_) => scratch_width(self.graph.ty(value)),
        }
    }

    /// The row of an array of leading sizes `dims` that a row of the kernel touches.
    fn row_address(&self, map: &RowMap, dims: &[Dim], rows: &[Dim]) -> RowAddress {
        if map.is_identity(rows.len()) {
            return if rows.is_empty() { RowAddress::Fixed } else { RowAddress::Row };
        }
        let (_, rest) = dims.split_at(usize::from(map.index.is_some()));
        let mut terms = coordinates(&map.axes, rest);
        if let Some(index) = &map.index {
            let buffer = self.storage.index_buffer(index.value);
            let pick = Pick::Index(buffer, coordinates(&index.axes, &self.graph.ty(index.value).dims));
            terms.insert(0, RowTerm { pick, stride: Dim::product(rest) });
        }
        if terms.is_empty() { RowAddress::Fixed } else { RowAddress::Computed(terms) }
    }
}

/// Decides which nests set and which add (those that touch an element twice must), and gives the ranges that nothing sets
/// and that must be zero; `maps` set theirs. Nests that write more come first, where nests could not set otherwise.
fn choose_writes(nests: &mut [Nest], width: usize, maps: impl Iterator<Item = Range<usize>>) -> Vec<(usize, usize)> {
    let mut by_maps = vec![false; width];
    maps.flatten().for_each(|element| by_maps[element] = true);
    let mut set = set_first(nests, by_maps.clone());
    if set.is_none() {
        nests.sort_by_key(|nest| std::cmp::Reverse(elements(&nest.out.segment, &nest.axes).len()));
        set = set_first(nests, by_maps.clone());
    }
    let written = set.unwrap_or_else(|| {
        nests.iter_mut().for_each(|nest| nest.write = Write::Add);
        by_maps
    });
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for e in (0..width).filter(|&e| !written[e]) {
        match ranges.last_mut() {
            Some((start, count)) if *start + *count == e => *count += 1,
            _ => ranges.push((e, 1)),
        }
    }
    ranges
}

/// Lets nests set what is not `written` before them, and gives all that is written in the end; `None` where a nest would
/// do both.
pub(super) fn set_first(nests: &mut [Nest], mut written: Vec<bool>) -> Option<Vec<bool>> {
    for nest in nests.iter_mut() {
        let elements = elements(&nest.out.segment, &nest.axes);
        let fresh = elements.iter().filter(|&&e| !written[e]).count();
        let turns: usize =
            nest.axes.iter().zip(&nest.out.segment.strides).filter(|(_, s)| **s > 0).map(|(a, _)| a.size).product();
        if (fresh != 0 && fresh != elements.len()) || elements.len() < turns {
            return None;
        }
        nest.write = if fresh == 0 { Write::Add } else { Write::Set };
        elements.into_iter().for_each(|e| written[e] = true);
    }
    Some(written)
}

/// The elements of a segment, each once.
fn elements(segment: &Segment, axes: &[Axis]) -> Vec<usize> {
    let mut all = vec![segment.offset];
    for (stride, axis) in segment.strides.iter().zip(axes).filter(|(stride, _)| **stride > 0) {
        all = all.iter().flat_map(|start| (0..axis.size).map(move |k| start + k * stride)).collect();
    }
    all.sort_unstable();
    all.dedup();
    all
}

fn coordinates(axes: &[Option<usize>], dims: &[Dim]) -> Vec<RowTerm> {
    let terms = axes.iter().enumerate().filter_map(|(k, axis)| {
        let stride = Dim::product(&dims[k + 1..]);
        axis.map(|axis| RowTerm { pick: Pick::Coordinate(axis), stride })
    });
    terms.collect()
}
