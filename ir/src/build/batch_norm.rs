//! Equivariant batch and instance normalisation.
//!
//! Statistics are measured in two passes: the means of the scalars, then the squares about them. Chunks known to be
//! zero take no part: they stay zero, without a bias, and their running statistics become 0 and 1.

use super::Mode;
use super::builder::{Builder, constant, leading, shared};
use super::contraction::{Axes, Contraction};
use super::pieces::{Piece, irreps_of, write_squares, zeros_of};
use crate::dim::Dim;
use crate::expr::{Expr, Unary};
use crate::graph::{Max, Op, Requirement, ValueId};
use crate::irreps::{Irrep, Irreps};
use crate::spec::{BatchNorm, Layer, Problem, Reduce};
use crate::ty::{DType, DisplayDims, Type};

/// `batch_norm`.
pub(super) fn batch_norm(
    b: &mut Builder,
    layer: &Layer,
    options: &BatchNorm,
    x: ValueId,
    mask: Option<ValueId>,
) -> Result<ValueId, Problem> {
    check(b, layer, options, x, mask)?;
    let norm = Norm::new(b, options, x);
    let stored = norm.stored(b)?;
    let running = options.use_running_average.unwrap_or(b.mode == Mode::Infer);
    let measured = b.mode == Mode::Train || !running || options.instance;
    if measured {
        norm.require(b, layer)?;
    }
    let share = mask.filter(|_| measured).map(|mask| mask_share(b, mask));

    let measured_means = measured.then(|| norm.means(b, share));
    let used = |stored: Option<ValueId>, measured| stored.filter(|_| running).or(measured);
    let means = used(stored.map(|s| s.mean), measured_means).ok_or_else(|| b.problem(NO_STATISTICS.into()))?;
    let centered = norm.centered(b, means);
    let measured_vars = measured.then(|| norm.variances(b, centered, share));
    let vars = used(stored.map(|s| s.var), measured_vars).ok_or_else(|| b.problem(NO_STATISTICS.into()))?;
    if let (Mode::Train, Some(stored), Some(means), Some(vars)) = (b.mode, stored, measured_means, measured_vars) {
        norm.update(b, "mean", [stored.mean, means]);
        norm.update(b, "var", [stored.var, vars]);
    }
    norm.output(b, centered, vars)
}

/// Cannot be: running averages are refused where none are stored.
const NO_STATISTICS: &str = "a batch norm needs statistics that are stored or measured";

fn check(b: &Builder, layer: &Layer, options: &BatchNorm, x: ValueId, mask: Option<ValueId>) -> Result<(), Problem> {
    let name = &layer.name.value;
    let [batch, ..] = b.ty(x).dims.as_slice() else {
        let message = format!("`{name}` reads an array without leading axes: `batch_norm` needs a batch");
        return Err(Problem::new(message, "", layer.span_of("input")));
    };
    let Some(mask) = mask else { return Ok(()) };
    let span = layer.span_of("mask");
    if options.instance {
        let message =
            format!("`{name}`: with `instance`, statistics never see other elements, so a `mask` has no effect");
        return Err(Problem::new(message, "", span));
    }
    let ty = b.ty(mask);
    if ty.dtype != DType::Bool || ty.dims.as_slice() != std::slice::from_ref(batch) {
        let message = format!("`{name}`: the mask is {}{}, bool[{batch}] is needed", ty.dtype, DisplayDims(&ty.dims));
        return Err(Problem::new(message, "", span));
    }
    Ok(())
}

/// What every row of the mask weighs in a mean over the batch: mask / sum(mask).
fn mask_share(b: &mut Builder, mask: ValueId) -> ValueId {
    if let Op::Input(input) = b.graph.node(mask).op.clone() {
        let layer = b.layer().clone();
        b.graph.requirements.push(Requirement::AnyTrue { input, layer });
    }
    let dims = b.ty(mask).dims.clone();
    let one = Irreps::scalars(1);
    let weight = b.map_one(mask, Expr::Arg(0), one.clone(), vec![false]);
    let mut total = Contraction::over(&dims).keeping(0);
    let axes = Axes::new([]);
    total.path(1.0, &axes, [(&leading(weight, 1), axes.dense(0, ""))], axes.dense(0, ""));
    let total = b.contract_scalars(total, 1);
    b.map(&dims, vec![leading(weight, 1), shared(total)], Expr::Arg(0) / Expr::Arg(1), one)
}

struct Norm<'o> {
    options: &'o BatchNorm,
    x: ValueId,
    rows: Vec<Dim>,
    pieces: Vec<Piece>,
    /// How many leading axes the statistics keep: the batch, with `instance`.
    keep: usize,
}

/// The running statistics.
#[derive(Clone, Copy)]
struct Stored {
    mean: ValueId,
    var: ValueId,
}

impl<'o> Norm<'o> {
    fn new(b: &Builder, options: &'o BatchNorm, x: ValueId) -> Self {
        let (rows, pieces) = (b.ty(x).dims.clone(), b.pieces(x));
        Norm { options, x, rows, pieces, keep: usize::from(options.instance) }
    }

    fn scalars(&self) -> usize {
        self.pieces.iter().filter(|p| p.ir.is_scalar()).map(|p| p.mul).sum()
    }

    fn irreps(&self) -> usize {
        self.pieces.iter().map(|p| p.mul).sum()
    }

    /// `None` with `instance`, whose statistics are those of single elements.
    fn stored(&self, b: &mut Builder) -> Result<Option<Stored>, Problem> {
        if self.options.instance {
            return Ok(None);
        }
        let mean = b.param("batch_stats", "mean", vec![self.scalars()], 0, constant(0.0))?;
        let var = b.param("batch_stats", "var", vec![self.irreps()], 0, constant(1.0))?;
        Ok(Some(Stored { mean, var }))
    }

    /// The pieces with the place of their first irrep in arrays of all irreps and, for scalars, in arrays of scalars.
    fn places(&self) -> impl Iterator<Item = (&Piece, usize, Option<usize>)> {
        self.pieces.iter().scan((0, 0), |(irreps, scalars), piece| {
            let place = (piece, *irreps, piece.ir.is_scalar().then_some(*scalars));
            *irreps += piece.mul;
            *scalars += if piece.ir.is_scalar() { piece.mul } else { 0 };
            Some(place)
        })
    }

    fn require(&self, b: &mut Builder, layer: &Layer) -> Result<(), Problem> {
        let dims = self.rows[self.keep..].to_vec();
        let rows = Dim::product(&dims);
        if rows.constant() == Some(0) {
            return Err(b.problem(format!("`{}` has no row to take statistics of", layer.name.value)));
        }
        if rows.constant().is_none() {
            b.graph.requirements.push(Requirement::NotEmpty { dims, layer: layer.name.as_str().into() });
        }
        Ok(())
    }

    /// The mean over rows of sizes `dims`; with `share`, the batch is averaged with these weights.
    fn average(&self, dims: &[Dim], share: Option<ValueId>) -> Contraction {
        let weighted = self.keep.max(usize::from(share.is_some()));
        Contraction::over(dims).keeping(self.keep).divided_by(&dims[weighted..])
    }

    fn means(&self, b: &mut Builder, share: Option<ValueId>) -> ValueId {
        let mut means = self.average(&self.rows, share);
        for (piece, _, scalar) in self.places().filter(|(piece, ..)| !piece.zero) {
            if let Some(at) = scalar {
                write_average(&mut means, self.x, [piece.offset, at], piece.mul, share);
            }
        }
        b.contract_scalars(means, self.scalars())
    }

    /// The input with the means of its scalars subtracted.
    fn centered(&self, b: &mut Builder, mean: ValueId) -> ValueId {
        if !self.pieces.iter().any(|p| p.ir.is_scalar() && !p.zero && p.mul > 0) {
            return self.x;
        }
        let mut centered = Contraction::over(&self.rows);
        let (x, mean) = (leading(self.x, self.rows.len()), leading(mean, self.keep));
        for (piece, _, scalar) in self.places().filter(|(piece, ..)| !piece.zero) {
            let axes = Axes::new([('u', piece.mul), ('i', piece.ir.dim())]);
            let here = axes.dense(piece.offset, "ui");
            centered.path(1.0, &axes, [(&x, here.clone())], here.clone());
            if let Some(at) = scalar {
                centered.path(-1.0, &axes, [(&mean, axes.dense(at, "u"))], here);
            }
        }
        b.contract(centered, irreps_of(&self.pieces), zeros_of(&self.pieces))
    }

    /// The mean, or the mean of the maxima, of the squared norms of irreps.
    fn variances(&self, b: &mut Builder, centered: ValueId, share: Option<ValueId>) -> ValueId {
        let pieces = b.pieces(centered);
        let weight = |ir: Irrep| self.options.normalization.weight(ir);
        // Without axes between batch and irreps, the maximum is over nothing.
        let max = self.options.reduce == Reduce::Max && self.rows.len() > 1;
        let mut squares =
            if max || share.is_some() { Contraction::over(&self.rows) } else { self.average(&self.rows, None) };
        write_squares(&mut squares, &pieces, weight);
        let mut value = b.contract_scalars(squares, self.irreps());
        if max {
            let ty = Type { dims: self.rows[..1].to_vec(), ..b.ty(value).clone() };
            value = b.push(Op::Max(Max { value, keep: 1 }), ty);
        }
        let dims = b.ty(value).dims.clone();
        if dims.len() == self.keep {
            return value;
        }
        let mut mean = self.average(&dims, share);
        write_average(&mut mean, value, [0, 0], self.irreps(), share);
        b.contract_scalars(mean, self.irreps())
    }

    /// Returns (1 − momentum) old + momentum new, the new statistics being those of `name`.
    fn update(&self, b: &mut Builder, name: &str, [old, new]: [ValueId; 2]) {
        let of_irreps = name == "var";
        let ones = (of_irreps && self.pieces.iter().any(|p| p.zero && p.mul > 0))
            .then(|| b.map(&[], Vec::new(), Expr::constant(1.0), Irreps::scalars(1)));
        let momentum = self.options.momentum;
        let mut updated = Contraction::over(&[]);
        for (piece, irrep, scalar) in self.places() {
            let Some(at) = (if of_irreps { Some(irrep) } else { scalar }) else { continue };
            let axes = Axes::new([('u', piece.mul)]);
            let here = axes.dense(at, "u");
            if !piece.zero {
                updated.path(1.0 - momentum, &axes, [(&shared(old), here.clone())], here.clone());
                updated.path(momentum, &axes, [(&shared(new), here.clone())], here);
            } else if let Some(ones) = ones {
                updated.path(1.0, &axes, [(&shared(ones), axes.dense(0, ""))], here);
            }
        }
        let width = if of_irreps { self.irreps() } else { self.scalars() };
        let value = b.contract_scalars(updated, width);
        b.update(name, value);
    }

    /// Every irrep scaled to size 1, times its weight, plus the bias of scalars.
    fn output(&self, b: &mut Builder, centered: ValueId, var: ValueId) -> Result<ValueId, Problem> {
        let eps = self.options.eps;
        let spread = Expr::constant(1.0 - eps) * Expr::Arg(0) + Expr::constant(eps);
        let inverse = Expr::constant(1.0) / Expr::unary(Unary::Sqrt, spread);
        let affine = self.options.affine;
        let weights =
            affine.then(|| b.param("params", "weights", vec![self.irreps()], 0, constant(1.0))).transpose()?;
        let biases = affine.then(|| b.param("params", "biases", vec![self.scalars()], 0, constant(0.0))).transpose()?;
        let (expr, operands) = match weights {
            Some(weights) => (inverse * Expr::Arg(1), vec![leading(var, self.keep), shared(weights)]),
            None => (inverse, vec![leading(var, self.keep)]),
        };
        let dims = b.ty(var).dims.clone();
        let scale = b.map(&dims, operands, expr, Irreps::scalars(self.irreps()));

        let mut out = Contraction::over(&self.rows);
        let (x, scale) = (leading(centered, self.rows.len()), leading(scale, self.keep));
        for (piece, irrep, scalar) in self.places().filter(|(piece, ..)| !piece.zero) {
            let axes = Axes::new([('u', piece.mul), ('i', piece.ir.dim())]);
            let here = axes.dense(piece.offset, "ui");
            out.path(1.0, &axes, [(&x, here.clone()), (&scale, axes.dense(irrep, "u"))], here.clone());
            if let (Some(at), Some(biases)) = (scalar, biases) {
                out.path(1.0, &axes, [(&shared(biases), axes.dense(at, "u"))], here);
            }
        }
        Ok(b.contract(out, irreps_of(&self.pieces), zeros_of(&self.pieces)))
    }
}

/// Writes a mean of `mul` elements; see [`Norm::average`].
fn write_average(
    contraction: &mut Contraction,
    value: ValueId,
    [from, to]: [usize; 2],
    mul: usize,
    share: Option<ValueId>,
) {
    let axes = Axes::new([('u', mul)]);
    let rank = contraction.rows().len();
    let (x, segment) = (leading(value, rank), axes.dense(from, "u"));
    match share.map(|share| leading(share, 1)) {
        Some(share) => contraction.path(1.0, &axes, [(&x, segment), (&share, axes.dense(0, ""))], axes.dense(to, "u")),
        None => contraction.path(1.0, &axes, [(&x, segment)], axes.dense(to, "u")),
    }
}
