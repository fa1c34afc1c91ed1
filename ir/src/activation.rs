//! Activations as scalar expressions, their parities, and the constants that bring their second moment to 1.
//!
//! The constants are those of e3nn_jax's `normalize_function`: the root of the mean of φ² over 1,000,001 normal
//! quantiles.

use crate::expr::{Binary, Expr, Unary};
use crate::irreps::Parity;
use crate::spec::Activation;

impl Activation {
    /// The function, of operand 0.
    pub fn expr(self) -> Expr {
        let x = || Expr::Arg(0);
        let c = Expr::constant;
        match self {
            Activation::Silu => x() * Expr::unary(Unary::Sigmoid, x()),
            Activation::Tanh => Expr::unary(Unary::Tanh, x()),
            Activation::Relu => Expr::binary(Binary::Max, x(), c(0.0)),
            Activation::Gelu => {
                // (1 + tanh u) / 2 = σ(2 u), which takes less, and does not cancel where it is near zero.
                let twice = c((8.0 / std::f64::consts::PI).sqrt()) * (x() + c(0.044715) * (x() * x() * x()));
                x() * Expr::unary(Unary::Sigmoid, twice)
            }
            Activation::Sigmoid => Expr::unary(Unary::Sigmoid, x()),
            Activation::Softplus => Expr::unary(Unary::Softplus, x()),
            Activation::SoftOdd => (c(1.0) - Expr::unary(Unary::Exp, Expr::unary(Unary::Neg, x() * x()))) * x(),
            Activation::Abs => Expr::unary(Unary::Abs, x()),
            Activation::Identity => x(),
        }
    }

    /// The function divided by its [`second moment's root`](Self::moment), where e3nn_jax divides.
    pub fn normalized(self) -> Expr {
        match self.moment() {
            // jax's `allclose` to 1.
            c if (c - 1.0).abs() <= 1e-8 + 1e-5 => self.expr(),
            c => self.expr() / Expr::constant(c),
        }
    }

    /// The parity of φ of an odd scalar: [`Even`](Parity::Even) where φ(−x) = φ(x), [`Odd`](Parity::Odd) where
    /// φ(−x) = −φ(x).
    pub fn parity(self) -> Option<Parity> {
        match self {
            Activation::Abs => Some(Parity::Even),
            Activation::Tanh | Activation::SoftOdd | Activation::Identity => Some(Parity::Odd),
            Activation::Silu | Activation::Relu | Activation::Gelu | Activation::Sigmoid | Activation::Softplus => None,
        }
    }

    /// True where φ(0) = 0, so that zero stays zero.
    pub fn keeps_zero(self) -> bool {
        self.expr().evaluate(&[0.0]) == 0.0
    }

    /// The root of the mean of φ² over the normal quantiles i / 1,000,002 for i = 1 … 1,000,001.
    pub fn moment(self) -> f64 {
        match self {
            Activation::Silu => 0.5964586854233045,
            Activation::Tanh => 0.6279282481638502,
            Activation::Relu => 0.707097894018724,
            Activation::Gelu => 0.6520590985126534,
            Activation::Sigmoid => 0.5416445654162108,
            Activation::Softplus => 0.9598092158827365,
            Activation::SoftOdd => 0.8393551737104532,
            Activation::Abs | Activation::Identity => 0.9999874316467328,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The inverse of erf on [0, 1): Giles' approximation, polished by two Newton steps on erfc.
    fn erf_inverse(y: f64) -> f64 {
        let horner = |w: f64, c: &[f64]| c.iter().fold(0.0, |sum, c| sum * w + c);
        let w = -((1.0 - y) * (1.0 + y)).ln();
        let central = [2.81022636e-8, 3.43273939e-7, -3.5233877e-6, -4.39150654e-6, 2.1858087e-4, -1.25372503e-3];
        let tail = [-2.00214257e-4, 1.00950558e-4, 1.34934322e-3, -3.67342844e-3, 5.73950773e-3, -7.6224613e-3];
        let start = if w < 5.0 {
            horner(w - 2.5, &central)
                .mul_add((w - 2.5).powi(3), horner(w - 2.5, &[-4.17768164e-3, 0.246640727, 1.50140941]))
        } else {
            let s = w.sqrt() - 3.0;
            horner(s, &tail).mul_add(s.powi(3), horner(s, &[9.43887047e-3, 1.00167406, 2.83297682]))
        } * y;
        (0..2).fold(start, |x, _| {
            let slope = 2.0 / std::f64::consts::PI.sqrt() * (-x * x).exp();
            x + (libm::erfc(x) - (1.0 - y)) / slope
        })
    }

    #[test]
    fn moments_are_those_of_normal_quantiles() {
        const N: usize = 1_000_001;
        let positive: Vec<f64> =
            (1..=N / 2).map(|k| std::f64::consts::SQRT_2 * erf_inverse(2.0 * k as f64 / (N + 1) as f64)).collect();
        for act in Activation::ALL {
            let phi = act.expr();
            let square = |x: f64| phi.evaluate(&[x]).powi(2);
            let sum: f64 = square(0.0) + positive.iter().map(|&x| square(x) + square(-x)).sum::<f64>();
            let moment = (sum / N as f64).sqrt();
            assert!((moment - act.moment()).abs() < 1e-9, "{}: {moment} is not {}", act.name(), act.moment());
        }
    }

    #[test]
    fn parities_are_those_of_the_functions() {
        for act in Activation::ALL {
            let phi = act.expr();
            let holds = |sign: f64| {
                (0..256)
                    .map(|k| k as f64 * 10.0 / 255.0)
                    .all(|x| (phi.evaluate(&[x]) - sign * phi.evaluate(&[-x])).abs() < 1e-5)
            };
            assert_eq!(act.parity() == Some(Parity::Even), holds(1.0), "{}", act.name());
            assert_eq!(act.parity() == Some(Parity::Odd), holds(-1.0), "{}", act.name());
        }
    }

    #[test]
    fn values_are_those_of_jax() {
        let table = [
            (Activation::Silu, 0.46773144051771626),
            (Activation::Tanh, 0.6043677771171635),
            (Activation::Relu, 0.7),
            (Activation::Gelu, 0.5305701347051167),
            (Activation::Sigmoid, 0.6681877721681662),
            (Activation::Softplus, 1.103186048885458),
            (Activation::SoftOdd, 0.2711615240709087),
            (Activation::Abs, 0.7),
            (Activation::Identity, 0.7),
        ];
        for (act, expected) in table {
            let value = act.expr().evaluate(&[0.7]);
            assert!((value - expected).abs() < 1e-9, "{}: {value}", act.name());
            assert_eq!(act.keeps_zero(), !matches!(act, Activation::Sigmoid | Activation::Softplus));
        }
        assert_eq!(Activation::Identity.normalized(), Expr::Arg(0) / Expr::constant(0.9999874316467328));
    }
}
