//! Sums over rows that need no zeros to start from: the first tile of a chunk sets what the others add to.

#![expect(
    clippy::indexing_slicing,
    reason = "buffers are those that the kernel's statements touch; micros those they call"
)]

use std::collections::BTreeMap;

use schur_ir::dim::Dim;
use schur_ir::micro::{Micro, Product};
use schur_ir::program::{Buffer, BufferId, BufferKind};

use super::body::set_first;
use super::chosen::place;
use super::{Kernel, Nest, RowAddress, Stmt, Write};

/// The partial sums of a kernel whose every element is first written by a micro-kernel that sums all rows of a tile. In the
/// first tile of a chunk these set instead of adding.
pub(super) fn sums(kernel: &mut Kernel, buffers: &[Buffer], micros: &mut Vec<Micro>) -> Vec<BufferId> {
    let mut writers: BTreeMap<BufferId, Vec<usize>> = BTreeMap::new();
    for (k, stmt) in kernel.body.iter().enumerate() {
        stmt.written().array.memory().into_iter().for_each(|id| writers.entry(id).or_default().push(k));
    }
    writers.retain(|id, writers| {
        let buffer = &buffers[id.index()];
        buffer.kind == BufferKind::Partial
            && Dim::product(&buffer.dims).is_one()
            && first_writers(kernel, writers, buffer.width).is_some_and(|first| {
                first.into_iter().for_each(|k| set_in_first_tile(&mut kernel.body[k], micros));
                true
            })
    });
    writers.into_keys().collect()
}

/// Of the statements that write a buffer those that are the first to write their elements, where together they write all;
/// none where one of the statements could not set what it writes.
fn first_writers(kernel: &Kernel, writers: &[usize], width: usize) -> Option<Vec<usize>> {
    let nests = writers.iter().map(|k| sum_of_tile(&kernel.body[*k]).cloned());
    let mut nests = nests.collect::<Option<Vec<Nest>>>()?;
    let written = set_first(&mut nests, vec![false; width])?;
    let sets = writers.iter().copied().zip(&nests).filter(|(_, nest)| nest.write == Write::Set);
    written.iter().all(|element| *element).then(|| sets.map(|(k, _)| k).collect())
}

/// The nest of a statement, where a micro-kernel sums all rows of a tile in one call.
fn sum_of_tile(stmt: &Stmt) -> Option<&Nest> {
    let Stmt::Nest(nest) = stmt else { return None };
    let call = nest.call.as_ref()?;
    (nest.write == Write::Add && nest.out.row == RowAddress::Fixed && !call.by_row).then_some(nest)
}

fn set_in_first_tile(stmt: &mut Stmt, micros: &mut Vec<Micro>) {
    if let Stmt::Nest(nest) = stmt
        && let Some(call) = &mut nest.call
        && let Micro::Product(product) = &micros[call.micro]
    {
        let setting = Micro::Product(Product { accumulate: false, ..product.clone() });
        call.first = Some(place(micros, setting));
    }
}
