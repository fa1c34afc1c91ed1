//! In which blocks the columns of a product are cut: as many vectors as are in registers at once, and then what is left.

use schur_ir::micro::{Finish, Product};

use super::store::is_woven;
use super::tile::{LEFT_OF_ROWS, Layout, Tile};
use super::tiles::{GetFn, Rows, TileFn, Tiles, all, has_room};

/// The most vectors of columns that are in registers at once.
const MOST_VECTORS: usize = 8;

/// Those of tiles of several rows, of which up to [`LEFT_OF_ROWS`] are one block all the same if no more are left.
const VECTORS_OF_ROWS: usize = 2;

/// Sums of as many terms or more are never cut in tiles of few terms.
const MANY_TERMS: usize = 8;

/// Tiles of one block of columns, by their groups.
pub(super) struct Groups<T: 'static> {
    pub(super) layout: Layout<T>,
    tiles: Vec<TileFn<T>>,
}

impl<T> Groups<T> {
    /// Computes so many groups, the largest tiles first, and moves on by as many.
    ///
    /// # Safety
    /// As for [`Simd`](super::simd::Simd); the tile names elements of its arrays.
    #[inline(always)]
    pub(super) unsafe fn run(&self, tile: &mut Tile<T>, count: usize) {
        let most = self.tiles.len();
        // A division takes as long as a small tile.
        let whole = if count < most { 0 } else { count / most };
        let rest = count - whole * most;
        // SAFETY: the caller's.
        unsafe {
            if whole > 0 {
                self.tiles[most - 1](&self.layout, tile, whole);
            }
            if rest > 0 {
                self.tiles[rest - 1](&self.layout, tile, 1);
            }
        }
    }
}

/// A block of columns, and those that follow it and are like it.
pub(super) struct Block<T: 'static> {
    pub(super) columns: usize,
    pub(super) times: usize,
    pub(super) groups: Groups<T>,
    /// Single rows of a list.
    pub(super) rest: Groups<T>,
}

/// The blocks of a product's columns.
pub(super) fn blocks<T: Copy>(product: &Product, tiles: &Tiles<T>, rows: &Rows<T>, layout: Layout<T>) -> Vec<Block<T>> {
    let group = if rows.are_list() { layout.group.map(|stride| rows.items * stride) } else { layout.group };
    let item = if rows.are_list() { layout.group } else { layout.item };
    let most = if rows.special.is_empty() { widest(tiles, rows.items, LEFT_OF_ROWS) } else { 1 };
    let vectors = |needed: usize| needed.min(if needed == LEFT_OF_ROWS { most } else { most.min(VECTORS_OF_ROWS) });
    let of = |vectors: usize, last: usize| {
        let [groups, rest] = [(group, item), (layout.group, layout.item)];
        let [groups, rest] = [groups, rest].map(|(group, item)| Layout { group, item, last, ..layout });
        let of_groups = |layout, items| {
            let get = tiles_of(product, tiles, layout, items);
            all(|items, groups| get(items, groups, vectors), items)
        };
        let special = rows.special.clone();
        [
            (groups, if special.is_empty() { of_groups(&groups, rows.items) } else { special }),
            (rest, of_groups(&rest, 1)),
        ]
    };
    cut(product.n, tiles.lanes, vectors, of)
}

/// The blocks of a product of one row: of more vectors than others, so that sums do not wait for each other, and that `b` is read as
/// it lies. None where half a vector needs no more.
pub(super) fn alone<T: Copy>(product: &Product, tiles: &Tiles<T>, rows: &Rows<T>, layout: Layout<T>) -> Vec<Block<T>> {
    let items = rows.items_alone();
    let most = if has_room(product, tiles) { 0 } else { widest(tiles, items, MOST_VECTORS) };
    if most == 0 {
        return Vec::new();
    }
    let of = |vectors: usize, last: usize| {
        let layout = Layout { last, ..layout };
        let tile = tiles_of(product, tiles, &layout, items)(items, 1, vectors);
        [(layout, tile.into_iter().collect()), (layout, Vec::new())]
    };
    cut(product.n, tiles.lanes, |needed| needed.min(most), of)
}

/// By the number of terms: the blocks of sums of so few.
pub(super) fn few<T: Copy>(product: &Product, tiles: &Tiles<T>, layout: Layout<T>) -> Vec<Vec<Block<T>>> {
    let of_terms = |terms| {
        let widest = |most| (1..=most).rev().find(|&vectors| (tiles.outer)(terms, vectors).is_some());
        if widest(1).is_none() {
            return Vec::new();
        }
        let of = |vectors: usize, last: usize| {
            let layout = Layout { last, ..layout };
            [(layout, (tiles.outer)(terms, vectors).into_iter().collect()), (layout, Vec::new())]
        };
        cut(product.n, tiles.lanes, |needed| widest(needed.min(MOST_VECTORS)).unwrap_or(1), of)
    };
    let is_plain = product.n_stride == 1 && product.finish == Finish::Plain;
    if is_plain { (0..MANY_TERMS).map(of_terms).collect() } else { Vec::new() }
}

/// Cuts columns in blocks: of so many vectors where so many are needed, with these tiles for them and the columns in the last one.
fn cut<T>(
    n: usize,
    lanes: usize,
    vectors: impl Fn(usize) -> usize,
    tiles: impl Fn(usize, usize) -> [(Layout<T>, Vec<TileFn<T>>); 2],
) -> Vec<Block<T>> {
    let mut blocks: Vec<Block<T>> = Vec::new();
    let mut left = n;
    while left > 0 {
        let vectors = vectors(left.div_ceil(lanes));
        let columns = left.min(vectors * lanes);
        left -= columns;
        match blocks.last_mut() {
            Some(block) if block.columns == columns => block.times += 1,
            _ => {
                let [groups, rest] = tiles(vectors, columns - (vectors - 1) * lanes);
                let [groups, rest] = [groups, rest].map(|(layout, tiles)| Groups { layout, tiles });
                blocks.push(Block { columns, times: 1, groups, rest });
            }
        }
    }
    blocks
}

/// The most vectors, up to so many, of tiles of so many items.
fn widest<T>(tiles: &Tiles<T>, items: usize, most: usize) -> usize {
    (1..=most).take_while(|&vectors| (tiles.any)(items, 1, vectors).is_some()).count()
}

/// The tiles of so many items, by what is done to their sums and how their columns lie in `out`.
fn tiles_of<T>(product: &Product, tiles: &Tiles<T>, layout: &Layout<T>, items: usize) -> GetFn<T> {
    match (product.finish, layout.last == tiles.lanes) {
        (Finish::Silu { .. }, _) => tiles.silu,
        (_, true) if product.n_stride == 1 => tiles.whole,
        (_, true) if is_woven(layout, items) => tiles.woven,
        _ => tiles.any,
    }
}
