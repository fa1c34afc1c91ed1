//! Equality saturation: fills the e-graph with what the rules find.
//!
//! Classes are visited in order of their ids, and the graph is added operands first, so that a reader meets operands
//! that are already rewritten; a pass over all classes is an iteration. Everything that is iterated over is ordered,
//! and only counts end the run, so that one graph gives one e-graph everywhere. egg's own scheduler is not used: it
//! matches patterns of e-nodes, and these rules look into the paths of two e-nodes at once.

#![expect(clippy::indexing_slicing, reason = "e-classes are those of the e-graph that the lists were made for")]

mod normal;
mod sites;

use std::cell::Cell;
use std::sync::Arc;

use egg::{EGraph, Id, Language};
use indexmap::IndexMap;
use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};
use schur_ir::graph::{Graph, Op, ValueId};
use schur_ir::ty::Type;

use super::analysis::Types;
use super::cost::Cost;
use super::language::{Enode, id_of, value_of};
use super::rules::{BUILT, Built, Found, RULES, Rule};
use super::written::Indexed;
use super::{Report, SimplifyError, SimplifyOptions, Stop};
use normal::is_sound;

/// The e-graph of a graph with all that the rules find.
pub(super) fn saturate(
    graph: &Graph,
    options: &SimplifyOptions,
    report: &mut Report,
) -> Result<Saturation, SimplifyError> {
    let chosen = |rule: &&'static Rule| rule.is_normal_form() || options.rules.iter().any(|r| r.name == rule.name);
    let mut saturation = Saturation::new(graph, RULES.into_iter().filter(chosen).collect());
    saturation.run(options, report);
    match saturation.egraph.analysis.clash.take() {
        Some((a, b)) => Err(SimplifyError::UnequalTypes(a, b)),
        None => Ok(saturation),
    }
}

/// A path of an op that is found takes about as long as so many of ops that a rule tries.
const TRIES: usize = 24;

/// The parts of an expression that take as long as a path.
const PARTS: usize = 4;

/// What an op that is found takes beside its paths, as paths.
const PER_OP: usize = 3;

/// The e-graph of a graph.
pub(super) struct Saturation {
    pub(super) egraph: EGraph<Enode, Types>,
    /// The e-class of every value of the graph.
    classes: Vec<Id>,
    /// The e-node of every value of the graph.
    pub(super) originals: Vec<Enode>,
    /// How rules made an e-node.
    pub(super) made_by: IndexMap<Enode, Made, FxBuildHasher>,
    /// The e-nodes of values that rules made for others to read, oldest first, with the rules.
    pub(super) built: Vec<(Enode, &'static str)>,
    rules: Vec<&'static Rule>,
    counts: Vec<usize>,
    /// The paths of the graph and of all ops that were found.
    paths: usize,
    /// The paths of all ops that rules looked at.
    tried: Cell<usize>,
    /// How many e-nodes a class may have before they are not rewritten any more, and whether one has more.
    most_ops: usize,
    full: bool,
    /// The rules of normal form that an op went through before it became an e-node.
    pub(super) normalised_by: FxHashMap<Enode, Vec<&'static str>>,
    /// The resolved ops of e-nodes, and whether they are known to be normal.
    ops: FxHashMap<Enode, (Arc<Indexed>, bool)>,
    /// How many e-nodes the children of an e-node had when the rules last looked at it.
    seen: FxHashMap<Enode, usize>,
    /// The e-nodes where a rule that is applied once found something.
    done: FxHashSet<(usize, Enode)>,
}

/// How a rule made an e-node.
pub(super) struct Made {
    pub(super) rule: &'static str,
    /// The e-node that was rewritten.
    pub(super) from: Enode,
}

impl Saturation {
    /// The e-graph that holds `graph` in normal form.
    fn new(graph: &Graph, rules: Vec<&'static Rule>) -> Self {
        let types = Types { interner: Default::default(), layer: Arc::from(""), packing: false, clash: None };
        let mut this = Saturation {
            egraph: EGraph::new(types),
            classes: Vec::with_capacity(graph.nodes.len()),
            originals: Vec::with_capacity(graph.nodes.len()),
            made_by: IndexMap::default(),
            built: Vec::new(),
            counts: vec![0; rules.len()],
            paths: 0,
            tried: Cell::new(0),
            most_ops: usize::MAX,
            full: false,
            rules,
            normalised_by: FxHashMap::default(),
            ops: FxHashMap::default(),
            seen: FxHashMap::default(),
            done: FxHashSet::default(),
        };
        let mut types: FxHashSet<Arc<Type>> = FxHashSet::default();
        for node in &graph.nodes {
            this.egraph.analysis.layer = node.layer.clone();
            let op = node.op.map_reads(|value| value_of(this.classes[value.index()]));
            let ty = types.get(&node.ty).cloned().unwrap_or_else(|| Arc::new(node.ty.clone()));
            types.insert(ty.clone());
            let (class, enode) = this.add(op, &ty);
            this.classes.push(class);
            this.originals.push(enode);
        }
        for output in &graph.outputs {
            this.egraph[this.classes[output.value.index()]].data.returned = true;
        }
        this
    }

    /// Runs the rules until they find nothing new or a limit is met.
    fn run(&mut self, options: &SimplifyOptions, report: &mut Report) {
        report.stop = Stop::Iterations;
        let limit = self.egraph.total_size().saturating_add(options.nodes);
        self.most_ops = options.ops;
        for _ in 0..options.iterations {
            report.iterations += 1;
            let changed = self.pass(limit, options.paths);
            self.egraph.rebuild();
            if self.egraph.total_size() > limit {
                report.stop = Stop::Nodes;
                break;
            }
            if self.has_more_paths(options.paths) {
                report.stop = Stop::Paths;
                break;
            }
            if !changed {
                report.stop = if self.full { Stop::Ops } else { Stop::Saturated };
                break;
            }
        }
        // What is known for the rules is not needed any more.
        (self.ops, self.seen, self.done) = Default::default();
        report.e_nodes = self.egraph.total_number_of_nodes();
        report.e_classes = self.egraph.number_of_classes();
        let counts = self.rules.iter().zip(&self.counts);
        report.rules.extend(counts.filter(|(_, n)| **n > 0).map(|(rule, n)| (rule.name, *n)));
    }

    /// The e-class of a value of the graph.
    pub(super) fn class(&self, value: ValueId) -> Id {
        self.egraph.find(self.classes[value.index()])
    }

    /// The op of an e-node; its reads are e-classes.
    pub(super) fn resolve(&self, enode: &Enode) -> Op {
        self.egraph.analysis.interner.resolve(enode)
    }

    /// What a canonical e-node costs.
    pub(super) fn cost(&self, enode: &Enode) -> Cost {
        let head = self.egraph.analysis.interner.head(enode);
        Cost::of(&head.op, &head.ty, |place| &*self.egraph[enode.children[place.index()]].data.ty)
    }

    /// An e-node with the ids of its children as they are now.
    pub(super) fn canonical(&self, enode: &Enode) -> Enode {
        enode.clone().map_children(|id| self.egraph.find(id))
    }

    /// True where rules found and tried more than they may.
    fn has_more_paths(&self, than: usize) -> bool {
        self.paths + self.tried.get() / TRIES > than
    }

    fn pass(&mut self, nodes: usize, paths: usize) -> bool {
        let mut changed = false;
        let mut ids: Vec<Id> = self.egraph.classes().map(|c| c.id).collect();
        ids.sort_unstable();
        for id in ids {
            let mut k = 0;
            loop {
                let class = self.egraph.find(id);
                let Some(enode) = self.egraph[class].nodes.get(k).cloned() else { break };
                changed |= self.visit(class, &enode);
                k += 1;
                if self.egraph.total_size() > nodes || self.has_more_paths(paths) {
                    return true;
                }
            }
        }
        changed
    }

    /// Applies every rewriting rule to an e-node, unless nothing it sees is new.
    fn visit(&mut self, class: Id, enode: &Enode) -> bool {
        let enode = self.canonical(enode);
        // An op that reads its own value, such as x = x + 0, is no way to make it: what it can be rewritten to neither.
        if enode.children.contains(&class) {
            return false;
        }
        if self.egraph[class].len() > self.most_ops {
            self.full = true;
            return false;
        }
        let children: usize = enode.children.iter().map(|c| self.egraph[*c].len()).sum();
        if self.seen.insert(enode.clone(), children) == Some(children) {
            return false;
        }
        let op = self.resolved(&enode);
        let ty = self.egraph[class].data.ty.clone();
        let inner = self.inner(class, &enode);
        let found = self.matches(class, &enode, &op.op, &ty, &inner);
        let mut changed = self.normal_again(class, &enode, &ty);
        for (rule, found) in found {
            changed |= self.apply(class, &enode, &ty, rule, found);
        }
        changed
    }

    fn apply(&mut self, class: Id, from: &Enode, ty: &Arc<Type>, rule: usize, found: Found) -> bool {
        let fits = match &found {
            Found::Op(op) => is_sound(op, ty),
            Found::Built(built) => is_sound(&built.value, &built.ty) && is_sound(&built.op, ty),
            Found::Same(_) => true,
        };
        if !fits {
            return false;
        }
        self.egraph.analysis.layer = self.egraph[self.egraph.find(class)].data.layer.clone();
        self.paths += PER_OP;
        let id = match found {
            Found::Op(op) => self.rewritten(class, from, op, ty, rule),
            Found::Built(built) => {
                let Built { value, ty: of, op, packed } = *built;
                self.egraph.analysis.packing = packed;
                let (built, enode) = self.add(value, &Arc::new(of));
                self.egraph.analysis.packing = false;
                self.built.push((enode, self.rules[rule].name));
                let op = op.map_reads(|read| if read == BUILT { value_of(built) } else { read });
                self.rewritten(class, from, op, ty, rule)
            }
            Found::Same(value) => id_of(value),
        };
        let changed = self.egraph.union_trusted(class, id, self.rules[rule].name);
        self.counts[rule] += usize::from(changed);
        changed
    }

    /// Adds another op of a class, without making them equal.
    fn rewritten(&mut self, class: Id, from: &Enode, op: Op, ty: &Arc<Type>, rule: usize) -> Id {
        let (id, enode) = self.add(op, ty);
        if self.egraph.find(id) != self.egraph.find(class) {
            let made = Made { rule: self.rules[rule].name, from: from.clone() };
            self.made_by.entry(enode).or_insert(made);
        }
        id
    }
}
