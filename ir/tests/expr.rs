//! Expressions: values, folding, and derivatives against finite differences.

use std::cell::Cell;
use std::collections::hash_map::DefaultHasher;

use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};
use schur_ir::expr::{Binary, Expr, Unary};

/// Expressions over three operands.
fn any_expr() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        3 => (0usize..3).prop_map(Expr::Arg),
        1 => proptest::sample::select(vec![-2.0, -1.0, -0.0, 0.0, 0.5, 1.0, 3.0]).prop_map(Expr::constant),
    ];
    leaf.prop_recursive(4, 16, 3, |inner| {
        let unary = (proptest::sample::select(Unary::ALL.to_vec()), inner.clone());
        let binary = (proptest::sample::select(Binary::ALL.to_vec()), inner.clone(), inner.clone());
        prop_oneof![
            unary.prop_map(|(op, x)| Expr::unary(op, x)),
            binary.prop_map(|(op, a, b)| Expr::binary(op, a, b)),
            (inner.clone(), inner.clone(), inner).prop_map(|(c, a, b)| Expr::select(c, a, b)),
        ]
    })
}

/// The slope in operand `k` on both sides of `at`, where they agree and the function is tame there: away from kinks.
fn slope(expr: &Expr, at: [f64; 3], k: usize) -> Option<f64> {
    let value = |step: f64| {
        let mut args = at;
        args[k] += step;
        expr.evaluate(&args)
    };
    let h = 1e-5;
    let central = |h: f64| (value(h) - value(-h)) / (2.0 * h);
    let (left, right) = ((value(0.0) - value(-h)) / h, (value(h) - value(0.0)) / h);
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-3 * (1.0 + a.abs().max(b.abs()));
    let tame = value(0.0).abs() < 1e3 && left.abs() < 1e3 && close(left, right) && close(central(h), central(2.0 * h));
    tame.then(|| central(h))
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 2000, rng_seed: RngSeed::Fixed(0), ..ProptestConfig::default() }
}

/// Where an inner function is singular the chain rule gives 0 · ∞, which is not finite; jax's does too. That is rare.
#[test]
fn derivatives_are_the_limit_of_differences() {
    let (smooth, finite) = (Cell::new(0), Cell::new(0));
    let cases = (any_expr(), [-2.0..2.0f64, -2.0..2.0f64, -2.0..2.0f64], 0usize..3);
    let outcome = TestRunner::new(config()).run(&cases, |(expr, at, k)| {
        let Some(slope) = slope(&expr, at, k) else { return Ok(()) };
        smooth.set(smooth.get() + 1);
        let derivative = expr.derivative(k).evaluate(&at);
        if derivative.is_finite() {
            finite.set(finite.get() + 1);
            let near = (derivative - slope).abs() < 2e-3 * (1.0 + slope.abs());
            prop_assert!(near, "{derivative} is not {slope}: {expr}");
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    assert!(finite.get() > 1000 && finite.get() * 100 > smooth.get() * 95, "{finite:?} of {smooth:?} are finite");
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn substitution_evaluates_as_composition(expr in any_expr(), inner in [any_expr(), any_expr(), any_expr()], at in [-2.0..2.0f64, -2.0..2.0f64, -2.0..2.0f64]) {
        let composed = expr.substitute(&|k| inner[k].clone()).evaluate(&at);
        let direct = expr.evaluate(&[0, 1, 2].map(|k| inner[k].evaluate(&at)));
        prop_assert!(composed == direct || (composed.is_nan() && direct.is_nan()), "{composed} is not {direct}");
    }

    #[test]
    fn what_does_not_occur_has_no_slope(expr in any_expr()) {
        prop_assert!(expr.arity() <= 3);
        prop_assert_eq!(expr.derivative(3).as_constant(), Some(0.0));
    }
}

#[test]
fn derivatives_at_kinks_follow_jax() {
    let x = || Expr::Arg(0);
    let at = |expr: Expr, x: f64| expr.derivative(0).evaluate(&[x]);
    let relu = || Expr::binary(Binary::Max, x(), Expr::constant(0.0));
    assert_eq!([-1.0, 0.0, 1.0].map(|x| at(relu(), x)), [0.0, 0.0, 1.0]);
    let abs = || Expr::unary(Unary::Abs, x());
    assert_eq!([-1.0, 0.0, 1.0].map(|x| at(abs(), x)), [-1.0, 1.0, 1.0]);
    // The other branch is never looked at, so a safe square root has a slope at 0.
    let positive = || Expr::binary(Binary::Gt, x(), Expr::constant(0.0));
    let safe = Expr::select(positive(), Expr::unary(Unary::Sqrt, x()), Expr::constant(0.0));
    assert_eq!([0.0, 4.0].map(|x| at(safe.clone(), x)), [0.0, 0.25]);
}

#[test]
fn functions_hold_at_the_ends_of_their_range() {
    let at = |op: Unary| [f64::NEG_INFINITY, -800.0, 800.0, f64::INFINITY].map(|x| op.apply(x));
    assert_eq!(at(Unary::Sigmoid), [0.0, 0.0, 1.0, 1.0]);
    assert_eq!(at(Unary::Softplus), [0.0, 0.0, 800.0, f64::INFINITY]);
    assert_eq!(at(Unary::Tanh), [-1.0, -1.0, 1.0, 1.0]);
    let nan = f64::NAN;
    assert!(Unary::ALL.into_iter().all(|op| op.apply(nan).is_nan()));
    assert!(Binary::Max.apply(nan, 1.0).is_nan() && Binary::Max.apply(1.0, nan).is_nan());
    assert_eq!([Binary::Gt.apply(nan, 1.0), Binary::Eq.apply(nan, nan)], [0.0, 0.0]);
}

#[test]
fn constants_fold_and_neutral_operands_vanish() {
    let x = || Expr::Arg(0);
    let c = Expr::constant;
    assert_eq!(x() + c(0.0), x());
    assert_eq!(c(1.0) * x(), x());
    assert_eq!(x() / c(1.0), x());
    assert_eq!(c(0.0) - x(), Expr::unary(Unary::Neg, x()));
    assert_eq!(c(2.0) * c(3.0) + c(0.5), c(6.5));
    assert_eq!(Expr::select(c(0.0), x(), c(7.0)), c(7.0));
    // 0 · x is not 0: x may be infinite.
    assert!((c(0.0) * x()).evaluate(&[f64::INFINITY]).is_nan());
}

/// No depth is too large for what is done with expressions before anybody has looked how deep they are.
#[test]
fn an_expression_of_any_depth_is_cloned_compared_hashed_and_dropped() {
    let deep = |innermost: f64| {
        let start = Expr::Arg(0) + Expr::constant(innermost);
        (0..300_000).fold(start, |x, k| match k % 3 {
            0 => Expr::unary(Unary::Tanh, x),
            1 => Expr::binary(Binary::Mul, Expr::Arg(1), x),
            _ => Expr::select(Expr::Arg(2), x, Expr::Arg(0)),
        })
    };
    let [a, b, c] = [1.0, 1.0, 2.0].map(deep);
    let hash =
        |expr: &Expr| std::hash::BuildHasher::hash_one(&std::hash::BuildHasherDefault::<DefaultHasher>::new(), expr);
    assert!(a == b && a == a.clone() && a != c && a < c && c > b);
    assert_eq!(hash(&a), hash(&b));
    assert_ne!(hash(&a), hash(&c));
    assert!(!a.is_small());
    // One that is shared is dropped by its last owner.
    let shared = a.clone() * Expr::Arg(0);
    drop((a, b));
    assert!(shared != c);
}
