//! Norms, activations and gates.

use super::builder::Builder;
use super::pieces::{Part, Piece, irreps_of, zeros_of};
use super::structure::products;
use crate::counted::Counted;
use crate::dim::Dim;
use crate::expr::{Binary, Expr, Unary};
use crate::graph::ValueId;
use crate::irreps::{Irrep, Irreps, MulIrrep, Parity};
use crate::spec::{Activation, Gate, Layer, NormActivation, Problem, ScalarActivation};

/// `norm`: its gradient at zero is zero.
pub(super) fn norm(b: &mut Builder, x: ValueId, squared: bool) -> ValueId {
    let (rows, pieces) = (b.ty(x).dims.clone(), b.pieces(x));
    let irreps = Irreps::new(pieces.iter().map(|p| MulIrrep::new(p.mul, Irrep::SCALAR)));
    let n2 = b.squares(&rows, &pieces, |_| 1.0, irreps.clone(), zeros_of(&pieces));
    if squared {
        return n2;
    }
    let is_zero = Expr::binary(Binary::Eq, Expr::Arg(0), Expr::constant(0.0));
    let root = Expr::select(is_zero, Expr::constant(0.0), Expr::unary(Unary::Sqrt, Expr::Arg(0)));
    b.map_one(n2, root, irreps, zeros_of(&pieces))
}

/// `scalar_activation`.
pub(super) fn scalar_activation(
    b: &mut Builder,
    layer: &Layer,
    options: &ScalarActivation,
    x: ValueId,
) -> Result<ValueId, Problem> {
    let (rows, pieces) = (b.ty(x).dims.clone(), b.pieces(x));
    let acts = match &options.acts {
        Some(acts) => acts.iter().map(|act| Some(Stated { act: (*act)?, option: "acts" })).collect(),
        None => by_parity(&pieces, (options.even_act, "even_act"), (options.odd_act, "odd_act")),
    };
    check_count(b, layer, acts.len(), x)?;
    let pieces = activate(b, layer, &rows, &pieces, &acts, options.normalize_act)?;
    Ok(b.join(&rows, &pieces))
}

fn check_count(b: &Builder, layer: &Layer, acts: usize, x: ValueId) -> Result<(), Problem> {
    let irreps = &b.ty(x).irreps;
    if acts == irreps.len() {
        return Ok(());
    }
    let message = format!(
        "`{}` has {acts} `acts`, its input `{irreps}` has {}: one each is needed",
        layer.name.value,
        Counted(irreps.len(), "chunk")
    );
    Err(Problem::new(message, "", layer.span_of("acts")))
}

/// An activation, and the option that states it.
#[derive(Clone, Copy)]
struct Stated {
    act: Activation,
    option: &'static str,
}

/// One activation for every chunk of scalars, by its parity; none for others.
fn by_parity(
    pieces: &[Piece],
    even: (Activation, &'static str),
    odd: (Activation, &'static str),
) -> Vec<Option<Stated>> {
    let [even, odd] = [even, odd].map(|(act, option)| Some(Stated { act, option }));
    let stated = |p: &Piece| match p.ir {
        Irrep { l: 0, p: Parity::Even } => even,
        Irrep { l: 0, p: Parity::Odd } => odd,
        Irrep { .. } => None,
    };
    pieces.iter().map(stated).collect()
}

/// The pieces with activations applied. What is known to be zero stays so where the activation keeps it.
fn activate(
    b: &mut Builder,
    layer: &Layer,
    rows: &[Dim],
    pieces: &[Piece],
    stated: &[Option<Stated>],
    normalize: bool,
) -> Result<Vec<Piece>, Problem> {
    let mut out = pieces.to_vec();
    for (piece, stated) in out.iter_mut().zip(stated) {
        let Some(stated) = stated else { continue };
        piece.ir.p = activated_parity(layer, piece, *stated)?;
        piece.zero &= stated.act.keeps_zero();
    }
    let acts: Vec<_> = stated.iter().map(|stated| stated.map(|stated| stated.act)).collect();
    for act in distinct(&acts) {
        let expr = if normalize { act.normalized() } else { act.expr() };
        let chosen = |k: &usize| acts[*k] == Some(act) && !(pieces[*k].zero && act.keeps_zero());
        let chosen: Vec<usize> = (0..pieces.len()).filter(chosen).collect();
        if chosen.iter().all(|&k| pieces[k].mul == 0) {
            continue;
        }
        let arguments: Vec<_> = chosen.iter().map(|&k| pieces[k]).collect();
        let argument = b.join(rows, &arguments);
        let irreps = Irreps::new(chosen.iter().map(|&k| out[k].mul_irrep()));
        let value = b.map_one(argument, expr, irreps, vec![false; chosen.len()]);
        for (&k, piece) in chosen.iter().zip(b.pieces(value)) {
            out[k] = piece;
        }
    }
    Ok(out)
}

fn distinct(acts: &[Option<Activation>]) -> Vec<Activation> {
    let mut seen = Vec::new();
    for act in acts.iter().flatten() {
        if !seen.contains(act) {
            seen.push(*act);
        }
    }
    seen
}

fn activated_parity(layer: &Layer, piece: &Piece, Stated { act, option }: Stated) -> Result<Parity, Problem> {
    let (chunk, name) = (piece.mul_irrep(), act.name());
    let problem = |reason: String| {
        let message = format!("`{}`: `{name}` (`{option}`) of {reason}", layer.name.value);
        Problem::new(message, "", layer.span_of(option))
    };
    match piece.ir {
        Irrep { l: 0, p: Parity::Even } => Ok(Parity::Even),
        Irrep { l: 0, p: Parity::Odd } => act.parity().ok_or_else(|| {
            problem(format!(
                "the odd scalars `{chunk}` has no parity: an even function (`abs`) or an odd one (`tanh`, \
                 `soft_odd`, `identity`) is needed"
            ))
        }),
        Irrep { .. } => Err(problem(format!("`{chunk}` is not equivariant: activations are for scalars (l = 0)"))),
    }
}

/// `norm_activation`: every irrep times the activation of its norm, of 1 where the norm is zero. Activations are not
/// normalised.
pub(super) fn norm_activation(
    b: &mut Builder,
    layer: &Layer,
    options: &NormActivation,
    x: ValueId,
) -> Result<ValueId, Problem> {
    check_count(b, layer, options.acts.len(), x)?;
    let (rows, pieces) = (b.ty(x).dims.clone(), b.pieces(x));
    let weight = |ir: Irrep| options.normalization.weight(ir);
    let mut parts: Vec<_> = pieces.iter().copied().map(Part::Copy).collect();
    for act in distinct(&options.acts) {
        let chosen: Vec<usize> = (0..pieces.len()).filter(|&k| options.acts[k] == Some(act)).collect();
        let arguments: Vec<_> = chosen.iter().map(|&k| pieces[k]).collect();
        let irreps = Irreps::new(arguments.iter().map(|p| MulIrrep::new(p.mul, Irrep::SCALAR)));
        let n2 = b.squares(&rows, &arguments, weight, irreps.clone(), zeros_of(&arguments));
        let positive = Expr::binary(Binary::Gt, Expr::Arg(0), Expr::constant(0.0));
        let norm = Expr::select(positive, Expr::unary(Unary::Sqrt, Expr::Arg(0)), Expr::constant(1.0));
        let value = b.map_one(n2, act.expr().substitute(&|_| norm.clone()), irreps, vec![false; chosen.len()]);
        for (&k, scale) in chosen.iter().zip(b.pieces(value)) {
            parts[k] = Part::Product(scale, pieces[k]);
        }
    }
    if distinct(&options.acts).is_empty() {
        return Ok(x);
    }
    Ok(b.assemble(&rows, &[parts], irreps_of(&pieces), zeros_of(&pieces)))
}

/// `gate`: the last scalars, one for each irrep that is not a scalar, are gates; the others are activated.
pub(super) fn gate(b: &mut Builder, layer: &Layer, options: &Gate, x: ValueId) -> Result<ValueId, Problem> {
    let rows = b.ty(x).dims.clone();
    let problem = |reason: String| Problem::new(format!("`{}`: {reason}", layer.name.value), "", layer.span.clone());
    let (scalars, vectors): (Vec<_>, Vec<_>) = b.pieces(x).into_iter().partition(|p| p.ir.l == 0);
    let count = |pieces: &[Piece]| pieces.iter().map(|p| p.mul).sum::<usize>();
    let gates = count(&vectors);
    let Some(extra) = count(&scalars).checked_sub(gates) else {
        let (found, others) = (Counted(count(&scalars), "scalar"), if gates == 1 { "irrep" } else { "irreps" });
        return Err(problem(format!(
            "`{}` has {found} for {gates} other {others}: each needs one as its gate",
            b.ty(x).irreps
        )));
    };
    let mut activated = |pieces: Vec<Piece>, even, odd| {
        let acts = by_parity(&pieces, even, odd);
        activate(b, layer, &rows, &pieces, &acts, options.normalize_act)
    };
    let (even, odd) = ((options.even_act, "even_act"), (options.odd_act, "odd_act"));
    if gates == 0 {
        let scalars = activated(scalars, even, odd)?;
        return Ok(b.join(&rows, &scalars));
    }
    let kept = activated(slice(&scalars, 0, extra), even, odd)?;
    let (even, odd) = ((options.even_gate_act, "even_gate_act"), (options.odd_gate_act, "odd_gate_act"));
    let gates = activated(slice(&scalars, extra, extra + gates), even, odd)?;
    let product = products(gates, vectors, b.limits.chunks).map_err(problem)?;
    let irreps = irreps_of(&kept).concat(&product.irreps);
    let zero = [zeros_of(&kept), product.zero].concat();
    let parts = kept.into_iter().map(Part::Copy).chain(product.parts).collect();
    Ok(b.assemble(&rows, &[parts], irreps, zero))
}

/// The multiplicities from `start` to `stop`, as `slice_by_mul` takes them: empty chunks at both ends stay.
fn slice(pieces: &[Piece], start: usize, stop: usize) -> Vec<Piece> {
    let mut at = 0;
    let mut out = Vec::new();
    for piece in pieces {
        let end = at + piece.mul;
        if start <= at && end <= stop {
            out.push(*piece);
        } else if start < end && at < stop {
            let (head, _) = piece.split(stop.min(end) - at);
            out.push(head.split(start.max(at) - at).1);
        }
        at = end;
    }
    out
}
