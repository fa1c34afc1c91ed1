//! Which of several graphs of the same is best for which sizes: the guard of a program.

use schur_ir::dim::Bindings;

use super::cost::Cost;

/// How much less another graph has to cost somewhere, so that it is worth having.
const WORTH: f64 = 0.9;

/// The symbolic costs of graphs that compute the same; the first is the one for nominal sizes.
#[derive(Clone, Debug, Default)]
pub struct BySize(Vec<Cost>);

impl BySize {
    /// Of what was found best for other sizes, with its costs, that which costs less there than what was kept before it.
    pub(super) fn of<T>(
        first: Cost,
        nominal: usize,
        others: impl Iterator<Item = (usize, Cost, T)>,
    ) -> (Vec<T>, BySize) {
        let at_nominal = first.nanoseconds(nominal);
        let (mut kept, mut costs) = (Vec::new(), vec![first]);
        let best = |costs: &[Cost], size| costs.iter().map(|c| c.nanoseconds(size)).fold(f64::INFINITY, f64::min);
        for (size, cost, other) in others {
            let dearer = cost.nanoseconds(nominal) >= at_nominal;
            if dearer && cost.nanoseconds(size) < WORTH * best(&costs, size) {
                kept.push(other);
                costs.push(cost);
            }
        }
        (kept, BySize(costs))
    }

    /// The graph to take for a call: 0 is the one for nominal sizes, `k` the other one of number `k - 1`. The same for the
    /// same sizes everywhere: of equal ones the first.
    pub fn choose(&self, bindings: &Bindings) -> usize {
        cheapest(self.0.iter().map(|cost| cost.nanoseconds_at(bindings).unwrap_or(f64::INFINITY)))
    }

    /// The ranges of a size in which one graph is taken, where all symbols have that size: the first size of each, and
    /// the graph.
    pub fn ranges(&self) -> Vec<(usize, usize)> {
        let chosen = |size: usize| cheapest(self.0.iter().map(|cost| cost.nanoseconds(size)));
        let mut ranges = vec![(0, chosen(0))];
        let mut low = 0;
        for high in (0..=30).map(|power| 1usize << power) {
            while chosen(low) != chosen(high) {
                // The first size from which on the choice of `low` does not hold.
                let (mut same, mut other) = (low, high);
                while other - same > 1 {
                    let middle = same + (other - same) / 2;
                    if chosen(middle) == chosen(low) { same = middle } else { other = middle }
                }
                ranges.push((other, chosen(other)));
                low = other;
            }
            low = high;
        }
        ranges
    }
}

/// The place of the smallest, the first of equal ones.
fn cheapest(costs: impl Iterator<Item = f64>) -> usize {
    costs.enumerate().fold((0, f64::INFINITY), |best, (k, cost)| if cost < best.1 { (k, cost) } else { best }).0
}
