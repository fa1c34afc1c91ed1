//! Steps of one component in whole blocks of vectors: each element is a sum of products of elements.
//!
//! Vectors are written where they cross no line of the cache, wherever the array lies: one that crosses a line is two writes, which
//! took 1.6 times as long where arrays fill the second cache (Granite Rapids). Those at both ends of a row overlap the others.

#![allow(clippy::needless_range_loop, reason = "loops over registers count in several arrays at once")]

use super::prefetch::ask;
use super::simd::Simd;
use super::steps::{Arrays, BLOCK, MAX_ASKED, Places, Step, constants};

/// Bytes of the shortest vector that is written past the caches: addresses are multiples of as many.
pub(super) const PART: usize = 16;

/// A step each of whose elements is a sum of `P` terms of two factors and `Q` of one, of one component in whole blocks of vectors, that
/// asks for `ASKS` places ahead and writes past the caches where `PAST`.
///
/// Vectors are written where they cross no line of the cache. Those at both ends of a row then overlap the others.
///
/// # Safety
/// As for [`Simd`]; the arrays hold so many rows. What is written past the caches begins at a multiple of [`PART`] bytes.
#[inline(always)]
pub(super) unsafe fn lines<S: Simd, const P: usize, const Q: usize, const ASKS: usize, const PAST: bool>(
    step: &Step<S::T>,
    arrays: &Arrays<S::T>,
    rows: usize,
) {
    // SAFETY: the caller's.
    unsafe {
        let constants = constants::<S>(step, arrays);
        let first = Places::<S::T, P, Q>::first(step, arrays);
        let lead = step.lead(first.out, size_of::<S::V>());
        // All places are counted from the first vector that is aligned.
        let mut at = first.moved(step, |_| lead);
        let begin = lead.wrapping_neg();
        let end = step.count - lead;
        let blocks = end - end % (BLOCK * S::LANES);
        let from = |at: Places<S::T, P, Q>, u: usize| at.moved(step, |_| u);
        let asked = step.asked;
        let mut ahead = asked.map(|of| arrays.get_unchecked(of.array).wrapping_add(of.offset + of.ahead + lead));
        for _ in 0..rows {
            if lead > 0 {
                let ([first], to) = (from(at, begin).elements::<S, 1>(&constants, None), at.out.wrapping_add(begin));
                if PAST { S::store_past_part(to, first, 0..lead) } else { S::store(to, first) }
            }
            let mut u = 0;
            while u < blocks {
                for first in &ahead[..ASKS] {
                    (0..BLOCK).for_each(|v| ask(first.wrapping_add(u + v * S::LANES).cast()));
                }
                let sums = from(at, u).elements::<S, BLOCK>(&constants, None);
                for v in 0..BLOCK {
                    write::<S, PAST>(at.out.add(u + v * S::LANES), sums[v]);
                }
                u += BLOCK * S::LANES;
            }
            if lead > 0 {
                if u + S::LANES <= end {
                    let [sum] = from(at, u).elements::<S, 1>(&constants, None);
                    write::<S, PAST>(at.out.add(u), sum);
                    u += S::LANES;
                }
                let last = end.wrapping_sub(S::LANES);
                let ([sum], to) = (from(at, last).elements::<S, 1>(&constants, None), at.out.wrapping_add(last));
                if PAST { S::store_past_part(to, sum, u.wrapping_sub(last)..S::LANES) } else { S::store(to, sum) }
            }
            at = at.moved(step, |place| place.row);
            for k in 0..MAX_ASKED {
                ahead[k] = ahead[k].wrapping_add(asked[k].row);
            }
        }
    }
}

impl<T> Step<T> {
    /// The elements of every row up to the first vector that is aligned: none where the ends of rows are not computed twice.
    fn lead(&self, out: *mut T, vector: usize) -> usize {
        let are_alike = (self.out.row * size_of::<T>()).is_multiple_of(vector);
        if self.in_place || !are_alike { 0 } else { out.addr().wrapping_neg() % vector / size_of::<T>() }
    }
}

/// A vector to an address that is aligned where `PAST`.
#[inline(always)]
unsafe fn write<S: Simd, const PAST: bool>(to: *mut S::T, v: S::V) {
    // SAFETY: the caller's.
    unsafe { if PAST { S::store_past(to, v) } else { S::store(to, v) } }
}
