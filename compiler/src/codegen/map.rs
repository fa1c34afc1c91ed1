//! Scalar expressions at every element, in vectors. Elements left over are computed in a vector too, one at a time.

#![expect(clippy::indexing_slicing, reason = "the verifier refuses maps that lack an operand")]

use std::collections::HashMap;

use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value, types};
use schur_ir::expr::{Binary, Expr, Unary};
use schur_ir::ty::DType;

use crate::loops::{Access, Array, MapStmt, RowAddress};

use super::control::{Count, Moving};
use super::kernel::KernelBuilder;
use super::math::little_endian;

/// Vectors a turn of a loop, for expressions of so few parts.
const UNROLL: usize = 4;
const MAX_UNROLLED: usize = 16;

impl<'a> KernelBuilder<'a> {
    /// Emits a map for the rows of the tile: as one run of elements where all arrays are contiguous over rows.
    pub(super) fn map(&mut self, map: &MapStmt) {
        let accesses: Vec<&Access> = map.accesses().collect();
        if let Some(call) = &map.call {
            let arrays: Vec<Value> = accesses.iter().map(|a| self.first_pointer(a)).collect();
            let rows = self.tile_rows;
            return self.call_micro(call, &arrays, rows);
        }
        let contiguous = |a: &&Access| a.row == RowAddress::Row && a.width == map.count && a.segment.offset == 0;
        if !self.kernel.rows.is_empty() && self.row.is_none() && accesses.iter().all(contiguous) {
            let places: Vec<Value> = accesses.iter().map(|a| self.first_pointer(a)).collect();
            let elements = self.b.ins().imul_imm_s(self.tile_rows, map.count as i64);
            let vectors = self.b.ins().udiv_imm_u(elements, self.lanes as i64);
            let rest = self.b.ins().urem_imm_u(elements, self.lanes as i64);
            self.run(map, &places, Count::Dynamic(vectors), Count::Dynamic(rest));
        } else {
            let (vectors, rest) = (map.count / self.lanes, map.count % self.lanes);
            self.each_row(&accesses, &mut |cx, places| {
                cx.run(map, places, Count::Static(vectors), Count::Static(rest));
            });
        }
    }

    /// A run of elements: vectors, then single elements.
    fn run(&mut self, map: &MapStmt, places: &[Value], vectors: Count, rest: Count) {
        let lanes = self.lanes;
        let unrolled = if map.expr.size() <= MAX_UNROLLED { UNROLL } else { 1 };
        let (turns, left) = match vectors {
            Count::Static(n) => (Count::Static(n / unrolled), Count::Static(n % unrolled)),
            Count::Dynamic(n) => {
                let turns = self.b.ins().udiv_imm_u(n, unrolled as i64);
                (Count::Dynamic(turns), Count::Dynamic(self.b.ins().urem_imm_u(n, unrolled as i64)))
            }
        };
        let mut places = places.to_vec();
        for (count, vectors, lanes) in [(turns, unrolled, lanes), (left, 1, lanes), (rest, 1, 1)] {
            let moving = self.moving_elements(map, &places, vectors * lanes);
            self.repeat_or_unroll((count, vectors * map.expr.size()), &moving, &[], &mut |cx, places, _| {
                (0..vectors).for_each(|k| cx.elements(map, places, k * lanes, lanes));
                Vec::new()
            });
            places = moving.iter().map(|moving| self.after(count, moving)).collect();
        }
    }

    /// The places of a map, moving by `elements` a turn.
    fn moving_elements(&self, map: &MapStmt, places: &[Value], elements: usize) -> Vec<Moving> {
        let step = |access: &Access| (self.element_size(access.array) * elements) as i64;
        map.accesses().zip(places).map(|(access, &value)| Moving { value, step: step(access) }).collect()
    }

    /// Where a place is after all turns of a loop.
    fn after(&mut self, count: Count, moving: &Moving) -> Value {
        match count {
            Count::Static(n) => self.moved(moving, n),
            Count::Dynamic(n) => {
                let bytes = self.b.ins().imul_imm_s(n, moving.step);
                self.b.ins().iadd(moving.value, bytes)
            }
        }
    }

    /// `width` elements, `first` elements behind the places: all lanes, or the first alone.
    fn elements(&mut self, map: &MapStmt, places: &[Value], first: usize, width: usize) {
        let mut args = Vec::with_capacity(map.operands.len());
        for ((access, dtype), &place) in map.operands.iter().zip(&places[1..]) {
            let bytes = (first * self.element_size(access.array)) as i64;
            let place = self.b.ins().iadd_imm_s(place, bytes);
            args.push(self.argument(access.array, *dtype, place, width));
        }
        let value = self.expression(&map.expr, &args, &mut HashMap::new());
        let flags = self.store_flags();
        let value = if width > 1 { value } else { self.b.ins().extractlane(value, 0) };
        let bytes = first * self.element_size(map.out.array);
        let (place, at) = self.displaced(places[0], bytes);
        self.b.ins().store(flags, value, place, at);
    }

    fn argument(&mut self, array: Array, dtype: DType, place: Value, width: usize) -> Value {
        let flags = self.load_flags(array);
        match (dtype, width) {
            (DType::F32 | DType::F64, 1) => {
                let element = self.b.ins().load(self.scalar, flags, place, 0);
                self.b.ins().splat(self.vector, element)
            }
            (DType::F32 | DType::F64, _) => self.unfolded_load(flags, place),
            (DType::Bool | DType::I32, _) => {
                let mut vector = self.constant(0.0);
                for lane in 0..width {
                    let byte = self.b.ins().uload8(types::I64, flags, place, lane as i32);
                    let element = self.b.ins().fcvt_from_sint(self.scalar, byte);
                    vector = self.b.ins().insertlane(vector, element, lane as u8);
                }
                vector
            }
        }
    }

    /// A vector load that is never folded into the instruction that uses it: Cranelift 0.135 folds loads into SSE's
    /// `cmpps` and `cmppd` whatever their alignment, and these trap on places that are not aligned to 16 bytes.
    fn unfolded_load(&mut self, flags: MemFlagsData, place: Value) -> Value {
        let integers = self.integers();
        let bits = self.b.ins().load(integers, flags, place, 0);
        self.b.ins().bitcast(self.vector, little_endian(), bits)
    }

    /// The value of an expression in all lanes; equal parts are computed once.
    fn expression<'e>(&mut self, expr: &'e Expr, args: &[Value], known: &mut HashMap<&'e Expr, Value>) -> Value {
        if let Some(value) = known.get(expr) {
            return *value;
        }
        let value = match expr {
            Expr::Arg(k) => args[*k],
            Expr::Const(c) => self.constant(c.0),
            Expr::Unary(op, x) => {
                let x = self.expression(x, args, known);
                self.unary(*op, x)
            }
            Expr::Binary(Binary::Add, x, y) if let Expr::Binary(Binary::Mul, a, b) = &**x => {
                let factors = [self.expression(a, args, known), self.expression(b, args, known)];
                let y = self.expression(y, args, known);
                self.multiply_add(&factors, Some(y))
            }
            Expr::Binary(Binary::Max, x, zero) if is_zero(zero) => {
                let x = self.expression(x, args, known);
                self.positive_part(x)
            }
            Expr::Binary(op, x, y) => {
                let (x, y) = (self.expression(x, args, known), self.expression(y, args, known));
                self.binary(*op, x, y)
            }
            Expr::Select(condition, x, y) => {
                let condition = self.expression(condition, args, known);
                let (x, y) = (self.expression(x, args, known), self.expression(y, args, known));
                let zero = self.constant(0.0);
                let mask = self.b.ins().fcmp(FloatCC::NotEqual, condition, zero);
                self.pick(mask, x, y)
            }
        };
        known.insert(expr, value);
        value
    }

    fn unary(&mut self, op: Unary, x: Value) -> Value {
        match op {
            Unary::Neg => self.b.ins().fneg(x),
            Unary::Abs => self.b.ins().fabs(x),
            Unary::Sqrt => self.b.ins().sqrt(x),
            Unary::Exp => self.exp(x),
            Unary::Tanh => self.tanh(x),
            Unary::Sigmoid => self.sigmoid(x),
            Unary::Softplus => self.softplus(x),
        }
    }

    fn binary(&mut self, op: Binary, x: Value, y: Value) -> Value {
        match op {
            Binary::Add => self.b.ins().fadd(x, y),
            Binary::Sub => self.b.ins().fsub(x, y),
            Binary::Mul => self.b.ins().fmul(x, y),
            Binary::Div => self.b.ins().fdiv(x, y),
            Binary::Max => self.b.ins().fmax(x, y),
            Binary::Gt => self.compare(FloatCC::GreaterThan, x, y),
            Binary::Eq => self.compare(FloatCC::Equal, x, y),
        }
    }

    /// 1 where the comparison holds, else 0.
    fn compare(&mut self, condition: FloatCC, x: Value, y: Value) -> Value {
        let one = self.constant(1.0);
        let mask = self.b.ins().fcmp(condition, x, y);
        self.keep(mask, one)
    }
}

/// True for the constant 0, not −0.
fn is_zero(expr: &Expr) -> bool {
    expr.as_constant().is_some_and(|c| c.to_bits() == 0)
}
