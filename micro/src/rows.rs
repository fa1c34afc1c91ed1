//! Sums of products, row by row: what the steps are, and their order.
//!
//! A few rows go through all steps before the next rows do, so that what a step writes is in the first cache where the next
//! one reads it, and memory is met in its order. The loops of a step are in `steps.rs`, `lines.rs` and `columns.rs`; how steps
//! are made ready, in `ready.rs`.

use schur_ir::micro::{self, LINE, MAX_ROWS_ARRAYS, MAX_ROWS_AT_ONCE, Rows};

use super::lines::PART;
use super::prefetch::settle;
use super::ready::Makes;
use super::sets::Float;
use super::steps::{Arrays, Shape, Step, StepFn};

/// Elements that go through the steps before the next: some rows of short steps, one of long ones.
const ELEMENTS: usize = 4096;

/// The same of arrays that are larger than the caches, which are best met as they lie in memory.
const ELEMENTS_BEYOND: usize = 2048;

/// The same of sums over rows alone, which write nothing else.
const SUMS_BEYOND: usize = 6144;

/// Steps, ready to be called.
pub(super) struct Plan<T: 'static> {
    /// How far every array advances from row to row, where rows are done.
    advances: Vec<usize>,
    steps: Vec<Step<T>>,
    /// The same where some write past the caches, which they do to arrays that are aligned.
    past_caches: Option<PastCaches<T>>,
    /// Rows that go through a step before the next.
    rows: usize,
    /// Whether the last rows are done first.
    backwards: bool,
}

/// Steps some of which write past the caches. Where two of them, or two rows, share a line, one row at a time goes through them: the
/// line is then whole before others push it out, which in parts takes longer than all else.
struct PastCaches<T: 'static> {
    steps: Vec<Step<T>>,
    /// The arrays that they write so.
    arrays: Vec<usize>,
}

impl<T> PastCaches<T> {
    /// True where what is written past the caches begins at multiples of so many bytes.
    fn are_aligned(&self, arrays: &Arrays<T>, bytes: usize) -> bool {
        self.arrays.iter().all(|&k| arrays[k].addr().is_multiple_of(bytes))
    }
}

impl<T: Float> Plan<T> {
    /// The steps by the functions of an instruction set with so many lanes.
    pub(super) fn new(rows: &Rows, lanes: usize, of: fn(Shape) -> Option<StepFn<T>>) -> Self {
        let elements = rows.steps.iter().map(|step| step.components * step.count).sum::<usize>();
        let advance = |(stride, passing): (&usize, &bool)| if *passing { 0 } else { *stride };
        let sums = |step: &micro::Step| rows.passing[step.out.array] || rows.strides[step.out.array] == 0;
        let most = match rows.beyond_caches {
            true if rows.steps.iter().all(sums) => SUMS_BEYOND,
            true => ELEMENTS_BEYOND,
            false => ELEMENTS,
        };
        let at_once = (most / elements.max(1)).clamp(1, MAX_ROWS_AT_ONCE);
        let makes = Makes::new(rows, lanes, at_once, of);
        let steps = makes.steps(&[]);
        let arrays = makes.past_caches();
        let past_caches = (!arrays.is_empty()).then(|| PastCaches { steps: makes.steps(&arrays), arrays });
        let advances = rows.strides.iter().zip(&rows.passing).map(advance).collect();
        Plan { advances, steps, past_caches, rows: at_once, backwards: rows.backwards }
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
        let past_caches = self.past_caches.as_ref().filter(|past| past.are_aligned(&arrays, PART));
        let steps = past_caches.map_or(&self.steps, |past| &past.steps);
        let shares_lines = past_caches.is_some_and(|past| !past.are_aligned(&arrays, LINE));
        let at_once = if shares_lines { 1 } else { self.rows };
        if self.backwards {
            self.shift(&mut arrays, rows);
        }
        let mut done = 0;
        while done < rows {
            let count = at_once.min(rows - done);
            if self.backwards {
                self.shift(&mut arrays, count.wrapping_neg());
            }
            for step in steps {
                // SAFETY: the caller's.
                unsafe { (step.run)(step, &arrays, count) }
            }
            if !self.backwards {
                self.shift(&mut arrays, count);
            }
            done += count;
        }
        if past_caches.is_some() {
            settle();
        }
    }
}

impl<T> Plan<T> {
    /// Goes on by so many rows.
    fn shift(&self, arrays: &mut Arrays<T>, rows: usize) {
        for (array, advance) in arrays.iter_mut().zip(&self.advances) {
            *array = array.wrapping_add(advance.wrapping_mul(rows));
        }
    }
}
