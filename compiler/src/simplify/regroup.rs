//! Two products meet where the chunks of one irrep lie side by side.
//!
//! What lies between two products that are multiplied together is never seen, so it may lie in any order. Of `n` chunks of
//! one irrep that lie apart, a product that was cut into `n²` paths is cut into `n` then, on its other side alone.

#![expect(clippy::indexing_slicing, reason = "places of sorted chunks are a permutation")]

use std::cell::Cell;

use schur_ir::dim::Dim;
use schur_ir::graph::{Contract, Operand, Path, RowMap, ValueId};
use schur_ir::ty::Type;

use super::compose::{Reading, read_through, write_through};
use super::written::Writer;

/// The copies of a value to one with the chunks of each irrep side by side, and back.
pub(super) struct Regrouping {
    there: Contract,
    back: Contract,
    ty: Type,
}

impl Regrouping {
    /// `None` where chunks of one irrep are neighbours already.
    pub(super) fn of(value: ValueId, ty: &Type) -> Option<Regrouping> {
        if ty.irreps.regroup().len() == ty.irreps.simplify().len() {
            return None;
        }
        let sorted = ty.irreps.sort();
        let (from, to) = (ty.irreps.offsets(), sorted.irreps.offsets());
        let places =
            || ty.irreps.iter().enumerate().map(|(k, chunk)| (chunk.dim(), from[k], to[sorted.permutation[k]]));
        let copy = |paths| Contract {
            rows: ty.dims.clone(),
            operands: vec![Operand { value, map: RowMap::identity(ty.dims.len()) }],
            out: RowMap::identity(ty.dims.len()),
            divisor: Dim::one(),
            paths,
        };
        Some(Regrouping {
            there: copy(places().map(|(n, from, to)| Path::run(n, [(0, from)], to)).collect()),
            back: copy(places().map(|(n, from, to)| Path::run(n, [(0, to)], from)).collect()),
            ty: Type::new(ty.dims.clone(), sorted.irreps, ty.dtype),
        })
    }

    /// The type of the regrouped value.
    pub(super) fn ty(&self) -> &Type {
        &self.ty
    }

    /// `reader` with the regrouped value behind its other operands, in place of operand `k`; paths lie in no order.
    pub(super) fn read(&self, reader: &Contract, k: usize, tried: &Cell<usize>) -> Option<Contract> {
        read_through(reader, k, &Writer::new(&self.back), Reading::Plain, tried)
    }

    /// `writer`, which makes the value, making the regrouped one; paths lie in no order.
    pub(super) fn written(&self, writer: &Contract, tried: &Cell<usize>) -> Option<Contract> {
        tried.set(tried.get() + writer.paths.len());
        write_through(&self.there, writer)
    }
}
