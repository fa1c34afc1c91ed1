//! Weights that are contiguous along a sum, transposed once a call.
//!
//! A micro-kernel wants one factor of a product contiguous along columns of the output. In the gradient with respect to an
//! input, a weight is contiguous along the sum instead: a node without rows of the batch transposes it, all of them where
//! rows pick theirs by an index.

use schur_ir::dim::Dim;
use schur_ir::expr::Scalar;
use schur_ir::graph::{Axis, Contract, Factor, Graph, Node, Op, Operand, Path, RowMap, Segment, ValueId};
use schur_ir::irreps::Irreps;
use schur_ir::path::Strides;
use schur_ir::ty::Type;
use smallvec::smallvec;

use super::{Packed, Rebuild, drop_unread};
use crate::loops::columns::{MIN_COLUMNS, are_columns};

/// The graph with a transposed copy of every weight that is contiguous along a sum.
pub(in crate::loops) fn transpose(graph: &Graph) -> Packed {
    let mut rebuild = Rebuild::new(graph);
    for (_, node) in graph.values() {
        let op = node.op.map_reads(|v| rebuild.moved(v));
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
        let Operand { value: weight, map } = contract.operands[operand].clone();
        let dims = rebuild.packed.graph.ty(weight).dims.clone();
        let is_picked = map.index.is_some() && map.axes.is_empty() && dims.iter().all(|dim| dim.constant().is_some());
        if map != RowMap::shared() && !is_picked {
            continue;
        }
        let mut transposes = Transposes::new(weight);
        for path in &mut contract.paths {
            if let Some(k) = transposable(path, operand) {
                let segment = transposes.segment(&path.factors[k].segment, &path.axes, &path.out);
                path.factors[k] = Factor { operand: contract.operands.len(), segment };
            }
        }
        if !transposes.paths.is_empty() {
            let (width, copy) = transposes.finish(&dims);
            let ty = Type::new(dims, Irreps::scalars(width), node.ty.dtype);
            let value = rebuild.copy(Op::Contract(copy), ty, node);
            contract.operands.push(Operand { value, map });
        }
    }
    drop_unread(&mut contract);
    contract
}

/// Which factor of a product is the operand, if it is contiguous along a sum and not along columns.
fn transposable(path: &Path, operand: usize) -> Option<usize> {
    let [x, y] = &path.factors[..] else { return None };
    let k = if x.operand == operand { 0 } else { 1 };
    let (weight, other) = if k == 0 { (x, y) } else { (y, x) };
    let axes = || (0..path.axes.len()).filter(|&a| path.axes[a].size >= MIN_COLUMNS);
    let column = |a: &usize| {
        let strides = [&path.out, &other.segment, &weight.segment].map(|segment| segment.strides[*a]);
        are_columns(path.axes[*a].size, strides)
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
        let mut strides: Strides = smallvec![0; axes.len()];
        let mut size = 1;
        for &a in order.iter().rev() {
            strides[a] = size;
            size *= axes[a].size;
        }
        let copied = Path {
            coefficient: Scalar(1.0),
            axes: order.iter().map(|&a| axes[a]).collect(),
            factors: smallvec![Factor {
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

    /// The width of the copy, and the contraction that makes it, for a weight with these leading sizes.
    fn finish(self, dims: &[Dim]) -> (usize, Contract) {
        let map = RowMap::identity(dims.len());
        let operands = vec![Operand { value: self.value, map: map.clone() }];
        (self.width, Contract { rows: dims.to_vec(), operands, out: map, divisor: Dim::one(), paths: self.paths })
    }
}
