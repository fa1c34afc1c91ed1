//! Which statements share a loop over rows.
//!
//! Statements that follow each other and go through rows one by one share a loop over rows: what they read and write in
//! memory is then met in its order, which is what caches foresee. Each alone would leave gaps in every row that the next
//! one comes back to; on a Zen 5, arrays larger than its caches took 2.7 times as long so.

#![expect(clippy::indexing_slicing, reason = "groups are of a kernel's statements, which touch scratch that it has")]

use std::ops::Range;

use crate::loops::{Access, Array, Kernel, RowAddress, Stmt};

/// Statements that are emitted together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// Which statements of the kernel.
    pub(super) statements: Range<usize>,
    /// True where they share a loop over rows; a statement that does not goes over the tile alone.
    pub(super) by_row: bool,
}

/// Whether sums over rows go row by row, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sums {
    /// Some vectors of all rows of the tile at a time, in registers: the fastest where the tile is in a cache.
    Across,
    /// Row by row, in memory: where arrays are larger than the caches, to meet them in their order is worth more.
    ByRow,
}

/// Some statements of a kernel, in order, those together that share a loop over rows.
pub(super) fn groups(kernel: &Kernel, statements: Range<usize>, sums: Sums) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for k in statements {
        let stmt = &kernel.body[k];
        let joins = |group: &&mut Group| {
            let mut before = kernel.body[group.statements.clone()].iter();
            before.all(|before| go_together(kernel, before, stmt, sums))
        };
        match groups.last_mut().filter(joins) {
            Some(group) => (group.statements.end, group.by_row) = (k + 1, true),
            None => {
                let by_row = sums == Sums::ByRow && stmt.adds_rows();
                groups.push(Group { statements: k..k + 1, by_row });
            }
        }
    }
    groups
}

/// True where two statements may be done row by row, one after the other in every row: none of them writes an array of the
/// tile whose place is a part of another's that the other one touches.
fn go_together(kernel: &Kernel, a: &Stmt, b: &Stmt, sums: Sums) -> bool {
    let scratch = |access: &Access| match access.array {
        Array::Scratch(id) => Some((id, kernel.scratch[id.0 as usize].places())),
        Array::Memory(_) => None,
    };
    let apart = |written: &Stmt, touched: &Stmt| {
        let Some((id, places)) = scratch(written.written()) else { return true };
        let others = touched.accesses().into_iter().filter_map(scratch).filter(|(other, _)| *other != id);
        others.into_iter().all(|(_, other)| other.end <= places.start || places.end <= other.start)
    };
    goes_by_rows(a, sums) && goes_by_rows(b, sums) && apart(a, b) && apart(b, a)
}

/// True where a statement computes rows of its output one by one, each element from one term: nothing is gained by taking
/// several rows at once.
fn goes_by_rows(stmt: &Stmt, sums: Sums) -> bool {
    let sums_axes = matches!(stmt, Stmt::Nest(nest) if nest.out.segment.sums(&nest.axes));
    let alone = stmt.written().row == RowAddress::Row && !sums_axes && !stmt.calls();
    alone || sums == Sums::ByRow && stmt.adds_rows()
}
