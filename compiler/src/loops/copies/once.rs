//! What is the same for all rows is computed once.

use schur_ir::graph::{Contract, Graph, Map, Max, Op, Operand, RowMap, ValueId};
use schur_ir::ty::Type;

use super::{Packed, Rebuild};

/// The graph in which a value over rows that reads nothing of these rows is one without rows, as far as its readers can
/// take it so. What a maximum is taken of stays as it is, since its slope asks where it has the maximum's bits.
pub(in crate::loops) fn compute_once(graph: &Graph) -> Packed {
    let mut rebuild = Rebuild::new(graph);
    let mut once: Vec<Option<ValueId>> = vec![None; graph.nodes.len()];
    let mut is_whole = vec![false; graph.nodes.len()];
    for (_, node) in graph.values() {
        if let Op::Max(Max { value, .. }) | Op::Reshape(value) = &node.op {
            is_whole[value.index()] = true;
        }
    }
    for (value, node) in graph.values() {
        let mut op = node.op.map_reads(|v| rebuild.moved(v));
        if let (Op::Contract(Contract { operands: old, .. }), Op::Contract(Contract { rows, operands, .. }))
        | (Op::Map(Map { operands: old, .. }), Op::Map(Map { rows, operands, .. })) = (&node.op, &mut op)
        {
            read_once(old, operands, rows.len(), &once);
        }
        if let Some(op) = without_rows(&op).filter(|_| !is_whole[value.index()]) {
            let ty = Type { dims: Vec::new(), ..node.ty.clone() };
            once[value.index()] = Some(rebuild.copy(op, ty, node));
        }
        rebuild.keep(op, node);
    }
    rebuild.finish(graph)
}

/// Lets operands that are computed once be read so, where they are read row by row.
fn read_once(old: &[Operand], operands: &mut [Operand], rank: usize, once: &[Option<ValueId>]) {
    for (old, operand) in old.iter().zip(operands) {
        if let Some(value) = once[old.value.index()].filter(|_| old.map.is_identity(rank)) {
            *operand = Operand { value, map: RowMap::shared() };
        }
    }
}

/// The op without rows, where it reads nothing of its rows.
fn without_rows(op: &Op) -> Option<Op> {
    let shared = |operands: &[Operand]| operands.iter().all(|o| o.map == RowMap::shared());
    match op {
        Op::Contract(c) if !c.rows.is_empty() && c.out.is_identity(c.rows.len()) && shared(&c.operands) => {
            Some(Op::Contract(Contract { rows: Vec::new(), out: RowMap::shared(), ..c.clone() }))
        }
        Op::Map(m) if !m.rows.is_empty() && shared(&m.operands) => Some(Op::Map(Map { rows: Vec::new(), ..m.clone() })),
        Op::Input(_) | Op::Param(_) | Op::Contract(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => None,
    }
}
