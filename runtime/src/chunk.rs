//! Chunks: the parts of a kernel's rows that one call of its code computes.

use std::ops::Range;

use schur_ir::cut::Cut;
use schur_ir::program::Kernel;

/// Some rows of a kernel, and the copy of partial buffers that they add to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Below `MAX_CHUNKS`.
    pub(crate) number: usize,
    /// Not empty.
    pub(crate) rows: Range<usize>,
}

/// The chunks of some rows of a kernel, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunks {
    cut: Cut,
    /// Whether chunks have numbers of their own; all are 0 otherwise.
    numbered: bool,
}

impl Chunks {
    /// Those that sums over rows have, and what has an order: they depend on the number of rows alone.
    pub(crate) fn fixed(kernel: &Kernel, rows: usize) -> Self {
        let cut = if kernel.serial { Cut::whole(rows) } else { Cut::in_chunks(rows, kernel.tile, kernel.chunk) };
        Chunks { cut, numbered: true }
    }

    /// Up to so many, of a kernel without sums over rows: its results are the same for any cut.
    pub(crate) fn free(kernel: &Kernel, rows: Range<usize>, parts: usize) -> Self {
        Chunks { cut: Cut::in_parts(rows, parts, kernel.tile), numbered: false }
    }

    /// The number of chunks; none where there is no row.
    pub(crate) fn count(&self) -> usize {
        self.cut.count()
    }

    /// A chunk; none where there are not so many.
    pub(crate) fn get(&self, k: usize) -> Option<Chunk> {
        Some(Chunk { number: if self.numbered { k } else { 0 }, rows: self.cut.part(k)? })
    }
}

#[cfg(test)]
mod tests {
    use schur_ir::cut::CHUNK_ROWS;
    use schur_ir::dim::Dim;

    use super::*;

    fn kernel(serial: bool) -> Kernel {
        Kernel { name: String::new(), rows: Dim::one(), tile: 12, chunk: CHUNK_ROWS, scratch: 0, serial }
    }

    /// The number of every chunk, and where its rows start.
    fn starts(chunks: &Chunks) -> Vec<(usize, usize)> {
        (0..).map_while(|k| chunks.get(k)).map(|chunk| (chunk.number, chunk.rows.start)).collect()
    }

    #[test]
    fn sums_have_numbered_chunks_and_what_has_an_order_has_one() {
        assert_eq!(starts(&Chunks::fixed(&kernel(false), 240)), [(0, 0), (1, 120)]);
        assert_eq!(starts(&Chunks::fixed(&kernel(true), 240)), [(0, 0)]);
        assert_eq!(starts(&Chunks::free(&kernel(false), 24..240, 3)), [(0, 24), (0, 96), (0, 168)]);
    }
}
