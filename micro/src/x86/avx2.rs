//! AVX2 vectors.

// SAFETY of all blocks here: the caller answers for the instruction set and for pointers, as the trait says.
#![allow(clippy::undocumented_unsafe_blocks, reason = "every block has the reason above")]

use std::arch::x86_64::*;
use std::ops::Range;

use super::{extremes, store_past_bytes};
use crate::simd::{Simd, instructions};

/// 8 `f32` lanes: AVX2 and FMA.
#[derive(Clone, Copy)]
pub(crate) struct F32x8;
/// 4 `f64` lanes: AVX2 and FMA.
#[derive(Clone, Copy)]
pub(crate) struct F64x4;

impl Simd for F32x8 {
    instructions!(
        __m256,
        f32,
        false,
        _mm256_set1_ps,
        _mm256_mul_ps,
        _mm256_add_ps,
        _mm256_sub_ps,
        _mm256_div_ps,
        _mm256_sqrt_ps
    );
    extremes!(__m256, _mm256_max_ps, _mm256_min_ps);
    type Mask = __m256i;
    type Lanes = __m256;

    #[inline(always)]
    unsafe fn splat_pair(from: *const f32) -> __m256 {
        unsafe { _mm256_castpd_ps(_mm256_set1_pd(from.cast::<f64>().read_unaligned())) }
    }
    #[inline(always)]
    unsafe fn first(count: usize) -> __m256i {
        unsafe { _mm256_cmpgt_epi32(_mm256_set1_epi32(count as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m256 {
        unsafe { _mm256_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn load_first(from: *const f32, mask: __m256i) -> __m256 {
        unsafe { _mm256_maskload_ps(from, mask) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, v: __m256) {
        unsafe { _mm256_storeu_ps(to, v) }
    }
    #[inline(always)]
    unsafe fn store_past(to: *mut f32, v: __m256) {
        unsafe { _mm256_stream_ps(to, v) }
    }
    #[inline(always)]
    unsafe fn store_past_part(to: *mut f32, v: __m256, lanes: Range<usize>) {
        unsafe { store_past_bytes(to.cast(), v, 4 * lanes.start..4 * lanes.end) }
    }
    #[inline(always)]
    unsafe fn store_first(to: *mut f32, v: __m256, mask: __m256i) {
        unsafe { _mm256_maskstore_ps(to, mask, v) }
    }
    #[inline(always)]
    unsafe fn multiply_add(a: __m256, b: __m256, c: __m256) -> __m256 {
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    const PICKS_OF_TWO: bool = false;
    #[inline(always)]
    unsafe fn pick(a: __m256, b: __m256, index: *const i32) -> __m256 {
        unsafe {
            let index = _mm256_loadu_si256(index.cast());
            let of_b = _mm256_castsi256_ps(_mm256_slli_epi32::<28>(index));
            _mm256_blendv_ps(_mm256_permutevar8x32_ps(a, index), _mm256_permutevar8x32_ps(b, index), of_b)
        }
    }
    #[inline(always)]
    unsafe fn mix(a: __m256, b: __m256, lanes: u32) -> __m256 {
        unsafe {
            let lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
            let of_b = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(lanes as i32), lane), lane);
            _mm256_blendv_ps(a, b, _mm256_castsi256_ps(of_b))
        }
    }
    #[inline(always)]
    unsafe fn nearest(a: __m256) -> __m256 {
        unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }
    #[inline(always)]
    unsafe fn scale(a: __m256, n: __m256) -> __m256 {
        unsafe {
            let (n, bias) = (_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
            let half = _mm256_srai_epi32::<1>(n);
            let [x, y] = [half, _mm256_sub_epi32(n, half)]
                .map(|n| _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(n, bias))));
            _mm256_mul_ps(_mm256_mul_ps(a, x), y)
        }
    }
    #[inline(always)]
    unsafe fn is_greater(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_cmp_ps::<_CMP_GT_OQ>(a, b) }
    }
    #[inline(always)]
    unsafe fn is_equal(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_cmp_ps::<_CMP_EQ_OQ>(a, b) }
    }
    #[inline(always)]
    unsafe fn choose(lanes: __m256, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_blendv_ps(b, a, lanes) }
    }
}

impl Simd for F64x4 {
    instructions!(
        __m256d,
        f64,
        true,
        _mm256_set1_pd,
        _mm256_mul_pd,
        _mm256_add_pd,
        _mm256_sub_pd,
        _mm256_div_pd,
        _mm256_sqrt_pd
    );
    extremes!(__m256d, _mm256_max_pd, _mm256_min_pd);
    type Mask = __m256i;
    type Lanes = __m256d;

    #[inline(always)]
    unsafe fn splat_pair(from: *const f64) -> __m256d {
        unsafe { _mm256_broadcast_pd(&_mm_loadu_pd(from)) }
    }
    #[inline(always)]
    unsafe fn first(count: usize) -> __m256i {
        unsafe { _mm256_cmpgt_epi64(_mm256_set1_epi64x(count as i64), _mm256_setr_epi64x(0, 1, 2, 3)) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f64) -> __m256d {
        unsafe { _mm256_loadu_pd(from) }
    }
    #[inline(always)]
    unsafe fn load_first(from: *const f64, mask: __m256i) -> __m256d {
        unsafe { _mm256_maskload_pd(from, mask) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f64, v: __m256d) {
        unsafe { _mm256_storeu_pd(to, v) }
    }
    #[inline(always)]
    unsafe fn store_past(to: *mut f64, v: __m256d) {
        unsafe { _mm256_stream_pd(to, v) }
    }
    #[inline(always)]
    unsafe fn store_past_part(to: *mut f64, v: __m256d, lanes: Range<usize>) {
        unsafe { store_past_bytes(to.cast(), v, 8 * lanes.start..8 * lanes.end) }
    }
    #[inline(always)]
    unsafe fn store_first(to: *mut f64, v: __m256d, mask: __m256i) {
        unsafe { _mm256_maskstore_pd(to, mask, v) }
    }
    #[inline(always)]
    unsafe fn multiply_add(a: __m256d, b: __m256d, c: __m256d) -> __m256d {
        unsafe { _mm256_fmadd_pd(a, b, c) }
    }
    const PICKS_OF_TWO: bool = false;
    #[inline(always)]
    unsafe fn pick(a: __m256d, b: __m256d, index: *const i32) -> __m256d {
        unsafe {
            // Lanes of two floats each: 2 k and 2 k + 1.
            let index = _mm256_cvtepi32_epi64(_mm_loadu_si128(index.cast()));
            let low = _mm256_slli_epi64::<1>(index);
            let high = _mm256_slli_epi64::<32>(_mm256_add_epi64(low, _mm256_set1_epi64x(1)));
            let halves = _mm256_or_si256(low, high);
            let [a, b] =
                [a, b].map(|v| _mm256_castsi256_pd(_mm256_permutevar8x32_epi32(_mm256_castpd_si256(v), halves)));
            _mm256_blendv_pd(a, b, _mm256_castsi256_pd(_mm256_slli_epi64::<61>(index)))
        }
    }
    #[inline(always)]
    unsafe fn mix(a: __m256d, b: __m256d, lanes: u32) -> __m256d {
        unsafe {
            let lane = _mm256_setr_epi64x(1, 2, 4, 8);
            let of_b = _mm256_cmpeq_epi64(_mm256_and_si256(_mm256_set1_epi64x(lanes.into()), lane), lane);
            _mm256_blendv_pd(a, b, _mm256_castsi256_pd(of_b))
        }
    }
    #[inline(always)]
    unsafe fn nearest(a: __m256d) -> __m256d {
        unsafe { _mm256_round_pd::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }
    #[inline(always)]
    unsafe fn scale(a: __m256d, n: __m256d) -> __m256d {
        unsafe {
            let (n, bias) = (_mm256_cvtpd_epi32(n), _mm_set1_epi32(1023));
            let half = _mm_srai_epi32::<1>(n);
            let [x, y] = [half, _mm_sub_epi32(n, half)].map(|n| {
                let exponent = _mm256_cvtepi32_epi64(_mm_add_epi32(n, bias));
                _mm256_castsi256_pd(_mm256_slli_epi64::<52>(exponent))
            });
            _mm256_mul_pd(_mm256_mul_pd(a, x), y)
        }
    }
    #[inline(always)]
    unsafe fn is_greater(a: __m256d, b: __m256d) -> __m256d {
        unsafe { _mm256_cmp_pd::<_CMP_GT_OQ>(a, b) }
    }
    #[inline(always)]
    unsafe fn is_equal(a: __m256d, b: __m256d) -> __m256d {
        unsafe { _mm256_cmp_pd::<_CMP_EQ_OQ>(a, b) }
    }
    #[inline(always)]
    unsafe fn choose(lanes: __m256d, a: __m256d, b: __m256d) -> __m256d {
        unsafe { _mm256_blendv_pd(b, a, lanes) }
    }
}
