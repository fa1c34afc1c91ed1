//! Which thread takes which part of some work.
//!
//! Every thread has a share of its own, parts that lie side by side, the same ones whenever there are as many parts: what one
//! kernel wrote is then read by the next on the same core, from its own cache. Who is done takes the last part of
//! another's share.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::pool::MAX_THREADS;

/// Numbers to be taken, each once.
pub(crate) struct Shares {
    /// Of every thread, what is left of its share.
    left: [AtomicU64; MAX_THREADS],
    threads: usize,
}

impl Shares {
    /// These numbers, below 2³², for so many threads.
    pub(crate) fn new(all: Range<usize>, threads: usize) -> Self {
        let threads = threads.clamp(1, MAX_THREADS);
        let mut left = [const { AtomicU64::new(0) }; MAX_THREADS];
        let bound = |thread: usize| (all.start + all.len() * thread / threads) as u32;
        for (thread, left) in left.iter_mut().enumerate().take(threads) {
            *left.get_mut() = word(bound(thread)..bound(thread + 1));
        }
        Shares { left, threads }
    }

    /// A number that nobody has taken: of this thread's share, or else of another's. None where there is none.
    pub(crate) fn take(&self, thread: usize) -> Option<usize> {
        let (before, from) = self.left.get(..self.threads)?.split_at_checked(thread)?;
        let (own, after) = from.split_first()?;
        let first = |left: Range<u32>| (left.start, left.start + 1..left.end);
        let last = |left: Range<u32>| (left.end - 1, left.start..left.end - 1);
        let others = || after.iter().chain(before).find_map(|other| take(other, last));
        take(own, first).or_else(others)
    }
}

/// Takes a number of a share that is not empty.
fn take(share: &AtomicU64, one: impl Fn(Range<u32>) -> (u32, Range<u32>)) -> Option<usize> {
    let after = |now: u64| {
        let left = range(now);
        (!left.is_empty()).then(|| word(one(left).1))
    };
    let before = share.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after).ok()?;
    Some(one(range(before)).0 as usize)
}

fn word(range: Range<u32>) -> u64 {
    u64::from(range.start) << 32 | u64::from(range.end)
}

fn range(word: u64) -> Range<u32> {
    (word >> 32) as u32..word as u32
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_thread_takes_its_own_share_first_and_then_the_ends_of_others() {
        let shares = Shares::new(2..9, 3);
        let taken: Vec<_> = (0..8).map(|_| shares.take(1)).collect();
        assert_eq!(taken, [4, 5, 8, 7, 6, 3, 2].map(Some).into_iter().chain([None]).collect::<Vec<_>>());
        assert_eq!(Shares::new(0..2, 2).take(1), Some(1));
        assert_eq!((Shares::new(0..1, 4).take(0), Shares::new(0..5, 0).take(0)), (Some(0), Some(0)));
        assert_eq!(Shares::new(0..5, 2).take(2), None, "no such thread");
    }

    #[test]
    fn every_number_is_taken_once() {
        let (shares, taken) = (Shares::new(5..2000, 4), Mutex::new(Vec::new()));
        thread::scope(|scope| {
            for thread in 0..4 {
                let (shares, taken) = (&shares, &taken);
                scope.spawn(move || {
                    let mine: Vec<usize> = std::iter::from_fn(|| shares.take(thread)).collect();
                    taken.lock().expect("no panic").extend(mine);
                });
            }
        });
        let mut taken = taken.into_inner().expect("no panic");
        taken.sort_unstable();
        assert!(taken.into_iter().eq(5..2000));
    }

    proptest! {
        #[test]
        fn shares_differ_by_one_at_most(count in 0usize..5000, start in 0usize..100, threads in 1usize..MAX_THREADS) {
            let shares = Shares::new(start..start + count, threads);
            let sizes: Vec<usize> = shares.left.iter().take(threads).map(|left| range(left.load(Ordering::Relaxed)).len()).collect();
            prop_assert_eq!(sizes.iter().sum::<usize>(), count);
            prop_assert!(sizes.iter().all(|size| (count / threads..=count.div_ceil(threads)).contains(size)));
        }
    }
}
