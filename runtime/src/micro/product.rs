//! Matrix products, cut in register tiles.

use schur_ir::micro::{Ahead, Along, Extent, Product};

use super::tile::Tile;
use super::tiles::{LIST, Rows, TileFn, Tiles, groups, has_room};

/// Elements of `k` after which sums go to memory, so that a panel of `b` stays in the first cache.
const DEPTH: usize = 256;

/// The most vectors of columns that are in registers at once.
const MOST_VECTORS: usize = 8;

/// Sums of as many terms or more are never cut in tiles of few terms.
const MANY_TERMS: usize = 8;

/// A product, ready to be called.
pub(super) struct Plan<T: 'static> {
    m: [Along; 2],
    /// The strides of `scale` along these; none where sums are not multiplied.
    scale: Option<[usize; 2]>,
    k: [Along; 2],
    n: usize,
    n_stride: usize,
    coefficient: T,
    accumulate: bool,
    asks: bool,
    lanes: usize,
    /// By vectors (1, 2): the tiles of 1, 2, … groups.
    tiles: Vec<Vec<TileFn<T>>>,
    /// The same for single rows.
    rest: Vec<Vec<TileFn<T>>>,
    /// The tiles of products of one row, by vectors: more of these than 2, so that sums do not wait for each other, and that
    /// `b` is read as it lies.
    alone: Vec<TileFn<T>>,
    /// The number of items of `alone`.
    alone_items: usize,
    /// The number of items of `tiles`.
    items: usize,
    /// By the number of terms: the tiles of sums of so few, with their vectors, the most first.
    outer: Vec<Vec<(usize, TileFn<T>)>>,
}

impl<T: Copy> Plan<T> {
    pub(super) fn new(product: &Product, tiles: &Tiles<T>, coefficient: T) -> Self {
        let k = match product.k {
            [outer, inner] if outer.extent == Extent::Rows => [inner, outer],
            others => others,
        };
        let Rows { m, items, tiles: chosen } = Rows::new(product, k, tiles);
        // Half a vector needs no tiles of more.
        let alone_items = if m[1].extent == Extent::Fixed(items) { items } else { 1 };
        let alone = (1..).map_while(|vectors| (tiles.get)(alone_items, 1, vectors));
        let alone = if has_room(product, tiles) { Vec::new() } else { alone.collect() };
        let of_terms = |terms| {
            let widest_first = (1..=MOST_VECTORS).rev();
            widest_first.filter_map(|vectors| Some((vectors, (tiles.outer)(terms, vectors)?))).collect()
        };
        let is_plain = product.n_stride == 1 && product.scale.is_none();
        let outer = if is_plain { (0..MANY_TERMS).map(of_terms).collect() } else { Vec::new() };
        Plan {
            m,
            scale: product.scale,
            k,
            n: product.n,
            n_stride: product.n_stride,
            coefficient,
            accumulate: product.accumulate,
            asks: product.asks(),
            lanes: tiles.lanes,
            tiles: chosen,
            rest: groups(tiles, 1),
            alone,
            alone_items,
            items,
            outer,
        }
    }

    /// True where sums are multiplied by an array.
    pub(super) fn is_scaled(&self) -> bool {
        self.scale.is_some()
    }

    /// Computes the product; `scale` is null where sums are not multiplied.
    ///
    /// # Safety
    /// As [`schur_ir::micro::MicroFn`] says, on a machine with the instruction set of the tiles.
    pub(super) unsafe fn run(&self, [out, a, b]: [*mut T; 3], scale: *const T, ahead: *mut Ahead, rows: usize) {
        let count = |along: &Along| match along.extent {
            Extent::Rows => rows,
            Extent::Fixed(count) => count,
        };
        let [k0, k1] = [count(&self.k[0]), count(&self.k[1])];
        let m = [count(&self.m[0]), count(&self.m[1])];
        // SAFETY: the caller's.
        let ahead = if self.asks && unsafe { (*ahead).left } > 0 { ahead } else { std::ptr::null_mut() };
        let mut depth = 0;
        while depth < k1 {
            let mut tile = Tile {
                a: a.wrapping_add(depth * self.k[1].strides[0]),
                b: b.wrapping_add(depth * self.k[1].strides[1]),
                out,
                scale,
                group: self.strides(0),
                item: self.strides(1),
                k: [k0, DEPTH.min(k1 - depth)],
                a_k: [self.k[0].strides[0], self.k[1].strides[0]],
                b_k: [self.k[0].strides[1], self.k[1].strides[1]],
                last: self.lanes,
                n_stride: self.n_stride,
                coefficient: self.coefficient,
                accumulate: self.accumulate || depth > 0,
                ahead,
            };
            // SAFETY: the caller's.
            unsafe { self.columns(&mut tile, m) }
            depth += DEPTH;
        }
    }

    /// The loop over blocks of columns.
    #[inline(always)]
    unsafe fn columns(&self, tile: &mut Tile<T>, m: [usize; 2]) {
        let few = self.outer.get(tile.k[0] * tile.k[1]).filter(|_| m[0] >= LIST && m[1] == 1);
        let is_alone = m == [1, self.alone_items] && !self.alone.is_empty();
        let mut left = self.n;
        while left > 0 {
            // Numbers of lanes are powers of two; a division takes as long as a small product.
            let needed = (left + self.lanes - 1) >> self.lanes.trailing_zeros();
            let outer = few.and_then(|tiles| tiles.iter().find(|(vectors, _)| *vectors <= needed));
            let most = if is_alone { self.alone.len() } else { self.tiles.len() };
            let vectors = outer.map_or(needed.min(most), |(vectors, _)| *vectors);
            let columns = left.min(vectors * self.lanes);
            tile.last = columns - (vectors - 1) * self.lanes;
            // SAFETY: the caller's.
            unsafe {
                match outer {
                    Some((_, rows)) => rows(tile, m[0]),
                    None if is_alone => self.alone[vectors - 1](tile, 1),
                    None => self.rows(tile, m, vectors),
                }
            }
            tile.b = tile.b.wrapping_add(columns);
            tile.out = tile.out.wrapping_add(columns * self.n_stride);
            if self.is_scaled() {
                tile.scale = tile.scale.wrapping_add(columns);
            }
            left -= columns;
        }
    }

    /// The loop over rows and components.
    #[inline(always)]
    unsafe fn rows(&self, tile: &mut Tile<T>, [m0, m1]: [usize; 2], vectors: usize) {
        let (a, out, scale) = (tile.a, tile.out, tile.scale);
        // SAFETY: the caller's.
        unsafe {
            if self.items == m1 {
                call(&self.tiles[vectors - 1], tile, m0);
            } else {
                let item = tile.item;
                for k in 0..m1 {
                    (tile.a, tile.out) = (a.wrapping_add(k * item[0]), out.wrapping_add(k * item[1]));
                    tile.scale = scale.wrapping_add(k * item[2]);
                    self.list(tile, m0, vectors);
                }
                (tile.group, tile.item) = (self.strides(0), item);
            }
        }
        (tile.a, tile.out, tile.scale) = (a, out, scale);
    }

    /// The strides of `a`, `out` and `scale` along an axis of rows.
    #[inline(always)]
    fn strides(&self, axis: usize) -> [usize; 3] {
        let [out, a] = self.m[axis].strides;
        [a, out, self.scale.map_or(0, |strides| strides[axis])]
    }

    /// Rows at one stride.
    #[inline(always)]
    unsafe fn list(&self, tile: &mut Tile<T>, count: usize, vectors: usize) {
        let stride = self.strides(0);
        let whole = if count < self.items { 0 } else { count / self.items };
        (tile.group, tile.item) = (stride.map(|s| s * self.items), stride);
        // SAFETY: the caller's.
        unsafe {
            call(&self.tiles[vectors - 1], tile, whole);
            tile.group = stride;
            call(&self.rest[vectors - 1], tile, count - whole * self.items);
        }
    }
}

/// Calls tiles for `count` groups, the largest first, and moves on by as many.
#[inline(always)]
unsafe fn call<T: Copy>(tiles: &[TileFn<T>], tile: &mut Tile<T>, count: usize) {
    // A division takes as long as a small tile.
    let whole = if count < tiles.len() { 0 } else { count / tiles.len() };
    // SAFETY: the caller's.
    unsafe {
        if whole > 0 {
            tiles[tiles.len() - 1](tile, whole);
            tile.advance(whole * tiles.len());
        }
        let rest = count - whole * tiles.len();
        if rest > 0 {
            tiles[rest - 1](tile, 1);
            tile.advance(rest);
        }
    }
}
