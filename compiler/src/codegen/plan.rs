//! How a nest's loops are ordered, vectorised and blocked in registers.
//!
//! The vector runs over an axis along which the output and the factors are contiguous or constant; failing that, over a
//! summed axis (a dot product). A second axis along which the vectors of one factor are constant is blocked, so that
//! a loaded vector serves several accumulators.

#![expect(clippy::indexing_slicing, reason = "places are of the list of loops that is planned")]

use crate::loops::strides::{Extent, Loop};

/// What vectors run along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vectors {
    /// Nothing: scalars.
    None,
    /// This loop, which is not summed; vectors are stored whole where the output is contiguous, else lane by lane.
    Along(usize),
    /// This summed loop; lanes are added at the end.
    Dot(usize),
}

/// The plan of a nest: places in its list of loops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// What vectors run along.
    pub(super) vectors: Vectors,
    /// The loop that is blocked in registers.
    pub(super) block: Option<usize>,
    /// The loops around, outermost first.
    pub(super) outer: Vec<usize>,
    /// The summed loops, innermost last, but for that of a dot product.
    pub(super) summed: Vec<usize>,
}

/// Rows (or elements of another loop) that are blocked.
pub(super) const BLOCK: usize = 4;

/// Chooses a plan for vectors of `lanes` elements.
pub(super) fn plan(loops: &[Loop], lanes: usize) -> Plan {
    let vectors = choose_vectors(loops, lanes);
    let block = choose_block(loops, vectors);
    let taken = |k: usize| Some(k) == block || matches!(vectors, Vectors::Along(v) | Vectors::Dot(v) if v == k);
    let free = |summed: bool| (0..loops.len()).filter(move |&k| loops[k].summed == summed && !taken(k));
    let mut summed: Vec<usize> = free(true).collect();
    summed.sort_by_key(|&k| loops[k].turns());
    Plan { vectors, block, outer: free(false).collect(), summed }
}

fn choose_vectors(loops: &[Loop], lanes: usize) -> Vectors {
    let wide = |k: usize| matches!(loops[k].extent, Extent::Axis(size) if size >= lanes);
    let reads = |k: usize, most: usize| loops[k].strides[1..].iter().all(|&s| s <= most);
    let candidates =
        |summed: bool| (0..loops.len()).filter(move |&k| loops[k].summed == summed && wide(k) && reads(k, 1));
    let size = |k: usize| match loops[k].extent {
        Extent::Axis(size) => size,
        Extent::Rows => 0,
    };
    let largest = |ks: Vec<usize>| ks.into_iter().rev().max_by_key(|&k| size(k));
    let contiguous = largest(candidates(false).filter(|&k| loops[k].strides[0] == 1).collect());
    let scattered = largest(candidates(false).filter(|&k| loops[k].strides[1..].contains(&1)).collect());
    let dot = largest(candidates(true).filter(|&k| loops[k].strides[1..].contains(&1)).collect());
    match (contiguous.or(scattered), dot) {
        (Some(k), _) => Vectors::Along(k),
        (None, Some(k)) => Vectors::Dot(k),
        (None, None) => Vectors::None,
    }
}

fn choose_block(loops: &[Loop], vectors: Vectors) -> Option<usize> {
    let along = match vectors {
        Vectors::None => return None,
        Vectors::Along(k) | Vectors::Dot(k) => k,
    };
    let sums = loops.iter().any(|l| l.summed);
    let reuses =
        |k: usize| (1..loops[k].strides.len()).any(|f| loops[along].strides[f] == 1 && loops[k].strides[f] == 0);
    let candidates: Vec<usize> =
        (0..loops.len()).filter(|&k| k != along && !loops[k].summed && sums && reuses(k)).collect();
    candidates.into_iter().rev().max_by_key(|&k| loops[k].turns())
}
