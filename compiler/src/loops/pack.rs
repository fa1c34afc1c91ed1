//! Copies that let vectors run: weights transposed, and rows taken apart into components.
//!
//! A micro-kernel wants one factor of a product contiguous along columns of the output. A weight that is contiguous along
//! the sum instead (in the gradient with respect to an input) is transposed once a call, by a node without rows. An
//! array in memory whose components are neighbours is copied to scratch, where they are apart, if a weight's gradient
//! sums its products, or it is multiplied element by element. Both are ordinary nodes: what they cost is seen by everything that follows.

use std::ops::Range;

use schur_ir::dim::Dim;
use schur_ir::expr::Scalar;
use schur_ir::graph::{Axis, Contract, Factor, Graph, Node, Op, Operand, Output, Path, RowMap, Segment, ValueId};
use schur_ir::irreps::{Irreps, MulIrrep};
use schur_ir::ty::Type;

use super::Layout;
use super::schedule::{Schedule, root};
use super::storage::Storage;

/// Fewer columns than this are not worth a copy.
const MIN_COLUMNS: usize = 4;

/// A graph with copies, and what its values were before.
pub(super) struct Packed {
    pub(super) graph: Graph,
    /// For every value, the one that it is, or is a copy for.
    origin: Vec<ValueId>,
    /// Copies of rows, each computed with the first value that reads it.
    pub(super) rows: Vec<ValueId>,
}

impl Packed {
    /// The graph as it is.
    pub(super) fn nothing(graph: Graph) -> Self {
        let origin = graph.values().map(|(value, _)| value).collect();
        Packed { graph, origin, rows: Vec::new() }
    }

    /// What a value was before, or is a copy for.
    pub(super) fn origin(&self, value: ValueId) -> ValueId {
        self.origin[value.index()]
    }

    /// Applies a pass to the graph.
    pub(super) fn then(&mut self, next: Packed) {
        let origin = next.origin.iter().map(|value| self.origin(*value)).collect();
        *self = Packed { origin, ..next };
    }
}

/// Rebuilds a graph, node by node.
struct Rebuild {
    packed: Packed,
    /// The new value of every old one so far.
    moved: Vec<ValueId>,
}

impl Rebuild {
    fn new(graph: &Graph) -> Self {
        let empty = Graph { nodes: Vec::new(), outputs: Vec::new(), ..graph.clone() };
        let packed = Packed { graph: empty, origin: Vec::new(), rows: Vec::new() };
        Rebuild { packed, moved: Vec::new() }
    }

    /// Adds a copy for the node that comes next.
    fn copy(&mut self, op: Op, ty: Type, node: &Node) -> ValueId {
        self.packed.origin.push(ValueId(self.moved.len() as u32));
        self.packed.graph.push(op, ty, &node.layer)
    }

    /// Adds the next node, its operands moved by now.
    fn keep(&mut self, op: Op, node: &Node) {
        let value = self.copy(op, node.ty.clone(), node);
        self.moved.push(value);
    }

    fn finish(mut self, graph: &Graph) -> Packed {
        let outputs = graph.outputs.iter().cloned();
        let moved = |value: ValueId| self.moved[value.index()];
        self.packed.graph.outputs = outputs.map(|o| Output { value: moved(o.value), ..o }).collect();
        self.packed
    }
}

/// The graph with a transposed copy of every weight that is contiguous along a sum.
pub(super) fn transpose_weights(graph: &Graph) -> Packed {
    let mut rebuild = Rebuild::new(graph);
    for (_, node) in graph.values() {
        let op = node.op.map_reads(|v| rebuild.moved[v.index()]);
        let op = match op {
            Op::Contract(contract) => Op::Contract(with_transposed_weights(&mut rebuild, node, contract)),
            Op::Input(_) | Op::Param(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => op,
        };
        rebuild.keep(op, node);
    }
    rebuild.finish(graph)
}

/// The contraction, reading transposed copies that are added before it.
fn with_transposed_weights(rebuild: &mut Rebuild, node: &Node, mut contract: Contract) -> Contract {
    if contract.rows.is_empty() {
        return contract;
    }
    for operand in 0..contract.operands.len() {
        let read = &contract.operands[operand];
        if read.map != RowMap::shared() {
            continue;
        }
        let mut transposes = Transposes::new(read.value);
        for path in &mut contract.paths {
            if let Some(k) = transposable(path, operand) {
                let segment = transposes.segment(&path.factors[k].segment, &path.axes, &path.out);
                path.factors[k] = Factor { operand: contract.operands.len(), segment };
            }
        }
        if !transposes.paths.is_empty() {
            let (width, copy) = transposes.finish();
            let ty = Type::new(Vec::new(), Irreps::scalars(width), node.ty.dtype);
            let value = rebuild.copy(Op::Contract(copy), ty, node);
            contract.operands.push(Operand { value, map: RowMap::shared() });
        }
    }
    drop_unread(&mut contract);
    contract
}

/// Removes operands that no path reads.
fn drop_unread(contract: &mut Contract) {
    let read = |operand: usize, paths: &[Path]| paths.iter().flat_map(|p| &p.factors).any(|f| f.operand == operand);
    for operand in (0..contract.operands.len()).rev() {
        if !read(operand, &contract.paths) {
            contract.operands.remove(operand);
            let factors = contract.paths.iter_mut().flat_map(|p| &mut p.factors);
            factors.filter(|f| f.operand > operand).for_each(|f| f.operand -= 1);
        }
    }
}

/// Which factor of a product is the operand, if it is contiguous along a sum and not along columns.
fn transposable(path: &Path, operand: usize) -> Option<usize> {
    let [x, y] = &path.factors[..] else { return None };
    let k = if x.operand == operand { 0 } else { 1 };
    let (weight, other) = if k == 0 { (x, y) } else { (y, x) };
    let axes = || (0..path.axes.len()).filter(|&a| path.axes[a].size >= MIN_COLUMNS);
    let column = |a: &usize| {
        let of = |segment: &Segment| segment.strides[*a];
        of(&weight.segment) > 0 && of(&other.segment) == 0 && of(&path.out) > 0
    };
    let sum = |a: &usize| weight.segment.strides[*a] == 1 && path.out.strides[*a] == 0;
    let contiguous = axes().filter(column).any(|a| weight.segment.strides[a] == 1);
    (weight.operand == operand && !contiguous && axes().any(|a| column(&a)) && axes().any(|a| sum(&a))).then_some(k)
}

/// The transposed copies of one weight.
struct Transposes {
    value: ValueId,
    paths: Vec<Path>,
    width: usize,
}

impl Transposes {
    fn new(value: ValueId) -> Self {
        Transposes { value, paths: Vec::new(), width: 0 }
    }

    /// The place of a segment in the copy, where the axes that `out` has run fastest.
    fn segment(&mut self, segment: &Segment, axes: &[Axis], out: &Segment) -> Segment {
        let mut order: Vec<usize> = (0..axes.len()).filter(|&a| segment.strides[a] > 0).collect();
        order.sort_by_key(|&a| (out.strides[a] > 0, std::cmp::Reverse(out.strides[a])));
        let mut strides = vec![0; axes.len()];
        let mut size = 1;
        for &a in order.iter().rev() {
            strides[a] = size;
            size *= axes[a].size;
        }
        let copied = Path {
            coefficient: Scalar(1.0),
            axes: order.iter().map(|&a| axes[a]).collect(),
            factors: vec![Factor {
                operand: 0,
                segment: Segment {
                    offset: segment.offset,
                    strides: order.iter().map(|&a| segment.strides[a]).collect(),
                },
            }],
            out: Segment { offset: self.width, strides: order.iter().map(|&a| strides[a]).collect() },
        };
        let same = |p: &&Path| {
            p.axes.iter().map(|a| a.size).eq(copied.axes.iter().map(|a| a.size)) && p.factors == copied.factors
        };
        let offset = match self.paths.iter().find(same) {
            Some(known) => known.out.offset,
            None => {
                self.paths.push(copied);
                self.width += size;
                self.width - size
            }
        };
        Segment { offset, strides }
    }

    /// The width of the copy, and the contraction that makes it.
    fn finish(self) -> (usize, Contract) {
        let operands = vec![Operand { value: self.value, map: RowMap::shared() }];
        let shared = RowMap::shared();
        (self.width, Contract { rows: Vec::new(), operands, out: shared, divisor: Dim::one(), paths: self.paths })
    }
}

/// The graph with a copy of every array in memory whose components are neighbours where vectors run over multiplicities;
/// `None` where there is no such array. Kernels share their copies.
pub(super) fn take_apart_rows(graph: &Graph, schedule: &Schedule, storage: &Storage) -> Option<Packed> {
    let mut rebuild = Rebuild::new(graph);
    let mut known: Vec<(Option<usize>, ValueId, ValueId)> = Vec::new();
    for (value, node) in graph.values() {
        let mut op = node.op.map_reads(|v| rebuild.moved[v.index()]);
        if let (Op::Contract(old), Op::Contract(contract)) = (&node.op, &mut op) {
            let kernel = schedule.kernel_of[value.index()];
            for k in wanted_apart(graph, storage, old) {
                let from = old.operands[k].value;
                let apart = Apart::new(graph.ty(from));
                let known_copy = known.iter().find(|(of, v, _)| (*of, *v) == (kernel, from)).map(|(.., copy)| *copy);
                let copy = known_copy.unwrap_or_else(|| {
                    let copy = apart.contraction(contract.operands[k].value, &old.rows);
                    let value = rebuild.copy(Op::Contract(copy), apart.ty.clone(), node);
                    rebuild.packed.rows.push(value);
                    known.push((kernel, from, value));
                    value
                });
                apart.replace(contract, k, copy);
            }
            drop_unread(contract);
        }
        rebuild.keep(op, node);
    }
    let packed = rebuild.finish(graph);
    (!packed.rows.is_empty()).then_some(packed)
}

/// The operands of a contraction that want to be taken apart.
fn wanted_apart(graph: &Graph, storage: &Storage, contract: &Contract) -> Vec<usize> {
    let rank = contract.rows.len();
    let in_rows = |k: &usize| {
        let operand = &contract.operands[*k];
        let of = root(graph, operand.value);
        let place = storage.places[of.index()];
        let is_aligned = operand.map.is_identity(rank) && graph.ty(operand.value).dims == contract.rows;
        is_aligned && place.is_some_and(|p| p.layout == Layout::Irreps) && graph.ty(operand.value) == graph.ty(of)
    };
    let wants = |k: &usize| {
        let apart = Apart::new(graph.ty(contract.operands[*k].value));
        contract.paths.iter().any(|path| apart.factor(path, *k).is_some())
    };
    (0..contract.operands.len()).filter(|k| rank > 0 && in_rows(k) && wants(k)).collect()
}

/// Which factor is the operand, if components lie between its columns where vectors run along them: columns that the
/// output alone shares, or all three.
fn factor_apart(path: &Path, operand: usize) -> Option<usize> {
    let [x, y] = &path.factors[..] else { return None };
    let is_columns = |mine: &Factor, other: &Factor| {
        let column = |a: usize| match (path.out.strides[a], other.segment.strides[a]) {
            (0, _) => false,
            (out, 0) => out == 1,
            _ => true,
        };
        let apart = |a: usize| mine.segment.strides[a] > 1 && path.axes[a].size >= MIN_COLUMNS;
        mine.operand == operand && (0..path.axes.len()).any(|a| column(a) && apart(a))
    };
    if is_columns(x, y) { Some(0) } else { is_columns(y, x).then_some(1) }
}

/// A copy of the chunks of a value that have components.
struct Apart {
    /// The type of the copy.
    ty: Type,
    /// For every chunk of the value: where it starts and ends, and where it starts in the copy.
    places: Vec<(Range<usize>, usize)>,
    chunks: Vec<MulIrrep>,
}

impl Apart {
    fn new(of: &Type) -> Self {
        let with_components = of.irreps.iter().zip(of.irreps.offsets()).zip(&of.zero);
        let with_components = with_components.filter(|((c, _), zero)| c.ir.l > 0 && c.mul > 0 && !**zero);
        let (mut places, mut chunks, mut width) = (Vec::new(), Vec::new(), 0);
        for ((chunk, at), _) in with_components {
            places.push((at..at + chunk.dim(), width));
            width += chunk.dim();
            chunks.push(chunk);
        }
        let ty = Type::new(of.dims.clone(), Irreps::new(chunks.clone()), of.dtype);
        Apart { ty, places, chunks }
    }

    fn contraction(&self, value: ValueId, rows: &[Dim]) -> Contract {
        let paths = self.chunks.iter().zip(&self.places).map(|(chunk, (from, to))| {
            let d = chunk.ir.dim();
            let segment = |offset| Segment { offset, strides: vec![d, 1] };
            Path {
                coefficient: Scalar(1.0),
                axes: vec![Axis { letter: 'u', size: chunk.mul }, Axis { letter: 'i', size: d }],
                factors: vec![Factor { operand: 0, segment: segment(from.start) }],
                out: segment(*to),
            }
        });
        let identity = RowMap::identity(rows.len());
        Contract {
            rows: rows.to_vec(),
            operands: vec![Operand { value, map: identity.clone() }],
            out: identity,
            divisor: Dim::one(),
            paths: paths.collect(),
        }
    }

    /// Which factor of a path wants to read the copy, and where; the whole segment is in one chunk.
    fn factor(&self, path: &Path, operand: usize) -> Option<(usize, usize)> {
        let k = factor_apart(path, operand)?;
        let segment = &path.factors[k].segment;
        let last = segment.last(&path.axes)?;
        let (from, to) = self.places.iter().find(|(from, _)| from.contains(&segment.offset) && from.contains(&last))?;
        Some((k, segment.offset - from.start + to))
    }

    /// Makes the paths that want it read the copy.
    fn replace(&self, contract: &mut Contract, operand: usize, copy: ValueId) {
        let place = contract.operands.len();
        for path in &mut contract.paths {
            if let Some((k, offset)) = self.factor(path, operand) {
                path.factors[k].segment.offset = offset;
                path.factors[k].operand = place;
            }
        }
        contract.operands.push(Operand { value: copy, map: RowMap::identity(contract.rows.len()) });
    }
}
