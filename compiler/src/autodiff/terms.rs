//! The terms of the contractions that an adjoint is made of.

#![expect(clippy::indexing_slicing, reason = "places are of a verified graph, and of lists made for it")]

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use schur_ir::dim::Dim;
use schur_ir::expr::Scalar;
use schur_ir::graph::{Axis, Contract, Factor, Operand, Path, RowMap, Segment};
use schur_ir::path::{Axes, Factors};
use schur_ir::ty::Type;
use smallvec::smallvec;

/// The operands without repetitions.
pub(super) fn distinct(operands: &[Operand]) -> impl Iterator<Item = &Operand> {
    let mut seen = HashSet::new();
    operands.iter().filter(move |operand| seen.insert(*operand))
}

/// A contraction to which paths are added: it takes the operands that it lacks, and a path that it has already gets the sum
/// of the coefficients. The derivative of x·x is 2 x.
pub(super) struct Terms {
    contract: Contract,
    operands: HashMap<Operand, usize>,
    paths: HashMap<(Axes, Factors, Segment), usize>,
}

impl Terms {
    /// A contraction over rows without paths.
    pub(super) fn new(rows: &[Dim], out: &RowMap, divisor: &Dim) -> Terms {
        let (rows, out, divisor) = (rows.to_vec(), out.clone(), divisor.clone());
        let contract = Contract { rows, operands: Vec::new(), out, divisor, paths: Vec::new() };
        Terms { contract, operands: HashMap::new(), paths: HashMap::new() }
    }

    /// Adds a path whose factors name what `operand` gives.
    pub(super) fn add<'o>(&mut self, mut path: Path, operand: impl Fn(usize) -> &'o Operand) {
        for factor in &mut path.factors {
            let operand = operand(factor.operand);
            factor.operand = self.operands.get(operand).copied().unwrap_or_else(|| {
                self.contract.operands.push(operand.clone());
                self.operands.insert(operand.clone(), self.contract.operands.len() - 1);
                self.contract.operands.len() - 1
            });
        }
        let Path { axes, factors, out, .. } = &path;
        match self.paths.entry((axes.clone(), factors.clone(), out.clone())) {
            Entry::Occupied(known) => self.contract.paths[*known.get()].coefficient.0 += path.coefficient.0,
            Entry::Vacant(place) => {
                place.insert(self.contract.paths.len());
                self.contract.paths.push(path);
            }
        }
    }

    /// The contraction.
    pub(super) fn finish(self) -> Contract {
        self.contract
    }
}

/// One path a chunk that is not known to be zero: operand 0 times a coefficient.
pub(super) fn copies(ty: &Type, coefficient: f64) -> impl Iterator<Item = Path> {
    let chunks = ty.irreps.iter().zip(ty.irreps.offsets()).zip(&ty.zero);
    chunks.filter(|((chunk, _), zero)| chunk.mul > 0 && !**zero).map(move |((chunk, offset), _)| {
        let axes = smallvec![Axis { letter: 'u', size: chunk.mul }, Axis { letter: 'i', size: chunk.ir.dim() }];
        let segment = Segment { offset, strides: smallvec![chunk.ir.dim(), 1] };
        let factors = smallvec![Factor { operand: 0, segment: segment.clone() }];
        Path { coefficient: Scalar(coefficient), axes, factors, out: segment }
    })
}
