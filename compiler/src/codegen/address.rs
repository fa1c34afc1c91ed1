//! Places of arrays: base pointers, rows, and symbolic sizes as values.

#![expect(clippy::indexing_slicing, reason = "buffers, scratch and symbols are those of the kernel's loops")]

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value, types};
use schur_ir::dim::Dim;
use schur_ir::program::{BufferKind, MAX_CHUNKS};

use crate::loops::{Access, Array, Pick, RowAddress, RowTerm};

use super::kernel::KernelBuilder;

impl KernelBuilder<'_> {
    /// A symbolic size as a value; its symbols' sizes were loaded at the entry.
    pub(super) fn size(&mut self, dim: &Dim) -> Value {
        if let Some(value) = self.dims.get(dim) {
            return *value;
        }
        let mut total = self.b.ins().iconst(types::I64, 0);
        for (coefficient, symbols) in dim.terms() {
            let mut term = self.b.ins().iconst(types::I64, coefficient);
            for symbol in symbols {
                let size = self.symbols[symbol];
                term = self.b.ins().imul(term, size);
            }
            total = self.b.ins().iadd(total, term);
        }
        total
    }

    /// How loads from an array may be treated: freely, where this kernel never writes it.
    pub(super) fn load_flags(&self, array: Array) -> MemFlagsData {
        let flags = MemFlagsData::new().with_notrap();
        match array {
            Array::Memory(buffer) if !self.written.contains(&buffer) => flags.with_readonly().with_can_move(),
            Array::Memory(_) | Array::Scratch(_) => flags,
        }
    }

    /// How stores may be treated.
    pub(super) fn store_flags(&self) -> MemFlagsData {
        MemFlagsData::new().with_notrap()
    }

    /// `place + at` as an address that instructions can hold: what does not fit in their 32 bits is added first.
    pub(super) fn displaced(&mut self, place: Value, at: usize) -> (Value, i32) {
        match i32::try_from(at) {
            Ok(at) => (place, at),
            Err(_) => (self.b.ins().iadd_imm_s(place, at as i64), 0),
        }
    }

    /// The size of an array's elements in bytes.
    pub(super) fn element_size(&self, array: Array) -> usize {
        match array {
            Array::Memory(buffer) => self.loops.buffers[buffer.index()].dtype.size(),
            Array::Scratch(_) => self.loops.dtype.size(),
        }
    }

    /// Where an array starts: of partial sums, this chunk's copy.
    pub(super) fn load_base(&mut self, buffers: Value, chunk: Value, array: Array) -> Option<Value> {
        let Array::Memory(buffer) = array else { return None };
        let flags = MemFlagsData::trusted().with_readonly();
        let base = self.b.ins().load(types::I64, flags, buffers, (buffer.0 * 8) as i32);
        let stated = &self.loops.buffers[buffer.index()];
        Some(match stated.kind {
            BufferKind::Input
            | BufferKind::Param
            | BufferKind::Output
            | BufferKind::Temporary
            | BufferKind::Prepared => base,
            BufferKind::Partial => {
                let elements = stated.elements();
                let all = self.size(&elements);
                let copy = self.b.ins().udiv_imm_u(all, MAX_CHUNKS as i64);
                let bytes = self.b.ins().imul_imm_s(copy, stated.dtype.size() as i64);
                let skip = self.b.ins().imul(bytes, chunk);
                self.b.ins().iadd(base, skip)
            }
        })
    }

    fn base(&mut self, array: Array) -> Value {
        match array {
            Array::Memory(buffer) => self.bases[&buffer],
            Array::Scratch(id) => {
                let offset = self.kernel.scratch[id.0 as usize].offset * self.kernel.tile * self.loops.dtype.size();
                let scratch = self.scratch;
                self.b.ins().iadd_imm_s(scratch, offset as i64)
            }
        }
    }

    /// The place of a segment's first element in the first row that statements are emitted for. Only for regular accesses.
    pub(super) fn first_pointer(&mut self, access: &Access) -> Value {
        match (&access.row, access.array, self.row) {
            (RowAddress::Row, _, Some(row)) => self.pointer(access, row),
            (RowAddress::Row, Array::Memory(_), None) => self.pointer(access, self.tile_first),
            (RowAddress::Row | RowAddress::Fixed | RowAddress::Computed(_), _, _) => {
                let size = self.element_size(access.array);
                let base = self.base(access.array);
                self.b.ins().iadd_imm_s(base, (access.segment.offset * size) as i64)
            }
        }
    }

    /// The place of a segment's first element in a row of the kernel.
    pub(super) fn pointer(&mut self, access: &Access, row: Value) -> Value {
        let row = match (&access.row, access.array) {
            (RowAddress::Fixed, _) => None,
            (RowAddress::Row, Array::Memory(_)) => Some(row),
            (RowAddress::Row, Array::Scratch(_)) => {
                let first = self.tile_first;
                Some(self.b.ins().isub(row, first))
            }
            (RowAddress::Computed(terms), _) => Some(self.computed_row(terms, row)),
        };
        let size = self.element_size(access.array);
        let mut place = self.base(access.array);
        if let Some(row) = row {
            let bytes = self.b.ins().imul_imm_s(row, (access.width * size) as i64);
            place = self.b.ins().iadd(place, bytes);
        }
        self.b.ins().iadd_imm_s(place, (access.segment.offset * size) as i64)
    }

    fn computed_row(&mut self, terms: &[RowTerm], row: Value) -> Value {
        let mut total = self.b.ins().iconst(types::I64, 0);
        for term in terms {
            let pick = match &term.pick {
                Pick::Coordinate(axis) => self.coordinate(*axis, row),
                Pick::Index(buffer, at) => {
                    let at = self.computed_row(at, row);
                    let bytes = self.b.ins().imul_imm_s(at, 4);
                    let place = self.bases[buffer];
                    let place = self.b.ins().iadd(place, bytes);
                    let flags = self.load_flags(Array::Memory(*buffer));
                    let index = self.b.ins().load(types::I32, flags, place, 0);
                    self.b.ins().sextend(types::I64, index)
                }
            };
            let stride = self.size(&term.stride);
            let scaled = self.b.ins().imul(pick, stride);
            total = self.b.ins().iadd(total, scaled);
        }
        total
    }

    /// The coordinate of a row along an axis of the kernel's rows.
    fn coordinate(&mut self, axis: usize, row: Value) -> Value {
        let dims = self.kernel.rows.clone();
        let inner = Dim::product(&dims[axis + 1..]);
        let mut coordinate = row;
        if !inner.is_one() {
            let inner = self.size(&inner);
            coordinate = self.b.ins().udiv(coordinate, inner);
        }
        if axis > 0 {
            let size = self.size(&dims[axis]);
            coordinate = self.b.ins().urem(coordinate, size);
        }
        coordinate
    }

    /// The smaller of two values that are not negative.
    pub(super) fn smaller(&mut self, a: Value, b: Value) -> Value {
        let less = self.b.ins().icmp(IntCC::SignedLessThan, a, b);
        self.b.ins().select(less, a, b)
    }
}
