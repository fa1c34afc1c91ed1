//! Sums of elementwise terms, as one expression an element.
//!
//! `out[k] = a[k] b[k] + c[k]` as nests goes through memory for every term. Where terms run over neighbours, they are one
//! map for every range of elements that has the same terms, and the sum stays in registers.

#![expect(
    clippy::indexing_slicing,
    clippy::unreachable,
    reason = "flags are as many as nests; nests have factors, ranges have terms"
)]

use std::ops::Range;

use schur_ir::expr::{Binary, Expr};
use schur_ir::graph::Segment;
use schur_ir::ty::DType;

use super::strides::is_regular;
use super::{Access, MapStmt, Nest};

/// The maps that elementwise nests of one value are, and the other nests; all are nests where no element has two terms.
pub(super) fn as_maps(nests: Vec<Nest>, dtype: DType) -> (Vec<MapStmt>, Vec<Nest>) {
    let is_term = terms(&nests);
    let (terms, others): (Vec<_>, Vec<_>) = nests.into_iter().zip(is_term).partition(|(_, is_term)| *is_term);
    let [terms, others] = [terms, others].map(|of| of.into_iter().map(|(nest, _)| nest).collect::<Vec<_>>());
    let mut bounds: Vec<usize> = terms.iter().map(written).flat_map(|r| [r.start, r.end]).collect();
    bounds.sort_unstable();
    bounds.dedup();
    let ranges = bounds.windows(2).map(|w| w[0]..w[1]);
    let covering = |range: &Range<usize>| -> Vec<&Nest> {
        terms.iter().filter(|nest| written(nest).start <= range.start && range.end <= written(nest).end).collect()
    };
    let ranges: Vec<(Range<usize>, Vec<&Nest>)> = ranges.map(|range| (range.clone(), covering(&range))).collect();
    if ranges.iter().all(|(_, terms)| terms.len() < 2) {
        return (Vec::new(), terms.into_iter().chain(others).collect());
    }
    let maps = ranges.iter().filter(|(_, terms)| !terms.is_empty()).map(|(range, terms)| map(range, terms, dtype));
    (maps.collect(), others)
}

/// The elements that a nest writes, and those between them.
fn written(nest: &Nest) -> Range<usize> {
    nest.out.segment.hull(&nest.axes)
}

/// Which nests are terms: those over neighbours, whose elements no nest writes that is none.
fn terms(nests: &[Nest]) -> Vec<bool> {
    let mut is_term: Vec<bool> = nests.iter().map(is_elementwise).collect();
    loop {
        let others: Vec<Range<usize>> =
            nests.iter().zip(&is_term).filter(|(_, is_term)| !**is_term).map(|(nest, _)| written(nest)).collect();
        let meets = |nest: &Nest| others.iter().any(|o| o.start < written(nest).end && written(nest).start < o.end);
        let met = (0..nests.len()).find(|&k| is_term[k] && meets(&nests[k]));
        match met {
            Some(k) => is_term[k] = false,
            None => return is_term,
        }
    }
}

/// True where a nest runs over neighbours in all arrays.
fn is_elementwise(nest: &Nest) -> bool {
    let mut accesses = nest.accesses();
    let neighbours = |access: &Access| {
        let strides = access.segment.strides.iter().zip(&nest.axes).filter(|(_, axis)| axis.size > 1);
        is_regular(access) && strides.into_iter().all(|(stride, _)| *stride == 1)
    };
    nest.divisor.is_one() && nest.axes.iter().filter(|a| a.size > 1).count() == 1 && accesses.all(neighbours)
}

/// The sum of terms over a range of elements.
fn map(range: &Range<usize>, terms: &[&Nest], dtype: DType) -> MapStmt {
    let mut operands: Vec<(Access, DType)> = Vec::new();
    let at = |access: &Access, nest: &Nest| {
        let offset = access.segment.offset + (range.start - nest.out.segment.offset);
        Access { segment: Segment::run(offset), ..access.clone() }
    };
    let mut argument = |access: Access| {
        let known = operands.iter().position(|(a, _)| *a == access);
        Expr::Arg(known.unwrap_or_else(|| {
            operands.push((access, dtype));
            operands.len() - 1
        }))
    };
    let mut term = |nest: &Nest| {
        let factors = nest.factors.iter().map(|factor| argument(at(factor, nest)));
        let constant = (nest.coefficient.0 != 1.0).then(|| Expr::constant(nest.coefficient.0));
        let product = constant.into_iter().chain(factors).reduce(|a, b| Expr::binary(Binary::Mul, a, b));
        product.unwrap_or_else(|| unreachable!("a nest has factors"))
    };
    let sum = terms.iter().map(|nest| term(nest)).reduce(|a, b| Expr::binary(Binary::Add, b, a));
    let expr = sum.unwrap_or_else(|| unreachable!("a range has terms"));
    let out = terms.first().map(|nest| at(&nest.out, nest)).unwrap_or_else(|| unreachable!("a range has terms"));
    MapStmt { expr, operands, out, count: range.len(), call: None }
}
