//! What an op reads, and whether row by row.

#![expect(clippy::indexing_slicing, reason = "places are of a verified graph, and of lists made for it")]

use schur_ir::dim::Dim;
use schur_ir::graph::{Graph, Node, Op, Operand, ValueId};

/// The value whose elements a value holds: itself, or what a chain of reshapes reads.
pub(super) fn root(graph: &Graph, value: ValueId) -> ValueId {
    match &graph.node(value).op {
        Op::Reshape(of) => root(graph, *of),
        Op::Input(_) | Op::Param(_) | Op::Contract(_) | Op::Map(_) | Op::Max(_) => value,
    }
}

/// One flag a value: true where an output is it.
pub(super) fn outputs(graph: &Graph) -> Vec<bool> {
    let mut flags = vec![false; graph.nodes.len()];
    graph.outputs.iter().for_each(|output| flags[root(graph, output.value).index()] = true);
    flags
}

/// True where an op gives one row of output for every row it iterates over, in order.
pub(super) fn writes_own_row(node: &Node) -> bool {
    match &node.op {
        Op::Contract(c) => c.out.is_identity(c.rows.len()),
        Op::Map(_) => true,
        Op::Input(_) | Op::Param(_) | Op::Max(_) | Op::Reshape(_) => false,
    }
}

/// True for an operand with a row for every one of `rows`, in order, which it is read by.
pub(super) fn is_own_row(graph: &Graph, rows: &[Dim], operand: &Operand) -> bool {
    operand.map.is_identity(rows.len()) && graph.ty(operand.value).dims == rows
}

/// True where `value`, read with the given map by an op over `rows`, is at hand inside the kernel that computes it.
fn is_aligned(graph: &Graph, rows: &[Dim], value: ValueId, identity: bool) -> bool {
    let producer = graph.node(root(graph, value));
    identity && writes_own_row(producer) && producer.ty.dims == graph.ty(value).dims && producer.ty.dims == rows
}

/// What an op reads, with whether it reads its own row alone.
pub(super) fn aligned_reads(graph: &Graph, op: &Op) -> Vec<(ValueId, bool)> {
    let rows = graph.rows_of(op);
    let operand = |o: &Operand| (o.value, is_aligned(graph, rows, o.value, o.map.is_identity(rows.len())));
    match op {
        Op::Contract(c) => c.operands.iter().map(operand).collect(),
        Op::Map(m) => m.operands.iter().map(operand).collect(),
        Op::Max(m) => vec![(m.value, is_aligned(graph, rows, m.value, true))],
        Op::Input(_) | Op::Param(_) | Op::Reshape(_) => Vec::new(),
    }
}
