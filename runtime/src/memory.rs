//! How much memory there is, and what is refused before it is tried.

use schur_ir::program::{BufferKind, Program};

use crate::bind::CallError;
use crate::sizes::Sizes;

pub use schur_ir::memory::total;

/// Checks that a call needs no more than `most`: its temporaries, what is prepared for it, and the outputs where `outputs`
/// says that it allocates them; and that it goes over no more rows than that, though they have no elements.
pub(crate) fn check(program: &Program, sizes: &Sizes, outputs: bool, most: usize) -> Result<(), CallError> {
    let kinds = program.buffers.iter().zip(&sizes.bytes);
    let returned = kinds.filter(|(buffer, _)| outputs && buffer.kind == BufferKind::Output).map(|(_, bytes)| *bytes);
    let wanted = returned.fold(sizes.arena.saturating_add(sizes.prepared), usize::saturating_add);
    if let Some(rows) = sizes.rows.iter().find(|rows| **rows > most) {
        return Err(CallError::TooLarge { what: format!("an array of the {rows} rows that this call goes over") });
    }
    if wanted <= most {
        return Ok(());
    }
    Err(CallError::TooLarge { what: format!("what this call allocates: {wanted} bytes, where {most} are allowed,") })
}
