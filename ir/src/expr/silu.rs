//! `x σ(x)` and its derivative, as they are spelled.

use super::{Binary, Expr, Unary};

impl Expr {
    /// The argument of a sigmoid.
    pub fn as_sigmoid(&self) -> Option<&Expr> {
        match self {
            Expr::Unary(Unary::Sigmoid, x) => Some(x),
            Expr::Unary(..) | Expr::Arg(_) | Expr::Const(_) | Expr::Binary(..) | Expr::Select(..) => None,
        }
    }

    /// `c` and `x` where this is `c x σ(x)`.
    pub fn as_silu(&self) -> Option<(f64, &Expr)> {
        let factors = self.factors();
        let (constants, rest): (Vec<_>, Vec<_>) =
            factors.into_iter().partition(|factor| factor.as_constant().is_some());
        let [a, b] = rest[..] else { return None };
        let x = [(a, b), (b, a)].into_iter().find_map(|(x, s)| s.as_sigmoid().filter(|of| *of == x))?;
        Some((constants.into_iter().filter_map(Expr::as_constant).product(), x))
    }

    /// `x` and `σ(x)` where this is `σ(x) + x σ(x) (1 − σ(x))`, which is spelled `σ(x) − x σ(x) (σ(x) + −1)` too.
    pub fn as_silu_slope(&self) -> Option<(&Expr, &Expr)> {
        let Expr::Binary(op, a, b) = self else { return None };
        let of = |s, rest| silu_slope(*op, s, rest);
        of(a, b).or_else(|| if *op == Binary::Sub { None } else { of(b, a) })
    }
}

/// `x` and `σ(x)` where `s` is the latter, and the rest of a sum makes it the derivative.
fn silu_slope<'e>(op: Binary, s: &'e Expr, rest: &'e Expr) -> Option<(&'e Expr, &'e Expr)> {
    let x = s.as_sigmoid()?;
    let falling = match op {
        Binary::Add => Expr::constant(1.0) - s.clone(),
        Binary::Sub => s.clone() + Expr::constant(-1.0),
        Binary::Mul | Binary::Div | Binary::Max | Binary::Gt | Binary::Eq => return None,
    };
    let mut wanted = vec![x, s, &falling];
    let all = rest.factors().into_iter().all(|factor| {
        let found = wanted.iter().position(|w| *w == factor);
        found.map(|k| wanted.swap_remove(k)).is_some()
    });
    (all && wanted.is_empty()).then_some((x, s))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sigmoid() -> Expr {
        Expr::unary(Unary::Sigmoid, Expr::Arg(0))
    }

    #[test]
    fn silu_is_known_with_constants_and_in_any_order() {
        let x = Expr::Arg(0);
        assert_eq!((x.clone() * sigmoid()).as_silu(), Some((1.0, &x)));
        assert_eq!((Expr::constant(3.0) * (sigmoid() * (Expr::constant(0.5) * x.clone()))).as_silu(), Some((1.5, &x)));
        assert_eq!((Expr::Arg(1) * sigmoid()).as_silu(), None);
        assert_eq!((x.clone() * (x * sigmoid())).as_silu(), None);
    }

    #[test]
    fn its_derivative_is_known() {
        let x = Expr::Arg(0);
        let slope = (x.clone() * sigmoid()).derivative(0);
        assert_eq!(slope.as_silu_slope(), Some((&x, &sigmoid())));
        let spelled = sigmoid() - x.clone() * (sigmoid() * (sigmoid() + Expr::constant(-1.0)));
        assert_eq!(spelled.as_silu_slope(), Some((&x, &sigmoid())));
        assert_eq!((sigmoid() + x * sigmoid()).as_silu_slope(), None);
    }
}
