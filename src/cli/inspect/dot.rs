//! A graph in Graphviz's language: `schur inspect SPEC --dot | dot -Tsvg`.

use std::fmt::Write;

use schur::Graph;
use schur::ir::graph::{Node, Op};

use super::drawing::{cut, short_name};
use crate::cli::terminal::counted;

/// The graph in Graphviz's language, types on its edges.
pub(super) fn dot(graph: &Graph) -> String {
    let mut out = format!("digraph {} {{\n", quoted(&graph.name));
    out += "    node [shape=box, style=rounded, fontname=\"monospace\", fontsize=10];\n";
    out += "    edge [fontname=\"monospace\", fontsize=8];\n";
    for (value, node) in graph.values() {
        let (shape, label) = label(node);
        let layer = if node.layer.is_empty() { String::new() } else { format!("  {}", node.layer) };
        let text = format!("{label}\n{value}{layer}");
        let _ = writeln!(out, "    v{} [label={}{shape}];", value.0, quoted(&text));
    }
    for (value, node) in graph.values() {
        let mut reads = node.op.reads();
        reads.sort_unstable();
        reads.dedup();
        for read in reads {
            let ty = quoted(&graph.ty(read).to_string());
            let _ = writeln!(out, "    v{} -> v{} [label={ty}];", read.0, value.0);
        }
    }
    for (k, output) in graph.outputs.iter().enumerate() {
        let label = quoted(&format!("{} {}", output.kind.name(), output.name));
        let _ = writeln!(out, "    o{k} [label={label}, style=\"rounded,bold\"];");
        let ty = quoted(&graph.ty(output.value).to_string());
        let _ = writeln!(out, "    v{} -> o{k} [label={ty}];", output.value.0);
    }
    out + "}\n"
}

/// How a node looks, and what its op is.
fn label(node: &Node) -> (&'static str, String) {
    match &node.op {
        Op::Input(name) => (", shape=ellipse", format!("input {name}")),
        Op::Param(param) => {
            (", shape=ellipse, style=dashed", format!("param {}", short_name(&param.name, &node.layer)))
        }
        Op::Contract(contract) => ("", format!("contract, {}", counted(contract.paths.len(), "path"))),
        Op::Map(map) => ("", format!("map {}", cut(&map.expr.to_string()))),
        Op::Max(max) => ("", format!("max, keep {}", max.keep)),
        Op::Reshape(_) => (", style=dotted", "reshape".to_owned()),
    }
}

/// A string of Graphviz's language; a line end stays one.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside_their_quotes() {
        assert_eq!(quoted("a\"b\\n\nc"), r#""a\"b\\n\nc""#);
    }
}
