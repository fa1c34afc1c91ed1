//! The adjoint of a contraction: contractions in which an operand and the output change places.

#![expect(clippy::indexing_slicing, reason = "places are of a verified graph, and of lists made for it")]

use std::sync::Arc;

use schur_ir::expr::Scalar;
use schur_ir::graph::{Axis, Contract, Factor, Operand, Path, Segment, ValueId};
use schur_ir::ty::Type;

use super::reverse::Reverse;

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

/// The operands without repetitions.
pub(super) fn distinct(operands: &[Operand]) -> impl Iterator<Item = &Operand> {
    operands.iter().enumerate().filter(|(k, o)| !operands[..*k].contains(o)).map(|(_, o)| o)
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

/// Adds a path whose factors name places in `operands`: the contraction takes those that it lacks, and a path that it
/// has already gets the sum of the coefficients. The derivative of x·x is 2 x.
pub(super) fn write(contract: &mut Contract, mut path: Path, operands: &[Operand]) {
    for factor in &mut path.factors {
        let operand = &operands[factor.operand];
        factor.operand = contract.operands.iter().position(|o| o == operand).unwrap_or_else(|| {
            contract.operands.push(operand.clone());
            contract.operands.len() - 1
        });
    }
    let same = |p: &&mut Path| p.out == path.out && p.factors == path.factors && p.axes == path.axes;
    match contract.paths.iter_mut().find(same) {
        Some(known) => known.coefficient.0 += path.coefficient.0,
        None => contract.paths.push(path),
    }
}

/// One path a chunk that is not known to be zero: operand 0 times a coefficient.
pub(super) fn copies(ty: &Type, coefficient: f64) -> impl Iterator<Item = Path> {
    let chunks = ty.irreps.iter().zip(ty.irreps.offsets()).zip(&ty.zero);
    chunks.filter(|((chunk, _), zero)| chunk.mul > 0 && !**zero).map(move |((chunk, offset), _)| {
        let axes = vec![Axis { letter: 'u', size: chunk.mul }, Axis { letter: 'i', size: chunk.ir.dim() }];
        let segment = Segment { offset, strides: vec![chunk.ir.dim(), 1] };
        let factors = vec![Factor { operand: 0, segment: segment.clone() }];
        Path { coefficient: Scalar(coefficient), axes, factors, out: segment }
    })
}
