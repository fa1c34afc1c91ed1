//! Chunks of values, and values put together from them: every selection, permutation, joining and weighting of chunks.

use super::builder::{Builder, leading};
use super::contraction::{Axes, Contraction};
use crate::dim::Dim;
use crate::graph::{Operand, RowMap, ValueId};
use crate::irreps::{Irrep, Irreps, MulIrrep};

/// A chunk of a value, or some of its multiplicities.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) value: ValueId,
    pub(super) offset: usize,
    pub(super) mul: usize,
    pub(super) ir: Irrep,
    /// Known to be zero.
    pub(super) zero: bool,
}

impl Piece {
    pub(super) fn mul_irrep(&self) -> MulIrrep {
        MulIrrep::new(self.mul, self.ir)
    }

    /// The first `mul` multiplicities, and the others.
    pub(super) fn split(self, mul: usize) -> (Piece, Piece) {
        let rest = Piece { offset: self.offset + mul * self.ir.dim(), mul: self.mul - mul, ..self };
        (Piece { mul, ..self }, rest)
    }
}

/// What is written into consecutive elements.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    /// A piece as it is.
    Copy(Piece),
    /// One of the pieces consists of scalars; each of them scales an irrep of the other.
    Product(Piece, Piece),
}

impl Part {
    fn dim(&self) -> usize {
        match self {
            Part::Copy(piece) => piece.mul_irrep().dim(),
            Part::Product(a, b) => a.mul_irrep().dim().max(b.mul_irrep().dim()),
        }
    }
}

/// The irreps of a list of pieces, each its own chunk.
pub(super) fn irreps_of(pieces: &[Piece]) -> Irreps {
    Irreps::new(pieces.iter().map(Piece::mul_irrep))
}

/// The zero flags of a list of pieces, each its own chunk.
pub(super) fn zeros_of(pieces: &[Piece]) -> Vec<bool> {
    pieces.iter().map(|p| p.zero).collect()
}

/// The zero flags after `IrrepsArray.rechunk`: a chunk is known to be zero where all that it overlaps is. A new chunk
/// of multiplicity zero overlaps nothing.
pub(super) fn rechunk_zeros(irreps: &Irreps, zeros: &[bool], new: &Irreps) -> Vec<bool> {
    if irreps == new {
        return zeros.to_vec();
    }
    // The elements of old chunks that are not known to be zero, before every old chunk.
    let filled = irreps.iter().zip(zeros).map(|(c, zero)| if *zero { 0 } else { c.dim() });
    let starts = irreps.offsets();
    let before: Vec<usize> = std::iter::once(0)
        .chain(filled.scan(0, |sum, n| {
            *sum += n;
            Some(*sum)
        }))
        .collect();
    // How many of them stand before an element.
    let count = |at: usize| {
        let chunk = starts.partition_point(|start| *start < at).saturating_sub(1);
        let inside = at - starts.get(chunk).copied().unwrap_or(at);
        before[chunk] + if zeros.get(chunk) == Some(&false) { inside } else { 0 }
    };
    let is_zero = |(chunk, at): (MulIrrep, usize)| chunk.dim() == 0 || count(at) == count(at + chunk.dim());
    new.iter().zip(new.offsets()).map(is_zero).collect()
}

/// Pieces sorted by irrep, and the irreps and zero flags of their regrouping.
pub(super) fn regrouped(mut pieces: Vec<Piece>) -> (Vec<Piece>, Irreps, Vec<bool>) {
    pieces.sort_by_key(|p| p.ir);
    let sorted = irreps_of(&pieces);
    let irreps = sorted.simplify();
    let zeros = rechunk_zeros(&sorted, &zeros_of(&pieces), &irreps);
    (pieces, irreps, zeros)
}

impl Builder {
    /// The chunks of a value.
    pub(super) fn pieces(&self, value: ValueId) -> Vec<Piece> {
        let ty = self.ty(value);
        let chunks = ty.irreps.iter().zip(ty.irreps.offsets()).zip(&ty.zero);
        chunks.map(|((c, offset), zero)| Piece { value, offset, mul: c.mul, ir: c.ir, zero: *zero }).collect()
    }

    /// The value whose chunks are these pieces.
    pub(super) fn join(&mut self, rows: &[Dim], pieces: &[Piece]) -> ValueId {
        self.join_as(rows, pieces, irreps_of(pieces), zeros_of(pieces))
    }

    /// The value whose elements are those of the pieces. No copy is made where they are all of one value, in order.
    pub(super) fn join_as(&mut self, rows: &[Dim], pieces: &[Piece], irreps: Irreps, zero: Vec<bool>) -> ValueId {
        let filled: Vec<_> = pieces.iter().filter(|p| p.mul > 0).collect();
        if let Some(&&Piece { value, .. }) = filled.first() {
            let (dims, width) = (&self.ty(value).dims, self.ty(value).width());
            let end = filled
                .iter()
                .try_fold(0, |at, p| (p.value == value && p.offset == at).then(|| at + p.mul_irrep().dim()));
            if end == Some(width) && dims == rows {
                return self.reshape(value, rows.to_vec(), irreps, zero);
            }
        }
        let copies: Vec<_> = pieces.iter().copied().map(Part::Copy).collect();
        self.assemble(rows, &[copies], irreps, zero)
    }

    /// The sum of sequences of parts, each as long as the irreps. Values broadcast to the rows as in numpy.
    pub(super) fn assemble(&mut self, rows: &[Dim], sums: &[Vec<Part>], irreps: Irreps, zero: Vec<bool>) -> ValueId {
        let mut contraction = Contraction::over(rows);
        for parts in sums {
            let mut at = 0;
            for part in parts {
                self.write(&mut contraction, part, at);
                at += part.dim();
            }
        }
        self.contract(contraction, irreps, zero)
    }

    fn write(&self, contraction: &mut Contraction, part: &Part, at: usize) {
        match part {
            Part::Copy(piece) if !piece.zero => {
                let axes = Axes::new([('u', piece.mul), ('i', piece.ir.dim())]);
                let factor = (&self.operand(piece.value, contraction.rows()), axes.dense(piece.offset, "ui"));
                contraction.path(1.0, &axes, [factor], axes.dense(at, "ui"));
            }
            Part::Product(a, b) if !a.zero && !b.zero => {
                let (scalar, other) = if a.ir.l == 0 { (a, b) } else { (b, a) };
                let axes = Axes::new([('u', other.mul), ('i', other.ir.dim())]);
                let [s, o] = [scalar, other].map(|p| self.operand(p.value, contraction.rows()));
                let factors = [(&s, axes.dense(scalar.offset, "u")), (&o, axes.dense(other.offset, "ui"))];
                contraction.path(1.0, &axes, factors, axes.dense(at, "ui"));
            }
            Part::Copy(_) | Part::Product(..) => {}
        }
    }

    /// A value as numpy broadcasts it to rows that its sizes were joined into.
    #[allow(clippy::expect_used, reason = "rows are made by broadcasting, or are the value's own")]
    pub(super) fn operand(&self, value: ValueId, rows: &[Dim]) -> Operand {
        let map = RowMap::broadcast(&self.ty(value).dims, rows).expect("the rows are what the values broadcast to");
        Operand { value, map }
    }

    /// The squared norm of every irrep of the pieces, times `weight` of its irrep, one after the other. Pieces known to
    /// be zero keep their place.
    pub(super) fn squares(
        &mut self,
        rows: &[Dim],
        pieces: &[Piece],
        weight: impl Fn(Irrep) -> f64,
        irreps: Irreps,
        zero: Vec<bool>,
    ) -> ValueId {
        let mut contraction = Contraction::over(rows);
        write_squares(&mut contraction, pieces, weight);
        self.contract(contraction, irreps, zero)
    }
}

/// Writes the squared norms of irreps; the values of the pieces have the leading axes of the rows.
pub(super) fn write_squares(contraction: &mut Contraction, pieces: &[Piece], weight: impl Fn(Irrep) -> f64) {
    let rank = contraction.rows().len();
    let mut at = 0;
    for piece in pieces {
        if !piece.zero {
            let axes = Axes::new([('u', piece.mul), ('i', piece.ir.dim())]);
            let (x, segment) = (leading(piece.value, rank), axes.dense(piece.offset, "ui"));
            contraction.path(weight(piece.ir), &axes, [(&x, segment.clone()), (&x, segment)], axes.dense(at, "u"));
        }
        at += piece.mul;
    }
}
