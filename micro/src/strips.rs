//! Runs of elements, which go through the instructions of a map some vectors at a time.
//!
//! A strip of elements goes through all instructions while it is in the first cache. Registers are places in memory: an operand's
//! elements are read, and the result's are written, where they are.

use std::mem::MaybeUninit;

use schur_ir::expr::{Binary, Unary};
use schur_ir::micro::MAX_MAP_ARRAYS;

use super::code::{Code, Function, Instruction, MAX_INSTRUCTIONS, Place};
use super::functions::{exp, sigmoid, silu_slope, slope_of_silu, softplus, tanh, times_sigmoid};
use super::simd::Simd;
use super::vectors::{ABREAST, Vectors};

/// The most vectors that go through an instruction before the next.
pub(super) const STRIP: usize = 4 * ABREAST;

/// The arrays of a map, those that are written first.
pub(super) type Arrays<T> = [*mut T; MAX_MAP_ARRAYS];

/// A run of so many elements.
pub(super) type RunFn<T> = unsafe fn(&Code, &Arrays<T>, usize);

/// Copies rows: their stride where they have one, their elements, and their number.
pub(super) type CopyFn<T> = unsafe fn(*mut T, *const T, [usize; 3]);

/// What an instruction set has for maps.
#[derive(Clone, Copy)]
pub(super) struct Functions<T> {
    /// Elements of a vector.
    pub(super) lanes: usize,
    /// A run of elements.
    pub(super) run: RunFn<T>,
    /// Copies rows at a stride side by side, and back.
    pub(super) gather: CopyFn<T>,
    pub(super) scatter: CopyFn<T>,
}

/// Writes a function of vectors, one behind the other.
macro_rules! each {
    ($out:ident, $count:expr, ($($x:ident),*) $value:expr) => {
        for v in 0..$count {
            $(let $x = S::load($x.add(v * S::LANES));)*
            S::store($out.add(v * S::LANES), $value);
        }
    };
}

/// Writes a function of blocks, one behind the other.
macro_rules! each_block {
    ($out:ident, $blocks:ident, ($($x:ident),*) $function:expr) => {
        for block in 0..$blocks {
            let at = block * N * S::LANES;
            $function($(Vectors::<S, N>::load($x.add(at))),*).store($out.add(at));
        }
    };
}

/// A run of elements: strips of blocks, then single vectors.
///
/// # Safety
/// As for [`Simd`]; the arrays hold `count` elements.
#[inline(always)]
pub(super) unsafe fn run<S: Simd>(code: &Code, arrays: &Arrays<S::T>, count: usize) {
    // SAFETY: the caller's; the last vectors are copied to whole ones.
    unsafe {
        let mut registers = MaybeUninit::<[[S::V; STRIP]; MAX_INSTRUCTIONS]>::uninit();
        let registers = registers.as_mut_ptr().cast::<S::T>();
        for (k, instruction) in code.instructions.iter().enumerate() {
            if let Instruction::Constant(c) = instruction {
                let (out, value) = (registers.add(k * STRIP * S::LANES), S::constant(*c));
                each!(out, STRIP.min(count.div_ceil(S::LANES)), () value);
            }
        }
        let mut done = 0;
        while done + ABREAST * S::LANES <= count {
            let blocks = (STRIP / ABREAST).min((count - done) / (ABREAST * S::LANES));
            strip::<S, ABREAST>(code, registers, &arrays.map(|array| array.wrapping_add(done)), blocks);
            done += blocks * ABREAST * S::LANES;
        }
        while done < count {
            let mask = S::first(S::LANES.min(count - done));
            let mut vectors = [S::zero(); MAX_MAP_ARRAYS];
            for (vector, array) in
                vectors.iter_mut().zip(arrays).skip(code.outputs).filter(|(_, array)| !array.is_null())
            {
                *vector = S::load_first(array.add(done), mask);
            }
            strip::<S, 1>(code, registers, &std::array::from_fn(|k| (&raw mut vectors[k]).cast()), 1);
            for (vector, array) in vectors.iter().zip(arrays).take(code.outputs) {
                S::store_first(array.add(done), *vector, mask);
            }
            done += S::LANES;
        }
    }
}

/// Some blocks of `N` vectors.
#[inline(always)]
unsafe fn strip<S: Simd, const N: usize>(code: &Code, registers: *mut S::T, arrays: &Arrays<S::T>, blocks: usize) {
    let register = |k: usize| code.written[k].map_or(registers.wrapping_add(k * STRIP * S::LANES), |to| arrays[to]);
    let place = |place: Place| match place {
        Place::Array(k) => arrays[k].cast_const(),
        Place::Register(k) => register(k).cast_const(),
    };
    for (k, instruction) in code.instructions.iter().enumerate() {
        let out = register(k);
        // SAFETY: the caller's; instructions name registers before their own, and each holds a strip.
        unsafe {
            match *instruction {
                Instruction::Constant(_) => {}
                Instruction::SiluSlope(x, s) => {
                    let (x, s) = (place(x), place(s));
                    each_block!(out, blocks, (x, s) slope_of_silu);
                }
                Instruction::TimesSigmoid(x, u) => {
                    let (x, u) = (place(x), place(u));
                    each_block!(out, blocks, (x, u) times_sigmoid);
                }
                Instruction::Polynomial(polynomial, x) => polynomial.run::<S>(place(x), out, blocks * N),
                Instruction::TimesPolynomial(factors, polynomial, x) => {
                    polynomial.run_times::<S>(place(x), place(factors), out, blocks * N);
                }
                Instruction::Unary(function, x) => unary::<S, N>(function, place(x), out, blocks),
                Instruction::Binary(op, x, y) => binary::<S>(op, place(x), place(y), out, blocks * N),
                Instruction::Select(c, x, y) => {
                    let (c, x, y) = (place(c), place(x), place(y));
                    each!(out, blocks * N, (c, x, y) S::choose(S::is_equal(c, S::zero()), y, x));
                }
                Instruction::Copy(x) => {
                    let x = place(x);
                    each!(out, blocks * N, (x) x);
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn unary<S: Simd, const N: usize>(function: Function, x: *const S::T, out: *mut S::T, blocks: usize) {
    // SAFETY: the caller's.
    unsafe {
        match function {
            Function::Unary(Unary::Neg) => each!(out, blocks * N, (x) S::multiply(x, S::constant(-1.0))),
            Function::Unary(Unary::Abs) => each!(out, blocks * N, (x) S::absolute(x)),
            Function::Unary(Unary::Sqrt) => each!(out, blocks * N, (x) S::root(x)),
            Function::Unary(Unary::Exp) => each_block!(out, blocks, (x) exp),
            Function::Unary(Unary::Tanh) => each_block!(out, blocks, (x) tanh),
            Function::Unary(Unary::Sigmoid) => each_block!(out, blocks, (x) sigmoid),
            Function::Unary(Unary::Softplus) => each_block!(out, blocks, (x) softplus),
            Function::SiluSlope => each_block!(out, blocks, (x) silu_slope),
        }
    }
}

#[inline(always)]
unsafe fn binary<S: Simd>(op: Binary, x: *const S::T, y: *const S::T, out: *mut S::T, count: usize) {
    // SAFETY: the caller's.
    unsafe {
        let one = S::constant(1.0);
        match op {
            Binary::Add => each!(out, count, (x, y) S::add(x, y)),
            Binary::Sub => each!(out, count, (x, y) S::subtract(x, y)),
            Binary::Mul => each!(out, count, (x, y) S::multiply(x, y)),
            Binary::Div => each!(out, count, (x, y) S::divide(x, y)),
            Binary::Max => each!(out, count, (x, y) S::larger(x, y)),
            Binary::Gt => each!(out, count, (x, y) S::choose(S::is_greater(x, y), one, S::zero())),
            Binary::Eq => each!(out, count, (x, y) S::choose(S::is_equal(x, y), one, S::zero())),
        }
    }
}
