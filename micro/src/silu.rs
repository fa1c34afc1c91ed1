//! Register tiles of which `x σ(x)` is written, and its derivative if that is wanted.
//!
//! A map by itself waits for divisions, and nothing else uses the machine meanwhile. In a product, the multiply-adds of the next tile go on.

#![allow(clippy::needless_range_loop, reason = "loops over registers count in several arrays at once")]

use super::functions::{one_over_sigmoid, slope_of_silu};
use super::simd::Simd;
use super::store::Form;
use super::tile::{Layout, Tile};
use super::vectors::{ABREAST, Vectors};

/// Whole vectors, in `b` and in `out`, of lists of rows.
pub(super) struct Silu;

impl Form for Silu {
    const IS_WHOLE: bool = true;
    const IS_LIST: bool = true;

    #[inline(always)]
    unsafe fn store<S: Simd, const G: usize, const J: usize, const NV: usize>(
        layout: &Layout<S::T>,
        tile: &Tile<S::T>,
        sums: &[[[S::V; NV]; J]; G],
    ) {
        // SAFETY: the caller's.
        unsafe {
            let rows = ABREAST / NV;
            for g in 0..G {
                if ABREAST.is_multiple_of(NV) && J.is_multiple_of(rows) {
                    for j in (0..J).step_by(rows) {
                        let mut block = [S::zero(); ABREAST];
                        for k in 0..ABREAST {
                            block[k] = sums[g][j + k / NV][k % NV];
                        }
                        some::<S, ABREAST, NV>(layout, tile, [g, j], &block);
                    }
                } else {
                    for j in 0..J {
                        some::<S, NV, NV>(layout, tile, [g, j], &sums[g][j]);
                    }
                }
            }
        }
    }
}

/// Writes what `N` vectors give, of rows from the `j`-th one of group `g` on, `NV` of each.
#[inline(always)]
unsafe fn some<S: Simd, const N: usize, const NV: usize>(
    layout: &Layout<S::T>,
    tile: &Tile<S::T>,
    at: [usize; 2],
    sums: &[S::V; N],
) {
    // SAFETY: the caller's.
    unsafe {
        if S::IS_PLAIN { apart::<S, N, NV>(layout, tile, at, sums) } else { write::<S, N, NV>(layout, tile, at, sums) }
    }
}

/// The same in a function of its own: of plain arrays, the code is long, and need not be in every tile.
#[inline(never)]
unsafe fn apart<S: Simd, const N: usize, const NV: usize>(
    layout: &Layout<S::T>,
    tile: &Tile<S::T>,
    at: [usize; 2],
    sums: &[S::V; N],
) {
    // SAFETY: the caller's.
    unsafe { write::<S, N, NV>(layout, tile, at, sums) }
}

#[inline(always)]
unsafe fn write<S: Simd, const N: usize, const NV: usize>(
    layout: &Layout<S::T>,
    tile: &Tile<S::T>,
    [g, j]: [usize; 2],
    sums: &[S::V; N],
) {
    // SAFETY: the caller's.
    unsafe {
        let x = Vectors::<S, N>(*sums) * Vectors([S::splat(layout.coefficient); N]);
        let inverse = one_over_sigmoid(x);
        let y = if tile.beside.is_null() {
            x / inverse
        } else {
            let sigmoid = x.constant(1.0) / inverse;
            let slope = slope_of_silu(x, sigmoid);
            for k in 0..N {
                let place = g * layout.group[2] + (j + k / NV) * layout.item[2] + k % NV * S::LANES;
                S::store(tile.beside.add(place), slope.0[k]);
            }
            x * sigmoid
        };
        let y = y * Vectors([S::splat(layout.factor); N]);
        for k in 0..N {
            let place = g * layout.group[1] + (j + k / NV) * layout.item[1] + k % NV * S::LANES;
            S::store(tile.out.add(place), y.0[k]);
        }
    }
}
