//! Chunks: the parts of a kernel's rows that one call of its code computes.

use std::ops::Range;

use schur_ir::program::{Kernel, chunk_rows, part_rows};

/// Some rows of a kernel, and the copy of partial buffers that they add to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Below `MAX_CHUNKS`.
    pub(crate) number: usize,
    /// Not empty.
    pub(crate) rows: Range<usize>,
}

/// How rows of a kernel are cut, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    rows: Range<usize>,
    /// The rows of all chunks but the last; not zero.
    step: usize,
    /// Whether chunks have numbers of their own; all are 0 otherwise.
    numbered: bool,
}

impl Cut {
    /// The cut that sums over rows have: it depends on the number of rows alone.
    pub(crate) fn fixed(kernel: &Kernel, rows: usize) -> Self {
        let step = if kernel.serial { rows.max(1) } else { chunk_rows(rows, kernel.tile, kernel.chunk) };
        Cut { rows: 0..rows, step, numbered: true }
    }

    /// A cut of these rows in up to so many parts, for a kernel without sums over rows: its results are the same for any
    /// cut.
    pub(crate) fn free(kernel: &Kernel, rows: Range<usize>, parts: usize) -> Self {
        let step = part_rows(rows.len(), parts, kernel.tile);
        Cut { rows, step, numbered: false }
    }

    /// The number of chunks; none where there is no row.
    pub(crate) fn count(&self) -> usize {
        self.rows.len().div_ceil(self.step)
    }

    /// A chunk; none where there are not so many.
    pub(crate) fn chunk(&self, k: usize) -> Option<Chunk> {
        let begin = self.rows.start.checked_add(k.checked_mul(self.step)?)?;
        let rows = begin..self.rows.end.min(begin.saturating_add(self.step));
        (!rows.is_empty()).then_some(Chunk { number: if self.numbered { k } else { 0 }, rows })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use schur_ir::dim::Dim;
    use schur_ir::program::{CHUNK_ROWS, MAX_CHUNKS};

    use super::*;

    fn kernel(tile: usize, chunk: usize, serial: bool) -> Kernel {
        Kernel { name: String::new(), rows: Dim::one(), tile, chunk, scratch: 0, serial }
    }

    fn check(cut: &Cut, rows: usize, tile: usize) -> Vec<Chunk> {
        let all: Vec<Chunk> = (0..).map_while(|k| cut.chunk(k)).collect();
        assert_eq!(all.len(), cut.count());
        assert!(all.iter().flat_map(|c| c.rows.clone()).eq(0..rows));
        assert!(all.iter().all(|c| !c.rows.is_empty()));
        let sizes = || all.iter().rev().skip(1).map(|c| c.rows.len());
        assert!(sizes().all(|size| [tile.max(1), 12, 8].iter().any(|whole| size % whole == 0)));
        all
    }

    #[test]
    fn chunks_have_about_one_size() {
        let cut_by = |rows, tile, least| {
            let cut = Cut::fixed(&kernel(tile, least, false), rows);
            (cut.count(), cut.step)
        };
        let cut = |rows, tile| cut_by(rows, tile, CHUNK_ROWS);
        assert_eq!((cut(191, 96), cut(192, 96), cut(256, 96)), ((1, 192), (2, 96), (2, 132)));
        assert_eq!((cut(500, 8), cut(1000, 84), cut(10_000, 84)), ((4, 128), (8, 132), (8, 1260)));
        let cut_small = |rows| cut_by(rows, 24, 32);
        assert_eq!((cut_small(63), cut_small(64), cut_small(255)), ((1, 72), (2, 36), (2, 132)));
        assert_eq!((cut_small(256), cut_small(767), cut_small(768)), ((4, 72), (4, 192), (8, 96)));
        assert_eq!(
            (cut_by(1000, 12, 256), cut_by(2000, 60, 256), cut_by(300, 60, 480)),
            ((2, 504), (4, 540), (1, 480))
        );
    }

    proptest! {
        #[test]
        fn chunks_cover_all_rows_in_order(rows in 0usize..10_000, tile in 0usize..300, parts in 0usize..50,
            least in 0usize..600, serial: bool) {
            let kernel = kernel(tile, least, serial);
            let all = check(&Cut::fixed(&kernel, rows), rows, if serial { 1 } else { tile });
            let most = if serial { 1 } else { MAX_CHUNKS };
            prop_assert!(all.len() <= most);
            prop_assert!(all.iter().enumerate().all(|(k, c)| c.number == k));
            prop_assert!(serial || all.iter().rev().skip(1).all(|c| c.rows.len() >= least));
            let all = check(&Cut::free(&kernel, 0..rows, parts), rows, tile);
            prop_assert!(all.len() <= parts.max(1) && all.iter().all(|c| c.number == 0));
        }
    }
}
