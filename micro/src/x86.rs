//! AVX-512 and AVX2 vectors, and what is common to them.

mod avx2;
mod avx512;

use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_stream_si128};
use std::ops::Range;

pub(super) use avx2::{F32x8, F64x4};
pub(super) use avx512::{F32x16, F64x8};

/// The larger and the smaller one, by the names of instructions that give their second operand where either is NaN.
macro_rules! extremes {
    ($v:ty, $larger:ident, $smaller:ident) => {
        #[inline(always)]
        unsafe fn larger(a: $v, b: $v) -> $v {
            unsafe { Self::choose(Self::is_equal(a, a), $larger(a, b), a) }
        }
        #[inline(always)]
        unsafe fn at_most(a: $v, bound: $v) -> $v {
            unsafe { $smaller(bound, a) }
        }
        #[inline(always)]
        unsafe fn at_least(a: $v, bound: $v) -> $v {
            unsafe { $larger(bound, a) }
        }
    };
}

use extremes;

/// Writes a vector past the caches, from one of its bytes to another, in quarters or halves of it.
///
/// # Safety
/// As for [`Simd::store_past_part`](super::simd::Simd::store_past_part).
#[inline(always)]
unsafe fn store_past_bytes<V>(to: *mut u8, v: V, bytes: Range<usize>) {
    // SAFETY: the caller's.
    unsafe {
        let from: *const u8 = (&raw const v).cast();
        for k in bytes.step_by(size_of::<__m128i>()) {
            _mm_stream_si128(to.add(k).cast(), _mm_loadu_si128(from.add(k).cast()));
        }
    }
}
