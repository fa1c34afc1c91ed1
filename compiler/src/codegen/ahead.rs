//! Rows of the next tile, which micro-kernels are told of so that they ask for them while they compute this one.

#![expect(clippy::indexing_slicing, reason = "buffers are those of the kernel's loops")]

use std::mem::offset_of;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use schur_ir::micro::{Ahead, Arguments};

use super::kernel::KernelBuilder;
use super::scope::Scope;

/// The place of a range's beginning among the arguments of micro-kernels.
fn range(k: usize) -> usize {
    offset_of!(Arguments, ahead) + offset_of!(Ahead, ranges) + k * size_of::<[*const u8; 2]>()
}

const LEFT: usize = offset_of!(Arguments, ahead) + offset_of!(Ahead, left);
const WORK: usize = offset_of!(Arguments, ahead) + offset_of!(Ahead, work);

impl KernelBuilder<'_> {
    /// Writes an argument of micro-kernels.
    fn set_argument(&mut self, value: Value, at: usize) {
        let slot = self.micros().arguments;
        self.b.ins().stack_store(types::I64, value, slot, at as i32);
    }

    /// Says that nothing is ahead, where the kernel calls micro-kernels.
    pub(super) fn nothing_ahead(&mut self) {
        if self.micros.is_none() {
            return;
        }
        let work = self.kernel.ahead.as_ref().map_or(1, |ahead| ahead.work);
        for (value, at) in [(work, WORK), (0, LEFT), (0, range(0)), (0, range(0) + size_of::<*const u8>())] {
            let value = self.b.ins().iconst(types::I64, value as i64);
            self.set_argument(value, at);
        }
    }

    /// Tells of the rows of the next tile, of which there are none at the `end`; asks for them at once where no product will.
    pub(super) fn look_ahead(&mut self, end: Value) {
        let Some(ahead) = &self.kernel.ahead else { return };
        let next = self.b.ins().iadd(self.tile_first, self.tile_rows);
        let left = self.b.ins().isub(end, next);
        let rows = self.smaller(left, self.tile_rows);
        for (k, (buffer, row_bytes)) in ahead.buffers.iter().enumerate() {
            let [skip, length] = [next, rows].map(|rows| self.b.ins().imul_imm_s(rows, *row_bytes as i64));
            let first = self.b.ins().iadd(self.bases[buffer], skip);
            let last = self.b.ins().iadd(first, length);
            self.set_argument(first, range(k + 1));
            self.set_argument(last, range(k + 1) + size_of::<*const u8>());
        }
        let [count, none] = [ahead.buffers.len() as i64, 0].map(|count| self.b.ins().iconst(types::I64, count));
        let count = self.b.ins().select(rows, count, none);
        self.set_argument(count, LEFT);
        if !self.do_products_ask() {
            self.ask(ahead.micro);
        }
    }

    /// True where products of this function ask for the rows of the next tile. Those of sections know of none.
    fn do_products_ask(&self) -> bool {
        !matches!(self.scope, Scope::Tiles(_))
    }

    /// Asks for what products did not ask for, if there is any.
    pub(super) fn ask_for_rest(&mut self) {
        let Some(ahead) = &self.kernel.ahead else { return };
        if !self.do_products_ask() {
            return;
        }
        let (ask, done) = (self.b.create_block(), self.b.create_block());
        let slot = self.micros().arguments;
        let left = self.b.ins().stack_load(types::I64, types::I64, slot, LEFT as i32);
        let is_left = self.b.ins().icmp_imm_s(IntCC::NotEqual, left, 0);
        self.b.ins().brif(is_left, ask, &[], done, &[]);
        self.b.switch_to_block(ask);
        self.b.seal_block(ask);
        self.ask(ahead.micro);
        self.b.ins().jump(done, &[]);
        self.b.switch_to_block(done);
        self.b.seal_block(done);
    }

    fn ask(&mut self, micro: usize) {
        let entry = self.entry_of(micro);
        self.call_entry(entry, &[], self.tile_rows);
    }
}
