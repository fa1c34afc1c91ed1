//! Who stands left of whom: sweeps that put every vertex near the middle of its neighbours, and swaps of neighbours,
//! for as long as fewer wires cross.

use super::Vertex;

/// Sweeps down and up.
const SWEEPS: usize = 24;

/// The vertices of every rank from left to right.
pub(super) fn rows(vertices: &[Vertex]) -> Vec<Vec<usize>> {
    let ranks = vertices.iter().map(|v| v.rank + 1).max().unwrap_or(0);
    let mut rows: Vec<Vec<usize>> = vec![Vec::new(); ranks];
    let mut placed = vec![false; vertices.len()];
    for v in 0..vertices.len() {
        place(vertices, v, &mut placed, &mut rows);
    }
    let (mut best, mut fewest) = (rows.clone(), crossings(vertices, &rows));
    for sweep in 0..SWEEPS {
        let down = sweep % 2 == 0;
        let order: Vec<usize> = if down { (0..ranks).collect() } else { (0..ranks).rev().collect() };
        for rank in order {
            sort_by_middle(vertices, &mut rows, rank, down);
        }
        swap_neighbours(vertices, &mut rows);
        let count = crossings(vertices, &rows);
        if count < fewest {
            (best, fewest) = (rows.clone(), count);
        }
    }
    best
}

/// Places a vertex and all that is connected to it, so that what belongs together starts together.
fn place(vertices: &[Vertex], first: usize, placed: &mut [bool], rows: &mut [Vec<usize>]) {
    let mut stack = vec![first];
    while let Some(v) = stack.pop() {
        if !std::mem::replace(&mut placed[v], true) {
            rows[vertices[v].rank].push(v);
            stack.extend(vertices[v].below.iter().rev().chain(vertices[v].above.iter().rev()));
        }
    }
}

/// The place of every vertex in its row.
fn places(vertices: &[Vertex], rows: &[Vec<usize>]) -> Vec<usize> {
    let mut places = vec![0; vertices.len()];
    rows.iter().for_each(|row| row.iter().enumerate().for_each(|(k, &v)| places[v] = k));
    places
}

fn sort_by_middle(vertices: &[Vertex], rows: &mut [Vec<usize>], rank: usize, down: bool) {
    let places = places(vertices, rows);
    let middle = |v: usize| {
        let near = if down { &vertices[v].above } else { &vertices[v].below };
        let sum: usize = near.iter().map(|&n| places[n]).sum();
        if near.is_empty() { places[v] as f64 } else { sum as f64 / near.len() as f64 }
    };
    rows[rank].sort_by(|&a, &b| middle(a).total_cmp(&middle(b)));
}

/// Swaps neighbours of a row wherever that makes fewer crossings.
fn swap_neighbours(vertices: &[Vertex], rows: &mut [Vec<usize>]) {
    for rank in 0..rows.len() {
        let places = places(vertices, rows);
        for k in 1..rows[rank].len() {
            let (a, b) = (rows[rank][k - 1], rows[rank][k]);
            let pairs = |a: &[usize], b: &[usize]| -> usize {
                a.iter().map(|a| b.iter().filter(|b| places[**b] < places[*a]).count()).sum()
            };
            let crossed = |left: usize, right: usize| {
                let (left, right) = (&vertices[left], &vertices[right]);
                pairs(&left.above, &right.above) + pairs(&left.below, &right.below)
            };
            if crossed(b, a) < crossed(a, b) {
                rows[rank].swap(k - 1, k);
            }
        }
    }
}

/// How many wires cross between neighbouring ranks.
fn crossings(vertices: &[Vertex], rows: &[Vec<usize>]) -> usize {
    let places = places(vertices, rows);
    let count = |row: &Vec<usize>| {
        let mut ends: Vec<usize> = Vec::new();
        let mut crossed = 0;
        for &v in row {
            let own: Vec<usize> = vertices[v].below.iter().map(|&b| places[b]).collect();
            crossed += own.iter().map(|end| ends.iter().filter(|e| *e > end).count()).sum::<usize>();
            ends.extend(own);
        }
        crossed
    };
    rows.iter().map(count).sum()
}
