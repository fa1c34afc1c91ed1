//! Which core a thread is on. The system may wake a helper on the core of its caller, though others are idle: there it waits
//! until the caller has done all the work alone, and is woken there again the next time.

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

    /// Moves this thread to another core, if it is on this one and may run on others.
    pub(crate) fn leave(&self) {
        if let Some(core) = system::current()
            && core == self.0.load(Ordering::Relaxed)
        {
            system::leave(core);
        }
    }
}

#[cfg(all(target_os = "linux", not(miri)))]
mod system {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

    pub(super) fn current() -> Option<usize> {
        Some(sched_getcpu())
    }

    /// Takes the core from this thread, so that the system moves it at once, and gives it back.
    pub(super) fn leave(core: usize) {
        let Ok(allowed) = sched_getaffinity(None) else { return };
        let mut others = allowed;
        if core < CpuSet::MAX_CPU {
            others.unset(core);
        }
        if others.count() > 0 && sched_setaffinity(None, &others).is_ok() {
            // Fails only if the process has lost all of these cores meanwhile; the thread has cores then that it got instead.
            let _ = sched_setaffinity(None, &allowed);
        }
    }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
mod system {
    pub(super) fn current() -> Option<usize> {
        None
    }

    pub(super) fn leave(_core: usize) {}
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
}
