//! Products whose sums have few terms, such as the gradient of weights of one row: `b` stays in registers, and rows are written
//! one after the other.

#![allow(clippy::needless_range_loop, reason = "loops over registers count in several arrays at once")]

use super::simd::Simd;
use super::tile::{Layout, Tile};

/// `count` rows of `NV` vectors of columns, sums of `K` terms. Columns are contiguous in `out`.
///
/// # Safety
/// As for [`Simd`]; `tile` names elements of its arrays.
#[inline(always)]
pub(super) unsafe fn rows<S: Simd, const K: usize, const NV: usize>(
    layout: &Layout<S::T>,
    tile: &Tile<S::T>,
    count: usize,
) {
    // SAFETY: the caller's.
    unsafe {
        if tile.accumulate {
            all::<S, K, NV, true>(layout, tile, count)
        } else {
            all::<S, K, NV, false>(layout, tile, count)
        }
    }
}

#[inline(always)]
unsafe fn all<S: Simd, const K: usize, const NV: usize, const ADD: bool>(
    layout: &Layout<S::T>,
    tile: &Tile<S::T>,
    count: usize,
) {
    // SAFETY: the caller's.
    unsafe {
        let (mask, coefficient) = (S::first(layout.last), S::splat(layout.coefficient));
        let mut terms = [0; K];
        let mut columns = [[S::zero(); NV]; K];
        for k in 0..K {
            let at = [k / tile.k[1], k % tile.k[1]];
            terms[k] = at[0] * layout.a_k[0] + at[1] * layout.a_k[1];
            let b = tile.b.add(at[0] * layout.b_k[0] + at[1] * layout.b_k[1]);
            for v in 0..NV {
                let from = b.add(v * S::LANES);
                let column = if v + 1 < NV { S::load(from) } else { S::load_first(from, mask) };
                columns[k][v] = S::multiply(column, coefficient);
            }
        }
        let (mut a, mut out) = (tile.a, tile.out);
        for _ in 0..count {
            let mut factors = [S::zero(); K];
            for k in 0..K {
                factors[k] = S::splat(*a.add(terms[k]));
            }
            for v in 0..NV {
                let to = out.add(v * S::LANES);
                let mut sum = match (ADD, v + 1 < NV) {
                    (false, _) => S::multiply(factors[0], columns[0][v]),
                    (true, true) => S::multiply_add(factors[0], columns[0][v], S::load(to)),
                    (true, false) => S::multiply_add(factors[0], columns[0][v], S::load_first(to, mask)),
                };
                for k in 1..K {
                    sum = S::multiply_add(factors[k], columns[k][v], sum);
                }
                if v + 1 < NV { S::store(to, sum) } else { S::store_first(to, sum, mask) }
            }
            a = a.wrapping_add(layout.group[0]);
            out = out.wrapping_add(layout.group[1]);
        }
    }
}
