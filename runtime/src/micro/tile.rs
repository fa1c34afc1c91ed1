//! Register tiles of matrix products.
//!
//! A tile is `G × J` rows of `NV` vectors of columns, held in registers while `k` runs: an element of `a` is broadcast,
//! multiplied with the vectors of `b`, and added. `J` rows lie at one stride (the components of an irrep, or rows of a
//! batch), groups at another. Where components are neighbours in `out`, the tile is woven when it is stored.

#![allow(clippy::needless_range_loop, reason = "loops over registers count in several arrays at once")]

use schur_ir::micro::Ahead;

use super::prefetch::Asking;
use super::simd::Simd;
use super::weave::{MOST, double, first_of_pair, in_turn, item_of, weave, weave_pairs};

/// One call of a register tile.
#[derive(Clone, Copy)]
pub(super) struct Tile<T> {
    pub(super) a: *const T,
    pub(super) b: *const T,
    pub(super) out: *mut T,
    /// Strides of `a` and of `out`: from group to group, and from item to item.
    pub(super) group: [usize; 2],
    pub(super) item: [usize; 2],
    /// How far the sums run, outer and inner, with the strides of `a` and `b`.
    pub(super) k: [usize; 2],
    pub(super) a_k: [usize; 2],
    pub(super) b_k: [usize; 2],
    /// Columns in the last vector.
    pub(super) last: usize,
    pub(super) n_stride: usize,
    pub(super) coefficient: T,
    pub(super) accumulate: bool,
    /// What is asked for meanwhile, which is nobody else's; null where nothing is.
    pub(super) ahead: *mut Ahead,
}

impl<T: Copy> Tile<T> {
    /// Computes the tile of `groups` groups, and those that follow it: `times` in all.
    #[inline(always)]
    pub(super) fn repeat(mut self, groups: usize, times: usize, compute: impl Fn(&Self)) {
        for _ in 0..times {
            compute(&self);
            self.advance(groups);
        }
    }

    /// Moves on by so many groups.
    #[inline(always)]
    pub(super) fn advance(&mut self, groups: usize) {
        self.a = self.a.wrapping_add(groups * self.group[0]);
        self.out = self.out.wrapping_add(groups * self.group[1]);
    }
}

/// A register tile of at most half a vector of columns, whose `ITEMS` items are neighbours in `a`: `H` vectors a group hold
/// two items each.
///
/// # Safety
/// As for [`Simd`]; `tile` names elements of its arrays.
#[inline(always)]
pub(super) unsafe fn pairs<S: Simd, const G: usize, const H: usize, const ITEMS: usize>(tile: &Tile<S::T>) {
    // SAFETY: the caller's.
    unsafe {
        let mask = S::first(tile.last);
        let sums = sums::<S, G, H, 1, ITEMS>(tile, mask, || {});
        let coefficient = S::splat(tile.coefficient);
        for g in 0..G {
            let out = tile.out.add(g * tile.group[1]);
            let mut pairs = [S::zero(); H];
            for p in 0..H {
                pairs[p] = sums[g][p][0];
            }
            if tile.n_stride == ITEMS && tile.item[1] == 1 {
                let elements = ITEMS * tile.last;
                for k in 0..H {
                    let count = elements.saturating_sub(k * S::LANES).min(S::LANES);
                    if count > 0 {
                        let woven = weave_pairs::<S, H, ITEMS>(&pairs, k);
                        write::<S>(out.add(k * S::LANES), woven, coefficient, tile.accumulate, S::first(count));
                    }
                }
            } else {
                for j in 0..ITEMS {
                    let columns = item_of::<S>(pairs[j / 2], j - first_of_pair(j / 2, ITEMS));
                    write::<S>(out.add(j * tile.item[1]), columns, coefficient, tile.accumulate, mask);
                }
            }
        }
    }
}

/// A register tile.
///
/// # Safety
/// As for [`Simd`]; `tile` names elements of its arrays.
#[inline(always)]
pub(super) unsafe fn tile<S: Simd, const G: usize, const J: usize, const NV: usize>(tile: &Tile<S::T>) {
    // SAFETY: the caller's.
    unsafe {
        let mask = S::first(tile.last);
        match tile.ahead.as_mut() {
            Some(ahead) => {
                let mut asking = Asking::start(ahead, G * J * NV * S::LANES);
                let sums = sums::<S, G, J, NV, 0>(tile, mask, || asking.turn());
                asking.stop(ahead);
                store::<S, G, J, NV>(tile, &sums, mask);
            }
            None => store::<S, G, J, NV>(tile, &sums::<S, G, J, NV, 0>(tile, mask, || {}), mask),
        }
    }
}

/// A register tile of at most half a vector of columns, whose sums run along neighbours in `a`: a vector holds two terms of
/// every column in turn.
///
/// # Safety
/// As for [`Simd`]; `tile` names elements of its arrays.
#[inline(always)]
pub(super) unsafe fn terms<S: Simd, const G: usize, const J: usize>(tile: &Tile<S::T>) {
    // SAFETY: the caller's.
    unsafe {
        let mask = S::first(tile.last);
        let mut sums = [[[S::zero(); 1]; J]; G];
        let (count, b_step) = (tile.k[1], tile.b_k[1]);
        let a = |g: usize, j: usize| tile.a.add(g * tile.group[0] + j * tile.item[0]);
        for outer in 0..tile.k[0] {
            let (at, b) = (outer * tile.a_k[0], tile.b.add(outer * tile.b_k[0]));
            for k in (0..count - count % 2).step_by(2) {
                let [x, y] = [k, k + 1].map(|k| S::load_first(b.add(k * b_step), mask));
                let columns = in_turn::<S>(x, y);
                for g in 0..G {
                    for j in 0..J {
                        sums[g][j][0] = S::multiply_add(S::splat_pair(a(g, j).add(at + k)), columns, sums[g][j][0]);
                    }
                }
            }
            if count % 2 == 1 {
                let k = count - 1;
                let columns = in_turn::<S>(S::load_first(b.add(k * b_step), mask), S::zero());
                for g in 0..G {
                    for j in 0..J {
                        sums[g][j][0] = S::multiply_add(S::splat(*a(g, j).add(at + k)), columns, sums[g][j][0]);
                    }
                }
            }
        }
        for g in 0..G {
            for j in 0..J {
                let both = sums[g][j][0];
                sums[g][j][0] = S::add(item_of::<S>(both, 0), item_of::<S>(both, 1));
            }
        }
        store::<S, G, J, 1>(tile, &sums, mask);
    }
}

/// Writes the sums of a tile.
#[inline(always)]
unsafe fn store<S: Simd, const G: usize, const J: usize, const NV: usize>(
    tile: &Tile<S::T>,
    sums: &[[[S::V; NV]; J]; G],
    mask: S::Mask,
) {
    // SAFETY: the caller's.
    unsafe {
        let coefficient = S::splat(tile.coefficient);
        let out = |g: usize| tile.out.add(g * tile.group[1]);
        if tile.n_stride == 1 {
            for g in 0..G {
                plain::<S, J, NV>(tile, &sums[g], out(g), coefficient, mask);
            }
        } else if J > 1 && tile.n_stride == J && tile.item[1] == 1 {
            for g in 0..G {
                woven::<S, J, NV>(tile, &sums[g], out(g), coefficient);
            }
        } else {
            strided::<S, G, J, NV>(tile, sums, coefficient);
        }
    }
}

/// The sums of a tile: of single items, or of pairs of `PAIRED` items. In every turn of the loop, something else is done too.
#[inline(always)]
unsafe fn sums<S: Simd, const G: usize, const J: usize, const NV: usize, const PAIRED: usize>(
    tile: &Tile<S::T>,
    mask: S::Mask,
    mut meanwhile: impl FnMut(),
) -> [[[S::V; NV]; J]; G] {
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [[[S::zero(); NV]; J]; G];
        let item = tile.item[0];
        let [a_step, b_step] = [tile.a_k[1], tile.b_k[1]];
        for outer in 0..tile.k[0] {
            let mut a = [tile.a; G];
            for (g, a) in a.iter_mut().enumerate() {
                *a = a.add(outer * tile.a_k[0] + g * tile.group[0]);
            }
            let mut b = tile.b.add(outer * tile.b_k[0]);
            for _ in 0..tile.k[1] {
                meanwhile();
                let mut columns = [S::zero(); NV];
                for v in 0..NV {
                    let from = b.add(v * S::LANES);
                    columns[v] = if v + 1 < NV { S::load(from) } else { S::load_first(from, mask) };
                }
                if PAIRED > 0 {
                    columns = columns.map(|v| double::<S>(v));
                }
                for g in 0..G {
                    for j in 0..J {
                        let x = match PAIRED {
                            0 => S::splat(*a[g].add(j * item)),
                            items => S::splat_pair(a[g].add(first_of_pair(j, items))),
                        };
                        for v in 0..NV {
                            sums[g][j][v] = S::multiply_add(x, columns[v], sums[g][j][v]);
                        }
                    }
                    a[g] = a[g].wrapping_add(a_step);
                }
                b = b.wrapping_add(b_step);
            }
        }
        sums
    }
}

/// Scales a vector and writes its first lanes.
#[inline(always)]
unsafe fn write<S: Simd>(to: *mut S::T, sum: S::V, coefficient: S::V, accumulate: bool, mask: S::Mask) {
    // SAFETY: the caller's.
    unsafe {
        let value = if accumulate {
            S::multiply_add(sum, coefficient, S::load_first(to, mask))
        } else {
            S::multiply(sum, coefficient)
        };
        S::store_first(to, value, mask);
    }
}

/// Columns are contiguous.
#[inline(always)]
unsafe fn plain<S: Simd, const J: usize, const NV: usize>(
    tile: &Tile<S::T>,
    sums: &[[S::V; NV]; J],
    out: *mut S::T,
    coefficient: S::V,
    mask: S::Mask,
) {
    // SAFETY: the caller's.
    unsafe {
        let all = S::first(S::LANES);
        for (j, row) in sums.iter().enumerate() {
            for (v, sum) in row.iter().enumerate() {
                let to = out.add(j * tile.item[1] + v * S::LANES);
                write::<S>(to, *sum, coefficient, tile.accumulate, if v + 1 < NV { all } else { mask });
            }
        }
    }
}

/// The `J` components of a column are contiguous.
#[inline(always)]
unsafe fn woven<S: Simd, const J: usize, const NV: usize>(
    tile: &Tile<S::T>,
    sums: &[[S::V; NV]; J],
    out: *mut S::T,
    coefficient: S::V,
) {
    // SAFETY: the caller's.
    unsafe {
        for v in 0..NV {
            let mut components = [sums[0][0]; J];
            for j in 0..J {
                components[j] = sums[j][v];
            }
            let elements = J * if v + 1 < NV { S::LANES } else { tile.last };
            for k in 0..J {
                let count = elements.saturating_sub(k * S::LANES).min(S::LANES);
                if count > 0 {
                    let (to, woven) = (out.add((v * J + k) * S::LANES), weave::<S, J>(&components, k));
                    write::<S>(to, woven, coefficient, tile.accumulate, S::first(count));
                }
            }
        }
    }
}

/// Columns are somewhere.
#[inline(always)]
unsafe fn strided<S: Simd, const G: usize, const J: usize, const NV: usize>(
    tile: &Tile<S::T>,
    sums: &[[[S::V; NV]; J]; G],
    coefficient: S::V,
) {
    // A copy, which is indexed by loops, so that the sums themselves are never anywhere but in registers.
    let kept = *sums;
    // SAFETY: the caller's.
    unsafe {
        for (at, sum) in kept.as_flattened().as_flattened().iter().enumerate() {
            let (g, j, v) = (at / (J * NV), at / NV % J, at % NV);
            let count = if v + 1 < NV { S::LANES } else { tile.last };
            let mut lanes = [tile.coefficient; MOST];
            let first = tile.out.add(g * tile.group[1] + j * tile.item[1]);
            let to = |k: usize| first.add((v * S::LANES + k) * tile.n_stride);
            if tile.accumulate {
                for (k, lane) in lanes.iter_mut().enumerate().take(count) {
                    *lane = *to(k);
                }
            }
            write::<S>(lanes.as_mut_ptr(), *sum, coefficient, tile.accumulate, S::first(S::LANES));
            for (k, lane) in lanes.iter().enumerate().take(count) {
                *to(k) = *lane;
            }
        }
    }
}
