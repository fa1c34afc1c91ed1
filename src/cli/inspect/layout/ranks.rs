//! The rank of every box: below all that it reads, and near to it or to its readers, whichever makes wires shorter.

/// Passes over the boxes; few move after the first.
const PASSES: usize = 6;

/// The ranks of `n` boxes; edges lead from smaller to larger numbers.
pub(in super::super) fn ranks(n: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let (mut above, mut below) = (vec![Vec::new(); n], vec![Vec::new(); n]);
    for &(from, to) in edges {
        above[to].push(from);
        below[from].push(to);
    }
    let mut ranks = vec![0; n];
    for v in 0..n {
        ranks[v] = lowest(&above[v], &ranks);
    }
    for _ in 0..PASSES {
        for v in (0..n).rev().filter(|&v| !below[v].is_empty()) {
            let highest = below[v].iter().map(|&b| ranks[b] - 1).min().unwrap_or(0);
            // All readers share one trunk: a box with more operands than that stays with its operands.
            ranks[v] = if above[v].len() > 1 { lowest(&above[v], &ranks) } else { highest };
        }
    }
    ranks
}

fn lowest(above: &[usize], ranks: &[usize]) -> usize {
    above.iter().map(|&a| ranks[a] + 1).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_stand_above_their_readers() {
        // 4 is a leaf that the end of the chain 0, 1, 2, 3 reads.
        assert_eq!(ranks(6, &[(0, 1), (1, 2), (2, 3), (3, 5), (4, 5)]), [0, 1, 2, 3, 3, 4]);
    }
}
