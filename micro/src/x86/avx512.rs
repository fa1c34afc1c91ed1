//! AVX-512 vectors.

// SAFETY of all blocks here: the caller answers for the instruction set and for pointers, as the trait says.
#![allow(clippy::undocumented_unsafe_blocks, reason = "every block has the reason above")]

use std::arch::x86_64::*;
use std::ops::Range;

use super::{extremes, store_past_bytes};
use crate::simd::{Simd, Sixteenths, instructions};

/// 16 `f32` lanes: AVX-512F.
#[derive(Clone, Copy)]
pub(crate) struct F32x16;
/// 8 `f64` lanes: AVX-512F.
#[derive(Clone, Copy)]
pub(crate) struct F64x8;

/// The number to which the last bit of a float is 1/16.
const SIXTEENTHS: f32 = 1.5 * (1 << 19) as f32;

/// 2^(k/16).
#[allow(clippy::excessive_precision, reason = "the digits from which the nearest floats are found")]
const POWERS: [f32; 16] = [
    1.0,
    1.044_273_782_427_413_8,
    1.090_507_732_665_257_7,
    1.138_788_634_756_691_7,
    1.189_207_115_002_721_1,
    1.241_857_812_073_484,
    1.296_839_554_651_009_7,
    1.354_255_546_936_892_7,
    std::f32::consts::SQRT_2,
    1.476_826_145_939_499_3,
    1.542_210_825_407_940_8,
    1.610_490_331_949_254_3,
    1.681_792_830_507_429,
    1.756_252_160_373_299_5,
    1.834_008_086_409_342_5,
    1.915_206_561_397_147_3,
];

/// What 2^(k/16) is above the float nearest to it, as a part of that.
const POWERS_BEYOND: [f32; 16] = [
    0.0,
    4.628_547e-8,
    -1.199_215_75e-8,
    4.729_782_4e-8,
    3.193_418e-8,
    3.621_057_2e-8,
    -3.099_072e-8,
    -7.475_213e-9,
    1.711_427_1e-8,
    -3.047_683_4e-8,
    5.233_334e-9,
    6.107_591_8e-9,
    -1.471_960_5e-8,
    -5.258_795e-9,
    -6.128_259_7e-9,
    5.140_609_3e-9,
];

impl Simd for F32x16 {
    instructions!(
        __m512,
        f32,
        false,
        _mm512_set1_ps,
        _mm512_mul_ps,
        _mm512_add_ps,
        _mm512_sub_ps,
        _mm512_div_ps,
        _mm512_sqrt_ps
    );
    extremes!(__m512, _mm512_max_ps, _mm512_min_ps);
    type Mask = __mmask16;
    type Lanes = __mmask16;

    #[inline(always)]
    unsafe fn splat_pair(from: *const f32) -> __m512 {
        unsafe { _mm512_castpd_ps(_mm512_set1_pd(from.cast::<f64>().read_unaligned())) }
    }
    #[inline(always)]
    unsafe fn first(count: usize) -> __mmask16 {
        ((1u32 << count) - 1) as __mmask16
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m512 {
        unsafe { _mm512_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn load_first(from: *const f32, mask: __mmask16) -> __m512 {
        unsafe { _mm512_maskz_loadu_ps(mask, from) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, v: __m512) {
        unsafe { _mm512_storeu_ps(to, v) }
    }
    #[inline(always)]
    unsafe fn store_past(to: *mut f32, v: __m512) {
        unsafe { _mm512_stream_ps(to, v) }
    }
    #[inline(always)]
    unsafe fn store_past_part(to: *mut f32, v: __m512, lanes: Range<usize>) {
        unsafe { store_past_bytes(to.cast(), v, 4 * lanes.start..4 * lanes.end) }
    }
    #[inline(always)]
    unsafe fn store_first(to: *mut f32, v: __m512, mask: __mmask16) {
        unsafe { _mm512_mask_storeu_ps(to, mask, v) }
    }
    #[inline(always)]
    unsafe fn multiply_add(a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    const PICKS_OF_TWO: bool = true;
    #[inline(always)]
    unsafe fn pick(a: __m512, b: __m512, index: *const i32) -> __m512 {
        unsafe { _mm512_permutex2var_ps(a, _mm512_loadu_si512(index.cast()), b) }
    }
    #[inline(always)]
    unsafe fn mix(a: __m512, b: __m512, lanes: u32) -> __m512 {
        unsafe { _mm512_mask_blend_ps(lanes as __mmask16, a, b) }
    }
    #[inline(always)]
    unsafe fn nearest(a: __m512) -> __m512 {
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }
    #[inline(always)]
    unsafe fn scale(a: __m512, n: __m512) -> __m512 {
        unsafe { _mm512_scalef_ps(a, n) }
    }
    #[inline(always)]
    unsafe fn absolute(a: __m512) -> __m512 {
        unsafe { _mm512_abs_ps(a) }
    }
    #[inline(always)]
    unsafe fn with_sign_of(a: __m512, b: __m512) -> __m512 {
        // The first bit of b, and the others of a.
        const OF_MASK: i32 = 0b1100_1010;
        unsafe {
            let sign = _mm512_set1_epi32(i32::MIN);
            let bits = _mm512_ternarylogic_epi32::<OF_MASK>(sign, _mm512_castps_si512(b), _mm512_castps_si512(a));
            _mm512_castsi512_ps(bits)
        }
    }
    #[inline(always)]
    unsafe fn sixteenths(a: __m512, b: __m512) -> Option<Sixteenths<__m512>> {
        unsafe {
            let large = _mm512_set1_ps(SIXTEENTHS);
            let sum = _mm512_fmadd_ps(a, b, large);
            // The last four bits of the sum are what it has beyond a whole number.
            let k = _mm512_castps_si512(sum);
            let power = _mm512_permutexvar_ps(k, _mm512_loadu_ps(POWERS.as_ptr()));
            let beyond = _mm512_permutexvar_ps(k, _mm512_loadu_ps(POWERS_BEYOND.as_ptr()));
            Some(Sixteenths { n: _mm512_sub_ps(sum, large), power, beyond })
        }
    }
    #[inline(always)]
    unsafe fn is_greater(a: __m512, b: __m512) -> __mmask16 {
        unsafe { _mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b) }
    }
    #[inline(always)]
    unsafe fn is_equal(a: __m512, b: __m512) -> __mmask16 {
        unsafe { _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(a, b) }
    }
    #[inline(always)]
    unsafe fn choose(lanes: __mmask16, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mask_blend_ps(lanes, b, a) }
    }
}

impl Simd for F64x8 {
    instructions!(
        __m512d,
        f64,
        true,
        _mm512_set1_pd,
        _mm512_mul_pd,
        _mm512_add_pd,
        _mm512_sub_pd,
        _mm512_div_pd,
        _mm512_sqrt_pd
    );
    extremes!(__m512d, _mm512_max_pd, _mm512_min_pd);
    type Mask = __mmask8;
    type Lanes = __mmask8;

    #[inline(always)]
    unsafe fn splat_pair(from: *const f64) -> __m512d {
        unsafe { _mm512_castps_pd(_mm512_broadcast_f32x4(_mm_loadu_ps(from.cast()))) }
    }
    #[inline(always)]
    unsafe fn first(count: usize) -> __mmask8 {
        ((1u32 << count) - 1) as __mmask8
    }
    #[inline(always)]
    unsafe fn load(from: *const f64) -> __m512d {
        unsafe { _mm512_loadu_pd(from) }
    }
    #[inline(always)]
    unsafe fn load_first(from: *const f64, mask: __mmask8) -> __m512d {
        unsafe { _mm512_maskz_loadu_pd(mask, from) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f64, v: __m512d) {
        unsafe { _mm512_storeu_pd(to, v) }
    }
    #[inline(always)]
    unsafe fn store_past(to: *mut f64, v: __m512d) {
        unsafe { _mm512_stream_pd(to, v) }
    }
    #[inline(always)]
    unsafe fn store_past_part(to: *mut f64, v: __m512d, lanes: Range<usize>) {
        unsafe { store_past_bytes(to.cast(), v, 8 * lanes.start..8 * lanes.end) }
    }
    #[inline(always)]
    unsafe fn store_first(to: *mut f64, v: __m512d, mask: __mmask8) {
        unsafe { _mm512_mask_storeu_pd(to, mask, v) }
    }
    #[inline(always)]
    unsafe fn multiply_add(a: __m512d, b: __m512d, c: __m512d) -> __m512d {
        unsafe { _mm512_fmadd_pd(a, b, c) }
    }
    const PICKS_OF_TWO: bool = true;
    #[inline(always)]
    unsafe fn pick(a: __m512d, b: __m512d, index: *const i32) -> __m512d {
        unsafe {
            let index = _mm512_cvtepi32_epi64(_mm256_loadu_si256(index.cast()));
            _mm512_permutex2var_pd(a, index, b)
        }
    }
    #[inline(always)]
    unsafe fn mix(a: __m512d, b: __m512d, lanes: u32) -> __m512d {
        unsafe { _mm512_mask_blend_pd(lanes as __mmask8, a, b) }
    }
    #[inline(always)]
    unsafe fn nearest(a: __m512d) -> __m512d {
        unsafe { _mm512_roundscale_pd::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }
    #[inline(always)]
    unsafe fn scale(a: __m512d, n: __m512d) -> __m512d {
        unsafe { _mm512_scalef_pd(a, n) }
    }
    #[inline(always)]
    unsafe fn is_greater(a: __m512d, b: __m512d) -> __mmask8 {
        unsafe { _mm512_cmp_pd_mask::<_CMP_GT_OQ>(a, b) }
    }
    #[inline(always)]
    unsafe fn is_equal(a: __m512d, b: __m512d) -> __mmask8 {
        unsafe { _mm512_cmp_pd_mask::<_CMP_EQ_OQ>(a, b) }
    }
    #[inline(always)]
    unsafe fn choose(lanes: __mmask8, a: __m512d, b: __m512d) -> __m512d {
        unsafe { _mm512_mask_blend_pd(lanes, b, a) }
    }
}
