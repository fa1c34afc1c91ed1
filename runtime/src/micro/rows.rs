//! Sums of products, row by row: what the steps are, and their order.
//!
//! A few rows go through all steps before the next rows do, so that what a step writes is in the first cache where the next
//! one reads it, and memory is met in its order. The loops of a step are in `steps.rs`.

#![expect(clippy::unreachable, reason = "a program's steps have the terms that their description says")]

use schur_ir::micro::{self, MAX_ROWS_ARRAYS, MAX_ROWS_AT_ONCE, MAX_TERMS, Rows, Term};

use super::prefetch::settle;
use super::sets::Float;
use super::steps::{BLOCK, Place, Shape, Step, StepFn};

/// Elements that go through the steps before the next: some rows of short steps, one of long ones.
const ELEMENTS: usize = 4096;

/// The same of arrays that are larger than the caches, which are best met as they lie in memory.
const ELEMENTS_BEYOND: usize = 2048;

/// Bytes, of arrays that are larger than the caches, from what is used to what is asked for.
const AHEAD_BEYOND: usize = 8192;

/// Steps, ready to be called.
pub(super) struct Plan<T: 'static> {
    /// How far every array advances from row to row, where rows are done.
    advances: Vec<usize>,
    steps: Vec<Step<T>>,
    /// Rows that go through a step before the next.
    rows: usize,
    /// Whether steps write past the caches.
    past_caches: bool,
}

impl<T: Float> Plan<T> {
    /// The steps by the functions of an instruction set with so many lanes.
    pub(super) fn new(rows: &Rows, lanes: usize, of: fn(Shape) -> Option<StepFn<T>>) -> Self {
        let elements = rows.steps.iter().map(|step| step.components * step.count).sum::<usize>();
        let advance = |(stride, passing): (&usize, &bool)| if *passing { 0 } else { *stride };
        let most = if rows.beyond_caches { ELEMENTS_BEYOND } else { ELEMENTS };
        let at_once = (most / elements.max(1)).clamp(1, MAX_ROWS_AT_ONCE);
        let ahead: Vec<usize> = (0..rows.strides.len()).map(|k| ahead::<T>(rows, k, at_once)).collect();
        let step = |step: &micro::Step| Step::new(step, rows, lanes, &ahead, of);
        let steps: Vec<Step<T>> = rows.steps.iter().map(step).collect();
        let past_caches = steps.iter().any(|step| step.past_caches);
        let advances = rows.strides.iter().zip(&rows.passing).map(advance).collect();
        Plan { advances, steps, rows: at_once, past_caches }
    }

    /// Does all steps for all rows.
    ///
    /// # Safety
    /// As [`schur_ir::micro::MicroFn`] says, on a machine with the instruction set of the steps.
    pub(super) unsafe fn run(&self, given: *const *mut T, rows: usize) {
        let mut arrays = [std::ptr::null_mut(); MAX_ROWS_ARRAYS];
        for (k, array) in arrays.iter_mut().enumerate().take(self.advances.len()) {
            // SAFETY: the caller's.
            *array = unsafe { *given.add(k) };
        }
        let mut done = 0;
        while done < rows {
            let count = self.rows.min(rows - done);
            for step in &self.steps {
                // SAFETY: the caller's.
                unsafe { (step.run)(step, &arrays, count) }
            }
            for (array, step) in arrays.iter_mut().zip(&self.advances) {
                *array = array.wrapping_add(count * step);
            }
            done += count;
        }
        if self.past_caches {
            settle();
        }
    }
}

/// How far ahead elements of an array are asked for where so many rows go through a step at once; 0 where they are not.
fn ahead<T>(rows: &Rows, array: usize, at_once: usize) -> usize {
    let stride = rows.strides[array];
    if !rows.asked[array] || stride == 0 {
        0
    } else if rows.beyond_caches {
        stride * at_once.max(AHEAD_BEYOND.div_ceil(stride * size_of::<T>()))
    } else {
        stride * at_once
    }
}

/// True where an array is written past the caches: if it is larger than they are, nothing is read there, and all that is
/// written there are whole vectors. Lines that are written in both ways go to memory and back for every change.
fn is_past_caches(rows: &Rows, array: usize, lanes: usize) -> bool {
    let reads = |step: &micro::Step| step.terms.iter().flat_map(|term| &term.factors).any(|of| of.array == array);
    let is_whole = |step: &micro::Step| !step.accumulate && step.count.is_multiple_of(BLOCK * lanes);
    let suits = |step: &micro::Step| !reads(step) && (step.out.array != array || is_whole(step));
    rows.beyond_caches && rows.asked[array] && rows.steps.iter().all(suits)
}

/// The terms of a step, those of two factors first, and of two factors the one that has components first. What is there is a term
/// of a step that adds to elements.
fn terms(step: &micro::Step, rows: &Rows) -> Vec<Term> {
    let mut terms = step.terms.clone();
    if step.accumulate && !step.sums(&rows.strides) {
        terms.push(Term { coefficient: 1.0, factors: vec![step.out] });
    }
    terms.sort_by_key(|term| std::cmp::Reverse(term.factors.len()));
    for term in &mut terms {
        term.factors.sort_by_key(|factor| std::cmp::Reverse(factor.component));
    }
    terms
}

fn shape(step: &micro::Step, rows: &Rows, terms: &[Term], lanes: usize, streams: bool) -> Shape {
    let sums = step.sums(&rows.strides);
    let follows = |place: &micro::Place| place.component == step.count;
    let is_dense = |term: &Term| match &term.factors[..] {
        [x, y] => follows(x) && if sums { follows(y) } else { y.component == 0 },
        all => all.iter().all(follows),
    };
    let are_dense = step.components == 1 || terms.iter().all(is_dense) && (sums || follows(&step.out));
    let in_blocks = step.count.is_multiple_of(BLOCK * lanes);
    let pairs = terms.iter().filter(|term| term.factors.len() == 2).count();
    Shape {
        terms: [pairs, terms.len() - pairs],
        sums_rows: sums.then_some(rows.strides[step.out.array] == 0),
        components: if are_dense && in_blocks { step.components } else { 0 },
        streams,
    }
}

impl<T: Float> Step<T> {
    fn new(step: &micro::Step, rows: &Rows, lanes: usize, ahead: &[usize], of: fn(Shape) -> Option<StepFn<T>>) -> Self {
        let terms = terms(step, rows);
        let place = |place: &micro::Place| {
            let micro::Place { array, offset, component } = *place;
            Place { array, offset, row: rows.strides[array], component, ahead: ahead[array] }
        };
        let mut factors = [place(&step.out); 2 * MAX_TERMS];
        for (to, factor) in factors.iter_mut().zip(terms.iter().flat_map(|term| &term.factors)) {
            *to = place(factor);
        }
        let mut coefficients = [T::rounded(1.0); MAX_TERMS];
        for (to, term) in coefficients.iter_mut().zip(&terms) {
            *to = T::rounded(term.coefficient);
        }
        let past_caches = is_past_caches(rows, step.out.array, lanes);
        let streams = past_caches || terms.iter().flat_map(|term| &term.factors).any(|factor| ahead[factor.array] > 0);
        let run = of(shape(step, rows, &terms, lanes, streams));
        Step {
            run: run.unwrap_or_else(|| unreachable!("{step:?} has too many terms")),
            out: place(&step.out),
            factors,
            coefficients,
            components: step.components,
            count: step.count,
            accumulate: step.accumulate,
            past_caches,
            inverse: rows.inverse.filter(|_| step.divided),
        }
    }
}
