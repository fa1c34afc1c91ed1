//! Which statements share a loop over rows.
//!
//! Statements that follow each other and go through rows one by one share a loop over rows: what they read and write in
//! memory is then met in its order, which is what caches foresee. Each alone would leave gaps in every row that the next
//! one comes back to; on a Zen 5, arrays larger than its caches took 2.7 times as long so.

#![expect(clippy::indexing_slicing, reason = "groups are of a kernel's statements, which touch scratch that it has")]

use std::ops::Range;

use crate::loops::{Kernel, RowAddress, Stmt, Together};

/// Statements that are emitted together.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Group<'k> {
    /// Which statements of the kernel.
    pub(super) statements: Range<usize>,
    /// How they are emitted.
    pub(super) emission: Emission<'k>,
}

/// How statements are emitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Emission<'k> {
    /// One, which goes over the tile alone.
    Alone,
    /// They share a loop over rows.
    ByRow,
    /// One micro-kernel does them.
    Together(&'k Together),
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
pub(super) fn groups(kernel: &Kernel, statements: Range<usize>, sums: Sums) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    // Those that a section holds a part of alone are generated code.
    let is_whole = |of: &Range<usize>| statements.start <= of.start && of.end <= statements.end;
    for k in statements.clone() {
        if let Some(together) = kernel.together_with(k).filter(|together| is_whole(&together.statements)) {
            if together.statements.start == k {
                groups.push(Group { statements: together.statements.clone(), emission: Emission::Together(together) });
            }
            continue;
        }
        let stmt = &kernel.body[k];
        let joins = |group: &&mut Group<'_>| {
            let mut before = kernel.body[group.statements.clone()].iter();
            let is_generated = !matches!(group.emission, Emission::Together(_));
            is_generated && before.all(|before| go_together(kernel, before, stmt, sums))
        };
        match groups.last_mut().filter(joins) {
            Some(group) => (group.statements.end, group.emission) = (k + 1, Emission::ByRow),
            None => {
                let by_row = sums == Sums::ByRow && stmt.adds_rows();
                groups.push(Group {
                    statements: k..k + 1,
                    emission: if by_row { Emission::ByRow } else { Emission::Alone },
                });
            }
        }
    }
    groups
}

/// True where two statements may share a loop over rows.
fn go_together(kernel: &Kernel, a: &Stmt, b: &Stmt, sums: Sums) -> bool {
    goes_by_rows(a, sums) && goes_by_rows(b, sums) && kernel.are_apart(a, b)
}

/// True where a statement computes rows of its output one by one, each element from one term: nothing is gained by taking
/// several rows at once.
fn goes_by_rows(stmt: &Stmt, sums: Sums) -> bool {
    let sums_axes = matches!(stmt, Stmt::Nest(nest) if nest.out.segment.sums(&nest.axes));
    let alone = stmt.written().row == RowAddress::Row && !sums_axes && !stmt.calls();
    alone || sums == Sums::ByRow && stmt.adds_rows()
}
