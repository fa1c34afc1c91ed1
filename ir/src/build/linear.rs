//! The linear layer in all its forms: vanilla, indexed, external and per-channel weights, mixed channels.
//!
//! External weights `e` of size d are multiplied into the input first (`z[d, …] = e[d] x[…]`), so that every term is a
//! product of two and no array of rows × in × out exists.

use std::collections::BTreeSet;

use super::builder::{Builder, init, leading, shared};
use super::contraction::{Axes, Contraction};
use super::instructions::{Instruction, Instructions};
use super::pieces::{rechunk_zeros, regrouped};
use crate::dim::Dim;
use crate::graph::{Op, Operand, Requirement, RowIndex, RowMap, ValueId};
use crate::irreps::{Irreps, MulIrrep};
use crate::spec::{Layer, Linear, Problem};
use crate::ty::DType;

/// Where the weights come from.
#[derive(Clone, Copy)]
enum Weights {
    /// One set for all rows.
    Vanilla,
    /// An index picks one of `count` sets.
    Indexed { index: ValueId, count: usize },
    /// Mixtures of `d` sets.
    External { mixture: ValueId, d: usize },
}

/// What the axis before the irreps is.
#[derive(Clone, Copy)]
enum Channels {
    /// A leading axis as any other.
    None,
    /// Every channel has its own weights.
    Each(usize),
    /// Channels are mixed: with the irreps they are features.
    Mixed { inner: usize, outer: usize },
}

impl Channels {
    fn inner(self) -> Option<usize> {
        match self {
            Channels::None => None,
            Channels::Each(n) | Channels::Mixed { inner: n, .. } => Some(n),
        }
    }

    fn outer(self) -> Option<usize> {
        match self {
            Channels::None => None,
            Channels::Each(n) | Channels::Mixed { outer: n, .. } => Some(n),
        }
    }

    /// The size of the axis `c` of weights: of biases too, where channels are not mixed.
    fn each(self) -> Option<usize> {
        match self {
            Channels::Each(n) => Some(n),
            Channels::None | Channels::Mixed { .. } => None,
        }
    }

    /// The size of the axis `k` of weights and biases.
    fn mixed_outer(self) -> Option<usize> {
        match self {
            Channels::Mixed { outer, .. } => Some(outer),
            Channels::None | Channels::Each(_) => None,
        }
    }

    /// The letter of the channels of the output.
    fn out_letter(self) -> char {
        match self {
            Channels::Mixed { .. } => 'k',
            Channels::None | Channels::Each(_) => 'c',
        }
    }

    /// The irreps between which weights stand.
    fn scale(self, irreps: &Irreps, channels: Option<usize>) -> Irreps {
        match (self, channels) {
            (Channels::Mixed { .. }, Some(n)) => irreps.scale_mul(n),
            (Channels::None | Channels::Each(_) | Channels::Mixed { .. }, _) => irreps.clone(),
        }
    }
}

/// More channels are refused: their irreps are listed one by one.
const MAX_CHANNELS: usize = 1 << 16;

/// `linear`.
pub(super) fn linear(
    b: &mut Builder,
    layer: &Layer,
    options: &Linear,
    x: ValueId,
    side: Option<ValueId>,
) -> Result<ValueId, Problem> {
    let weights = weights(b, layer, options, side)?;
    let x = if options.simplify_irreps_internally { regrouped_input(b, x) } else { x };
    let irreps_in = b.ty(x).irreps.clone();
    let irreps_out = wanted_irreps(options, &irreps_in);
    let channels = channels(b, layer, options, x, &irreps_out)?;

    let inner = channels.scale(&irreps_in, channels.inner());
    check_irreps_in(layer, options, &inner)?;
    let outer = channels.scale(&irreps_out, channels.outer());
    let instructions = Instructions::new(layer, options, inner, outer)?;

    let lowering =
        Lowering::new(b, layer, options, Sides { x, weights, channels, irreps_in, irreps_out }, instructions)?;
    let out = lowering.contract(b)?;
    Ok(lowering.unfolded(b, out))
}

fn problem(layer: &Layer, option: &str, reason: String) -> Problem {
    Problem::new(format!("`{}`: {reason}", layer.name.value), "", layer.span_of(option))
}

fn weights(b: &Builder, layer: &Layer, options: &Linear, side: Option<ValueId>) -> Result<Weights, Problem> {
    let fail = |option, reason: &str| Err(problem(layer, option, reason.to_string()));
    let weights = match (side, options.num_indexed_weights) {
        (None, None) => Weights::Vanilla,
        (None, Some(_)) => return fail("num_indexed_weights", "`num_indexed_weights` needs `weights`, an i32 input"),
        (Some(value), count) => {
            let ty = b.ty(value);
            match (ty.dtype, count) {
                (DType::I32, Some(count)) => Weights::Indexed { index: value, count },
                (DType::I32, None) => return fail("weights", "an i32 index as `weights` needs `num_indexed_weights`"),
                (DType::Bool, _) => return fail("weights", "a mask cannot be `weights`: an index or scalars (0e) can"),
                (DType::F32 | DType::F64, Some(_)) => {
                    return fail("weights", "`num_indexed_weights` needs an i32 index as `weights`, these are scalars");
                }
                (DType::F32 | DType::F64, None) if !ty.irreps.is_scalar() || ty.width() == 0 => {
                    return fail(
                        "weights",
                        &format!("`weights` are `{}`: scalars (0e) alone can mix weights", ty.irreps),
                    );
                }
                (DType::F32 | DType::F64, None) => Weights::External { mixture: value, d: ty.width() },
            }
        }
    };
    if options.weights_per_channel && !matches!(weights, Weights::External { .. }) {
        return fail("weights_per_channel", "`weights_per_channel` needs `weights` that are scalars (0e)");
    }
    Ok(weights)
}

/// The input without chunks known to be zero, regrouped.
fn regrouped_input(b: &mut Builder, x: ValueId) -> ValueId {
    let pieces = b.pieces(x).into_iter().filter(|p| !p.zero).collect();
    let (pieces, irreps, zero) = regrouped(pieces);
    let rows = b.ty(x).dims.clone();
    b.join_as(&rows, &pieces, irreps, zero)
}

/// The irreps of the output, before `force_irreps_out` restores their chunks.
fn wanted_irreps(options: &Linear, irreps_in: &Irreps) -> Irreps {
    let wanted = &options.irreps_out.value;
    let simplified = if options.simplify_irreps_internally { wanted.simplify() } else { wanted.clone() };
    if options.force_irreps_out { simplified } else { simplified.filter(|c| irreps_in.contains(c.ir)) }
}

fn channels(
    b: &Builder,
    layer: &Layer,
    options: &Linear,
    x: ValueId,
    irreps_out: &Irreps,
) -> Result<Channels, Problem> {
    if options.channel_out.is_none() && !options.weights_per_channel {
        return Ok(Channels::None);
    }
    let option = if options.weights_per_channel { "weights_per_channel" } else { "channel_out" };
    let fail = |reason: String| Err(problem(layer, option, format!("`{option}` {reason}")));
    let Some(axis) = b.ty(x).dims.last() else {
        return fail("needs an axis of channels before the irreps, the input has no leading axis".into());
    };
    let Some(inner) = axis.constant().and_then(|n| usize::try_from(n).ok()) else {
        return fail(format!("needs a number as the size of the input's last leading axis, found `{axis}`"));
    };
    let outer = options.channel_out.unwrap_or(inner);
    let fits = |n: usize, width: usize| n <= MAX_CHANNELS && n.saturating_mul(width) <= Irreps::MAX_DIM;
    if !fits(inner, b.ty(x).width()) || !fits(outer, irreps_out.dim()) {
        let most = (MAX_CHANNELS, Irreps::MAX_DIM);
        return fail(format!("allows {} channels and {} features at most", most.0, most.1));
    }
    Ok(match options.channel_out {
        Some(outer) => Channels::Mixed { inner, outer },
        None => Channels::Each(inner),
    })
}

fn check_irreps_in(layer: &Layer, options: &Linear, irreps: &Irreps) -> Result<(), Problem> {
    let Some(stated) = &options.irreps_in else { return Ok(()) };
    let exact = options.instructions.is_some();
    let fits = if exact { stated.value == *irreps } else { stated.regroup() == irreps.regroup() };
    if fits {
        return Ok(());
    }
    let reason = format!("`irreps_in` is `{}`, the input's irreps are `{irreps}`", stated.value);
    Err(problem(layer, "irreps_in", reason))
}

/// What a linear layer joins.
struct Sides {
    x: ValueId,
    weights: Weights,
    channels: Channels,
    /// The irreps of one channel.
    irreps_in: Irreps,
    /// The irreps of one channel of the output.
    irreps_out: Irreps,
}

struct Lowering<'s> {
    layer: &'s Layer,
    options: &'s Linear,
    sides: Sides,
    instructions: Instructions,
    /// The input with the channels folded into the irreps.
    folded: ValueId,
    /// The leading sizes of the output, without channels.
    rows: Vec<Dim>,
}

impl<'s> Lowering<'s> {
    fn new(
        b: &mut Builder,
        layer: &'s Layer,
        options: &'s Linear,
        sides: Sides,
        instructions: Instructions,
    ) -> Result<Self, Problem> {
        let ty = b.ty(sides.x).clone();
        let folded = match sides.channels.inner() {
            Some(n) => {
                let dims = ty.dims[..ty.dims.len() - 1].to_vec();
                b.reshape(sides.x, dims, ty.irreps.repeat(n), ty.zero.repeat(n))
            }
            None => sides.x,
        };
        let dims = &b.ty(folded).dims;
        let rows = match sides.weights {
            Weights::Vanilla => dims.clone(),
            Weights::Indexed { index: other, .. } | Weights::External { mixture: other, .. } => {
                b.broadcast(&[dims, &b.ty(other).dims], &layer.span_of("weights"))?
            }
        };
        Ok(Lowering { layer, options, sides, instructions, folded, rows })
    }

    /// True where a term does not start at a chunk known to be zero.
    fn is_live(&self, b: &Builder, path: &Instruction) -> bool {
        !b.ty(self.sides.x).zero[path.i_in]
    }

    /// The output, with the channels folded into the irreps.
    fn contract(&self, b: &mut Builder) -> Result<ValueId, Problem> {
        let (x, x_offsets) = self.input(b)?;
        let mut contraction = Contraction::over(&self.rows);
        for path in &self.instructions.paths {
            let weight = self.weight(b, path)?;
            if self.is_live(b, path) {
                self.write_path(&mut contraction, path, (&x, x_offsets[path.i_in]), &weight);
            }
        }
        for &i_out in &self.instructions.biases {
            let bias = self.bias(b, i_out)?;
            self.write_bias(b, &mut contraction, i_out, &bias);
        }
        let channels = self.sides.channels.outer().unwrap_or(1);
        let zero = self.zero(b).repeat(channels);
        Ok(b.contract(contraction, self.sides.irreps_out.repeat(channels), zero))
    }

    /// What no live term and no bias writes.
    fn zero(&self, b: &Builder) -> Vec<bool> {
        let mut zero = vec![true; self.sides.irreps_out.len()];
        let ends = self.instructions.paths.iter().filter(|p| self.is_live(b, p)).map(|p| p.i_out);
        ends.chain(self.instructions.biases.iter().copied()).for_each(|o| zero[o] = false);
        zero
    }

    fn external(&self) -> Option<(ValueId, usize)> {
        match self.sides.weights {
            Weights::External { mixture, d } => Some((mixture, d)),
            Weights::Vanilla | Weights::Indexed { .. } => None,
        }
    }

    /// sqrt(1/d), by which mixtures of d weights are normalised; 1 where there are none.
    fn mixture_scale(&self, power: f64) -> f64 {
        self.external().map_or(1.0, |(_, d)| (1.0 / d as f64).sqrt().powf(power))
    }

    /// A chunk of one channel of the input or the output.
    fn chunk(irreps: &Irreps, k: usize) -> (MulIrrep, usize) {
        (irreps.chunks()[k], irreps.chunks()[..k].iter().map(|c| c.dim()).sum())
    }

    /// What meets the weights, and where its chunks begin.
    fn input(&self, b: &mut Builder) -> Result<(Operand, Vec<usize>), Problem> {
        let Some((mixture, d)) = self.external() else {
            return Ok((b.operand(self.folded, &self.rows), self.sides.irreps_in.offsets()));
        };
        let (x, e) = (b.operand(self.folded, &self.rows), b.operand(mixture, &self.rows));
        let inner = self.sides.channels.inner();
        let copies = d.saturating_mul(inner.unwrap_or(1));
        if copies.saturating_mul(self.sides.irreps_in.dim()) > Irreps::MAX_DIM {
            let reason = format!("`weights` times input has more than {} features", Irreps::MAX_DIM);
            return Err(problem(self.layer, "weights", reason));
        }
        let mut outer = Contraction::over(&self.rows);
        let (mut chunks, mut offsets, mut at) = (Vec::new(), vec![0; self.sides.irreps_in.len()], 0);
        let used: BTreeSet<usize> =
            self.instructions.paths.iter().filter(|p| self.is_live(b, p)).map(|p| p.i_in).collect();
        for k in used {
            let (chunk, offset) = Self::chunk(&self.sides.irreps_in, k);
            let axes = Axes::some([('d', Some(d)), ('c', inner), ('u', Some(chunk.mul)), ('i', Some(chunk.ir.dim()))]);
            let from = axes.strided(axes.dense(offset, "ui"), 'c', self.sides.irreps_in.dim());
            outer.path(1.0, &axes, [(&e, axes.dense(0, "d")), (&x, from)], axes.dense(at, "dcui"));
            offsets[k] = at;
            chunks.push(MulIrrep::new(copies * chunk.mul, chunk.ir));
            at += copies * chunk.dim();
        }
        let zero = vec![false; chunks.len()];
        let z = b.contract(outer, Irreps::new(chunks), zero);
        Ok((leading(z, self.rows.len()), offsets))
    }

    /// A parameter with the leading axes that the kind of weights adds.
    fn param(&self, b: &mut Builder, name: &str, shape: &[usize], std: f64) -> Result<Operand, Problem> {
        let initial = init(self.options.init.as_ref(), std);
        let each = self.sides.channels.each();
        match self.sides.weights {
            Weights::Vanilla => Ok(shared(b.param("params", name, shape.to_vec(), 0, initial)?)),
            Weights::External { d, .. } => {
                let shape = [d].into_iter().chain(each).chain(shape.iter().copied()).collect();
                Ok(shared(b.param("params", name, shape, 0, initial)?))
            }
            Weights::Indexed { index, count } => {
                let shape = [count].into_iter().chain(shape.iter().copied()).collect();
                let value = b.param("params", name, shape, 1, initial)?;
                self.require_index(b, index, count);
                let axes = b.operand(index, &self.rows).map.axes;
                let index = Some(RowIndex { value: index, size: Dim::from(count as i64), axes });
                Ok(Operand { value, map: RowMap { index, axes: Vec::new() } })
            }
        }
    }

    fn require_index(&self, b: &mut Builder, index: ValueId, bound: usize) {
        let Op::Input(input) = b.graph.node(index).op.clone() else { return };
        let requirement = Requirement::IndexBelow { input, bound, layer: b.layer().clone() };
        if b.graph.requirements.last() != Some(&requirement) {
            b.graph.requirements.push(requirement);
        }
    }

    fn weight(&self, b: &mut Builder, path: &Instruction) -> Result<Operand, Problem> {
        let (chunk_in, chunk_out) = self.instructions.ends(path);
        let std = path.weight_std * self.mixture_scale(1.0 - self.options.gradient_normalization);
        self.param(b, &self.instructions.weight_name(path), &[chunk_in.mul, chunk_out.mul], std)
    }

    fn bias(&self, b: &mut Builder, i_out: usize) -> Result<Operand, Problem> {
        let mul = self.instructions.irreps_out.chunks()[i_out].mul;
        self.param(b, &self.instructions.bias_name(i_out), &[mul], 0.0)
    }

    fn write_path(
        &self,
        contraction: &mut Contraction,
        path: &Instruction,
        (x, x_offset): (&Operand, usize),
        weight: &Operand,
    ) {
        let Sides { channels, irreps_in, irreps_out, .. } = &self.sides;
        let (chunk_in, _) = Self::chunk(irreps_in, path.i_in);
        let (chunk_out, out_offset) = Self::chunk(irreps_out, path.i_out);
        let axes = Axes::some([
            ('d', self.external().map(|(_, d)| d)),
            ('c', channels.inner()),
            ('u', Some(chunk_in.mul)),
            ('k', channels.mixed_outer()),
            ('v', Some(chunk_out.mul)),
            ('i', Some(chunk_in.ir.dim())),
        ]);
        let from = match self.external() {
            Some(_) => axes.dense(x_offset, "dcui"),
            None => axes.strided(axes.dense(x_offset, "ui"), 'c', irreps_in.dim()),
        };
        let to = axes.strided(axes.dense(out_offset, "vi"), channels.out_letter(), irreps_out.dim());
        let coefficient = path.path_weight * self.mixture_scale(self.options.gradient_normalization);
        contraction.path(coefficient, &axes, [(x, from), (weight, axes.dense(0, "dcukv"))], to);
    }

    fn write_bias(&self, b: &Builder, contraction: &mut Contraction, i_out: usize, bias: &Operand) {
        let Sides { channels, irreps_out, .. } = &self.sides;
        let (chunk, offset) = Self::chunk(irreps_out, i_out);
        let external = self.external();
        let axes = Axes::some([
            ('d', external.map(|(_, d)| d)),
            ('c', channels.each()),
            ('k', channels.mixed_outer()),
            ('v', Some(chunk.mul)),
        ]);
        let to = axes.strided(axes.dense(offset, "v"), channels.out_letter(), irreps_out.dim());
        let factor = (bias, axes.dense(0, "dckv"));
        match external {
            None => contraction.path(1.0, &axes, [factor], to),
            Some((mixture, _)) => {
                let e = b.operand(mixture, &self.rows);
                let scale = self.mixture_scale(self.options.gradient_normalization);
                contraction.path(scale, &axes, [(&e, axes.dense(0, "d")), factor], to);
            }
        }
    }

    /// The output with its axis of channels, and with the chunks that `force_irreps_out` asks for.
    fn unfolded(&self, b: &mut Builder, out: ValueId) -> ValueId {
        let dims = self.rows.iter().cloned().chain(self.sides.channels.outer().map(|n| Dim::from(n as i64))).collect();
        let irreps = &self.sides.irreps_out;
        let zero = &b.ty(out).zero[..irreps.len()];
        let new = if self.options.force_irreps_out { &self.options.irreps_out.value } else { irreps };
        let zero = rechunk_zeros(irreps, zero, new);
        b.reshape(out, dims, new.clone(), zero)
    }
}
