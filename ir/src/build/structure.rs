//! Layers that select, order, join, add and weight chunks.

use super::builder::Builder;
use super::pieces::{Part, Piece, regrouped};
use crate::counted::Counted;
use crate::graph::ValueId;
use crate::irreps::{Irrep, Irreps, MulIrrep};
use crate::spec::{FilterRule, Layer, Problem};
use crate::ty::DisplayDims;

/// `add`: a chunk of the sum is known to be zero where it is in every input.
pub(super) fn add(b: &mut Builder, layer: &Layer, inputs: &[ValueId]) -> Result<ValueId, Problem> {
    let first = b.ty(inputs[0]).clone();
    for (name, value) in layer.inputs.iter().zip(inputs) {
        let irreps = &b.ty(*value).irreps;
        if *irreps != first.irreps {
            let message =
                format!("`{}` adds `{}` and `{irreps}`: `add` needs equal irreps", layer.name.value, first.irreps);
            return Err(Problem::new(message, format!("this is {irreps}"), name.span.clone())
                .with_help("make them equal with `force_irreps_out`, `regroup` or a `linear`"));
        }
    }
    if let [only] = inputs {
        return Ok(*only);
    }
    let dims: Vec<_> = inputs.iter().map(|v| b.ty(*v).dims.as_slice()).collect();
    let rows = b.broadcast(&dims, &layer.span_of("input"))?;
    let zero = (0..first.zero.len()).map(|k| inputs.iter().all(|v| b.ty(*v).zero[k])).collect();
    let sums: Vec<_> = inputs.iter().map(|v| b.pieces(*v).into_iter().map(Part::Copy).collect()).collect();
    Ok(b.assemble(&rows, &sums, first.irreps, zero))
}

/// `concatenate`: all chunks in order; sizes do not broadcast.
pub(super) fn concatenate(b: &mut Builder, layer: &Layer, inputs: &[ValueId]) -> Result<ValueId, Problem> {
    let rows = b.ty(inputs[0]).dims.clone();
    for (name, value) in layer.inputs.iter().zip(inputs) {
        let dims = &b.ty(*value).dims;
        if *dims != rows {
            let (ours, theirs) = (DisplayDims(&rows), DisplayDims(dims));
            let message = format!(
                "`{}` joins leading sizes {ours} and {theirs}: `concatenate` needs equal ones",
                layer.name.value
            );
            return Err(Problem::new(message, format!("this has sizes {theirs}"), name.span.clone()));
        }
    }
    let pieces: Vec<_> = inputs.iter().flat_map(|v| b.pieces(*v)).collect();
    Ok(b.join(&rows, &pieces))
}

/// `filter`.
pub(super) fn filter(b: &mut Builder, rule: &FilterRule, x: ValueId) -> ValueId {
    let kept = |ir: Irrep| match rule {
        FilterRule::Keep(list) => list.contains(&ir),
        FilterRule::Drop(list) => !list.contains(&ir),
        FilterRule::Lmax(lmax) => ir.l <= *lmax,
    };
    let pieces: Vec<_> = b.pieces(x).into_iter().filter(|p| kept(p.ir)).collect();
    let rows = b.ty(x).dims.clone();
    b.join(&rows, &pieces)
}

/// `regroup`.
pub(super) fn regroup(b: &mut Builder, x: ValueId) -> ValueId {
    let (pieces, irreps, zero) = regrouped(b.pieces(x));
    let rows = b.ty(x).dims.clone();
    b.join_as(&rows, &pieces, irreps, zero)
}

/// `multiply`: irreps by scalars, one by one.
pub(super) fn multiply(b: &mut Builder, layer: &Layer, inputs: &[ValueId]) -> Result<ValueId, Problem> {
    let span = layer.span_of("input");
    let &[x, y] = inputs else {
        let message = format!("`{}` has {}: `multiply` needs two", layer.name.value, Counted(inputs.len(), "input"));
        return Err(Problem::new(message, "", span));
    };
    let rows = b.broadcast(&[&b.ty(x).dims, &b.ty(y).dims], &span)?;
    let product = products(b.pieces(x), b.pieces(y), b.limits.chunks).map_err(|reason| {
        let (x, y) = (&b.ty(x).irreps, &b.ty(y).irreps);
        Problem::new(format!("`{}` multiplies `{x}` by `{y}`: {reason}", layer.name.value), "", span)
    })?;
    Ok(b.assemble(&rows, &[product.parts], product.irreps, product.zero))
}

/// What an elementwise product is made of.
pub(super) struct Product {
    pub(super) parts: Vec<Part>,
    pub(super) irreps: Irreps,
    pub(super) zero: Vec<bool>,
}

/// The elementwise product of two lists of pieces, aligned, with at most so many chunks; its chunks are neither sorted nor joined.
pub(super) fn products(x: Vec<Piece>, y: Vec<Piece>, most: usize) -> Result<Product, String> {
    let count = |pieces: &[Piece]| pieces.iter().map(|p| p.mul).sum::<usize>();
    if count(&x) != count(&y) {
        return Err(format!("{} beside {}, as many are needed", Counted(count(&x), "irrep"), count(&y)));
    }
    let (mut parts, mut chunks, mut zero) = (Vec::new(), Vec::new(), Vec::new());
    for (a, b) in aligned(x, y)? {
        if a.mul > 0 && a.ir.l > 0 && b.ir.l > 0 {
            return Err(format!("{} meets {}, one of them must be scalars", a.mul_irrep(), b.mul_irrep()));
        }
        parts.push(Part::Product(a, b));
        let degrees = a.ir.l.abs_diff(b.ir.l)..=a.ir.l.saturating_add(b.ir.l);
        if degrees.clone().count() > most.saturating_sub(chunks.len()) {
            return Err(format!("the product has more than {}, the limit `chunks`", Counted(most, "chunk")));
        }
        // Without multiplicities, e3nn_jax lists every irrep of the product.
        for l in degrees {
            chunks.push(MulIrrep::new(a.mul, Irrep::new(l, a.ir.p.times(b.ir.p))));
            zero.push(a.zero || b.zero);
        }
    }
    Ok(Product { parts, irreps: Irreps::new(chunks), zero })
}

/// Both lists cut at each other's chunks, as `_align_two_irreps` and `rechunk` do.
fn aligned(mut x: Vec<Piece>, mut y: Vec<Piece>) -> Result<Vec<(Piece, Piece)>, String> {
    let lengths = (x.len(), y.len());
    let mut k = 0;
    while k < x.len().min(y.len()) {
        let mul = x[k].mul.min(y[k].mul);
        for side in [&mut x, &mut y] {
            if side[k].mul > mul {
                let (head, tail) = side[k].split(mul);
                side[k] = head;
                side.insert(k + 1, tail);
            }
        }
        k += 1;
    }
    if x.len() != y.len() {
        return Err("a last chunk of multiplicity zero meets no other".into());
    }
    for (side, length) in [(&mut x, lengths.0), (&mut y, lengths.1)] {
        // `rechunk` takes what is empty for zero, but leaves unchanged irreps alone.
        let changed = side.len() != length;
        side.iter_mut().for_each(|p| p.zero |= changed && p.mul == 0);
    }
    Ok(x.into_iter().zip(y).collect())
}
