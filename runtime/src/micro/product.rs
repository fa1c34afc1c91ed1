//! Matrix products, cut in register tiles.

use schur_ir::micro::{Ahead, Along, Extent, Product};

use super::tile::Tile;

/// Elements of `k` after which sums go to memory, so that a panel of `b` stays in the first cache.
const DEPTH: usize = 256;

/// Register tiles of some size: so many, one after the other.
pub(super) type TileFn<T> = unsafe fn(Tile<T>, usize);

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
    asks: bool,
    lanes: usize,
    /// By vectors (1, 2): the tiles of 1, 2, … groups.
    tiles: Vec<Vec<TileFn<T>>>,
    /// The same for single rows.
    rest: Vec<Vec<TileFn<T>>>,
    /// The tiles of products of one row, by vectors: more of these than 2, so that sums do not wait for each other.
    alone: Vec<TileFn<T>>,
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
        // A few rows are the items of one group.
        let m = match product.m {
            [few @ Along { extent: Extent::Fixed(2..), .. }, Along::NONE] if is_items(tiles, &few) => {
                [Along::NONE, few]
            }
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
        let components = match m[1].extent {
            Extent::Fixed(count) if count > 1 => of_items(count, &m[1]),
            Extent::Fixed(_) | Extent::Rows => Vec::new(),
        };
        let (items, chosen) = match m[1].extent {
            Extent::Fixed(count) if !components.is_empty() => (count, components),
            Extent::Fixed(_) | Extent::Rows => (LIST, of_items(LIST, &m[0])),
        };
        Plan {
            m,
            k,
            n: product.n,
            n_stride: product.n_stride,
            coefficient,
            accumulate: product.accumulate,
            asks: product.asks(),
            lanes: tiles.lanes,
            tiles: chosen,
            rest: groups(1),
            alone: (1..).map_while(|vectors| (tiles.get)(1, 1, vectors)).collect(),
            items,
        }
    }

    /// Computes the product.
    ///
    /// # Safety
    /// As [`schur_ir::micro::MicroFn`] says, on a machine with the instruction set of the tiles.
    pub(super) unsafe fn run(&self, [out, a, b]: [*mut T; 3], ahead: *mut Ahead, rows: usize) {
        let count = |along: &Along| match along.extent {
            Extent::Rows => rows,
            Extent::Fixed(count) => count,
        };
        let [k0, k1] = [count(&self.k[0]), count(&self.k[1])];
        // SAFETY: the caller's.
        let ahead = if self.asks && unsafe { (*ahead).left } > 0 { ahead } else { std::ptr::null_mut() };
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
                    ahead,
                };
                self.columns(tile, [count(&self.m[0]), count(&self.m[1])]);
            }
        }
    }

    /// The loop over blocks of columns.
    unsafe fn columns(&self, whole: Tile<T>, m: [usize; 2]) {
        let is_alone = m == [1, 1];
        let most = if is_alone { self.alone.len() } else { self.tiles.len() };
        let mut n = 0;
        while n < self.n {
            let left = self.n - n;
            let vectors = left.div_ceil(self.lanes).min(most);
            let columns = left.min(vectors * self.lanes);
            let last = columns - (vectors - 1) * self.lanes;
            // SAFETY: the caller's.
            unsafe {
                let tile = Tile { b: whole.b.add(n), out: whole.out.add(n * self.n_stride), last, ..whole };
                if is_alone { self.alone[vectors - 1](tile, 1) } else { self.rows(tile, m, vectors) }
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
                tile.a = tile.a.wrapping_add(inner[0]);
                tile.out = tile.out.wrapping_add(inner[1]);
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
            tile.a = tile.a.wrapping_add(whole * LIST * stride[0]);
            tile.out = tile.out.wrapping_add(whole * LIST * stride[1]);
            tile.group = stride;
            groups(&self.rest[vectors - 1], tile, count - whole * LIST);
        }
    }

    /// The strides of `a` and of `out`.
    fn flip(&self, along: &Along) -> [usize; 2] {
        [along.strides[1], along.strides[0]]
    }
}

/// True where there are tiles of as many items.
fn is_items<T>(tiles: &Tiles<T>, along: &Along) -> bool {
    matches!(along.extent, Extent::Fixed(count) if (tiles.get)(count, 1, 1).is_some())
}

/// Calls tiles for `count` groups, the largest first.
unsafe fn groups<T: Copy>(tiles: &[TileFn<T>], mut tile: Tile<T>, count: usize) {
    let whole = count / tiles.len();
    // SAFETY: the caller's.
    unsafe {
        if whole > 0 {
            tiles[tiles.len() - 1](tile, whole);
        }
        let rest = count - whole * tiles.len();
        if rest > 0 {
            tile.advance(whole * tiles.len());
            tiles[rest - 1](tile, 1);
        }
    }
}
