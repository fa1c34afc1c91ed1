//! The cheapest tree of every class: an op, with the cheapest trees of all that it reads, shared values counted at every use.

#![expect(clippy::indexing_slicing, reason = "classes are numbered by the extraction that the lists are made for")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::candidates::{Candidate, Plan};

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
        // A tree costs more than its parts, so that the choices close no cycle.
        let nanoseconds = parts + candidate.nanoseconds + 1e-6;
        let tree = Tree { nanoseconds, descents: descents.unwrap_or_default(), op };
        if tree.is_before(&best) {
            best = tree;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::super::cycles::{Cycles, readers};
    use super::*;

    /// The same by rounds through all classes, the last one first, until nothing changes.
    fn by_rounds(classes: &[Vec<Candidate<'_>>]) -> Plan {
        let mut best = vec![(f64::INFINITY, 0); classes.len()];
        loop {
            let before = best.clone();
            for (class, ops) in classes.iter().enumerate().rev() {
                for (op, candidate) in ops.iter().enumerate() {
                    let parts: f64 = candidate.children.iter().map(|c| best[*c].0).sum();
                    let total = parts + candidate.nanoseconds + 1e-6;
                    if total < best[class].0 {
                        best[class] = (total, op);
                    }
                }
            }
            if best == before {
                return best.into_iter().map(|(_, op)| op).collect();
            }
        }
    }

    fn candidates(ops: &[(Vec<usize>, f64)]) -> Vec<Candidate<'_>> {
        let all = ops.iter().enumerate();
        all.map(|(choice, (children, cost))| Candidate { choice, children, nanoseconds: *cost }).collect()
    }

    #[test]
    fn trees_are_those_that_rounds_find_first() {
        let mut seed = 1u64;
        let mut random = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % below
        };
        for _ in 0..300 {
            let count = 1 + random(30);
            let mut op = |class: usize| {
                let children: Vec<usize> = (0..random(4)).map(|_| random(count)).filter(|c| *c != class).collect();
                (children, [1.0, 2.0][random(2)])
            };
            let ops: Vec<Vec<_>> = (0..count).map(|class| (0..1 + class % 4).map(|_| op(class)).collect()).collect();
            let classes: Vec<Vec<Candidate<'_>>> = ops.iter().map(|ops| candidates(ops)).collect();
            let children: Vec<Vec<usize>> =
                ops.iter().map(|ops| ops.iter().flat_map(|(children, _)| children).copied().collect()).collect();
            let readers = readers(&children);
            let order = Cycles::new(&children, &readers).order;
            assert_eq!(cheapest_trees(&classes, &order, &readers), by_rounds(&classes));
        }
    }
}
