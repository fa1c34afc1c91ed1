//! The instructions of a map: an expression is a list of them, equal parts once.

#![expect(clippy::indexing_slicing, reason = "places are of instructions that are there")]

use std::collections::HashMap;

use schur_ir::expr::{Binary, Expr, Unary};
use schur_ir::micro::{MAX_MAP_ARRAYS, MAX_MAP_PARTS, Map};

use super::polynomial::Polynomial;

/// Functions of one argument: those of expressions, and one that is made of σ(x) and x.
#[derive(Clone, Copy, Debug)]
pub(super) enum Function {
    Unary(Unary),
    /// The derivative of `x σ(x)`.
    SiluSlope,
}

/// Where the elements of a value are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// In an array.
    Array(usize),
    /// In the register of this number.
    Register(usize),
}

/// What is computed, in order; registers are numbered by their instructions.
#[derive(Clone, Copy, Debug)]
pub(super) enum Instruction {
    Constant(f64),
    Unary(Function, Place),
    Polynomial(Polynomial, Place),
    /// The first, times a polynomial of the second.
    TimesPolynomial(Place, Polynomial, Place),
    /// The derivative of `x σ(x)`, given x and σ(x).
    SiluSlope(Place, Place),
    /// `x σ(u)`.
    TimesSigmoid(Place, Place),
    Binary(Binary, Place, Place),
    Select(Place, Place, Place),
    Copy(Place),
}

/// The instructions of a map.
pub(super) struct Code {
    pub(super) instructions: Vec<Instruction>,
    /// For every instruction the array that its values are written to, if one is.
    pub(super) written: Vec<Option<usize>>,
    /// The number of arrays that are written, which come first.
    pub(super) outputs: usize,
}

impl Code {
    /// Those that compute all expressions of a map.
    pub(super) fn new(map: &Map) -> Self {
        let with = Code::of(map, true);
        // Factors of a product that are one polynomial may be parts of other expressions as well.
        let code = if with.instructions.len() > MAX_INSTRUCTIONS { Code::of(map, false) } else { with };
        assert!(code.instructions.len() <= MAX_INSTRUCTIONS, "an instruction a part of the map, and one a result");
        code
    }

    fn of(map: &Map, polynomials: bool) -> Self {
        let outputs = map.exprs.len();
        let mut parts = Parts { exprs: &map.exprs, outputs, polynomials, code: Vec::new(), known: HashMap::new() };
        let mut results = Vec::new();
        for expr in &map.exprs {
            let result = parts.place(expr);
            let is_free = |k: usize| !results.contains(&k) && !matches!(parts.code[k], Instruction::Constant(_));
            let copied = match result {
                Place::Register(k) if is_free(k) => None,
                Place::Register(_) | Place::Array(_) => Some(parts.push(Instruction::Copy(result))),
            };
            if let Place::Register(k) = copied.unwrap_or(result) {
                results.push(k);
            }
        }
        let instructions = parts.code;
        let written = (0..instructions.len()).map(|k| results.iter().position(|result| *result == k)).collect();
        Code { instructions, written, outputs }
    }
}

/// The most instructions of a map: one a part, and one a result.
pub(super) const MAX_INSTRUCTIONS: usize = MAX_MAP_PARTS + MAX_MAP_ARRAYS;

/// Parts of expressions, as instructions.
struct Parts<'e> {
    /// All of them.
    exprs: &'e [Expr],
    /// The number of results; the arrays of operands come after theirs.
    outputs: usize,
    /// Whether polynomials are one instruction.
    polynomials: bool,
    code: Vec<Instruction>,
    known: HashMap<&'e Expr, Place>,
}

impl<'e> Parts<'e> {
    /// The place of an expression's value, after the instructions that it needs.
    fn place(&mut self, expr: &'e Expr) -> Place {
        if let Some(place) = self.known.get(expr) {
            return *place;
        }
        let instruction = match expr {
            Expr::Arg(k) => return Place::Array(self.outputs + k),
            Expr::Const(c) => Instruction::Constant(c.0),
            Expr::Unary(op, x) => Instruction::Unary(Function::Unary(*op), self.place(x)),
            Expr::Binary(op, x, y) => self.binary(expr, *op, [x, y]),
            Expr::Select(c, x, y) => Instruction::Select(self.place(c), self.place(x), self.place(y)),
        };
        let place = self.push(instruction);
        self.known.insert(expr, place);
        place
    }

    fn binary(&mut self, expr: &'e Expr, op: Binary, [x, y]: [&'e Expr; 2]) -> Instruction {
        if let Some((x, sigmoid)) = expr.as_silu_slope() {
            let x = self.place(x);
            // Where several results are made of σ(x), it is computed by itself.
            return match self.outputs {
                1 => Instruction::Unary(Function::SiluSlope, x),
                _ => Instruction::SiluSlope(x, self.place(sigmoid)),
            };
        }
        if let Some((x, u)) = self.times_sigmoid(op, x, y) {
            return Instruction::TimesSigmoid(self.place(x), self.place(u));
        }
        let Some((argument, polynomial, rest)) = polynomial(expr).filter(|_| self.polynomials) else {
            return Instruction::Binary(op, self.place(x), self.place(y));
        };
        let x = Place::Array(self.outputs + argument);
        let Some((first, others)) = rest.split_first() else { return Instruction::Polynomial(polynomial, x) };
        let mut product = self.place(first);
        for factor in others {
            let factor = self.place(factor);
            product = self.push(Instruction::Binary(Binary::Mul, product, factor));
        }
        Instruction::TimesPolynomial(product, polynomial, x)
    }

    /// `x` and `u` where a product is `x σ(u)`, and nothing else is made of this σ(u).
    fn times_sigmoid(&self, op: Binary, a: &'e Expr, b: &'e Expr) -> Option<(&'e Expr, &'e Expr)> {
        let is_alone = |s: &Expr| self.exprs.iter().map(|expr| occurrences(expr, s)).sum::<usize>() == 1;
        let of = |x: &'e Expr, s: &'e Expr| Some((x, s.as_sigmoid().filter(|_| is_alone(s))?));
        if op == Binary::Mul { of(a, b).or_else(|| of(b, a)) } else { None }
    }

    /// Adds an instruction; where its value is.
    fn push(&mut self, instruction: Instruction) -> Place {
        self.code.push(instruction);
        Place::Register(self.code.len() - 1)
    }
}

/// The polynomial of an operand that an expression is, or that some factors of a product are, and the other factors.
fn polynomial(expr: &Expr) -> Option<(usize, Polynomial, Vec<&Expr>)> {
    let all = expr.factors();
    let mut arguments: Vec<usize> = all.iter().filter_map(|factor| Polynomial::argument(factor)).collect();
    arguments.dedup();
    arguments.into_iter().find_map(|argument| {
        let is_of = |factor: &&Expr| matches!(factor, Expr::Const(_)) || Polynomial::argument(factor) == Some(argument);
        let (of, rest): (Vec<&Expr>, Vec<&Expr>) = all.iter().copied().partition(is_of);
        // A factor by itself is one where it is met.
        let is_worth_it = |found: &Polynomial| rest.is_empty() || of.len() > 1 && found.has_times();
        let (_, polynomial) = Polynomial::of(&of).filter(|(_, polynomial)| is_worth_it(polynomial))?;
        Some((argument, polynomial, rest))
    })
}

/// How often a part is in an expression.
fn occurrences(expr: &Expr, part: &Expr) -> usize {
    if expr == part {
        return 1;
    }
    match expr {
        Expr::Arg(_) | Expr::Const(_) => 0,
        Expr::Unary(_, x) => occurrences(x, part),
        Expr::Binary(_, x, y) => occurrences(x, part) + occurrences(y, part),
        Expr::Select(c, x, y) => [c, x, y].map(|e| occurrences(e, part)).iter().sum(),
    }
}
