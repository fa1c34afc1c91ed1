//! By which rules an op came to be: from the op of the graph as it was, rewrite by rewrite.

use rustc_hash::{FxHashMap, FxHashSet};

use super::language::Enode;
use super::saturate::Saturation;

/// How every e-node was made; e-nodes have the ids of their children as they are at the end.
pub(super) struct Derivations<'s> {
    originals: FxHashSet<Enode>,
    steps: FxHashMap<Enode, Step<'s>>,
    normalised_by: FxHashMap<Enode, &'s [&'static str]>,
}

/// The last rewrite that made an e-node.
struct Step<'s> {
    rule: &'static str,
    /// The e-node that was rewritten; none where the rule made a value for another one to read.
    from: Option<Enode>,
    normalised_by: &'s [&'static str],
}

impl Saturation {
    /// How every e-node was made.
    pub(super) fn derivations(&self) -> Derivations<'_> {
        let normal = |enode: &Enode| self.normalised_by.get(enode).map_or(&[][..], Vec::as_slice);
        let originals = self.originals.iter();
        let mut derivations = Derivations {
            originals: originals.clone().map(|enode| self.canonical(enode)).collect(),
            steps: FxHashMap::default(),
            normalised_by: originals.map(|enode| (self.canonical(enode), normal(enode))).collect(),
        };
        let made = self.made_by.iter().map(|(enode, made)| (enode, made.rule, Some(self.canonical(&made.from))));
        let built = self.built.iter().map(|(enode, rule)| (enode, *rule, None));
        for (enode, rule, from) in made.chain(built) {
            let step = Step { rule, from, normalised_by: normal(enode) };
            derivations.steps.entry(self.canonical(enode)).or_insert(step);
        }
        derivations
    }
}

impl Derivations<'_> {
    /// The rules that made a canonical e-node, in the order they were applied, each once.
    pub(super) fn rules(&self, enode: &Enode) -> Vec<&'static str> {
        let (mut steps, mut seen, mut at) = (Vec::new(), FxHashSet::default(), Some(enode));
        while let Some(enode) = at.filter(|enode| !self.originals.contains(*enode) && seen.insert(*enode)) {
            let Some(step) = self.steps.get(enode) else { break };
            steps.push(step);
            at = step.from.as_ref();
        }
        let first = at.and_then(|enode| self.normalised_by.get(enode)).copied().unwrap_or_default();
        let later = steps.iter().rev().flat_map(|step| std::iter::once(&step.rule).chain(step.normalised_by));
        let mut rules: Vec<&'static str> = Vec::new();
        for rule in first.iter().chain(later) {
            if !rules.contains(rule) {
                rules.push(rule);
            }
        }
        rules
    }

    /// The rewrites that made a canonical e-node, each with what it made, from the op of the graph on.
    pub(super) fn chain(&self, enode: &Enode) -> Vec<(&'static str, Enode)> {
        let (mut chain, mut seen, mut at) = (Vec::new(), FxHashSet::default(), Some(enode));
        while let Some(enode) = at.filter(|enode| !self.originals.contains(*enode) && seen.insert(*enode)) {
            let Some(step) = self.steps.get(enode).filter(|step| step.from.is_some()) else { break };
            chain.push((step.rule, enode.clone()));
            at = step.from.as_ref();
        }
        chain.reverse();
        chain
    }
}
