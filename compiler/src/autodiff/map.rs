//! The adjoint of a map: the cotangent times the slope, summed over the rows that an operand was broadcast to.

#![expect(clippy::indexing_slicing, reason = "places are of a verified graph, and of lists made for it")]

use std::sync::Arc;

use schur_ir::dim::Dim;
use schur_ir::expr::Expr;
use schur_ir::graph::{Contract, Map, Operand, RowMap, ValueId};
use schur_ir::ty::Type;

use super::reverse::Reverse;
use super::terms::{copies, distinct};

impl Reverse<'_> {
    /// Adds to the cotangents of the operands; `None` where a slope is an expression that no graph may hold.
    pub(super) fn map(&mut self, map: &Map, cotangent: ValueId, layer: &Arc<str>) -> Option<()> {
        for operand in distinct(&map.operands).filter(|o| self.is_active(o.value)).collect::<Vec<_>>() {
            let term = match slope(map, operand) {
                slope if slope.as_constant() == Some(0.0) => continue,
                slope => match slope.as_constant().filter(|c| c.is_finite()) {
                    Some(scale) => self.sum_back(map, operand, cotangent, scale, layer),
                    None => {
                        let product = self.product(map, operand, cotangent, slope, layer)?;
                        self.sum_back(map, operand, product, 1.0, layer)
                    }
                },
            };
            self.add(operand.value, term);
        }
        Some(())
    }

    /// The cotangent times a slope, a function of the map's operands, with the irreps of `operand`.
    fn product(
        &mut self,
        map: &Map,
        operand: &Operand,
        cotangent: ValueId,
        slope: Expr,
        layer: &Arc<str>,
    ) -> Option<ValueId> {
        slope.is_small().then_some(())?;
        #[allow(clippy::expect_used, reason = "`read` lists all that the slope reads")]
        let place = |read: &[usize], k: usize| 1 + read.iter().position(|r| *r == k).expect("it is read");
        let read: Vec<usize> = (0..map.operands.len()).filter(|k| slope.reads(*k)).collect();
        let expr = Expr::Arg(0) * slope.substitute(&|k| Expr::Arg(place(&read, k)));
        expr.is_small().then_some(())?;
        let cotangent = Operand { value: cotangent, map: RowMap::identity(map.rows.len()) };
        let operands = [cotangent].into_iter().chain(read.iter().map(|k| map.operands[*k].clone())).collect();
        let Type { irreps, dtype, .. } = self.ty(operand.value);
        Some(self.joint().map(Map { rows: map.rows.clone(), operands, expr }, irreps.clone(), *dtype, layer))
    }

    /// A value over the rows of the map, times `scale`, as a term of the cotangent of `operand`.
    fn sum_back(&mut self, map: &Map, operand: &Operand, value: ValueId, scale: f64, layer: &Arc<str>) -> ValueId {
        if scale == 1.0 && operand.map.is_identity(map.rows.len()) {
            return self.with_type_of(operand.value, value, layer);
        }
        let Type { irreps, dtype, .. } = self.ty(operand.value);
        let contract = Contract {
            rows: map.rows.clone(),
            operands: vec![Operand { value, map: RowMap::identity(map.rows.len()) }],
            out: operand.map.clone(),
            divisor: Dim::one(),
            paths: copies(&Type::new(Vec::new(), irreps.clone(), *dtype), scale).collect(),
        };
        self.joint().contract(contract, irreps.clone(), *dtype, layer)
    }
}

/// The derivative with respect to an operand, wherever it stands in the list.
fn slope(map: &Map, operand: &Operand) -> Expr {
    let places = (0..map.operands.len()).filter(|k| map.operands[*k] == *operand);
    places.map(|k| map.expr.derivative(k)).fold(Expr::constant(0.0), |sum, term| sum + term)
}
