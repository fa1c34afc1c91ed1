//! Rules of normal form on the paths of one contraction.

use schur_ir::expr::Scalar;
use schur_ir::graph::{Contract, Path};
use schur_ir::path::keep_zeros;
use schur_ir::ty::Type;

use super::{Action, Rule};
use crate::simplify::neighbours::Neighbours;
use crate::simplify::path_algebra::{drop_unit_axes, is_void, join, sort_path, sum_free_axes};

/// A path with an empty axis or coefficient 0 adds nothing.
pub(super) static DROP_VOID: Rule = Rule { name: "drop-void-paths", exact: true, action: Action::Contract(drop_void) };

/// An axis of size 1 is not iterated over.
pub(super) static DROP_UNIT_AXES: Rule =
    Rule { name: "drop-unit-axes", exact: true, action: Action::Contract(|c, _| every(c, drop_unit_axes)) };

/// `Σ_u c x = n c x` where nothing depends on u.
pub(super) static SUM_FREE_AXES: Rule =
    Rule { name: "sum-free-axes", exact: false, action: Action::Contract(sum_free) };

/// Two axes that are contiguous in all segments are one: `[u, i] = [ui]`.
pub(super) static MERGE_AXES: Rule =
    Rule { name: "merge-axes", exact: true, action: Action::Contract(|c, _| every(c, Path::merge_axes)) };

/// Paths, their factors and their axes have one order.
pub(super) static SORT: Rule = Rule { name: "sort-paths", exact: false, action: Action::Contract(sort) };

/// `a p + b p = (a + b) p`.
pub(super) static ADD_EQUAL: Rule = Rule { name: "add-equal-paths", exact: false, action: Action::Contract(add_equal) };

/// Two paths that are the halves of a longer one along some axis are that path: chunks written apart become one.
pub(super) static JOIN_NEIGHBOURS: Rule =
    Rule { name: "join-neighbour-paths", exact: false, action: Action::Contract(join_neighbours) };

fn every(contract: &mut Contract, change: fn(&mut Path) -> bool) -> bool {
    contract.paths.iter_mut().fold(false, |changed, path| change(path) | changed)
}

fn sum_free(contract: &mut Contract, ty: &Type) -> bool {
    contract.paths.iter_mut().fold(false, |changed, path| sum_free_axes(path, ty.dtype) | changed)
}

fn drop_void(contract: &mut Contract, _: &Type) -> bool {
    let before = contract.paths.len();
    contract.paths.retain(|path| !is_void(path));
    contract.paths.len() != before
}

fn sort(contract: &mut Contract, _: &Type) -> bool {
    let changed = every(contract, sort_path);
    fn key(path: &Path) -> impl Ord + '_ {
        (&path.out, &path.factors, &path.axes, path.coefficient)
    }
    let sorted = contract.paths.is_sorted_by(|a, b| key(a) <= key(b));
    contract.paths.sort_by(|a, b| key(a).cmp(&key(b)));
    changed | !sorted
}

fn add_equal(contract: &mut Contract, ty: &Type) -> bool {
    let before = contract.paths.len();
    let equal = |a: &Path, b: &Path| (&a.out, &a.factors, &a.axes) == (&b.out, &b.factors, &b.axes);
    contract.paths.dedup_by(|next, kept| {
        let sum = kept.coefficient.0 + next.coefficient.0;
        let same = equal(next, kept) && ty.dtype.holds(sum);
        if same {
            kept.coefficient = Scalar(sum);
        }
        same
    });
    contract.paths.len() != before
}

fn join_neighbours(contract: &mut Contract, ty: &Type) -> bool {
    if contract.paths.len() < 2 {
        return false;
    }
    let mut neighbours = Neighbours::new(&contract.paths);
    let mut paths: Vec<Option<Path>> = std::mem::take(&mut contract.paths).into_iter().map(Some).collect();
    let mut changed = false;
    for i in 0..paths.len() {
        while let Some(path) = &paths[i] {
            let joined = neighbours.behind(i, path).into_iter().find_map(|j| {
                let mut joined = join(path, paths[j].as_ref()?)?;
                joined.merge_axes();
                sort_path(&mut joined);
                keep_zeros(std::slice::from_ref(&joined), ty).then_some((j, joined))
            });
            let Some((j, joined)) = joined else { break };
            neighbours.insert(i, &joined);
            (paths[i], paths[j]) = (Some(joined), None);
            changed = true;
        }
    }
    contract.paths = paths.into_iter().flatten().collect();
    changed
}

/// The rules on paths that two contractions may need before one is read through the other, once each.
pub(super) fn tidy_paths(contract: &mut Contract, ty: &Type) {
    every(contract, drop_unit_axes);
    every(contract, Path::merge_axes);
    sort(contract, ty);
    join_neighbours(contract, ty);
}
