//! Where a drawing of a graph has its boxes and wires: layers from top to bottom, as Sugiyama draws them.
//!
//! Every box has a rank ([`ranks`]); wires that skip ranks pass through points, which all wires of one box share, so that
//! a value that is read in many places leaves its box as one trunk. [`order`] decides who stands left of whom, and
//! [`coordinates`] where.

mod coordinates;
mod order;
mod ranks;

pub(super) use ranks::ranks;

/// The size of a box, with the room that belongs to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Size {
    pub(super) width: f64,
    pub(super) height: f64,
}

/// A point of the drawing; of a box, the middle of its top.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
}

/// A wire from a box to a box below, through points of the ranks between, each a stretch from top to bottom.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wire {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) start: Point,
    pub(super) bends: Vec<(Point, Point)>,
    pub(super) end: Point,
}

/// A drawing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Layout {
    /// The middle of the top of every box.
    pub(super) boxes: Vec<Point>,
    /// The wires, in the order of the edges.
    pub(super) wires: Vec<Wire>,
    /// The rank of every box.
    pub(super) ranks: Vec<usize>,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// Room between neighbours of a rank, between a box and a wire, and around the drawing.
const GAP: f64 = 26.0;

/// Room between ranks.
const RANK_GAP: f64 = 34.0;

/// A box or, where it has no size, a point that a trunk of wires passes through.
#[derive(Clone, Debug, Default)]
struct Vertex {
    rank: usize,
    width: f64,
    above: Vec<usize>,
    below: Vec<usize>,
}

/// Boxes and points, boxes first, and for every edge the points that it passes.
struct Layered {
    vertices: Vec<Vertex>,
    passes: Vec<Vec<usize>>,
}

/// Draws boxes and the edges between them, each from a box to one of a larger rank.
pub(super) fn layout(sizes: &[Size], edges: &[(usize, usize)], ranks: &[usize]) -> Layout {
    let layered = layered(sizes, edges, ranks);
    let rows = order::rows(&layered.vertices);
    let x = coordinates::columns(&layered.vertices, &rows);
    let height_of = |row: &Vec<usize>| row.iter().filter_map(|v| sizes.get(*v)).map(|s| s.height).fold(0.0, f64::max);
    let mut tops = vec![GAP];
    rows.iter().for_each(|row| tops.push(tops[tops.len() - 1] + height_of(row) + RANK_GAP));
    let point = |v: usize, down: f64| Point { x: x[v], y: tops[layered.vertices[v].rank] + down };
    let entries = entries(edges, &layered, sizes, &x);
    let wires = edges.iter().zip(&layered.passes).zip(&entries).map(|((&(from, to), pass), entry)| Wire {
        from,
        to,
        start: point(from, sizes[from].height),
        bends: pass.iter().map(|&v| (point(v, 0.0), point(v, height_of(&rows[layered.vertices[v].rank])))).collect(),
        end: Point { x: *entry, y: tops[ranks[to]] },
    });
    let right = layered.vertices.iter().zip(&x).map(|(v, x)| x + v.width / 2.0).fold(0.0, f64::max);
    Layout {
        boxes: (0..sizes.len()).map(|v| point(v, 0.0)).collect(),
        wires: wires.collect(),
        ranks: ranks.to_vec(),
        width: right + GAP,
        height: tops[rows.len()] - RANK_GAP + GAP,
    }
}

/// Adds the points of wires that skip ranks: one trunk a box.
fn layered(sizes: &[Size], edges: &[(usize, usize)], ranks: &[usize]) -> Layered {
    let vertex = |(size, rank): (&Size, &usize)| Vertex { rank: *rank, width: size.width, ..Vertex::default() };
    let mut vertices: Vec<Vertex> = sizes.iter().zip(ranks).map(vertex).collect();
    let mut trunks: Vec<Vec<usize>> = vec![Vec::new(); sizes.len()];
    let mut passes = Vec::with_capacity(edges.len());
    for &(from, to) in edges {
        let between = ranks[to].saturating_sub(ranks[from] + 1);
        for k in trunks[from].len()..between {
            let last = trunks[from].last().copied().unwrap_or(from);
            vertices.push(Vertex { rank: ranks[from] + 1 + k, above: vec![last], ..Vertex::default() });
            let point = vertices.len() - 1;
            vertices[last].below.push(point);
            trunks[from].push(point);
        }
        let pass = trunks[from][..between].to_vec();
        let last = pass.last().copied().unwrap_or(from);
        vertices[last].below.push(to);
        vertices[to].above.push(last);
        passes.push(pass);
    }
    Layered { vertices, passes }
}

/// Where every edge enters its box: side by side along the top, in the order in which the wires arrive.
fn entries(edges: &[(usize, usize)], layered: &Layered, sizes: &[Size], x: &[f64]) -> Vec<f64> {
    let mut entries = vec![0.0; edges.len()];
    for to in 0..sizes.len() {
        let mut arriving: Vec<usize> = (0..edges.len()).filter(|&e| edges[e].1 == to).collect();
        let last = |e: usize| layered.passes[e].last().copied().unwrap_or(edges[e].0);
        arriving.sort_by(|&a, &b| x[last(a)].total_cmp(&x[last(b)]));
        let step = (sizes[to].width * 0.6 / arriving.len().max(1) as f64).min(22.0);
        for (k, &e) in arriving.iter().enumerate() {
            entries[e] = x[to] + step * (k as f64 - (arriving.len() - 1) as f64 / 2.0);
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(n: usize, edges: &[(usize, usize)]) -> Layout {
        let sizes: Vec<Size> = (0..n).map(|k| Size { width: 60.0 + 10.0 * (k % 3) as f64, height: 40.0 }).collect();
        let layout = layout(&sizes, edges, &ranks(n, edges));
        check(&layout, &sizes);
        layout
    }

    /// Wires go down, boxes of a rank do not overlap, and nothing leaves the drawing.
    fn check(layout: &Layout, sizes: &[Size]) {
        for wire in &layout.wires {
            let mut ys = vec![wire.start.y];
            wire.bends.iter().for_each(|(top, bottom)| ys.extend([top.y, bottom.y]));
            ys.push(wire.end.y);
            assert!(ys.is_sorted(), "{wire:?}");
        }
        for (a, p) in layout.boxes.iter().enumerate() {
            assert!(p.x - sizes[a].width / 2.0 >= 0.0 && p.x + sizes[a].width / 2.0 <= layout.width, "{p:?}");
            assert!(p.y >= 0.0 && p.y + sizes[a].height <= layout.height, "{p:?}");
            for (b, q) in layout.boxes.iter().enumerate().filter(|(b, q)| *b != a && q.y == p.y) {
                assert!((p.x - q.x).abs() >= (sizes[a].width + sizes[b].width) / 2.0, "{a} meets {b}");
            }
        }
    }

    #[test]
    fn a_chain_is_a_straight_line() {
        let layout = draw(4, &[(0, 1), (1, 2), (2, 3)]);
        assert!(layout.boxes.windows(2).all(|pair| pair[0].x == pair[1].x && pair[0].y < pair[1].y), "{layout:?}");
    }

    #[test]
    fn wires_that_skip_ranks_share_a_trunk() {
        let layout = draw(5, &[(0, 1), (1, 2), (2, 3), (0, 3), (0, 4), (3, 4)]);
        let [short, long] = [3, 4].map(|e| &layout.wires[e].bends);
        assert_eq!((short.len(), long.len()), (2, 3));
        assert_eq!(short[..], long[..2]);
    }

    #[test]
    fn two_chains_do_not_cross() {
        let layout = draw(6, &[(0, 3), (1, 2), (3, 4), (2, 5)]);
        assert_eq!((layout.boxes[0].x < layout.boxes[1].x), (layout.boxes[3].x < layout.boxes[2].x));
        assert_eq!((layout.boxes[3].x < layout.boxes[2].x), (layout.boxes[4].x < layout.boxes[5].x));
    }

    #[test]
    fn large_and_empty_graphs_are_drawn() {
        draw(0, &[]);
        let edges: Vec<(usize, usize)> =
            (1..150).flat_map(|k| [(k / 2, k), (k * 2 / 3, k)]).filter(|(a, b)| a < b).collect();
        draw(150, &edges);
    }
}
