//! All sizes of a call, computed by checked arithmetic from the symbols that its inputs bind.

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
    /// The bytes that the arena needs.
    pub(crate) arena: usize,
}

impl Sizes {
    /// Computes all sizes from the bindings.
    pub(crate) fn evaluate(&mut self, program: &Program, plan: &Plan) -> Result<(), CallError> {
        let Sizes { bindings, symbols, bytes, rows, arena } = self;
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
        let mut total = piece(plan.scratch);
        for buffer in &program.buffers {
            let size = buffer_bytes(buffer, bindings)?;
            bytes.push(size);
            match buffer.kind {
                BufferKind::Input | BufferKind::Param | BufferKind::Output => {}
                BufferKind::Temporary | BufferKind::Partial => {
                    total = total.and_then(|total| total.checked_add(piece(size)?));
                }
            }
        }
        *arena = total.ok_or_else(|| CallError::TooLarge { what: "the memory of all temporaries".into() })?;
        Ok(())
    }

    /// The shape of an output, axis by axis.
    pub(crate) fn shape<'a>(
        &'a self,
        program: &'a Program,
        slot: &'a OutputSlot,
    ) -> impl Iterator<Item = Result<usize, DimError>> + 'a {
        let buffer = &program.buffers[slot.buffer.index()];
        let (dims, width) = match &slot.shape {
            Some(_) => (&[][..], None),
            None => (buffer.dims.as_slice(), width_axis(buffer)),
        };
        let fixed = slot.shape.as_deref().unwrap_or(&[]).iter().copied();
        dims.iter().map(|dim| dim.evaluate(&self.bindings)).chain(fixed.chain(width).map(Ok))
    }
}

/// The last axis of an array: floats have one for their irreps, indices and masks none.
pub(crate) fn width_axis(buffer: &Buffer) -> Option<usize> {
    buffer.dtype.is_float().then_some(buffer.width)
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
