//! Steps that sum rows, of one component in whole blocks of vectors: sums are in registers while a few rows go by.

#![allow(clippy::needless_range_loop, reason = "loops over registers count in several arrays at once")]

use super::prefetch::ask;
use super::simd::Simd;
use super::steps::{Arrays, BLOCK, Place, Step, constants, load};

/// What [`columns`] sums: a factor, its square, its product with another one, or its square and, to a second array, its product.
pub(super) const FACTOR: usize = 0;
pub(super) const SQUARE: usize = 1;
pub(super) const PRODUCT: usize = 2;
pub(super) const BOTH: usize = 3;

/// A step whose elements are sums over rows, of one component in whole blocks of vectors, that asks for `ASKS` places ahead.
///
/// # Safety
/// As for [`Simd`]; the arrays hold so many rows.
#[inline(always)]
pub(super) unsafe fn columns<S: Simd, const OF: usize, const ASKS: usize>(
    step: &Step<S::T>,
    arrays: &Arrays<S::T>,
    rows: usize,
) {
    // SAFETY: the caller's.
    unsafe {
        let [constant, second, ..] = constants::<S>(step, arrays);
        let at = |of: &Place| arrays.get_unchecked(of.array).wrapping_add(of.offset);
        let [x_place, y_place, ..] = step.factors;
        let (x, y) = (at(&x_place), at(&y_place));
        let asked = step.asked;
        let ahead = asked.map(|of| at(&of).wrapping_add(of.ahead));
        let mut u = 0;
        while u < step.count {
            let [mut x, mut y] = [x, y].map(|from| from.wrapping_add(u));
            let mut ahead = ahead.map(|from| from.wrapping_add(u));
            let mut sums = [[S::zero(); BLOCK]; 2];
            for _ in 0..rows {
                for k in 0..ASKS {
                    (0..BLOCK).for_each(|v| ask(ahead[k].wrapping_add(v * S::LANES).cast()));
                    ahead[k] = ahead[k].wrapping_add(asked[k].row);
                }
                let one = load::<S, BLOCK>(x, None);
                let other = if OF == PRODUCT || OF == BOTH { load::<S, BLOCK>(y, None) } else { one };
                for v in 0..BLOCK {
                    sums[0][v] = match OF {
                        FACTOR => S::add(sums[0][v], one[v]),
                        PRODUCT => S::multiply_add(one[v], other[v], sums[0][v]),
                        _ => S::multiply_add(one[v], one[v], sums[0][v]),
                    };
                    if OF == BOTH {
                        sums[1][v] = S::multiply_add(one[v], other[v], sums[1][v]);
                    }
                }
                (x, y) = (x.wrapping_add(x_place.row), y.wrapping_add(y_place.row));
            }
            add::<S>(at(&step.out).add(u), sums[0], constant, step.accumulate);
            if OF == BOTH {
                add::<S>(at(&step.second).add(u), sums[1], second, step.accumulate);
            }
            u += BLOCK * S::LANES;
        }
    }
}

/// Writes sums times a constant, or adds them to what is there.
#[inline(always)]
unsafe fn add<S: Simd>(to: *mut S::T, sums: [S::V; BLOCK], constant: S::V, accumulate: bool) {
    // SAFETY: the caller's.
    unsafe {
        for (v, sum) in sums.into_iter().enumerate() {
            let to = to.add(v * S::LANES);
            S::store(
                to,
                if accumulate { S::multiply_add(sum, constant, S::load(to)) } else { S::multiply(sum, constant) },
            );
        }
    }
}
