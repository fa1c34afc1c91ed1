//! Matrix products, cut in register tiles.

use schur_ir::micro::{Along, Arguments, Extent, Finish, Product};

use super::blocks::{Block, alone, blocks, few};
use super::sets::Float;
use super::tile::{Layout, Tile};
use super::tiles::{LIST, Rows, Tiles};

/// A product, ready to be called.
pub(super) struct Plan<T: 'static> {
    m: [Along; 2],
    k: [Along; 2],
    /// The strides along `m` of the array beside `out`, if there is one.
    beside: Option<[usize; 2]>,
    accumulate: bool,
    asks: bool,
    /// Rows of a list that are a group; none where the items of a group are along the second axis.
    list: Option<usize>,
    blocks: Vec<Block<T>>,
    /// The blocks of products of one row, and its items; none where they are as others.
    alone: Vec<Block<T>>,
    alone_items: usize,
    /// By the number of terms: the blocks of sums of so few.
    few: Vec<Vec<Block<T>>>,
}

impl<T: Float> Plan<T> {
    pub(super) fn new(product: &Product, tiles: &Tiles<T>) -> Self {
        let k = match product.k {
            [outer, inner] if outer.extent == Extent::Rows => [inner, outer],
            others => others,
        };
        let rows = Rows::new(product, k, tiles);
        let beside = product.finish.beside();
        let [group, item] = [0, 1].map(|axis| strides(&rows.m, beside, axis));
        let factor = if let Finish::Silu { factor, .. } = product.finish { factor } else { 1.0 };
        let layout = Layout {
            group,
            item,
            a_k: k.map(|along| along.strides[0]),
            b_k: k.map(|along| along.strides[1]),
            last: tiles.lanes,
            n_stride: product.n_stride,
            coefficient: T::rounded(product.coefficient),
            factor: T::rounded(factor),
        };
        Plan {
            m: rows.m,
            k,
            beside,
            accumulate: product.accumulate,
            asks: product.asks(),
            list: rows.are_list().then_some(rows.items),
            alone: alone(product, tiles, &rows, layout),
            alone_items: rows.items_alone(),
            few: few(product, tiles, layout),
            blocks: blocks(product, tiles, &rows, layout),
        }
    }

    /// True where there is an array beside `out`.
    pub(super) fn has_beside(&self) -> bool {
        self.beside.is_some()
    }

    /// Computes the product; `beside` is null where there is no such array.
    ///
    /// # Safety
    /// As [`schur_ir::micro::MicroFn`] says, on a machine with the instruction set of the tiles.
    pub(super) unsafe fn run(&self, [out, a, b, beside]: [*mut T; 4], given: *mut Arguments, rows: usize) {
        let count = |along: &Along| match along.extent {
            Extent::Rows => rows,
            Extent::Fixed(count) => count,
        };
        let [k0, k1] = [count(&self.k[0]), count(&self.k[1])];
        let m = [count(&self.m[0]), count(&self.m[1])];
        // SAFETY: the caller's.
        let (first, ahead) = unsafe { ((*given).first, &raw mut (*given).ahead) };
        let are_all = first == 0 || self.m[0].extent != Extent::Rows;
        // SAFETY: the caller's.
        let ahead = if self.asks && unsafe { (*ahead).left } > 0 { ahead } else { std::ptr::null_mut() };
        let mut depth = 0;
        while depth < k1 {
            let tile = Tile {
                a: a.wrapping_add(depth * self.k[1].strides[0]),
                b: b.wrapping_add(depth * self.k[1].strides[1]),
                out,
                beside,
                k: [k0, Product::DEPTH.min(k1 - depth)],
                accumulate: self.accumulate || depth > 0,
                ahead,
            };
            // SAFETY: the caller's.
            unsafe { self.part(tile, m, are_all) }
            depth += Product::DEPTH;
        }
    }

    /// A part of the sums, for all blocks of columns. Where rows are few they are computed in another way, and rounded in another, so that
    /// counts only if these rows are all: the last ones of many must not depend on how many a tile has.
    #[inline(always)]
    unsafe fn part(&self, mut tile: Tile<T>, m: [usize; 2], are_all: bool) {
        let are_many = m[0] >= LIST || !are_all;
        let few = self.few.get(tile.k[0] * tile.k[1]).filter(|few| !few.is_empty() && are_many && m[1] == 1);
        let (blocks, list) = match few {
            Some(few) => (few, None),
            None if are_all && m == [1, self.alone_items] && !self.alone.is_empty() => (&self.alone, None),
            None => (&self.blocks, self.list),
        };
        let (a, mut out, mut beside) = (tile.a, tile.out, tile.beside);
        for block in blocks {
            for _ in 0..block.times {
                // SAFETY: the caller's.
                unsafe {
                    match list {
                        Some(items) => self.lists(block, &mut tile, items, m),
                        None => block.groups.run(&mut tile, m[0]),
                    }
                }
                out = out.wrapping_add(block.columns * block.groups.layout.n_stride);
                if self.has_beside() {
                    beside = beside.wrapping_add(block.columns);
                }
                (tile.a, tile.out, tile.beside) = (a, out, beside);
                tile.b = tile.b.wrapping_add(block.columns);
            }
        }
    }

    /// Lists of rows, of which so many are a group, one after the other.
    #[inline(always)]
    unsafe fn lists(&self, block: &Block<T>, tile: &mut Tile<T>, items: usize, [m0, m1]: [usize; 2]) {
        let (a, out, beside) = (tile.a, tile.out, tile.beside);
        for k in 0..m1 {
            (tile.a, tile.out, tile.beside) = (a, out, beside);
            if k > 0 {
                tile.advance_rows(strides(&self.m, self.beside, 1).map(|stride| k * stride));
            }
            // SAFETY: the caller's.
            unsafe {
                block.groups.run(tile, m0 / items);
                block.rest.run(tile, m0 % items);
            }
        }
    }
}

/// The strides of `a`, `out` and what is beside it along an axis of rows.
#[inline(always)]
fn strides(m: &[Along; 2], beside: Option<[usize; 2]>, axis: usize) -> [usize; 3] {
    let [out, a] = m[axis].strides;
    [a, out, beside.map_or(0, |strides| strides[axis])]
}
