//! The functions of [`schur_ir::expr::Unary`] on vectors, by polynomials.
//!
//! All functions err by one or two units in the last place, few places of `tanh` and `softplus` by three. NaN gives NaN.

#![allow(clippy::excessive_precision, reason = "coefficients as published")]

use std::f64::consts::LOG2_E;

use super::simd::{Simd, Sixteenths};
use super::vectors::Vectors;

/// `Σ coefficients[k] x^(n-k)`, highest power first, by Horner's rule.
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(x: Vectors<S, N>, coefficients: &[f64]) -> Vectors<S, N> {
    let mut sum = x.constant(coefficients[0]);
    for &c in &coefficients[1..] {
        sum = sum.multiply_add(x, x.constant(c));
    }
    sum
}

/// e^x.
#[inline(always)]
pub(super) fn exp<S: Simd, const N: usize>(x: Vectors<S, N>) -> Vectors<S, N> {
    exp_times(x, 1.0)
}

/// e^(s x) = 2ⁿ e^r for s = ±1, where n is the multiple of 1, or of 1/16, that is nearest to s x / ln 2.
#[inline(always)]
fn exp_times<S: Simd, const N: usize>(x: Vectors<S, N>, s: f64) -> Vectors<S, N> {
    // Beyond these, e^x is zero or infinite.
    let (low, high) = if S::IS_DOUBLE { (-746.0, 709.8) } else { (-104.0, 88.8) };
    let x = if s < 0.0 { x.between(-high, -low) } else { x.between(low, high) };
    if let Some(near) = x.sixteenths(s * LOG2_E) {
        return exp_by_sixteenths(remainder(x, near.n, s), near, s);
    }
    let (n, r) = nearest(if s < 0.0 { -x } else { x });
    let one = r.constant(1.0);
    exp_terms(r).multiply_add(r, one).multiply_add(r, one).scale(n)
}

/// The whole number n that is nearest to x / ln 2, and x − n ln 2.
#[inline(always)]
fn nearest<S: Simd, const N: usize>(x: Vectors<S, N>) -> (Vectors<S, N>, Vectors<S, N>) {
    let n = (x * x.constant(LOG2_E)).nearest();
    (n, remainder(x, n, 1.0))
}

/// x − n ln 2 / s for s = ±1, where n times the first part of ln 2 is exact.
#[inline(always)]
fn remainder<S: Simd, const N: usize>(x: Vectors<S, N>, n: Vectors<S, N>, s: f64) -> Vectors<S, N> {
    let (ln2, rest) = if S::IS_DOUBLE {
        (6.931_457_519_531_25E-1, 1.428_606_820_309_417_232_12E-6)
    } else {
        (0.693_359_375, -2.121_944_4e-4)
    };
    n.multiply_add(x.constant(-rest / s), n.multiply_add(x.constant(-ln2 / s), x))
}

/// 2ⁿ e^(s r) for |s r| ≤ ln 2 / 32: with the terms of e^r up to r³, whose relative error is below 1e-8.
#[inline(always)]
fn exp_by_sixteenths<S: Simd, const N: usize>(
    r: Vectors<S, N>,
    near: Sixteenths<Vectors<S, N>>,
    s: f64,
) -> Vectors<S, N> {
    let rest = polynomial(r, &[s * s * s / 6.0, s * s / 2.0, s]);
    (near.power * r).multiply_add(rest, near.power).scale(near.n)
}

/// (e^r − 1 − r) / r² for |r| ≤ ln 2 / 2: polynomials by which e^r has the least relative error, 3.1e-9 and 1.6e-17.
#[inline(always)]
fn exp_terms<S: Simd, const N: usize>(r: Vectors<S, N>) -> Vectors<S, N> {
    const F32: [f64; 5] = [
        1.381_454_017_680_130_6e-3,
        8.368_745_108_942_590_7e-3,
        4.166_839_078_354_791_3e-2,
        1.666_652_039_904_253_7e-1,
        4.999_999_343_212_929_3e-1,
    ];
    const F64: [f64; 10] = [
        2.510_038_549_551_032e-8,
        2.762_008_844_540_974_6e-7,
        2.755_726_845_999_706_4e-6,
        2.480_152_129_595_437_6e-5,
        1.984_126_986_305_361_8e-4,
        1.388_888_891_721_371_7e-3,
        8.333_333_333_330_062e-3,
        4.166_666_666_662_413e-2,
        1.666_666_666_666_666_9e-1,
        5.000_000_000_000_001e-1,
    ];
    if S::IS_DOUBLE { polynomial(r, &F64) } else { polynomial(r, &F32) }
}

/// 1 / (1 + e^−x).
#[inline(always)]
pub(super) fn sigmoid<S: Simd, const N: usize>(x: Vectors<S, N>) -> Vectors<S, N> {
    let one = x.constant(1.0);
    one / (exp_times(x, -1.0) + one)
}

/// x σ(u).
#[inline(always)]
pub(super) fn times_sigmoid<S: Simd, const N: usize>(x: Vectors<S, N>, u: Vectors<S, N>) -> Vectors<S, N> {
    x / (exp_times(u, -1.0) + u.constant(1.0))
}

/// σ(x) + x σ(x) (1 − σ(x)).
#[inline(always)]
pub(super) fn silu_slope<S: Simd, const N: usize>(x: Vectors<S, N>) -> Vectors<S, N> {
    let s = sigmoid(x);
    (x * s).multiply_add(x.constant(1.0) - s, s)
}

/// sign(x) e / (e + 2) with e = e^2|x| − 1.
#[inline(always)]
pub(super) fn tanh<S: Simd, const N: usize>(x: Vectors<S, N>) -> Vectors<S, N> {
    // tanh is 1 from half of that on.
    let limit = if S::IS_DOUBLE { 38.2 } else { 18.2 };
    let size = x.absolute();
    let e = exp_less_one((size + size).at_most(limit));
    (e / (e + x.constant(2.0))).with_sign_of(x)
}

/// e^x − 1 = (p − 1) + p q with q = e^x / p − 1, of numbers up to some tens that are not negative; p is 2 to the power of the multiple
/// of 1, or of 1/16, that is nearest to x / ln 2, or the float next to that: q has what p has not.
#[inline(always)]
fn exp_less_one<S: Simd, const N: usize>(x: Vectors<S, N>) -> Vectors<S, N> {
    let one = x.constant(1.0);
    let (p, q) = match x.sixteenths(LOG2_E) {
        Some(near) => {
            let r = remainder(x, near.n, 1.0);
            // The terms of e^r up to r⁴.
            let terms = polynomial(r, &[1.0 / 24.0, 1.0 / 6.0, 0.5]);
            (near.power.scale(near.n), terms.multiply_add(r * r, r + near.beyond))
        }
        None => {
            let (n, r) = nearest(x);
            (one.scale(n), exp_terms(r).multiply_add(r * r, r))
        }
    };
    p.multiply_add(q, p - one)
}

/// ln(1 + e^x): max(x, 0) + ln(1 + u) with u = e^−|x| and ln(1 + u) = 2 artanh(u / (2 + u)).
#[inline(always)]
pub(super) fn softplus<S: Simd, const N: usize>(x: Vectors<S, N>) -> Vectors<S, N> {
    const F32: [f64; 8] = series();
    const F64: [f64; 17] = series();
    let u = exp_times(x.absolute(), -1.0);
    let s = u / (u + x.constant(2.0));
    let square = s * s;
    let series = if S::IS_DOUBLE { polynomial(square, &F64) } else { polynomial(square, &F32) };
    series.multiply_add(s, x.larger(x.constant(0.0)))
}

/// The coefficients 2 / (2 k + 1), the last first.
const fn series<const N: usize>() -> [f64; N] {
    let mut terms = [0.0; N];
    let mut k = 0;
    while k < N {
        terms[N - 1 - k] = 2.0 / (2 * k + 1) as f64;
        k += 1;
    }
    terms
}
