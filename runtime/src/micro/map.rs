//! Scalar expressions at every element, some vectors at a time.
//!
//! An expression becomes a list of instructions on registers of several vectors, equal parts once; a strip of elements
//! goes through all of them while it is in the first cache. Registers are places in memory: an operand's elements are
//! read, and the result's are written, where they are.

use std::collections::HashMap;
use std::mem::MaybeUninit;

use schur_ir::expr::{Binary, Expr, Unary};
use schur_ir::micro::{MAX_MAP_OPERANDS, MAX_MAP_PARTS, Map};

use super::functions::{absolute, exp, sigmoid, silu, silu_slope, softplus, tanh};
use super::simd::Simd;
use super::vectors::Vectors;

/// The most arrays of a map.
pub(super) const MAX_ARRAYS: usize = MAX_MAP_OPERANDS + 1;

/// Vectors that are computed at once.
const BLOCK: usize = 4;

/// The most vectors that go through an instruction before the next.
const STRIP: usize = 4 * BLOCK;

/// Functions of one argument: those of expressions, and some of their compositions.
#[derive(Clone, Copy, Debug)]
enum Function {
    Unary(Unary),
    /// `x σ(x)`.
    Silu,
    /// The derivative of `x σ(x)`.
    SiluSlope,
}

/// Where the elements of a value are.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// In an array.
    Array(usize),
    /// In the register of this number.
    Register(usize),
}

/// What is computed, in order; registers are numbered by their instructions.
#[derive(Clone, Copy, Debug)]
enum Instruction {
    Constant(f64),
    Unary(Function, Place),
    Binary(Binary, Place, Place),
    Select(Place, Place, Place),
    Copy(Place),
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
        let result = flatten(&map.expr, &mut instructions, &mut HashMap::new());
        if !matches!(
            instructions.last(),
            Some(Instruction::Unary(..) | Instruction::Binary(..) | Instruction::Select(..))
        ) {
            instructions.push(Instruction::Copy(result));
        }
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

/// The place of an expression's value, after the instructions that it needs.
fn flatten<'e>(expr: &'e Expr, code: &mut Vec<Instruction>, known: &mut HashMap<&'e Expr, Place>) -> Place {
    if let Some(place) = known.get(expr) {
        return *place;
    }
    let instruction = match expr {
        Expr::Arg(k) => return Place::Array(k + 1),
        Expr::Const(c) => Instruction::Constant(c.0),
        Expr::Unary(op, x) => Instruction::Unary(Function::Unary(*op), flatten(x, code, known)),
        Expr::Binary(op, x, y) => match composition(*op, x, y) {
            Some((function, x)) => Instruction::Unary(function, flatten(x, code, known)),
            None => {
                let (x, y) = (flatten(x, code, known), flatten(y, code, known));
                Instruction::Binary(*op, x, y)
            }
        },
        Expr::Select(c, x, y) => {
            let (c, x, y) = (flatten(c, code, known), flatten(x, code, known), flatten(y, code, known));
            Instruction::Select(c, x, y)
        }
    };
    code.push(instruction);
    let place = Place::Register(code.len() - 1);
    known.insert(expr, place);
    place
}

/// The function that a sum or a product is, and its argument: `x σ(x)`, or `σ(x) + x σ(x) (1 − σ(x))`, which is spelled
/// `σ(x) − x σ(x) (σ(x) + −1)` too.
fn composition<'e>(op: Binary, a: &'e Expr, b: &'e Expr) -> Option<(Function, &'e Expr)> {
    let sigmoid = |e: &'e Expr| match e {
        Expr::Unary(Unary::Sigmoid, x) => Some(&**x),
        Expr::Unary(..) | Expr::Arg(_) | Expr::Const(_) | Expr::Binary(..) | Expr::Select(..) => None,
    };
    let of = |s: &'e Expr, rest: &'e Expr| {
        let x = sigmoid(s)?;
        match op {
            Binary::Mul if rest == x => Some((Function::Silu, x)),
            Binary::Add | Binary::Sub => {
                let is_sum = op == Binary::Add;
                let falling = if is_sum { Expr::constant(1.0) - s.clone() } else { s.clone() + Expr::constant(-1.0) };
                let mut wanted = vec![x, s, &falling];
                let all = factors(rest).into_iter().all(|factor| {
                    let found = wanted.iter().position(|w| *w == factor);
                    found.map(|k| wanted.swap_remove(k)).is_some()
                });
                (all && wanted.is_empty()).then_some((Function::SiluSlope, x))
            }
            Binary::Mul | Binary::Div | Binary::Max | Binary::Gt | Binary::Eq => None,
        }
    };
    of(a, b).or_else(|| if op == Binary::Sub { None } else { of(b, a) })
}

/// The factors of a product.
fn factors(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Binary(Binary::Mul, x, y) => [factors(x), factors(y)].concat(),
        Expr::Binary(..) | Expr::Arg(_) | Expr::Const(_) | Expr::Unary(..) | Expr::Select(..) => vec![expr],
    }
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
    ($out:ident, $blocks:ident, $x:ident, $function:expr) => {
        for block in 0..$blocks {
            let at = block * N * S::LANES;
            $function(Vectors::<S, N>::load($x.add(at))).store($out.add(at));
        }
    };
}

/// A run of elements: strips of blocks, then single vectors.
///
/// # Safety
/// As for [`Simd`]; the arrays hold `count` elements.
#[inline(always)]
pub(super) unsafe fn run<S: Simd>(code: &Code<'_>, arrays: &[*mut S::T; MAX_ARRAYS], count: usize) {
    // SAFETY: the caller's; the last vectors are copied to whole ones.
    unsafe {
        let mut registers = MaybeUninit::<[[S::V; STRIP]; MAX_MAP_PARTS]>::uninit();
        let registers = registers.as_mut_ptr().cast::<S::T>();
        for (k, instruction) in code.0.iter().enumerate() {
            if let Instruction::Constant(c) = instruction {
                let (out, value) = (registers.add(k * STRIP * S::LANES), S::constant(*c));
                each!(out, STRIP.min(count.div_ceil(S::LANES)), () value);
            }
        }
        let mut done = 0;
        while done + BLOCK * S::LANES <= count {
            let blocks = (STRIP / BLOCK).min((count - done) / (BLOCK * S::LANES));
            strip::<S, BLOCK>(code, registers, &arrays.map(|array| array.wrapping_add(done)), blocks);
            done += blocks * BLOCK * S::LANES;
        }
        while done < count {
            let mask = S::first(S::LANES.min(count - done));
            let mut vectors = [S::zero(); MAX_ARRAYS];
            for (vector, array) in vectors.iter_mut().zip(arrays).skip(1).filter(|(_, array)| !array.is_null()) {
                *vector = S::load_first(array.add(done), mask);
            }
            strip::<S, 1>(code, registers, &std::array::from_fn(|k| (&raw mut vectors[k]).cast()), 1);
            S::store_first(arrays[0].add(done), vectors[0], mask);
            done += S::LANES;
        }
    }
}

/// Some blocks of `N` vectors.
#[inline(always)]
unsafe fn strip<S: Simd, const N: usize>(
    code: &Code<'_>,
    registers: *mut S::T,
    arrays: &[*mut S::T; MAX_ARRAYS],
    blocks: usize,
) {
    let register = |k: usize| registers.wrapping_add(k * STRIP * S::LANES);
    let place = |place: Place| match place {
        Place::Array(k) => arrays[k].cast_const(),
        Place::Register(k) => register(k).cast_const(),
    };
    for (k, instruction) in code.0.iter().enumerate() {
        let out = if k + 1 == code.0.len() { arrays[0] } else { register(k) };
        // SAFETY: the caller's; instructions name registers before their own, and each holds a strip.
        unsafe {
            match *instruction {
                Instruction::Constant(_) => {}
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
            Function::Unary(Unary::Abs) => each_block!(out, blocks, x, absolute),
            Function::Unary(Unary::Sqrt) => each!(out, blocks * N, (x) S::root(x)),
            Function::Unary(Unary::Exp) => each_block!(out, blocks, x, exp),
            Function::Unary(Unary::Tanh) => each_block!(out, blocks, x, tanh),
            Function::Unary(Unary::Sigmoid) => each_block!(out, blocks, x, sigmoid),
            Function::Unary(Unary::Softplus) => each_block!(out, blocks, x, softplus),
            Function::Silu => each_block!(out, blocks, x, silu),
            Function::SiluSlope => each_block!(out, blocks, x, silu_slope),
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
