//! How the sums of register tiles are written.

#![allow(clippy::needless_range_loop, reason = "loops over registers count in several arrays at once")]

use super::pairs::{first_of_pair, item_of, weave_pairs};
use super::simd::{MOST_LANES, Simd, lanes_of};
use super::tile::{Layout, Tile};
use super::weave::weave;

/// How the columns of a register tile lie in `b` and in `out`.
pub(super) trait Form {
    /// True where all their vectors are whole.
    const IS_WHOLE: bool;
    /// True where their rows are lists, none of which are neighbours in `a`.
    const IS_LIST: bool = false;

    /// Writes the sums of a tile.
    ///
    /// # Safety
    /// As for [`Simd`]; `tile` names elements of its arrays.
    unsafe fn store<S: Simd, const G: usize, const J: usize, const NV: usize>(
        layout: &Layout<S::T>,
        tile: &Tile<S::T>,
        sums: &[[[S::V; NV]; J]; G],
    );
}

/// True where so many items of a column are neighbours in `out`.
#[inline(always)]
pub(super) fn is_woven<T>(layout: &Layout<T>, items: usize) -> bool {
    can_be_woven(items) && layout.n_stride == items && layout.item[1] == 1
}

/// True for so many items as irreps have components.
const fn can_be_woven(items: usize) -> bool {
    items % 2 == 1 && items > 1
}

/// Whole vectors, in both.
pub(super) struct Whole;

/// Whole vectors of `b`; in `out`, the items of a column are neighbours.
pub(super) struct Woven;

/// Anyhow.
pub(super) struct Any;

impl Form for Whole {
    const IS_WHOLE: bool = true;

    #[inline(always)]
    unsafe fn store<S: Simd, const G: usize, const J: usize, const NV: usize>(
        layout: &Layout<S::T>,
        tile: &Tile<S::T>,
        sums: &[[[S::V; NV]; J]; G],
    ) {
        // SAFETY: the caller's.
        unsafe { plain::<S, Self, G, J, NV>(layout, tile, &scaled::<S, Self, G, J, NV>(layout, tile, *sums)) }
    }
}

impl Form for Woven {
    const IS_WHOLE: bool = true;

    #[inline(always)]
    unsafe fn store<S: Simd, const G: usize, const J: usize, const NV: usize>(
        layout: &Layout<S::T>,
        tile: &Tile<S::T>,
        sums: &[[[S::V; NV]; J]; G],
    ) {
        // SAFETY: the caller's.
        unsafe { woven::<S, Self, G, J, NV>(layout, tile, &scaled::<S, Self, G, J, NV>(layout, tile, *sums)) }
    }
}

impl Form for Any {
    const IS_WHOLE: bool = false;

    #[inline(always)]
    unsafe fn store<S: Simd, const G: usize, const J: usize, const NV: usize>(
        layout: &Layout<S::T>,
        tile: &Tile<S::T>,
        sums: &[[[S::V; NV]; J]; G],
    ) {
        // SAFETY: the caller's.
        unsafe {
            let sums = &scaled::<S, Self, G, J, NV>(layout, tile, *sums);
            if layout.n_stride == 1 {
                plain::<S, Self, G, J, NV>(layout, tile, sums);
            } else if const { can_be_woven(J) } && is_woven(layout, J) {
                woven::<S, Self, G, J, NV>(layout, tile, sums);
            } else {
                strided::<S, G, J, NV>(layout, tile, sums);
            }
        }
    }
}

/// A vector of columns, of which the last one may have fewer.
#[inline(always)]
pub(super) unsafe fn load<S: Simd, F: Form>(from: *const S::T, is_last: bool, last: usize) -> S::V {
    // SAFETY: the caller's.
    unsafe { if is_last && !F::IS_WHOLE { S::load_first(from, S::first(last)) } else { S::load(from) } }
}

/// The sums times the array beside `out`, if there is one.
#[inline(always)]
unsafe fn scaled<S: Simd, F: Form, const G: usize, const J: usize, const NV: usize>(
    layout: &Layout<S::T>,
    tile: &Tile<S::T>,
    mut sums: [[[S::V; NV]; J]; G],
) -> [[[S::V; NV]; J]; G] {
    if tile.beside.is_null() {
        return sums;
    }
    // SAFETY: the caller's.
    unsafe {
        for g in 0..G {
            for j in 0..J {
                let scale = tile.beside.add(g * layout.group[2] + j * layout.item[2]);
                for v in 0..NV {
                    let scale = load::<S, F>(scale.add(v * S::LANES), v + 1 == NV, layout.last);
                    sums[g][j][v] = S::multiply(sums[g][j][v], scale);
                }
            }
        }
    }
    sums
}

/// Writes the sums of pairs of items.
///
/// # Safety
/// As for [`Simd`]; `tile` names elements of its arrays.
#[inline(always)]
pub(super) unsafe fn store_pairs<S: Simd, const G: usize, const H: usize, const ITEMS: usize>(
    layout: &Layout<S::T>,
    tile: &Tile<S::T>,
    sums: &[[S::V; H]; G],
    coefficient: Option<S::V>,
) {
    // SAFETY: the caller's.
    unsafe {
        let mask = Some(S::first(layout.last));
        for g in 0..G {
            let (out, pairs) = (tile.out.add(g * layout.group[1]), &sums[g]);
            if layout.n_stride == ITEMS && layout.item[1] == 1 {
                for k in 0..H {
                    let count = lanes_of::<S>(ITEMS * layout.last, k);
                    if count > 0 {
                        let woven = weave_pairs::<S, H, ITEMS>(pairs, k);
                        let mask = Some(S::first(count));
                        write::<S>(out.add(k * S::LANES), woven, coefficient, tile.accumulate, mask);
                    }
                }
            } else {
                for j in 0..ITEMS {
                    let columns = item_of::<S>(pairs[j / 2], j - first_of_pair(j / 2, ITEMS));
                    write::<S>(out.add(j * layout.item[1]), columns, coefficient, tile.accumulate, mask);
                }
            }
        }
    }
}

/// Writes a vector, or its first lanes, scaled by the coefficient if there is one.
///
/// # Safety
/// As for [`Simd`]; `to` has as many elements as a vector, or as the mask has lanes.
#[inline(always)]
pub(super) unsafe fn write<S: Simd>(
    to: *mut S::T,
    sum: S::V,
    coefficient: Option<S::V>,
    accumulate: bool,
    mask: Option<S::Mask>,
) {
    // SAFETY: the caller's.
    unsafe {
        let value = match (coefficient, accumulate) {
            (Some(coefficient), true) => S::multiply_add(sum, coefficient, there::<S>(to, mask)),
            (Some(coefficient), false) => S::multiply(sum, coefficient),
            (None, true) => S::add(sum, there::<S>(to, mask)),
            (None, false) => sum,
        };
        match mask {
            Some(mask) => S::store_first(to, value, mask),
            None => S::store(to, value),
        }
    }
}

/// What is there.
#[inline(always)]
unsafe fn there<S: Simd>(from: *const S::T, mask: Option<S::Mask>) -> S::V {
    // SAFETY: the caller's.
    unsafe {
        match mask {
            Some(mask) => S::load_first(from, mask),
            None => S::load(from),
        }
    }
}

/// Columns are contiguous.
#[inline(always)]
unsafe fn plain<S: Simd, F: Form, const G: usize, const J: usize, const NV: usize>(
    layout: &Layout<S::T>,
    tile: &Tile<S::T>,
    sums: &[[[S::V; NV]; J]; G],
) {
    // SAFETY: the caller's.
    unsafe {
        let coefficient = Some(S::splat(layout.coefficient));
        for g in 0..G {
            for j in 0..J {
                let out = tile.out.add(g * layout.group[1] + j * layout.item[1]);
                for v in 0..NV {
                    let is_whole = F::IS_WHOLE || v + 1 < NV;
                    let mask = if is_whole { None } else { Some(S::first(layout.last)) };
                    write::<S>(out.add(v * S::LANES), sums[g][j][v], coefficient, tile.accumulate, mask);
                }
            }
        }
    }
}

/// The `J` components of a column are contiguous.
#[inline(always)]
unsafe fn woven<S: Simd, F: Form, const G: usize, const J: usize, const NV: usize>(
    layout: &Layout<S::T>,
    tile: &Tile<S::T>,
    sums: &[[[S::V; NV]; J]; G],
) {
    // SAFETY: the caller's.
    unsafe {
        let coefficient = Some(S::splat(layout.coefficient));
        for g in 0..G {
            for v in 0..NV {
                let mut components = [sums[g][0][0]; J];
                for j in 0..J {
                    components[j] = sums[g][j][v];
                }
                let woven = weave::<S, J>(&components);
                let out = tile.out.add(g * layout.group[1] + v * J * S::LANES);
                for k in 0..J {
                    let to = out.add(k * S::LANES);
                    if F::IS_WHOLE || v + 1 < NV {
                        write::<S>(to, woven[k], coefficient, tile.accumulate, None);
                        continue;
                    }
                    let count = lanes_of::<S>(J * layout.last, k);
                    if count > 0 {
                        write::<S>(to, woven[k], coefficient, tile.accumulate, Some(S::first(count)));
                    }
                }
            }
        }
    }
}

/// Columns are somewhere.
#[inline(always)]
unsafe fn strided<S: Simd, const G: usize, const J: usize, const NV: usize>(
    layout: &Layout<S::T>,
    tile: &Tile<S::T>,
    sums: &[[[S::V; NV]; J]; G],
) {
    // A copy, which is indexed by loops, so that the sums themselves are never anywhere but in registers.
    let kept = *sums;
    // SAFETY: the caller's.
    unsafe {
        for (at, sum) in kept.as_flattened().as_flattened().iter().enumerate() {
            let (g, j, v) = (at / (J * NV), at / NV % J, at % NV);
            let count = if v + 1 < NV { S::LANES } else { layout.last };
            let mut lanes = [layout.coefficient; MOST_LANES];
            let first = tile.out.add(g * layout.group[1] + j * layout.item[1]);
            let to = |k: usize| first.add((v * S::LANES + k) * layout.n_stride);
            if tile.accumulate {
                for (k, lane) in lanes.iter_mut().enumerate().take(count) {
                    *lane = *to(k);
                }
            }
            let coefficient = Some(S::splat(layout.coefficient));
            write::<S>(lanes.as_mut_ptr(), *sum, coefficient, tile.accumulate, None);
            for (k, lane) in lanes.iter().enumerate().take(count) {
                *to(k) = *lane;
            }
        }
    }
}
