//! Everything the rules found, side by side with what it was found for: what tests evaluate.

use schur_ir::graph::{Graph, Output, OutputKind, ValueId};

use super::language::id_of;
use super::{Report, SimplifyError, SimplifyOptions, saturate};

/// Two outputs that are equal by a rule.
#[derive(Clone, Debug)]
pub struct Variant {
    /// The rule.
    pub rule: &'static str,
    /// The name of the output before.
    pub before: String,
    /// The name of the output after.
    pub after: String,
}

/// The graph in normal form, with all values and all that rules found equal to them as its outputs.
pub fn variants(graph: &Graph, options: &SimplifyOptions) -> Result<(Graph, Vec<Variant>), SimplifyError> {
    let saturation = saturate::saturate(graph, options, &mut Report::default())?;
    let mut out = Graph { name: graph.name.clone(), requirements: graph.requirements.clone(), ..Graph::default() };
    let mut values = std::collections::HashMap::new();
    for (k, node) in graph.nodes.iter().enumerate() {
        let op = saturation.resolve(&saturation.originals[k]).map_reads(|v| values[&saturation.egraph.find(id_of(v))]);
        let value = out.push(op, node.ty.clone(), &node.layer);
        values.entry(saturation.class(ValueId(k as u32))).or_insert(value);
    }
    let mut pairs = Vec::new();
    for (enode, made) in &saturation.made_by {
        let Some(class) = saturation.egraph.lookup(enode.clone()) else { continue };
        let (Some(&before), data) = (values.get(&class), &saturation.egraph[class].data) else { continue };
        let op = saturation.resolve(enode).map_reads(|v| values[&saturation.egraph.find(id_of(v))]);
        let after = out.push(op, (*data.ty).clone(), &data.layer);
        let name = |value: ValueId, side: &str| format!("{side} {value} by {after}");
        for (value, side) in [(before, "before"), (after, "after")] {
            let output = Output { name: name(value, side).into(), kind: OutputKind::Output, value, shape: None };
            out.outputs.push(output);
        }
        pairs.push(Variant { rule: made.rule, before: name(before, "before"), after: name(after, "after") });
    }
    Ok((out, pairs))
}
