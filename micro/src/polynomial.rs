//! Polynomials of an operand, which are one instruction of a map.

use schur_ir::expr::{Binary, Expr, Unary};

use super::simd::Simd;

/// The most terms of a [`Polynomial`].
const MAX_TERMS: usize = 4;

/// One more than the highest power that is looked at.
const POWERS: usize = 2 * MAX_TERMS;

/// `x^p Σ_k terms[k] x^(2k)` for p = 0 or 1, where all terms have one sign: none of them takes digits from another, in whatever
/// order they are added.
#[derive(Clone, Copy, Debug)]
pub(super) struct Polynomial {
    is_odd: bool,
    terms: [f64; MAX_TERMS],
    count: usize,
}

impl Polynomial {
    /// What the product of some expressions is a polynomial of, and which one; none where it is none, or no power is higher than 1.
    pub(super) fn of(factors: &[&Expr]) -> Option<(usize, Polynomial)> {
        let Powers { argument, of } =
            factors.iter().try_fold(Powers::constant(1.0), |all, factor| all.times(&Powers::new(factor)?))?;
        let is_odd = of.iter().position(|c| *c != 0.0)? % 2 == 1;
        let mut terms = [0.0; MAX_TERMS];
        let (same, others): (Vec<_>, Vec<_>) = of.iter().enumerate().partition(|(power, _)| (power % 2 == 1) == is_odd);
        for (term, (_, c)) in terms.iter_mut().zip(same) {
            *term = *c;
        }
        let is_safe = others.iter().all(|(_, c)| **c == 0.0)
            && terms.iter().all(|c| c.is_finite())
            && (terms.iter().all(|c| *c >= 0.0) || terms.iter().all(|c| *c <= 0.0));
        let count = terms.iter().rposition(|c| *c != 0.0)? + 1;
        (is_safe && (count > 1)).then_some((argument?, Polynomial { is_odd, terms, count }))
    }

    /// The operand that an expression is a polynomial of.
    pub(super) fn argument(expr: &Expr) -> Option<usize> {
        Powers::new(expr)?.argument
    }

    /// The values at some vectors, one behind the other.
    ///
    /// # Safety
    /// As for [`Simd`]; the arrays hold so many vectors.
    #[inline(always)]
    pub(super) unsafe fn run<S: Simd>(&self, x: *const S::T, out: *mut S::T, count: usize) {
        // SAFETY: the caller's.
        unsafe {
            let terms = self.constants::<S>();
            for v in 0..count {
                let x = S::load(x.add(v * S::LANES));
                let sum = self.sum::<S>(&terms, S::multiply(x, x), 0);
                S::store(out.add(v * S::LANES), if self.is_odd { S::multiply(sum, x) } else { sum });
            }
        }
    }

    /// The same times factors, where [`has_times`](Self::has_times). A factor that is zero far from zero stays so, whatever powers of x are
    /// infinite there: it meets one x after the other.
    ///
    /// # Safety
    /// As for [`Simd`]; the arrays hold so many vectors.
    #[inline(always)]
    pub(super) unsafe fn run_times<S: Simd>(&self, x: *const S::T, factors: *const S::T, out: *mut S::T, count: usize) {
        // SAFETY: the caller's.
        unsafe {
            match self.lowest() {
                0 => self.times::<S, 0>(x, factors, out, count),
                1 => self.times::<S, 1>(x, factors, out, count),
                _ => self.times::<S, 2>(x, factors, out, count),
            }
        }
    }

    /// Whether the lowest power of x is one that the loops over factors have.
    pub(super) fn has_times(&self) -> bool {
        self.lowest() <= 2
    }

    /// The lowest power of x.
    fn lowest(&self) -> usize {
        let zeros = self.terms.iter().take_while(|c| **c == 0.0).count();
        2 * zeros + usize::from(self.is_odd)
    }

    /// Factors, times x as often as `LOWEST` says, times all that is left of the polynomial.
    #[inline(always)]
    unsafe fn times<S: Simd, const LOWEST: usize>(
        &self,
        x: *const S::T,
        factors: *const S::T,
        out: *mut S::T,
        count: usize,
    ) {
        // SAFETY: the caller's.
        unsafe {
            let terms = self.constants::<S>();
            for v in 0..count {
                let (x, mut product) = (S::load(x.add(v * S::LANES)), S::load(factors.add(v * S::LANES)));
                for _ in 0..LOWEST {
                    product = S::multiply(product, x);
                }
                let sum = self.sum::<S>(&terms, S::multiply(x, x), LOWEST / 2);
                S::store(out.add(v * S::LANES), S::multiply(product, sum));
            }
        }
    }

    /// All terms.
    ///
    /// # Safety
    /// As for [`Simd`].
    #[inline(always)]
    unsafe fn constants<S: Simd>(&self) -> [S::V; MAX_TERMS] {
        // SAFETY: the caller's.
        unsafe {
            let mut terms = [S::zero(); MAX_TERMS];
            for (term, c) in terms.iter_mut().zip(self.terms) {
                *term = S::constant(c);
            }
            terms
        }
    }

    /// `Σ_k terms[k] x^(2 (k - first))` from `first` on, given x².
    ///
    /// # Safety
    /// As for [`Simd`].
    #[inline(always)]
    unsafe fn sum<S: Simd>(&self, terms: &[S::V; MAX_TERMS], square: S::V, first: usize) -> S::V {
        let mut sum = terms[self.count - 1];
        for k in (first..self.count - 1).rev() {
            // SAFETY: the caller's.
            sum = unsafe { S::multiply_add(sum, square, terms[k]) };
        }
        sum
    }
}

/// `Σ_k of[k] x^k`, where `x` is the operand of number `argument`; none for a constant.
#[derive(Clone, Copy)]
struct Powers {
    argument: Option<usize>,
    of: [f64; POWERS],
}

impl Powers {
    fn constant(c: f64) -> Self {
        let mut of = [0.0; POWERS];
        of[0] = c;
        Powers { argument: None, of }
    }

    fn new(expr: &Expr) -> Option<Self> {
        match expr {
            Expr::Const(c) => Some(Powers::constant(c.0)),
            Expr::Arg(k) => {
                let mut of = [0.0; POWERS];
                of[1] = 1.0;
                Some(Powers { argument: Some(*k), of })
            }
            Expr::Unary(Unary::Neg, x) => Powers::constant(-1.0).times(&Powers::new(x)?),
            Expr::Binary(Binary::Add, x, y) => Powers::new(x)?.plus(&Powers::new(y)?),
            Expr::Binary(Binary::Sub, x, y) => Powers::new(x)?.plus(&Powers::constant(-1.0).times(&Powers::new(y)?)?),
            Expr::Binary(Binary::Mul, x, y) => Powers::new(x)?.times(&Powers::new(y)?),
            Expr::Unary(..) | Expr::Binary(..) | Expr::Select(..) => None,
        }
    }

    /// The operand of both; none where they have different ones.
    fn common(&self, other: &Powers) -> Option<Option<usize>> {
        let differ = self.argument.is_some() && other.argument.is_some() && self.argument != other.argument;
        (!differ).then_some(self.argument.or(other.argument))
    }

    fn plus(&self, other: &Powers) -> Option<Self> {
        let argument = self.common(other)?;
        Some(Powers { argument, of: std::array::from_fn(|k| self.of[k] + other.of[k]) })
    }

    fn times(&self, other: &Powers) -> Option<Self> {
        let mut product = Powers { argument: self.common(other)?, of: [0.0; POWERS] };
        for (i, x) in self.of.iter().enumerate().filter(|(_, x)| **x != 0.0) {
            for (j, y) in other.of.iter().enumerate().filter(|(_, y)| **y != 0.0) {
                *product.of.get_mut(i + j)? += x * y;
            }
        }
        Some(product)
    }
}
