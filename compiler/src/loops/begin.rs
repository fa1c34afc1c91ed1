//! Sums over rows that need no zeros to start from: the first tile of a chunk sets what the others add to.

#![expect(
    clippy::indexing_slicing,
    reason = "buffers are those that the kernel's statements touch; micros those they call"
)]

use schur_ir::dim::Dim;
use schur_ir::micro::{Micro, Product};
use schur_ir::program::{Buffer, BufferId, BufferKind};

use super::body::set_first;
use super::select::place;
use super::{Array, Kernel, Nest, RowAddress, Stmt, Write};

/// The partial sums of a kernel whose every element is first written by a micro-kernel that sums all rows of a tile. In the
/// first tile of a chunk these set instead of adding.
pub(super) fn sums(kernel: &mut Kernel, buffers: &[Buffer], micros: &mut Vec<Micro>) -> Vec<BufferId> {
    let mut written: Vec<BufferId> = kernel.body.iter().filter_map(|stmt| stmt.written().array.memory()).collect();
    written.sort_unstable();
    written.dedup();
    written.retain(|&id| {
        let buffer = &buffers[id.index()];
        buffer.kind == BufferKind::Partial
            && Dim::product(&buffer.dims).is_one()
            && first_writers(kernel, id, buffer.width).is_some_and(|first| {
                first.into_iter().for_each(|k| set_in_first_tile(&mut kernel.body[k], micros));
                true
            })
    });
    written
}

/// The statements that are the first to write their elements, where together they write all; none where one of the
/// statements could not set what it writes.
fn first_writers(kernel: &Kernel, id: BufferId, width: usize) -> Option<Vec<usize>> {
    let writers = kernel.body.iter().enumerate().filter(|(_, stmt)| stmt.written().array == Array::Memory(id));
    let writers = writers.map(|(k, stmt)| Some((k, sum_of_tile(stmt)?.clone()))).collect::<Option<Vec<_>>>()?;
    let (places, mut nests): (Vec<usize>, Vec<Nest>) = writers.into_iter().unzip();
    let written = set_first(&mut nests, vec![false; width])?;
    let sets = places.into_iter().zip(&nests).filter(|(_, nest)| nest.write == Write::Set);
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
