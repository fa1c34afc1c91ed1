//! AVX-512 and AVX2 vectors.

use std::arch::x86_64::*;
use std::ops::Range;

use super::simd::{Simd, Sixteenths, instructions};

/// 16 `f32` lanes: AVX-512F.
#[derive(Clone, Copy)]
pub(super) struct F32x16;
/// 8 `f64` lanes: AVX-512F.
#[derive(Clone, Copy)]
pub(super) struct F64x8;
/// 8 `f32` lanes: AVX2 and FMA.
#[derive(Clone, Copy)]
pub(super) struct F32x8;
/// 4 `f64` lanes: AVX2 and FMA.
#[derive(Clone, Copy)]
pub(super) struct F64x4;

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

// In all of these: the caller answers for the instruction set and for pointers, as the trait says.
#[allow(clippy::undocumented_unsafe_blocks, reason = "every block has the reason that the trait's header gives")]
mod implementations {
    use super::*;

    /// From one byte of a vector to another, in quarters or halves of it.
    #[inline(always)]
    unsafe fn store_past_bytes<V>(to: *mut u8, v: V, bytes: Range<usize>) {
        unsafe {
            let from: *const u8 = (&raw const v).cast();
            for k in bytes.step_by(size_of::<__m128i>()) {
                _mm_stream_si128(to.add(k).cast(), _mm_loadu_si128(from.add(k).cast()));
            }
        }
    }

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
}
