//! Asking for memory ahead of its use, and what was written past the caches.

use schur_ir::micro::{Ahead, LINE};

/// Asks for all that was not asked for.
pub(super) fn rest(ahead: &mut Ahead) {
    while ahead.left > 0 {
        let [first, end] = ahead.ranges[ahead.left];
        ask_for(first, end.addr().saturating_sub(first.addr()));
        ahead.left -= 1;
    }
}

/// Asks for so many bytes.
fn ask_for(first: *const u8, bytes: usize) {
    (0..bytes.div_ceil(LINE)).for_each(|k| ask(first.wrapping_add(k * LINE)));
}

/// What a register tile asks for: so many lines in every turn of its loop.
///
/// The machine has room for a few dozen lines that are on their way. More at once, and it waits; arrays larger than its
/// caches took up to 1.6 times as long so (Zen 5).
pub(super) struct Asking<const LINES: usize> {
    line: *const u8,
    step: usize,
}

/// The lines that tiles of so many multiply-adds a turn ask for in each: two, or one, or none where nothing is ahead.
///
/// # Safety
/// What is ahead may be read, if it is not null.
#[inline(always)]
pub(super) unsafe fn lines_a_turn(ahead: *const Ahead, multiply_adds: usize) -> usize {
    // SAFETY: the caller's.
    unsafe { ahead.as_ref() }.map_or(0, |ahead| if multiply_adds > ahead.work { 2 } else { 1 })
}

impl<const LINES: usize> Asking<LINES> {
    /// Goes on where the tile before stopped.
    #[inline(always)]
    pub(super) fn start(ahead: &Ahead) -> Self {
        let [line, end] = ahead.ranges[ahead.left];
        if line < end {
            Asking { line, step: LINES * LINE }
        } else {
            // What is at hand, again and again: to look up an address that is nowhere takes long.
            Asking { line: (&raw const *ahead).cast(), step: 0 }
        }
    }

    /// Asks for the lines of a turn.
    #[inline(always)]
    pub(super) fn turn(&mut self) {
        (0..LINES).for_each(|k| ask(self.line.wrapping_add(k * LINE)));
        self.line = self.line.wrapping_add(self.step);
    }

    /// Notes how far it came, which may be some lines beyond the end.
    #[inline(always)]
    pub(super) fn stop(self, ahead: &mut Ahead) {
        let [line, end] = &mut ahead.ranges[ahead.left];
        if self.step > 0 {
            *line = self.line;
        }
        if *line >= *end {
            ahead.left = ahead.left.saturating_sub(1);
        }
    }
}

/// Asks for a line.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn ask(line: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch reads nothing and faults nowhere.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) }
}

/// Asks for a line.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(super) fn ask(_line: *const u8) {}

/// Lets everybody see what was written past the caches.
#[cfg(target_arch = "x86_64")]
pub(super) fn settle() {
    // SAFETY: every x86-64 has the instruction.
    unsafe { std::arch::x86_64::_mm_sfence() }
}

/// Lets everybody see what was written past the caches.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn settle() {}
