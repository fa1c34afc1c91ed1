//! The terms of the contractions that an adjoint is made of.

#![expect(clippy::indexing_slicing, reason = "places are of a verified graph, and of lists made for it")]

use schur_ir::expr::Scalar;
use schur_ir::graph::{Axis, Contract, Factor, Operand, Path, Segment};
use schur_ir::ty::Type;

/// The operands without repetitions.
pub(super) fn distinct(operands: &[Operand]) -> impl Iterator<Item = &Operand> {
    operands.iter().enumerate().filter(|(k, o)| !operands[..*k].contains(o)).map(|(_, o)| o)
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
