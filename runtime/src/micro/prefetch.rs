//! Asking for memory ahead of its use.

use schur_ir::micro::Prefetch;

/// Bytes of a line of the cache.
const LINE: usize = 64;

/// Asks for all lines of `rows` rows that start at `first`.
pub(super) fn run(prefetch: &Prefetch, first: *const u8, rows: usize) {
    for line in 0..(rows * prefetch.row_bytes).div_ceil(LINE) {
        ask(first.wrapping_add(line * LINE), prefetch.written);
    }
}

#[cfg(target_arch = "x86_64")]
fn ask(line: *const u8, written: bool) {
    use std::arch::x86_64::{_MM_HINT_ET0, _MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch reads nothing and faults nowhere.
    unsafe {
        if written { _mm_prefetch::<_MM_HINT_ET0>(line.cast()) } else { _mm_prefetch::<_MM_HINT_T0>(line.cast()) }
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn ask(_line: *const u8, _written: bool) {}
