//! Loops over the rows of a tile, and the statements that are no more than that: zeros and maxima.

#![expect(clippy::indexing_slicing, reason = "a statement has as many places as accesses")]

use cranelift_codegen::ir::{InstBuilder, Value};

use crate::loops::strides::is_regular;
use crate::loops::{Access, RowAddress};

use super::control::{Count, Moving};
use super::kernel::KernelBuilder;

impl<'a> KernelBuilder<'a> {
    /// How many rows statements are emitted for.
    pub(super) fn rows(&self) -> Count {
        if self.row.is_some() { Count::Static(1) } else { Count::Dynamic(self.tile_rows) }
    }

    /// Emits a loop over the rows of the tile, and in it `body` for one row.
    pub(super) fn row_by_row(&mut self, body: &mut dyn FnMut(&mut KernelBuilder<'a>)) {
        let row = Moving { value: self.tile_first, step: 1 };
        self.repeat(Count::Dynamic(self.tile_rows), &[row], &[], &mut |cx, row, _| {
            cx.row = Some(row[0]);
            body(cx);
            cx.row = None;
            Vec::new()
        });
    }

    /// Emits `body` for every row of the tile, given the places of the accesses in that row.
    pub(super) fn each_row(&mut self, accesses: &[&Access], body: &mut dyn FnMut(&mut KernelBuilder<'a>, &[Value])) {
        let rows = self.rows();
        if accesses.iter().all(|a| is_regular(a)) {
            let moving: Vec<Moving> = accesses
                .iter()
                .map(|a| {
                    let width = if a.row == RowAddress::Row { a.width * self.element_size(a.array) } else { 0 };
                    Moving { value: self.first_pointer(a), step: width as i64 }
                })
                .collect();
            self.repeat(rows, &moving, &[], &mut |cx, places, _| {
                body(cx, places);
                Vec::new()
            });
        } else {
            let row = Moving { value: self.row.unwrap_or(self.tile_first), step: 1 };
            self.repeat(rows, &[row], &[], &mut |cx, row, _| {
                let places: Vec<Value> = accesses.iter().map(|a| cx.pointer(a, row[0])).collect();
                body(cx, &places);
                Vec::new()
            });
        }
    }

    /// Emits zeros for the rows of the tile.
    pub(super) fn zero(&mut self, out: &Access, count: usize) {
        let (size, lanes, flags) = (self.loops.dtype.size(), self.lanes, self.store_flags());
        self.each_row(&[out], &mut |cx, places| {
            let zero = cx.constant(0.0);
            let wide = Moving { value: places[0], step: (lanes * size) as i64 };
            cx.repeat_or_unroll((Count::Static(count / lanes), 1), &[wide], &[], &mut |cx, p, _| {
                cx.b.ins().store(flags, zero, p[0], 0);
                Vec::new()
            });
            let rest = cx.b.ins().iadd_imm_s(places[0], (count / lanes * lanes * size) as i64);
            let narrow = Moving { value: rest, step: size as i64 };
            let lane = cx.b.ins().extractlane(zero, 0);
            cx.repeat_or_unroll((Count::Static(count % lanes), 1), &[narrow], &[], &mut |cx, p, _| {
                cx.b.ins().store(flags, lane, p[0], 0);
                Vec::new()
            });
        });
    }

    /// Emits a running maximum for the rows of the tile.
    pub(super) fn max(&mut self, value: &Access, out: &Access, count: usize) {
        let size = self.loops.dtype.size() as i64;
        let (load, own, store) = (self.load_flags(value.array), self.load_flags(out.array), self.store_flags());
        self.each_row(&[out, value], &mut |cx, places| {
            let moving = [Moving { value: places[0], step: size }, Moving { value: places[1], step: size }];
            cx.repeat_or_unroll((Count::Static(count), 1), &moving, &[], &mut |cx, p, _| {
                let scalar = cx.scalar;
                let best = cx.b.ins().load(scalar, own, p[0], 0);
                let x = cx.b.ins().load(scalar, load, p[1], 0);
                let larger = cx.b.ins().fmax(best, x);
                cx.b.ins().store(store, larger, p[0], 0);
                Vec::new()
            });
        });
    }
}
