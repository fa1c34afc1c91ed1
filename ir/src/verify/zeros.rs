//! What is said to be zero is zero.

use std::ops::Range;

use super::{Check, ensure};
use crate::expr::Expr;
use crate::graph::{Graph, Map, Node, Op, Operand, Path, ValueId};
use crate::ty::Type;

/// Checks the zero flags of a node. What it reads comes before it.
pub(super) fn rules(graph: &Graph, node: &Node) -> Check {
    let ty = &node.ty;
    if chunks(ty, true).next().is_none() {
        return Ok(());
    }
    match &node.op {
        Op::Input(_) | Op::Param(_) | Op::Max(_) => Err("a chunk said to be zero may be anything".into()),
        Op::Contract(contract) => ensure(contract.keeps_zeros(ty), || "a chunk said to be zero is written".into()),
        Op::Map(map) => {
            let honest = chunks(ty, true).all(|chunk| gives_zero(graph, map, &chunk));
            ensure(honest, || "a chunk said to be zero is not known to be".into())
        }
        Op::Reshape(of) => {
            let period = greatest_divisor(ty.width(), graph.ty(*of).width());
            let honest = chunks(ty, true).all(|chunk| is_zero(graph, *of, &chunk, period));
            ensure(honest, || format!("a chunk said to be zero is not known to be in {of}"))
        }
    }
}

/// The places of chunks that have elements and are known to be zero, or are not.
fn chunks(ty: &Type, known: bool) -> impl Iterator<Item = Range<usize>> {
    let chunks = ty.irreps.iter().zip(ty.irreps.offsets()).zip(&ty.zero);
    let chunks = chunks.filter(move |(_, zero)| **zero == known);
    chunks.map(|((chunk, start), _)| start..start.saturating_add(chunk.dim())).filter(|chunk| !chunk.is_empty())
}

/// True where a map is zero in a chunk for every number that operands which are not zero there may hold.
fn gives_zero(graph: &Graph, map: &Map, chunk: &Range<usize>) -> bool {
    let zero = |o: &Operand| is_zero(graph, o.value, chunk, graph.ty(o.value).width());
    let zero: Vec<bool> = map.operands.iter().map(zero).collect();
    let value = |k: usize| if zero.get(k) == Some(&true) { Expr::constant(0.0) } else { Expr::Arg(k) };
    map.expr.is_small() && map.expr.substitute(&value).as_constant() == Some(0.0)
}

/// True where nothing of a value that is not known to be zero lies at the places of a chunk, or a multiple of `period`
/// away from them: by the value's flags, or because no path writes there.
fn is_zero(graph: &Graph, value: ValueId, chunk: &Range<usize>, period: usize) -> bool {
    let node = graph.node(value);
    let said = chunks(&node.ty, false).all(|other| !meet(chunk, &other, period));
    said || match &node.op {
        Op::Contract(contract) => contract.paths.iter().all(|path| !meet(chunk, &written(path, period), period)),
        Op::Input(_) | Op::Param(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => false,
    }
}

/// The places that a path writes, the repetitions left out that lie multiples of `period` away.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "divided by a period that is not 0; sums are less than twice the period"
)]
fn written(path: &Path, period: usize) -> Range<usize> {
    let axes = path.axes.iter().zip(&path.out.strides);
    let steps = axes.filter(|(_, stride)| period == 0 || *stride % period != 0);
    let extent = steps.fold(0usize, |extent, (axis, stride)| {
        extent.saturating_add(axis.size.saturating_sub(1).saturating_mul(*stride))
    });
    path.out.offset..path.out.offset.saturating_add(extent).saturating_add(1)
}

/// True where a place of one range is a multiple of `period` away from a place of the other.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "divided by a period that is not 0; sums are less than twice the period"
)]
fn meet(a: &Range<usize>, b: &Range<usize>, period: usize) -> bool {
    let ahead = |from: usize, to: usize| (to % period + (period - from % period)) % period;
    period > 0 && (ahead(a.start, b.start) < a.len() || ahead(b.start, a.start) < b.len())
}

#[expect(clippy::arithmetic_side_effects, reason = "divided by what is not 0")]
fn greatest_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_divisor(b, a % b) }
}
