//! How the rows of a kernel are cut.

use std::ops::Range;

use crate::program::MAX_CHUNKS;

/// The rows of a chunk at least, so that partial sums pay. Where rows are much work, or sums large,
/// [others](crate::program::Kernel::chunk) hold.
pub const CHUNK_ROWS: usize = 96;

/// The rows of a kernel in parts of about one size, in order. None is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    rows: Range<usize>,
    /// The rows between two places where parts may end; not zero.
    unit: usize,
    parts: usize,
}

impl Cut {
    /// All rows in one part.
    pub fn whole(rows: usize) -> Self {
        Cut { rows: 0..rows, unit: rows.max(1), parts: rows.min(1) }
    }

    /// The chunks of a kernel that sums over its rows, in tiles of `tile`, with at least about `least` in a chunk: they
    /// depend on nothing else. There are up to 1, 2, 4 or [`MAX_CHUNKS`], which as many threads share evenly; four have 64
    /// rows or more, eight [`CHUNK_ROWS`], since more copies take longer to add.
    pub fn in_chunks(rows: usize, tile: usize, least: usize) -> Self {
        let most = [(MAX_CHUNKS, CHUNK_ROWS), (4, 64), (2, 0)];
        let fits = most.into_iter().find(|(chunks, of)| rows >= chunks.saturating_mul(least.max(*of)));
        Cut::in_parts(0..rows, fits.map_or(1, |(chunks, _)| chunks), tile)
    }

    /// These rows in up to so many parts, which end where tiles do, if parts have many of them, and else where products and
    /// sums over rows have gone through as many rows as they take at a time, since parts of one size are worth more.
    pub fn in_parts(rows: Range<usize>, parts: usize, tile: usize) -> Self {
        const MANY: usize = 8;
        let (parts, tile) = (parts.max(1), tile.max(1));
        let at_a_time = || [12, 8].into_iter().find(|rows| tile.is_multiple_of(*rows)).unwrap_or(tile);
        let unit = if rows.len() / parts >= tile.saturating_mul(MANY) { tile } else { at_a_time() };
        let units = rows.len().div_ceil(unit);
        Cut { rows, unit, parts: parts.min(units) }
    }

    /// The number of parts; none where there is no row.
    pub fn count(&self) -> usize {
        self.parts
    }

    /// The rows of a part; none where there are not so many parts.
    pub fn part(&self, k: usize) -> Option<Range<usize>> {
        (k < self.parts).then(|| self.start(k)..self.start(k + 1))
    }

    /// Where a part starts; for `k` the number of parts, where the last ends. Units are shared as evenly as whole ones can be.
    fn start(&self, k: usize) -> usize {
        let (units, parts) = (self.rows.len().div_ceil(self.unit), self.parts);
        let before = units / parts * k + units % parts * k / parts;
        self.rows.start + before.saturating_mul(self.unit).min(self.rows.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sizes(cut: &Cut) -> Vec<usize> {
        (0..cut.count()).filter_map(|k| cut.part(k)).map(|part| part.len()).collect()
    }

    #[test]
    fn chunks_have_about_one_size() {
        let cut = |rows, tile, least| sizes(&Cut::in_chunks(rows, tile, least));
        assert_eq!(cut(191, 96, 96), [191]);
        assert_eq!(cut(192, 96, 96), [96, 96]);
        assert_eq!(cut(256, 96, 96), [132, 124]);
        assert_eq!(cut(500, 8, 96), [120, 128, 128, 124]);
        assert_eq!(cut(1000, 84, 96), [120, 132, 120, 132, 120, 132, 120, 124]);
        assert_eq!(cut(10_000, 84, 96), [1260, 1260, 1260, 1260, 1260, 1260, 1260, 1180]);
        assert_eq!([63, 64, 255].map(|rows| cut(rows, 24, 32)), [vec![63], vec![36, 28], vec![132, 123]]);
        assert_eq!(cut(256, 24, 32), [60, 72, 60, 64]);
        assert_eq!([767, 768].map(|rows| cut(rows, 24, 32).len()), [4, 8]);
        assert_eq!(
            (cut(1000, 12, 256), cut(2000, 60, 256), cut(300, 60, 480)),
            (vec![504, 496], vec![480, 540, 480, 500], vec![300])
        );
    }

    proptest! {
        #[test]
        fn parts_cover_all_rows_in_order(start in 0usize..100, rows in 0usize..10_000, tile in 0usize..300, parts in 0usize..50,
            least in 0usize..600) {
            let free = Cut::in_parts(start..start + rows, parts, tile);
            let chunks = Cut::in_chunks(rows, tile, least);
            prop_assert!(free.count() <= parts.max(1) && chunks.count() <= MAX_CHUNKS);
            // Whole units are shared: the even share of a chunk has `least` rows, and a chunk less than a unit fewer.
            prop_assert!(chunks.count() <= 1 || rows / chunks.count() >= least);
            prop_assert!(chunks.count() <= 1 || sizes(&chunks).iter().rev().skip(1).all(|size| size + chunks.unit > least));
            for (cut, start) in [(free, start), (chunks, 0), (Cut::whole(rows), 0)] {
                let all: Vec<_> = (0..).map_while(|k| cut.part(k)).collect();
                prop_assert_eq!(all.len(), cut.count());
                prop_assert!(all.iter().all(|part| !part.is_empty()));
                prop_assert!(all.iter().cloned().flatten().eq(start..start + rows));
                let sizes = all.iter().map(|part| part.len());
                if let (Some(most), Some(least)) = (sizes.clone().max(), sizes.rev().skip(1).min()) {
                    prop_assert!(most - least <= cut.unit);
                }
                let whole = |unit: usize| all.iter().rev().skip(1).all(|part| (part.end - start).is_multiple_of(unit));
                prop_assert!([tile.max(1), 12, 8].into_iter().any(whole));
            }
        }
    }
}
