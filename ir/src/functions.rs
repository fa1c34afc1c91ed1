//! How functions of [`expr::Unary`](crate::expr::Unary) are computed: polynomials, the same ones in generated code and in micro-kernels.
//!
//! - `exp`: e^x = 2ⁿ e^r with n the whole number nearest to x / ln 2, and e^r = 1 + r + r² P(r);
//! - `tanh`: sign(x) e / (e + 2) with e = e^2|x| − 1 = (2ⁿ − 1) + 2ⁿ (r + r² P(r));
//! - `softplus`: ln(1 + e^x) = max(x, 0) + ln(1 + u) with u = e^−|x|, and ln(1 + u) = 2 artanh s = s Q(s²) with s = u / (2 + u).

/// What differs between element types.
#[derive(Debug)]
pub struct Constants {
    /// Beyond these, e^x is zero or infinite.
    pub exp_range: [f64; 2],
    /// From here on e^x is a normal number.
    pub normal_exp: f64,
    /// Its square is a normal number, and adds nothing to 1.
    pub least_root: f64,
    /// ln 2 as a sum. Products of the first part and any n are exact. (As in the Cephes library, S. Moshier, 1989.)
    pub ln_2: [f64; 2],
    /// P for |r| ≤ ln 2 / 2, highest power first: the relative error of e^r is least.
    pub exp_terms: &'static [f64],
    /// tanh x is 1 from here on.
    pub tanh_limit: f64,
    /// Q for s up to 1 / 3, highest power first: the first terms of its series.
    pub artanh_terms: &'static [f64],
}

/// Of `f32`. The relative error of e^r is 3.1e-9.
pub const F32: Constants = Constants {
    exp_range: [-104.0, 88.8],
    normal_exp: -87.3,
    least_root: 1e-18,
    ln_2: [0.693_359_375, -2.121_944_4e-4],
    exp_terms: &[
        1.381_454_017_680_130_6e-3,
        8.368_745_108_942_591e-3,
        4.166_839_078_354_791_3e-2,
        1.666_652_039_904_253_7e-1,
        4.999_999_343_212_929e-1,
    ],
    tanh_limit: 9.1,
    artanh_terms: &artanh_terms::<8>(),
};

/// Of `f64`. The relative error of e^r is 1.6e-17.
pub const F64: Constants = Constants {
    exp_range: [-746.0, 709.8],
    normal_exp: -708.3,
    least_root: 1e-153,
    ln_2: [6.931_457_519_531_25E-1, 1.428_606_820_309_417_2E-6],
    exp_terms: &[
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
    ],
    tanh_limit: 19.1,
    artanh_terms: &artanh_terms::<17>(),
};

/// 2 / (2 k + 1), the last first.
#[expect(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "of few terms, when this is compiled")]
const fn artanh_terms<const N: usize>() -> [f64; N] {
    let mut terms = [0.0; N];
    let mut k = 0;
    while k < N {
        terms[N - 1 - k] = 2.0 / (2 * k + 1) as f64;
        k += 1;
    }
    terms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn polynomial(x: f64, coefficients: &[f64]) -> f64 {
        coefficients.iter().fold(0.0, |sum, c| sum * x + c)
    }

    #[test]
    fn polynomials_are_close_to_what_they_stand_for() {
        for (constants, [exp, artanh]) in [(F32, [3.2e-9, 1e-8]), (F64, [2.3e-16, 4.5e-16])] {
            for k in -1000..=1000 {
                let r = f64::from(k) / 1000.0 * std::f64::consts::LN_2 / 2.0;
                let less_one = r + r * r * polynomial(r, constants.exp_terms);
                assert!((less_one - r.exp_m1()).abs() <= exp * r.exp(), "{r}");
                let s = f64::from(k) / 3000.0;
                let wanted = 2.0 * s.atanh();
                let found = s * polynomial(s * s, constants.artanh_terms);
                assert!((found - wanted).abs() <= artanh * wanted.abs(), "{s}");
            }
            let epsilon = if constants.exp_terms.len() > 5 { f64::EPSILON } else { f64::from(f32::EPSILON) };
            assert!(1.0 - constants.tanh_limit.tanh() <= epsilon / 2.0);
            let [first, rest] = constants.ln_2;
            assert!((first + rest - std::f64::consts::LN_2).abs() <= epsilon * epsilon.sqrt());
        }
    }
}
