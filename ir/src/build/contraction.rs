//! Contractions written path by path.

use std::collections::HashMap;

use smallvec::smallvec;

use crate::dim::Dim;
use crate::expr::Scalar;
use crate::graph::{Axis, Contract, Factor, Operand, Path, RowMap, Segment};
use crate::path;

/// The axes of a path: `u` multiplicities of the input, `v` of the output, `i` components, `d` external weights, `c`
/// channels of the input, `k` of the output.
pub(super) struct Axes(path::Axes);

impl Axes {
    /// The axes of these sizes.
    pub(super) fn new<const N: usize>(sizes: [(char, usize); N]) -> Self {
        Axes::some(sizes.map(|(letter, size)| (letter, Some(size))))
    }

    /// The axes that have a size; the others do not exist.
    pub(super) fn some<const N: usize>(sizes: [(char, Option<usize>); N]) -> Self {
        Axes(sizes.into_iter().filter_map(|(letter, size)| Some(Axis { letter, size: size? })).collect())
    }

    /// The segment at `offset` that lists the axes of `order` densely, the last one fastest. Letters of axes that do
    /// not exist are passed over.
    pub(super) fn dense(&self, offset: usize, order: &str) -> Segment {
        let mut segment = Segment { offset, strides: smallvec![0; self.0.len()] };
        let mut stride = 1;
        for letter in order.chars().rev() {
            if let Some(axis) = self.0.iter().position(|a| a.letter == letter) {
                segment.strides[axis] = stride;
                stride = self.0[axis].size.saturating_mul(stride);
            }
        }
        segment
    }

    /// The segment with the stride of one axis set, where the axis exists.
    pub(super) fn strided(&self, mut segment: Segment, letter: char, stride: usize) -> Segment {
        if let Some(axis) = self.0.iter().position(|a| a.letter == letter) {
            segment.strides[axis] = stride;
        }
        segment
    }

    fn are_empty(&self) -> bool {
        self.0.iter().any(|a| a.size == 0)
    }
}

/// A contraction under construction, and where each of its operands stands.
pub(super) struct Contraction(Contract, HashMap<Operand, usize>);

impl Contraction {
    /// One row of output for every row.
    pub(super) fn over(rows: &[Dim]) -> Self {
        let out = RowMap::identity(rows.len());
        let (operands, paths) = (Vec::new(), Vec::new());
        Contraction(Contract { rows: rows.to_vec(), operands, out, divisor: Dim::one(), paths }, HashMap::new())
    }

    /// Sums over all leading axes but the first `rank`.
    pub(super) fn keeping(mut self, rank: usize) -> Self {
        self.0.out = RowMap::identity(rank);
        self
    }

    /// Divides by the product of sizes.
    pub(super) fn divided_by(mut self, dims: &[Dim]) -> Self {
        self.0.divisor = Dim::product(dims);
        self
    }

    pub(super) fn rows(&self) -> &[Dim] {
        &self.0.rows
    }

    /// Adds a path, unless it has an empty axis.
    pub(super) fn path<const N: usize>(
        &mut self,
        coefficient: f64,
        axes: &Axes,
        factors: [(&Operand, Segment); N],
        out: Segment,
    ) {
        if axes.are_empty() {
            return;
        }
        let factors = factors.into_iter().map(|(operand, segment)| Factor { operand: self.operand(operand), segment });
        let factors = factors.collect();
        self.0.paths.push(Path { coefficient: Scalar(coefficient), axes: axes.0.clone(), factors, out });
    }

    fn operand(&mut self, operand: &Operand) -> usize {
        let Contraction(contract, places) = self;
        if let Some(place) = places.get(operand) {
            return *place;
        }
        places.insert(operand.clone(), contract.operands.len());
        contract.operands.push(operand.clone());
        contract.operands.len() - 1
    }

    pub(super) fn finish(self) -> Contract {
        self.0
    }
}
