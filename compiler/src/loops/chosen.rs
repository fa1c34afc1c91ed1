//! The micro-kernels of a program, and those that are chosen for a statement.

#![expect(clippy::indexing_slicing, reason = "places are of the list that they are of")]

use schur_ir::micro::Micro;

use super::{Kernel, MicroCall, Stmt, Together};

/// The place of a micro-kernel in the list, to which it is added where it is not there yet.
pub(super) fn place(micros: &mut Vec<Micro>, micro: Micro) -> usize {
    let known = micros.iter().position(|m| *m == micro);
    known.unwrap_or_else(|| {
        micros.push(micro);
        micros.len() - 1
    })
}

/// Lists what kernels call alone, in the order of the calls. What a statement called by itself is not called where another micro-kernel
/// does more.
pub(super) fn list_used(kernels: &mut [Kernel], micros: &mut Vec<Micro>) {
    let (mut places, mut used) = (vec![None; micros.len()], Vec::new());
    for place in kernels.iter_mut().flat_map(called) {
        *place = *places[*place].get_or_insert_with(|| {
            used.push(micros[*place].clone());
            used.len() - 1
        });
    }
    *micros = used;
}

/// The places of what a kernel calls.
fn called(kernel: &mut Kernel) -> impl Iterator<Item = &mut usize> {
    let calls = kernel.body.iter_mut().filter_map(Stmt::call_mut);
    let calls = calls.flat_map(|MicroCall { micro, first, .. }| [Some(micro), first.as_mut()]);
    let together = kernel.together.iter_mut();
    let together = together.flat_map(|Together { micro, beyond_caches, .. }| [Some(micro), beyond_caches.as_mut()]);
    let ahead = kernel.ahead.iter_mut().map(|ahead| Some(&mut ahead.micro));
    calls.chain(together).chain(ahead).flatten()
}

/// A micro-kernel for a statement.
pub(super) struct Chosen {
    pub(super) micro: Micro,
    pub(super) arrays: Vec<usize>,
    pub(super) outer: Vec<usize>,
    pub(super) by_row: bool,
}

impl Chosen {
    /// The call, of which the micro-kernel is listed.
    pub(super) fn call(self, micros: &mut Vec<Micro>) -> MicroCall {
        let Chosen { micro, arrays, outer, by_row } = self;
        MicroCall { micro: place(micros, micro), arrays, outer, by_row, first: None }
    }
}
