//! Which core a thread is on. The system may wake a helper on the core of its caller, though others are idle: there it waits
//! until the caller has done all the work alone, and is woken there again the next time. So helpers sleep without a right to
//! their caller's core, and where the caller moved meanwhile they leave its core when they wake.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of a core, or [`NONE`].
pub(crate) struct SharedCore(AtomicUsize);

/// No core, or one that the system does not tell.
const NONE: usize = usize::MAX;

impl SharedCore {
    pub(crate) const fn new() -> Self {
        SharedCore(AtomicUsize::new(NONE))
    }

    /// Sets it to the core of this thread.
    pub(crate) fn set(&self) {
        self.0.store(system::current().unwrap_or(NONE), Ordering::Relaxed);
    }

    /// Keeps this thread off the core until this is dropped, if it may run on others.
    pub(crate) fn avoid(&self) -> Option<system::Elsewhere> {
        system::Elsewhere::than(self.0.load(Ordering::Relaxed))
    }

    /// Moves this thread to another core, if it is on this one and may run on others.
    pub(crate) fn leave(&self) {
        if system::current() == Some(self.0.load(Ordering::Relaxed)) {
            drop(self.avoid());
        }
    }
}

#[cfg(all(target_os = "linux", not(miri)))]
mod system {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

    pub(super) fn current() -> Option<usize> {
        Some(sched_getcpu())
    }

    /// The right of this thread to all of its cores but one; it has all of them again when this is dropped.
    pub(crate) struct Elsewhere {
        allowed: CpuSet,
        others: CpuSet,
    }

    impl Elsewhere {
        /// A thread that is on this core is moved at once. None where it is not known, or the thread has no other.
        pub(super) fn than(core: usize) -> Option<Self> {
            let allowed = sched_getaffinity(None).ok()?;
            let mut others = allowed;
            if core < CpuSet::MAX_CPU {
                others.unset(core);
            }
            let is_less = (1..allowed.count()).contains(&others.count());
            (is_less && sched_setaffinity(None, &others).is_ok()).then_some(Elsewhere { allowed, others })
        }
    }

    impl Drop for Elsewhere {
        fn drop(&mut self) {
            // Whoever gave the thread other cores meanwhile has the last word.
            if sched_getaffinity(None).is_ok_and(|now| now == self.others) {
                // Fails only if the process has lost all of these cores; the thread has cores then that it got instead.
                let _ = sched_setaffinity(None, &self.allowed);
            }
        }
    }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
mod system {
    pub(super) fn current() -> Option<usize> {
        None
    }

    pub(crate) enum Elsewhere {}

    impl Elsewhere {
        pub(super) fn than(_core: usize) -> Option<Self> {
            None
        }
    }
}

#[cfg(all(test, target_os = "linux", not(miri)))]
mod tests {
    use rustix::thread::sched_getaffinity;

    use super::*;

    #[test]
    fn a_thread_leaves_a_core_and_may_come_back() {
        let allowed = sched_getaffinity(None).expect("a mask");
        let core = SharedCore::new();
        core.leave();
        // The system may move the thread between two lines, but not a hundred times.
        let left = (0..100).any(|_| {
            core.set();
            core.leave();
            system::current() != Some(core.0.load(Ordering::Relaxed))
        });
        assert!(left || allowed.count() == 1);
        assert_eq!(sched_getaffinity(None).expect("a mask"), allowed);
    }

    #[test]
    fn a_thread_stays_off_a_core_for_a_while() {
        let allowed = sched_getaffinity(None).expect("a mask");
        let core = SharedCore::new();
        assert!(core.avoid().is_none(), "no core is to be avoided");
        core.set();
        let avoided = core.0.load(Ordering::Relaxed);
        let elsewhere = core.avoid();
        assert_eq!(elsewhere.is_some(), allowed.count() > 1);
        let now = sched_getaffinity(None).expect("a mask");
        assert_eq!(now.is_set(avoided), elsewhere.is_none());
        assert!(elsewhere.is_none() || system::current() != Some(avoided));
        drop(elsewhere);
        assert_eq!(sched_getaffinity(None).expect("a mask"), allowed);
    }
}
