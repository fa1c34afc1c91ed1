//! Who stands left of whom: sweeps that put every vertex near the middle of its neighbours, and swaps of neighbours,
//! for as long as fewer wires cross.

use super::Vertex;

/// Sweeps down and up.
const SWEEPS: usize = 24;

/// The vertices of every rank from left to right.
pub(super) fn rows(vertices: &[Vertex]) -> Vec<Vec<usize>> {
    let ranks = vertices.iter().map(|v| v.rank + 1).max().unwrap_or(0);
    let mut order = Order { vertices, rows: vec![Vec::new(); ranks], places: vec![0; vertices.len()] };
    order.start();
    let (mut best, mut fewest) = (order.rows.clone(), order.crossings());
    for sweep in 0..SWEEPS {
        let down = sweep % 2 == 0;
        for k in 0..ranks {
            order.sort_by_middle(if down { k } else { ranks - 1 - k }, down);
        }
        (0..ranks).for_each(|rank| order.swap_neighbours(rank));
        let count = order.crossings();
        if count < fewest {
            (best, fewest) = (order.rows.clone(), count);
        }
    }
    best
}

/// The rows, and the place of every vertex in its row.
struct Order<'v> {
    vertices: &'v [Vertex],
    rows: Vec<Vec<usize>>,
    places: Vec<usize>,
}

impl Order<'_> {
    /// Places every vertex and all that is connected to it, so that what belongs together starts together.
    fn start(&mut self) {
        let mut placed = vec![false; self.vertices.len()];
        for first in 0..self.vertices.len() {
            let mut stack = vec![first];
            while let Some(v) = stack.pop() {
                if !std::mem::replace(&mut placed[v], true) {
                    let Vertex { rank, above, below, .. } = &self.vertices[v];
                    self.places[v] = self.rows[*rank].len();
                    self.rows[*rank].push(v);
                    stack.extend(below.iter().rev().chain(above.iter().rev()));
                }
            }
        }
    }

    fn sort_by_middle(&mut self, rank: usize, down: bool) {
        let (vertices, places) = (self.vertices, &self.places);
        let middle = |v: usize| {
            let near = if down { &vertices[v].above } else { &vertices[v].below };
            let sum: usize = near.iter().map(|&n| places[n]).sum();
            if near.is_empty() { places[v] as f64 } else { sum as f64 / near.len() as f64 }
        };
        self.rows[rank].sort_by(|&a, &b| middle(a).total_cmp(&middle(b)));
        self.rows[rank].iter().enumerate().for_each(|(k, &v)| self.places[v] = k);
    }

    /// Swaps neighbours of a row wherever that makes fewer crossings.
    fn swap_neighbours(&mut self, rank: usize) {
        for k in 1..self.rows[rank].len() {
            let (a, b) = (self.rows[rank][k - 1], self.rows[rank][k]);
            if self.crossings_of(b, a) < self.crossings_of(a, b) {
                self.rows[rank].swap(k - 1, k);
                self.places.swap(a, b);
            }
        }
    }

    /// How many wires of two vertices cross where the one stands left of the other.
    fn crossings_of(&self, left: usize, right: usize) -> usize {
        let pairs = |a: &[usize], b: &[usize]| -> usize {
            a.iter().map(|a| b.iter().filter(|b| self.places[**b] < self.places[*a]).count()).sum()
        };
        let (left, right) = (&self.vertices[left], &self.vertices[right]);
        pairs(&left.above, &right.above) + pairs(&left.below, &right.below)
    }

    /// How many wires cross between neighbouring ranks.
    fn crossings(&self) -> usize {
        let count = |row: &Vec<usize>| {
            let mut ends: Vec<usize> = Vec::new();
            let mut crossed = 0;
            for &v in row {
                let own: Vec<usize> = self.vertices[v].below.iter().map(|&b| self.places[b]).collect();
                crossed += own.iter().map(|end| ends.iter().filter(|e| *e > end).count()).sum::<usize>();
                ends.extend(own);
            }
            crossed
        };
        self.rows.iter().map(count).sum()
    }
}
