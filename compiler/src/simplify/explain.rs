//! Explanation: the chain of rules that leads from a graph to the simplified one, and what each step saves.
//!
//! Every value of the result was rewritten step by step from an op of the graph, or made for another one; the
//! [`Derivations`](super::derivation::Derivations) of the e-graph tell by which rules. The steps are replayed in the order
//! of the result's values on a plan that begins as the graph was, and the graph of every plan is costed as a whole, so
//! that a step also saves what nobody needs any more after it.

#![expect(clippy::indexing_slicing, reason = "e-classes are those of the e-graph that the lists were made for")]

use std::collections::{HashMap, HashSet};

use egg::Id;
use schur_ir::graph::{Graph, Node, Op, ValueId};
use schur_ir::verify::verify;

use super::cost::Cost;
use super::derivation::Derivations;
use super::extract::Extraction;
use super::language::{Enode, id_of};
use super::saturate::Saturation;
use super::{RULES, Report, Rule, SimplifyError, SimplifyOptions, narrow, saturate, size};

/// From a graph to the simplified one.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The cost of the graph.
    pub before: Cost,
    /// What was done, in order.
    pub steps: Vec<Step>,
    /// The cost of the result.
    pub after: Cost,
}

/// One step.
#[derive(Clone, Debug)]
pub struct Step {
    /// The rule; for a step on the whole graph, all rules of its kind: those before saturation, those of normal form, and
    /// those by which a value is another one.
    pub rule: String,
    /// The layer of the value that was rewritten; empty for steps on the whole graph.
    pub layer: String,
    /// The op before, in the text form; none for steps on the whole graph. Values are those of the graph; what rules made
    /// is numbered behind them.
    pub before: Option<String>,
    /// The op after, with what was made for it.
    pub after: Vec<String>,
    /// What the whole costs after the step.
    pub cost: Cost,
}

/// Explains what [`simplify`](super::simplify()) does with a graph.
pub fn explain(graph: &Graph, options: &SimplifyOptions) -> Result<Explanation, SimplifyError> {
    verify(graph)?;
    let mut report = Report::default();
    let narrowed = narrow::narrow(graph, options, &mut report);
    let source = &*narrowed.graph;
    let mut steps = Vec::new();
    let passes: Vec<&str> = report.rules.iter().map(|(rule, _)| *rule).collect();
    steps.extend((!passes.is_empty()).then(|| Step::of_all(passes.join(", "), Cost::of_graph(source))));
    if size(source) > options.size {
        return Ok(Explanation { before: Cost::of_graph(graph), after: Cost::of_graph(source), steps });
    }
    let saturation = saturate::saturate(source, options, &mut report)?;
    let roots: Vec<Id> = source.outputs.iter().map(|o| saturation.class(o.value)).collect();
    let extraction = Extraction::new(&saturation, roots.iter().copied());
    let mut replay = Replay::new(&saturation, source, roots);
    let applied = |is_wanted: fn(&Rule) -> bool| {
        let rules = report.rules.iter().filter_map(|(name, _)| RULES.iter().find(|rule| rule.name == *name));
        let rules: Vec<&str> = rules.filter(|rule| is_wanted(rule)).map(|rule| rule.name).collect();
        (!rules.is_empty()).then(|| rules.join(", "))
    };
    let mut costs = Costs::default();
    let originals = saturation.originals.iter();
    let normal = originals.fold(Cost::default(), |sum, enode| sum.plus(costs.of(&saturation, enode)));
    steps.extend(applied(Rule::is_normal_form).map(|rules| Step::of_all(rules, normal)));
    // Values that turned out to be others: their ops are gone.
    let dropped = applied(|rule| !rule.is_normal_form() && rule.name.starts_with("drop-"));
    steps.extend(dropped.map(|rules| Step::of_all(rules, replay.cost())));
    let derivations = saturation.derivations();
    for (class, enode) in extraction.chosen(&extraction.plan(options.nominal)) {
        replay.rewrite(class, enode, &derivations, &mut steps);
    }
    Ok(Explanation { before: Cost::of_graph(graph), after: replay.cost(), steps })
}

impl Step {
    fn of_all(rule: String, cost: Cost) -> Step {
        Step { rule, layer: String::new(), before: None, after: Vec::new(), cost }
    }
}

/// The costs of canonical e-nodes, each computed once.
#[derive(Default)]
struct Costs(HashMap<Enode, Cost>);

impl Costs {
    fn of(&mut self, saturation: &Saturation, enode: &Enode) -> &Cost {
        self.0.entry(enode.clone()).or_insert_with(|| saturation.cost(enode))
    }
}

/// A graph on its way.
struct Replay<'s> {
    saturation: &'s Saturation,
    roots: Vec<Id>,
    /// The e-node that every class has at the moment.
    ops: HashMap<Id, Enode>,
    /// The values that classes are in the text form.
    values: HashMap<Id, ValueId>,
    /// What was shown.
    shown: HashSet<Id>,
    next: u32,
    costs: Costs,
}

impl<'s> Replay<'s> {
    fn new(saturation: &'s Saturation, source: &Graph, roots: Vec<Id>) -> Self {
        let (mut ops, mut values) = (HashMap::new(), HashMap::new());
        for (value, _) in source.values() {
            let (class, enode) = (saturation.class(value), saturation.canonical(&saturation.originals[value.index()]));
            let own = enode.children.contains(&class);
            values.entry(class).or_insert(value);
            if !own {
                ops.entry(class).or_insert(enode);
            }
        }
        for (enode, _) in &saturation.built {
            let enode = saturation.canonical(enode);
            if let Some(class) = saturation.egraph.lookup(enode.clone()) {
                ops.entry(saturation.egraph.find(class)).or_insert(enode);
            }
        }
        let shown = values.keys().copied().collect();
        Replay { saturation, roots, ops, values, shown, next: source.nodes.len() as u32, costs: Costs::default() }
    }

    fn value(&mut self, class: Id) -> ValueId {
        let next = &mut self.next;
        *self.values.entry(class).or_insert_with(|| {
            *next += 1;
            ValueId(*next - 1)
        })
    }

    /// An op in the text form.
    fn text(&mut self, class: Id, enode: &Enode) -> String {
        let find = |value| self.saturation.egraph.find(id_of(value));
        let resolved = self.saturation.resolve(enode);
        let mut names = HashMap::new();
        for read in resolved.reads() {
            names.insert(read, self.value(find(read)));
        }
        let data = &self.saturation.egraph[class].data;
        let node =
            Node { op: resolved.map_reads(|read| names[&read]), ty: (*data.ty).clone(), layer: data.layer.clone() };
        format!("{}: {node}", self.value(class))
    }

    /// What the outputs need costs.
    fn cost(&mut self) -> Cost {
        let (mut seen, mut open, mut cost) = (HashSet::new(), self.roots.clone(), Cost::default());
        while let Some(class) = open.pop() {
            let Some(enode) = self.ops.get(&class).filter(|_| seen.insert(class)) else { continue };
            cost = cost.plus(self.costs.of(self.saturation, enode));
            open.extend(enode.children.iter().map(|child| self.saturation.egraph.find(*child)));
        }
        cost
    }

    /// Replays how an e-node of the result came to be.
    fn rewrite(&mut self, class: Id, chosen: &Enode, derivations: &Derivations<'_>, steps: &mut Vec<Step>) {
        let mut before = match self.ops.get(&class) {
            Some(enode) => enode.clone(),
            None => chosen.clone(),
        };
        for (rule, enode) in derivations.chain(chosen) {
            if enode == before {
                continue;
            }
            let layer = self.saturation.egraph[class].data.layer.to_string();
            let old = self.text(class, &before);
            self.ops.insert(class, enode.clone());
            let mut after = self.made_for(&enode);
            after.push(self.text(class, &enode));
            steps.push(Step { rule: rule.to_owned(), layer, before: Some(old), after, cost: self.cost() });
            before = enode;
        }
        self.ops.insert(class, chosen.clone());
    }

    /// The values that an e-node reads and that were not there before.
    fn made_for(&mut self, enode: &Enode) -> Vec<String> {
        let children: Vec<Id> = enode.children.iter().map(|child| self.saturation.egraph.find(*child)).collect();
        let mut made = Vec::new();
        for child in children {
            let leaf = |op: &Op| matches!(op, Op::Input(_) | Op::Param(_));
            let Some(op) = self.ops.get(&child).cloned().filter(|_| self.shown.insert(child)) else { continue };
            if !leaf(&self.saturation.egraph.analysis.interner.head(&op).op) {
                made.push(self.text(child, &op));
            }
        }
        made
    }
}
