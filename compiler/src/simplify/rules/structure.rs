//! Rules on rows, operands and reshapes.

use schur_ir::dim::Dim;
use schur_ir::expr::Expr;
use schur_ir::graph::{Contract, Map, Op, Operand, Path, RowMap};
use schur_ir::ty::Type;

use super::{Action, Found, Rule, Site};

/// Rows of size 1 are not iterated over.
pub(super) static DROP_UNIT_ROWS: Rule =
    Rule { name: "drop-unit-rows", exact: true, action: Action::Contract(|c, _| drop_unit_rows(c)) };

/// An operand stands once in a contraction, and only where it is read; operands have one order.
pub(super) static MERGE_OPERANDS: Rule =
    Rule { name: "merge-operands", exact: true, action: Action::Contract(|c, _| merge_operands(c)) };

/// An operand stands once in a map, and only where it is read; operands have one order.
pub(super) static MERGE_MAP_OPERANDS: Rule =
    Rule { name: "merge-map-operands", exact: true, action: Action::Map(merge_map_operands) };

/// `reshape(reshape(x)) = reshape(x)`.
pub(super) static RESHAPE_OF_RESHAPE: Rule =
    Rule { name: "reshape-of-reshape", exact: true, action: Action::Rewrite(reshape_of_reshape) };

/// A reshape to the operand's own type is the operand.
pub(super) static DROP_RESHAPE: Rule =
    Rule { name: "drop-reshape", exact: true, action: Action::Rewrite(drop_reshape) };

/// A reshape that only adds or removes sizes of 1, or renames irreps, is a copy, which readers can look through.
pub(super) static RESHAPE_AS_COPY: Rule =
    Rule { name: "reshape-as-copy", exact: true, action: Action::Rewrite(reshape_as_copy) };

/// An op whose result only has its irreps renamed makes the renamed ones itself.
pub(super) static RETYPE: Rule = Rule { name: "retype", exact: true, action: Action::Rewrite(retype) };

fn drop_unit_rows(contract: &mut Contract) -> bool {
    let ones: Vec<usize> = (0..contract.rows.len()).filter(|&k| contract.rows[k].is_one()).collect();
    if ones.is_empty() {
        return false;
    }
    let moved = |axis: &mut Option<usize>| {
        *axis = axis.filter(|a| !ones.contains(a)).map(|a| a - ones.iter().filter(|o| **o < a).count());
    };
    let maps = contract.operands.iter_mut().map(|o| &mut o.map).chain(std::iter::once(&mut contract.out));
    for map in maps {
        map.axes.iter_mut().for_each(moved);
        map.index.iter_mut().for_each(|index| index.axes.iter_mut().for_each(moved));
    }
    contract.rows.retain(|dim| !dim.is_one());
    true
}

fn is_ordered(operands: &[Operand], used: &[bool]) -> bool {
    used.iter().all(|used| *used) && operands.is_sorted_by(|a, b| a < b)
}

/// The order of the operands in use, without repetition, and the new place of every old one.
fn order(operands: &[Operand], used: &[bool]) -> (Vec<Operand>, Vec<usize>) {
    let mut kept: Vec<Operand> = operands.iter().zip(used).filter(|(_, used)| **used).map(|(o, _)| o.clone()).collect();
    kept.sort();
    kept.dedup();
    let place = operands.iter().map(|o| kept.binary_search(o).unwrap_or(usize::MAX)).collect();
    (kept, place)
}

pub(in crate::simplify) fn merge_operands(contract: &mut Contract) -> bool {
    let mut used = vec![false; contract.operands.len()];
    contract.paths.iter().flat_map(|p| &p.factors).for_each(|f| used[f.operand] = true);
    if is_ordered(&contract.operands, &used) {
        return false;
    }
    let (kept, place) = order(&contract.operands, &used);
    contract.paths.iter_mut().flat_map(|p| &mut p.factors).for_each(|f| f.operand = place[f.operand]);
    contract.operands = kept;
    true
}

pub(in crate::simplify) fn merge_map_operands(map: &mut Map) -> bool {
    let mut used = vec![false; map.operands.len()];
    mark(&map.expr, &mut used);
    if is_ordered(&map.operands, &used) {
        return false;
    }
    let (kept, place) = order(&map.operands, &used);
    map.expr = map.expr.substitute(&|k| Expr::Arg(place[k]));
    map.operands = kept;
    true
}

fn mark(expr: &Expr, used: &mut [bool]) {
    match expr {
        Expr::Arg(k) => used[*k] = true,
        Expr::Const(_) => {}
        Expr::Unary(_, x) => mark(x, used),
        Expr::Binary(_, a, b) => [a, b].into_iter().for_each(|e| mark(e, used)),
        Expr::Select(c, a, b) => [c, a, b].into_iter().for_each(|e| mark(e, used)),
    }
}

fn reshape_of_reshape(site: &Site<'_>) -> Vec<Found> {
    let Op::Reshape(value) = site.op else { return Vec::new() };
    let inner = site.newest(*value, |op| match op {
        Op::Reshape(source) => Some(*source),
        Op::Input(_) | Op::Param(_) | Op::Contract(_) | Op::Map(_) | Op::Max(_) => None,
    });
    inner.map(|source| Found::Op(Op::Reshape(source))).into_iter().collect()
}

fn drop_reshape(site: &Site<'_>) -> Vec<Found> {
    match site.op {
        Op::Reshape(value) if site.ty(*value) == site.ty => vec![Found::Same(*value)],
        Op::Input(_) | Op::Param(_) | Op::Contract(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => Vec::new(),
    }
}

fn reshape_as_copy(site: &Site<'_>) -> Vec<Found> {
    let Op::Reshape(value) = site.op else { return Vec::new() };
    let (from, to) = (site.ty(*value), site.ty);
    let long = |ty: &Type| ty.dims.iter().filter(|d| !d.is_one()).cloned().collect::<Vec<Dim>>();
    let rows = long(to);
    if rows != long(from) || from.width() != to.width() || !to.dtype.is_float() {
        return Vec::new();
    }
    let lie = |dims: &[Dim]| {
        let mut next = 0..;
        let axes = dims.iter().map(|d| if d.is_one() { None } else { next.next() });
        RowMap { index: None, axes: axes.collect() }
    };
    let chunks = to.irreps.iter().zip(to.irreps.offsets()).zip(&to.zero);
    let paths = chunks.filter(|(_, zero)| !**zero).map(|((chunk, at), _)| Path::run(chunk.dim(), [(0, at)], at));
    vec![Found::Op(Op::Contract(Contract {
        operands: vec![Operand { value: *value, map: lie(&from.dims) }],
        out: lie(&to.dims),
        divisor: Dim::one(),
        paths: paths.collect(),
        rows,
    }))]
}

fn retype(site: &Site<'_>) -> Vec<Found> {
    let Op::Reshape(value) = site.op else { return Vec::new() };
    if site.ty(*value).dims != site.ty.dims || site.ty(*value).width() != site.ty.width() {
        return Vec::new();
    }
    let made = site.newest(*value, |op| match op {
        Op::Contract(c) if c.keeps_zeros(site.ty) => Some(op.clone()),
        Op::Map(_) | Op::Max(_) if site.ty.zero.iter().all(|z| !z) => Some(op.clone()),
        Op::Input(_) | Op::Param(_) | Op::Contract(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => None,
    });
    made.map(Found::Op).into_iter().collect()
}
