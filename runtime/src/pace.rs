//! How fast kernels are, as it was measured: what decides whether threads pay. Results do not depend on it.

use std::time::Duration;

/// Work that takes less than this stays on one thread.
const WORTHWHILE: Duration = Duration::from_micros(20);
/// The parts that work is cut in take no less than this.
const PART: Duration = Duration::from_micros(5);
/// The parts a thread, so that one that is late has fewer.
const PARTS_A_THREAD: usize = 4;
/// The rows that a measurement needs: fewer are done before a clock is read.
pub(crate) const MEASURED_ROWS: usize = 16;
/// The part of the rows that is computed to learn the pace of a kernel.
pub(crate) const FIRST_PART: usize = 16;

/// The least time of a row that was measured, in picoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pace(Option<u64>);

impl Pace {
    /// Learns from rows that were computed in this time.
    pub(crate) fn learn(&mut self, rows: usize, time: Duration) {
        if rows >= MEASURED_ROWS {
            let found = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).saturating_mul(1000) / rows as u64;
            self.0 = Some(self.0.map_or(found, |known| known.min(found)));
        }
    }

    /// True where nothing was measured.
    pub(crate) fn is_unknown(self) -> bool {
        self.0.is_none()
    }

    /// In how many parts so many rows are to be cut for threads; 1 where these do not pay.
    pub(crate) fn parts(self, rows: usize, threads: usize) -> usize {
        let time = Duration::from_nanos(self.0.unwrap_or(0).saturating_mul(rows as u64) / 1000);
        if time < WORTHWHILE || threads <= 1 {
            return 1;
        }
        let most = usize::try_from(time.as_nanos() / PART.as_nanos()).unwrap_or(usize::MAX);
        threads.saturating_mul(PARTS_A_THREAD).min(most).max(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_work_is_not_shared() {
        let mut pace = Pace::default();
        assert!(pace.is_unknown());
        assert_eq!(pace.parts(1_000_000, 8), 1);
        pace.learn(MEASURED_ROWS - 1, Duration::ZERO);
        assert!(pace.is_unknown());
        pace.learn(1000, Duration::from_micros(50));
        pace.learn(1000, Duration::from_micros(10));
        pace.learn(1000, Duration::from_micros(30));
        // 10 nanoseconds a row.
        assert_eq!((pace.parts(1900, 2), pace.parts(2000, 2), pace.parts(2000, 1)), (1, 4, 1));
        assert_eq!((pace.parts(1_000_000, 2), pace.parts(usize::MAX, 3)), (8, 12));
    }
}
