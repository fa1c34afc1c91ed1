//! NEON vectors: 128 bits, in 32 registers.

use std::arch::aarch64::*;

use super::simd::{Simd, instructions};

/// 4 `f32` lanes.
#[derive(Clone, Copy)]
pub(super) struct F32x4;
/// 2 `f64` lanes.
#[derive(Clone, Copy)]
pub(super) struct F64x2;

/// More methods that differ between the vectors by the names of instructions alone.
macro_rules! methods {
    ($v:ty, $float:ty, $lanes:ty, $load:ident, $store:ident, $multiply_add:ident, $larger:ident, $smaller:ident, $nearest:ident, $greater:ident, $equal:ident, $choose:ident) => {
        type Mask = usize;
        type Lanes = $lanes;

        #[inline(always)]
        unsafe fn first(count: usize) -> usize {
            count
        }
        #[inline(always)]
        unsafe fn load(from: *const $float) -> $v {
            unsafe { $load(from) }
        }
        #[inline(always)]
        unsafe fn store(to: *mut $float, v: $v) {
            unsafe { $store(to, v) }
        }
        #[inline(always)]
        unsafe fn multiply_add(a: $v, b: $v, c: $v) -> $v {
            unsafe { $multiply_add(c, a, b) }
        }
        // The instructions give NaN where either is; bounds are numbers.
        #[inline(always)]
        unsafe fn larger(a: $v, b: $v) -> $v {
            unsafe { $larger(a, b) }
        }
        #[inline(always)]
        unsafe fn at_most(a: $v, bound: $v) -> $v {
            unsafe { $smaller(a, bound) }
        }
        #[inline(always)]
        unsafe fn at_least(a: $v, bound: $v) -> $v {
            unsafe { $larger(a, bound) }
        }
        #[inline(always)]
        unsafe fn nearest(a: $v) -> $v {
            unsafe { $nearest(a) }
        }
        #[inline(always)]
        unsafe fn is_greater(a: $v, b: $v) -> $lanes {
            unsafe { $greater(a, b) }
        }
        #[inline(always)]
        unsafe fn is_equal(a: $v, b: $v) -> $lanes {
            unsafe { $equal(a, b) }
        }
        #[inline(always)]
        unsafe fn choose(lanes: $lanes, a: $v, b: $v) -> $v {
            unsafe { $choose(lanes, a, b) }
        }
    };
}

// In all of these: the caller answers for pointers, as the trait says.
#[allow(clippy::undocumented_unsafe_blocks, reason = "every block has the reason that the trait's header gives")]
mod implementations {
    use super::*;

    impl Simd for F32x4 {
        instructions!(float32x4_t, f32, false, vdupq_n_f32, vmulq_f32, vaddq_f32, vsubq_f32, vdivq_f32, vsqrtq_f32);
        methods!(
            float32x4_t,
            f32,
            uint32x4_t,
            vld1q_f32,
            vst1q_f32,
            vfmaq_f32,
            vmaxq_f32,
            vminq_f32,
            vrndnq_f32,
            vcgtq_f32,
            vceqq_f32,
            vbslq_f32
        );
        #[inline(always)]
        unsafe fn splat_pair(from: *const f32) -> float32x4_t {
            unsafe { vreinterpretq_f32_f64(vdupq_n_f64(from.cast::<f64>().read_unaligned())) }
        }
        #[inline(always)]
        unsafe fn load_first(from: *const f32, count: usize) -> float32x4_t {
            unsafe {
                let zero = vdupq_n_f32(0.0);
                match count {
                    0 => zero,
                    1 => vld1q_lane_f32::<0>(from, zero),
                    2 => vcombine_f32(vld1_f32(from), vdup_n_f32(0.0)),
                    3 => vld1q_lane_f32::<2>(from.add(2), vcombine_f32(vld1_f32(from), vdup_n_f32(0.0))),
                    _ => vld1q_f32(from),
                }
            }
        }
        #[inline(always)]
        unsafe fn store_first(to: *mut f32, v: float32x4_t, count: usize) {
            unsafe {
                match count {
                    0 => {}
                    1 => vst1q_lane_f32::<0>(to, v),
                    2 => vst1_f32(to, vget_low_f32(v)),
                    3 => {
                        vst1_f32(to, vget_low_f32(v));
                        vst1q_lane_f32::<2>(to.add(2), v);
                    }
                    _ => vst1q_f32(to, v),
                }
            }
        }
        const PICKS_OF_TWO: bool = true;

        #[inline(always)]
        unsafe fn pick(a: float32x4_t, b: float32x4_t, index: *const i32) -> float32x4_t {
            unsafe {
                // The bytes 4 k, …, 4 k + 3 of both vectors.
                let index = vreinterpretq_u32_s32(vld1q_s32(index));
                let bytes = vmlaq_n_u32(vdupq_n_u32(0x0302_0100), index, 0x0404_0404);
                let both = uint8x16x2_t(vreinterpretq_u8_f32(a), vreinterpretq_u8_f32(b));
                vreinterpretq_f32_u8(vqtbl2q_u8(both, vreinterpretq_u8_u32(bytes)))
            }
        }
        #[inline(always)]
        unsafe fn mix(a: float32x4_t, b: float32x4_t, lanes: u32) -> float32x4_t {
            unsafe {
                let lane = vld1q_u32([1, 2, 4, 8].as_ptr());
                vbslq_f32(vtstq_u32(vdupq_n_u32(lanes), lane), b, a)
            }
        }
        #[inline(always)]
        unsafe fn scale(a: float32x4_t, n: float32x4_t) -> float32x4_t {
            unsafe {
                let n = vcvtq_s32_f32(n);
                let half = vshrq_n_s32::<1>(n);
                let [x, y] = [half, vsubq_s32(n, half)]
                    .map(|n| vreinterpretq_f32_s32(vshlq_n_s32::<23>(vaddq_s32(n, vdupq_n_s32(127)))));
                vmulq_f32(vmulq_f32(a, x), y)
            }
        }
    }

    impl Simd for F64x2 {
        instructions!(float64x2_t, f64, true, vdupq_n_f64, vmulq_f64, vaddq_f64, vsubq_f64, vdivq_f64, vsqrtq_f64);
        methods!(
            float64x2_t,
            f64,
            uint64x2_t,
            vld1q_f64,
            vst1q_f64,
            vfmaq_f64,
            vmaxq_f64,
            vminq_f64,
            vrndnq_f64,
            vcgtq_f64,
            vceqq_f64,
            vbslq_f64
        );
        #[inline(always)]
        unsafe fn splat_pair(from: *const f64) -> float64x2_t {
            unsafe { vld1q_f64(from) }
        }
        #[inline(always)]
        unsafe fn load_first(from: *const f64, count: usize) -> float64x2_t {
            unsafe {
                let zero = vdupq_n_f64(0.0);
                match count {
                    0 => zero,
                    1 => vld1q_lane_f64::<0>(from, zero),
                    _ => vld1q_f64(from),
                }
            }
        }
        #[inline(always)]
        unsafe fn store_first(to: *mut f64, v: float64x2_t, count: usize) {
            unsafe {
                match count {
                    0 => {}
                    1 => vst1q_lane_f64::<0>(to, v),
                    _ => vst1q_f64(to, v),
                }
            }
        }
        const PICKS_OF_TWO: bool = true;

        #[inline(always)]
        unsafe fn pick(a: float64x2_t, b: float64x2_t, index: *const i32) -> float64x2_t {
            unsafe {
                // The bytes 8 k, …, 8 k + 7 of both vectors.
                let index = vmovl_s32(vshl_n_s32::<3>(vld1_s32(index)));
                let lane = vcombine_u8(vdup_n_u8(0), vdup_n_u8(8));
                let within = vreinterpretq_u8_u64(vdupq_n_u64(0x0706_0504_0302_0100));
                let bytes = vaddq_u8(vqtbl1q_u8(vreinterpretq_u8_s64(index), lane), within);
                let both = uint8x16x2_t(vreinterpretq_u8_f64(a), vreinterpretq_u8_f64(b));
                vreinterpretq_f64_u8(vqtbl2q_u8(both, bytes))
            }
        }
        #[inline(always)]
        unsafe fn mix(a: float64x2_t, b: float64x2_t, lanes: u32) -> float64x2_t {
            unsafe {
                let lane = vld1q_u64([1, 2].as_ptr());
                vbslq_f64(vtstq_u64(vdupq_n_u64(lanes.into()), lane), b, a)
            }
        }
        #[inline(always)]
        unsafe fn scale(a: float64x2_t, n: float64x2_t) -> float64x2_t {
            unsafe {
                let n = vcvtq_s64_f64(n);
                let half = vshrq_n_s64::<1>(n);
                let [x, y] = [half, vsubq_s64(n, half)]
                    .map(|n| vreinterpretq_f64_s64(vshlq_n_s64::<52>(vaddq_s64(n, vdupq_n_s64(1023)))));
                vmulq_f64(vmulq_f64(a, x), y)
            }
        }
    }
}
