//! The functions of [`schur_ir::expr::Unary`] on vectors, by polynomials.
//!
//! Coefficients and ranges of `tanh` and of `exp` in `f64` are those of the Cephes library (S. Moshier, Methods and
//! Programs for Mathematical Functions, 1989). All functions err by one or two units in the last place, few
//! places of `tanh` and `softplus` by three. NaN gives NaN.

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
    let bounded = if s < 0.0 { x.between(-high, -low) } else { x.between(low, high) };
    if let Some(near) = bounded.sixteenths(s * LOG2_E) {
        return exp_by_sixteenths(remainder(bounded, near.n, s), near, s);
    }
    let x = if s < 0.0 { -x } else { x }.between(low, high);
    let n = (x * x.constant(LOG2_E)).nearest();
    let r = remainder(x, n, 1.0);
    let power = if S::IS_DOUBLE { exp_reduced_f64(r) } else { exp_reduced_f32(r) };
    power.scale(n)
}

/// x − n ln 2 / s, where n times the first part of ln 2 is exact, and s is a power of 2 or the negative of one.
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

/// e^r for |r| ≤ ln 2 / 2: 1 + r + r² P(r), whose largest relative error is least: 3.1e-9.
#[inline(always)]
fn exp_reduced_f32<S: Simd, const N: usize>(r: Vectors<S, N>) -> Vectors<S, N> {
    const P: [f64; 7] = [
        1.381_454_017_680_130_6e-3,
        8.368_745_108_942_590_7e-3,
        4.166_839_078_354_791_3e-2,
        1.666_652_039_904_253_7e-1,
        4.999_999_343_212_929_3e-1,
        1.0,
        1.0,
    ];
    polynomial(r, &P)
}

/// e^r for |r| ≤ ln 2 / 2: 1 + 2 r P(r²) / (Q(r²) − r P(r²)).
#[inline(always)]
fn exp_reduced_f64<S: Simd, const N: usize>(r: Vectors<S, N>) -> Vectors<S, N> {
    const P: [f64; 3] = [1.261_771_930_748_105_908_78e-4, 3.029_944_077_074_419_613e-2, 9.999_999_999_999_999_999_1e-1];
    const Q: [f64; 4] =
        [3.001_985_051_386_644_550_42e-6, 2.524_483_403_496_841_041_92e-3, 2.272_655_482_081_550_287_66e-1, 2.0];
    let square = r * r;
    let p = polynomial(square, &P) * r;
    let ratio = p / (polynomial(square, &Q) - p);
    ratio.multiply_add(r.constant(2.0), r.constant(1.0))
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

/// tanh x.
#[inline(always)]
pub(super) fn tanh<S: Simd, const N: usize>(x: Vectors<S, N>) -> Vectors<S, N> {
    let size = x.absolute();
    // tanh is 1 from there on.
    let bounded = size.at_most(9.1);
    match bounded.sixteenths(2.0 * LOG2_E) {
        Some(near) => tanh_by_sixteenths(remainder(bounded, near.n, 2.0), near).with_sign_of(x),
        None => tanh_by_halves(x, size),
    }
}

/// e / (e + 2) with e = e^2x − 1 = (p − 1) + p (q − 1), where p is the float next to 2ⁿ, and q = e^2r 2ⁿ / p for |2r| ≤ ln 2 / 32: with
/// the terms of e^2r up to (2r)⁴. Digits that p − 1 takes from 2ⁿ are those that it has beyond p.
#[inline(always)]
fn tanh_by_sixteenths<S: Simd, const N: usize>(r: Vectors<S, N>, near: Sixteenths<Vectors<S, N>>) -> Vectors<S, N> {
    let power = near.power.scale(near.n);
    let first = r.multiply_add(r.constant(2.0), near.beyond);
    let rest = polynomial(r, &[2.0 / 3.0, 4.0 / 3.0, 2.0]).multiply_add(r * r, first);
    let e = power.multiply_add(rest, power - r.constant(1.0));
    e / (e + r.constant(2.0))
}

/// A rational function for |x| < 0.625, else sign(x) (1 − 2 / (e^2|x| + 1)).
#[inline(always)]
fn tanh_by_halves<S: Simd, const N: usize>(x: Vectors<S, N>, size: Vectors<S, N>) -> Vectors<S, N> {
    let (one, two) = (x.constant(1.0), x.constant(2.0));
    let large = (one - two / (exp(size * two) + one)).with_sign_of(x);
    let square = x * x;
    let ratio = if S::IS_DOUBLE { tanh_ratio_f64(square) } else { tanh_ratio_f32(square) };
    let small = (square * x).multiply_add(ratio, x);
    size.if_greater(x.constant(0.625), large, small)
}

#[inline(always)]
fn tanh_ratio_f32<S: Simd, const N: usize>(square: Vectors<S, N>) -> Vectors<S, N> {
    const P: [f64; 5] =
        [-5.704_988_727_45e-3, 2.063_908_879_54e-2, -5.373_971_555_31e-2, 1.333_144_220_36e-1, -3.333_328_194_22e-1];
    polynomial(square, &P)
}

#[inline(always)]
fn tanh_ratio_f64<S: Simd, const N: usize>(square: Vectors<S, N>) -> Vectors<S, N> {
    const P: [f64; 3] =
        [-9.643_991_794_250_522_386_28e-1, -9.928_772_310_019_185_865_64e1, -1.614_687_684_417_084_479_52e3];
    const Q: [f64; 4] =
        [1.0, 1.128_116_784_916_329_314_02e2, 2.235_488_390_601_004_485_83e3, 4.844_063_053_251_254_860_48e3];
    polynomial(square, &P) / polynomial(square, &Q)
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
