//! Vectors of plain Rust, for every machine; the compiler makes of them what it can.

use std::ops::{Add, Mul};

use super::simd::Simd;

/// Four `f32` lanes, or two `f64` ones: 128 bits.
#[derive(Clone, Copy)]
pub(super) struct Plain<T, const N: usize>([T; N]);

/// A float.
pub(super) trait Element: Copy + Default + Add<Output = Self> + Mul<Output = Self> {
    /// `a b + c`: fused where that is one instruction.
    fn multiply_add(a: Self, b: Self, c: Self) -> Self;
}

macro_rules! element {
    ($float:ty) => {
        impl Element for $float {
            #[inline(always)]
            fn multiply_add(a: Self, b: Self, c: Self) -> Self {
                if cfg!(any(target_arch = "aarch64", target_feature = "fma")) { a.mul_add(b, c) } else { a * b + c }
            }
        }
    };
}

element!(f32);
element!(f64);

// The caller answers for pointers, as the trait says.
#[allow(clippy::undocumented_unsafe_blocks, reason = "every block has the reason that the trait's header gives")]
impl<T: Element, const N: usize> Simd for Plain<T, N> {
    type T = T;
    type V = [T; N];
    type Mask = usize;
    const LANES: usize = N;

    #[inline(always)]
    unsafe fn zero() -> [T; N] {
        [T::default(); N]
    }
    #[inline(always)]
    unsafe fn splat(x: T) -> [T; N] {
        [x; N]
    }
    #[inline(always)]
    unsafe fn first(count: usize) -> usize {
        count
    }
    #[inline(always)]
    unsafe fn load(from: *const T) -> [T; N] {
        unsafe { from.cast::<[T; N]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn load_first(from: *const T, count: usize) -> [T; N] {
        if count == N {
            return unsafe { Self::load(from) };
        }
        std::array::from_fn(|k| if k < count { unsafe { *from.add(k) } } else { T::default() })
    }
    #[inline(always)]
    unsafe fn store(to: *mut T, v: [T; N]) {
        unsafe { to.cast::<[T; N]>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn store_first(to: *mut T, v: [T; N], count: usize) {
        if count == N {
            return unsafe { Self::store(to, v) };
        }
        for (k, x) in v.iter().enumerate().take(count) {
            unsafe { *to.add(k) = *x }
        }
    }
    #[inline(always)]
    unsafe fn multiply_add(a: [T; N], b: [T; N], c: [T; N]) -> [T; N] {
        std::array::from_fn(|k| T::multiply_add(a[k], b[k], c[k]))
    }
    #[inline(always)]
    unsafe fn multiply(a: [T; N], b: [T; N]) -> [T; N] {
        std::array::from_fn(|k| a[k] * b[k])
    }
    #[inline(always)]
    unsafe fn pick(v: [T; N], from: [T; N], index: *const i32, mask: u32) -> [T; N] {
        std::array::from_fn(|k| if mask >> k & 1 == 1 { from[unsafe { *index.add(k) } as usize] } else { v[k] })
    }
}
