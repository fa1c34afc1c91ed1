//! Threads that help with work: one pool for the process.
//!
//! Work is offered to helpers, and done by the caller too: it needs no helper to be finished, so none is waited for that
//! has not come. One caller has the helpers at a time; whoever else offers work meanwhile does it alone. A helper without
//! work watches for some for a while, and then sleeps.
//!
//! Invariant: a job is read only by helpers that are counted in the `Gate`, and its owner does not go on before their
//! number is zero and the gate is shut.

#![allow(unsafe_code)]

use std::hint::spin_loop;
use std::iter;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError, TryLockError};
use std::thread;

use crate::core::SharedCore;

/// How often a helper looks for work before it sleeps: some tens of microseconds.
const LOOKS: usize = 2000;
/// How often a caller looks whether its helpers are done before it lets other threads have its core.
const PATIENCE: usize = 2000;
/// The largest number of threads that share work.
pub(crate) const MAX_THREADS: usize = 256;

/// Does something with every item, on up to so many threads; which of them does which is open.
pub fn each<I>(threads: usize, items: impl Iterator<Item = I> + Send, one: impl Fn(I) + Sync) {
    if threads <= 1 {
        return items.for_each(one);
    }
    let items = Mutex::new(items);
    // The lock is let go before an item is worked on.
    let next = || items.lock().map_or(None, |mut items| items.next());
    share(threads, &|_| iter::from_fn(next).for_each(&one));
}

/// Does `work` on this thread, as number 0, and on up to `threads - 1` others at the same time, with numbers below
/// `threads`; returns when all of them have returned. Which of them come is open: `work` takes from what is left to do.
pub(crate) fn share(threads: usize, work: &(dyn Fn(usize) + Sync)) {
    POOL.share(threads.min(MAX_THREADS), work);
}

static POOL: Pool = Pool {
    helpers: Mutex::new(0),
    gate: AtomicU64::new(0),
    job: AtomicPtr::new(ptr::null_mut()),
    caller: SharedCore::new(),
    asleep: AtomicUsize::new(0),
    sleep: Mutex::new(()),
    call: Condvar::new(),
};

struct Pool {
    /// How many there are; locked by the caller that has them.
    helpers: Mutex<usize>,
    /// A [`Gate`].
    gate: AtomicU64,
    /// What helpers that are inside work on.
    job: AtomicPtr<Job<'static>>,
    /// Where the last caller was that had work.
    caller: SharedCore,
    asleep: AtomicUsize,
    sleep: Mutex<()>,
    call: Condvar,
}

struct Job<'a> {
    work: &'a (dyn Fn(usize) + Sync),
    seats: u16,
    /// The numbers that helpers have.
    taken: [AtomicBool; MAX_THREADS],
    panicked: AtomicBool,
}

impl<'a> Job<'a> {
    fn new(work: &'a (dyn Fn(usize) + Sync), threads: usize) -> Self {
        let taken = [const { AtomicBool::new(false) }; MAX_THREADS];
        Job { work, seats: (threads.max(1) - 1) as u16, taken, panicked: AtomicBool::new(false) }
    }

    /// A number for one of the helpers that are let in: the one that it would rather have, if that is a seat's and free.
    #[expect(clippy::unreachable, reason = "the gate lets no more helpers in than there are seats")]
    fn number(&self, rather: usize) -> usize {
        let seats = 1..=usize::from(self.seats);
        let is_free =
            |number: &usize| self.taken.get(*number).is_some_and(|taken| !taken.swap(true, Ordering::Relaxed));
        let first = Some(rather).filter(|number| seats.contains(number));
        first.into_iter().chain(seats).find(is_free).unwrap_or_else(|| unreachable!("a helper too many"))
    }
}

/// The number of a job, how many helpers may still join, and how many are inside.
#[derive(Clone, Copy)]
struct Gate {
    job: u32,
    free: u16,
    inside: u16,
}

impl Gate {
    fn new(word: u64) -> Self {
        Gate { job: (word >> 32) as u32, free: (word >> 16) as u16, inside: word as u16 }
    }

    fn word(self) -> u64 {
        u64::from(self.job) << 32 | u64::from(self.free) << 16 | u64::from(self.inside)
    }
}

impl Pool {
    fn share(&'static self, threads: usize, work: &(dyn Fn(usize) + Sync)) {
        let mut helpers = match self.helpers.try_lock() {
            Ok(helpers) => helpers,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return work(0),
        };
        while *helpers + 1 < threads {
            let own = *helpers + 1;
            let helper = thread::Builder::new().name("schur helper".into()).spawn(move || self.help(own));
            match helper {
                Ok(_) => *helpers += 1,
                Err(_) => break,
            }
        }
        let job = Job::new(work, threads);
        let open = Open::new(self, &job);
        work(0);
        drop(open);
        if job.panicked.into_inner() {
            resume_unwind(Box::new("a helper panicked"));
        }
    }

    /// What a helper does all its life. It has the same number in all jobs with as many seats as there are helpers.
    fn help(&self, own: usize) {
        let mut last = 0;
        loop {
            let gate = self.wait(last);
            last = gate.job;
            // SAFETY: this helper is inside, so the owner of the job waits for it, and the job is the one that was there
            // when the gate was opened.
            let job = unsafe { &*self.job.load(Ordering::Acquire) };
            if catch_unwind(AssertUnwindSafe(|| (job.work)(job.number(own)))).is_err() {
                job.panicked.store(true, Ordering::Relaxed);
            }
            self.gate.fetch_sub(1, Ordering::Release);
        }
    }

    /// Waits for another job than the last, and goes inside: the gate as it was before.
    fn wait(&self, last: u32) -> Gate {
        for _ in 0..LOOKS {
            if let Some(gate) = self.enter(last) {
                return gate;
            }
            spin_loop();
        }
        let elsewhere = self.caller.avoid();
        let gate = self.sleep(last);
        drop(elsewhere);
        self.caller.leave();
        gate
    }

    fn sleep(&self, last: u32) -> Gate {
        let mut sleep = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
        self.asleep.fetch_add(1, Ordering::SeqCst);
        loop {
            if let Some(gate) = self.enter(last) {
                self.asleep.fetch_sub(1, Ordering::SeqCst);
                return gate;
            }
            sleep = self.call.wait(sleep).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn enter(&self, last: u32) -> Option<Gate> {
        let mut gate = Gate::new(self.gate.load(Ordering::SeqCst));
        while gate.job != last && gate.free > 0 {
            let after = Gate { free: gate.free - 1, inside: gate.inside + 1, ..gate };
            match self.gate.compare_exchange_weak(gate.word(), after.word(), Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return Some(gate),
                Err(now) => gate = Gate::new(now),
            }
        }
        None
    }
}

/// An open gate; shut when this is dropped.
struct Open(&'static Pool);

impl Open {
    fn new(pool: &'static Pool, job: &Job<'_>) -> Self {
        pool.caller.set();
        pool.job.store(ptr::from_ref(job).cast::<Job<'static>>().cast_mut(), Ordering::Release);
        let before = Gate::new(pool.gate.load(Ordering::Relaxed));
        let gate = Gate { job: before.job.wrapping_add(1), free: job.seats, inside: 0 };
        pool.gate.store(gate.word(), Ordering::SeqCst);
        // A helper counts itself as asleep before it looks at the gate for the last time: either it sees the job, or it
        // is seen here.
        if pool.asleep.load(Ordering::SeqCst) > 0 {
            drop(pool.sleep.lock().unwrap_or_else(PoisonError::into_inner));
            (0..job.seats).for_each(|_| pool.call.notify_one());
        }
        Open(pool)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        const FREE: u64 = (u16::MAX as u64) << 16;
        let mut gate = Gate::new(self.0.gate.fetch_and(!FREE, Ordering::SeqCst));
        for look in 0.. {
            if gate.inside == 0 {
                break;
            }
            if look < PATIENCE {
                spin_loop()
            } else {
                thread::yield_now()
            }
            gate = Gate::new(self.0.gate.load(Ordering::Acquire));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use super::*;

    /// Takes every number below `count` once, and gives how many threads did.
    fn sum(threads: usize, count: usize, pause: Duration) -> usize {
        let (next, sum, came) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicU64::new(0));
        share(threads, &|number| {
            assert!(number < threads.max(1));
            assert_eq!(came.fetch_or(1 << number, Ordering::Relaxed) >> number & 1, 0, "two threads have one number");
            loop {
                let taken = next.fetch_add(1, Ordering::Relaxed);
                if taken >= count {
                    break;
                }
                sum.fetch_add(taken + 1, Ordering::Relaxed);
                thread::sleep(pause);
            }
        });
        assert_eq!(sum.into_inner(), count * (count + 1) / 2);
        came.into_inner().count_ones() as usize
    }

    /// How often a test does something: Miri takes seconds for what takes microseconds.
    fn times(count: usize) -> usize {
        if cfg!(miri) { 1 + count / 100 } else { count }
    }

    #[test]
    fn work_is_done_once_by_any_number_of_threads() {
        for threads in [0, 1, 2, 3, 8, 40] {
            for count in [0, 1, 2, 100] {
                for _ in 0..times(50) {
                    let came = sum(threads, count, Duration::ZERO);
                    assert!((1..=threads.max(1)).contains(&came));
                }
            }
        }
    }

    #[test]
    fn callers_do_not_wait_for_each_other() {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..times(200)).for_each(|k| assert!(sum(3, k % 7, Duration::ZERO) > 0)));
            }
        });
    }

    /// Taken by tests that need helpers, and by those that keep them busy.
    static TURN: Mutex<()> = Mutex::new(());

    #[test]
    fn helpers_wake_up() {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        thread::sleep(Duration::from_millis(20));
        // Another test may have the helpers now and then.
        assert!((0..20).any(|_| sum(4, 20, Duration::from_millis(1)) > 1));
    }

    #[test]
    fn panics_come_back_to_the_caller() {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let panicked = || catch_unwind(|| share(3, &|number| assert!(number == 9, "on purpose"))).is_err();
        assert!(panicked());
        let of_helpers = || {
            catch_unwind(|| {
                let came = AtomicBool::new(false);
                share(2, &|number| {
                    if number > 0 {
                        came.store(true, Ordering::Relaxed);
                        panic!("on purpose");
                    }
                    for _ in 0..100 {
                        if came.load(Ordering::Relaxed) {
                            break;
                        }
                        thread::sleep(Duration::from_millis(1));
                    }
                });
            })
            .is_err()
        };
        assert!((0..20).any(|_| of_helpers()));
        sum(3, 100, Duration::ZERO);
    }

    /// Callers with work of any size, pauses and panics among it, for some time. `SCHUR_SECONDS` says how long.
    #[test]
    fn any_mixture_of_work_is_done() {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = std::env::var("SCHUR_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
        let end = std::time::Instant::now() + Duration::from_secs(seconds);
        thread::scope(|scope| {
            for caller in 0..6u64 {
                scope.spawn(move || {
                    let mut state = caller;
                    let mut below = |bound: u64| {
                        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                        (state >> 33) % bound
                    };
                    while std::time::Instant::now() < end {
                        let (threads, count) = (below(9) as usize, below(40) as usize);
                        match below(50) {
                            0 => thread::sleep(Duration::from_micros(below(3000))),
                            1 => {
                                let panicked =
                                    catch_unwind(|| share(threads, &|number| assert!(number > 0, "on purpose")));
                                assert!(panicked.is_err());
                            }
                            2 => assert!(sum(threads, count, Duration::from_micros(below(100))) > 0),
                            _ => assert!(sum(threads, count, Duration::ZERO) > 0),
                        }
                    }
                });
            }
        });
    }
}
