//! Register tiles of matrix products.
//!
//! A tile is `G × J` rows of `NV` vectors of columns, held in registers while `k` runs: an element of `a` is broadcast,
//! multiplied with the vectors of `b`, and added. `J` rows lie at one stride (the components of an irrep, or rows of a
//! batch), groups at another. Where components are neighbours in `out`, the tile is woven when it is stored.

#![allow(clippy::needless_range_loop, reason = "loops over registers count in several arrays at once")]

use super::pairs::{double, first_of_pair, in_turn, item_of};
use super::prefetch::{Asking, lines_a_turn};
use super::simd::Simd;
use super::store::{Any, Form, load, store_pairs};
use super::tile::{LEFT_OF_ROWS, Layout, Tile};

/// Register tiles: so many, one after the other.
///
/// # Safety
/// As for [`Simd`]; `tile` names elements of its arrays.
#[inline(always)]
pub(super) unsafe fn tiles<S: Simd, F: Form, const G: usize, const J: usize, const NV: usize>(
    layout: &Layout<S::T>,
    tile: &mut Tile<S::T>,
    times: usize,
) {
    // SAFETY: the caller's.
    unsafe {
        // Loops of their own for each, of which none waits for what another one needs. Items that are neighbours have one because
        // addresses take instructions, for which an Intel core has no other place than where it multiplies. Conditions that are
        // constants are `const`, so that what is never called is never compiled.
        let lines = lines_a_turn(tile.ahead, G * J * NV * S::LANES);
        if lines > 1 && const { asks_twice::<F>(J, NV) } {
            each::<S, F, G, J, NV, 2, false>(layout, tile, times);
        } else if lines > 0 && const { asks(J, NV) } {
            each::<S, F, G, J, NV, 1, false>(layout, tile, times);
        } else if const { F::IS_WHOLE && !F::IS_LIST && G > 1 } && layout.item[0] == 1 {
            each::<S, F, G, J, NV, 0, true>(layout, tile, times);
        } else {
            each::<S, F, G, J, NV, 0, false>(layout, tile, times);
        }
    }
}

/// True where tiles ask for what is ahead. Single rows are what is left of lists, and many vectors are those of a product of one row:
/// they are done before much could be on its way.
const fn asks(items: usize, vectors: usize) -> bool {
    items > 1 && vectors <= LEFT_OF_ROWS
}

/// True where it may be for two lines a turn. Lists are of layers that compute much for what they read, and so are parts of vectors.
const fn asks_twice<F: Form>(items: usize, vectors: usize) -> bool {
    asks(items, vectors) && F::IS_WHOLE && !F::IS_LIST
}

/// The same, that ask for so many lines of what is ahead in every turn, of items that are neighbours in `a`, or anywhere.
#[inline(always)]
unsafe fn each<
    S: Simd,
    F: Form,
    const G: usize,
    const J: usize,
    const NV: usize,
    const LINES: usize,
    const NEIGHBOURS: bool,
>(
    layout: &Layout<S::T>,
    tile: &mut Tile<S::T>,
    times: usize,
) {
    // SAFETY: the caller's.
    unsafe {
        for _ in 0..times {
            let sums = if const { LINES > 0 } {
                let mut asking = Asking::<LINES>::start(&*tile.ahead);
                let sums = sums::<S, F, G, J, NV, NEIGHBOURS>(layout, tile, || asking.turn());
                asking.stop(&mut *tile.ahead);
                sums
            } else {
                sums::<S, F, G, J, NV, NEIGHBOURS>(layout, tile, || {})
            };
            F::store::<S, G, J, NV>(layout, tile, &sums);
            tile.advance(layout, G);
        }
    }
}

/// The sums of a tile. In every turn of the loop, something else is done too.
#[inline(always)]
unsafe fn sums<S: Simd, F: Form, const G: usize, const J: usize, const NV: usize, const NEIGHBOURS: bool>(
    layout: &Layout<S::T>,
    tile: &Tile<S::T>,
    meanwhile: impl FnMut(),
) -> [[[S::V; NV]; J]; G] {
    // SAFETY: the caller's.
    unsafe {
        if const { G == 1 } {
            [sums_of_group::<S, F, J, NV>(layout, tile, meanwhile); G]
        } else if const { NEIGHBOURS } {
            sums_of_groups::<S, F, G, J, NV, 0>(layout, tile, 1, |a| a, meanwhile)
        } else {
            sums_of_groups::<S, F, G, J, NV, 0>(layout, tile, layout.item[0], opaque, meanwhile)
        }
    }
}

/// Register tiles of at most half a vector of columns, whose `ITEMS` items are neighbours in `a`: `H` vectors a group hold
/// two items each.
///
/// # Safety
/// As for [`Simd`]; `tile` names elements of its arrays.
#[inline(always)]
pub(super) unsafe fn pairs<S: Simd, const G: usize, const H: usize, const ITEMS: usize>(
    layout: &Layout<S::T>,
    tile: &mut Tile<S::T>,
    times: usize,
) {
    // SAFETY: the caller's.
    unsafe {
        for _ in 0..times {
            let sums = sums_of_groups::<S, Any, G, H, 1, ITEMS>(layout, tile, layout.item[0], |a| a, || {});
            let mut pairs = [[S::zero(); H]; G];
            for g in 0..G {
                for h in 0..H {
                    pairs[g][h] = sums[g][h][0];
                }
            }
            store_pairs::<S, G, H, ITEMS>(layout, tile, &pairs, Some(S::splat(layout.coefficient)));
            tile.advance(layout, G);
        }
    }
}

/// Register tiles of at most half a vector of columns, whose sums run along neighbours in `a`: a vector holds two terms of
/// every column in turn.
///
/// # Safety
/// As for [`Simd`]; `tile` names elements of its arrays.
#[inline(always)]
pub(super) unsafe fn terms<S: Simd, const G: usize, const J: usize>(
    layout: &Layout<S::T>,
    tile: &mut Tile<S::T>,
    times: usize,
) {
    // SAFETY: the caller's.
    unsafe {
        for _ in 0..times {
            Any::store::<S, G, J, 1>(layout, tile, &sums_of_terms::<S, G, J>(layout, tile));
            tile.advance(layout, G);
        }
    }
}

#[inline(always)]
unsafe fn sums_of_terms<S: Simd, const G: usize, const J: usize>(
    layout: &Layout<S::T>,
    tile: &Tile<S::T>,
) -> [[[S::V; 1]; J]; G] {
    // SAFETY: the caller's.
    unsafe {
        let mask = S::first(layout.last);
        let mut sums = [[[S::zero(); 1]; J]; G];
        let (count, b_step) = (tile.k[1], layout.b_k[1]);
        let a = |g: usize, j: usize| tile.a.add(g * layout.group[0] + j * layout.item[0]);
        for outer in 0..tile.k[0] {
            let (at, b) = (outer * layout.a_k[0], tile.b.add(outer * layout.b_k[0]));
            for k in (0..count - count % 2).step_by(2) {
                let first = b.add(k * b_step);
                let columns = in_turn::<S>(S::load_first(first, mask), S::load_first(first.add(b_step), mask));
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
        sums
    }
}

/// The sums of a tile of several groups, of single items at a stride, or of pairs of `PAIRED` items, whose factors are at pointers that
/// are `kept` from turn to turn. In every turn of the loop, something else is done too.
#[inline(always)]
unsafe fn sums_of_groups<S: Simd, F: Form, const G: usize, const J: usize, const NV: usize, const PAIRED: usize>(
    layout: &Layout<S::T>,
    tile: &Tile<S::T>,
    item: usize,
    kept: impl Fn(*const S::T) -> *const S::T,
    mut meanwhile: impl FnMut(),
) -> [[[S::V; NV]; J]; G] {
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [[[S::zero(); NV]; J]; G];
        let [a_step, b_step] = [layout.a_k[1], layout.b_k[1]];
        for outer in 0..tile.k[0] {
            let mut a = [tile.a; G];
            for (g, a) in a.iter_mut().enumerate() {
                *a = a.add(outer * layout.a_k[0] + g * layout.group[0]);
            }
            let mut b = tile.b.add(outer * layout.b_k[0]);
            for _ in 0..tile.k[1] {
                meanwhile();
                let mut columns = [S::zero(); NV];
                for v in 0..NV {
                    columns[v] = load::<S, F>(b.add(v * S::LANES), v + 1 == NV, layout.last);
                }
                if PAIRED > 0 {
                    for v in 0..NV {
                        columns[v] = double::<S>(columns[v]);
                    }
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
                    a[g] = kept(a[g].wrapping_add(a_step));
                }
                b = b.wrapping_add(b_step);
            }
        }
        sums
    }
}

/// The pointer, which the compiler knows nothing of: it keeps one for every group and adds strides in addresses, where it
/// would keep one for every row, which are more than there are registers.
#[inline(always)]
#[expect(clippy::pointers_in_nomem_asm_block, reason = "the pointer is not followed")]
fn opaque<T>(pointer: *const T) -> *const T {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    {
        let mut pointer = pointer;
        // SAFETY: does nothing.
        unsafe { std::arch::asm!("/* {0} */", inout(reg) pointer, options(pure, nomem, nostack, preserves_flags)) };
        pointer
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    pointer
}

/// Fewer sums than this are waited for, one term after the other.
const FEW_SUMS: usize = 8;

/// The sums of one group; a few sums are two each.
#[inline(always)]
unsafe fn sums_of_group<S: Simd, F: Form, const J: usize, const NV: usize>(
    layout: &Layout<S::T>,
    tile: &Tile<S::T>,
    mut meanwhile: impl FnMut(),
) -> [[S::V; NV]; J] {
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [[S::zero(); NV]; J];
        let mut others = sums;
        let [a_step, b_step] = [layout.a_k[1], layout.b_k[1]];
        for outer in 0..tile.k[0] {
            let (mut a, mut b) = (tile.a.add(outer * layout.a_k[0]), tile.b.add(outer * layout.b_k[0]));
            let mut left = tile.k[1];
            while const { J * NV < FEW_SUMS } && left > 1 {
                meanwhile();
                term::<S, F, J, NV>(layout, a, b, &mut sums);
                meanwhile();
                term::<S, F, J, NV>(layout, a.add(a_step), b.add(b_step), &mut others);
                (a, b) = (a.wrapping_add(2 * a_step), b.wrapping_add(2 * b_step));
                left -= 2;
            }
            while left > 0 {
                meanwhile();
                term::<S, F, J, NV>(layout, a, b, &mut sums);
                (a, b) = (a.wrapping_add(a_step), b.wrapping_add(b_step));
                left -= 1;
            }
        }
        if const { J * NV < FEW_SUMS } {
            for j in 0..J {
                for v in 0..NV {
                    sums[j][v] = S::add(sums[j][v], others[j][v]);
                }
            }
        }
        sums
    }
}

/// Adds a term to the sums of one group. Its factors, or its columns where these are far fewer, are in registers together, and not
/// both, since there are more sums than in other tiles.
#[inline(always)]
unsafe fn term<S: Simd, F: Form, const J: usize, const NV: usize>(
    layout: &Layout<S::T>,
    a: *const S::T,
    b: *const S::T,
    sums: &mut [[S::V; NV]; J],
) {
    // SAFETY: the caller's.
    unsafe {
        if const { 2 * NV <= J } {
            let mut columns = [S::zero(); NV];
            for v in 0..NV {
                columns[v] = load::<S, F>(b.add(v * S::LANES), v + 1 == NV, layout.last);
            }
            for j in 0..J {
                let item = S::splat(*a.add(j * layout.item[0]));
                for v in 0..NV {
                    sums[j][v] = S::multiply_add(item, columns[v], sums[j][v]);
                }
            }
        } else {
            let mut items = [S::zero(); J];
            for j in 0..J {
                items[j] = S::splat(*a.add(j * layout.item[0]));
            }
            for v in 0..NV {
                let column = load::<S, F>(b.add(v * S::LANES), v + 1 == NV, layout.last);
                for j in 0..J {
                    sums[j][v] = S::multiply_add(items[j], column, sums[j][v]);
                }
            }
        }
    }
}
