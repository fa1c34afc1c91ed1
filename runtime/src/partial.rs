//! Arrays that kernels add to: what fills them before, and what sums their copies afterwards.

#![expect(clippy::indexing_slicing, reason = "every term is as long as the sum")]

use std::ops::AddAssign;

use schur_micro::{InstructionSet, Loop};

use crate::elements::Element;
use crate::pool;

/// A float that is summed.
pub(crate) trait Float: Element + Copy + Default + AddAssign + Send + Sync {}

impl Float for f32 {}

impl Float for f64 {}

/// The elements that one thread fills or combines at a time; fewer than two of these are not worth a thread.
const PART: usize = 1 << 14;

/// Sets all elements.
pub(crate) fn fill<T: Float>(slice: &mut [T], value: T, threads: usize) {
    let threads = if slice.len() < 8 * PART { 1 } else { threads };
    pool::each(threads, slice.chunks_mut(PART), |part| part.fill(value));
}

/// `sum = Σ terms`, element by element, in their order.
pub(crate) fn combine<T: Float>(terms: &[T], sum: &mut [T], threads: usize) {
    let (length, set) = (sum.len(), InstructionSet::widest());
    let threads = if terms.len() < 4 * PART || length < 2 * PART { 1 } else { threads };
    let parts = sum.chunks_mut(PART).enumerate();
    pool::each(threads, parts, |(k, sum)| set.run(Sum { terms, length, start: k * PART, sum }));
}

/// The sum of some elements of arrays of one length that lie one after the other.
struct Sum<'a, T> {
    terms: &'a [T],
    length: usize,
    start: usize,
    sum: &'a mut [T],
}

impl<T: Float> Loop for Sum<'_, T> {
    type Found = ();

    #[inline(always)]
    fn run(self) {
        // As many as stay in the first cache while terms are added to them.
        const AT_A_TIME: usize = 1 << 10;
        for (k, sum) in self.sum.chunks_mut(AT_A_TIME).enumerate() {
            let (start, count) = (self.start + k * AT_A_TIME, sum.len());
            let mut terms = self.terms.chunks_exact(self.length).map(|term| &term[start..][..count]);
            match terms.next() {
                Some(first) => sum.copy_from_slice(first),
                None => sum.fill(T::default()),
            }
            terms.for_each(|term| sum.iter_mut().zip(term).for_each(|(sum, x)| *sum += *x));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_summed_element_by_element() {
        for length in [0, 1, 1000, 1 << 11, 3 * PART + 5] {
            for copies in [0, 1, 2, 5] {
                let terms: Vec<f32> = (0..copies * length).map(|k| (k % 1013) as f32).collect();
                let wanted = |at: usize| (0..copies).map(|copy| terms[copy * length + at]).sum::<f32>();
                for threads in [1, 3] {
                    let mut sum = vec![f32::NAN; length];
                    combine(&terms, &mut sum, threads);
                    assert!(sum.iter().enumerate().all(|(at, sum)| *sum == wanted(at)), "{length} {copies} {threads}");
                }
            }
        }
    }

    #[test]
    fn long_arrays_are_filled_by_threads() {
        for length in [0, 5, 9 * PART] {
            let mut array = vec![0.0; length];
            fill(&mut array, 1.5, 3);
            assert!(array.iter().all(|x| *x == 1.5), "{length}");
        }
    }
}
