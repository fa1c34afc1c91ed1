//! Which steps that sum rows are done at once.

#![expect(clippy::indexing_slicing, reason = "places are of a list of steps, and of terms that steps have")]

use schur_ir::micro::{self, Rows, Term};

use super::columns::{FACTOR, PRODUCT, SQUARE};
use super::steps::BLOCK;

/// The steps, in order. Sums of squares over rows are together with those of products of the same factor, so that it is read once.
pub(super) fn joined(rows: &Rows, lanes: usize) -> Vec<(&micro::Step, Option<&micro::Step>)> {
    let mut steps: Vec<(&micro::Step, Option<&micro::Step>)> = Vec::new();
    for (k, step) in rows.steps.iter().enumerate() {
        let fits = |&at: &usize| {
            let (first, second) = steps[at];
            let between = rows.steps[..k].iter().skip_while(|other| !std::ptr::eq(*other, first)).skip(1);
            second.is_none()
                && are_joined(rows, lanes, first, step)
                && between.into_iter().all(|other| are_apart(other, step))
        };
        match (0..steps.len()).find(fits) {
            Some(first) => steps[first].1 = Some(step),
            None => steps.push((step, None)),
        }
    }
    steps
}

/// True for sums of squares and of products of one factor.
fn are_joined(rows: &Rows, lanes: usize, squares: &micro::Step, products: &micro::Step) -> bool {
    let are_alike =
        (squares.count, squares.accumulate, squares.divided) == (products.count, products.accumulate, products.divided);
    are_alike
        && columns(rows, lanes, squares) == Some(SQUARE)
        && columns(rows, lanes, products) == Some(PRODUCT)
        && products.terms[0].factors.contains(&squares.terms[0].factors[0])
}

/// True where one step writes nothing that the other one touches, and reads nothing that it writes.
fn are_apart(other: &micro::Step, step: &micro::Step) -> bool {
    let reads =
        |step: &micro::Step, array: usize| step.terms.iter().flat_map(|term| &term.factors).any(|of| of.array == array);
    !reads(step, other.out.array) && !reads(other, step.out.array) && other.out != step.out
}

/// What a step sums over rows, of one component in whole blocks of vectors; none for all other steps.
pub(super) fn columns(rows: &Rows, lanes: usize, step: &micro::Step) -> Option<usize> {
    let is_regular = step.components == 1 && step.count.is_multiple_of(BLOCK * lanes);
    if rows.strides[step.out.array] != 0 || !is_regular {
        return None;
    }
    match &step.terms[..] {
        [Term { factors, .. }] => match &factors[..] {
            [_] => Some(FACTOR),
            [x, y] => Some(if x == y { SQUARE } else { PRODUCT }),
            _ => None,
        },
        _ => None,
    }
}
