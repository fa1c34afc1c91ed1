//! Which of many paths may be halves of one: an index by where a path starts, ends, and would go on.
//!
//! It is by hashes, so that a candidate may be none after all; every two paths that [`join`](super::path_algebra::join)
//! joins are candidates of each other.

#![expect(clippy::indexing_slicing, reason = "a segment has a stride an axis of its path")]

use std::hash::Hasher;

use rustc_hash::{FxHashMap, FxHasher};
use schur_ir::graph::{Path, Segment};
use smallvec::SmallVec;

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
        let group = group(path);
        if self.groups.get(&group.finish()).is_none_or(|group| group.len() <= FEW) {
            return;
        }
        let mut insert = |key| {
            let next = self.first.insert(key, self.links.len());
            self.links.push((at, next));
        };
        insert(key(&group, Key::Start, path, |s| s.offset));
        for k in 0..path.axes.len() {
            insert(key(&group, Key::End, path, |s| step(s, k, path.axes[k].size)));
            insert(key(&group, Key::Before, path, |s| s.offset.wrapping_sub(s.strides[k])));
        }
        insert(Alike::of(&group, path).key(|s, _| s.offset));
    }

    /// The places behind `at` of all paths that may join the one there, in order.
    pub(super) fn behind(&self, at: usize, path: &Path) -> Vec<usize> {
        let hash = group(path);
        let Some(group) = self.groups.get(&hash.finish()) else { return Vec::new() };
        if group.len() <= FEW {
            return group.iter().copied().filter(|place| *place > at).collect();
        }
        let mut found = Vec::new();
        each_key(&hash, path, |key| {
            let mut link = self.first.get(&key).copied();
            while let Some(k) = link {
                let (place, next) = self.links[k];
                found.extend((place > at).then_some(place));
                link = next;
            }
        });
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// The keys of all that may join a path.
fn each_key(group: &FxHasher, path: &Path, mut take: impl FnMut(u64)) {
    take(key(group, Key::Before, path, |s| s.offset));
    take(key(group, Key::End, path, |s| s.offset));
    for k in 0..path.axes.len() {
        take(key(group, Key::Start, path, |s| step(s, k, path.axes[k].size)));
        take(key(group, Key::Start, path, |s| s.offset.wrapping_sub(s.strides[k])));
    }
    // Of a path with the same axes, every segment starts at the same element or where the other one ends.
    let alike = Alike::of(group, path);
    take(alike.key(|s, _| s.offset));
    for moved in 1..1usize << alike.extents.len() {
        let moves = |k: usize| moved >> k & 1 == 1;
        if (0..alike.extents.len()).all(|k| !moves(k) || alike.extents[k] > 0) {
            let by = |k: usize| if moves(k) { alike.extents[k] } else { 0 };
            take(alike.key(|s, k| s.offset.wrapping_add(by(k))));
            take(alike.key(|s, k| s.offset.wrapping_sub(by(k))));
        }
    }
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

fn key(group: &FxHasher, key: Key, path: &Path, place: impl Fn(&Segment) -> usize) -> u64 {
    let mut hash = group.clone();
    hash.write_usize(key as usize);
    path.segments().for_each(|segment| hash.write_usize(place(segment)));
    hash.finish()
}

/// What keys of paths with the same axes have in common.
struct Alike<'p> {
    path: &'p Path,
    hash: FxHasher,
    extents: SmallVec<[usize; 4]>,
}

impl<'p> Alike<'p> {
    fn of(group: &FxHasher, path: &'p Path) -> Self {
        let mut hash = group.clone();
        hash.write_usize(Key::Alike as usize);
        path.axes.iter().for_each(|axis| hash.write_usize(axis.size));
        path.segments().flat_map(|segment| &segment.strides).for_each(|stride| hash.write_usize(*stride));
        Alike { path, hash, extents: path.segments().map(|segment| extent(path, segment)).collect() }
    }

    /// The key of a path whose segments, but for single elements, start at a place.
    fn key(&self, place: impl Fn(&Segment, usize) -> usize) -> u64 {
        let mut hash = self.hash.clone();
        let segments = self.path.segments().enumerate().filter(|(k, _)| self.extents[*k] > 0);
        segments.for_each(|(k, segment)| hash.write_usize(place(segment, k)));
        hash.finish()
    }
}

/// Where a segment that lies close goes on behind its start; 0 for a single element.
pub(super) fn extent(path: &Path, segment: &Segment) -> usize {
    segment.strides.iter().zip(&path.axes).map(|(stride, axis)| stride * axis.size).max().unwrap_or(0)
}
