//! Rows taken apart into components, tile by tile.
//!
//! An array in memory whose components are neighbours is copied to scratch, where they are apart, if a weight's gradient
//! sums its products, or it is multiplied element by element.

use std::ops::Range;

use schur_ir::dim::Dim;
use schur_ir::expr::Scalar;
use schur_ir::graph::{Axis, Contract, Factor, Graph, Op, Operand, Path, RowMap, Segment, ValueId};
use schur_ir::irreps::{Irreps, MulIrrep};
use schur_ir::ty::Type;
use smallvec::smallvec;

use super::{MIN_COLUMNS, Packed, Rebuild, drop_unread};
use crate::loops::Layout;
use crate::loops::reads::{is_own_row, root};
use crate::loops::schedule::Schedule;
use crate::loops::storage::Storage;

/// The graph with a copy of every array in memory whose components are neighbours where vectors run over multiplicities;
/// `None` where there is no such array. Kernels share their copies.
pub(in crate::loops) fn take_apart(graph: &Graph, schedule: &Schedule, storage: &Storage) -> Option<Packed> {
    let mut rebuild = Rebuild::new(graph);
    let mut known: Vec<(Option<usize>, ValueId, ValueId)> = Vec::new();
    for (value, node) in graph.values() {
        let mut op = node.op.map_reads(|v| rebuild.moved(v));
        if let (Op::Contract(old), Op::Contract(contract)) = (&node.op, &mut op) {
            let kernel = schedule.kernel_of[value.index()];
            for k in wanted_apart(graph, storage, old) {
                let from = old.operands[k].value;
                let apart = Apart::new(graph.ty(from));
                let known_copy = known.iter().find(|(of, v, _)| (*of, *v) == (kernel, from)).map(|(.., copy)| *copy);
                let copy = known_copy.unwrap_or_else(|| {
                    let copy = apart.contraction(contract.operands[k].value, &old.rows);
                    let value = rebuild.copy_of_rows(Op::Contract(copy), apart.ty.clone(), node);
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
        is_own_row(graph, &contract.rows, operand)
            && place.is_some_and(|p| p.layout == Layout::Irreps)
            && graph.ty(operand.value) == graph.ty(of)
    };
    let wants = |k: &usize| {
        let apart = Apart::new(graph.ty(contract.operands[*k].value));
        contract.paths.iter().any(|path| !apart.factors(path, *k).is_empty())
    };
    (0..contract.operands.len()).filter(|k| rank > 0 && in_rows(k) && wants(k)).collect()
}

/// True where components lie between the columns of factor `k` where vectors run along them: columns that the output alone shares,
/// or all three.
fn is_wanted_apart(path: &Path, k: usize) -> bool {
    let [x, y] = &path.factors[..] else { return false };
    let (mine, other) = if k == 0 { (x, y) } else { (y, x) };
    let column = |a: usize| match (path.out.strides[a], other.segment.strides[a]) {
        (0, _) => false,
        (out, 0) => out == 1,
        _ => true,
    };
    let apart = |a: usize| mine.segment.strides[a] > 1 && path.axes[a].size >= MIN_COLUMNS;
    (0..path.axes.len()).any(|a| column(a) && apart(a))
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
            let segment = |offset| Segment { offset, strides: smallvec![d, 1] };
            Path {
                coefficient: Scalar(1.0),
                axes: smallvec![Axis { letter: 'u', size: chunk.mul }, Axis { letter: 'i', size: d }],
                factors: smallvec![Factor { operand: 0, segment: segment(from.start) }],
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

    /// Which factors of a path want to read the copy, and where; the whole segment is in one chunk.
    fn factors(&self, path: &Path, operand: usize) -> Vec<(usize, usize)> {
        let wanted = path.factors.iter().enumerate().filter(|(k, f)| f.operand == operand && is_wanted_apart(path, *k));
        let places = wanted.filter_map(|(k, Factor { segment, .. })| {
            let last = segment.last(&path.axes)?;
            let is_chunk = |from: &Range<usize>| from.contains(&segment.offset) && from.contains(&last);
            let (from, to) = self.places.iter().find(|(from, _)| is_chunk(from))?;
            Some((k, segment.offset - from.start + to))
        });
        places.collect()
    }

    /// Makes the paths that want it read the copy.
    fn replace(&self, contract: &mut Contract, operand: usize, copy: ValueId) {
        let place = contract.operands.len();
        for path in &mut contract.paths {
            for (k, offset) in self.factors(path, operand) {
                path.factors[k].segment.offset = offset;
                path.factors[k].operand = place;
            }
        }
        contract.operands.push(Operand { value: copy, map: RowMap::identity(contract.rows.len()) });
    }
}
