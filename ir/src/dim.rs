//! Symbolic sizes of leading axes: polynomials with integer coefficients over named symbols.
//!
//! Invariant: a [`Dim`] is in normal form (sorted monomials, no zero coefficient), so `==` is equality of polynomials.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::text::Name;

/// The name of a size that is known only when a program runs.
pub type Symbol = Arc<str>;

/// A product of symbols, sorted; the empty product is 1.
type Monomial = Vec<Symbol>;

/// A size: a polynomial over symbols.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dim(BTreeMap<Monomial, i64>);

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
        Dim(BTreeMap::from([(vec![name.into()], 1)]))
    }

    /// The product of many sizes; 1 where there is none.
    pub fn product<'a>(dims: impl IntoIterator<Item = &'a Dim>) -> Self {
        dims.into_iter().fold(Dim::one(), |a, b| a.times(b))
    }

    /// The value, where no symbol is involved.
    pub fn constant(&self) -> Option<i64> {
        match self.0.len() {
            0 => Some(0),
            1 => self.0.get(&Vec::new()).copied(),
            _ => None,
        }
    }

    /// True for the size one.
    pub fn is_one(&self) -> bool {
        self.constant() == Some(1)
    }

    /// The sum.
    pub fn plus(&self, other: &Self) -> Self {
        let mut out = self.0.clone();
        for (monomial, coefficient) in &other.0 {
            let entry = out.entry(monomial.clone()).or_insert(0);
            *entry = entry.saturating_add(*coefficient);
        }
        out.retain(|_, c| *c != 0);
        Dim(out)
    }

    /// The product.
    pub fn times(&self, other: &Self) -> Self {
        let mut out = Dim::default();
        for (a, x) in &self.0 {
            for (b, y) in &other.0 {
                let mut monomial: Monomial = a.iter().chain(b).cloned().collect();
                monomial.sort();
                out = out.plus(&Dim(BTreeMap::from([(monomial, x.saturating_mul(*y))])));
            }
        }
        out
    }

    /// True where no coefficient came to the end of its range: sums and products stay there, and would be too small.
    pub fn is_exact(&self) -> bool {
        self.0.values().all(|c| *c != i64::MAX && *c != i64::MIN)
    }

    /// The symbols that occur, sorted.
    pub fn symbols(&self) -> impl Iterator<Item = &Symbol> {
        let mut all: Vec<&Symbol> = self.0.keys().flatten().collect();
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

impl From<i64> for Dim {
    fn from(value: i64) -> Self {
        if value == 0 { Dim::default() } else { Dim(BTreeMap::from([(Vec::new(), value)])) }
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
