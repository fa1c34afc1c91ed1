//! The adjoint of a contraction: contractions in which an operand and the output change places.

#![expect(clippy::indexing_slicing, reason = "places are of a verified graph, and of lists made for it")]

use std::sync::Arc;

use schur_ir::graph::{Contract, Factor, Operand, Path, ValueId};
use schur_ir::ty::Type;

use super::reverse::Reverse;
use super::terms::{distinct, write};

impl Reverse<'_> {
    pub(super) fn contract(&mut self, contract: &Contract, cotangent: ValueId, layer: &Arc<str>) {
        for operand in distinct(&contract.operands).filter(|o| self.is_active(o.value)).collect::<Vec<_>>() {
            let adjoint = adjoint(contract, operand, cotangent);
            if !adjoint.paths.is_empty() {
                let Type { irreps, dtype, .. } = self.ty(operand.value);
                let term = self.joint().contract(adjoint, irreps.clone(), *dtype, layer);
                self.add(operand.value, term);
            }
        }
    }
}

/// The same rows and divisor. Every factor that is `of` gives a path into its segment, with the cotangent, read where
/// the output was written, in its place.
fn adjoint(contract: &Contract, of: &Operand, cotangent: ValueId) -> Contract {
    let operands: Vec<Operand> = [Operand { value: cotangent, map: contract.out.clone() }]
        .into_iter()
        .chain(contract.operands.clone())
        .collect();
    let mut adjoint = Contract {
        rows: contract.rows.clone(),
        operands: Vec::new(),
        out: of.map.clone(),
        divisor: contract.divisor.clone(),
        paths: Vec::new(),
    };
    for path in &contract.paths {
        for (k, factor) in path.factors.iter().enumerate().filter(|(_, f)| contract.operands[f.operand] == *of) {
            let others = path.factors.iter().enumerate().filter(|(j, _)| *j != k);
            let others = others.map(|(_, f)| Factor { operand: f.operand + 1, segment: f.segment.clone() });
            let factors = [Factor { operand: 0, segment: path.out.clone() }].into_iter().chain(others).collect();
            let path = Path { factors, out: factor.segment.clone(), ..path.clone() };
            write(&mut adjoint, path, &operands);
        }
    }
    adjoint
}
