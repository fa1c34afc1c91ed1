//! An estimate of the time of an op, symbolic in the sizes.
//!
//! Rates are those of one core that runs fused loops: what an op reads and writes mostly stays in cache.

use schur_ir::dim::Dim;
use schur_ir::expr::{Binary, Expr, Unary};
use schur_ir::graph::{Contract, Graph, Op, Operand, ValueId};
use schur_ir::ty::Type;

/// What an op costs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Multiplications and additions, or as long as so many take.
    pub flops: Dim,
    /// Bytes read and written.
    pub bytes: Dim,
    /// How many loops are started.
    pub starts: Dim,
}

const NANOSECONDS_PER_FLOP: f64 = 0.02;
const NANOSECONDS_PER_BYTE: f64 = 0.02;
const NANOSECONDS_PER_START: f64 = 100.0;

/// What every path costs in every row, beside its products: the loops around them.
const FLOPS_PER_PATH: usize = 16;

impl Cost {
    /// The cost of the op that makes a value.
    pub fn of_value(graph: &Graph, value: ValueId) -> Cost {
        let node = graph.node(value);
        Cost::of(&node.op, &node.ty, |value| graph.ty(value))
    }

    /// The cost of all values of a graph.
    pub fn of_graph(graph: &Graph) -> Cost {
        graph.values().fold(Cost::default(), |sum, (value, _)| sum.plus(&Cost::of_value(graph, value)))
    }

    /// The cost of both.
    pub fn plus(&self, other: &Cost) -> Cost {
        Cost {
            flops: self.flops.plus(&other.flops),
            bytes: self.bytes.plus(&other.bytes),
            starts: self.starts.plus(&other.starts),
        }
    }

    /// The cost of an op.
    pub(super) fn of<'t>(op: &Op, ty: &Type, types: impl Fn(ValueId) -> &'t Type) -> Cost {
        let written = times(&ty.rows(), ty.width() * ty.dtype.size());
        let read = |o: &Operand, elements: usize| {
            let ty = types(o.value);
            times(&ty.rows(), elements.min(ty.width()) * ty.dtype.size())
        };
        let (flops, bytes) = match op {
            Op::Input(_) | Op::Param(_) | Op::Reshape(_) => return Cost::default(),
            Op::Contract(c) => {
                let operands = c.operands.iter().enumerate().map(|(k, o)| read(o, touched(c, k)));
                (times(&Dim::product(&c.rows), contract_flops(c)), operands.fold(written, |a, b| a.plus(&b)))
            }
            Op::Map(m) => {
                let operands = m.operands.iter().map(|o| read(o, usize::MAX));
                let flops = FLOPS_PER_PATH + ty.width() * expr_flops(&m.expr);
                (times(&ty.rows(), flops), operands.fold(written, |a, b| a.plus(&b)))
            }
            Op::Max(m) => {
                let of = types(m.value);
                let elements = times(&of.rows(), of.width());
                (elements.clone(), written.plus(&times(&elements, ty.dtype.size())))
            }
        };
        Cost { flops, bytes, starts: Dim::one() }
    }

    /// The time in nanoseconds where every symbol has the size `nominal`.
    pub fn nanoseconds(&self, nominal: usize) -> f64 {
        let value = |dim: &Dim| -> f64 {
            // `powi` may round differently from machine to machine.
            dim.terms().map(|(c, symbols)| symbols.iter().fold(c as f64, |value, _| value * nominal as f64)).sum()
        };
        NANOSECONDS_PER_FLOP * value(&self.flops)
            + NANOSECONDS_PER_BYTE * value(&self.bytes)
            + NANOSECONDS_PER_START * value(&self.starts)
    }
}

fn times(rows: &Dim, n: usize) -> Dim {
    rows.times(&Dim::from(i64::try_from(n).unwrap_or(i64::MAX)))
}

fn contract_flops(contract: &Contract) -> usize {
    let paths = contract.paths.iter().map(|path| {
        let steps: usize = path.axes.iter().map(|a| a.size).product();
        FLOPS_PER_PATH + steps * path.factors.len()
    });
    paths.sum()
}

/// How many elements of an operand are read in a row, counted once a path.
fn touched(contract: &Contract, operand: usize) -> usize {
    let elements = contract.paths.iter().flat_map(|path| {
        path.factors.iter().filter(move |f| f.operand == operand).map(|f| {
            let moving = f.segment.strides.iter().zip(&path.axes).filter(|(stride, _)| **stride > 0);
            moving.map(|(_, axis)| axis.size).product::<usize>()
        })
    });
    elements.sum()
}

fn expr_flops(expr: &Expr) -> usize {
    match expr {
        Expr::Arg(_) | Expr::Const(_) => 0,
        Expr::Unary(op, x) => expr_flops(x) + unary_flops(*op),
        Expr::Binary(op, a, b) => expr_flops(a) + expr_flops(b) + binary_flops(*op),
        Expr::Select(c, a, b) => 1 + expr_flops(c) + expr_flops(a) + expr_flops(b),
    }
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
