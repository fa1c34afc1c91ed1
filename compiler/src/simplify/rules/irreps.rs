//! Rules on the flow of irreps: what is selected, permuted, joined and summed is read where it is made.

use std::cell::Cell;

use schur_ir::graph::{Contract, Op, ValueId};

use super::{Action, Found, Pass, Rule, Site};
use crate::simplify::compose::{Reading, read_through, write_through};
use crate::simplify::path_algebra::is_run;
use crate::simplify::written::Writer;

/// `f(x − mean)`, where some chunks have no mean, reads these from `x`: what a value holds unchanged is read where it
/// takes it from. Before saturation; see [`super::super::unchanged`].
pub(super) static READ_UNCHANGED: Rule =
    Rule { name: "read-unchanged", exact: true, action: Action::Graph(Pass::ReadUnchanged) };

/// Chunks that no reader uses are not computed: `f(op(x)) = f(op'(x))` where `op'` makes what `f` reads and nothing more.
/// Before saturation, since it is a fact of all readers at once; see [`super::super::narrow`].
pub(super) static NARROW: Rule = Rule { name: "narrow", exact: true, action: Action::Graph(Pass::Narrow) };

/// `Σ w·P(x) = Σ (w·P)(x)`: a reader of a selection, permutation, concatenation, scale or sum `P` reads its sources.
pub(super) static READ_THROUGH_COPY: Rule =
    Rule { name: "read-through-copy", exact: false, action: Action::Rewrite(read_through_copies) };

/// `Σ_k P_k(w_k x_k)` is one contraction: selections and sums take over the products that they read.
pub(super) static INLINE_INTO_COPY: Rule =
    Rule { name: "inline-into-copy", exact: false, action: Action::Rewrite(inline_products) };

/// `P(Σ_rows w x) = Σ_rows P(w x)`: a sum over rows writes where its only reader would put it.
pub(super) static WRITE_THROUGH_COPY: Rule =
    Rule { name: "write-through-copy", exact: false, action: Action::Rewrite(write_through_copies) };

/// A copy of all elements is the value itself.
pub(super) static DROP_COPY: Rule = Rule { name: "drop-copy", exact: true, action: Action::Rewrite(drop_copy) };

pub(super) fn single(contract: &Contract) -> bool {
    contract.paths.iter().all(|p| p.factors.len() == 1)
}

/// True for a selection, permutation, concatenation, scale or sum of other values.
pub(in crate::simplify) fn is_copy(op: &Op) -> bool {
    match op {
        Op::Contract(c) => row_wise(c) && single(c),
        Op::Input(_) | Op::Param(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => false,
    }
}

/// True where a row is a function of rows, so that it can be computed wherever it is read.
pub(in crate::simplify) fn row_wise(contract: &Contract) -> bool {
    !contract.reduces() && contract.divisor.is_one()
}

/// The contraction with every operand replaced for which `writer` gives one, as far as they align.
fn replace<'s>(
    reader: &Contract,
    writer: impl Fn(ValueId) -> Option<Writer<'s>>,
    tried: &Cell<usize>,
) -> Option<Found> {
    let mut out: Option<Contract> = None;
    for (k, operand) in reader.operands.iter().enumerate() {
        if let Some(writer) = writer(operand.value)
            && let Some(next) = read_through(out.as_ref().unwrap_or(reader), k, &writer, Reading::Plain, tried)
        {
            out = Some(next);
        }
    }
    out.map(|c| Found::Op(Op::Contract(c)))
}

fn read_through_copies(site: &Site<'_>) -> Vec<Found> {
    let Op::Contract(reader) = site.op else { return Vec::new() };
    let copy = |value| site.writers(value, true).next().filter(|_| !(site.packed)(value));
    replace(reader, copy, site.tried).into_iter().collect()
}

fn inline_products(site: &Site<'_>) -> Vec<Found> {
    let Op::Contract(reader) = site.op else { return Vec::new() };
    let product = |value| site.writers(value, false).next().filter(|_| !(site.packed)(value));
    let all = replace(reader, product, site.tried);
    let own = |value| product(value).filter(|_| site.is_exclusive(value));
    let own = if all.is_some() && site.shares() { replace(reader, own, site.tried) } else { None };
    all.into_iter().chain(own).collect()
}

fn write_through_copies(site: &Site<'_>) -> Vec<Found> {
    let Op::Contract(reader) = site.op else { return Vec::new() };
    let [operand] = reader.operands.as_slice() else { return Vec::new() };
    let sum = site.newest(operand.value, |op| match op {
        Op::Contract(c) if !row_wise(c) => Some(c),
        Op::Input(_) | Op::Param(_) | Op::Contract(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => None,
    });
    let written = sum.and_then(|writer| write_through(reader, writer));
    written.map(|c| Found::Op(Op::Contract(c))).into_iter().collect()
}

fn drop_copy(site: &Site<'_>) -> Vec<Found> {
    let Op::Contract(c) = site.op else { return Vec::new() };
    let ([operand], [path]) = (c.operands.as_slice(), c.paths.as_slice()) else { return Vec::new() };
    let ([factor], true) = (path.factors.as_slice(), row_wise(c) && path.coefficient.0 == 1.0) else {
        return Vec::new();
    };
    let whole = path.out.offset == 0 && path.out == factor.segment && is_run(path, site.ty.width());
    if whole && c.out == operand.map && site.ty(operand.value) == site.ty {
        return vec![Found::Same(operand.value)];
    }
    Vec::new()
}
