//! The micro-kernels of a program, and those that are chosen for a statement.

use schur_ir::micro::Micro;

use super::MicroCall;

/// The place of a micro-kernel in the list, to which it is added where it is not there yet.
pub(super) fn place(micros: &mut Vec<Micro>, micro: Micro) -> usize {
    let known = micros.iter().position(|m| *m == micro);
    known.unwrap_or_else(|| {
        micros.push(micro);
        micros.len() - 1
    })
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
