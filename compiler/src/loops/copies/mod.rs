//! Passes from graph to graph that let vectors run and save memory.
//!
//! A file is a pass, and its header says what it does; `loops/mod.rs` has their order, docs/loops.md a table of them. What
//! they add are ordinary values, whose cost all that follows sees.

#![expect(clippy::indexing_slicing, reason = "places are of a verified graph, and of lists made for it")]

pub(super) mod cheap;
pub(super) mod cut;
pub(super) mod divisors;
pub(super) mod factors;
pub(super) mod flat;
pub(super) mod inline;
pub(super) mod live;
pub(super) mod matrices;
pub(super) mod once;
pub(super) mod rows;
pub(super) mod slopes;
pub(super) mod sums;
pub(super) mod turned;
pub(super) mod units;
pub(super) mod weights;

use std::collections::HashMap;

use schur_ir::graph::{Contract, Graph, Node, Op, Output, Path, ValueId};
use schur_ir::ty::Type;

/// A graph with copies, and what its values were before.
pub(super) struct Packed {
    pub(super) graph: Graph,
    /// For every value, the one that it is, or is a copy for.
    origin: Vec<ValueId>,
    /// Copies of rows, each computed with the first value that reads it.
    pub(super) rows: Vec<ValueId>,
    /// For every value of the graph before the last pass, the one that it is now.
    moved: Vec<ValueId>,
}

impl Packed {
    /// The graph as it is.
    pub(super) fn nothing(graph: Graph) -> Self {
        let origin: Vec<ValueId> = graph.values().map(|(value, _)| value).collect();
        Packed { graph, moved: origin.clone(), origin, rows: Vec::new() }
    }

    /// What a value was before, or is a copy for.
    pub(super) fn origin(&self, value: ValueId) -> ValueId {
        self.origin[value.index()]
    }

    /// Applies a pass to the graph.
    pub(super) fn then(&mut self, mut next: Packed) {
        next.origin.iter_mut().for_each(|value| *value = self.origin(*value));
        next.rows.extend(self.rows.iter().map(|value| next.moved[value.index()]));
        *self = next;
    }
}

/// Rebuilds a graph, node by node.
struct Rebuild {
    packed: Packed,
}

impl Rebuild {
    fn new(graph: &Graph) -> Self {
        let (name, requirements) = (graph.name.clone(), graph.requirements.clone());
        let empty = Graph { name, nodes: Vec::new(), outputs: Vec::new(), requirements };
        Rebuild { packed: Packed { graph: empty, origin: Vec::new(), rows: Vec::new(), moved: Vec::new() } }
    }

    /// What a value of the graph is now.
    fn moved(&self, value: ValueId) -> ValueId {
        self.packed.moved[value.index()]
    }

    /// Adds a copy for the node that comes next.
    fn copy(&mut self, op: Op, ty: Type, node: &Node) -> ValueId {
        self.packed.origin.push(ValueId(self.packed.moved.len() as u32));
        self.packed.graph.push(op, ty, &node.layer)
    }

    /// Adds a copy of rows, which is computed with the first value that reads it.
    fn copy_of_rows(&mut self, op: Op, ty: Type, node: &Node) -> ValueId {
        let value = self.copy(op, ty, node);
        self.packed.rows.push(value);
        value
    }

    /// Adds the next node, its operands moved by now.
    fn keep(&mut self, op: Op, node: &Node) {
        let value = self.copy(op, node.ty.clone(), node);
        self.packed.moved.push(value);
    }

    fn finish(mut self, graph: &Graph) -> Packed {
        let outputs = graph.outputs.iter().map(|o| Output { value: self.moved(o.value), ..o.clone() }).collect();
        self.packed.graph.outputs = outputs;
        self.packed
    }
}

/// The copies of rows that were made, by their kernel and what they are copies of: kernels share theirs.
type Known<K> = HashMap<(Option<usize>, K), ValueId>;

/// The graph with contractions that read copies of rows; `None` where there is none. `read` is given each contraction, as it was and as it
/// will be, with its value and node, and makes it read them.
fn reading_copies(
    graph: &Graph,
    mut read: impl FnMut(&mut Rebuild, (ValueId, &Node), (&Contract, &mut Contract)),
) -> Option<Packed> {
    let mut rebuild = Rebuild::new(graph);
    for (value, node) in graph.values() {
        let mut op = node.op.map_reads(|v| rebuild.moved(v));
        if let (Op::Contract(old), Op::Contract(new)) = (&node.op, &mut op) {
            read(&mut rebuild, (value, node), (old, new));
            drop_unread(new);
        }
        rebuild.keep(op, node);
    }
    let packed = rebuild.finish(graph);
    (!packed.rows.is_empty()).then_some(packed)
}

/// Removes operands that no path reads.
pub(super) fn drop_unread(contract: &mut Contract) {
    let read = |operand: usize, paths: &[Path]| paths.iter().flat_map(|p| &p.factors).any(|f| f.operand == operand);
    for operand in (0..contract.operands.len()).rev() {
        if !read(operand, &contract.paths) {
            contract.operands.remove(operand);
            let factors = contract.paths.iter_mut().flat_map(|p| &mut p.factors);
            factors.filter(|f| f.operand > operand).for_each(|f| f.operand -= 1);
        }
    }
}
