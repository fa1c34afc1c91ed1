//! What the page tells of a model, as JSON for its script.

use schur::compiler::simplify::{Cost, Origin, RULES};
use schur::ir::dim::Dim;
use schur::ir::graph::{Node, Op, ValueId};
use schur::ir::ty::DisplayDims;
use schur::{Graph, Type};
use serde_json::{Value, json};

use super::kernels::KernelText;
use super::stages::Compiled;
use crate::cli::terminal::count;

/// All that the page's script needs. The first `forward` values of the graph are those of the forward pass; times are
/// those where every symbol has this size.
pub(super) fn facts(compiled: &Compiled, forward: usize, size: usize) -> Value {
    let (before, after) = (&compiled.graph, &compiled.simplified);
    let origins = &compiled.report.origins;
    let becomes = |value: ValueId| -> Vec<u32> {
        let of = |origin: &Origin| origin.sources.contains(&value);
        (0..).zip(origins).filter(|(_, origin)| of(origin)).map(|(k, _)| k).collect()
    };
    let is_backward = |value: &ValueId| value.index() >= forward;
    let before_values = before.values().map(|(value, _)| {
        let mut facts = value_facts(before, value, size);
        facts["becomes"] = json!(becomes(value));
        facts["backward"] = json!(is_backward(&value));
        facts
    });
    let after_values = after.values().zip(origins).map(|((value, _), origin)| {
        let mut facts = value_facts(after, value, size);
        facts["sources"] = json!(origin.sources.iter().map(|v| v.0).collect::<Vec<_>>());
        facts["rules"] = json!(origin.rules);
        facts["backward"] = json!(!origin.sources.is_empty() && origin.sources.iter().all(is_backward));
        facts
    });
    json!({
        "views": {
            "before": { "values": before_values.collect::<Vec<_>>(), "total": cost_facts(&Cost::of_graph(before), size) },
            "after": { "values": after_values.collect::<Vec<_>>(), "total": cost_facts(&Cost::of_graph(after), size) },
        },
        "rules": RULES.iter().map(|rule| (rule.name.to_owned(), json!(rule.exact))).collect::<serde_json::Map<_, _>>(),
        "size": size,
        "applied": compiled.report.rules.iter().map(|(rule, times)| json!([rule, times])).collect::<Vec<_>>(),
        "buffers": compiled.loops.buffers.iter().map(|buffer| buffer.label.as_str()).collect::<Vec<_>>(),
        "kernels": compiled.kernels.iter().map(|kernel| kernel_facts(kernel, after)).collect::<Vec<_>>(),
    })
}

fn value_facts(graph: &Graph, value: ValueId, size: usize) -> Value {
    let node = graph.node(value);
    let mut reads = node.op.reads();
    reads.sort_unstable();
    reads.dedup();
    let returned = graph.outputs.iter().filter(|output| output.value == value);
    json!({
        "op": op_name(&node.op),
        "layer": &*node.layer,
        "type": type_facts(&node.ty),
        "text": node_text(value, node),
        "reads": reads.iter().map(|v| v.0).collect::<Vec<_>>(),
        "outputs": returned.map(|output| format!("{} {}", output.kind.name(), output.name)).collect::<Vec<_>>(),
        "cost": cost_facts(&Cost::of_value(graph, value), size),
    })
}

fn op_name(op: &Op) -> &'static str {
    match op {
        Op::Input(_) => "input",
        Op::Param(_) => "param",
        Op::Contract(_) => "contract",
        Op::Map(_) => "map",
        Op::Max(_) => "max",
        Op::Reshape(_) => "reshape",
    }
}

/// The text form of a value, without its type and layer, which stand beside it.
fn node_text(value: ValueId, node: &Node) -> String {
    let mut text = format!("{value} = {}", node.op);
    if let Op::Contract(contract) = &node.op {
        contract.paths.iter().for_each(|path| text += &format!("\n  {path}"));
    }
    text
}

fn type_facts(ty: &Type) -> Value {
    let chunks = ty.irreps.iter().zip(&ty.zero).map(|(chunk, zero)| {
        json!({ "text": chunk.to_string(), "mul": chunk.mul, "l": chunk.ir.l, "parity": chunk.ir.p.sign(), "dim": chunk.dim(), "zero": zero })
    });
    json!({
        "text": ty.to_string(),
        "dtype": ty.dtype.name(),
        "dims": DisplayDims(&ty.dims).to_string(),
        "width": ty.width(),
        "chunks": chunks.collect::<Vec<_>>(),
    })
}

fn cost_facts(cost: &Cost, size: usize) -> Value {
    json!({
        "flops": polynomial(&cost.flops),
        "bytes": polynomial(&cost.bytes),
        "nanoseconds": cost.nanoseconds(size),
    })
}

/// A kernel's lines. A statement names the value of the simplified graph that it computes, or the output it copies.
fn kernel_facts(kernel: &KernelText, graph: &Graph) -> Value {
    let known = |value: ValueId| (value.index() < graph.nodes.len()).then_some(value.0);
    json!({
        "name": kernel.name,
        "size": kernel.size,
        "head": kernel.head,
        "scratch": kernel.scratch,
        "loops": kernel.loops.iter().map(|(text, value, code)| json!([text, known(*value), code])).collect::<Vec<_>>(),
        "clif": kernel.clif,
        "asm": kernel.asm.iter().map(|line| json!([line.text, line.line, line.statement])).collect::<Vec<_>>(),
    })
}

/// `12,544·N + 64`.
pub(super) fn polynomial(dim: &Dim) -> String {
    let term = |(coefficient, symbols): (i64, &[schur::ir::dim::Symbol])| {
        let number = count(coefficient.unsigned_abs() as usize);
        let number = if coefficient == 1 && !symbols.is_empty() { Vec::new() } else { vec![number] };
        number.into_iter().chain(symbols.iter().map(ToString::to_string)).collect::<Vec<_>>().join("·")
    };
    let mut terms: Vec<String> = dim.terms().map(term).collect();
    terms.reverse();
    if terms.is_empty() { "0".to_owned() } else { terms.join(" + ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_are_for_people() {
        let n = Dim::symbol("N");
        assert_eq!(polynomial(&n.times(&Dim::from(12544)).plus(&Dim::from(64))), "12,544·N + 64");
        assert_eq!(polynomial(&n), "N");
        assert_eq!(polynomial(&Dim::from(0)), "0");
    }
}
