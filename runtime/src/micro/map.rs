//! Scalar expressions at every element.
//!
//! Expressions are lists of instructions (`code.rs`), which runs of elements go through (`strips.rs`): all rows are one run where nothing
//! lies between them, rows of few elements are put side by side, and others are runs by themselves.

use schur_ir::micro::{MAX_MAP_ARRAYS, Map};

use super::code::Code;
use super::side_by_side;
use super::simd::Simd;
use super::strips::{Arrays, run};

/// A map, ready to be called.
pub(super) struct Plan<T: 'static> {
    map: Map,
    code: Code,
    run: RowsFn<T>,
}

/// Computes so many rows.
pub(super) type RowsFn<T> = unsafe fn(&Plan<T>, &Arrays<T>, usize);

impl<T> Plan<T> {
    pub(super) fn new(map: &Map, run: RowsFn<T>) -> Self {
        Plan { map: map.clone(), code: Code::new(map), run }
    }

    /// Computes all rows.
    ///
    /// # Safety
    /// As [`schur_ir::micro::MicroFn`] says, on a machine with the instruction set of `run`.
    pub(super) unsafe fn run(&self, given: *const *mut T, rows: usize) {
        let mut arrays = [std::ptr::null_mut(); MAX_MAP_ARRAYS];
        // SAFETY: the caller's.
        unsafe {
            for (k, array) in arrays.iter_mut().enumerate().take(self.map.rows.len()) {
                *array = *given.add(k);
            }
            (self.run)(self, &arrays, rows)
        }
    }
}

/// All rows: as one run of elements where nothing lies between them.
///
/// # Safety
/// As [`schur_ir::micro::MicroFn`] says, on a machine with the instructions of `S`.
#[inline(always)]
pub(super) unsafe fn rows<S: Simd>(plan: &Plan<S::T>, arrays: &Arrays<S::T>, rows: usize) {
    let Map { rows: strides, count, .. } = &plan.map;
    // SAFETY: the caller's.
    unsafe {
        if strides.iter().all(|stride| stride == count) {
            run::<S>(&plan.code, arrays, rows * count)
        } else if side_by_side::is_worth_it(S::LANES, *count) && rows > 1 {
            side_by_side::rows::<S>(&plan.map, &plan.code, arrays, rows)
        } else {
            let mut arrays = *arrays;
            for _ in 0..rows {
                run::<S>(&plan.code, &arrays, *count);
                for (array, stride) in arrays.iter_mut().zip(strides) {
                    *array = array.wrapping_add(*stride);
                }
            }
        }
    }
}
