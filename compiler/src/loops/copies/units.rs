//! Leading axes of size 1 are dropped, so that rows are read and written in order.
//!
//! Rows `[N, 1]`, as those of a single channel, are rows `[N]`: what runs over `[N]` and reads them reads its own rows.

use std::collections::HashMap;

use schur_ir::dim::Dim;
use schur_ir::graph::{Contract, Graph, Map, Node, Op, Operand, RowIndex, RowMap, ValueId};
use schur_ir::ty::Type;

use super::{Packed, Rebuild};

/// The graph in which contractions and maps have no such axes, unless an index picks along them or there are no others. Values
/// keep theirs, as reshapes.
pub(in crate::loops) fn drop_units(graph: &Graph) -> Packed {
    let mut dropping = Dropping { rebuild: Rebuild::new(graph), known: HashMap::new() };
    for (value, node) in graph.values() {
        let op = node.op.map_reads(|v| dropping.rebuild.moved(v));
        match Rows::of(graph.rows_of(&op)) {
            Some(rows) => dropping.keep(op, (value, node), &rows),
            None => dropping.rebuild.keep(op, node),
        }
    }
    dropping.rebuild.finish(graph)
}

/// A space of rows without its axes of size 1.
struct Rows {
    dims: Vec<Dim>,
    /// For every axis of the whole space the one that it is now.
    places: Vec<Option<usize>>,
}

impl Rows {
    /// `None` where all axes have size 1, or there are none.
    fn of(dims: &[Dim]) -> Option<Self> {
        let mut kept = 0;
        let places = dims.iter().map(|dim| {
            let place = (!dim.is_one()).then_some(kept);
            kept += usize::from(place.is_some());
            place
        });
        let places = places.collect();
        (kept > 0).then(|| Rows { dims: without_units(dims), places })
    }

    /// How an array of leading sizes `dims` lies in these rows, once its own axes of size 1 are dropped.
    fn map(&self, map: &RowMap, dims: &[Dim]) -> RowMap {
        let picked = usize::from(map.index.is_some());
        let axes = map.axes.iter().zip(&dims[picked..]).filter(|(_, dim)| !dim.is_one());
        let index = map.index.as_ref().map(|index| RowIndex { axes: self.places(index.axes.iter()), ..index.clone() });
        RowMap { index, axes: self.places(axes.map(|(axis, _)| axis)) }
    }

    fn places<'a>(&self, axes: impl Iterator<Item = &'a Option<usize>>) -> Vec<Option<usize>> {
        axes.map(|axis| axis.and_then(|axis| self.places[axis])).collect()
    }
}

/// The sizes that are not 1.
fn without_units(dims: &[Dim]) -> Vec<Dim> {
    dims.iter().filter(|dim| !dim.is_one()).cloned().collect()
}

/// The leading sizes of an array that lies so in some rows, without those of 1; what an index picks from stays.
fn kept_dims(map: &RowMap, dims: &[Dim]) -> Vec<Dim> {
    let (picked, rest) = dims.split_at(usize::from(map.index.is_some()));
    [picked.to_vec(), without_units(rest)].concat()
}

/// A graph that is rebuilt without them.
struct Dropping {
    rebuild: Rebuild,
    /// Values with other leading sizes than they have.
    known: HashMap<(ValueId, Vec<Dim>), ValueId>,
}

impl Dropping {
    /// Adds the next node, over these rows.
    fn keep(&mut self, op: Op, (value, node): (ValueId, &Node), rows: &Rows) {
        let dims = &node.ty.dims;
        let (op, dims) = match op {
            Op::Contract(c) => {
                let (out, kept) = (rows.map(&c.out, dims), kept_dims(&c.out, dims));
                let operands = self.operands(&c.operands, rows, node);
                (Op::Contract(Contract { rows: rows.dims.clone(), operands, out, ..c }), kept)
            }
            Op::Map(m) => {
                let operands = self.operands(&m.operands, rows, node);
                (Op::Map(Map { rows: rows.dims.clone(), operands, ..m }), rows.dims.clone())
            }
            Op::Input(_) | Op::Param(_) | Op::Max(_) | Op::Reshape(_) => (op, dims.clone()),
        };
        if dims == node.ty.dims {
            return self.rebuild.keep(op, node);
        }
        let without = self.rebuild.copy(op, Type { dims: dims.clone(), ..node.ty.clone() }, node);
        self.rebuild.keep(Op::Reshape(without), node);
        self.known.insert((self.rebuild.moved(value), dims), without);
    }

    fn operands(&mut self, operands: &[Operand], rows: &Rows, node: &Node) -> Vec<Operand> {
        let without = |operand: &Operand| {
            let dims = &self.rebuild.packed.graph.ty(operand.value).dims;
            let (map, dims) = (rows.map(&operand.map, dims), kept_dims(&operand.map, dims));
            Operand { value: self.with_dims(operand.value, dims, node), map }
        };
        operands.iter().map(without).collect()
    }

    /// A value of other leading sizes, with as many rows.
    fn with_dims(&mut self, value: ValueId, dims: Vec<Dim>, node: &Node) -> ValueId {
        let ty = self.rebuild.packed.graph.ty(value);
        if ty.dims == dims {
            return value;
        }
        let ty = Type { dims: dims.clone(), ..ty.clone() };
        *self.known.entry((value, dims)).or_insert_with(|| self.rebuild.copy(Op::Reshape(value), ty, node))
    }
}

#[cfg(test)]
mod tests {
    use schur_ir::micro::Micro;

    use crate::loops::lowered;

    /// The gradient of the weights of a layer whose output has one channel.
    const GRADIENT: &str = r#"graph "gradient"

%0: f32[N] 16x1o = input "x"
%1: f32[N, 1] 8x1o = input "g"
%2: f32[] 128x0e = contract %0[0], %1[0, _] over [N] into []
    x0@0(u i) x1@0(v i) -> @0(u v) for u=16 v=8 i=3

output "dw" = %2
"#;

    #[test]
    fn rows_of_one_channel_are_rows() {
        let of_rows = lowered(&GRADIENT.replace("[N, 1]", "[N]").replace("[0, _]", "[0]"));
        assert_eq!(lowered(GRADIENT).micros, of_rows.micros);
        assert!(of_rows.micros.iter().any(|micro| matches!(micro, Micro::Product(_))), "{of_rows}");
    }
}
