//! What is computed once for parameters, and not again before they change: values that depend on parameters, constants
//! and fixed sizes alone, such as weights that are multiplied together or transposed.
//!
//! Two kinds of such values stay with the rest. Outputs are the caller's memory, written at every call. And a value over
//! rows that values of the call share, row by row, is scratch of their kernel, where computing it is cheaper than to
//! read it.

#![expect(clippy::indexing_slicing, reason = "places are of a verified graph, and of lists made for it")]

use schur_ir::dim::Dim;
use schur_ir::graph::{Graph, Node, Op};

use super::reads::{aligned_reads, root};

/// One flag a value: true where it is of the prologue. All that such a value reads is of the prologue, or a parameter.
pub(super) fn of_prologue(graph: &Graph, live: &[bool]) -> Vec<bool> {
    let mut of_params = Vec::with_capacity(graph.nodes.len());
    for (_, node) in graph.values() {
        of_params.push(depends_on_params_alone(graph, node, &of_params));
    }
    let is_computed = |node: &Node| !matches!(node.op, Op::Input(_) | Op::Param(_) | Op::Reshape(_));
    let values = graph.nodes.iter().zip(&of_params).zip(live);
    let mut flags: Vec<bool> = values.map(|((node, own), live)| *own && *live && is_computed(node)).collect();
    for output in &graph.outputs {
        flags[root(graph, output.value).index()] = false;
    }
    while exclude(graph, live, &mut flags) {}
    flags
}

/// True where an op reads nothing but what depends on parameters, and all its sizes are numbers.
fn depends_on_params_alone(graph: &Graph, node: &Node, of_params: &[bool]) -> bool {
    let is_number = |dim: &Dim| dim.constant().is_some();
    let sizes = match &node.op {
        Op::Input(_) => return false,
        Op::Param(_) => true,
        Op::Contract(contract) => is_number(&contract.divisor),
        Op::Map(_) | Op::Max(_) | Op::Reshape(_) => true,
    };
    let read = node.op.reads().into_iter().all(|read| of_params[read.index()]);
    sizes && read && graph.rows_of(&node.op).iter().chain(&node.ty.dims).all(is_number)
}

/// Takes values out of the prologue that read, or are read row by row by, what is not of it; false where there are none.
fn exclude(graph: &Graph, live: &[bool], flags: &mut [bool]) -> bool {
    let mut changed = false;
    for (value, node) in graph.values().filter(|(value, _)| live[value.index()]) {
        let has_rows = !graph.rows_of(&node.op).is_empty();
        for (read, aligned) in aligned_reads(graph, &node.op) {
            let of = root(graph, read);
            let is_param = matches!(graph.node(of).op, Op::Param(_));
            let (own, operand) = (flags[value.index()], flags[of.index()]);
            if own && !operand && !is_param {
                flags[value.index()] = false;
                changed = true;
            } else if !own && operand && aligned && has_rows {
                flags[of.index()] = false;
                changed = true;
            }
        }
    }
    changed
}
