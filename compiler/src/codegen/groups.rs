//! Which statements share a loop over rows.
//!
//! Statements that follow each other and go through rows one by one share a loop over rows: what they read and write in
//! memory is then met in its order, which is what caches foresee. Each alone would leave gaps in every row that the next
//! one comes back to; on a Zen 5, arrays larger than its caches took 2.7 times as long so.

#![expect(clippy::indexing_slicing, reason = "groups are of a kernel's statements, which touch scratch that it has")]

use std::ops::Range;

use crate::loops::{Access, Array, Kernel, RowAddress, Stmt};

/// The statements of a kernel, in order, those together that share a loop over rows.
pub(super) fn groups(kernel: &Kernel) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    for (k, stmt) in kernel.body.iter().enumerate() {
        match groups.last_mut() {
            Some(group) if kernel.body[group.clone()].iter().all(|before| go_together(kernel, before, stmt)) => {
                group.end = k + 1;
            }
            _ => groups.push(k..k + 1),
        }
    }
    groups
}

/// True where two statements may be done row by row, one after the other in every row: none of them writes an array of the
/// tile whose place is a part of another's that the other one touches.
fn go_together(kernel: &Kernel, a: &Stmt, b: &Stmt) -> bool {
    let scratch = |access: &Access| match access.array {
        Array::Scratch(id) => Some((id, kernel.scratch[id.0 as usize].places())),
        Array::Memory(_) => None,
    };
    let apart = |written: &Stmt, touched: &Stmt| {
        let Some((id, places)) = scratch(written.written()) else { return true };
        let others = touched.accesses().into_iter().filter_map(scratch).filter(|(other, _)| *other != id);
        others.into_iter().all(|(_, other)| other.end <= places.start || places.end <= other.start)
    };
    goes_by_rows(a) && goes_by_rows(b) && apart(a, b) && apart(b, a)
}

/// True where a statement computes rows of its output one by one, each element from one term: nothing is gained by taking
/// several rows at once.
fn goes_by_rows(stmt: &Stmt) -> bool {
    let sums = match stmt {
        Stmt::Nest(nest) => nest.out.segment.sums(&nest.axes),
        Stmt::Zero { .. } | Stmt::Map(_) | Stmt::Max { .. } => false,
    };
    !sums && !stmt.calls() && stmt.written().row == RowAddress::Row
}
