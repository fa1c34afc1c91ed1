//! Chunks: the parts of a kernel's rows that one call of its code computes.

use std::ops::Range;

use schur_ir::program::{Kernel, chunk_rows};

/// Some rows of a kernel, and the copy of partial buffers that they add to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Below `MAX_CHUNKS`.
    pub(crate) number: usize,
    /// Not empty.
    pub(crate) rows: Range<usize>,
}

/// The number of rows of all chunks but the last; not zero.
fn step(kernel: &Kernel, rows: usize) -> usize {
    if kernel.serial { rows.max(1) } else { chunk_rows(rows, kernel.tile) }
}

/// The number of chunks; none where there is no row.
pub(crate) fn count(kernel: &Kernel, rows: usize) -> usize {
    rows.div_ceil(step(kernel, rows))
}

/// The chunks, in order.
pub(crate) fn chunks(kernel: &Kernel, rows: usize) -> impl Iterator<Item = Chunk> {
    let step = step(kernel, rows);
    (0..count(kernel, rows)).map(move |number| {
        let begin = number * step;
        Chunk { number, rows: begin..rows.min(begin.saturating_add(step)) }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use schur_ir::dim::Dim;
    use schur_ir::program::{MAX_CHUNKS, MIN_CHUNK_ROWS};

    use super::*;

    proptest! {
        #[test]
        fn chunks_cover_all_rows_in_order(rows in 0usize..10_000, tile in 0usize..300, serial: bool) {
            let kernel = Kernel { name: String::new(), rows: Dim::one(), tile, scratch: 0, serial };
            let all: Vec<Chunk> = chunks(&kernel, rows).collect();
            prop_assert_eq!(all.len(), count(&kernel, rows));
            let most = if serial { 1 } else { MAX_CHUNKS };
            prop_assert!(all.len() <= most);
            prop_assert!(all.iter().flat_map(|c| c.rows.clone()).eq(0..rows));
            prop_assert!(all.iter().enumerate().all(|(k, c)| c.number == k && !c.rows.is_empty()));
            for chunk in all.iter().rev().skip(1) {
                prop_assert!(chunk.rows.len() >= MIN_CHUNK_ROWS && chunk.rows.len() % tile.max(1) == 0);
            }
        }
    }
}
