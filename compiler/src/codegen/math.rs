//! Vector arithmetic: constants, multiply-adds, and the functions of [`schur_ir::expr::Unary`], as [`schur_ir::functions`] says. They
//! err by one or two units in the last place, few places of `tanh` and `softplus` by three.

use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{ConstantData, InstBuilder, MemFlagsData, Type, Value, types};

use schur_ir::functions::{self, Constants};

use super::kernel::KernelBuilder;

/// What differs between the element types.
struct Format {
    /// 1.5 · 2^(bits of the fraction): adding it leaves the nearest integer in the low bits.
    round: f64,
    /// Bits of the fraction.
    fraction: i64,
    constants: Constants,
}

const F32: Format = Format { round: 12_582_912.0, fraction: 23, constants: functions::F32 };
const F64: Format = Format { round: 6_755_399_441_055_744.0, fraction: 52, constants: functions::F64 };

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

    /// Lanes of `a` where the mask is set, else 0.
    pub(super) fn keep(&mut self, mask: Value, a: Value) -> Value {
        let mask = self.b.ins().bitcast(self.vector, little_endian(), mask);
        self.b.ins().band(mask, a)
    }

    /// The larger one of x and 0; NaN where x is: in two instructions, where any maximum takes eight or so.
    pub(super) fn positive_part(&mut self, x: Value) -> Value {
        let zero = self.constant(0.0);
        let below = self.b.ins().fcmp(FloatCC::LessThanOrEqual, x, zero);
        let below = self.b.ins().bitcast(self.vector, little_endian(), below);
        self.b.ins().band_not(x, below)
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
        self.exp_within(x, self.format().constants.exp_range)
    }

    /// e^x in all lanes, with 0 below a range, and infinity above.
    fn exp_within(&mut self, x: Value, range: [f64; 2]) -> Value {
        let [low, high] = range.map(|bound| self.constant(bound));
        let above = self.b.ins().fcmp(FloatCC::GreaterThan, x, high);
        let below = self.b.ins().fcmp(FloatCC::LessThan, x, low);
        let inside = self.pick(above, high, x);
        let inside = self.pick(below, low, inside);

        let (n, r) = self.nearest(inside);
        let less_one = self.exp_less_one_of(r);
        let one = self.constant(1.0);
        let power = self.b.ins().fadd(less_one, one);
        let (first, second) = self.power_of_two(n);
        let scaled = self.b.ins().fmul(power, first);
        let scaled = self.b.ins().fmul(scaled, second);
        let (zero, infinity) = (self.constant(0.0), self.constant(f64::INFINITY));
        let scaled = self.pick(above, infinity, scaled);
        self.pick(below, zero, scaled)
    }

    /// The whole number n that is nearest to x / ln 2, and r = x − n ln 2.
    fn nearest(&mut self, x: Value) -> (Value, Value) {
        let format = self.format();
        let (log2e, round) = (self.constant(std::f64::consts::LOG2_E), self.constant(format.round));
        let shifted = self.multiply_add(&[x, log2e], Some(round));
        let n = self.b.ins().fsub(shifted, round);
        let [first, rest] = format.constants.ln_2.map(|part| self.constant(-part));
        let r = self.multiply_add(&[n, first], Some(x));
        (n, self.multiply_add(&[n, rest], Some(r)))
    }

    /// e^r − 1 = r + r² P(r) for |r| ≤ ln 2 / 2.
    fn exp_less_one_of(&mut self, r: Value) -> Value {
        let terms = self.polynomial(r, self.format().constants.exp_terms);
        let square = self.b.ins().fmul(r, r);
        self.multiply_add(&[terms, square], Some(r))
    }

    /// 1 / (1 + e^−x) in all lanes.
    pub(super) fn sigmoid(&mut self, x: Value) -> Value {
        let negated = self.b.ins().fneg(x);
        // What is not a normal number beside 1 would take a core a hundred times as long.
        let Constants { exp_range: [_, high], normal_exp, .. } = self.format().constants;
        let power = self.exp_within(negated, [normal_exp, high]);
        let one = self.constant(1.0);
        let sum = self.b.ins().fadd(power, one);
        self.b.ins().fdiv(one, sum)
    }

    /// tanh x in all lanes.
    pub(super) fn tanh(&mut self, x: Value) -> Value {
        let (one, two) = (self.constant(1.0), self.constant(2.0));
        let limit = self.constant(self.format().constants.tanh_limit);
        let size = self.b.ins().fabs(x);
        let is_one = self.b.ins().fcmp(FloatCC::GreaterThan, size, limit);
        let size = self.pick(is_one, limit, size);
        let doubled = self.b.ins().fmul(size, two);

        let (n, r) = self.nearest(doubled);
        let less_one = self.exp_less_one_of(r);
        let (first, second) = self.power_of_two(n);
        let power = self.b.ins().fmul(first, second);
        let whole = self.b.ins().fsub(power, one);
        let e = self.multiply_add(&[less_one, power], Some(whole));
        let sum = self.b.ins().fadd(e, two);
        let ratio = self.b.ins().fdiv(e, sum);
        self.with_sign_of(ratio, x)
    }

    fn with_sign_of(&mut self, size: Value, sign: Value) -> Value {
        let minus_zero = self.constant(-0.0);
        let sign = self.b.ins().band(sign, minus_zero);
        self.b.ins().bor(size, sign)
    }

    /// ln(1 + e^x) in all lanes.
    pub(super) fn softplus(&mut self, x: Value) -> Value {
        let size = self.b.ins().fabs(x);
        let negated = self.b.ins().fneg(size);
        let u = self.exp(negated);
        let two = self.constant(2.0);
        let sum = self.b.ins().fadd(u, two);
        let s = self.b.ins().fdiv(u, sum);
        let square = self.b.ins().fmul(s, s);
        let series = self.polynomial(square, self.format().constants.artanh_terms);
        let logarithm = self.b.ins().fmul(series, s);
        let larger = self.positive_part(x);
        self.b.ins().fadd(larger, logarithm)
    }
}

/// How vectors are read as vectors of another type.
pub(super) fn little_endian() -> MemFlagsData {
    MemFlagsData::new().with_endianness(cranelift_codegen::ir::Endianness::Little)
}
