//! Scalar expressions at every element.
//!
//! Expressions are lists of instructions (`code.rs`), which runs of elements go through (`strips.rs`): all rows are one run where nothing
//! lies between them, rows of few elements are put side by side, and others are runs by themselves.

use schur_ir::micro::{MAX_MAP_ARRAYS, Map};

use super::code::Code;
use super::side_by_side;
use super::strips::{Arrays, Functions};

/// A map, ready to be called.
pub(super) struct Plan<T: 'static> {
    map: Map,
    code: Code,
    functions: Functions<T>,
}

impl<T> Plan<T> {
    pub(super) fn new(map: &Map, functions: Functions<T>) -> Self {
        Plan { map: map.clone(), code: Code::new(map), functions }
    }

    /// Computes all rows: as one run of elements where nothing lies between them.
    ///
    /// # Safety
    /// As [`schur_ir::micro::MicroFn`] says, on a machine with the instruction set of the functions.
    pub(super) unsafe fn run(&self, given: *const *mut T, rows: usize) {
        let Map { rows: strides, count, .. } = &self.map;
        let mut arrays: Arrays<T> = [std::ptr::null_mut(); MAX_MAP_ARRAYS];
        // SAFETY: the caller's.
        unsafe {
            for (k, array) in arrays.iter_mut().enumerate().take(strides.len()) {
                *array = *given.add(k);
            }
            if strides.iter().all(|stride| stride == count) {
                (self.functions.run)(&self.code, &arrays, rows * count)
            } else if side_by_side::is_worth_it(self.functions.lanes, *count) && rows > 1 {
                side_by_side::rows(&self.map, &self.code, &self.functions, &arrays, rows)
            } else {
                for _ in 0..rows {
                    (self.functions.run)(&self.code, &arrays, *count);
                    for (array, stride) in arrays.iter_mut().zip(strides) {
                        *array = array.wrapping_add(*stride);
                    }
                }
            }
        }
    }
}
