//! Several vectors at a time, with the operators of numbers. Every operator works on one after the other, so that none waits
//! for what was computed of itself just before.

// SAFETY of all blocks here: whoever made the operands had the instruction set at hand.
#![allow(clippy::undocumented_unsafe_blocks, reason = "every block has the reason above")]

use std::ops::{Add, Div, Mul, Neg, Sub};

use super::simd::{Simd, Sixteenths};

/// The vectors of which a function is computed at once, so that none waits for itself.
pub(super) const ABREAST: usize = 4;

/// `N` vectors, which are made only where the machine has their instructions.
#[derive(Clone, Copy)]
pub(super) struct Vectors<S: Simd, const N: usize>(pub(super) [S::V; N]);

/// What an expression of the vectors of number `k` gives.
macro_rules! each {
    ($k:ident: $value:expr) => {{
        let mut all = [unsafe { S::zero() }; N];
        for $k in 0..N {
            all[$k] = unsafe { $value };
        }
        Vectors(all)
    }};
}

impl<S: Simd, const N: usize> Vectors<S, N> {
    /// # Safety
    /// As for [`Simd`]: there are as many elements, and the instruction set.
    #[inline(always)]
    pub(super) unsafe fn load(from: *const S::T) -> Self {
        each!(k: S::load(from.add(k * S::LANES)))
    }

    /// # Safety
    /// There is room for as many elements.
    #[inline(always)]
    pub(super) unsafe fn store(self, to: *mut S::T) {
        for k in 0..N {
            unsafe { S::store(to.add(k * S::LANES), self.0[k]) }
        }
    }

    /// The same number in all lanes.
    #[inline(always)]
    pub(super) fn constant(self, x: f64) -> Self {
        each!(_k: S::constant(x))
    }

    /// `self a + b`.
    #[inline(always)]
    pub(super) fn multiply_add(self, a: Self, b: Self) -> Self {
        each!(k: S::multiply_add(self.0[k], a.0[k], b.0[k]))
    }

    /// The nearest whole number; see [`Simd::nearest`].
    #[inline(always)]
    pub(super) fn nearest(self) -> Self {
        each!(k: S::nearest(self.0[k]))
    }

    /// What lies between two bounds as it is, all else as the nearer bound; NaN stays.
    #[inline(always)]
    pub(super) fn between(self, low: f64, high: f64) -> Self {
        each!(k: S::at_least(S::at_most(self.0[k], S::constant(high)), S::constant(low)))
    }

    /// What is not above a bound as it is, all else as the bound; NaN stays.
    #[inline(always)]
    pub(super) fn at_most(self, bound: f64) -> Self {
        each!(k: S::at_most(self.0[k], S::constant(bound)))
    }

    /// See [`Simd::absolute`].
    #[inline(always)]
    pub(super) fn absolute(self) -> Self {
        each!(k: S::absolute(self.0[k]))
    }

    /// See [`Simd::with_sign_of`].
    #[inline(always)]
    pub(super) fn with_sign_of(self, other: Self) -> Self {
        each!(k: S::with_sign_of(self.0[k], other.0[k]))
    }

    /// The larger one of each; NaN where either is.
    #[inline(always)]
    pub(super) fn larger(self, other: Self) -> Self {
        each!(k: S::larger(self.0[k], other.0[k]))
    }

    /// `self 2ⁿ`; see [`Simd::scale`].
    #[inline(always)]
    pub(super) fn scale(self, n: Self) -> Self {
        each!(k: S::scale(self.0[k], n.0[k]))
    }

    /// See [`Simd::sixteenths`].
    #[inline(always)]
    pub(super) fn sixteenths(self, b: f64) -> Option<Sixteenths<Self>> {
        let [mut n, mut power, mut beyond] = [self.0; 3];
        for k in 0..N {
            let of = unsafe { S::sixteenths(self.0[k], S::constant(b)) }?;
            (n[k], power[k], beyond[k]) = (of.n, of.power, of.beyond);
        }
        Some(Sixteenths { n: Vectors(n), power: Vectors(power), beyond: Vectors(beyond) })
    }
}

macro_rules! operators {
    ($($operator:ident, $name:ident, $method:ident;)*) => {$(
        impl<S: Simd, const N: usize> $operator for Vectors<S, N> {
            type Output = Self;

            #[inline(always)]
            fn $name(self, other: Self) -> Self {
                each!(k: S::$method(self.0[k], other.0[k]))
            }
        }
    )*};
}

operators! {
    Add, add, add;
    Sub, sub, subtract;
    Mul, mul, multiply;
    Div, div, divide;
}

impl<S: Simd, const N: usize> Neg for Vectors<S, N> {
    type Output = Self;

    /// `0 − self`.
    #[inline(always)]
    fn neg(self) -> Self {
        each!(k: S::subtract(S::zero(), self.0[k]))
    }
}
