//! Rows of few elements, which leave most of a vector empty, put side by side for a map.

#![allow(clippy::needless_range_loop, reason = "loops over arrays count in several at once")]

use std::mem::MaybeUninit;

use schur_ir::micro::{MAX_MAP_ARRAYS, Map};

use super::code::Code;
use super::simd::{MOST_LANES, Simd};
use super::strips::{Arrays, Functions, STRIP};
use super::vectors::ABREAST;

/// True where rows of so many elements are worth it: where a good part of a row are vectors that are not whole, or too few to go
/// through an instruction abreast.
pub(super) fn is_worth_it(lanes: usize, count: usize) -> bool {
    count > 0 && count < STRIP / 2 * lanes && !count.is_multiple_of(ABREAST * lanes)
}

/// Some rows of one array, with room behind the last row for what a whole vector holds beyond it.
#[repr(align(64))]
struct Room<T>(MaybeUninit<[T; (STRIP + 1) * MOST_LANES]>);

/// All rows of a map, as many at once as a strip holds.
///
/// # Safety
/// As [`schur_ir::micro::MicroFn`] says, on a machine with the instructions of the functions; rows are [worth it](is_worth_it).
pub(super) unsafe fn rows<T>(map: &Map, code: &Code, functions: &Functions<T>, arrays: &Arrays<T>, rows: usize) {
    let (strides, count, outputs) = (&map.rows, map.count, code.outputs);
    let at_once = STRIP * functions.lanes / count;
    let mut rooms = [const { Room::<T>(MaybeUninit::uninit()) }; MAX_MAP_ARRAYS];
    let mut sides = [std::ptr::null_mut(); MAX_MAP_ARRAYS];
    for first in (0..rows).step_by(at_once) {
        let taken = at_once.min(rows - first);
        // SAFETY: the caller's; a room holds so many rows.
        unsafe {
            for (k, &stride) in strides.iter().enumerate() {
                let given = arrays[k].wrapping_add(first * stride);
                // What all rows share is the same the next time.
                let is_there = stride == 0 && first > 0;
                sides[k] = if stride == count { given } else { rooms[k].0.as_mut_ptr().cast() };
                if stride != count && k >= outputs && !is_there {
                    (functions.gather)(sides[k], given, [stride, count, taken]);
                }
            }
            (functions.run)(code, &sides, taken * count);
            for (k, &stride) in strides.iter().enumerate().take(outputs).filter(|(_, stride)| **stride != count) {
                (functions.scatter)(arrays[k].add(first * stride), sides[k], [stride, count, taken]);
            }
        }
    }
}

/// Copies rows at a stride side by side; what follows the last one is overwritten, up to a vector.
///
/// # Safety
/// As for [`Simd`]; the arrays hold these rows, and `to` a vector more.
#[inline(always)]
pub(super) unsafe fn gather<S: Simd>(to: *mut S::T, from: *const S::T, [stride, count, rows]: [usize; 3]) {
    for r in 0..rows {
        for at in (0..count).step_by(S::LANES) {
            // SAFETY: the caller's.
            unsafe {
                let elements = S::load_first(from.add(r * stride + at), S::first(S::LANES.min(count - at)));
                S::store(to.add(r * count + at), elements);
            }
        }
    }
}

/// Copies rows that are side by side to rows at a stride.
///
/// # Safety
/// As for [`Simd`]; the arrays hold these rows.
#[inline(always)]
pub(super) unsafe fn scatter<S: Simd>(to: *mut S::T, from: *const S::T, [stride, count, rows]: [usize; 3]) {
    for r in 0..rows {
        for at in (0..count).step_by(S::LANES) {
            // SAFETY: the caller's.
            unsafe {
                let mask = S::first(S::LANES.min(count - at));
                S::store_first(to.add(r * stride + at), S::load_first(from.add(r * count + at), mask), mask);
            }
        }
    }
}
