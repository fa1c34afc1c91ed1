//! Reading an operand of one op at the place where another op makes it: rows by composing row maps, segments by
//! [`meet`].

#![expect(clippy::indexing_slicing, reason = "places are of a verified op, and of lists made for it")]

use std::cell::Cell;

use schur_ir::expr::Expr;
use schur_ir::graph::{Contract, Map, Operand, Path, RowIndex, RowMap, ValueId};

use super::meet::meet;
use super::written::Writer;

/// Where an axis of a value's rows lies for the reader of the value.
enum Place {
    /// At this axis of the reader's rows, or nowhere: it has size one.
    Axis(Option<usize>),
    /// It is picked by the reader's index.
    Picked,
}

fn place(reader: &RowMap, written: &RowMap, axis: usize) -> Option<Place> {
    let at = written.axes.iter().position(|a| *a == Some(axis))?;
    match (&reader.index, at) {
        (Some(_), 0) => Some(Place::Picked),
        (Some(_), at) => reader.axes.get(at - 1).copied().map(Place::Axis),
        (None, at) => reader.axes.get(at).copied().map(Place::Axis),
    }
}

/// How an array that is read as `operand` by the rows that write a value (by `written`) is read by the rows that read
/// the value (by `reader`). `None` where that is not a row map.
pub(super) fn through(reader: &RowMap, written: &RowMap, operand: &RowMap) -> Option<RowMap> {
    let moved =
        |axis: &Option<usize>| match axis.map_or(Some(Place::Axis(None)), |axis| place(reader, written, axis))? {
            Place::Axis(at) => Some(at),
            Place::Picked => None,
        };
    let picked = |axis: &Option<usize>| axis.is_some_and(|a| matches!(place(reader, written, a), Some(Place::Picked)));
    let (mut index, mut axes) = (None, operand.axes.as_slice());
    if let Some(inner) = &operand.index {
        let axes = inner.axes.iter().map(moved).collect::<Option<_>>()?;
        index = Some(RowIndex { axes, ..inner.clone() });
    } else if let Some((first, rest)) = axes.split_first()
        && picked(first)
    {
        index = reader.index.clone();
        axes = rest;
    }
    Some(RowMap { index, axes: axes.iter().map(moved).collect::<Option<_>>()? })
}

/// True where some element that the paths write may be a sum of several terms.
pub(super) fn is_sum(paths: &[&Path]) -> bool {
    let sums = |p: &Path| {
        let mut steps: Vec<(usize, usize)> = p.out.strides.iter().copied().zip(p.axes.iter().map(|a| a.size)).collect();
        steps.sort_unstable();
        let mut reach = 0;
        steps.into_iter().filter(|(_, size)| *size > 1).any(|(stride, size)| {
            let meets = stride <= reach;
            reach += stride * (size - 1);
            meets
        })
    };
    let range = |p: &Path| p.out.last(&p.axes).map(|last| (p.out.offset, last));
    let mut ranges: Vec<_> = paths.iter().filter_map(|p| range(p)).collect();
    ranges.sort_unstable();
    paths.iter().any(|p| sums(p)) || ranges.windows(2).any(|w| w[1].0 <= w[0].1)
}

/// Factors of a term.
pub(super) const MAX_FACTORS: usize = 2;

/// What reading through may make.
#[derive(Clone, Copy)]
pub(super) enum Reading<'f> {
    /// Terms of [`MAX_FACTORS`] factors. A product is not distributed over a sum: `(x - mean)²` must not become
    /// `x² - 2 x mean + mean²`, whose terms cancel.
    Plain,
    /// Terms of one more factor, one of which is not fixed. A product with a fixed factor is distributed over a
    /// sum of rounded products and at most one exact term: `s (w x - mean)` may become `(s w) x - s mean`, since what
    /// rounding `w x` loses is lost before the terms cancel. `s (x - mean)` stays.
    Fixed(&'f dyn Fn(ValueId) -> bool),
}

impl Reading<'_> {
    fn most(self) -> usize {
        match self {
            Reading::Plain => MAX_FACTORS,
            Reading::Fixed(_) => MAX_FACTORS + 1,
        }
    }

    /// True where `path`, whose factor `at` is the sum of `written`, may become a sum of terms.
    fn distributes(self, path: &Path, at: usize, written: &[&Path], operands: &[Operand]) -> bool {
        let exact = || written.iter().copied().filter(|p| p.factors.len() == 1).collect::<Vec<_>>();
        match self {
            _ if path.factors.len() == 1 || !is_sum(written) => true,
            Reading::Plain => false,
            Reading::Fixed(fixed) => {
                let others = path.factors.iter().enumerate().filter(|(k, _)| *k != at);
                others.map(|(_, f)| operands[f.operand].value).all(fixed) && !is_sum(&exact())
            }
        }
    }

    /// True where the term has no more factors than it may.
    fn allows(self, path: &Path, operands: &[Operand]) -> bool {
        match self {
            Reading::Plain => true,
            Reading::Fixed(fixed) => {
                let moving = path.factors.iter().filter(|f| !fixed(operands[f.operand].value)).count();
                moving == 1 || path.factors.len() <= MAX_FACTORS
            }
        }
    }
}

/// `reader` with its operand `k` replaced by what makes it: `writer`, which sums no rows. `None` where rows or segments
/// do not align, or a term would become what `reading` does not allow. Counts in `tried` the paths that it makes, whether
/// anything comes of them or not.
pub(super) fn read_through(
    reader: &Contract,
    k: usize,
    writer: &Writer<'_>,
    reading: Reading<'_>,
    tried: &Cell<usize>,
) -> Option<Contract> {
    let count = |paths: usize| tried.set(tried.get() + paths);
    count(reader.paths.len());
    let reads = |path: &Path| path.factors.iter().position(|f| f.operand == k);
    // A term of too many factors is found before anything is copied.
    let exceeds = |path: &Path| {
        let met = reads(path).map(|at| writer.meeting(&path.factors[at].segment.hull(&path.axes)));
        met.into_iter().flatten().any(|writer| path.factors.len() + writer.factors.len() > reading.most() + 1)
    };
    if reader.paths.iter().any(exceeds) {
        return None;
    }
    let map = &reader.operands[k].map;
    let base = reader.operands.len();
    let mut operands = reader.operands.clone();
    for operand in &writer.contract.operands {
        operands.push(Operand { value: operand.value, map: through(map, &writer.contract.out, &operand.map)? });
    }
    let limit = 32 + 8 * (reader.paths.len() + writer.contract.paths.len());
    let (mut open, mut paths) = (reader.paths.clone(), Vec::new());
    while let Some(path) = open.pop() {
        let Some(factor) = reads(&path) else {
            paths.push(path);
            continue;
        };
        let mut met = Vec::new();
        for writer in writer.meeting(&path.factors[factor].segment.hull(&path.axes)) {
            let pieces = meet(&path, factor, writer, base, reading.most())?;
            if !pieces.iter().all(|piece| reading.allows(piece, &operands)) {
                return None;
            }
            if !pieces.is_empty() {
                met.push(writer);
            }
            count(pieces.len());
            open.extend(pieces);
        }
        if !reading.distributes(&path, factor, &met, &operands) {
            return None;
        }
        if paths.len() + open.len() > limit {
            return None;
        }
    }
    let Contract { rows, out, divisor, .. } = reader;
    Some(Contract { rows: rows.clone(), operands, out: out.clone(), divisor: divisor.clone(), paths })
}

/// `writer`, which may sum rows, with the selections, scales and sums of `reader`, which reads nothing else, applied to
/// its output. `None` where `reader` repeats rows or does not align.
pub(super) fn write_through(reader: &Contract, writer: &Contract) -> Option<Contract> {
    let [Operand { map: RowMap { index: None, axes }, .. }] = reader.operands.as_slice() else { return None };
    let covered = (0..reader.rows.len()).all(|row| axes.contains(&Some(row)));
    if !covered || reader.out.index.is_some() || reader.paths.iter().any(|p| p.factors.len() != 1) {
        return None;
    }
    let scattered = usize::from(writer.out.index.is_some());
    let mut out = RowMap::default();
    for (k, row) in reader.out.axes.iter().enumerate() {
        let at = match row {
            Some(row) => axes.iter().position(|a| a == &Some(*row))?,
            None => {
                out.axes.push(None);
                continue;
            }
        };
        match at.checked_sub(scattered) {
            Some(at) => out.axes.push(writer.out.axes[at]),
            None if k == 0 => out.index = writer.out.index.clone(),
            None => return None,
        }
    }
    let (mut paths, written) = (Vec::new(), Writer::new(writer));
    for path in &reader.paths {
        for written in written.meeting(&path.factors[0].segment.hull(&path.axes)) {
            paths.extend(meet(path, 0, written, 0, MAX_FACTORS)?);
        }
    }
    let divisor = reader.divisor.times(&writer.divisor);
    Some(Contract { rows: writer.rows.clone(), operands: writer.operands.clone(), out, divisor, paths })
}

/// What comes of a map and those that it reads.
pub(super) enum Fused {
    /// It reads none.
    Nothing,
    /// An expression that is too large.
    TooLarge,
    Map(Map),
}

/// `reader` with every operand whose value `inner` gives as a map replaced by that map's expression, where the expression
/// is of at most the size given.
pub(super) fn fuse_maps(reader: &Map, most: usize, inner: impl Fn(ValueId) -> Option<Map>) -> Fused {
    let (mut operands, mut replaced) = (Vec::new(), Vec::with_capacity(reader.operands.len()));
    for operand in &reader.operands {
        let map = inner(operand.value).and_then(|map| {
            let written = RowMap::identity(map.rows.len());
            let place = |o: &Operand| Some(Operand { value: o.value, map: through(&operand.map, &written, &o.map)? });
            let moved = map.operands.iter().map(place).collect::<Option<Vec<_>>>()?;
            Some((moved, map.expr))
        });
        let (moved, expr) = map.map_or_else(|| (vec![operand.clone()], None), |(moved, expr)| (moved, Some(expr)));
        replaced.push((operands.len(), expr));
        operands.extend(moved);
    }
    if replaced.iter().all(|(_, expr)| expr.is_none()) {
        return Fused::Nothing;
    }
    let inner = || replaced.iter().filter_map(|(_, expr)| expr.as_ref());
    let sizes: Vec<usize> = replaced.iter().map(|(_, expr)| expr.as_ref().map_or(0, Expr::size)).collect();
    if inner().all(|expr| expr.as_constant().is_none()) && least_size(&reader.expr, &sizes) > most {
        return Fused::TooLarge;
    }
    let moved = |(base, expr): &(usize, Option<Expr>)| match expr {
        Some(expr) => expr.substitute(&|k| Expr::Arg(base + k)),
        None => Expr::Arg(*base),
    };
    let args: Vec<Expr> = replaced.iter().map(moved).collect();
    let expr = reader.expr.substitute(&|k| args[k].clone());
    if expr.size() > most { Fused::TooLarge } else { Fused::Map(Map { rows: reader.rows.clone(), operands, expr }) }
}

/// The least size of an expression whose operands are replaced by expressions of the given sizes, of which none is a
/// constant. Of the branches of a selection, which may be equal, the larger one counts.
fn least_size(expr: &Expr, sizes: &[usize]) -> usize {
    let of = |expr: &Expr| least_size(expr, sizes);
    match expr {
        Expr::Arg(k) => sizes[*k],
        Expr::Const(_) => 0,
        Expr::Unary(_, x) => of(x).saturating_add(1),
        Expr::Binary(_, a, b) => of(a).saturating_add(of(b)).saturating_add(1),
        Expr::Select(_, a, b) => of(a).max(of(b)),
    }
}

#[cfg(test)]
mod tests {
    use schur_ir::expr::{Binary, Unary};

    use super::*;

    #[test]
    fn an_expression_of_others_is_no_smaller_than_foreseen() {
        let arg = Expr::Arg;
        let sum = |a, b| Expr::binary(Binary::Add, a, b);
        let (small, large) = (Expr::unary(Unary::Exp, arg(0)), sum(Expr::unary(Unary::Tanh, arg(0)), arg(1)));
        let readers = [
            sum(arg(0), Expr::unary(Unary::Neg, arg(1))),
            Expr::select(Expr::binary(Binary::Gt, arg(0), arg(1)), arg(0), arg(1)),
            Expr::select(arg(1), sum(arg(0), arg(0)), Expr::constant(0.0)),
            Expr::binary(Binary::Mul, Expr::constant(2.0), Expr::unary(Unary::Sigmoid, arg(0))),
        ];
        let (mut equal, mut less) = (0, 0);
        for reader in &readers {
            for args in [[&small, &large], [&large, &small], [&large, &large]] {
                let foreseen = least_size(reader, &args.map(Expr::size));
                let size = reader.substitute(&|k| args[k].clone()).size();
                assert!(foreseen <= size, "{reader:?} of {args:?}: {foreseen}, {size}");
                if foreseen == size { equal += 1 } else { less += 1 }
            }
        }
        assert!(equal > less, "{equal} are as large as foreseen, {less} are larger");
    }
}
