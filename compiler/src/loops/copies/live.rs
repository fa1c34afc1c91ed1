//! Chunks that nobody reads are not computed.
//!
//! Readers read through a value, one after the other; what the last one leaves unread is dropped here.

#![expect(clippy::indexing_slicing, reason = "places are of a verified graph, and of lists made for it")]

use std::ops::Range;

use schur_ir::graph::{Contract, Graph, Node, Op, Segment, ValueId};
use schur_ir::irreps::Irreps;
use schur_ir::ty::Type;

use super::{Packed, Rebuild, drop_unread};
use crate::loops::reads::writes_own_row;
use crate::loops::schedule::Schedule;
use crate::loops::storage::Storage;

/// The graph in which values that contractions alone read, row by row, hold the chunks that are read.
pub(in crate::loops) fn drop_dead(graph: &Graph, schedule: &Schedule, _: &Storage) -> Option<Packed> {
    let read = chunks_read(graph, schedule);
    let kept: Vec<Option<Kept>> = graph.values().map(|(v, node)| Kept::new(graph, v, node, &read[v.index()])).collect();
    if kept.iter().all(Option::is_none) {
        return None;
    }
    let mut rebuild = Rebuild::new(graph);
    for (value, node) in graph.values() {
        let mut node = node.clone();
        if let Op::Contract(contract) = &mut node.op {
            for path in &mut contract.paths {
                for factor in &mut path.factors {
                    let of = contract.operands[factor.operand].value;
                    kept[of.index()].iter().for_each(|kept| kept.shift(&mut factor.segment));
                }
            }
        }
        if let (Op::Contract(contract), Some(kept)) = (&mut node.op, &kept[value.index()]) {
            kept.trim(contract);
            node.ty = kept.ty.clone();
        }
        let op = node.op.map_reads(|v| rebuild.moved(v));
        rebuild.keep(op, &node);
    }
    Some(rebuild.finish(graph))
}

/// For every value, one flag a chunk: true where some kernel reads an element of it.
fn chunks_read(graph: &Graph, schedule: &Schedule) -> Vec<Vec<bool>> {
    let mut read: Vec<Vec<bool>> = graph.nodes.iter().map(|node| vec![false; node.ty.irreps.len()]).collect();
    let all = |read: &mut Vec<Vec<bool>>, value: ValueId| read[value.index()].fill(true);
    graph.outputs.iter().for_each(|output| all(&mut read, output.value));
    let is_computed =
        |value: ValueId, node: &Node| schedule.kernel_of[value.index()].is_some() || matches!(node.op, Op::Reshape(_));
    for (_, node) in graph.values().filter(|(value, node)| is_computed(*value, node)) {
        let Op::Contract(contract) = &node.op else {
            node.op.reads().into_iter().for_each(|value| all(&mut read, value));
            continue;
        };
        node.op.indices().for_each(|index| all(&mut read, index.value));
        for path in &contract.paths {
            for factor in &path.factors {
                let value = contract.operands[factor.operand].value;
                let hull = factor.segment.hull(&path.axes);
                let chunks = chunks(&graph.ty(value).irreps).zip(&mut read[value.index()]);
                chunks.for_each(|(chunk, read)| *read |= meet(&chunk, &hull));
            }
        }
    }
    read
}

/// The elements of every chunk.
fn chunks(irreps: &Irreps) -> impl Iterator<Item = Range<usize>> {
    irreps.iter().zip(irreps.offsets()).map(|(chunk, start)| start..start + chunk.dim())
}

fn meet(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

/// A value without its dead chunks.
struct Kept {
    ty: Type,
    /// For every chunk that is kept: where it was, and where it is.
    places: Vec<(Range<usize>, usize)>,
}

impl Kept {
    /// `None` where no chunk is dead, or some path writes into dead and living ones.
    fn new(graph: &Graph, value: ValueId, node: &Node, read: &[bool]) -> Option<Self> {
        let Op::Contract(contract) = &node.op else { return None };
        if read.iter().all(|read| *read) || !read.contains(&true) || !writes_own_row(node) {
            return None;
        }
        let (mut places, mut kept, mut zero, mut width) = (Vec::new(), Vec::new(), Vec::new(), 0);
        let irreps = &graph.ty(value).irreps;
        for (k, (chunk, range)) in irreps.iter().zip(chunks(irreps)).enumerate().filter(|(k, _)| read[*k]) {
            places.push((range, width));
            width += chunk.dim();
            kept.push(chunk);
            zero.push(node.ty.zero[k]);
        }
        let ty = Type { irreps: Irreps::new(kept), zero, ..node.ty.clone() };
        let kept = Kept { ty, places };
        let is_whole = |hull: Range<usize>| kept.is_dead(&hull) || kept.is_alive(&hull);
        contract.paths.iter().all(|path| is_whole(path.out.hull(&path.axes))).then_some(kept)
    }

    fn is_dead(&self, hull: &Range<usize>) -> bool {
        !self.places.iter().any(|(from, _)| meet(from, hull))
    }

    /// True where all elements of a range are kept.
    fn is_alive(&self, hull: &Range<usize>) -> bool {
        let kept =
            self.places.iter().map(|(from, _)| from.end.min(hull.end).saturating_sub(from.start.max(hull.start)));
        kept.sum::<usize>() == hull.len()
    }

    /// Moves a segment to where its chunk is; one that touches no element stays.
    fn shift(&self, segment: &mut Segment) {
        if let Some((from, to)) = self.places.iter().find(|(from, _)| from.contains(&segment.offset)) {
            segment.offset = segment.offset - from.start + to;
        }
    }

    /// Drops the paths that write what is dead.
    fn trim(&self, contract: &mut Contract) {
        contract.paths.retain(|path| !self.is_dead(&path.out.hull(&path.axes)));
        contract.paths.iter_mut().for_each(|path| self.shift(&mut path.out));
        drop_unread(contract);
    }
}
