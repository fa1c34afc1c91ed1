//! Symbolic sizes of leading axes: polynomials with integer coefficients over named symbols.
//!
//! Invariant: a [`Dim`] is in normal form (sorted monomials, no zero coefficient), so `==` is equality of polynomials.

use std::fmt;
use std::ops::AddAssign;
use std::sync::Arc;

use indexmap::IndexMap;
use smallvec::{SmallVec, smallvec};

use crate::text::Name;

/// The name of a size that is known only when a program runs.
pub type Symbol = Arc<str>;

/// A product of symbols, sorted; the empty product is 1.
type Monomial = SmallVec<[Symbol; 1]>;

/// Monomials and their coefficients, sorted.
type Terms = SmallVec<[(Monomial, i64); 1]>;

/// A size: a polynomial over symbols.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dim(Terms);

/// The most terms of a product, before equal ones are added. Products of sums have exponentially many in their factors.
const MAX_TERMS: usize = 1000;

/// The most symbols of a term of a product.
const MAX_SYMBOLS: usize = 1000;

/// The size of every symbol at one call.
pub type Bindings = IndexMap<Symbol, usize>;

/// Why a [`Dim`] has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DimError {
    /// No size is bound to a symbol.
    #[error("the size of `{0}` is not known")]
    Unbound(Symbol),
    /// The value does not fit, or is negative.
    #[error("the size {0} does not fit in memory")]
    Overflow(Dim),
}

impl Dim {
    /// The size one.
    pub fn one() -> Self {
        Dim::from(1)
    }

    /// A size that is one symbol.
    pub fn symbol(name: impl Into<Symbol>) -> Self {
        Dim(smallvec![(smallvec![name.into()], 1)])
    }

    /// The product of many sizes; 1 where there is none.
    pub fn product<'a>(dims: impl IntoIterator<Item = &'a Dim>) -> Self {
        dims.into_iter().fold(Dim::one(), |a, b| a.times(b))
    }

    /// The value, where no symbol is involved.
    pub fn constant(&self) -> Option<i64> {
        match self.0.as_slice() {
            [] => Some(0),
            [(monomial, value)] if monomial.is_empty() => Some(*value),
            [..] => None,
        }
    }

    /// The symbol, where a size is nothing else: an axis of an input with this size tells its value.
    pub fn as_symbol(&self) -> Option<&Symbol> {
        match self.0.as_slice() {
            [(monomial, 1)] => match monomial.as_slice() {
                [symbol] => Some(symbol),
                [..] => None,
            },
            [..] => None,
        }
    }

    /// True for the size one.
    pub fn is_one(&self) -> bool {
        self.constant() == Some(1)
    }

    /// The sum.
    pub fn plus(&self, other: &Self) -> Self {
        let mut sum = self.clone();
        sum.add_assign(other);
        sum
    }

    /// The product.
    pub fn times(&self, other: &Self) -> Self {
        let fits = self.0.len().saturating_mul(other.0.len()) <= MAX_TERMS;
        let pairs = self.0.iter().flat_map(|a| other.0.iter().map(move |b| (a, b)));
        let terms = pairs.map(|((a, x), (b, y))| {
            let mut monomial: Monomial = a.iter().chain(b).take(MAX_SYMBOLS.saturating_add(1)).cloned().collect();
            monomial.sort();
            (monomial.len() <= MAX_SYMBOLS).then_some((monomial, x.checked_mul(*y)?))
        });
        let product = || fits.then(|| add(Terms::new(), terms)).flatten();
        self.and(other).and_then(|()| product()).unwrap_or_else(Dim::cut_off)
    }

    /// What stands for a polynomial that is too large: sums and products with it are the same.
    fn cut_off() -> Self {
        Dim::from(i64::MAX)
    }

    /// Something where both are exact.
    fn and(&self, other: &Self) -> Option<()> {
        (self.is_exact() && other.is_exact()).then_some(())
    }

    /// True where it is the polynomial that it was made to be: no coefficient, and no sum or product that it was made from,
    /// came to the end of its range or had too many terms. One that is not has no value.
    pub fn is_exact(&self) -> bool {
        self.0.iter().all(|(_, c)| *c != i64::MAX && *c != i64::MIN)
    }

    /// The symbols that occur, sorted.
    pub fn symbols(&self) -> impl Iterator<Item = &Symbol> {
        let mut all: Vec<&Symbol> = self.0.iter().flat_map(|(monomial, _)| monomial).collect();
        all.sort();
        all.dedup();
        all.into_iter()
    }

    /// The terms: a coefficient and the symbols that it multiplies.
    pub fn terms(&self) -> impl Iterator<Item = (i64, &[Symbol])> {
        self.0.iter().map(|(monomial, c)| (*c, monomial.as_slice()))
    }

    /// The value at a call.
    pub fn evaluate(&self, bindings: &Bindings) -> Result<usize, DimError> {
        if !self.is_exact() {
            return Err(DimError::Overflow(self.clone()));
        }
        let mut total: i64 = 0;
        for (monomial, coefficient) in &self.0 {
            let mut term = Some(*coefficient);
            for symbol in monomial {
                let size = *bindings.get(symbol).ok_or_else(|| DimError::Unbound(symbol.clone()))?;
                term = term.and_then(|t| t.checked_mul(i64::try_from(size).ok()?));
            }
            total = term.and_then(|t| total.checked_add(t)).ok_or_else(|| DimError::Overflow(self.clone()))?;
        }
        usize::try_from(total).map_err(|_| DimError::Overflow(self.clone()))
    }
}

/// A polynomial with more terms; `None` where one of them, or a coefficient, is too large.
fn add(mut sum: Terms, terms: impl Iterator<Item = Option<(Monomial, i64)>>) -> Option<Dim> {
    for term in terms {
        let (monomial, coefficient) = term?;
        match sum.binary_search_by(|(known, _)| known.cmp(&monomial)) {
            Ok(at) => {
                let (_, known) = sum.get_mut(at)?;
                *known = known.checked_add(coefficient)?;
            }
            Err(at) => sum.insert(at, (monomial, coefficient)),
        }
    }
    sum.retain(|(_, coefficient)| *coefficient != 0);
    Some(Dim(sum))
}

impl AddAssign<&Dim> for Dim {
    fn add_assign(&mut self, other: &Dim) {
        let terms = other.0.iter().map(|(monomial, coefficient)| Some((monomial.clone(), *coefficient)));
        let sum = self.and(other).and_then(|()| add(std::mem::take(&mut self.0), terms));
        *self = sum.unwrap_or_else(Dim::cut_off);
    }
}

impl From<i64> for Dim {
    fn from(value: i64) -> Self {
        if value == 0 { Dim::default() } else { Dim(smallvec![(Monomial::new(), value)]) }
    }
}

impl fmt::Debug for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("0");
        }
        for (k, (monomial, coefficient)) in self.0.iter().enumerate() {
            if k > 0 {
                f.write_str("+")?;
            }
            if monomial.is_empty() || *coefficient != 1 {
                write!(f, "{coefficient}")?;
            }
            for (j, symbol) in monomial.iter().enumerate() {
                let star = if j > 0 || *coefficient != 1 { "*" } else { "" };
                write!(f, "{star}{}", Name(symbol))?;
            }
        }
        Ok(())
    }
}
