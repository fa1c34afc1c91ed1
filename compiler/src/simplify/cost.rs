//! An estimate of the time of an op, symbolic in the sizes.
//!
//! Rates are those of one core that runs fused loops: what an op reads and writes mostly stays in cache.

use std::ops::AddAssign;

use rustc_hash::FxHashSet;
use schur_ir::dim::{Bindings, Dim, Symbol};
use schur_ir::expr::{Binary, Expr, Unary};
use schur_ir::graph::{Contract, Graph, Op, Operand, ValueId};
use schur_ir::ty::Type;

use super::ranges::Ranges;

/// What an op costs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Multiplications and additions, or as long as so many take.
    pub flops: Dim,
    /// Bytes read and written.
    pub bytes: Dim,
    /// How often the loops of a path, or of a map, are entered: once a row.
    pub loops: Dim,
    /// How many ops are started.
    pub starts: Dim,
}

const NANOSECONDS_PER_FLOP: f64 = 0.02;
const NANOSECONDS_PER_BYTE: f64 = 0.02;
const NANOSECONDS_PER_LOOP: f64 = 0.32;
const NANOSECONDS_PER_START: f64 = 100.0;

impl Cost {
    /// The cost of the op that makes a value.
    pub fn of_value(graph: &Graph, value: ValueId) -> Cost {
        let node = graph.node(value);
        Cost::of(&node.op, &node.ty, |value| graph.ty(value))
    }

    /// The cost of all values of a graph.
    pub fn of_graph(graph: &Graph) -> Cost {
        let mut sum = Cost::default();
        graph.values().for_each(|(value, _)| sum += &Cost::of_value(graph, value));
        sum
    }

    /// The cost of both.
    pub fn plus(&self, other: &Cost) -> Cost {
        let mut sum = self.clone();
        sum += other;
        sum
    }

    /// The cost of an op.
    pub(super) fn of<'t>(op: &Op, ty: &Type, types: impl Fn(ValueId) -> &'t Type) -> Cost {
        let written = times(&ty.rows(), ty.width() * ty.dtype.size());
        let read = |o: &Operand, elements: usize| {
            let ty = types(o.value);
            times(&ty.rows(), elements.min(ty.width()) * ty.dtype.size())
        };
        let (flops, loops, bytes) = match op {
            Op::Input(_) | Op::Param(_) | Op::Reshape(_) => return Cost::default(),
            Op::Contract(c) => {
                let operands = c.operands.iter().zip(touched(c)).map(|(o, elements)| read(o, elements));
                let (rows, bytes) = (Dim::product(&c.rows), sum(written, operands));
                (times(&rows, contract_flops(c)), times(&rows, c.paths.len()), bytes)
            }
            Op::Map(m) => {
                let operands = m.operands.iter().map(|o| read(o, usize::MAX));
                let flops = times(&ty.rows(), ty.width() * expr_flops(&m.expr));
                (flops, ty.rows(), sum(written, operands))
            }
            Op::Max(m) => {
                let of = types(m.value);
                let elements = times(&of.rows(), of.width());
                (elements.clone(), ty.rows(), written.plus(&times(&elements, ty.dtype.size())))
            }
        };
        Cost { flops, bytes, loops, starts: Dim::one() }
    }

    /// The time in nanoseconds where every symbol has the size `nominal`.
    pub fn nanoseconds(&self, nominal: usize) -> f64 {
        self.evaluate(&|_| Some(nominal)).unwrap_or(f64::INFINITY)
    }

    /// The time in nanoseconds of a call; `None` where a size is not bound.
    pub fn nanoseconds_at(&self, bindings: &Bindings) -> Option<f64> {
        self.evaluate(&|symbol| bindings.get(symbol).copied())
    }

    fn evaluate(&self, size: &dyn Fn(&Symbol) -> Option<usize>) -> Option<f64> {
        let term = |(coefficient, symbols): (i64, &[Symbol])| {
            // `powi` may round differently from machine to machine.
            symbols.iter().try_fold(coefficient as f64, |value, symbol| Some(value * size(symbol)? as f64))
        };
        // No call has a negative size, which a trial size may give; a negative cost would have no cheapest tree.
        let value = |dim: &Dim| dim.terms().map(term).sum::<Option<f64>>().map(|value| value.max(0.0));
        Some(
            NANOSECONDS_PER_FLOP * value(&self.flops)?
                + NANOSECONDS_PER_BYTE * value(&self.bytes)?
                + NANOSECONDS_PER_LOOP * value(&self.loops)?
                + NANOSECONDS_PER_START * value(&self.starts)?,
        )
    }
}

impl AddAssign<&Cost> for Cost {
    fn add_assign(&mut self, other: &Cost) {
        self.flops += &other.flops;
        self.bytes += &other.bytes;
        self.loops += &other.loops;
        self.starts += &other.starts;
    }
}

fn sum(first: Dim, others: impl Iterator<Item = Dim>) -> Dim {
    others.fold(first, |mut sum, other| {
        sum += &other;
        sum
    })
}

fn times(rows: &Dim, n: usize) -> Dim {
    rows.times(&Dim::from(i64::try_from(n).unwrap_or(i64::MAX)))
}

/// Multiplications and additions in a row: for every element that is summed, one for each factor but the first and one
/// to add it, but for the first term of a sum; for every sum of a path, one for the coefficient.
pub(super) fn contract_flops(contract: &Contract) -> usize {
    let (mut flops, mut sums, mut written) = (0, 0, Ranges::default());
    for path in &contract.paths {
        let sizes = || path.axes.iter().zip(&path.out.strides);
        let steps: usize = sizes().map(|(axis, _)| axis.size).product();
        let kept: usize = sizes().filter(|(_, stride)| **stride > 0).map(|(axis, _)| axis.size).product();
        let scaled = path.coefficient.0 != 1.0 || !contract.divisor.is_one();
        flops += steps * path.factors.len() + if scaled { kept } else { 0 };
        sums += kept;
        written.insert(path.out.hull(&path.axes));
    }
    let first = if contract.reduces() { 0 } else { sums.min(written.count()) };
    flops.saturating_sub(first)
}

/// How many elements of every operand are read in a row, counted once a path.
fn touched(contract: &Contract) -> Vec<usize> {
    let mut touched = vec![0usize; contract.operands.len()];
    for path in &contract.paths {
        for f in &path.factors {
            let moving = f.segment.strides.iter().zip(&path.axes).filter(|(stride, _)| **stride > 0);
            let elements = moving.map(|(_, axis)| axis.size).product();
            if let Some(operand) = touched.get_mut(f.operand) {
                *operand = operand.saturating_add(elements);
            }
        }
    }
    touched
}

/// Equal parts of an expression count once, as they are computed once.
fn expr_flops(expr: &Expr) -> usize {
    fn count<'e>(expr: &'e Expr, known: &mut FxHashSet<&'e Expr>) -> usize {
        if matches!(expr, Expr::Arg(_) | Expr::Const(_)) || !known.insert(expr) {
            return 0;
        }
        match expr {
            Expr::Arg(_) | Expr::Const(_) => 0,
            Expr::Unary(op, x) => count(x, known) + unary_flops(*op),
            Expr::Binary(op, a, b) => count(a, known) + count(b, known) + binary_flops(*op),
            Expr::Select(c, a, b) => 1 + count(c, known) + count(a, known) + count(b, known),
        }
    }
    count(expr, &mut FxHashSet::default())
}

fn unary_flops(op: Unary) -> usize {
    match op {
        Unary::Neg | Unary::Abs => 1,
        Unary::Sqrt => 8,
        Unary::Exp | Unary::Sigmoid => 24,
        Unary::Tanh | Unary::Softplus => 32,
    }
}

fn binary_flops(op: Binary) -> usize {
    match op {
        Binary::Add | Binary::Sub | Binary::Mul | Binary::Max | Binary::Gt | Binary::Eq => 1,
        Binary::Div => 8,
    }
}
