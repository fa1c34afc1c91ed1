//! The cheapest tree of every class: an op, with the cheapest trees of all that it reads, shared values counted at every use.

#![expect(clippy::indexing_slicing, reason = "classes are numbered by the extraction that the lists are made for")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::candidates::{Candidate, Plan};

/// Every op costs more than nothing: a tree then costs more than its parts, and the choices close no cycle.
const EACH: f64 = 1e-6;

/// A tree of a class.
#[derive(Clone, Copy)]
struct Tree {
    nanoseconds: f64,
    /// How often, on a way down the tree, a class reads one that was found before it.
    descents: usize,
    op: usize,
}

impl Tree {
    /// True where it costs less; of equal ones that with fewer descents is first, then the first op.
    fn is_before(&self, other: &Tree) -> bool {
        let order = self.nanoseconds.total_cmp(&other.nanoseconds);
        order.then(self.descents.cmp(&other.descents)).then(self.op.cmp(&other.op)).is_lt()
    }
}

/// The ops of the cheapest trees. In rounds through all classes, in the given order, those are looked at of which a part
/// became cheaper since they were: one round is enough where `order` has what a class reads before it.
pub(super) fn cheapest_trees(classes: &[Vec<Candidate<'_>>], order: &[usize], readers: &[Vec<usize>]) -> Plan {
    let mut rank = vec![0; order.len()];
    order.iter().enumerate().for_each(|(k, class)| rank[*class] = k);
    let mut best = vec![Tree { nanoseconds: f64::INFINITY, descents: 0, op: 0 }; order.len()];
    let mut stale = vec![true; order.len()];
    let mut round: BinaryHeap<Reverse<usize>> = (0..order.len()).map(Reverse).collect();
    while !round.is_empty() {
        let mut next = BinaryHeap::new();
        while let Some(Reverse(at)) = round.pop() {
            let class = order[at];
            stale[class] = false;
            let tree = cheapest_tree(class, &classes[class], &best);
            if !tree.is_before(&best[class]) {
                continue;
            }
            best[class] = tree;
            for &reader in &readers[class] {
                if !std::mem::replace(&mut stale[reader], true) {
                    let later = if rank[reader] > at { &mut round } else { &mut next };
                    later.push(Reverse(rank[reader]));
                }
            }
        }
        round = next;
    }
    best.into_iter().map(|tree| tree.op).collect()
}

/// The first tree of a class, of those that are known.
fn cheapest_tree(class: usize, ops: &[Candidate<'_>], known: &[Tree]) -> Tree {
    let mut best = known[class];
    for (op, candidate) in ops.iter().enumerate() {
        let parts: f64 = candidate.children.iter().map(|c| known[*c].nanoseconds).sum();
        let descents = candidate.children.iter().map(|c| known[*c].descents + usize::from(*c < class)).max();
        let nanoseconds = parts + candidate.nanoseconds + EACH;
        let tree = Tree { nanoseconds, descents: descents.unwrap_or_default(), op };
        if tree.is_before(&best) {
            best = tree;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::cycles::{Cycles, readers};
    use super::*;

    /// What the cheapest tree of every class costs where some ops may be taken, by rounds through all classes until nothing
    /// changes; infinite where there is none.
    fn costs(classes: &[Vec<Candidate<'_>>], may_be_taken: impl Fn(usize, usize) -> bool) -> Vec<f64> {
        let mut best = vec![f64::INFINITY; classes.len()];
        loop {
            let before = best.clone();
            for (class, ops) in classes.iter().enumerate() {
                for (_, candidate) in ops.iter().enumerate().filter(|(op, _)| may_be_taken(class, *op)) {
                    let parts: f64 = candidate.children.iter().map(|c| best[*c]).sum();
                    best[class] = best[class].min(parts + candidate.nanoseconds + EACH);
                }
            }
            if best == before {
                return best;
            }
        }
    }

    /// For every class its ops, each with the classes that it reads and its cost.
    type Web = Vec<Vec<(Vec<usize>, f64)>>;

    fn candidates(ops: &[(Vec<usize>, f64)]) -> Vec<Candidate<'_>> {
        let all = ops.iter().enumerate();
        all.map(|(choice, (children, cost))| Candidate { choice, children, nanoseconds: *cost }).collect()
    }

    fn webs() -> impl Strategy<Value = Web> {
        (1usize..30).prop_flat_map(|count| {
            let op = (prop::collection::vec(0..count, 0..4), prop_oneof![Just(1.0), Just(2.0)]);
            prop::collection::vec(prop::collection::vec(op, 1..5), count)
        })
    }

    proptest! {
        #[test]
        fn no_tree_is_cheaper(mut web in webs()) {
            for (class, ops) in web.iter_mut().enumerate() {
                ops.iter_mut().for_each(|(children, _)| children.retain(|child| *child != class));
            }
            let classes: Vec<Vec<Candidate<'_>>> = web.iter().map(|ops| candidates(ops)).collect();
            let children: Vec<Vec<usize>> =
                web.iter().map(|ops| ops.iter().flat_map(|(children, _)| children).copied().collect()).collect();
            let readers = readers(&children);
            let plan = cheapest_trees(&classes, &Cycles::new(&children, &readers).order, &readers);
            for (found, least) in costs(&classes, |class, op| plan[class] == op).iter().zip(costs(&classes, |_, _| true)) {
                prop_assert!(*found == least || *found <= least * (1.0 + 1e-12), "{} where {} is least", found, least);
            }
        }
    }
}
