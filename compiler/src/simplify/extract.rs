//! Extraction: one op for every e-class that is needed, cheap as a whole, a shared value counted once.
//!
//! Two plans are improved and the better one is taken: the graph as it was, and the cheapest tree of every class. A plan
//! is improved by moves in a fixed order for as long as they lower its total: another op for one class; none of the
//! readers of a class reads it any more; all classes that can read it do. A move that closes a cycle is none.

#![expect(clippy::indexing_slicing, reason = "e-classes are those of the e-graph that the lists were made for")]

use std::collections::HashMap;

use egg::Id;
use schur_ir::graph::{Graph, Op, ValueId};

use super::Origin;
use super::cost::Cost;
use super::language::{Enode, id_of};
use super::saturate::Saturation;

/// The classes that outputs can reach, without leaves, numbered in order of discovery.
pub(super) struct Extraction<'s> {
    saturation: &'s Saturation,
    ids: Vec<Id>,
    index: HashMap<Id, usize>,
    classes: Vec<Vec<Candidate>>,
    /// For every class those that have an op that reads it and one that does not.
    readers: Vec<Vec<usize>>,
    roots: Vec<usize>,
}

/// An op of a class.
struct Candidate {
    enode: Enode,
    children: Vec<usize>,
    nanoseconds: f64,
    /// Its place in the graph as it was.
    original: Option<usize>,
}

/// The symbolic costs of canonical e-nodes, each computed once for all sizes.
#[derive(Default)]
pub(super) struct Costs(HashMap<Enode, Cost>);

impl Costs {
    pub(super) fn of(&mut self, saturation: &Saturation, enode: &Enode) -> &Cost {
        if !self.0.contains_key(enode) {
            let head = saturation.egraph.analysis.interner.head(enode);
            let types = |place: ValueId| &*saturation.egraph[enode.children[place.index()]].data.ty;
            self.0.insert(enode.clone(), Cost::of(&head.op, &head.ty, types));
        }
        &self.0[enode]
    }
}

/// The candidate that every class takes.
type Plan = Vec<usize>;

/// Decides between plans of equal cost for the one with fewer values.
const PER_VALUE: f64 = 0.5;

/// Rounds of moves.
const MAX_ROUNDS: usize = 8;

impl<'s> Extraction<'s> {
    pub(super) fn new(
        saturation: &'s Saturation,
        roots: impl Iterator<Item = Id>,
        nominal: usize,
        costs: &mut Costs,
    ) -> Self {
        let originals = saturation.originals.iter().enumerate().rev();
        let originals: HashMap<Enode, usize> = originals.map(|(k, e)| (saturation.canonical(e), k)).collect();
        let (ids, index, classes) = Default::default();
        let mut this = Extraction { saturation, ids, index, classes, readers: Vec::new(), roots: Vec::new() };
        this.roots = roots.filter_map(|id| this.number(id)).collect();
        let mut at = 0;
        while let Some(&id) = this.ids.get(at) {
            let nodes = saturation.egraph[id].nodes.iter().map(|n| saturation.canonical(n));
            let mut candidates: Vec<Candidate> = nodes
                .map(|enode| Candidate {
                    children: enode.children.iter().filter_map(|c| this.number(*c)).collect(),
                    nanoseconds: PER_VALUE + costs.of(saturation, &enode).nanoseconds(nominal),
                    original: originals.get(&enode).copied(),
                    enode,
                })
                .filter(|c| !c.children.contains(&at))
                .collect();
            candidates.sort_by_key(|c| c.original.unwrap_or(usize::MAX));
            drop_dominated(&mut candidates);
            this.classes.push(candidates);
            at += 1;
        }
        this.find_readers();
        this
    }

    /// Fills in the classes that can choose whether to read a class.
    fn find_readers(&mut self) {
        self.readers = vec![Vec::new(); self.classes.len()];
        for (class, candidates) in self.classes.iter().enumerate().filter(|(_, c)| c.len() > 1) {
            for of in candidates.iter().flat_map(|c| &c.children) {
                let reads = candidates.iter().filter(|c| c.children.contains(of)).count();
                if reads < candidates.len() && self.readers[*of].last() != Some(&class) {
                    self.readers[*of].push(class);
                }
            }
        }
    }

    /// The number of a class; none for leaves, which cost nothing and are always there.
    fn number(&mut self, id: Id) -> Option<usize> {
        let Saturation { egraph, .. } = self.saturation;
        let id = egraph.find(id);
        let leaf = |op: &Op| matches!(op, Op::Input(_) | Op::Param(_));
        if egraph[id].leaves().any(|enode| leaf(&egraph.analysis.interner.head(enode).op)) {
            return None;
        }
        Some(*self.index.entry(id).or_insert_with(|| {
            self.ids.push(id);
            self.ids.len() - 1
        }))
    }

    /// The best plan that is found.
    pub(super) fn plan(&self) -> Plan {
        let plans = [vec![0; self.classes.len()], self.cheapest_trees()].map(|plan| self.improve(plan));
        let [(a, cost_a), (b, cost_b)] = plans;
        if cost_b < cost_a { b } else { a }
    }

    /// For every class the op whose tree is cheapest, shared values counted at every use.
    fn cheapest_trees(&self) -> Plan {
        let mut best = vec![(f64::INFINITY, 0); self.classes.len()];
        loop {
            let mut changed = false;
            for (class, candidates) in self.classes.iter().enumerate().rev() {
                for (k, candidate) in candidates.iter().enumerate() {
                    // A tree costs more than its parts, so that the choices close no cycle.
                    let parts: f64 = candidate.children.iter().map(|c| best[*c].0).sum();
                    let total = parts + candidate.nanoseconds + 1e-6;
                    if total < best[class].0 {
                        best[class] = (total, k);
                        changed = true;
                    }
                }
            }
            if !changed {
                return best.into_iter().map(|(_, k)| k).collect();
            }
        }
    }

    fn improve(&self, plan: Plan) -> (Plan, f64) {
        let mut tally = Tally::default();
        if tally.total(self, &plan).is_none() {
            return (plan, f64::INFINITY);
        }
        let mut state = State::new(self, plan);
        for _ in 0..MAX_ROUNDS {
            let before = state.total;
            for change in (0..self.classes.len()).flat_map(|class| self.moves(class)) {
                let changes = change.of(self, &state);
                let best = state.total;
                let undo: Vec<(usize, usize)> = changes.iter().map(|(class, _)| (*class, state.plan[*class])).collect();
                changes.iter().for_each(|(class, k)| state.take(*class, *k));
                let better = state.total < best - 1e-9 * best;
                if !better || tally.total(self, &state.plan).is_none() {
                    undo.iter().rev().for_each(|(class, k)| state.take(*class, *k));
                    state.total = best;
                }
            }
            if state.total == before {
                break;
            }
        }
        (state.plan, state.total)
    }

    fn moves(&self, class: usize) -> impl Iterator<Item = Move> {
        let others = (0..self.classes[class].len()).map(move |k| Move::Take(class, k));
        let choice = !self.readers[class].is_empty();
        others.chain(choice.then_some(Move::Evict(class))).chain(choice.then_some(Move::Adopt(class)))
    }
}

/// Drops, but for the first, what reads all that a cheaper op reads: no plan is better for it.
fn drop_dominated(candidates: &mut Vec<Candidate>) {
    let beats = |a: &Candidate, b: &Candidate| {
        a.nanoseconds <= b.nanoseconds && a.children.iter().all(|c| b.children.contains(c))
    };
    let mut k = 1;
    while k < candidates.len() {
        let beaten = (0..candidates.len()).any(|j| {
            let (a, b) = (&candidates[j], &candidates[k]);
            j != k && beats(a, b) && (j < k || !beats(b, a))
        });
        if beaten {
            candidates.remove(k);
        } else {
            k += 1;
        }
    }
}

/// A plan with how often each class is read by those that are needed, and what these cost together.
struct State<'e> {
    extraction: &'e Extraction<'e>,
    plan: Plan,
    readers: Vec<usize>,
    total: f64,
}

impl<'e> State<'e> {
    fn new(extraction: &'e Extraction<'e>, plan: Plan) -> Self {
        let mut state = State { extraction, readers: vec![0; plan.len()], plan, total: 0.0 };
        state.acquire(&extraction.roots);
        state
    }

    fn is_used(&self, class: usize) -> bool {
        self.readers[class] > 0
    }

    fn candidate(&self, class: usize) -> &'e Candidate {
        &self.extraction.classes[class][self.plan[class]]
    }

    /// A class takes another op.
    fn take(&mut self, class: usize, k: usize) {
        let old = self.candidate(class);
        self.plan[class] = k;
        if self.is_used(class) {
            let new = self.candidate(class);
            self.total += new.nanoseconds - old.nanoseconds;
            self.acquire(&new.children);
            self.release(&old.children);
        }
    }

    fn acquire(&mut self, classes: &'e [usize]) {
        let mut open: Vec<&[usize]> = vec![classes];
        while let Some(classes) = open.pop() {
            for class in classes {
                self.readers[*class] += 1;
                if self.readers[*class] == 1 {
                    self.total += self.candidate(*class).nanoseconds;
                    open.push(&self.candidate(*class).children);
                }
            }
        }
    }

    fn release(&mut self, classes: &'e [usize]) {
        let mut open: Vec<&[usize]> = vec![classes];
        while let Some(classes) = open.pop() {
            for class in classes {
                self.readers[*class] -= 1;
                if self.readers[*class] == 0 {
                    self.total -= self.candidate(*class).nanoseconds;
                    open.push(&self.candidate(*class).children);
                }
            }
        }
    }
}

/// What a plan needs.
#[derive(Default)]
struct Tally {
    marks: Vec<Mark>,
    stack: Vec<(usize, usize)>,
    /// The classes that are needed, operands before their readers.
    used: Vec<usize>,
}

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    New,
    Open,
    Done,
}

impl Tally {
    /// The cost of what the outputs need; `None` where the plan has a cycle.
    fn total(&mut self, extraction: &Extraction<'_>, plan: &Plan) -> Option<f64> {
        self.marks.clear();
        self.marks.resize(plan.len(), Mark::New);
        self.used.clear();
        self.stack.clear();
        let mut total = 0.0;
        for root in &extraction.roots {
            self.stack.push((*root, 0));
            while let Some((class, next)) = self.stack.pop() {
                let candidate = &extraction.classes[class][plan[class]];
                if next == 0 {
                    match self.marks[class] {
                        Mark::New => self.marks[class] = Mark::Open,
                        Mark::Open => return None,
                        Mark::Done => continue,
                    }
                }
                if let Some(child) = candidate.children.get(next) {
                    self.stack.extend([(class, next + 1), (*child, 0)]);
                } else {
                    self.marks[class] = Mark::Done;
                    self.used.push(class);
                    total += candidate.nanoseconds;
                }
            }
        }
        Some(total)
    }
}

/// A change of a plan.
enum Move {
    /// A class takes another op.
    Take(usize, usize),
    /// Every class that reads this one takes its cheapest op that does not.
    Evict(usize),
    /// Every class that can read this one takes its cheapest op that does.
    Adopt(usize),
}

impl Move {
    fn of(&self, extraction: &Extraction<'_>, state: &State<'_>) -> Vec<(usize, usize)> {
        let plan = &state.plan;
        let switch = |of: usize, read: bool| {
            let readers = extraction.readers[of].iter().filter(|class| state.is_used(**class));
            let turned = readers.filter_map(|&class| {
                let candidates = &extraction.classes[class];
                let fits = |c: &Candidate| c.children.contains(&of) == read;
                if fits(&candidates[plan[class]]) {
                    return None;
                }
                let fit = candidates.iter().enumerate().filter(|(_, c)| fits(c));
                fit.min_by(|a, b| a.1.nanoseconds.total_cmp(&b.1.nanoseconds)).map(|(k, _)| (class, k))
            });
            turned.collect()
        };
        match *self {
            Move::Take(class, k) if plan[class] != k && state.is_used(class) => vec![(class, k)],
            Move::Take(..) => Vec::new(),
            Move::Evict(class) => switch(class, false),
            Move::Adopt(class) => switch(class, true),
        }
    }
}

impl Extraction<'_> {
    /// The classes that the best plan needs, operands first, and the e-nodes they take.
    pub(super) fn chosen(&self) -> Vec<(Id, Enode)> {
        let (plan, mut tally) = (self.plan(), Tally::default());
        tally.total(self, &plan);
        tally.used.iter().map(|&class| (self.ids[class], self.classes[class][plan[class]].enode.clone())).collect()
    }

    /// The graph of a plan: all leaves of the graph as it was, in order, then what the outputs need; and where its values
    /// come from.
    pub(super) fn graph(&self, plan: &Plan, source: &Graph) -> (Graph, Vec<Origin>) {
        let Graph { name, outputs, requirements, .. } = source;
        let (name, outputs, requirements) = (name.clone(), outputs.clone(), requirements.clone());
        let mut out = Graph { name, outputs, requirements, nodes: Vec::with_capacity(source.nodes.len()) };
        let mut values: HashMap<Id, ValueId> = HashMap::new();
        let mut origins = Vec::with_capacity(source.nodes.len());
        for (at, node) in source.values() {
            if matches!(node.op, Op::Input(_) | Op::Param(_)) {
                let value = out.push(node.op.clone(), node.ty.clone(), &node.layer);
                values.insert(self.saturation.class(at), value);
                origins.push(Origin { sources: vec![at], rules: Vec::new() });
            }
        }
        let derivations = self.saturation.derivations();
        let mut equal: HashMap<Id, Vec<ValueId>> = HashMap::new();
        source.values().for_each(|(value, _)| equal.entry(self.saturation.class(value)).or_default().push(value));
        let mut tally = Tally::default();
        let acyclic = tally.total(self, plan);
        debug_assert!(acyclic.is_some());
        for class in tally.used {
            let enode = &self.classes[class][plan[class]].enode;
            let sources = equal.get(&self.ids[class]).cloned().unwrap_or_default();
            origins.push(Origin { sources, rules: derivations.rules(enode) });
            let op = self.saturation.resolve(enode);
            let op = op.map_reads(|v| values[&self.saturation.egraph.find(id_of(v))]);
            let data = &self.saturation.egraph[self.ids[class]].data;
            values.insert(self.ids[class], out.push(op, (*data.ty).clone(), &data.layer));
        }
        for output in &mut out.outputs {
            output.value = values[&self.saturation.class(output.value)];
        }
        (out, origins)
    }
}
