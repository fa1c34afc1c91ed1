//! Which of many paths may be halves of one: an index by where a path starts, ends, and would go on.
//!
//! It is by hashes, so that a candidate may be none after all; every two paths that [`join`](super::path_algebra::join)
//! joins are candidates of each other.

#![expect(clippy::indexing_slicing, reason = "a segment has a stride an axis of its path")]

use std::hash::Hasher;

use rustc_hash::{FxHashMap, FxHasher};
use schur_ir::graph::{Path, Segment};

/// In a group of up to so many paths, all are candidates.
const FEW: usize = 12;

/// An index of paths by their places in a list.
pub(super) struct Neighbours {
    /// The places of paths with the same coefficient and operands, in order; others cannot join.
    groups: FxHashMap<u64, Vec<usize>>,
    /// The first link of a key; of large groups alone.
    first: FxHashMap<u64, usize>,
    /// The place of a path, and the next link of the same key.
    links: Vec<(usize, Option<usize>)>,
}

/// What a key is of.
#[derive(Clone, Copy)]
enum Key {
    /// Where a path starts.
    Start,
    /// Where a path would go on along one of its axes.
    End,
    /// Where a path starts that another one continues along an axis which it does not have itself.
    Before,
    /// The axes, and where those segments start that are no single element.
    Alike,
}

impl Neighbours {
    /// The index of a list.
    pub(super) fn new(paths: &[Path]) -> Self {
        let mut groups: FxHashMap<u64, Vec<usize>> = FxHashMap::default();
        paths.iter().enumerate().for_each(|(at, path)| groups.entry(group(path).finish()).or_default().push(at));
        let mut this = Neighbours { groups, first: FxHashMap::default(), links: Vec::new() };
        paths.iter().enumerate().for_each(|(at, path)| this.insert(at, path));
        this
    }

    /// Takes a path in that was joined at its place.
    pub(super) fn insert(&mut self, at: usize, path: &Path) {
        if self.groups.get(&group(path).finish()).is_none_or(|group| group.len() <= FEW) {
            return;
        }
        let mut insert = |key| {
            let next = self.first.insert(key, self.links.len());
            self.links.push((at, next));
        };
        insert(key(Key::Start, path, |s| s.offset));
        for k in 0..path.axes.len() {
            insert(key(Key::End, path, |s| step(s, k, path.axes[k].size)));
            insert(key(Key::Before, path, |s| s.offset.wrapping_sub(s.strides[k])));
        }
        insert(alike(path, |s, _| s.offset));
    }

    /// The places behind `at` of all paths that may join the one there, in order.
    pub(super) fn behind(&self, at: usize, path: &Path) -> Vec<usize> {
        let Some(group) = self.groups.get(&group(path).finish()) else { return Vec::new() };
        if group.len() <= FEW {
            return group.iter().copied().filter(|place| *place > at).collect();
        }
        let mut found = Vec::new();
        for key in keys(path) {
            let mut link = self.first.get(&key).copied();
            while let Some(k) = link {
                let (place, next) = self.links[k];
                found.extend((place > at).then_some(place));
                link = next;
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// The keys of all that may join a path.
fn keys(path: &Path) -> Vec<u64> {
    let mut keys = vec![key(Key::Before, path, |s| s.offset), key(Key::End, path, |s| s.offset)];
    for k in 0..path.axes.len() {
        keys.push(key(Key::Start, path, |s| step(s, k, path.axes[k].size)));
        keys.push(key(Key::Start, path, |s| s.offset.wrapping_sub(s.strides[k])));
    }
    // Of a path with the same axes, every segment starts at the same element or where the other one ends.
    let extents: Vec<usize> = path.segments().map(|segment| extent(path, segment)).collect();
    for moved in 0..1usize << extents.len() {
        let moves = |k: usize| moved >> k & 1 == 1;
        if (0..extents.len()).all(|k| !moves(k) || extents[k] > 0) {
            let by = |k: usize| if moves(k) { extents[k] } else { 0 };
            keys.push(alike(path, |s, k| s.offset.wrapping_add(by(k))));
            keys.push(alike(path, |s, k| s.offset.wrapping_sub(by(k))));
        }
    }
    keys
}

/// Where a segment is after some steps along an axis.
fn step(segment: &Segment, axis: usize, steps: usize) -> usize {
    segment.offset.wrapping_add(segment.strides[axis].wrapping_mul(steps))
}

/// Of what paths that join have in common.
fn group(path: &Path) -> FxHasher {
    let mut hash = FxHasher::default();
    hash.write_u64(path.coefficient.0.to_bits());
    path.factors.iter().for_each(|f| hash.write_usize(f.operand));
    hash.write_usize(path.factors.len());
    hash
}

fn key(key: Key, path: &Path, place: impl Fn(&Segment) -> usize) -> u64 {
    let mut hash = group(path);
    hash.write_usize(key as usize);
    path.segments().for_each(|segment| hash.write_usize(place(segment)));
    hash.finish()
}

fn alike(path: &Path, place: impl Fn(&Segment, usize) -> usize) -> u64 {
    let mut hash = group(path);
    hash.write_usize(Key::Alike as usize);
    path.axes.iter().for_each(|axis| hash.write_usize(axis.size));
    for (k, segment) in path.segments().enumerate() {
        segment.strides.iter().for_each(|stride| hash.write_usize(*stride));
        if extent(path, segment) > 0 {
            hash.write_usize(place(segment, k));
        }
    }
    hash.finish()
}

/// Where a segment that lies close goes on behind its start; 0 for a single element.
pub(super) fn extent(path: &Path, segment: &Segment) -> usize {
    segment.strides.iter().zip(&path.axes).map(|(stride, axis)| stride * axis.size).max().unwrap_or(0)
}
