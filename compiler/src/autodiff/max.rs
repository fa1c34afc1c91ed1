//! The adjoint of a maximum: elements that attain it share the cotangent equally, as jax's do.

#![expect(clippy::indexing_slicing, reason = "places are of a verified graph, and of lists made for it")]

use std::sync::Arc;

use schur_ir::dim::Dim;
use schur_ir::expr::{Binary, Expr};
use schur_ir::graph::{Contract, Map, Max, Operand, RowMap, ValueId};
use schur_ir::ty::Type;

use super::reverse::Reverse;
use super::terms::copies;

impl Reverse<'_> {
    /// `value` is the maximum.
    pub(super) fn max(&mut self, max: &Max, value: ValueId, cotangent: ValueId, layer: &Arc<str>) {
        let of = self.ty(max.value);
        let Type { dims, irreps, dtype, .. } = of;
        let all = |value| Operand { value, map: RowMap::identity(dims.len()) };
        let kept = |value| Operand { value, map: RowMap::identity(max.keep) };
        let pointwise = |rows: &[Dim], operands, expr| Map { rows: rows.to_vec(), operands, expr };
        let attains = Expr::binary(Binary::Eq, Expr::Arg(0), Expr::Arg(1));

        let graph = self.joint();
        let indicator = pointwise(dims, vec![all(max.value), kept(value)], attains.clone());
        let indicator = graph.map(indicator, irreps.clone(), *dtype, layer);
        let count = Contract {
            rows: dims.clone(),
            operands: vec![all(indicator)],
            out: RowMap::identity(max.keep),
            divisor: Dim::one(),
            paths: copies(graph.ty(indicator), 1.0).collect(),
        };
        let count = graph.contract(count, irreps.clone(), *dtype, layer);
        let share = pointwise(&dims[..max.keep], vec![kept(cotangent), kept(count)], Expr::Arg(0) / Expr::Arg(1));
        let share = graph.map(share, irreps.clone(), *dtype, layer);
        let term = pointwise(dims, vec![all(max.value), kept(value), kept(share)], attains * Expr::Arg(2));
        let term = graph.map(term, irreps.clone(), *dtype, layer);
        self.add(max.value, term);
    }
}
