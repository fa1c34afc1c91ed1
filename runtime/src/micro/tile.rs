//! What a register tile is of: a part of a matrix product, and where its elements are.

use schur_ir::micro::Ahead;

/// One call of a register tile.
#[derive(Clone, Copy)]
pub(super) struct Tile<T> {
    pub(super) a: *const T,
    pub(super) b: *const T,
    pub(super) out: *mut T,
    /// What sums are multiplied by, at the places of `out`; null where they are not.
    pub(super) scale: *const T,
    /// Strides of `a`, `out` and `scale`: from group to group, and from item to item.
    pub(super) group: [usize; 3],
    pub(super) item: [usize; 3],
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
    pub(super) fn repeat(&self, groups: usize, times: usize, compute: impl Fn(&Self)) {
        let mut tile = *self;
        for _ in 0..times {
            compute(&tile);
            tile.advance(groups);
        }
    }

    /// Moves on by so many groups.
    #[inline(always)]
    pub(super) fn advance(&mut self, groups: usize) {
        self.a = self.a.wrapping_add(groups * self.group[0]);
        self.out = self.out.wrapping_add(groups * self.group[1]);
        self.scale = self.scale.wrapping_add(groups * self.group[2]);
    }
}
