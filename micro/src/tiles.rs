//! Which register tiles a product is cut in.

use schur_ir::micro::{Along, Extent, Finish, Product};

use super::square::is_side;
use super::tile::{Layout, Tile};

/// Register tiles of some size: so many, one after the other, which the tile is moved on by.
pub(super) type TileFn<T> = unsafe fn(&Layout<T>, &mut Tile<T>, usize);

/// A choice of tiles by the items of a group, the number of groups, and the vectors.
pub(super) type GetFn<T> = fn(usize, usize, usize) -> Option<TileFn<T>>;

/// What an instruction set offers.
pub(super) struct Tiles<T: 'static> {
    /// Elements of a vector.
    pub(super) lanes: usize,
    /// The tile of `G` groups of `J` items of `NV` vectors: `any(J, G, NV)`.
    pub(super) any: GetFn<T>,
    /// The same of whole vectors, which are vectors in `out` as well.
    pub(super) whole: GetFn<T>,
    /// The same of whole vectors, where the items of a column are neighbours in `out`.
    pub(super) woven: GetFn<T>,
    /// The same of whole vectors, of which `x σ(x)` is written; of lists of rows alone.
    pub(super) silu: GetFn<T>,
    /// The tile of `G` groups of `J` items in pairs, for at most half a vector of columns: `pairs(J, G)`.
    pub(super) pairs: fn(usize, usize) -> Option<TileFn<T>>,
    /// The same, with pairs of terms of the sums: `terms(J, G)`.
    pub(super) terms: fn(usize, usize) -> Option<TileFn<T>>,
    /// The tile of `G` groups of `J` items, times a square of half a vector: `square(J, G)`.
    pub(super) square: fn(usize, usize) -> Option<TileFn<T>>,
    /// The sum over rows, and so many components, that is such a square.
    pub(super) sums: fn(usize) -> Option<TileFn<T>>,
    /// Rows of `NV` vectors, sums of `K` terms: `outer(K, NV)`.
    pub(super) outer: fn(usize, usize) -> Option<TileFn<T>>,
}

/// Sums of fewer terms are not worth pairs of terms, which must be added at the end.
const MIN_TERMS: usize = 16;

/// Rows of a list that are one group.
pub(super) const LIST: usize = 4;

/// The rows of a product as its tiles take them.
pub(super) struct Rows<T: 'static> {
    pub(super) m: [Along; 2],
    /// Items of a group.
    pub(super) items: usize,
    /// The tiles of 1, 2, … groups where the product has some of its own.
    pub(super) special: Vec<TileFn<T>>,
}

impl<T: Copy> Rows<T> {
    /// Those of a product whose sums run along `k`.
    pub(super) fn new(product: &Product, k: [Along; 2], tiles: &Tiles<T>) -> Self {
        square_sums(product, k, tiles)
            .or_else(|| square_list(product, k, tiles))
            .unwrap_or_else(|| of_rows(product, k, tiles))
    }

    /// True where the items of a group are rows of a list, not what is along the second axis.
    pub(super) fn are_list(&self) -> bool {
        self.m[1].extent != Extent::Fixed(self.items)
    }

    /// The items of a product of one row.
    pub(super) fn items_alone(&self) -> usize {
        if self.are_list() { 1 } else { self.items }
    }
}

/// True where a vector has room for the columns of two items or terms, of sums that are written as they are.
pub(super) fn has_room<T>(product: &Product, tiles: &Tiles<T>) -> bool {
    2 * product.n <= tiles.lanes && product.finish == Finish::Plain
}

/// True where `b` is a square of half a vector.
fn is_square<T>(product: &Product, k: [Along; 2], tiles: &Tiles<T>) -> bool {
    has_room(product, tiles) && k[0] == Along::NONE && is_side(tiles.lanes, k[1].extent)
}

/// A sum over rows and components that is a square.
fn square_sums<T: Copy>(product: &Product, k: [Along; 2], tiles: &Tiles<T>) -> Option<Rows<T>> {
    let ([side, Along::NONE], Extent::Fixed(components)) = (product.m, k[0].extent) else { return None };
    let are_neighbours = k[0].strides[0] == 1 && side.strides[1] == components && k[1].extent == Extent::Rows;
    let fits = has_room(product, tiles) && is_side(tiles.lanes, side.extent) && product.n_stride == 1;
    let sums = (are_neighbours && fits).then(|| (tiles.sums)(components))??;
    Some(Rows { m: [Along::NONE, side], items: tiles.lanes / 2, special: vec![sums] })
}

/// A list of rows times a square, the terms of whose sums are neighbours.
fn square_list<T: Copy>(product: &Product, k: [Along; 2], tiles: &Tiles<T>) -> Option<Rows<T>> {
    let is_list = product.m[0].extent == Extent::Rows && product.n_stride == 1 && k[1].strides[0] == 1;
    let special = (is_list && is_square(product, k, tiles)).then(|| all(tiles.square, 1))?;
    Some(Rows { m: product.m, items: 1, special })
}

/// Rows of items, or lists of rows.
fn of_rows<T: Copy>(product: &Product, k: [Along; 2], tiles: &Tiles<T>) -> Rows<T> {
    // A few rows are the items of one group.
    let m = match product.m {
        [few @ Along { extent: Extent::Fixed(2..), .. }, Along::NONE]
            if matches!(few.extent, Extent::Fixed(items) if has_items(tiles, items))
                && product.finish == Finish::Plain =>
        {
            [Along::NONE, few]
        }
        others => others,
    };
    // Items or terms that are neighbours in `a` go in pairs where a vector has room for the columns of two.
    let of_items = |items: usize, along: &Along| {
        let is_whole = product.n_stride == 1 || (product.n_stride == items && along.strides[0] == 1);
        let are_pairs = has_room(product, tiles) && along.strides[1] == 1 && is_whole;
        let is_run = k[1].strides[0] == items;
        let square =
            if are_pairs && is_run && is_square(product, k, tiles) { all(tiles.square, items) } else { Vec::new() };
        let pairs = if are_pairs { all(tiles.pairs, items) } else { Vec::new() };
        let are_many = matches!(k[1].extent, Extent::Fixed(count) if count >= MIN_TERMS);
        let are_terms = has_room(product, tiles) && are_many && k[1].strides[0] == 1;
        let terms = if are_terms { all(tiles.terms, items) } else { Vec::new() };
        [square, pairs, terms].into_iter().find(|tiles| !tiles.is_empty()).unwrap_or_default()
    };
    match m[1].extent {
        Extent::Fixed(items @ 2..) if has_items(tiles, items) => Rows { m, items, special: of_items(items, &m[1]) },
        Extent::Fixed(_) | Extent::Rows => Rows { m, items: LIST, special: of_items(LIST, &m[0]) },
    }
}

/// The tiles of so many items for 1, 2, … groups.
pub(super) fn all<T>(get: impl Fn(usize, usize) -> Option<TileFn<T>>, items: usize) -> Vec<TileFn<T>> {
    (1..).map_while(|groups| get(items, groups)).collect()
}

/// True where there are tiles of as many items.
fn has_items<T>(tiles: &Tiles<T>, items: usize) -> bool {
    (tiles.any)(items, 1, 1).is_some()
}
