//! By which rules an op came to be: from the op of the graph as it was, rewrite by rewrite.

use std::collections::{HashMap, HashSet};

use super::language::Enode;
use super::saturate::Saturation;

/// How every e-node was made; e-nodes have the ids of their children as they are at the end.
pub(super) struct Derivations<'s> {
    originals: HashSet<Enode>,
    steps: HashMap<Enode, Step<'s>>,
    normalised_by: HashMap<Enode, &'s [&'static str]>,
}

/// The last rewrite that made an e-node.
struct Step<'s> {
    rule: &'static str,
    from: Enode,
    normalised_by: &'s [&'static str],
}

impl Saturation {
    /// How every e-node was made.
    pub(super) fn derivations(&self) -> Derivations<'_> {
        let normal = |enode: &Enode| self.normalised_by.get(enode).map_or(&[][..], Vec::as_slice);
        let originals = self.originals.iter();
        let mut derivations = Derivations {
            originals: originals.clone().map(|enode| self.canonical(enode)).collect(),
            steps: HashMap::new(),
            normalised_by: originals.map(|enode| (self.canonical(enode), normal(enode))).collect(),
        };
        for (enode, made) in &self.made_by {
            let step = Step { rule: made.rule, from: self.canonical(&made.from), normalised_by: normal(enode) };
            derivations.steps.entry(self.canonical(enode)).or_insert(step);
        }
        derivations
    }
}

impl Derivations<'_> {
    /// The rules that made a canonical e-node, in the order they were applied, each once.
    pub(super) fn rules(&self, enode: &Enode) -> Vec<&'static str> {
        let (mut steps, mut seen, mut at) = (Vec::new(), HashSet::new(), enode);
        while let Some(step) = self.steps.get(at).filter(|_| !self.originals.contains(at)) {
            if !seen.insert(at) {
                break;
            }
            steps.push(step);
            at = &step.from;
        }
        let first = self.normalised_by.get(at).copied().unwrap_or_default();
        let later = steps.iter().rev().flat_map(|step| std::iter::once(&step.rule).chain(step.normalised_by));
        let mut rules: Vec<&'static str> = Vec::new();
        for rule in first.iter().chain(later) {
            if !rules.contains(rule) {
                rules.push(rule);
            }
        }
        rules
    }
}
