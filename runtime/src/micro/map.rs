//! Scalar expressions at every element, some vectors at a time.
//!
//! An expression becomes a list of instructions on registers of several vectors, equal parts once; a block of elements
//! goes through all of them while it is in the first cache.

#![allow(clippy::needless_range_loop, reason = "loops over registers count in several arrays at once")]

use std::collections::HashMap;

use schur_ir::expr::{Binary, Expr, Unary};
pub(super) use schur_ir::micro::MAX_ARRAYS;
use schur_ir::micro::{MAX_MAP_PARTS, Map};

use super::functions::{absolute, exp, sigmoid, softplus, tanh};
use super::simd::Simd;

/// Vectors that an instruction works on at once.
const BLOCK: usize = 4;

/// Applies a function to every vector.
macro_rules! each {
    ($out:ident, $N:ident, |$v:ident| $value:expr) => {
        for $v in 0..$N {
            $out[$v] = $value;
        }
    };
}

/// What is computed, in order; registers are numbered by their instructions.
#[derive(Clone, Copy, Debug)]
enum Instruction {
    /// An element of an operand.
    Load(usize),
    Constant(f64),
    Unary(Unary, usize),
    Binary(Binary, usize, usize),
    Select(usize, usize, usize),
}

/// A map, ready to be called.
pub(super) struct Plan<T: 'static> {
    map: Map,
    instructions: Vec<Instruction>,
    /// A run of elements: `(instructions, arrays, count)`, the written array first.
    run: RunFn<T>,
}

/// Computes a run of elements.
pub(super) type RunFn<T> = unsafe fn(&Code, &[*mut T; MAX_ARRAYS], usize);

/// The instructions of a map.
pub(super) struct Code<'p>(&'p [Instruction]);

impl<T> Plan<T> {
    pub(super) fn new(map: &Map, run: RunFn<T>) -> Self {
        let mut instructions = Vec::new();
        flatten(&map.expr, &mut instructions, &mut HashMap::new());
        Plan { map: map.clone(), instructions, run }
    }

    /// Computes all rows.
    ///
    /// # Safety
    /// As [`schur_ir::micro::MicroFn`] says, on a machine with the instruction set of `run`.
    pub(super) unsafe fn run(&self, given: *const *mut T, rows: usize) {
        let mut arrays = [std::ptr::null_mut(); MAX_ARRAYS];
        let code = Code(&self.instructions);
        let strides = &self.map.rows;
        // SAFETY: the caller's.
        unsafe {
            for (k, array) in arrays.iter_mut().enumerate().take(strides.len()) {
                *array = *given.add(k);
            }
            if strides.iter().all(|stride| *stride == self.map.count) {
                return (self.run)(&code, &arrays, rows * self.map.count);
            }
            for _ in 0..rows {
                (self.run)(&code, &arrays, self.map.count);
                for (array, stride) in arrays.iter_mut().zip(strides) {
                    *array = array.add(*stride);
                }
            }
        }
    }
}

/// The register of an expression, after the instructions that it needs.
fn flatten<'e>(expr: &'e Expr, code: &mut Vec<Instruction>, known: &mut HashMap<&'e Expr, usize>) -> usize {
    if let Some(register) = known.get(expr) {
        return *register;
    }
    let instruction = match expr {
        Expr::Arg(k) => Instruction::Load(*k),
        Expr::Const(c) => Instruction::Constant(c.0),
        Expr::Unary(op, x) => Instruction::Unary(*op, flatten(x, code, known)),
        Expr::Binary(op, x, y) => {
            let (x, y) = (flatten(x, code, known), flatten(y, code, known));
            Instruction::Binary(*op, x, y)
        }
        Expr::Select(c, x, y) => {
            let (c, x, y) = (flatten(c, code, known), flatten(x, code, known), flatten(y, code, known));
            Instruction::Select(c, x, y)
        }
    };
    code.push(instruction);
    known.insert(expr, code.len() - 1);
    code.len() - 1
}

/// The values of instructions.
type Registers<S> = [[<S as Simd>::V; BLOCK]; MAX_MAP_PARTS];

/// A run of elements: blocks, then single vectors.
///
/// # Safety
/// As for [`Simd`]; the arrays hold `count` elements.
#[inline(always)]
pub(super) unsafe fn run<S: Simd>(code: &Code<'_>, arrays: &[*mut S::T; MAX_ARRAYS], count: usize) {
    let mut done = 0;
    // SAFETY: the caller's.
    unsafe {
        let mut registers: Registers<S> = [[S::zero(); BLOCK]; MAX_MAP_PARTS];
        for (register, instruction) in registers.iter_mut().zip(code.0) {
            if let Instruction::Constant(c) = instruction {
                *register = [S::constant(*c); BLOCK];
            }
        }
        while done + BLOCK * S::LANES <= count {
            block::<S, BLOCK>(code, &mut registers, arrays, done, S::first(S::LANES));
            done += BLOCK * S::LANES;
        }
        while done < count {
            block::<S, 1>(code, &mut registers, arrays, done, S::first(S::LANES.min(count - done)));
            done += S::LANES;
        }
    }
}

/// `N` vectors from element `at` on, of the last of which `mask` is there.
#[inline(always)]
unsafe fn block<S: Simd, const N: usize>(
    code: &Code<'_>,
    registers: &mut Registers<S>,
    arrays: &[*mut S::T; MAX_ARRAYS],
    at: usize,
    mask: S::Mask,
) {
    // SAFETY: the caller's; instructions name registers before their own.
    unsafe {
        for (k, instruction) in code.0.iter().enumerate() {
            let mut out = [S::zero(); N];
            match *instruction {
                Instruction::Load(operand) => {
                    let from = arrays[operand + 1].add(at);
                    each!(out, N, |v| S::load_first(from.add(v * S::LANES), mask));
                }
                Instruction::Constant(_) => continue,
                Instruction::Unary(op, x) => unary::<S, N>(op, &registers[x], &mut out),
                Instruction::Binary(op, x, y) => binary::<S, N>(op, &registers[x], &registers[y], &mut out),
                Instruction::Select(c, x, y) => each!(out, N, |v| {
                    let is_zero = S::is_equal(registers[c][v], S::zero());
                    S::choose(is_zero, registers[y][v], registers[x][v])
                }),
            }
            registers[k][..N].copy_from_slice(&out);
        }
        let result = &registers[code.0.len() - 1];
        for v in 0..N {
            S::store_first(arrays[0].add(at + v * S::LANES), result[v], mask);
        }
    }
}

#[inline(always)]
unsafe fn unary<S: Simd, const N: usize>(op: Unary, x: &[S::V; BLOCK], out: &mut [S::V; N]) {
    // SAFETY: the caller's.
    unsafe {
        match op {
            Unary::Neg => each!(out, N, |v| S::multiply(x[v], S::constant(-1.0))),
            Unary::Abs => each!(out, N, |v| absolute::<S>(x[v])),
            Unary::Sqrt => each!(out, N, |v| S::root(x[v])),
            Unary::Exp => each!(out, N, |v| exp::<S>(x[v])),
            Unary::Tanh => each!(out, N, |v| tanh::<S>(x[v])),
            Unary::Sigmoid => each!(out, N, |v| sigmoid::<S>(x[v])),
            Unary::Softplus => each!(out, N, |v| softplus::<S>(x[v])),
        }
    }
}

#[inline(always)]
unsafe fn binary<S: Simd, const N: usize>(op: Binary, x: &[S::V; BLOCK], y: &[S::V; BLOCK], out: &mut [S::V; N]) {
    // SAFETY: the caller's.
    unsafe {
        let one = S::constant(1.0);
        match op {
            Binary::Add => each!(out, N, |v| S::add(x[v], y[v])),
            Binary::Sub => each!(out, N, |v| S::subtract(x[v], y[v])),
            Binary::Mul => each!(out, N, |v| S::multiply(x[v], y[v])),
            Binary::Div => each!(out, N, |v| S::divide(x[v], y[v])),
            Binary::Max => each!(out, N, |v| S::larger(x[v], y[v])),
            Binary::Gt => each!(out, N, |v| S::choose(S::is_greater(x[v], y[v]), one, S::zero())),
            Binary::Eq => each!(out, N, |v| S::choose(S::is_equal(x[v], y[v]), one, S::zero())),
        }
    }
}
