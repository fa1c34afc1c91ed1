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

#[cfg(test)]
mod tests {
    use schur_ir::graph::{Graph, Op};

    use super::*;
    use crate::simplify::tests::value;

    /// Two products of `2x0e+1x1o+2x0e+1x1o` by weights for every pair of chunks of an irrep.
    fn products() -> Graph {
        let [scalars, vectors] = [[0, 5], [2, 7]];
        let mut paths = String::new();
        for (i, j) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let at = 6 * (2 * i + j);
            let (from, to) = (scalars[i], scalars[j]);
            paths += &format!("    x0@{from}(u) x1@{at}(u*2 v) -> @{to}(v) for u=2 v=2\n");
            let (from, to, at) = (vectors[i], vectors[j], at + 4);
            paths += &format!("    x0@{from}(i) x1@{at} -> @{to}(i) for i=3\n");
        }
        let irreps = "2x0e+1x1o+2x0e+1x1o";
        let layer = |from: usize, to: usize| {
            format!(
                "%{}: f64[] 24x0e = param \"w{to}\" [24] constant(0)\n\
                 %{to}: f64[N] {irreps} = contract %{from}[0], %{}[] over [N]\n{paths}",
                to - 1,
                to - 1,
            )
        };
        let text = format!("graph \"g\"\n%0: f64[N] {irreps} = input \"x\"\n{}{}", layer(0, 2), layer(2, 4));
        text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"))
    }

    fn contract(graph: &Graph, value: u32) -> &Contract {
        let Op::Contract(contract) = &graph.node(ValueId(value)).op else { panic!("{graph}") };
        contract
    }

    #[test]
    fn what_lies_between_two_products_may_lie_in_any_order() {
        let graph = products();
        let (writer, reader) = (contract(&graph, 2), contract(&graph, 4));
        let regrouping = Regrouping::of(ValueId(2), graph.ty(ValueId(2))).expect("chunks of an irrep lie apart");
        assert_eq!(regrouping.ty().irreps.to_string(), "2x0e+2x0e+1x1o+1x1o");
        let tried = Cell::new(0);
        let written = regrouping.written(writer, &tried).expect("rows align");
        let read = regrouping.read(reader, 0, &tried).expect("rows align");
        let numbers = |salt: usize, n: usize| (0..n).map(|k| ((k * 37 + salt) % 101) as f64 - 50.0).collect::<Vec<_>>();
        let leaves = [numbers(1, 10), numbers(2, 24), Vec::new(), numbers(3, 24)];
        // `between` is what lies between the two products, `%2`.
        let run = |contract: &Contract, between: &[f64]| {
            let array = |o: &Operand| if o.value == ValueId(2) { between } else { &leaves[o.value.index()] };
            value(&contract.paths, &contract.operands.iter().map(array).collect::<Vec<_>>())
        };
        let [wanted, found] =
            [(writer, reader), (&written, &read)].map(|(writer, reader)| run(reader, &run(writer, &[])));
        assert_eq!(found, wanted);
    }

    #[test]
    fn values_whose_chunks_lie_together_stay_as_they_are() {
        for irreps in ["2x0e+2x0e+1x1o", "1x1o+2x0e", "0x0e"] {
            let ty =
                Type::new(vec![Dim::symbol("N")], irreps.parse().expect("these are irreps"), schur_ir::ty::DType::F64);
            assert!(Regrouping::of(ValueId(0), &ty).is_none(), "{irreps}");
        }
    }
}
