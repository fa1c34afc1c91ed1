//! Where in its row a vertex stands: as near to the middle of its neighbours as those beside it allow.
//!
//! For fixed places of the neighbours, the best places of a row are a regression under the constraint of its order,
//! which pooling solves exactly; sweeps alternate between the neighbours above and below.

use super::{GAP, Vertex};

/// Sweeps down and up.
const SWEEPS: usize = 40;

/// Passes over the trunks.
const STRAIGHTENINGS: usize = 6;

/// The middle of every vertex.
pub(super) fn columns(vertices: &[Vertex], rows: &[Vec<usize>]) -> Vec<f64> {
    let mut x = vec![0.0; vertices.len()];
    rows.iter().for_each(|row| place(vertices, row, &vec![(0.0, 1.0); row.len()], &mut x));
    for sweep in 0..SWEEPS {
        let order: Vec<&Vec<usize>> = if sweep % 2 == 0 { rows.iter().collect() } else { rows.iter().rev().collect() };
        for row in order {
            let wanted: Vec<(f64, f64)> = row.iter().map(|&v| wanted(vertices, v, &x)).collect();
            place(vertices, row, &wanted, &mut x);
        }
    }
    straighten(vertices, rows, &mut x);
    let left = (0..x.len()).map(|v| x[v] - vertices[v].width / 2.0).fold(f64::INFINITY, f64::min);
    x.iter().map(|x| (x - left + GAP).round()).collect()
}

/// Where a vertex would like to stand, and how much. Trunks want to be straight above all.
fn wanted(vertices: &[Vertex], v: usize, x: &[f64]) -> (f64, f64) {
    let weight = |n: usize| match (vertices[v].width == 0.0, vertices[n].width == 0.0) {
        (true, true) => 8.0,
        (true, false) | (false, true) => 2.0,
        (false, false) => 1.0,
    };
    let near = || vertices[v].above.iter().chain(&vertices[v].below).copied();
    let total: f64 = near().map(weight).sum();
    if total == 0.0 { (x[v], 0.1) } else { (near().map(|n| weight(n) * x[n]).sum::<f64>() / total, total) }
}

/// Gives a row the places nearest to the wanted ones that keep its order and the gaps.
fn place(vertices: &[Vertex], row: &[usize], wanted: &[(f64, f64)], x: &mut [f64]) {
    // Without the room that is needed on the left, the order of places is all that is asked for.
    let mut shift = vec![0.0; row.len()];
    for k in 1..row.len() {
        let apart = (vertices[row[k - 1]].width + vertices[row[k]].width) / 2.0 + gap(vertices, row[k - 1], row[k]);
        shift[k] = shift[k - 1] + apart;
    }
    let mut pools: Vec<(f64, f64, usize)> = Vec::new();
    for (k, (at, weight)) in wanted.iter().enumerate() {
        let mut pool = (at - shift[k], *weight, 1);
        while let Some(last) = pools.pop_if(|last| last.0 > pool.0) {
            let weight = last.1 + pool.1;
            pool = ((last.0 * last.1 + pool.0 * pool.1) / weight, weight, last.2 + pool.2);
        }
        pools.push(pool);
    }
    let places = pools.iter().flat_map(|(at, _, count)| std::iter::repeat_n(*at, *count));
    for ((v, place), shift) in row.iter().zip(places).zip(&shift) {
        x[*v] = place + shift;
    }
}

/// Makes trunks straight wherever what stands beside them leaves room. Those on the left move left and those on the right
/// move right, the outermost first, so that the others have room to follow.
fn straighten(vertices: &[Vertex], rows: &[Vec<usize>], x: &mut [f64]) {
    let beside = beside(vertices.len(), rows);
    let is_point = |v: usize| vertices[v].width == 0.0;
    let first = |v: &usize| is_point(*v) && !vertices[*v].above.iter().any(|&a| is_point(a));
    let next = |v: usize| vertices[v].below.iter().copied().find(|&b| is_point(b));
    let trunk = |v: usize| std::iter::successors(Some(v), |&v| next(v)).collect::<Vec<usize>>();
    let mut trunks: Vec<Vec<usize>> = (0..vertices.len()).filter(first).map(trunk).collect();
    let mean = |trunk: &[usize], x: &[f64]| trunk.iter().map(|&v| x[v]).sum::<f64>() / trunk.len() as f64;
    let centre = x.iter().sum::<f64>() / x.len().max(1) as f64;
    for _ in 0..STRAIGHTENINGS {
        trunks.sort_by(|a, b| (mean(b, x) - centre).abs().total_cmp(&(mean(a, x) - centre).abs()));
        for trunk in &trunks {
            let mut rest = trunk.as_slice();
            while !rest.is_empty() {
                let (count, low, high) = stretch(vertices, &beside, rest, x);
                let places = rest[..count].iter().map(|&v| x[v]);
                let wanted = if mean(trunk, x) < centre {
                    places.fold(f64::INFINITY, f64::min)
                } else {
                    places.fold(f64::NEG_INFINITY, f64::max)
                };
                rest[..count].iter().for_each(|&v| x[v] = wanted.max(low).min(high));
                rest = &rest[count..];
            }
        }
    }
}

/// The neighbours of every vertex in its row.
fn beside(n: usize, rows: &[Vec<usize>]) -> Vec<[Option<usize>; 2]> {
    let mut beside = vec![[None, None]; n];
    for pair in rows.iter().flat_map(|row| row.windows(2)) {
        beside[pair[0]][1] = Some(pair[1]);
        beside[pair[1]][0] = Some(pair[0]);
    }
    beside
}

/// How many points of a trunk, from its first on, can stand below each other, and between which places.
fn stretch(vertices: &[Vertex], beside: &[[Option<usize>; 2]], trunk: &[usize], x: &[f64]) -> (usize, f64, f64) {
    let apart = |a: usize, b: usize| (vertices[a].width + vertices[b].width) / 2.0 + gap(vertices, a, b);
    let (mut low, mut high) = (f64::NEG_INFINITY, f64::INFINITY);
    for (count, &v) in trunk.iter().enumerate() {
        let [left, right] = beside[v];
        let l = low.max(left.map_or(f64::NEG_INFINITY, |left| x[left] + apart(left, v)));
        let h = high.min(right.map_or(f64::INFINITY, |right| x[right] - apart(v, right)));
        if l > h + 1e-6 && count > 0 {
            return (count, low, high);
        }
        (low, high) = (l, h);
    }
    (trunk.len(), low, high)
}

/// Trunks run close together.
fn gap(vertices: &[Vertex], a: usize, b: usize) -> f64 {
    if vertices[a].width == 0.0 && vertices[b].width == 0.0 { GAP / 2.0 } else { GAP }
}
