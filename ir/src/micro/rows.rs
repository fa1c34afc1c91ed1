//! Sums of products, row by row.

use std::fmt;

use crate::ty::DType;

/// The most arrays of [`Rows`].
pub const MAX_ROWS_ARRAYS: usize = 16;

/// The most terms of a [`Step`].
pub const MAX_TERMS: usize = 3;

/// The most rows that go through a step before the next: arrays that pass have as many.
pub const MAX_ROWS_AT_ONCE: usize = 8;

/// Steps that are done one after the other for a few rows at a time, so that what one writes is near where the next reads it.
/// No step reads what an earlier one writes in another row.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// The element type.
    pub dtype: DType,
    /// The stride of every array from row to row; 0 where all rows share it.
    pub strides: Vec<usize>,
    /// For every array whether it holds nothing before and nothing after: its first rows, [`MAX_ROWS_AT_ONCE`] or all, serve all.
    pub passing: Vec<bool>,
    /// For every array whether its rows are asked for ahead of their use.
    pub asked: Vec<bool>,
    /// Whether the asked arrays are larger than the caches: what is written there then goes past them.
    pub beyond_caches: bool,
    /// Whether the last rows are done first. No step then sums rows.
    pub backwards: bool,
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// The array of one element that the terms of [divided](Step::divided) steps are multiplied by.
    pub inverse: Option<usize>,
}

/// `out[i, u] (+)= Σ_terms coefficient Π factor[i, u]` for `i` in `0..components` and `u` in `0..count`.
///
/// Where `out` has no stride along the components it is a sum over them too, and where it has none from row to row, over rows and
/// components. Such a step has one term, and one that sums rows adds.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What is written.
    pub out: Place,
    /// What is summed: at most [`MAX_TERMS`], one fewer where an elementwise step adds to what is there.
    pub terms: Vec<Term>,
    /// The number of components.
    pub components: usize,
    /// The number of neighbours.
    pub count: usize,
    /// Add to what is there.
    pub accumulate: bool,
    /// Multiply by [`Rows::inverse`]; not where an elementwise step adds to what is there.
    pub divided: bool,
}

impl Step {
    /// True where several elements of a row, or of all rows, add to one element.
    pub fn sums(&self, strides: &[usize]) -> bool {
        let of_rows = strides.get(self.out.array).is_some_and(|stride| *stride == 0);
        of_rows || self.components > 1 && self.out.component == 0
    }
}

/// A term: a constant times one or two factors.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// The constant.
    pub coefficient: f64,
    /// The factors.
    pub factors: Vec<Place>,
}

/// Elements of an array: neighbours along `u`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The array.
    pub array: usize,
    /// The first element in a row.
    pub offset: usize,
    /// The stride along the components.
    pub component: usize,
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let elements = self.steps.iter().map(|step| step.components.saturating_mul(step.count)).sum::<usize>();
        write!(f, "{} sums row by row, {} of {elements} elements", self.dtype, self.steps.len())?;
        if self.backwards { f.write_str(", the last rows first") } else { Ok(()) }
    }
}
