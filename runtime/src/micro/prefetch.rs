//! Asking for memory ahead of its use, and what was written past the caches.

use schur_ir::micro::Ahead;

use crate::aligned::LINE;

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

/// What a register tile asks for: one or two lines in every turn of its loop, or none.
///
/// The machine has room for a few dozen lines that are on their way. More at once, and it waits; arrays larger than its
/// caches took up to 1.6 times as long so (Zen 5).
pub(super) struct Asking {
    line: *const u8,
    step: usize,
}

impl Asking {
    /// Goes on where the tile before stopped, at the pace of tiles of so many multiply-adds a turn.
    #[inline(always)]
    pub(super) fn start(ahead: &Ahead, multiply_adds: usize) -> Self {
        let [line, end] = ahead.ranges[ahead.left];
        if line < end {
            let lines = if multiply_adds > ahead.work { 2 } else { 1 };
            Asking { line, step: lines * LINE }
        } else {
            // What is at hand, again and again: to look up an address that is nowhere takes long.
            Asking { line: (&raw const *ahead).cast(), step: 0 }
        }
    }

    /// Asks for the lines of a turn.
    #[inline(always)]
    pub(super) fn turn(&mut self) {
        ask(self.line);
        ask(self.line.wrapping_add(self.step / 2));
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
