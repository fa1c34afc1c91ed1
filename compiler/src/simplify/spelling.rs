//! One spelling for scalar expressions that differ in where scales and signs stand and in the order of operands.
//!
//! An expression is a constant times a *plain* one, and constants move outwards through products, quotients, equal
//! scales of both terms of a sum, `tanh` and `abs`. So a map that comes back to itself through scales and their inverses
//! is found to be itself. Products and sums are not regrouped: `(x − m) + b` must not become `(x + b) − m`.

use schur_ir::expr::{Binary, Expr, Unary};

/// A constant and a plain expression, or 1.
struct Scaled(f64, Expr);

/// The expression as it is spelled in normal form.
pub(super) fn spell(expr: &Expr) -> Expr {
    scaled(expr).spelled()
}

impl Scaled {
    fn constant(value: f64) -> Self {
        Scaled(value, Expr::constant(1.0))
    }

    fn plain(expr: Expr) -> Self {
        Scaled(1.0, expr)
    }

    fn is_constant(&self) -> bool {
        self.1.as_constant().is_some()
    }

    fn is_zero(&self) -> bool {
        self.is_constant() && self.0 == 0.0
    }

    /// The product, in the fewest functions.
    fn spelled(self) -> Expr {
        let Scaled(by, plain) = self;
        let by_constant = |by: f64, x: Expr| match by {
            1.0 => x,
            -1.0 => Expr::unary(Unary::Neg, x),
            by => Expr::constant(by) * x,
        };
        match &plain {
            Expr::Const(_) => Expr::constant(by),
            Expr::Binary(Binary::Sub, a, b) if by < 0.0 => by_constant(-by, (**b).clone() - (**a).clone()),
            Expr::Binary(Binary::Add, a, b) if by < 0.0 && b.as_constant().is_some() => {
                by_constant(-by, Expr::unary(Unary::Neg, (**b).clone()) - (**a).clone())
            }
            Expr::Binary(Binary::Div, a, b) if a.as_constant() == Some(1.0) => Expr::constant(by) / (**b).clone(),
            Expr::Arg(_) | Expr::Unary(..) | Expr::Binary(..) | Expr::Select(..) => by_constant(by, plain),
        }
    }
}

/// True where products and quotients with the constant can be taken apart again.
fn is_usable(by: f64) -> bool {
    by != 0.0 && by.is_finite() && (1.0 / by).is_finite()
}

fn scaled(expr: &Expr) -> Scaled {
    match expr {
        Expr::Const(c) => Scaled::constant(c.0),
        Expr::Arg(_) => Scaled::plain(expr.clone()),
        Expr::Unary(Unary::Neg, x) => {
            let Scaled(by, x) = scaled(x);
            Scaled(-by, x)
        }
        Expr::Unary(op, x) => unary(*op, scaled(x)),
        Expr::Binary(Binary::Mul, a, b) => product(scaled(a), scaled(b)),
        Expr::Binary(Binary::Div, a, b) => quotient(scaled(a), scaled(b)),
        Expr::Binary(Binary::Add, a, b) => sum(scaled(a), scaled(b)),
        Expr::Binary(Binary::Sub, a, b) => {
            let Scaled(by, b) = scaled(b);
            sum(scaled(a), Scaled(-by, b))
        }
        Expr::Binary(op @ (Binary::Max | Binary::Eq), a, b) => {
            let (a, b) = in_order(spell(a), spell(b));
            Scaled::plain(Expr::binary(*op, a, b)).folded()
        }
        Expr::Binary(Binary::Gt, a, b) => Scaled::plain(Expr::binary(Binary::Gt, spell(a), spell(b))).folded(),
        Expr::Select(c, a, b) => Scaled::plain(Expr::select(spell(c), spell(a), spell(b))).folded(),
    }
    .usable(expr)
}

impl Scaled {
    /// Itself, or the expression as it was where its constant cannot be moved.
    fn usable(self, expr: &Expr) -> Scaled {
        if self.is_constant() || is_usable(self.0) { self } else { Scaled::plain(expr.clone()) }
    }
}

fn in_order(a: Expr, b: Expr) -> (Expr, Expr) {
    if b < a { (b, a) } else { (a, b) }
}

fn unary(op: Unary, x: Scaled) -> Scaled {
    let sign = if x.0 < 0.0 { -1.0 } else { 1.0 };
    let of = |x: Scaled| Expr::unary(op, x.spelled());
    match op {
        Unary::Tanh => Scaled(sign, of(Scaled(x.0 * sign, x.1))).folded(),
        Unary::Abs if x.is_constant() => Scaled::constant(x.0.abs()),
        Unary::Abs => Scaled(x.0.abs(), Expr::unary(op, x.1)),
        Unary::Neg | Unary::Sqrt | Unary::Exp | Unary::Sigmoid | Unary::Softplus => Scaled::plain(of(x)).folded(),
    }
}

impl Scaled {
    /// With a plain expression that turned out to be a constant as one.
    fn folded(self) -> Scaled {
        match self.1.as_constant() {
            Some(value) => Scaled::constant(self.0 * value),
            None => self,
        }
    }
}

fn product(a: Scaled, b: Scaled) -> Scaled {
    let by = a.0 * b.0;
    if a.is_zero() || b.is_zero() {
        return Scaled::constant(0.0);
    }
    if a.is_constant() || b.is_constant() {
        return Scaled(by, if a.is_constant() { b.1 } else { a.1 });
    }
    let (a, b) = in_order(a.1, b.1);
    Scaled(by, a * b)
}

fn quotient(a: Scaled, b: Scaled) -> Scaled {
    let by = a.0 / b.0;
    if b.is_constant() {
        return Scaled(by, a.1);
    }
    Scaled(by, Expr::Binary(Binary::Div, a.1.into(), b.1.into()))
}

/// A sum whose first term in order is positive, and whose scale is that of its terms, where both have the same.
fn sum(a: Scaled, b: Scaled) -> Scaled {
    if a.is_constant() && b.is_constant() {
        return Scaled::constant(a.0 + b.0);
    }
    if a.is_zero() || b.is_zero() {
        return if a.is_zero() { b } else { a };
    }
    if a.1 == b.1 {
        let by = a.0 + b.0;
        return if by == 0.0 { Scaled::constant(0.0) } else { Scaled(by, a.1) };
    }
    // Constants come last, as in `tanh(x) + 1`.
    let swap = a.is_constant() || !b.is_constant() && b.1 < a.1;
    let (a, b) = if swap { (b, a) } else { (a, b) };
    let by = if a.0.abs() == b.0.abs() { a.0 } else { a.0.signum() };
    let (first, second) = (Scaled(a.0 / by, a.1), Scaled(b.0 / by, b.1));
    if second.0 < 0.0 && !second.is_constant() {
        return Scaled(by, first.spelled() - Scaled(-second.0, second.1).spelled());
    }
    Scaled(by, first.spelled() + second.spelled())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: Expr, after: &str) {
        let spelled = spell(&before);
        assert_eq!(spelled.to_string(), after, "{before}");
        assert_eq!(spell(&spelled), spelled, "{before}");
        for (x, y) in [(0.3, -1.7), (-2.0, 0.9), (1.5, 2.5)] {
            let (a, b) = (before.evaluate(&[x, y]), spelled.evaluate(&[x, y]));
            assert!(a == b || (a - b).abs() <= 1e-14 * a.abs().max(1.0), "{before} at {x}, {y}: {a} became {b}");
        }
    }

    fn c(value: f64) -> Expr {
        Expr::constant(value)
    }

    fn f(op: Unary, x: Expr) -> Expr {
        Expr::unary(op, x)
    }

    #[test]
    fn scales_and_signs_have_one_place() {
        let (x, y) = (|| Expr::Arg(0), || Expr::Arg(1));
        let neg = |e| f(Unary::Neg, e);
        check(c(-1.0) * (c(-1.0) * (x() * f(Unary::Sigmoid, neg(x())))), "mul(x0, sigmoid(neg(x0)))");
        check(neg(c(-1.0) * x()) * f(Unary::Sigmoid, neg(c(-1.0) * x())), "mul(x0, sigmoid(x0))");
        check(y() * (c(2.0) * x()) / (c(4.0) * y()), "mul(0.5, div(mul(x0, x1), x1))");
        check(c(3.0) / (c(2.0) * x()), "div(1.5, x0)");
        check(f(Unary::Tanh, c(-2.0) * x()), "neg(tanh(mul(2, x0)))");
        check(f(Unary::Abs, y() - x()), "abs(sub(x0, x1))");
        check(neg(f(Unary::Sqrt, c(4.0) * f(Unary::Abs, x()))), "neg(sqrt(mul(4, abs(x0))))");
    }

    #[test]
    fn sums_have_one_order_and_the_fewest_signs() {
        let (x, y) = (|| Expr::Arg(0), || Expr::Arg(1));
        let neg = |e| f(Unary::Neg, e);
        check(y() - x(), "sub(x1, x0)");
        check(neg(x() - y()), "sub(x1, x0)");
        check(neg(x()) + y(), "sub(x1, x0)");
        check(neg(x()) - y(), "neg(add(x0, x1))");
        check(c(1.0) - f(Unary::Tanh, x()), "sub(1, tanh(x0))");
        check(neg(f(Unary::Tanh, x()) + c(-1.0)), "sub(1, tanh(x0))");
        check(neg(x() + c(2.0)), "sub(-2, x0)");
        check(c(0.5) * x() - c(0.5) * y(), "mul(0.5, sub(x0, x1))");
        check(c(0.5) + c(0.5) * x(), "mul(0.5, add(x0, 1))");
        check(c(2.0) * x() - (x() + x()), "0");
        check(c(0.0) * x() + c(1.0), "1");
        check((y() - x()) * (x() - y()), "neg(mul(sub(x0, x1), sub(x0, x1)))");
        // Not regrouped: near its mean, x minus its mean is exact.
        check((y() - x()) + c(3.0), "sub(3, sub(x0, x1))");
    }

    #[test]
    fn constants_that_cannot_be_moved_stay() {
        let x = || Expr::Arg(0);
        check(c(f64::INFINITY) * x(), "mul(inf, x0)");
        check(
            c(1.0) / (c(1e200) * (c(1e200) * f(Unary::Sqrt, f(Unary::Abs, x())))),
            "div(1, mul(1e200, mul(1e200, sqrt(abs(x0)))))",
        );
    }
}
