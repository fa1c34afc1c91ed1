//! Vectors: what micro-kernels need of an instruction set.
//!
//! Code over vectors is inlined into a function that has the instruction set. A closure over vectors may stay a function of its own, which
//! has not: every instruction in it is then a call. So what is done to several vectors is a loop, not `map` or `from_fn`.

use std::mem::MaybeUninit;
use std::ops::Range;

/// The most lanes of any vector.
pub(super) const MOST_LANES: usize = 16;

/// The multiple of 1/16 that is nearest to a number.
#[derive(Clone, Copy)]
pub(super) struct Sixteenths<V> {
    pub(super) n: V,
    /// The float nearest to 2 to the power of what `n` has beyond the whole number below it.
    pub(super) power: V,
    /// What the power is above that float, as a part of it.
    pub(super) beyond: V,
}

/// A vector of floats and the instructions on it.
///
/// # Safety
/// Methods may be called only where the instruction set is at hand; loads and stores touch the elements that they name.
pub(super) trait Simd: Copy {
    /// The element.
    type T: Copy;
    /// The vector.
    type V: Copy;
    /// The first lanes of a vector.
    type Mask: Copy;
    /// Lanes where a comparison holds.
    type Lanes: Copy;

    /// Elements of a vector.
    const LANES: usize;
    /// True for arrays, which the compiler makes vectors of as it likes.
    const IS_PLAIN: bool = false;

    /// All lanes zero.
    unsafe fn zero() -> Self::V;
    /// All lanes `x`.
    unsafe fn splat(x: Self::T) -> Self::V;
    /// Two neighbours in turn, in all lanes.
    unsafe fn splat_pair(from: *const Self::T) -> Self::V;
    /// The first `count` lanes, `count <= LANES`.
    unsafe fn first(count: usize) -> Self::Mask;
    /// All lanes.
    unsafe fn load(from: *const Self::T) -> Self::V;
    /// The masked lanes; zero in the others.
    unsafe fn load_first(from: *const Self::T, mask: Self::Mask) -> Self::V;
    /// All lanes.
    unsafe fn store(to: *mut Self::T, v: Self::V);
    /// All lanes, to an address that is a multiple of the size of vectors; past the caches where the machine has an instruction for that.
    /// Others see them after [`settle`](super::prefetch::settle).
    #[inline(always)]
    unsafe fn store_past(to: *mut Self::T, v: Self::V) {
        // SAFETY: the caller's.
        unsafe { Self::store(to, v) }
    }
    /// These lanes, `to` being the place of the first of all; past the caches as well, if they begin and end at multiples of 16 bytes.
    #[inline(always)]
    unsafe fn store_past_part(to: *mut Self::T, v: Self::V, lanes: Range<usize>) {
        // SAFETY: the caller's.
        unsafe {
            let mut all = MaybeUninit::<Self::V>::uninit();
            let all: *mut Self::T = all.as_mut_ptr().cast();
            Self::store(all, v);
            lanes.for_each(|k| to.add(k).write(all.add(k).read()));
        }
    }
    /// The masked lanes.
    unsafe fn store_first(to: *mut Self::T, v: Self::V, mask: Self::Mask);
    /// `a b + c`.
    unsafe fn multiply_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a b`.
    unsafe fn multiply(a: Self::V, b: Self::V) -> Self::V;
    /// Lane `k` is lane `index[k]` of `a` and `b`, those of `b` counted after those of `a`. `index` has
    /// [`LANES`](Self::LANES) elements.
    unsafe fn pick(a: Self::V, b: Self::V, index: *const i32) -> Self::V;

    /// True where [`pick`](Self::pick) is one instruction.
    const PICKS_OF_TWO: bool;

    /// Lane `k` is lane `index[k]` of `a`. `index` has [`LANES`](Self::LANES) elements.
    #[inline(always)]
    unsafe fn permute(a: Self::V, index: *const i32) -> Self::V {
        // SAFETY: the caller's.
        unsafe { Self::pick(a, a, index) }
    }
    /// The lanes of `b` whose bits are set in `lanes`, and the others of `a`.
    unsafe fn mix(a: Self::V, b: Self::V, lanes: u32) -> Self::V;

    /// All lanes `x`, rounded.
    unsafe fn constant(x: f64) -> Self::V;
    /// `a + b`.
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`.
    unsafe fn subtract(a: Self::V, b: Self::V) -> Self::V;
    /// `a / b`.
    unsafe fn divide(a: Self::V, b: Self::V) -> Self::V;
    /// The larger one; NaN where either is.
    unsafe fn larger(a: Self::V, b: Self::V) -> Self::V;
    /// The root.
    unsafe fn root(a: Self::V) -> Self::V;
    /// `|a|`.
    #[inline(always)]
    unsafe fn absolute(a: Self::V) -> Self::V {
        // SAFETY: the caller's.
        unsafe { Self::larger(a, Self::subtract(Self::zero(), a)) }
    }
    /// `a`, or `−a` where `b` is below zero, of numbers that are not.
    #[inline(always)]
    unsafe fn with_sign_of(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: the caller's.
        unsafe { Self::choose(Self::is_greater(Self::zero(), b), Self::subtract(Self::zero(), a), a) }
    }
    /// The nearest whole number, of numbers up to a million.
    unsafe fn nearest(a: Self::V) -> Self::V;
    /// `a`, or the bound where it is above that; NaN stays.
    unsafe fn at_most(a: Self::V, bound: Self::V) -> Self::V;
    /// `a`, or the bound where it is below that; NaN stays.
    unsafe fn at_least(a: Self::V, bound: Self::V) -> Self::V;
    /// `a 2ⁿ` for whole numbers n that are at most twice an exponent of normal numbers; where there are
    /// [`sixteenths`](Self::sixteenths), for the whole number below n.
    unsafe fn scale(a: Self::V, n: Self::V) -> Self::V;
    /// Of `a b` up to 2^18; none where no instruction looks powers up.
    unsafe fn sixteenths(a: Self::V, b: Self::V) -> Option<Sixteenths<Self::V>> {
        let _ = (a, b);
        None
    }
    /// `a > b`; false where either is NaN.
    unsafe fn is_greater(a: Self::V, b: Self::V) -> Self::Lanes;
    /// `a = b`; false where either is NaN.
    unsafe fn is_equal(a: Self::V, b: Self::V) -> Self::Lanes;
    /// `a` in the lanes, `b` in the others.
    unsafe fn choose(lanes: Self::Lanes, a: Self::V, b: Self::V) -> Self::V;
    /// True for double precision.
    const IS_DOUBLE: bool;
}

/// How many of so many elements are in vector `k` of them.
#[inline(always)]
pub(super) fn lanes_of<S: Simd>(elements: usize, k: usize) -> usize {
    elements.saturating_sub(k * S::LANES).min(S::LANES)
}

/// The methods that are one instruction in every set, by the names of the instructions.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! instructions {
    ($v:ty, $float:ty, $is_double:literal, $splat:ident, $multiply:ident, $add:ident, $subtract:ident, $divide:ident, $root:ident) => {
        type T = $float;
        type V = $v;
        const LANES: usize = size_of::<$v>() / size_of::<$float>();
        const IS_DOUBLE: bool = $is_double;

        #[inline(always)]
        unsafe fn zero() -> $v {
            unsafe { $splat(0.0) }
        }
        #[inline(always)]
        unsafe fn splat(x: $float) -> $v {
            unsafe { $splat(x) }
        }
        #[inline(always)]
        unsafe fn constant(x: f64) -> $v {
            unsafe { $splat(x as $float) }
        }
        #[inline(always)]
        unsafe fn multiply(a: $v, b: $v) -> $v {
            unsafe { $multiply(a, b) }
        }
        #[inline(always)]
        unsafe fn add(a: $v, b: $v) -> $v {
            unsafe { $add(a, b) }
        }
        #[inline(always)]
        unsafe fn subtract(a: $v, b: $v) -> $v {
            unsafe { $subtract(a, b) }
        }
        #[inline(always)]
        unsafe fn divide(a: $v, b: $v) -> $v {
            unsafe { $divide(a, b) }
        }
        #[inline(always)]
        unsafe fn root(a: $v) -> $v {
            unsafe { $root(a) }
        }
    };
}
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) use instructions;
