//! The functions of [`schur_ir::expr::Unary`] on vectors, by polynomials.
//!
//! Coefficients and ranges of `tanh` and of `exp` in `f64` are those of the Cephes library (S. Moshier, Methods and
//! Programs for Mathematical Functions, 1989). All functions err by one or two units in the last place. NaN gives NaN.

#![allow(clippy::excessive_precision, reason = "coefficients as published")]

use super::simd::Simd;

/// `Σ coefficients[k] x^(n-k)`, highest power first, by Horner's rule.
#[inline(always)]
unsafe fn polynomial<S: Simd>(x: S::V, coefficients: &[f64]) -> S::V {
    // SAFETY: the caller's.
    unsafe {
        let mut sum = S::constant(coefficients[0]);
        for &c in &coefficients[1..] {
            sum = S::multiply_add(sum, x, S::constant(c));
        }
        sum
    }
}

/// e^x = 2ⁿ e^r, where n is the whole number nearest to x / ln 2.
///
/// # Safety
/// As for [`Simd`]; likewise below.
#[inline(always)]
pub(super) unsafe fn exp<S: Simd>(x: S::V) -> S::V {
    // Beyond these, e^x is zero or infinite.
    let (low, high) = if S::IS_DOUBLE { (-746.0, 709.8) } else { (-104.0, 88.8) };
    let (ln2, rest) = if S::IS_DOUBLE {
        (6.931_457_519_531_25E-1, 1.428_606_820_309_417_232_12E-6)
    } else {
        (0.693_359_375, -2.121_944_4e-4)
    };
    // SAFETY: the caller's.
    unsafe {
        let x = S::at_least(S::at_most(x, S::constant(high)), S::constant(low));
        let n = S::nearest(S::multiply(x, S::constant(std::f64::consts::LOG2_E)));
        let r = S::multiply_add(n, S::constant(-ln2), x);
        let r = S::multiply_add(n, S::constant(-rest), r);
        let power = if S::IS_DOUBLE { exp_reduced_f64::<S>(r) } else { exp_reduced_f32::<S>(r) };
        S::scale(power, n)
    }
}

/// e^r for |r| ≤ ln 2 / 2: 1 + r + r² P(r), whose largest relative error is least: 3.1e-9.
#[inline(always)]
unsafe fn exp_reduced_f32<S: Simd>(r: S::V) -> S::V {
    const P: [f64; 7] = [
        1.381_454_017_680_130_6e-3,
        8.368_745_108_942_590_7e-3,
        4.166_839_078_354_791_3e-2,
        1.666_652_039_904_253_7e-1,
        4.999_999_343_212_929_3e-1,
        1.0,
        1.0,
    ];
    // SAFETY: the caller's.
    unsafe { polynomial::<S>(r, &P) }
}

/// e^r for |r| ≤ ln 2 / 2: 1 + 2 r P(r²) / (Q(r²) − r P(r²)).
#[inline(always)]
unsafe fn exp_reduced_f64<S: Simd>(r: S::V) -> S::V {
    const P: [f64; 3] = [1.261_771_930_748_105_908_78e-4, 3.029_944_077_074_419_613e-2, 9.999_999_999_999_999_999_1e-1];
    const Q: [f64; 4] =
        [3.001_985_051_386_644_550_42e-6, 2.524_483_403_496_841_041_92e-3, 2.272_655_482_081_550_287_66e-1, 2.0];
    // SAFETY: the caller's.
    unsafe {
        let square = S::multiply(r, r);
        let p = S::multiply(polynomial::<S>(square, &P), r);
        let q = polynomial::<S>(square, &Q);
        let ratio = S::divide(p, S::subtract(q, p));
        S::multiply_add(ratio, S::constant(2.0), S::constant(1.0))
    }
}

/// 1 / (1 + e^−x).
#[inline(always)]
pub(super) unsafe fn sigmoid<S: Simd>(x: S::V) -> S::V {
    // SAFETY: the caller's.
    unsafe {
        let one = S::constant(1.0);
        S::divide(one, S::add(exp::<S>(S::subtract(S::zero(), x)), one))
    }
}

/// x σ(x).
#[inline(always)]
pub(super) unsafe fn silu<S: Simd>(x: S::V) -> S::V {
    // SAFETY: the caller's.
    unsafe { S::divide(x, S::add(exp::<S>(S::subtract(S::zero(), x)), S::constant(1.0))) }
}

/// σ(x) + x σ(x) (1 − σ(x)).
#[inline(always)]
pub(super) unsafe fn silu_slope<S: Simd>(x: S::V) -> S::V {
    // SAFETY: the caller's.
    unsafe {
        let s = sigmoid::<S>(x);
        S::multiply_add(S::multiply(x, s), S::subtract(S::constant(1.0), s), s)
    }
}

/// |x|.
#[inline(always)]
pub(super) unsafe fn absolute<S: Simd>(x: S::V) -> S::V {
    // SAFETY: the caller's. The sum with zero makes −0 zero.
    unsafe { S::choose(S::is_greater(S::zero(), x), S::subtract(S::zero(), x), S::add(x, S::zero())) }
}

/// tanh x: a rational function for |x| < 0.625, else sign(x) (1 − 2 / (e^2|x| + 1)).
#[inline(always)]
pub(super) unsafe fn tanh<S: Simd>(x: S::V) -> S::V {
    // SAFETY: the caller's.
    unsafe {
        let (one, two) = (S::constant(1.0), S::constant(2.0));
        let size = absolute::<S>(x);
        let ratio = S::divide(two, S::add(exp::<S>(S::multiply(size, two)), one));
        let large = S::subtract(one, ratio);
        let large = S::choose(S::is_greater(S::zero(), x), S::subtract(S::zero(), large), large);
        let square = S::multiply(x, x);
        let ratio = if S::IS_DOUBLE { tanh_ratio_f64::<S>(square) } else { tanh_ratio_f32::<S>(square) };
        let small = S::multiply_add(S::multiply(square, x), ratio, x);
        S::choose(S::is_greater(size, S::constant(0.625)), large, small)
    }
}

#[inline(always)]
unsafe fn tanh_ratio_f32<S: Simd>(square: S::V) -> S::V {
    const P: [f64; 5] =
        [-5.704_988_727_45e-3, 2.063_908_879_54e-2, -5.373_971_555_31e-2, 1.333_144_220_36e-1, -3.333_328_194_22e-1];
    // SAFETY: the caller's.
    unsafe { polynomial::<S>(square, &P) }
}

#[inline(always)]
unsafe fn tanh_ratio_f64<S: Simd>(square: S::V) -> S::V {
    const P: [f64; 3] =
        [-9.643_991_794_250_522_386_28e-1, -9.928_772_310_019_185_865_64e1, -1.614_687_684_417_084_479_52e3];
    const Q: [f64; 4] =
        [1.0, 1.128_116_784_916_329_314_02e2, 2.235_488_390_601_004_485_83e3, 4.844_063_053_251_254_860_48e3];
    // SAFETY: the caller's.
    unsafe { S::divide(polynomial::<S>(square, &P), polynomial::<S>(square, &Q)) }
}

/// ln(1 + e^x): max(x, 0) + ln(1 + u) with u = e^−|x| and ln(1 + u) = 2 artanh(u / (2 + u)).
#[inline(always)]
pub(super) unsafe fn softplus<S: Simd>(x: S::V) -> S::V {
    const F32: [f64; 8] = series();
    const F64: [f64; 17] = series();
    // SAFETY: the caller's.
    unsafe {
        let u = exp::<S>(S::subtract(S::zero(), absolute::<S>(x)));
        let s = S::divide(u, S::add(u, S::constant(2.0)));
        let square = S::multiply(s, s);
        let series = if S::IS_DOUBLE { polynomial::<S>(square, &F64) } else { polynomial::<S>(square, &F32) };
        S::multiply_add(series, s, S::larger(x, S::zero()))
    }
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
