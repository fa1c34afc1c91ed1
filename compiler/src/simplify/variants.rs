//! Everything the rules found, side by side with what it was found for: what tests evaluate.

#![expect(clippy::indexing_slicing, reason = "e-classes are those of the e-graph that the lists were made for")]

use std::collections::HashMap;
use std::sync::Arc;

use egg::Id;
use schur_ir::graph::{Graph, Output, OutputKind, ValueId};
use schur_ir::ty::Type;
use schur_ir::verify::verify;

use super::language::{Enode, id_of};
use super::saturate::Saturation;
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
    verify(graph)?;
    let saturation = saturate::saturate(graph, options, &mut Report::default())?;
    let out = Graph { name: graph.name.clone(), requirements: graph.requirements.clone(), ..Graph::default() };
    let mut emitter = Emitter { saturation: &saturation, values: HashMap::new(), out };
    for (k, node) in graph.nodes.iter().enumerate() {
        let value = emitter.push(&saturation.originals[k], node.ty.clone(), &node.layer);
        emitter.values.entry(saturation.class(ValueId(k as u32))).or_insert(value);
    }
    for (enode, _) in &saturation.built {
        let Some(class) = saturation.egraph.lookup(enode.clone()) else { continue };
        if !emitter.values.contains_key(&class) {
            let data = &saturation.egraph[class].data;
            let value = emitter.push(enode, (*data.ty).clone(), &data.layer);
            emitter.values.insert(class, value);
        }
    }
    let mut pairs = Vec::new();
    for (enode, made) in &saturation.made_by {
        let Some(class) = saturation.egraph.lookup(enode.clone()) else { continue };
        let (Some(&before), data) = (emitter.values.get(&class), &saturation.egraph[class].data) else { continue };
        let after = emitter.push(enode, (*data.ty).clone(), &data.layer);
        let name = |value: ValueId, side: &str| format!("{side} {value} by {after}");
        for (value, side) in [(before, "before"), (after, "after")] {
            let output = Output { name: name(value, side).into(), kind: OutputKind::Output, value, shape: None };
            emitter.out.outputs.push(output);
        }
        pairs.push(Variant { rule: made.rule, before: name(before, "before"), after: name(after, "after") });
    }
    Ok((emitter.out, pairs))
}

/// The graph of all values, as far as it is written.
struct Emitter<'s> {
    saturation: &'s Saturation,
    /// The first value of every class.
    values: HashMap<Id, ValueId>,
    out: Graph,
}

impl Emitter<'_> {
    fn push(&mut self, enode: &Enode, ty: Type, layer: &Arc<str>) -> ValueId {
        let find = |value| self.saturation.egraph.find(id_of(value));
        let op = self.saturation.resolve(enode).map_reads(|value| self.values[&find(value)]);
        self.out.push(op, ty, layer)
    }
}
