//! The functions of [`schur_ir::expr::Unary`] on vectors, as [`schur_ir::functions`] says.
//!
//! All err by one or two units in the last place, few places of `tanh` and `softplus` by three. NaN gives NaN.

use std::f64::consts::LOG2_E;

use schur_ir::functions::{Constants, F32, F64};

use super::simd::{Simd, Sixteenths};
use super::vectors::Vectors;

/// The constants of the element type.
#[inline(always)]
const fn constants<S: Simd>() -> Constants {
    if S::IS_DOUBLE { F64 } else { F32 }
}

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
    let [low, high] = constants::<S>().exp_range;
    exp_times(x.between(low, high), 1.0)
}

/// e^(s x) = 2ⁿ e^r for s = ±1 and s x in the range of `exp`, where n is the multiple of 1, or of 1/16, that is nearest to s x / ln 2.
#[inline(always)]
fn exp_times<S: Simd, const N: usize>(x: Vectors<S, N>, s: f64) -> Vectors<S, N> {
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

/// x − n ln 2 / s for s = ±1.
#[inline(always)]
fn remainder<S: Simd, const N: usize>(x: Vectors<S, N>, n: Vectors<S, N>, s: f64) -> Vectors<S, N> {
    let [first, rest] = constants::<S>().ln_2;
    n.multiply_add(x.constant(-rest / s), n.multiply_add(x.constant(-first / s), x))
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

/// (e^r − 1 − r) / r² for |r| ≤ ln 2 / 2.
#[inline(always)]
fn exp_terms<S: Simd, const N: usize>(r: Vectors<S, N>) -> Vectors<S, N> {
    polynomial(r, constants::<S>().exp_terms)
}

/// 1 / (1 + e^−x).
#[inline(always)]
pub(super) fn sigmoid<S: Simd, const N: usize>(x: Vectors<S, N>) -> Vectors<S, N> {
    x.constant(1.0) / one_over_sigmoid(x)
}

/// x σ(u).
#[inline(always)]
pub(super) fn times_sigmoid<S: Simd, const N: usize>(x: Vectors<S, N>, u: Vectors<S, N>) -> Vectors<S, N> {
    x / one_over_sigmoid(u)
}

/// 1 + e^−x. What is not a normal number beside 1 would take a core a hundred times as long.
#[inline(always)]
pub(super) fn one_over_sigmoid<S: Simd, const N: usize>(x: Vectors<S, N>) -> Vectors<S, N> {
    let Constants { exp_range: [_, high], normal_exp, .. } = constants::<S>();
    exp_times(x.between(-high, -normal_exp), -1.0) + x.constant(1.0)
}

/// The derivative of x σ(x).
#[inline(always)]
pub(super) fn silu_slope<S: Simd, const N: usize>(x: Vectors<S, N>) -> Vectors<S, N> {
    slope_of_silu(x, sigmoid(x))
}

/// The same, given s = σ(x): s + x s (1 − s).
#[inline(always)]
pub(super) fn slope_of_silu<S: Simd, const N: usize>(x: Vectors<S, N>, s: Vectors<S, N>) -> Vectors<S, N> {
    (x * s).multiply_add(x.constant(1.0) - s, s)
}

/// sign(x) e / (e + 2) with e = e^2|x| − 1.
#[inline(always)]
pub(super) fn tanh<S: Simd, const N: usize>(x: Vectors<S, N>) -> Vectors<S, N> {
    let size = x.absolute().at_most(constants::<S>().tanh_limit);
    let e = exp_less_one(size + size);
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

/// ln(1 + e^x).
#[inline(always)]
pub(super) fn softplus<S: Simd, const N: usize>(x: Vectors<S, N>) -> Vectors<S, N> {
    let Constants { exp_range: [low, _], artanh_terms, least_root, .. } = constants::<S>();
    let u = exp_times(x.absolute().at_most(-low), -1.0);
    let s = u / (u + x.constant(2.0));
    let root = s.larger(x.constant(least_root));
    polynomial(root * root, artanh_terms).multiply_add(s, x.larger(x.constant(0.0)))
}
