//! Irreducible representations of O(3) and their direct sums, behaving as e3nn_jax's `Irrep` and `Irreps` do.
//!
//! Invariants: a multiplicity may be zero; nothing is ever joined, sorted or dropped unless a method says so.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// Behaviour under inversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Parity {
    /// `e`: unchanged by inversion, +1.
    Even,
    /// `o`: changes sign under inversion, −1.
    Odd,
}

impl Parity {
    /// +1 for even, −1 for odd.
    pub fn sign(self) -> i32 {
        match self {
            Parity::Even => 1,
            Parity::Odd => -1,
        }
    }

    /// The parity of the spherical harmonics of degree `l`: (−1)^l.
    pub fn natural(l: u32) -> Self {
        if l.is_multiple_of(2) { Parity::Even } else { Parity::Odd }
    }

    /// The parity of a product.
    pub fn times(self, other: Self) -> Self {
        if self == other { Parity::Even } else { Parity::Odd }
    }
}

/// One irreducible representation: degree `l` and parity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Irrep {
    /// The degree.
    pub l: u32,
    /// The parity.
    pub p: Parity,
}

impl Irrep {
    /// `0e`, the invariant scalar.
    pub const SCALAR: Irrep = Irrep { l: 0, p: Parity::Even };

    /// The largest degree that is accepted.
    pub const MAX_L: u32 = 1 << 16;

    /// The irrep of degree `l` and parity `p`.
    pub fn new(l: u32, p: Parity) -> Self {
        Irrep { l, p }
    }

    /// The dimension, 2l + 1.
    pub fn dim(self) -> usize {
        (self.l as usize).saturating_mul(2).saturating_add(1)
    }

    /// True for `0e` alone; `0o` is not a scalar in e3nn's sense.
    pub fn is_scalar(self) -> bool {
        self == Self::SCALAR
    }
}

/// The order of e3nn_jax: 0e 0o 1o 1e 2e 2o 3o … (by degree, natural parity first).
impl Ord for Irrep {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |ir: &Irrep| (ir.l, ir.p != Parity::natural(ir.l));
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for Irrep {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Irrep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = match self.p {
            Parity::Even => 'e',
            Parity::Odd => 'o',
        };
        write!(f, "{}{letter}", self.l)
    }
}

/// An irrep with a multiplicity; one chunk of an [`Irreps`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MulIrrep {
    /// How many copies.
    pub mul: usize,
    /// Of which irrep.
    pub ir: Irrep,
}

impl MulIrrep {
    /// `mul` copies of `ir`.
    pub fn new(mul: usize, ir: Irrep) -> Self {
        MulIrrep { mul, ir }
    }

    /// The dimension of the chunk, mul × (2l + 1); the largest number where that does not fit.
    pub fn dim(self) -> usize {
        self.mul.saturating_mul(self.ir.dim())
    }
}

impl fmt::Display for MulIrrep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.mul, self.ir)
    }
}

/// A direct sum of irreps: an ordered list of chunks.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Irreps(Vec<MulIrrep>);

/// What [`Irreps::sort`] gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sorted {
    /// The chunks in order.
    pub irreps: Irreps,
    /// `permutation[i]` is the new place of chunk `i`.
    pub permutation: Vec<usize>,
    /// `inverse[k]` is the old place of the chunk now at `k`.
    pub inverse: Vec<usize>,
}

impl Irreps {
    /// The largest dimension that is accepted when parsing, so that sizes of arrays stay far from overflow.
    pub const MAX_DIM: usize = 1 << 31;

    /// The direct sum of `chunks`, in order.
    pub fn new(chunks: impl IntoIterator<Item = MulIrrep>) -> Self {
        Irreps(chunks.into_iter().collect())
    }

    /// `n` copies of the invariant scalar, as one chunk.
    pub fn scalars(n: usize) -> Self {
        Irreps(vec![MulIrrep::new(n, Irrep::SCALAR)])
    }

    /// The chunks, in order.
    pub fn chunks(&self) -> &[MulIrrep] {
        &self.0
    }

    /// Iterates over the chunks, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = MulIrrep> + DoubleEndedIterator + '_ {
        self.0.iter().copied()
    }

    /// The number of chunks.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True where there is no chunk at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The dimension of the representation: the length of an array's last axis. The largest number where that does not
    /// fit.
    pub fn dim(&self) -> usize {
        self.iter().map(MulIrrep::dim).fold(0, usize::saturating_add)
    }

    /// The number of irreps: the sum of the multiplicities.
    pub fn num_irreps(&self) -> usize {
        self.iter().map(|c| c.mul).fold(0, usize::saturating_add)
    }

    /// The largest degree among chunks with a multiplicity; `None` where there is none.
    pub fn lmax(&self) -> Option<u32> {
        self.iter().filter(|c| c.mul > 0).map(|c| c.ir.l).max()
    }

    /// The total multiplicity of `ir`.
    pub fn count(&self, ir: Irrep) -> usize {
        self.iter().filter(|c| c.ir == ir).map(|c| c.mul).fold(0, usize::saturating_add)
    }

    /// True where a chunk of `ir` is listed, even with multiplicity zero.
    pub fn contains(&self, ir: Irrep) -> bool {
        self.iter().any(|c| c.ir == ir)
    }

    /// True where there are chunks and all are `0e`.
    pub fn is_scalar(&self) -> bool {
        !self.is_empty() && self.iter().all(|c| c.ir.is_scalar())
    }

    /// The offset of every chunk in the last axis.
    pub fn offsets(&self) -> Vec<usize> {
        self.iter()
            .scan(0usize, |at, c| {
                let here = *at;
                *at = at.saturating_add(c.dim());
                Some(here)
            })
            .collect()
    }

    /// The chunks of `self`, then those of `other`.
    pub fn concat(&self, other: &Self) -> Self {
        Irreps(self.0.iter().chain(&other.0).copied().collect())
    }

    /// All chunks `n` times over, in order: what an axis of length `n` before the irreps is when it is read as features.
    ///
    /// # Panics
    /// Where the list does not fit in memory.
    pub fn repeat(&self, n: usize) -> Self {
        Irreps(self.0.repeat(n))
    }

    /// Every multiplicity times `n`.
    pub fn scale_mul(&self, n: usize) -> Self {
        Irreps::new(self.iter().map(|c| MulIrrep::new(c.mul.saturating_mul(n), c.ir)))
    }

    /// Joins neighbours of equal irrep, zero multiplicities included.
    pub fn unify(&self) -> Self {
        let mut out: Vec<MulIrrep> = Vec::with_capacity(self.len());
        for c in self.iter() {
            match out.last_mut() {
                Some(last) if last.ir == c.ir => last.mul = last.mul.saturating_add(c.mul),
                _ => out.push(c),
            }
        }
        Irreps(out)
    }

    /// Drops chunks of multiplicity zero.
    pub fn remove_zero_multiplicities(&self) -> Self {
        Irreps::new(self.iter().filter(|c| c.mul > 0))
    }

    /// Drops chunks of multiplicity zero, then joins neighbours of equal irrep. Does not sort: equals that stand apart stay apart.
    pub fn simplify(&self) -> Self {
        self.remove_zero_multiplicities().unify()
    }

    /// Sorts the chunks by irrep, stably.
    #[allow(clippy::indexing_slicing, reason = "both lists are permutations of the places of chunks")]
    pub fn sort(&self) -> Sorted {
        let mut inverse: Vec<usize> = (0..self.len()).collect();
        inverse.sort_by_key(|&i| (self.0[i].ir, i));
        let mut permutation = vec![0; self.len()];
        for (new, &old) in inverse.iter().enumerate() {
            permutation[old] = new;
        }
        Sorted { irreps: Irreps::new(inverse.iter().map(|&i| self.0[i])), permutation, inverse }
    }

    /// [`sort`](Self::sort), then [`simplify`](Self::simplify).
    pub fn regroup(&self) -> Self {
        self.sort().irreps.simplify()
    }

    /// The chunks for which `keep` is true.
    pub fn filter(&self, mut keep: impl FnMut(MulIrrep) -> bool) -> Self {
        Irreps::new(self.iter().filter(|&c| keep(c)))
    }
}

impl fmt::Debug for Irreps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl fmt::Display for Irreps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (k, c) in self.iter().enumerate() {
            if k > 0 {
                f.write_str("+")?;
            }
            write!(f, "{c}")?;
        }
        Ok(())
    }
}

/// Why a text is not an irrep or a sum of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ParseIrrepsError {
    /// What is wrong, naming the part that is.
    pub reason: String,
    /// The byte range of that part in the text.
    pub span: std::ops::Range<usize>,
}

/// A part of the text with its place in the whole.
#[derive(Clone, Copy)]
struct Piece<'a> {
    text: &'a str,
    start: usize,
}

#[expect(clippy::arithmetic_side_effects, reason = "places in a text that is in memory")]
impl<'a> Piece<'a> {
    fn trim(self) -> Self {
        let start = self.start + (self.text.len() - self.text.trim_start().len());
        Piece { text: self.text.trim(), start }
    }

    fn error(self, reason: String) -> ParseIrrepsError {
        ParseIrrepsError { reason, span: self.start..self.start + self.text.len() }
    }

    /// A non-negative integer as Python's `int` reads it: surrounding space and single underscores between digits are fine.
    fn number(self, what: &str) -> Result<usize, ParseIrrepsError> {
        let piece = self.trim();
        let text = piece.text;
        let well_formed = !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_digit() || b == b'_')
            && !text.starts_with('_')
            && !text.ends_with('_')
            && !text.contains("__");
        if !well_formed {
            return Err(piece.error(format!("`{text}` is not a {what}: expected a non-negative integer")));
        }
        text.replace('_', "").parse().map_err(|_| piece.error(format!("the {what} `{text}` is too large")))
    }

    fn irrep(self) -> Result<Irrep, ParseIrrepsError> {
        let piece = self.trim();
        let Some(letter) = piece.text.chars().next_back() else {
            return Err(piece.error("an irrep is missing here: write its degree and parity, as in `1o`".into()));
        };
        let degree = Piece { text: &piece.text[..piece.text.len() - letter.len_utf8()], start: piece.start };
        if !matches!(letter, 'e' | 'o' | 'y') {
            let reason =
                format!("`{}` is not an irrep: expected a degree and a parity `e`, `o` or `y`, as in `1o`", piece.text);
            return Err(piece.error(reason));
        }
        let l = degree.number("degree")?;
        let l = u32::try_from(l).ok().filter(|&l| l <= Irrep::MAX_L);
        let l = l.ok_or_else(|| degree.error(format!("the degree is larger than {}", Irrep::MAX_L)))?;
        let p = match letter {
            'e' => Parity::Even,
            'o' => Parity::Odd,
            _ => Parity::natural(l),
        };
        Ok(Irrep { l, p })
    }

    fn mul_irrep(self) -> Result<MulIrrep, ParseIrrepsError> {
        let Some(x) = self.text.find('x') else {
            return Ok(MulIrrep::new(1, self.irrep()?));
        };
        let mul = Piece { text: &self.text[..x], start: self.start };
        let ir = Piece { text: &self.text[x + 1..], start: self.start + x + 1 };
        Ok(MulIrrep::new(mul.number("multiplicity")?, ir.irrep()?))
    }
}

impl FromStr for Irrep {
    type Err = ParseIrrepsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Piece { text, start: 0 }.irrep()
    }
}

/// The grammar of e3nn_jax: terms `mul x l parity` joined by `+`, the multiplicity and its `x` optional, `y` for (−1)^l,
/// space anywhere between tokens; the empty text is the empty sum.
impl FromStr for Irreps {
    type Err = ParseIrrepsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim().is_empty() {
            return Ok(Irreps::default());
        }
        let mut chunks = Vec::new();
        let (mut start, mut dim) = (0, 0usize);
        for term in text.split('+') {
            let piece = Piece { text: term, start };
            let chunk = piece.mul_irrep()?;
            dim = chunk.mul.checked_mul(chunk.ir.dim()).and_then(|d| dim.checked_add(d)).unwrap_or(usize::MAX);
            if dim > Self::MAX_DIM {
                return Err(piece.trim().error(format!("the irreps have a dimension above {}", Self::MAX_DIM)));
            }
            chunks.push(chunk);
            // A place in a text that is in memory.
            start = start.saturating_add(term.len()).saturating_add(1);
        }
        Ok(Irreps(chunks))
    }
}
