//! Matrix products in register tiles.
//!
//! A tile is `G × J` rows of `NV` vectors of columns, held in registers while `k` runs: an element of `a` is broadcast,
//! multiplied with the vectors of `b`, and added. `J` rows lie at one stride (the components of an irrep, or rows of a
//! batch), groups at another. Where components are neighbours in `out`, the tile is woven when it is stored.

#![allow(clippy::needless_range_loop, reason = "loops over registers count in several arrays at once")]

use schur_ir::micro::{Along, Extent, Product};

use super::simd::Simd;
use super::weave::{double, first_of_pair, in_turn, item_of, weave, weave_pairs};

/// Elements of `k` after which sums go to memory, so that a panel of `b` stays in the first cache.
const DEPTH: usize = 256;

/// The most lanes of any vector.
const MOST_LANES: usize = 16;

/// One call of a register tile.
#[derive(Clone, Copy)]
pub(super) struct Tile<T> {
    a: *const T,
    b: *const T,
    out: *mut T,
    /// Strides of `a` and of `out`: from group to group, and from item to item.
    group: [usize; 2],
    item: [usize; 2],
    /// How far the sums run, outer and inner, with the strides of `a` and `b`.
    k: [usize; 2],
    a_k: [usize; 2],
    b_k: [usize; 2],
    /// Columns in the last vector.
    last: usize,
    n_stride: usize,
    coefficient: T,
    accumulate: bool,
}

/// A register tile of some size.
pub(super) type TileFn<T> = unsafe fn(&Tile<T>);

/// What an instruction set offers.
pub(super) struct Tiles<T: 'static> {
    /// Elements of a vector.
    pub(super) lanes: usize,
    /// The tile of `G` groups of `J` items of `NV` vectors: `get(J, G, NV)`.
    pub(super) get: fn(usize, usize, usize) -> Option<TileFn<T>>,
    /// The tile of `G` groups of `J` items in pairs, for at most half a vector of columns: `pairs(J, G)`.
    pub(super) pairs: fn(usize, usize) -> Option<TileFn<T>>,
    /// The same, with pairs of terms of the sums: `terms(J, G)`.
    pub(super) terms: fn(usize, usize) -> Option<TileFn<T>>,
}

/// A product, ready to be called.
pub(super) struct Plan<T: 'static> {
    m: [Along; 2],
    k: [Along; 2],
    n: usize,
    n_stride: usize,
    coefficient: T,
    accumulate: bool,
    lanes: usize,
    /// By vectors (1, 2): the tiles of 1, 2, … groups.
    tiles: Vec<Vec<TileFn<T>>>,
    /// The same for single rows.
    rest: Vec<Vec<TileFn<T>>>,
    /// The number of items of `tiles`.
    items: usize,
}

/// Sums of fewer terms are not worth pairs of terms, which must be added at the end.
const MIN_TERMS: usize = 16;

/// Rows of a list that are one group.
const LIST: usize = 4;

impl<T: Copy> Plan<T> {
    pub(super) fn new(product: &Product, tiles: &Tiles<T>, coefficient: T) -> Self {
        let k = match product.k {
            [outer, inner] if outer.extent == Extent::Rows => [inner, outer],
            others => others,
        };
        let groups = |items: usize| -> Vec<Vec<TileFn<T>>> {
            let of = |vectors| (1..).map_while(|groups| (tiles.get)(items, groups, vectors)).collect();
            (1..=2).map(of).filter(|tiles: &Vec<_>| !tiles.is_empty()).collect()
        };
        // Items or terms that are neighbours in `a` go in pairs where a vector has room for the columns of two.
        let of_items = |items: usize, along: &Along| {
            let all = |get: fn(usize, usize) -> _| -> Vec<_> { (1..).map_while(|groups| get(items, groups)).collect() };
            let (pairs, terms) = (all(tiles.pairs), all(tiles.terms));
            let is_whole = product.n_stride == 1 || (product.n_stride == items && along.strides[0] == 1);
            let has_room = 2 * product.n <= tiles.lanes;
            let are_many = matches!(k[1].extent, Extent::Fixed(count) if count >= MIN_TERMS);
            if has_room && along.strides[1] == 1 && is_whole && !pairs.is_empty() {
                vec![pairs]
            } else if has_room && are_many && k[1].strides[0] == 1 && !terms.is_empty() {
                vec![terms]
            } else {
                groups(items)
            }
        };
        let components = match product.m[1].extent {
            Extent::Fixed(count) if count > 1 => of_items(count, &product.m[1]),
            Extent::Fixed(_) | Extent::Rows => Vec::new(),
        };
        let (items, chosen) = match product.m[1].extent {
            Extent::Fixed(count) if !components.is_empty() => (count, components),
            Extent::Fixed(_) | Extent::Rows => (LIST, of_items(LIST, &product.m[0])),
        };
        Plan {
            m: product.m,
            k,
            n: product.n,
            n_stride: product.n_stride,
            coefficient,
            accumulate: product.accumulate,
            lanes: tiles.lanes,
            tiles: chosen,
            rest: groups(1),
            items,
        }
    }

    /// Computes the product.
    ///
    /// # Safety
    /// As [`schur_ir::micro::MicroFn`] says, on a machine with the instruction set of the tiles.
    pub(super) unsafe fn run(&self, [out, a, b]: [*mut T; 3], rows: usize) {
        let count = |along: &Along| match along.extent {
            Extent::Rows => rows,
            Extent::Fixed(count) => count,
        };
        let [k0, k1] = [count(&self.k[0]), count(&self.k[1])];
        for depth in (0..k1).step_by(DEPTH) {
            // SAFETY: the caller's.
            unsafe {
                let tile = Tile {
                    a: a.add(depth * self.k[1].strides[0]),
                    b: b.add(depth * self.k[1].strides[1]),
                    out,
                    group: [0, 0],
                    item: [0, 0],
                    k: [k0, DEPTH.min(k1 - depth)],
                    a_k: [self.k[0].strides[0], self.k[1].strides[0]],
                    b_k: [self.k[0].strides[1], self.k[1].strides[1]],
                    last: self.lanes,
                    n_stride: self.n_stride,
                    coefficient: self.coefficient,
                    accumulate: self.accumulate || depth > 0,
                };
                self.columns(tile, [count(&self.m[0]), count(&self.m[1])]);
            }
        }
    }

    /// The loop over blocks of columns.
    unsafe fn columns(&self, whole: Tile<T>, m: [usize; 2]) {
        let most = self.tiles.len();
        let mut n = 0;
        while n < self.n {
            let left = self.n - n;
            let vectors = left.div_ceil(self.lanes).min(most);
            let columns = left.min(vectors * self.lanes);
            let last = columns - (vectors - 1) * self.lanes;
            // SAFETY: the caller's.
            unsafe {
                let tile = Tile { b: whole.b.add(n), out: whole.out.add(n * self.n_stride), last, ..whole };
                self.rows(tile, m, vectors);
            }
            n += columns;
        }
    }

    /// The loop over rows and components.
    unsafe fn rows(&self, mut tile: Tile<T>, [m0, m1]: [usize; 2], vectors: usize) {
        let [outer, inner] = [self.flip(&self.m[0]), self.flip(&self.m[1])];
        // SAFETY: the caller's.
        unsafe {
            if self.items == m1 {
                (tile.group, tile.item) = (outer, inner);
                return groups(&self.tiles[vectors - 1], tile, m0);
            }
            for _ in 0..m1 {
                self.list(tile, m0, outer, vectors);
                tile.a = tile.a.add(inner[0]);
                tile.out = tile.out.add(inner[1]);
            }
        }
    }

    /// Rows at one stride.
    unsafe fn list(&self, mut tile: Tile<T>, count: usize, stride: [usize; 2], vectors: usize) {
        let whole = count / LIST;
        (tile.group, tile.item) = (stride.map(|s| s * LIST), stride);
        // SAFETY: the caller's.
        unsafe {
            groups(&self.tiles[vectors - 1], tile, whole);
            tile.a = tile.a.add(whole * LIST * stride[0]);
            tile.out = tile.out.add(whole * LIST * stride[1]);
            tile.group = stride;
            groups(&self.rest[vectors - 1], tile, count - whole * LIST);
        }
    }

    /// The strides of `a` and of `out`.
    fn flip(&self, along: &Along) -> [usize; 2] {
        [along.strides[1], along.strides[0]]
    }
}

/// Calls tiles for `count` groups, the largest first.
unsafe fn groups<T: Copy>(tiles: &[TileFn<T>], mut tile: Tile<T>, count: usize) {
    let mut left = count;
    while left > 0 {
        let here = left.min(tiles.len());
        // SAFETY: the caller's.
        unsafe {
            tiles[here - 1](&tile);
            tile.a = tile.a.add(here * tile.group[0]);
            tile.out = tile.out.add(here * tile.group[1]);
        }
        left -= here;
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
        let sums = sums::<S, G, H, 1, ITEMS>(tile, mask);
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
        store::<S, G, J, NV>(tile, &sums::<S, G, J, NV, 0>(tile, mask), mask);
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

/// The sums of a tile: of single items, or of pairs of `PAIRED` items.
#[inline(always)]
unsafe fn sums<S: Simd, const G: usize, const J: usize, const NV: usize, const PAIRED: usize>(
    tile: &Tile<S::T>,
    mask: S::Mask,
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
                    a[g] = a[g].add(a_step);
                }
                b = b.add(b_step);
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
            let mut lanes = [tile.coefficient; MOST_LANES];
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
