//! The adjoint of a contraction: contractions in which an operand and the output change places.

#![expect(clippy::indexing_slicing, reason = "places are of a verified graph, and of lists made for it")]

use std::collections::HashMap;
use std::sync::Arc;

use schur_ir::graph::{Contract, Factor, Operand, Path, ValueId};
use schur_ir::ty::Type;

use super::reverse::Reverse;
use super::terms::{Terms, distinct};

/// The place of a factor: its path, and which of the path's factors it is.
type Place = (usize, usize);

impl Reverse<'_> {
    pub(super) fn contract(&mut self, contract: &Contract, cotangent: ValueId, layer: &Arc<str>) {
        let cotangent = Operand { value: cotangent, map: contract.out.clone() };
        let mut places: HashMap<&Operand, Vec<Place>> = HashMap::new();
        for (at, path) in contract.paths.iter().enumerate() {
            for (k, factor) in path.factors.iter().enumerate() {
                places.entry(&contract.operands[factor.operand]).or_default().push((at, k));
            }
        }
        for operand in distinct(&contract.operands).filter(|o| self.is_active(o.value)).collect::<Vec<_>>() {
            let Some(places) = places.get(operand) else { continue };
            let adjoint = adjoint(contract, operand, places, &cotangent);
            let Type { irreps, dtype, .. } = self.ty(operand.value);
            let term = self.joint().contract(adjoint, irreps.clone(), *dtype, layer);
            self.add(operand.value, term);
        }
    }
}

/// The same rows and divisor. Every factor that is `of`, at `places`, gives a path into its segment, with the cotangent,
/// read where the output was written, in its place.
fn adjoint(contract: &Contract, of: &Operand, places: &[Place], cotangent: &Operand) -> Contract {
    let mut adjoint = Terms::new(&contract.rows, &of.map, &contract.divisor);
    for (at, k) in places {
        let path = &contract.paths[*at];
        let others = path.factors.iter().enumerate().filter(|(j, _)| j != k);
        let others = others.map(|(_, f)| Factor { operand: f.operand + 1, segment: f.segment.clone() });
        let factors = [Factor { operand: 0, segment: path.out.clone() }].into_iter().chain(others).collect();
        let path = Path { factors, out: path.factors[*k].segment.clone(), ..path.clone() };
        adjoint.add(path, |operand| operand.checked_sub(1).map_or(cotangent, |k| &contract.operands[k]));
    }
    adjoint.finish()
}
