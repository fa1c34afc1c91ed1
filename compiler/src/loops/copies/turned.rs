//! Sums over rows of products, turned so that no array is taken apart for them.
//!
//! Vectors of `g[u, w] = Σ_row x[row, u] y[row, w]` run along `w`. Where these are no neighbours in `y` but the `u` are
//! in `x`, as in the gradient of a weight whose input is scratch and whose output the caller's, `g` is summed with its axes
//! exchanged. They change places once, at the end, where `y` would for every row.

#![expect(clippy::indexing_slicing, reason = "places are of a verified graph, and of lists made for it")]

use schur_ir::dim::Dim;
use schur_ir::expr::Scalar;
use schur_ir::graph::{Contract, Factor, Graph, Node, Op, Operand, Path, RowMap, Segment};
use smallvec::{SmallVec, smallvec};

use super::{Packed, Rebuild};
use crate::loops::Layout;
use crate::loops::columns::MIN_COLUMNS;
use crate::loops::layout::to_components;
use crate::loops::reads::{is_own_row, root};
use crate::loops::schedule::Schedule;
use crate::loops::storage::{Storage, has_partial_sums};

/// The graph with such sums turned; `None` where there is none.
pub(in crate::loops) fn turn(graph: &Graph, schedule: &Schedule, storage: &Storage) -> Option<Packed> {
    let mut rebuild = Rebuild::new(graph);
    let mut is_changed = false;
    for (value, node) in graph.values() {
        let op = node.op.map_reads(|v| rebuild.moved(v));
        let is_computed = schedule.kernel_of[value.index()].is_some() && has_partial_sums(graph, value);
        let axes = if is_computed { turned_axes(graph, storage, node) } else { None };
        let op = match (op, axes) {
            (Op::Contract(contract), Some(axes)) => {
                is_changed = true;
                exchanged(&mut rebuild, node, contract, axes)
            }
            (op, _) => op,
        };
        rebuild.keep(op, node);
    }
    is_changed.then(|| rebuild.finish(graph))
}

/// The outer and the inner axis of a matrix that is one path's sum over rows, where vectors cannot run along the inner one,
/// but could along the outer.
fn turned_axes(graph: &Graph, storage: &Storage, node: &Node) -> Option<[usize; 2]> {
    let Op::Contract(contract) = &node.op else { return None };
    let [path] = &contract.paths[..] else { return None };
    if contract.out != RowMap::shared() {
        return None;
    }
    let written: SmallVec<[usize; 4]> = (0..path.axes.len()).filter(|&k| path.out.strides[k] > 0).collect();
    let [outer, inner] = match written[..] {
        [a, b] if path.out.strides[b] == 1 => [a, b],
        [a, b] => [b, a],
        _ => return None,
    };
    let is_matrix = path.out.offset == 0
        && path.out.strides[inner] == 1
        && path.out.strides[outer] == path.axes[inner].size
        && path.axes[outer].size * path.axes[inner].size == node.ty.width()
        && path.axes[outer].size >= MIN_COLUMNS;
    let of = |axis: usize, other: usize| {
        let has_one = |f: &&Factor| f.segment.strides[axis] > 0 && f.segment.strides[other] == 0;
        path.factors.iter().find(has_one).filter(|f| is_own_row(graph, &contract.rows, &contract.operands[f.operand]))
    };
    let [along_outer, along_inner] = [of(outer, inner)?, of(inner, outer)?];
    let stride = |factor: &Factor, axis: usize| {
        let value = root(graph, contract.operands[factor.operand].value);
        match storage.places[value.index()]?.layout {
            Layout::Irreps => Some(factor.segment.strides[axis]),
            Layout::Components => {
                to_components(&factor.segment, &path.axes, &graph.ty(value).irreps).map(|segment| segment.strides[axis])
            }
        }
    };
    (is_matrix && stride(along_outer, outer)? == 1 && stride(along_inner, inner)? > 1).then_some([outer, inner])
}

/// A copy of the turned sum that has its axes in their places.
fn exchanged(rebuild: &mut Rebuild, node: &Node, mut contract: Contract, [outer, inner]: [usize; 2]) -> Op {
    let [path] = &mut contract.paths[..] else { return Op::Contract(contract) };
    let (rows, columns) = (path.axes[outer], path.axes[inner]);
    path.out.strides[outer] = 1;
    path.out.strides[inner] = rows.size;
    let turned = rebuild.copy(Op::Contract(contract), node.ty.clone(), node);
    let copy = Path {
        coefficient: Scalar(1.0),
        axes: smallvec![rows, columns],
        factors: smallvec![Factor { operand: 0, segment: Segment { offset: 0, strides: smallvec![1, rows.size] } }],
        out: Segment { offset: 0, strides: smallvec![columns.size, 1] },
    };
    Op::Contract(Contract {
        rows: Vec::new(),
        operands: vec![Operand { value: turned, map: RowMap::shared() }],
        out: RowMap::shared(),
        divisor: Dim::one(),
        paths: vec![copy],
    })
}

#[cfg(test)]
mod tests {
    use schur_ir::micro::Micro;

    use crate::loops::lowered;

    /// The gradient of a weight whose input is scratch.
    const GRADIENTS: &str = r#"graph "gradients"

%0: f32[N] 8x1o = input "x"
%1: f32[N] 8x1o = input "g"
%2: f32[] 64x0e = param "params/w" [8, 8] normal(0, 1)
%3: f32[N] 8x1o = contract %0[0], %2[] over [N]
    x0@0(u i) x1@0(u v) -> @0(v i) for v=8 i=3 u=8
%4: f32[] 64x0e = contract %1[0], %3[0] over [N] into []
    x0@0(w i) x1@0(v i) -> @0(v w) for v=8 w=8 i=3

output "h" = %4
"#;

    #[test]
    fn no_row_is_taken_apart_where_the_sum_can_be_turned() {
        let loops = lowered(GRADIENTS);
        let transposes = loops.micros.iter().filter(|micro| matches!(micro, Micro::Transpose(_))).count();
        let last = loops.kernels.last().expect("there are kernels");
        assert!(transposes == 1 && last.rows.is_empty() && last.body.len() == 1, "{loops}");
    }

    #[test]
    fn other_sums_stay() {
        let text = GRADIENTS.replace("x0@0(w i) x1@0(v i)", "x0@0(v i) x1@0(w i)");
        let loops = lowered(&text);
        assert!(loops.kernels.last().is_some_and(|last| !last.rows.is_empty()), "{loops}");
    }
}
