//! Maps, maxima and reshapes.

use rand::RngExt;
use rand::seq::IndexedRandom;
use schur_ir::dim::Dim;
use schur_ir::expr::{Binary, Expr, Unary};
use schur_ir::graph::{Map, Max, Op, Operand, RowMap};
use schur_ir::irreps::{Irrep, Irreps, MulIrrep};
use schur_ir::ty::Type;

use super::{Known, LIMIT, Maker};

/// An expression, with a bound of its magnitude.
type Bounded = (Expr, f64);

impl Maker {
    /// A map of one to three values of equal width. A map does not index.
    pub(super) fn map(&mut self) {
        let operands = self.map_operands();
        let mut axes: Vec<usize> = operands.iter().flat_map(|v| v.axes.iter().flatten().copied()).collect();
        axes.sort_unstable();
        axes.dedup();
        let rows = axes.iter().map(|axis| self.rows[*axis].clone()).collect();
        let place = |v: &Known| {
            let axes = v.axes.iter().map(|a| a.map(|a| axes.iter().position(|b| *b == a).unwrap())).collect();
            Operand { value: v.id, map: RowMap { index: None, axes } }
        };
        let map_operands = operands.iter().map(place).collect();
        let depth = self.rng.random_range(1..4);
        let (expr, bound) = self.expr(&operands, depth);
        let expr = if bound > LIMIT { expr * Expr::constant((LIMIT / bound).log2().floor().exp2()) } else { expr };
        let exact = matches!(expr, Expr::Arg(k) if operands[k].exact);
        let like = self.ty(&operands[0]).irreps.clone();
        let irreps = if self.chance(0.5) { like } else { Irreps::scalars(like.dim()) };
        let layer = self.layer.clone();
        let id = self.graph.map(Map { rows, operands: map_operands, expr }, irreps, self.dtype, &layer);
        let axes = axes.into_iter().map(Some).collect();
        self.values.push(Known { id, lead: None, axes, bound: bound.min(LIMIT), exact });
    }

    fn map_operands(&mut self) -> Vec<Known> {
        let usable: Vec<Known> =
            self.masks.iter().chain(self.values.iter().filter(|v| v.lead.is_none())).cloned().collect();
        let (a, b) = (self.rng.random_range(0..usable.len()), self.rng.random_range(0..usable.len()));
        let first = if self.chance(0.15) { usable[0].clone() } else { usable[a.max(b)].clone() };
        let width = self.ty(&first).width();
        let fitting: Vec<Known> = usable.into_iter().filter(|v| self.ty(v).width() == width).collect();
        let mut operands = vec![first];
        while operands.len() < 3 && self.chance(0.5) {
            let another = self.pick(&fitting);
            operands.push(another);
        }
        operands
    }

    fn constant(&mut self) -> f64 {
        f64::from(self.rng.random_range(-16..=16)) / 8.0
    }

    /// Every function, kept where it is defined and moderate; kinks and steps where [`Maker`] allows them.
    fn expr(&mut self, operands: &[Known], depth: usize) -> Bounded {
        if depth == 0 {
            return self.atom(operands);
        }
        let (a, x) = self.expr(operands, depth - 1);
        match self.rng.random_range(0..16) {
            0 => (Expr::unary(Unary::Neg, a), x),
            1 => (Expr::unary(Unary::Sqrt, square(&a) + Expr::constant(0.25)), x + 0.5),
            2 => (Expr::unary(Unary::Exp, Expr::unary(Unary::Tanh, a)), 3.0),
            3 => (Expr::unary(Unary::Exp, Expr::unary(Unary::Neg, square(&a))), 1.0),
            4 => (Expr::unary(Unary::Tanh, a), 1.0),
            5 => (Expr::unary(Unary::Sigmoid, a), 1.0),
            6 => (Expr::unary(Unary::Softplus, a), x + 1.0),
            7 => (a.clone() * Expr::unary(Unary::Sigmoid, a), x),
            8 => self.kinked(operands, (a, x)),
            9..11 => self.step(operands, depth, (a, x)),
            _ => {
                let (b, y) = self.expr(operands, depth - 1);
                match self.rng.random_range(0..4) {
                    0 => (a + b, x + y),
                    1 => (a - b, x + y),
                    2 => (a * b, x * y),
                    _ => (a / (square(&b) + Expr::constant(0.5)), 2.0 * x),
                }
            }
        }
    }

    fn atom(&mut self, operands: &[Known]) -> Bounded {
        if self.chance(0.2) {
            let c = self.constant();
            return (Expr::constant(c), c.abs());
        }
        let k = self.rng.random_range(0..operands.len());
        (Expr::Arg(k), operands[k].bound)
    }

    /// Continuous functions with a kink.
    fn kinked(&mut self, operands: &[Known], (a, x): Bounded) -> Bounded {
        let exact = matches!(a, Expr::Arg(k) if operands[k].exact);
        if self.smooth && !exact {
            return (Expr::unary(Unary::Tanh, a), 1.0);
        }
        let (c, zero) = (self.constant(), Expr::constant(0.0));
        match self.rng.random_range(0..3) {
            0 => (Expr::unary(Unary::Abs, a), x),
            1 => (Expr::binary(Binary::Max, a, Expr::constant(c)), x.max(c.abs())),
            _ => (Expr::select(Expr::binary(Binary::Gt, a.clone(), zero.clone()), a, zero), x),
        }
    }

    /// A comparison of an exact operand with a constant, and what is chosen by it.
    fn step(&mut self, operands: &[Known], depth: usize, (a, x): Bounded) -> Bounded {
        let exact: Vec<usize> = (0..operands.len()).filter(|k| operands[*k].exact).collect();
        let Some(k) = exact.choose(&mut self.rng).copied() else { return (Expr::unary(Unary::Tanh, a), 1.0) };
        let op = self.pick(&[Binary::Gt, Binary::Gt, Binary::Eq]);
        let condition = Expr::binary(op, Expr::Arg(k), Expr::constant(self.constant()));
        if self.chance(0.3) {
            return (condition + a, x + 1.0);
        }
        let (b, y) = self.expr(operands, depth - 1);
        (Expr::select(condition, a, b), x.max(y))
    }

    /// A maximum over at least one axis.
    pub(super) fn max(&mut self) {
        let candidates: Vec<Known> =
            self.values.iter().filter(|v| v.lead.is_some() || !v.axes.is_empty()).cloned().collect();
        let Some(value) = candidates.choose(&mut self.rng).cloned() else { return };
        let ty = self.ty(&value).clone();
        let keep = self.rng.random_range(0..ty.dims.len());
        self.not_empty(&ty.dims[keep..]);
        let lead = value.lead.filter(|_| keep > 0);
        let axes = value.axes[..keep.saturating_sub(usize::from(value.lead.is_some()))].to_vec();
        let out = Type::new(ty.dims[..keep].to_vec(), ty.irreps, ty.dtype);
        let layer = self.layer.clone();
        let id = self.graph.push(Op::Max(Max { value: value.id, keep }), out, &layer);
        self.values.push(Known { id, lead, axes, ..value });
    }

    /// A reshape: axes of size 1 come or go, a literal size joins the features or leaves them, or irreps are renamed.
    pub(super) fn reshape(&mut self) {
        let value = self.some_value();
        let ty = self.ty(&value).clone();
        let (mut axes, mut irreps) = (value.axes.clone(), ty.irreps.clone());
        match self.rng.random_range(0..4) {
            0 => axes.retain(Option::is_some),
            1 => axes.insert(self.rng.random_range(0..=axes.len()), None),
            2 => irreps = self.split(&irreps),
            _ => match axes.last().copied() {
                Some(Some(axis)) if self.rows[axis].constant().is_some() => {
                    axes.pop();
                    irreps = irreps.repeat(self.rows[axis].constant().unwrap() as usize);
                }
                _ => irreps = Irreps::scalars(irreps.dim()),
            },
        }
        let dims: Vec<Dim> = self.dims(value.lead, &axes);
        let layer = self.layer.clone();
        let id = self.graph.push(Op::Reshape(value.id), Type::new(dims, irreps, ty.dtype), &layer);
        self.values.push(Known { id, axes, ..value });
    }

    /// The same width, with every chunk in two.
    fn split(&mut self, irreps: &Irreps) -> Irreps {
        let halves = |c: MulIrrep, first: usize| [MulIrrep::new(first, c.ir), MulIrrep::new(c.mul - first, c.ir)];
        let chunks: Vec<_> = irreps.iter().flat_map(|c| halves(c, self.rng.random_range(0..=c.mul))).collect();
        let tail = MulIrrep::new(0, Irrep::SCALAR);
        Irreps::new(chunks.into_iter().chain([tail]))
    }
}

fn square(x: &Expr) -> Expr {
    x.clone() * x.clone()
}
