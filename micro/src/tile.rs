//! What a register tile is of: a part of a matrix product, and where its elements are.

use schur_ir::micro::Ahead;

/// The most vectors of columns of tiles of several rows.
pub(super) const LEFT_OF_ROWS: usize = 3;

/// What all register tiles of a block of columns have in common.
#[derive(Clone, Copy)]
pub(super) struct Layout<T> {
    /// Strides of `a`, `out` and what is beside it: from group to group, and from item to item.
    pub(super) group: [usize; 3],
    pub(super) item: [usize; 3],
    /// Strides of `a` and `b` along the sums, outer and inner.
    pub(super) a_k: [usize; 2],
    pub(super) b_k: [usize; 2],
    /// Columns in the last vector.
    pub(super) last: usize,
    pub(super) n_stride: usize,
    pub(super) coefficient: T,
    /// The factor of [`Finish::Silu`](schur_ir::micro::Finish::Silu).
    pub(super) factor: T,
}

/// Where a register tile is.
pub(super) struct Tile<T> {
    pub(super) a: *const T,
    pub(super) b: *const T,
    pub(super) out: *mut T,
    /// The array beside `out`, at the same place; null where there is none.
    pub(super) beside: *mut T,
    /// How far the sums run, outer and inner.
    pub(super) k: [usize; 2],
    pub(super) accumulate: bool,
    /// What is asked for meanwhile, which is nobody else's; null where nothing is.
    pub(super) ahead: *mut Ahead,
}

impl<T: Copy> Tile<T> {
    /// Moves on by so many groups.
    #[inline(always)]
    pub(super) fn advance(&mut self, layout: &Layout<T>, groups: usize) {
        self.advance_rows(layout.group.map(|stride| groups * stride));
    }

    /// Moves on by so many elements of `a`, `out` and what is beside it.
    #[inline(always)]
    pub(super) fn advance_rows(&mut self, [a, out, beside]: [usize; 3]) {
        self.a = self.a.wrapping_add(a);
        self.out = self.out.wrapping_add(out);
        self.beside = self.beside.wrapping_add(beside);
    }
}
