//! All sizes of a call, computed by checked arithmetic from the symbols that its inputs bind.

#![expect(clippy::indexing_slicing, reason = "places are of a checked program")]

use schur_ir::dim::{Bindings, Dim, DimError};
use schur_ir::program::{Buffer, BufferKind, MAX_CHUNKS, OutputSlot, Program};

use crate::arena::piece;
use crate::bind::CallError;
use crate::plan::Plan;

/// The sizes of a call; kept between calls for its memory.
#[derive(Debug, Default)]
pub(crate) struct Sizes {
    /// The size of every symbol.
    pub(crate) bindings: Bindings,
    /// The same, as kernels are given them.
    pub(crate) symbols: Vec<i64>,
    /// The bytes of every buffer, copies included.
    pub(crate) bytes: Vec<usize>,
    /// The rows of every kernel.
    pub(crate) rows: Vec<usize>,
    /// The bytes of scratch of all threads.
    pub(crate) scratch: usize,
    /// The bytes that the arena of every call needs.
    pub(crate) arena: usize,
    /// The bytes that prepared buffers need.
    pub(crate) prepared: usize,
    /// The shapes of all outputs, one after the other.
    shapes: Vec<usize>,
    /// Where the shape of each output ends.
    ends: Vec<usize>,
}

impl Sizes {
    /// Computes all sizes from the bindings, for calls that may use so many threads.
    pub(crate) fn evaluate(&mut self, program: &Program, plan: &Plan, threads: usize) -> Result<(), CallError> {
        let Sizes { bindings, symbols, bytes, rows, scratch, arena, prepared, shapes, ends } = self;
        symbols.clear();
        for symbol in &program.symbols {
            let size = *bindings.get(symbol).ok_or_else(|| DimError::Unbound(symbol.clone()))?;
            symbols.push(i64::try_from(size).map_err(|_| DimError::Overflow(Dim::symbol(symbol.clone())))?);
        }
        rows.clear();
        for kernel in &program.kernels {
            rows.push(kernel.rows.evaluate(bindings)?);
        }
        bytes.clear();
        let too_large = || CallError::TooLarge { what: "the memory of all temporaries".into() };
        *scratch = piece(plan.scratch).and_then(|one| one.checked_mul(threads)).ok_or_else(too_large)?;
        let (mut total, mut kept) = (Some(*scratch), Some(0usize));
        for buffer in &program.buffers {
            let size = buffer_bytes(buffer, bindings)?;
            bytes.push(size);
            match buffer.kind {
                BufferKind::Input | BufferKind::Param | BufferKind::Output => {}
                BufferKind::Temporary | BufferKind::Partial => {
                    total = total.and_then(|total| total.checked_add(piece(size)?));
                }
                BufferKind::Prepared => kept = kept.and_then(|kept| kept.checked_add(piece(size)?)),
            }
        }
        *arena = total.ok_or_else(too_large)?;
        *prepared = kept.ok_or_else(too_large)?;
        shapes.clear();
        ends.clear();
        for slot in &program.outputs {
            push_shape(&program.buffers[slot.buffer.index()], slot, bindings, shapes)?;
            ends.push(shapes.len());
        }
        Ok(())
    }

    /// The shape of an output.
    pub(crate) fn shape(&self, output: usize) -> &[usize] {
        let start = output.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.shapes[start..self.ends[output]]
    }
}

fn push_shape(
    buffer: &Buffer,
    slot: &OutputSlot,
    bindings: &Bindings,
    shapes: &mut Vec<usize>,
) -> Result<(), DimError> {
    match &slot.shape {
        Some(shape) => shapes.extend(shape),
        None => {
            for dim in &buffer.dims {
                shapes.push(dim.evaluate(bindings)?);
            }
            shapes.extend(buffer.width_axis());
        }
    }
    Ok(())
}

fn buffer_bytes(buffer: &Buffer, bindings: &Bindings) -> Result<usize, CallError> {
    let copies = if buffer.kind == BufferKind::Partial { MAX_CHUNKS } else { 1 };
    let fixed = buffer.width.checked_mul(copies).and_then(|n| n.checked_mul(buffer.dtype.size()));
    let (mut bytes, mut empty) = (fixed, buffer.width == 0);
    for dim in &buffer.dims {
        let size = dim.evaluate(bindings)?;
        empty |= size == 0;
        bytes = bytes.and_then(|bytes| bytes.checked_mul(size));
    }
    let fits = bytes.filter(|bytes| isize::try_from(*bytes).is_ok());
    let too_large = || CallError::TooLarge { what: format!("the array `{}`", buffer.label) };
    if empty { Ok(0) } else { fits.ok_or_else(too_large) }
}
