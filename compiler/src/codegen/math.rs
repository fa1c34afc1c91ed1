//! Vector arithmetic: constants, multiply-adds, and the functions of [`schur_ir::expr::Unary`] as polynomials.
//!
//! Coefficients and ranges are those of the Cephes library (S. Moshier, Methods and Programs for Mathematical Functions,
//! 1989) for `exp` and `tanh`; they err by one or two units in the last place.

#![allow(clippy::excessive_precision)] // coefficients as published

use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{ConstantData, InstBuilder, MemFlagsData, Type, Value, types};

use super::kernel::KernelBuilder;

/// What differs between the element types in `exp` and `tanh`.
struct Format {
    /// 1.5 · 2^(bits of the fraction): adding it leaves the nearest integer in the low bits.
    round: f64,
    /// Bits of the fraction.
    fraction: i64,
    /// Beyond these, e^x is infinite or zero.
    range: (f64, f64),
    /// ln 2 in two parts, the first with few bits.
    ln2: (f64, f64),
}

const F32: Format =
    Format { round: 12_582_912.0, fraction: 23, range: (-104.0, 88.8), ln2: (0.693_359_375, -2.121_944_4e-4) };
const F64: Format = Format {
    round: 6_755_399_441_055_744.0,
    fraction: 52,
    range: (-746.0, 709.8),
    ln2: (6.931_457_519_531_25E-1, 1.428_606_820_309_417_232_12E-6),
};

impl KernelBuilder<'_> {
    fn is_double(&self) -> bool {
        self.scalar == types::F64
    }

    fn format(&self) -> &'static Format {
        if self.is_double() { &F64 } else { &F32 }
    }

    /// The integers as wide as the elements, as a vector.
    pub(super) fn integers(&self) -> Type {
        if self.is_double() { types::I64X2 } else { types::I32X4 }
    }

    /// A constant in all lanes.
    pub(super) fn constant(&mut self, value: f64) -> Value {
        let bytes: Vec<u8> =
            if self.is_double() { value.to_le_bytes().repeat(2) } else { (value as f32).to_le_bytes().repeat(4) };
        let constant = self.b.func.dfg.constants.insert(ConstantData::from(bytes));
        self.b.ins().vconst(self.vector, constant)
    }

    /// The product of one or two factors, added to `sum`; vectors or elements. The first factor is the one that a fused
    /// multiply-add may overwrite.
    #[allow(clippy::unreachable, reason = "the verifier refuses paths of other numbers of factors")]
    pub(super) fn multiply_add(&mut self, factors: &[Value], sum: Option<Value>) -> Value {
        match (factors, sum) {
            ([x], None) => *x,
            ([x], Some(sum)) => self.b.ins().fadd(sum, *x),
            ([x, y], None) => self.b.ins().fmul(*x, *y),
            ([x, y], Some(sum)) if self.fused_multiply_add => self.b.ins().fma(*x, *y, sum),
            ([x, y], Some(sum)) => {
                let product = self.b.ins().fmul(*x, *y);
                self.b.ins().fadd(sum, product)
            }
            _ => unreachable!("products have one or two factors"),
        }
    }

    /// The sum of a vector's lanes, in a fixed order.
    #[allow(clippy::indexing_slicing, reason = "a vector has lanes")]
    pub(super) fn sum_of_lanes(&mut self, vector: Value) -> Value {
        let mut parts: Vec<Value> = (0..self.lanes).map(|l| self.b.ins().extractlane(vector, l as u8)).collect();
        while parts.len() > 1 {
            let (low, high) = parts.split_at(parts.len() / 2);
            parts = low.iter().zip(high).map(|(a, b)| self.b.ins().fadd(*a, *b)).collect();
        }
        parts[0]
    }

    /// Lanes of `a` where the mask is set, else of `b`.
    pub(super) fn pick(&mut self, mask: Value, a: Value, b: Value) -> Value {
        let mask = self.b.ins().bitcast(self.vector, little_endian(), mask);
        self.b.ins().bitselect(mask, a, b)
    }

    /// `Σ coefficients[k] x^(n-k)`, highest power first, by Horner's rule.
    #[allow(clippy::indexing_slicing, reason = "there are coefficients")]
    fn polynomial(&mut self, x: Value, coefficients: &[f64]) -> Value {
        let mut sum = self.constant(coefficients[0]);
        for &c in &coefficients[1..] {
            let c = self.constant(c);
            sum = self.multiply_add(&[sum, x], Some(c));
        }
        sum
    }

    /// 2^n for a whole number n given as a float, as two factors so that all exponents of results are reached.
    fn power_of_two(&mut self, n: Value) -> (Value, Value) {
        let format = self.format();
        let (round, half) = (self.constant(format.round), self.constant(0.5));
        let halved = self.b.ins().fmul(n, half);
        let shifted = self.b.ins().fadd(halved, round);
        let first = self.b.ins().fsub(shifted, round);
        let second = self.b.ins().fsub(n, first);
        let second = self.b.ins().fadd(second, round);
        (self.exponent(shifted), self.exponent(second))
    }

    /// 2^k from the sum of k and the rounding constant.
    fn exponent(&mut self, shifted: Value) -> Value {
        let (integers, fraction) = (self.integers(), self.format().fraction);
        let one = self.constant(1.0);
        let one = self.b.ins().bitcast(integers, little_endian(), one);
        let bits = self.b.ins().bitcast(integers, little_endian(), shifted);
        let by = self.b.ins().iconst(types::I32, fraction);
        let exponent = self.b.ins().ishl(bits, by);
        let bits = self.b.ins().iadd(exponent, one);
        self.b.ins().bitcast(self.vector, little_endian(), bits)
    }

    /// e^x in all lanes.
    pub(super) fn exp(&mut self, x: Value) -> Value {
        let format = self.format();
        let (low, high) = (self.constant(format.range.0), self.constant(format.range.1));
        let above = self.b.ins().fcmp(FloatCC::GreaterThan, x, high);
        let below = self.b.ins().fcmp(FloatCC::LessThan, x, low);
        let inside = self.pick(above, high, x);
        let inside = self.pick(below, low, inside);

        let (log2e, round) = (self.constant(std::f64::consts::LOG2_E), self.constant(format.round));
        let shifted = self.multiply_add(&[inside, log2e], Some(round));
        let n = self.b.ins().fsub(shifted, round);
        let (minus_high, minus_low) = (self.constant(-format.ln2.0), self.constant(-format.ln2.1));
        let r = self.multiply_add(&[n, minus_high], Some(inside));
        let r = self.multiply_add(&[n, minus_low], Some(r));
        let power = if self.is_double() { self.exp_reduced_f64(r) } else { self.exp_reduced_f32(r) };

        let (first, second) = self.power_of_two(n);
        let scaled = self.b.ins().fmul(power, first);
        let scaled = self.b.ins().fmul(scaled, second);
        let (zero, infinity) = (self.constant(0.0), self.constant(f64::INFINITY));
        let scaled = self.pick(above, infinity, scaled);
        self.pick(below, zero, scaled)
    }

    /// e^r for |r| ≤ ln 2 / 2: 1 + r + r² P(r).
    fn exp_reduced_f32(&mut self, r: Value) -> Value {
        const P: [f64; 6] =
            [1.987_569_15e-4, 1.398_199_95e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5.000_000_1e-1];
        let p = self.polynomial(r, &P);
        let square = self.b.ins().fmul(r, r);
        let tail = self.multiply_add(&[p, square], Some(r));
        let one = self.constant(1.0);
        self.b.ins().fadd(tail, one)
    }

    /// e^r for |r| ≤ ln 2 / 2: 1 + 2 r P(r²) / (Q(r²) − r P(r²)).
    fn exp_reduced_f64(&mut self, r: Value) -> Value {
        const P: [f64; 3] =
            [1.261_771_930_748_105_908_78e-4, 3.029_944_077_074_419_613e-2, 9.999_999_999_999_999_999_1e-1];
        const Q: [f64; 4] =
            [3.001_985_051_386_644_550_42e-6, 2.524_483_403_496_841_041_92e-3, 2.272_655_482_081_550_287_66e-1, 2.0];
        let square = self.b.ins().fmul(r, r);
        let p = self.polynomial(square, &P);
        let p = self.b.ins().fmul(p, r);
        let q = self.polynomial(square, &Q);
        let difference = self.b.ins().fsub(q, p);
        let ratio = self.b.ins().fdiv(p, difference);
        let (one, two) = (self.constant(1.0), self.constant(2.0));
        self.multiply_add(&[ratio, two], Some(one))
    }

    /// 1 / (1 + e^−x) in all lanes.
    pub(super) fn sigmoid(&mut self, x: Value) -> Value {
        let negated = self.b.ins().fneg(x);
        let power = self.exp(negated);
        let one = self.constant(1.0);
        let sum = self.b.ins().fadd(power, one);
        self.b.ins().fdiv(one, sum)
    }

    /// tanh x in all lanes: a rational function for |x| < 0.625, else sign(x) (1 − 2 / (e^2|x| + 1)).
    pub(super) fn tanh(&mut self, x: Value) -> Value {
        let (one, two, border) = (self.constant(1.0), self.constant(2.0), self.constant(0.625));
        let size = self.b.ins().fabs(x);
        let doubled = self.b.ins().fmul(size, two);
        let power = self.exp(doubled);
        let sum = self.b.ins().fadd(power, one);
        let ratio = self.b.ins().fdiv(two, sum);
        let large = self.b.ins().fsub(one, ratio);
        let large = self.with_sign_of(large, x);

        let square = self.b.ins().fmul(x, x);
        let ratio = if self.is_double() { self.tanh_ratio_f64(square) } else { self.tanh_ratio_f32(square) };
        let cube = self.b.ins().fmul(square, x);
        let small = self.multiply_add(&[cube, ratio], Some(x));
        let is_large = self.b.ins().fcmp(FloatCC::GreaterThan, size, border);
        self.pick(is_large, large, small)
    }

    fn tanh_ratio_f32(&mut self, square: Value) -> Value {
        const P: [f64; 5] = [
            -5.704_988_727_45e-3,
            2.063_908_879_54e-2,
            -5.373_971_555_31e-2,
            1.333_144_220_36e-1,
            -3.333_328_194_22e-1,
        ];
        self.polynomial(square, &P)
    }

    fn tanh_ratio_f64(&mut self, square: Value) -> Value {
        const P: [f64; 3] =
            [-9.643_991_794_250_522_386_28e-1, -9.928_772_310_019_185_865_64e1, -1.614_687_684_417_084_479_52e3];
        const Q: [f64; 4] =
            [1.0, 1.128_116_784_916_329_314_02e2, 2.235_488_390_601_004_485_83e3, 4.844_063_053_251_254_860_48e3];
        let p = self.polynomial(square, &P);
        let q = self.polynomial(square, &Q);
        self.b.ins().fdiv(p, q)
    }

    fn with_sign_of(&mut self, size: Value, sign: Value) -> Value {
        let minus_zero = self.constant(-0.0);
        let sign = self.b.ins().band(sign, minus_zero);
        self.b.ins().bor(size, sign)
    }

    /// ln(1 + e^x) in all lanes: max(x, 0) + ln(1 + u) with u = e^−|x| and ln(1 + u) = 2 artanh(u / (2 + u)).
    pub(super) fn softplus(&mut self, x: Value) -> Value {
        let size = self.b.ins().fabs(x);
        let negated = self.b.ins().fneg(size);
        let u = self.exp(negated);
        let two = self.constant(2.0);
        let sum = self.b.ins().fadd(u, two);
        let s = self.b.ins().fdiv(u, sum);
        let square = self.b.ins().fmul(s, s);
        let terms = if self.is_double() { 17 } else { 8 };
        let series: Vec<f64> = (0..terms).rev().map(|k| 2.0 / f64::from(2 * k + 1)).collect();
        let series = self.polynomial(square, &series);
        let logarithm = self.b.ins().fmul(series, s);
        let zero = self.constant(0.0);
        let larger = self.b.ins().fmax(x, zero);
        self.b.ins().fadd(larger, logarithm)
    }
}

/// How vectors are read as vectors of another type.
pub(super) fn little_endian() -> MemFlagsData {
    MemFlagsData::new().with_endianness(cranelift_codegen::ir::Endianness::Little)
}
