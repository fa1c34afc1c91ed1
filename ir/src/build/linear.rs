//! The linear layer in all its forms: vanilla, indexed, external and per-channel weights, mixed channels.

mod lowering;
mod mixture;

use std::collections::HashSet;

use super::builder::Builder;
use super::instructions::Instructions;
use super::pieces::regrouped;
use crate::graph::ValueId;
use crate::irreps::{Irrep, Irreps};
use crate::spec::{Layer, Linear, Problem};
use crate::ty::DType;
use lowering::{Lowering, Sides};

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

/// More chunks in all channels together are refused: they are listed one by one.
const MAX_CHUNKS: usize = 1 << 20;

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
    let instructions = Instructions::new(b, layer, options, inner, outer)?;

    let sides = Sides { x, weights, channels, irreps_in, irreps_out };
    let lowering = Lowering::new(b, layer, options, sides, instructions)?;
    let out = lowering.contract(b)?;
    Ok(lowering.unfolded(b, out))
}

fn problem(layer: &Layer, option: &str, reason: impl std::fmt::Display) -> Problem {
    Problem::new(format!("`{}`: {reason}", layer.name.value), "", layer.span_of(option))
}

fn weights(b: &Builder, layer: &Layer, options: &Linear, side: Option<ValueId>) -> Result<Weights, Problem> {
    let count = options.num_indexed_weights;
    let weights = match side.map(|value| (value, b.ty(value))) {
        None if count.is_some() => {
            Err(("num_indexed_weights", "`num_indexed_weights` needs `weights`, an i32 index".into()))
        }
        None => Ok(Weights::Vanilla),
        Some((value, ty)) => match (ty.dtype, count) {
            (DType::I32, Some(count)) => Ok(Weights::Indexed { index: value, count }),
            (DType::I32, None) => Err(("weights", "an i32 index as `weights` needs `num_indexed_weights`".into())),
            (DType::Bool, _) => Err(("weights", "a mask cannot be `weights`: an index or scalars (0e) can".into())),
            (DType::F32 | DType::F64, Some(_)) => {
                Err(("weights", "`num_indexed_weights` needs an i32 index as `weights`, these are scalars".into()))
            }
            (DType::F32 | DType::F64, None) if ty.irreps.is_scalar() && ty.width() > 0 => {
                Ok(Weights::External { mixture: value, d: ty.width() })
            }
            (DType::F32 | DType::F64, None) => {
                Err(("weights", format!("`weights` are `{}`: scalars (0e) alone can mix weights", ty.irreps)))
            }
        },
    };
    match weights {
        Ok(Weights::Vanilla | Weights::Indexed { .. }) if options.weights_per_channel => {
            let reason = "`weights_per_channel` needs `weights` that are scalars (0e)";
            Err(problem(layer, "weights_per_channel", reason))
        }
        Ok(weights) => Ok(weights),
        Err((option, reason)) => Err(problem(layer, option, reason)),
    }
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
    let reachable: HashSet<Irrep> = irreps_in.iter().map(|chunk| chunk.ir).collect();
    if options.force_irreps_out { simplified } else { simplified.filter(|c| reachable.contains(&c.ir)) }
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
    let fits = |n: usize, irreps: &Irreps| {
        n.saturating_mul(irreps.len().max(1)) <= MAX_CHUNKS && n.saturating_mul(irreps.dim()) <= Irreps::MAX_DIM
    };
    if !fits(inner, &b.ty(x).irreps) || !fits(outer, irreps_out) {
        return fail(format!("allows {MAX_CHUNKS} chunks and {} features in all channels at most", Irreps::MAX_DIM));
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
