//! Scalar expressions: what a `map` computes at every element.
//!
//! Closed under differentiation. Invariant: built by the constructors below, which fold constants and drop neutral
//! operands, so that derivatives stay small.

use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};

mod part;
mod silu;

pub use part::Part;

/// A constant, compared and hashed by its bits (all NaN payloads and both zeros are told apart).
#[derive(Clone, Copy, Debug)]
pub struct Scalar(pub f64);

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Scalar {}

impl Hash for Scalar {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl Ord for Scalar {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Scalar {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Prints so that the same bits are read back: `0.125`, `-1e-7`, `inf`, `NaN`, or another NaN with its bits.
impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let x = self.0;
        if x.is_nan() && x.to_bits() != f64::NAN.to_bits() {
            write!(f, "NaN({:x})", x.to_bits())
        } else if x.is_finite() && x != 0.0 && !(1e-5..1e16).contains(&x.abs()) {
            write!(f, "{x:e}")
        } else {
            write!(f, "{x}")
        }
    }
}

/// A function of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unary {
    /// −x
    Neg,
    /// |x|
    Abs,
    /// √x
    Sqrt,
    /// e^x
    Exp,
    /// tanh x
    Tanh,
    /// 1 / (1 + e^−x)
    Sigmoid,
    /// ln(1 + e^x)
    Softplus,
}

impl Unary {
    /// Every unary function.
    pub const ALL: [Unary; 7] =
        [Unary::Neg, Unary::Abs, Unary::Sqrt, Unary::Exp, Unary::Tanh, Unary::Sigmoid, Unary::Softplus];

    /// The name in the text form.
    pub fn name(self) -> &'static str {
        match self {
            Unary::Neg => "neg",
            Unary::Abs => "abs",
            Unary::Sqrt => "sqrt",
            Unary::Exp => "exp",
            Unary::Tanh => "tanh",
            Unary::Sigmoid => "sigmoid",
            Unary::Softplus => "softplus",
        }
    }

    /// The value at `x`.
    pub fn apply(self, x: f64) -> f64 {
        match self {
            Unary::Neg => -x,
            Unary::Abs => x.abs(),
            Unary::Sqrt => x.sqrt(),
            Unary::Exp => x.exp(),
            Unary::Tanh => x.tanh(),
            Unary::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Unary::Softplus if x.is_nan() => x,
            Unary::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
        }
    }
}

/// A function of two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Binary {
    /// a + b
    Add,
    /// a − b
    Sub,
    /// a b
    Mul,
    /// a / b
    Div,
    /// The larger; NaN where one is.
    Max,
    /// 1 where a > b, else 0
    Gt,
    /// 1 where a = b, else 0
    Eq,
}

impl Binary {
    /// Every binary function.
    pub const ALL: [Binary; 7] =
        [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div, Binary::Max, Binary::Gt, Binary::Eq];

    /// The name in the text form.
    pub fn name(self) -> &'static str {
        match self {
            Binary::Add => "add",
            Binary::Sub => "sub",
            Binary::Mul => "mul",
            Binary::Div => "div",
            Binary::Max => "max",
            Binary::Gt => "gt",
            Binary::Eq => "eq",
        }
    }

    /// The value at `a`, `b`.
    pub fn apply(self, a: f64, b: f64) -> f64 {
        match self {
            Binary::Add => a + b,
            Binary::Sub => a - b,
            Binary::Mul => a * b,
            Binary::Div => a / b,
            Binary::Max if a.is_nan() || b.is_nan() => f64::NAN,
            Binary::Max => a.max(b),
            Binary::Gt => f64::from(u8::from(a > b)),
            Binary::Eq => f64::from(u8::from(a == b)),
        }
    }
}

/// A scalar expression over the operands of a `map`.
///
/// However deep one is, it can be cloned, compared, hashed and dropped; all else takes stack in proportion to its depth,
/// which the verifier bounds.
#[derive(Clone, Debug)]
pub enum Expr {
    /// The element of operand `k`.
    Arg(usize),
    /// A constant.
    Const(Scalar),
    /// A function of one expression.
    Unary(Unary, Part),
    /// A function of two expressions.
    Binary(Binary, Part, Part),
    /// The second where the first is not zero, else the third. The other branch's value is never looked at.
    Select(Part, Part, Part),
}

impl Expr {
    /// The deepest expression that a graph may hold.
    pub const MAX_DEPTH: usize = 200;

    /// The most functions, operands and constants, counted wherever they stand, of an expression that a graph may hold.
    pub const MAX_SIZE: usize = 100_000;

    /// True where neither depth nor size is above what a graph may hold; looks no further than that.
    pub fn is_small(&self) -> bool {
        fn walk(expr: &Expr, depth: usize, left: &mut usize) -> bool {
            let Some(fewer) = left.checked_sub(1) else { return false };
            *left = fewer;
            let inner = |x: &Expr, left: &mut usize| depth > 0 && walk(x, depth.saturating_sub(1), left);
            match expr {
                Expr::Arg(_) | Expr::Const(_) => true,
                Expr::Unary(_, x) => inner(x, left),
                Expr::Binary(_, a, b) => inner(a, left) && inner(b, left),
                Expr::Select(c, a, b) => inner(c, left) && inner(a, left) && inner(b, left),
            }
        }
        walk(self, Self::MAX_DEPTH, &mut { Self::MAX_SIZE })
    }

    /// A constant.
    pub fn constant(value: f64) -> Self {
        Expr::Const(Scalar(value))
    }

    /// The value, where the expression is a constant.
    pub fn as_constant(&self) -> Option<f64> {
        match self {
            Expr::Const(c) => Some(c.0),
            Expr::Arg(_) | Expr::Unary(..) | Expr::Binary(..) | Expr::Select(..) => None,
        }
    }

    /// `op(x)`, folded where `x` is constant.
    pub fn unary(op: Unary, x: Expr) -> Self {
        match x.as_constant() {
            Some(x) => Expr::constant(op.apply(x)),
            None => Expr::Unary(op, Part::from(x)),
        }
    }

    /// `op(a, b)`, folded where both are constant and where one is neutral.
    pub fn binary(op: Binary, a: Expr, b: Expr) -> Self {
        let (x, y) = (a.as_constant(), b.as_constant());
        match (op, x, y) {
            (_, Some(x), Some(y)) => Expr::constant(op.apply(x, y)),
            (Binary::Add, Some(0.0), _) | (Binary::Mul, Some(1.0), _) => b,
            (Binary::Add | Binary::Sub, _, Some(0.0)) | (Binary::Mul | Binary::Div, _, Some(1.0)) => a,
            (Binary::Sub, Some(0.0), _) => Expr::unary(Unary::Neg, b),
            _ => Expr::Binary(op, Part::from(a), Part::from(b)),
        }
    }

    /// `a` where `condition` is not zero, else `b`; the condition itself where it is a comparison, and these are 1 and 0.
    pub fn select(condition: Expr, a: Expr, b: Expr) -> Self {
        let is_comparison = matches!(condition, Expr::Binary(Binary::Gt | Binary::Eq, ..));
        match (condition.as_constant(), a.as_constant(), b.as_constant()) {
            (Some(c), ..) if c != 0.0 => a,
            (Some(_), ..) => b,
            (None, ..) if a == b => a,
            (None, Some(1.0), Some(0.0)) if is_comparison => condition,
            (None, ..) => Expr::Select(Part::from(condition), Part::from(a), Part::from(b)),
        }
    }

    /// The value, given the elements of the operands.
    ///
    /// # Panics
    /// Where there are fewer elements than [`arity`](Self::arity).
    #[allow(clippy::indexing_slicing, reason = "as documented; the verifier refuses maps that lack an operand")]
    pub fn evaluate(&self, args: &[f64]) -> f64 {
        match self {
            Expr::Arg(k) => args[*k],
            Expr::Const(c) => c.0,
            Expr::Unary(op, x) => op.apply(x.evaluate(args)),
            Expr::Binary(op, a, b) => op.apply(a.evaluate(args), b.evaluate(args)),
            Expr::Select(c, a, b) => if c.evaluate(args) != 0.0 { a } else { b }.evaluate(args),
        }
    }

    /// One more than the largest operand that occurs; 0 where none does.
    pub fn arity(&self) -> usize {
        match self {
            Expr::Arg(k) => k.saturating_add(1),
            Expr::Const(_) => 0,
            Expr::Unary(_, x) => x.arity(),
            Expr::Binary(_, a, b) => a.arity().max(b.arity()),
            Expr::Select(c, a, b) => c.arity().max(a.arity()).max(b.arity()),
        }
    }

    /// True where operand `k` occurs.
    pub fn reads(&self, k: usize) -> bool {
        match self {
            Expr::Arg(j) => *j == k,
            Expr::Const(_) => false,
            Expr::Unary(_, x) => x.reads(k),
            Expr::Binary(_, a, b) => a.reads(k) || b.reads(k),
            Expr::Select(c, a, b) => c.reads(k) || a.reads(k) || b.reads(k),
        }
    }

    /// The factors of a product, in order; the expression itself where it is none.
    pub fn factors(&self) -> Vec<&Expr> {
        match self {
            Expr::Binary(Binary::Mul, a, b) => [a.factors(), b.factors()].concat(),
            Expr::Binary(..) | Expr::Arg(_) | Expr::Const(_) | Expr::Unary(..) | Expr::Select(..) => vec![self],
        }
    }

    /// Adds the expression and all that it is made of, equal ones once.
    pub fn add_parts<'e>(&'e self, seen: &mut HashSet<&'e Expr>) {
        if !seen.insert(self) {
            return;
        }
        match self {
            Expr::Arg(_) | Expr::Const(_) => {}
            Expr::Unary(_, x) => x.add_parts(seen),
            Expr::Binary(_, a, b) => [a, b].into_iter().for_each(|x| x.add_parts(seen)),
            Expr::Select(c, a, b) => [c, a, b].into_iter().for_each(|x| x.add_parts(seen)),
        }
    }

    /// True where values are compared for equality: then it matters that an argument has the bits that it has elsewhere.
    pub fn compares_equal(&self) -> bool {
        match self {
            Expr::Arg(_) | Expr::Const(_) => false,
            Expr::Binary(Binary::Eq, ..) => true,
            Expr::Unary(_, x) => x.compares_equal(),
            Expr::Binary(_, a, b) => a.compares_equal() || b.compares_equal(),
            Expr::Select(c, a, b) => c.compares_equal() || a.compares_equal() || b.compares_equal(),
        }
    }

    /// The number of functions applied, a measure of cost.
    pub fn size(&self) -> usize {
        match self {
            Expr::Arg(_) | Expr::Const(_) => 0,
            Expr::Unary(_, x) => x.size().saturating_add(1),
            Expr::Binary(_, a, b) => a.size().saturating_add(b.size()).saturating_add(1),
            Expr::Select(c, a, b) => c.size().saturating_add(a.size()).saturating_add(b.size()).saturating_add(1),
        }
    }

    /// The expression with operand `k` replaced by `with(k)`, folded again.
    pub fn substitute(&self, with: &impl Fn(usize) -> Expr) -> Expr {
        match self {
            Expr::Arg(k) => with(*k),
            Expr::Const(c) => Expr::Const(*c),
            Expr::Unary(op, x) => Expr::unary(*op, x.substitute(with)),
            Expr::Binary(op, a, b) => Expr::binary(*op, a.substitute(with), b.substitute(with)),
            Expr::Select(c, a, b) => Expr::select(c.substitute(with), a.substitute(with), b.substitute(with)),
        }
    }

    /// The derivative with respect to operand `k`. Kinks follow jax: |x|' = 1 at 0, comparisons have derivative 0.
    /// max(a, b)' goes to `b` at ties, as jax's relu has it, the one activation that is made of a maximum; `jax.numpy.maximum`
    /// would give half to each.
    pub fn derivative(&self, k: usize) -> Expr {
        match self {
            Expr::Arg(j) => Expr::constant(if *j == k { 1.0 } else { 0.0 }),
            Expr::Const(_) => Expr::constant(0.0),
            Expr::Unary(op, x) => times(unary_slope(*op, x), x.derivative(k)),
            Expr::Binary(op, a, b) => binary_derivative(*op, a, b, a.derivative(k), b.derivative(k)),
            Expr::Select(c, a, b) => Expr::select((**c).clone(), a.derivative(k), b.derivative(k)),
        }
    }
}

/// The product, where a factor that is exactly zero makes the product zero: derivatives only.
fn times(a: Expr, b: Expr) -> Expr {
    let zero = |e: &Expr| e.as_constant() == Some(0.0);
    if zero(&a) || zero(&b) { Expr::constant(0.0) } else { a * b }
}

fn unary_slope(op: Unary, x: &Part) -> Expr {
    let of_x = |op| Expr::Unary(op, x.clone());
    let zero = || Expr::constant(0.0);
    let one = || Expr::constant(1.0);
    match op {
        Unary::Neg => Expr::constant(-1.0),
        Unary::Abs => one() - Expr::constant(2.0) * Expr::binary(Binary::Gt, zero(), (**x).clone()),
        Unary::Sqrt => Expr::constant(0.5) / of_x(Unary::Sqrt),
        Unary::Exp => of_x(Unary::Exp),
        Unary::Tanh => one() - of_x(Unary::Tanh) * of_x(Unary::Tanh),
        Unary::Sigmoid => of_x(Unary::Sigmoid) * (one() - of_x(Unary::Sigmoid)),
        Unary::Softplus => of_x(Unary::Sigmoid),
    }
}

fn binary_derivative(op: Binary, a: &Expr, b: &Expr, da: Expr, db: Expr) -> Expr {
    match op {
        Binary::Add => da + db,
        Binary::Sub => da - db,
        Binary::Mul => times(da, b.clone()) + times(a.clone(), db),
        Binary::Div => {
            let by_b = |e: Expr| if e.as_constant() == Some(0.0) { e } else { e / b.clone() };
            by_b(da) - by_b(times(a.clone() / b.clone(), db))
        }
        Binary::Max => Expr::select(Expr::binary(Binary::Gt, a.clone(), b.clone()), da, db),
        Binary::Gt | Binary::Eq => Expr::constant(0.0),
    }
}

impl std::ops::Add for Expr {
    type Output = Expr;
    fn add(self, other: Expr) -> Expr {
        Expr::binary(Binary::Add, self, other)
    }
}

impl std::ops::Sub for Expr {
    type Output = Expr;
    fn sub(self, other: Expr) -> Expr {
        Expr::binary(Binary::Sub, self, other)
    }
}

impl std::ops::Mul for Expr {
    type Output = Expr;
    fn mul(self, other: Expr) -> Expr {
        Expr::binary(Binary::Mul, self, other)
    }
}

impl std::ops::Div for Expr {
    type Output = Expr;
    fn div(self, other: Expr) -> Expr {
        Expr::binary(Binary::Div, self, other)
    }
}

/// Calls, with operands as `x0`, `x1`, …: `mul(x0, sigmoid(x0))`.
impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Arg(k) => write!(f, "x{k}"),
            Expr::Const(c) => write!(f, "{c}"),
            Expr::Unary(op, x) => write!(f, "{}({x})", op.name()),
            Expr::Binary(op, a, b) => write!(f, "{}({a}, {b})", op.name()),
            Expr::Select(c, a, b) => write!(f, "select({c}, {a}, {b})"),
        }
    }
}
