//! Vectors of plain Rust, for every machine; the compiler makes of them what it can.

use std::ops::{Add, Div, Mul, Sub};

use super::simd::Simd;

/// Four `f32` lanes, or two `f64` ones: 128 bits.
#[derive(Clone, Copy)]
pub(super) struct Plain<T, const N: usize>([T; N]);

/// A float.
pub(super) trait Element:
    Copy + Default + PartialOrd + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
    /// `a b + c`: fused where that is one instruction.
    fn multiply_add(a: Self, b: Self, c: Self) -> Self;
    /// The nearest to `x`.
    fn rounded(x: f64) -> Self;
    /// The root.
    fn root(self) -> Self;
    /// The nearest whole number, of numbers up to a million.
    fn nearest(self) -> Self;
    /// `self 2ⁿ` for a whole number n that is at most twice an exponent of normal numbers.
    fn scale(self, n: Self) -> Self;
    /// True for double precision.
    const IS_DOUBLE: bool;
}

macro_rules! element {
    ($float:ty, $bits:ty, $fraction:literal, $bias:literal) => {
        impl Element for $float {
            #[inline(always)]
            fn multiply_add(a: Self, b: Self, c: Self) -> Self {
                if cfg!(any(target_arch = "aarch64", target_feature = "fma")) { a.mul_add(b, c) } else { a * b + c }
            }
            #[inline(always)]
            fn rounded(x: f64) -> Self {
                x as $float
            }
            #[inline(always)]
            fn root(self) -> Self {
                self.sqrt()
            }
            #[inline(always)]
            fn nearest(self) -> Self {
                // The sum has no place for what is behind the point.
                const ROUND: $float = 1.5 * ((1 as $bits) << $fraction) as $float;
                (self + ROUND) - ROUND
            }
            #[inline(always)]
            fn scale(self, n: Self) -> Self {
                let n = n as i32;
                let power = |n: i32| <$float>::from_bits(((n + $bias) as $bits) << $fraction);
                self * power(n >> 1) * power(n - (n >> 1))
            }
            const IS_DOUBLE: bool = $fraction == 52;
        }
    };
}

element!(f32, u32, 23, 127);
element!(f64, u64, 52, 1023);

// The caller answers for pointers, as the trait says.
#[allow(clippy::undocumented_unsafe_blocks, reason = "every block has the reason that the trait's header gives")]
impl<T: Element, const N: usize> Simd for Plain<T, N> {
    type T = T;
    type V = [T; N];
    type Mask = usize;
    type Lanes = [bool; N];
    const LANES: usize = N;
    const IS_PLAIN: bool = true;

    #[inline(always)]
    unsafe fn zero() -> [T; N] {
        [T::default(); N]
    }
    #[inline(always)]
    unsafe fn splat(x: T) -> [T; N] {
        [x; N]
    }
    #[inline(always)]
    unsafe fn splat_pair(from: *const T) -> [T; N] {
        std::array::from_fn(|k| unsafe { *from.add(k % 2) })
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
    const PICKS_OF_TWO: bool = true;

    #[inline(always)]
    unsafe fn pick(a: [T; N], b: [T; N], index: *const i32) -> [T; N] {
        std::array::from_fn(|k| {
            let from = unsafe { *index.add(k) } as usize;
            if from < N { a[from] } else { b[from - N] }
        })
    }
    #[inline(always)]
    unsafe fn mix(a: [T; N], b: [T; N], lanes: u32) -> [T; N] {
        std::array::from_fn(|k| if lanes >> k & 1 == 1 { b[k] } else { a[k] })
    }
    const IS_DOUBLE: bool = T::IS_DOUBLE;

    #[inline(always)]
    unsafe fn constant(x: f64) -> [T; N] {
        [T::rounded(x); N]
    }
    #[inline(always)]
    unsafe fn add(a: [T; N], b: [T; N]) -> [T; N] {
        std::array::from_fn(|k| a[k] + b[k])
    }
    #[inline(always)]
    unsafe fn subtract(a: [T; N], b: [T; N]) -> [T; N] {
        std::array::from_fn(|k| a[k] - b[k])
    }
    #[inline(always)]
    unsafe fn divide(a: [T; N], b: [T; N]) -> [T; N] {
        std::array::from_fn(|k| a[k] / b[k])
    }
    #[inline(always)]
    unsafe fn larger(a: [T; N], b: [T; N]) -> [T; N] {
        std::array::from_fn(|k| if a[k] >= b[k] || a[k].partial_cmp(&a[k]).is_none() { a[k] } else { b[k] })
    }
    #[inline(always)]
    unsafe fn at_most(a: [T; N], bound: [T; N]) -> [T; N] {
        std::array::from_fn(|k| if a[k] > bound[k] { bound[k] } else { a[k] })
    }
    #[inline(always)]
    unsafe fn at_least(a: [T; N], bound: [T; N]) -> [T; N] {
        std::array::from_fn(|k| if a[k] < bound[k] { bound[k] } else { a[k] })
    }
    #[inline(always)]
    unsafe fn root(a: [T; N]) -> [T; N] {
        a.map(T::root)
    }
    #[inline(always)]
    unsafe fn nearest(a: [T; N]) -> [T; N] {
        a.map(T::nearest)
    }
    #[inline(always)]
    unsafe fn scale(a: [T; N], n: [T; N]) -> [T; N] {
        std::array::from_fn(|k| a[k].scale(n[k]))
    }
    #[inline(always)]
    unsafe fn is_greater(a: [T; N], b: [T; N]) -> [bool; N] {
        std::array::from_fn(|k| a[k] > b[k])
    }
    #[inline(always)]
    unsafe fn is_equal(a: [T; N], b: [T; N]) -> [bool; N] {
        std::array::from_fn(|k| a[k] == b[k])
    }
    #[inline(always)]
    unsafe fn choose(lanes: [bool; N], a: [T; N], b: [T; N]) -> [T; N] {
        std::array::from_fn(|k| if lanes[k] { a[k] } else { b[k] })
    }
}
