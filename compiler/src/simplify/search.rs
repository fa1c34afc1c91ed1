//! The search for the ops that cost least together, where every symbol has one size.
//!
//! Two plans are improved and the better one is taken: the graph as it was, and the cheapest tree of every class. A plan
//! is improved by moves in a fixed order for as long as they lower its total: another op for one class; none of the
//! readers of a class reads it any more; all classes that can read it do. A move that closes a cycle is none.

#![expect(clippy::indexing_slicing, reason = "classes and their choices are numbered by the extraction")]

use rustc_hash::FxHashMap;

use super::candidates::{Candidate, Plan, drop_dominated};
use super::cost::Cost;
use super::cycles::{Cycles, readers};
use super::trees::cheapest_trees;

/// The search for a plan at one size of all symbols.
pub(super) struct Search<'e> {
    classes: Vec<Vec<Candidate<'e>>>,
    /// For every class those that have an op that reads it and one that does not.
    readers: Vec<Vec<usize>>,
    roots: &'e [usize],
}

/// Decides between plans of equal cost for the one with fewer values.
const PER_VALUE: f64 = 0.5;

/// A move is looked at for the first time when so many classes were acquired: long chains are given up before their end.
const FIRST_LOOK: usize = 32;

/// Rounds of moves.
const MAX_ROUNDS: usize = 8;

impl<'e> Search<'e> {
    /// For every class its choices: the classes that each reads, and what it costs; and the classes that are wanted.
    pub(super) fn new<C: Iterator<Item = (&'e [usize], &'e Cost)>>(
        classes: impl Iterator<Item = C>,
        roots: &'e [usize],
        nominal: usize,
    ) -> Self {
        let candidates = |choices: C| {
            let candidate = |(choice, (children, cost)): (usize, (&'e [usize], &Cost))| Candidate {
                choice,
                children,
                nanoseconds: PER_VALUE + cost.nanoseconds(nominal),
            };
            let mut candidates = choices.enumerate().map(candidate).collect();
            drop_dominated(&mut candidates);
            candidates
        };
        let mut this = Search { classes: classes.map(candidates).collect(), readers: Vec::new(), roots };
        this.find_readers();
        this
    }

    /// Fills in the classes that can choose whether to read a class.
    fn find_readers(&mut self) {
        self.readers = vec![Vec::new(); self.classes.len()];
        for (class, candidates) in self.classes.iter().enumerate().filter(|(_, c)| c.len() > 1) {
            for of in candidates.iter().flat_map(|c| c.children) {
                let reads = candidates.iter().filter(|c| c.children.contains(of)).count();
                if reads < candidates.len() && self.readers[*of].last() != Some(&class) {
                    self.readers[*of].push(class);
                }
            }
        }
    }

    /// The best plan that is found.
    pub(super) fn plan(&self) -> Plan {
        let children = self.children();
        let readers = readers(&children);
        let mut cycles = Cycles::new(&children, &readers);
        let plans = [vec![0; self.classes.len()], cheapest_trees(&self.classes, &cycles.order, &readers)];
        let plans = plans.map(|plan| self.improve(plan, &mut cycles));
        let [(a, cost_a), (b, cost_b)] = plans;
        let best = if cost_b < cost_a { b } else { a };
        best.into_iter().zip(&self.classes).map(|(k, candidates)| candidates[k].choice).collect()
    }

    /// What every class can read.
    fn children(&self) -> Vec<Vec<usize>> {
        let of = |candidates: &Vec<Candidate<'e>>| {
            let mut children: Vec<usize> = candidates.iter().flat_map(|c| c.children).copied().collect();
            children.sort_unstable();
            children.dedup();
            children
        };
        self.classes.iter().map(of).collect()
    }

    fn improve(&self, plan: Plan, cycles: &mut Cycles) -> (Plan, f64) {
        let mut state = State::new(self, plan);
        if state.has_new_cycle(&[], cycles) {
            return (state.plan, f64::INFINITY);
        }
        // How many moves were taken when one with these changes was refused: it is refused again until another one is taken.
        let (mut refused, mut taken) = (FxHashMap::default(), 0);
        for _ in 0..MAX_ROUNDS {
            let before = state.total;
            for change in (0..self.classes.len()).flat_map(|class| self.moves(class)) {
                let changes = change.of(self, &state);
                let Some((last, others)) = changes.split_last() else { continue };
                if refused.get(&changes) == Some(&taken) {
                    continue;
                }
                let best = state.total;
                let undo: Vec<(usize, usize)> = changes.iter().map(|(class, _)| (*class, state.plan[*class])).collect();
                state.journal.clear();
                others.iter().for_each(|(class, k)| state.take(*class, *k));
                let better = state.takes_below(last.0, last.1, best - 1e-9 * best);
                if !better || state.has_new_cycle(&changes, cycles) {
                    undo.iter().rev().for_each(|(class, k)| state.plan[*class] = *k);
                    state.rewind(0, best);
                    refused.insert(changes, taken);
                } else {
                    taken += 1;
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

/// A plan with how often each class is read by those that are needed, and what these cost together.
struct State<'e> {
    search: &'e Search<'e>,
    plan: Plan,
    readers: Vec<usize>,
    total: f64,
    /// The classes whose readers changed since a move began, with how many there were before each change.
    journal: Vec<(usize, usize)>,
}

impl<'e> State<'e> {
    fn new(search: &'e Search<'e>, plan: Plan) -> Self {
        let mut state = State { search, readers: vec![0; plan.len()], plan, total: 0.0, journal: Vec::new() };
        state.acquire(search.roots);
        state
    }

    fn is_used(&self, class: usize) -> bool {
        self.readers[class] > 0
    }

    fn candidate(&self, class: usize) -> &'e Candidate<'e> {
        &self.search.classes[class][self.plan[class]]
    }

    /// A class takes another op.
    fn take(&mut self, class: usize, k: usize) {
        let old = self.candidate(class);
        self.plan[class] = k;
        if self.is_used(class) {
            let new = self.candidate(class);
            self.total += new.nanoseconds - old.nanoseconds;
            self.acquire(new.children);
            self.release(old.children);
        }
    }

    /// A class takes another op if the total is below `most` then; false where it is not.
    fn takes_below(&mut self, class: usize, k: usize, most: f64) -> bool {
        let (old, before) = (self.plan[class], self.total);
        let of = self.candidate(class);
        self.plan[class] = k;
        if self.is_used(class) {
            let new = self.candidate(class);
            self.total += new.nanoseconds - of.nanoseconds;
            if self.acquires_below(new.children, of.children, most) {
                self.release(of.children);
            } else {
                (self.plan[class], self.total) = (old, before);
            }
        }
        self.total < most
    }

    fn acquire(&mut self, classes: &'e [usize]) {
        let mut open: Vec<&[usize]> = vec![classes];
        while let Some(classes) = open.pop() {
            classes.iter().for_each(|class| self.acquire_one(*class, &mut open));
        }
    }

    fn acquire_one(&mut self, class: usize, open: &mut Vec<&'e [usize]>) {
        self.journal.push((class, self.readers[class]));
        self.readers[class] += 1;
        if self.readers[class] == 1 {
            self.total += self.candidate(class).nanoseconds;
            open.push(self.candidate(class).children);
        }
    }

    /// Takes readers back to what they were when the journal was as long, where `total` was this. To release what was acquired would
    /// not do: classes that read one another keep themselves.
    fn rewind(&mut self, length: usize, total: f64) {
        self.journal.drain(length..).rev().for_each(|(class, readers)| self.readers[class] = readers);
        self.total = total;
    }

    /// True where a cycle goes through a class that changed, or that is needed since the move began: no other is new.
    fn has_new_cycle(&self, changes: &[(usize, usize)], cycles: &mut Cycles) -> bool {
        let needed = self.journal.iter().filter(|(_, readers)| *readers == 0);
        let classes = changes.iter().chain(needed).map(|(class, _)| *class);
        cycles.hold(classes.filter(|class| self.is_used(*class)), |class| self.candidate(class).children)
    }

    /// Acquires classes in place of others that are released afterwards. False, and nothing acquired, where it shows on the
    /// way that the total will not be below `most` then: it only grows, and what is released only shrinks.
    fn acquires_below(&mut self, classes: &'e [usize], instead: &'e [usize], most: f64) -> bool {
        let (begin, before) = (self.journal.len(), self.total);
        let (mut open, mut look) = (vec![classes], FIRST_LOOK);
        while let Some(classes) = open.pop() {
            classes.iter().for_each(|class| self.acquire_one(*class, &mut open));
            if self.journal.len() - begin >= look {
                look *= 2;
                if self.total - self.released_by(instead) >= most {
                    self.rewind(begin, before);
                    return false;
                }
            }
        }
        true
    }

    /// What the total falls by where classes are released.
    fn released_by(&mut self, classes: &'e [usize]) -> f64 {
        let (begin, before) = (self.journal.len(), self.total);
        self.release(classes);
        let released = before - self.total;
        self.rewind(begin, before);
        released
    }

    fn release(&mut self, classes: &'e [usize]) {
        let mut open: Vec<&[usize]> = vec![classes];
        while let Some(classes) = open.pop() {
            for class in classes {
                self.journal.push((*class, self.readers[*class]));
                self.readers[*class] -= 1;
                if self.readers[*class] == 0 {
                    self.total -= self.candidate(*class).nanoseconds;
                    open.push(self.candidate(*class).children);
                }
            }
        }
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
    fn of(&self, search: &Search<'_>, state: &State<'_>) -> Vec<(usize, usize)> {
        let plan = &state.plan;
        let switch = |of: usize, read: bool| {
            let readers = search.readers[of].iter().filter(|class| state.is_used(**class));
            let turned = readers.filter_map(|&class| {
                let candidates = &search.classes[class];
                let fits = |c: &Candidate<'_>| c.children.contains(&of) == read;
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
