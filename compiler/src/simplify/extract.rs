//! Extraction: one op for every e-class that is needed, cheap as a whole, a shared value counted once.
//!
//! What can be chosen is gathered once; [`Search`] finds a plan for one size of all symbols.

#![expect(clippy::indexing_slicing, reason = "e-classes are those of the e-graph that the lists were made for")]

use egg::Id;
use rustc_hash::FxHashMap;
use schur_ir::graph::{Graph, ValueId};

use super::Origin;
use super::candidates::Plan;
use super::cost::Cost;
use super::cycles::Walk;
use super::language::{Enode, id_of};
use super::saturate::Saturation;
use super::search::Search;

/// The classes that outputs can reach, without leaves, numbered in order of discovery.
pub(super) struct Extraction<'s> {
    saturation: &'s Saturation,
    ids: Vec<Id>,
    index: FxHashMap<Id, usize>,
    choices: Vec<Vec<Choice>>,
    roots: Vec<usize>,
}

/// An op of a class.
struct Choice {
    enode: Enode,
    children: Vec<usize>,
    cost: Cost,
    /// Its place in the graph as it was.
    original: Option<usize>,
}

impl<'s> Extraction<'s> {
    pub(super) fn new(saturation: &'s Saturation, roots: impl Iterator<Item = Id>) -> Self {
        let originals = saturation.originals.iter().enumerate().rev();
        let originals: FxHashMap<Enode, usize> = originals.map(|(k, e)| (saturation.canonical(e), k)).collect();
        let (ids, index, choices) = Default::default();
        let mut this = Extraction { saturation, ids, index, choices, roots: Vec::new() };
        this.roots = roots.filter_map(|id| this.number(id)).collect();
        let mut at = 0;
        while let Some(&id) = this.ids.get(at) {
            let nodes = saturation.egraph[id].nodes.iter().map(|n| saturation.canonical(n));
            let mut choices: Vec<Choice> = nodes
                .map(|enode| Choice {
                    children: enode.children.iter().filter_map(|c| this.number(*c)).collect(),
                    cost: saturation.cost(&enode),
                    original: originals.get(&enode).copied(),
                    enode,
                })
                .filter(|c| !c.children.contains(&at))
                .collect();
            choices.sort_by_key(|c| c.original.unwrap_or(usize::MAX));
            this.choices.push(choices);
            at += 1;
        }
        this
    }

    /// The number of a class; none for leaves, which cost nothing and are always there.
    fn number(&mut self, id: Id) -> Option<usize> {
        let Saturation { egraph, .. } = self.saturation;
        let id = egraph.find(id);
        if egraph[id].leaves().any(|enode| egraph.analysis.interner.head(enode).op.leaf_name().is_some()) {
            return None;
        }
        Some(*self.index.entry(id).or_insert_with(|| {
            self.ids.push(id);
            self.ids.len() - 1
        }))
    }

    /// The best plan that is found, where every symbol has the size `nominal`.
    pub(super) fn plan(&self, nominal: usize) -> Plan {
        let classes = self.choices.iter();
        let classes = classes.map(|choices| choices.iter().map(|c| (c.children.as_slice(), &c.cost)));
        Search::new(classes, &self.roots, nominal).plan()
    }

    /// The classes that a plan needs, operands first.
    fn order(&self, plan: &Plan) -> Vec<usize> {
        let mut walk = Walk::new(plan.len());
        for root in &self.roots {
            let acyclic = walk.from(*root, |class| &self.choices[class][plan[class]].children, |_| true);
            debug_assert!(acyclic);
        }
        walk.done
    }

    /// What all that a plan needs costs.
    pub(super) fn cost(&self, plan: &Plan) -> Cost {
        let mut sum = Cost::default();
        self.order(plan).into_iter().for_each(|class| sum += &self.choices[class][plan[class]].cost);
        sum
    }

    /// The classes that a plan needs, operands first, and the e-nodes they take.
    pub(super) fn chosen(&self, plan: &Plan) -> Vec<(Id, &Enode)> {
        self.order(plan).into_iter().map(|class| (self.ids[class], &self.choices[class][plan[class]].enode)).collect()
    }

    /// The graph of a plan: all leaves of the graph as it was, in order, then what the outputs need.
    pub(super) fn graph(&self, plan: &Plan, source: &Graph) -> Graph {
        let Graph { name, outputs, requirements, .. } = source;
        let (name, outputs, requirements) = (name.clone(), outputs.clone(), requirements.clone());
        let mut out = Graph { name, outputs, requirements, nodes: Vec::with_capacity(source.nodes.len()) };
        let mut values: FxHashMap<Id, ValueId> = FxHashMap::default();
        for (at, node) in source.values().filter(|(_, node)| node.op.leaf_name().is_some()) {
            let value = out.push(node.op.clone(), node.ty.clone(), &node.layer);
            values.insert(self.saturation.class(at), value);
        }
        for (class, enode) in self.chosen(plan) {
            let op = self.saturation.resolve(enode);
            let op = op.map_reads(|v| values[&self.saturation.egraph.find(id_of(v))]);
            let data = &self.saturation.egraph[class].data;
            values.insert(class, out.push(op, (*data.ty).clone(), &data.layer));
        }
        for output in &mut out.outputs {
            output.value = values[&self.saturation.class(output.value)];
        }
        out
    }

    /// Where the values of the graph of a plan come from.
    pub(super) fn origins(&self, plan: &Plan, source: &Graph) -> Vec<Origin> {
        let leaves = source.values().filter(|(_, node)| node.op.leaf_name().is_some());
        let mut origins: Vec<Origin> = leaves.map(|(at, _)| Origin { sources: vec![at], rules: Vec::new() }).collect();
        let derivations = self.saturation.derivations();
        let mut equal: FxHashMap<Id, Vec<ValueId>> = FxHashMap::default();
        source.values().for_each(|(value, _)| equal.entry(self.saturation.class(value)).or_default().push(value));
        for (class, enode) in self.chosen(plan) {
            let sources = equal.get(&class).cloned().unwrap_or_default();
            origins.push(Origin { sources, rules: derivations.rules(enode) });
        }
        origins
    }
}
