//! Calls of the micro-kernels that do several statements together.

use cranelift_codegen::ir::{InstBuilder, StackSlotData, StackSlotKind, Value, types};
use schur_ir::dim::Dim;

use crate::loops::Together;

use super::kernel::KernelBuilder;
use super::listing::location;

impl KernelBuilder<'_> {
    /// Calls the micro-kernel that does some statements together for all rows of the tile.
    pub(super) fn together(&mut self, together: &Together) {
        self.b.set_srcloc(location(together.statements.start));
        let mut arrays: Vec<Value> = together.arrays.iter().map(|access| self.first_pointer(access)).collect();
        arrays.extend(together.divisor.as_ref().map(|divisor| self.inverse(divisor)));
        let mut entry = self.entry_of(together.micro);
        if let (Some(beyond_caches), Some(most)) = (together.beyond_caches, self.kernel.by_row_above) {
            let beyond_caches = self.entry_of(beyond_caches);
            let is_beyond = self.are_rows_above(most);
            entry = self.b.ins().select(is_beyond, beyond_caches, entry);
        }
        self.call_entry(entry, &arrays, self.tile_rows);
    }

    /// Where the inverse of a size is, as an element of the program's type.
    fn inverse(&mut self, divisor: &Dim) -> Value {
        let size = self.size(divisor);
        let size = self.b.ins().fcvt_from_sint(self.scalar, size);
        let one = self.constant(1.0);
        let one = self.b.ins().extractlane(one, 0);
        let inverse = self.b.ins().fdiv(one, size);
        let slot = self.b.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, 8, 3));
        self.b.ins().stack_store(types::I64, inverse, slot, 0);
        self.b.ins().stack_addr(types::I64, slot, 0)
    }
}
