//! Steps made ready to be called: which function does each, where its places are, and what it asks for ahead.

#![expect(clippy::indexing_slicing, reason = "places are of arrays that a program's steps have")]
#![expect(clippy::unreachable, reason = "a program's steps have the terms that their description says")]

use schur_ir::micro::{self, MAX_TERMS, Rows, Term};

use super::columns::BOTH;
use super::joined::{columns, joined};
use super::sets::Float;
use super::steps::{BLOCK, MAX_ASKED, Place, Shape, Step, StepFn};

/// Bytes, of arrays that are larger than the caches, from what is used to what is asked for.
const AHEAD_BEYOND: usize = 8192;

/// What steps are made of.
pub(super) struct Makes<'a, T: 'static> {
    rows: &'a Rows,
    lanes: usize,
    /// For every array how far ahead it is asked for.
    ahead: Vec<usize>,
    /// The functions of an instruction set.
    of: fn(Shape) -> Option<StepFn<T>>,
}

impl<'a, T: Float> Makes<'a, T> {
    /// Steps by the functions of an instruction set with so many lanes, that so many rows go through at once.
    pub(super) fn new(rows: &'a Rows, lanes: usize, at_once: usize, of: fn(Shape) -> Option<StepFn<T>>) -> Self {
        let ahead = (0..rows.strides.len()).map(|k| ahead::<T>(rows, k, at_once)).collect();
        Makes { rows, lanes, ahead, of }
    }

    /// The arrays that may be written past the caches.
    pub(super) fn past_caches(&self) -> Vec<usize> {
        (0..self.ahead.len()).filter(|&k| is_past_caches(self.rows, k, self.lanes)).collect()
    }

    /// All steps, in order, that write these arrays past the caches. Each asks for what none before it did.
    pub(super) fn steps(&self, past_caches: &[usize]) -> Vec<Step<T>> {
        let mut known = Vec::new();
        let steps = joined(self.rows, self.lanes).into_iter();
        steps.map(|(step, second)| self.step(step, second, past_caches, &mut known)).collect()
    }

    /// A step, and the one that is done with it.
    fn step(
        &self,
        step: &micro::Step,
        second: Option<&micro::Step>,
        past_caches: &[usize],
        known: &mut Vec<(micro::Place, usize)>,
    ) -> Step<T> {
        let terms = second.map_or_else(|| terms(step, self.rows), |second| terms_of_both(step, second));
        let mut factors = [self.place(&step.out); 2 * MAX_TERMS];
        for (to, factor) in factors.iter_mut().zip(terms.iter().flat_map(|term| &term.factors)) {
            *to = self.place(factor);
        }
        let mut coefficients = [T::rounded(1.0); MAX_TERMS];
        for (to, term) in coefficients.iter_mut().zip(&terms) {
            *to = T::rounded(term.coefficient);
        }
        let (asked, asks) = self.asked(step, &terms, known);
        let columns = columns(self.rows, self.lanes, step).map(|of| if second.is_some() { BOTH } else { of });
        let past_caches = past_caches.contains(&step.out.array);
        let shape = Shape { columns, asks, past_caches, ..self.shape(step, &terms) };
        Step {
            run: (self.of)(shape).unwrap_or_else(|| unreachable!("{step:?} has too many terms")),
            out: self.place(&step.out),
            second: self.place(&second.unwrap_or(step).out),
            factors,
            coefficients,
            components: step.components,
            count: step.count,
            accumulate: step.accumulate,
            asked,
            in_place: terms.iter().flat_map(|term| &term.factors).any(|factor| factor.array == step.out.array),
            inverse: self.rows.inverse.filter(|_| step.divided),
        }
    }

    fn place(&self, place: &micro::Place) -> Place {
        let micro::Place { array, offset, component } = *place;
        Place { array, offset, row: self.rows.strides[array], component, ahead: self.ahead[array] }
    }

    /// The places that a step asks for ahead, and how many they are: of its factors, those that are not `known`.
    fn asked(
        &self,
        step: &micro::Step,
        terms: &[Term],
        known: &mut Vec<(micro::Place, usize)>,
    ) -> ([Place; MAX_ASKED], usize) {
        let mut asked = [self.place(&step.out); MAX_ASKED];
        let mut asks = 0;
        for factor in terms.iter().flat_map(|term| &term.factors).filter(|factor| self.ahead[factor.array] > 0) {
            let elements = (*factor, step.count);
            if asks < MAX_ASKED && !known.contains(&elements) {
                known.push(elements);
                asked[asks] = self.place(factor);
                asks += 1;
            }
        }
        (asked, asks)
    }

    fn shape(&self, step: &micro::Step, terms: &[Term]) -> Shape {
        let sums = step.sums(&self.rows.strides);
        let follows = |place: &micro::Place| place.component == step.count;
        let is_dense = |term: &Term| match &term.factors[..] {
            [x, y] => follows(x) && if sums { follows(y) } else { y.component == 0 },
            all => all.iter().all(follows),
        };
        let are_dense = step.components == 1 || terms.iter().all(is_dense) && (sums || follows(&step.out));
        let in_blocks = step.count.is_multiple_of(BLOCK * self.lanes);
        let pairs = terms.iter().filter(|term| term.factors.len() == 2).count();
        Shape {
            terms: [pairs, terms.len() - pairs],
            sums_rows: sums.then_some(self.rows.strides[step.out.array] == 0),
            components: if are_dense && in_blocks { step.components } else { 0 },
            columns: None,
            asks: 0,
            past_caches: false,
        }
    }
}

/// How far ahead elements of an array are asked for where so many rows go through a step at once; 0 where they are not.
fn ahead<T>(rows: &Rows, array: usize, at_once: usize) -> usize {
    let stride = rows.strides[array];
    if !rows.asked[array] || stride == 0 {
        return 0;
    }
    let count = if rows.beyond_caches { at_once.max(AHEAD_BEYOND.div_ceil(stride * size_of::<T>())) } else { at_once };
    let elements = stride * count;
    if rows.backwards { elements.wrapping_neg() } else { elements }
}

/// True where an array is written past the caches: if it is larger than they are, nothing is read there, and all that is
/// written there are blocks of vectors in a row, which begin where the array is aligned. Lines that are written in both ways go to
/// memory and back for every change.
fn is_past_caches(rows: &Rows, array: usize, lanes: usize) -> bool {
    let reads = |step: &micro::Step| step.terms.iter().flat_map(|term| &term.factors).any(|of| of.array == array);
    let is_whole = |step: &micro::Step| {
        let places = [step.out.offset, rows.strides[array], step.count / BLOCK];
        let are_vectors = step.components == 1 && places.iter().all(|place| place.is_multiple_of(lanes));
        let has_lines = has_lines(&step.terms);
        !step.accumulate && !step.sums(&rows.strides) && are_vectors && step.count.is_multiple_of(BLOCK) && has_lines
    };
    let suits = |step: &micro::Step| !reads(step) && (step.out.array != array || is_whole(step));
    rows.beyond_caches && rows.asked[array] && rows.steps.iter().all(suits)
}

/// True where [`lines`](super::lines) are made for such terms.
fn has_lines(terms: &[Term]) -> bool {
    terms.len() < 3 || terms.iter().filter(|term| term.factors.len() == 2).count() == 2
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

/// The factors of sums of squares and of products of one factor: that one, then the other.
fn terms_of_both(squares: &micro::Step, products: &micro::Step) -> Vec<Term> {
    let mut terms = vec![squares.terms[0].clone(), products.terms[0].clone()];
    let [of_squares, of_products] = &mut terms[..] else { return terms };
    of_squares.factors.truncate(1);
    of_products.factors.retain(|factor| !of_squares.factors.contains(factor));
    terms
}
