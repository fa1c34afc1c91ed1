//! Micro-kernels: the innermost loops that compiled kernels call, as plain data.
//!
//! Cranelift has 128-bit vectors alone, so what wants the machine's whole width is written once in `schur-micro`, for every
//! set of vector instructions, and called by compiled code through a table of [`Entry`]. A program lists what it
//! calls as [`Micro`]s; the executor makes the table for the machine that it runs on.
//!
//! Strides are in elements. Every micro-kernel touches only the elements that its description names.

use std::collections::HashSet;
use std::fmt;

use crate::expr::Expr;
use crate::ty::DType;

mod rows;

pub use rows::{MAX_ROWS_ARRAYS, MAX_ROWS_AT_ONCE, MAX_TERMS, Place, Rows, Step, Term};

/// Bytes of a line of the cache, and of the widest vectors.
pub const LINE: usize = 64;

/// How a micro-kernel is called: `(plan, arguments, rows)`.
///
/// - `plan`: [`Entry::plan`] of the entry;
/// - `arguments`: the arrays, and what is ahead;
/// - `rows`: the rows of the tile; not zero.
///
/// # Safety
/// The arrays hold the elements that the [`Micro`] names for this number of rows; no other thread writes them, and what
/// is written is not read through another array. The arguments are nobody else's during the call.
pub type MicroFn = unsafe extern "C" fn(plan: *const u8, arguments: *mut Arguments, rows: i64);

/// What a micro-kernel is given.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Arguments {
    /// One pointer an array of the [`Micro`], to its first element.
    pub arrays: [*mut u8; MAX_ARRAYS],
    /// The first row of the tile, counted from the first row of the kernel.
    pub first: usize,
    /// Memory that is needed soon.
    pub ahead: Ahead,
}

/// Memory that is needed soon: products that [ask](Product::asks) do so in every turn of their innermost loops, so that it comes
/// while they compute. Nothing is read or written there.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Ahead {
    /// Multiply-adds for every line of it that is asked for.
    pub work: usize,
    /// The place in `ranges` of the one that is asked for now; those before it follow. The first one is empty.
    pub left: usize,
    /// Where what was not asked for yet begins and ends.
    pub ranges: [[*const u8; 2]; MAX_AHEAD + 1],
}

impl Ahead {
    /// Nothing.
    pub const NOTHING: Ahead = Ahead { work: 1, left: 0, ranges: [[std::ptr::null(); 2]; MAX_AHEAD + 1] };
}

/// The most ranges of memory that a kernel asks for ahead.
pub const MAX_AHEAD: usize = 8;

/// A micro-kernel of a program, ready to be called.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The function.
    pub run: MicroFn,
    /// What it is given first.
    pub plan: *const u8,
}

/// A micro-kernel that a program calls.
#[derive(Clone, Debug, PartialEq)]
pub enum Micro {
    /// A matrix product. Arrays: `out`, `a`, `b`, and what its [finish](Finish) has beside `out`.
    Product(Product),
    /// Sums of neighbours for a single column. Arrays: `out`, `a`, `b`.
    Dot(Dot),
    /// A copy that exchanges two axes. Arrays: `out`, `from`.
    Transpose(Transpose),
    /// Scalar expressions at every element. Arrays: one that is written for each, then the operands.
    Map(Map),
    /// Sums of products, row by row. Arrays: those that its places name.
    Rows(Rows),
    /// Asks for all that is ahead and was not asked for. It has no arrays.
    Prefetch(DType),
}

/// The most arrays of a [`Map`].
pub const MAX_MAP_ARRAYS: usize = 8;

/// The most [parts](Map::parts) of a [`Map`].
pub const MAX_MAP_PARTS: usize = 32;

/// The most arrays of any micro-kernel.
pub const MAX_ARRAYS: usize = MAX_ROWS_ARRAYS;

/// `out_0[r, k] = expr_0(operand_0[r, k], …)`, and so on, for `k` in `0..count`.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// The element type.
    pub dtype: DType,
    /// What is computed, of [`MAX_MAP_PARTS`] parts at most; with the operands, at most [`MAX_MAP_ARRAYS`].
    pub exprs: Vec<Expr>,
    /// The stride of every array from row to row.
    pub rows: Vec<usize>,
    /// Elements of a row.
    pub count: usize,
}

impl Map {
    /// The number of different parts of some expressions.
    pub fn parts(exprs: &[Expr]) -> usize {
        let mut seen = HashSet::new();
        exprs.iter().for_each(|expr| expr.add_parts(&mut seen));
        seen.len()
    }
}

impl Micro {
    /// The element type of all arrays.
    pub fn dtype(&self) -> DType {
        match self {
            Micro::Product(product) => product.dtype,
            Micro::Dot(dot) => dot.dtype,
            Micro::Transpose(transpose) => transpose.dtype,
            Micro::Map(map) => map.dtype,
            Micro::Rows(rows) => rows.dtype,
            Micro::Prefetch(dtype) => *dtype,
        }
    }
}

/// How far an axis runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Over the rows of the tile.
    Rows,
    /// Over this many.
    Fixed(usize),
}

/// An axis of a micro-kernel, with a stride in two of its arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Along {
    /// How far it runs.
    pub extent: Extent,
    /// The strides, in the order in which the arrays are named.
    pub strides: [usize; 2],
}

impl Along {
    /// An axis of one element.
    pub const NONE: Along = Along { extent: Extent::Fixed(1), strides: [0, 0] };
}

/// `out[m, n] (+)= coefficient Σ_k a[m, k] b[k, n]`, where `m` and `k` are pairs of axes and `b` is contiguous along `n`; a
/// [finish](Finish) does something else to the sums before they are written.
#[derive(Clone, Debug, PartialEq)]
pub struct Product {
    /// The element type.
    pub dtype: DType,
    /// The axes of `out` and `a`, outer and inner.
    pub m: [Along; 2],
    /// The axes of `a` and `b` that are summed, outer and inner.
    pub k: [Along; 2],
    /// The number of columns.
    pub n: usize,
    /// The stride of `out` along `n`.
    pub n_stride: usize,
    /// A constant factor.
    pub coefficient: f64,
    /// Add to what is there.
    pub accumulate: bool,
    /// What else is done.
    pub finish: Finish,
}

/// What is done to the sums of a [`Product`], times their coefficient, while they are in registers. An array beside `out` is contiguous
/// along `n`, and has these strides along `m`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Finish {
    /// They are written, or added to what is there.
    Plain,
    /// They are multiplied by the elements of an array first.
    Scaled([usize; 2]),
    /// `factor x σ(x)` is written for each of them, and its derivative but for the factor to an array, if one is given. Nothing is added to
    /// what is there, columns are neighbours in `out` and a multiple of [`WHOLE`](Finish::WHOLE), rows a list, and a sum has at most
    /// [`Product::DEPTH`] terms.
    Silu {
        /// A constant factor.
        factor: f64,
        /// The strides of the derivative's array.
        slope: Option<[usize; 2]>,
    },
}

impl Finish {
    /// So many columns are whole vectors of every set of instructions.
    pub const WHOLE: usize = 16;

    /// The strides of the array beside `out`, if there is one.
    pub fn beside(&self) -> Option<[usize; 2]> {
        match self {
            Finish::Plain | Finish::Silu { slope: None, .. } => None,
            Finish::Scaled(strides) | Finish::Silu { slope: Some(strides), .. } => Some(*strides),
        }
    }
}

impl Product {
    /// Terms after which a sum goes to memory, so that a panel of `b` stays in the first cache.
    pub const DEPTH: usize = 256;

    /// True where it asks for what is ahead: where its loops are long enough to lose nothing by it.
    pub fn asks(&self) -> bool {
        const LONG: usize = 16;
        let size = |along: &Along| if let Extent::Fixed(size) = along.extent { size } else { LONG };
        self.n >= LONG && self.k.iter().map(size).fold(1, usize::saturating_mul) >= LONG
    }

    /// Multiply-adds for every row of the tile.
    pub fn multiply_adds(&self) -> usize {
        let size = |along: &Along| if let Extent::Fixed(size) = along.extent { size } else { 1 };
        self.m.iter().chain(&self.k).map(size).fold(self.n, usize::saturating_mul)
    }
}

/// The most elements of a row of a [`Dot`].
pub const MAX_DOT: usize = 2048;

/// `out[r, i] (+)= coefficient Σ_u a[r, u, i] b[u]`, where `a` is contiguous along `u` and `i` together; at most
/// [`MAX_DOT`] elements.
#[derive(Clone, Debug, PartialEq)]
pub struct Dot {
    /// The element type.
    pub dtype: DType,
    /// The strides of `out` and `a` from row to row.
    pub rows: [usize; 2],
    /// The number of components `i`.
    pub short: usize,
    /// The number of terms `u`; not zero.
    pub terms: usize,
    /// The stride of `b`.
    pub b_stride: usize,
    /// The stride of `out` along `i`.
    pub out_stride: usize,
    /// A constant factor.
    pub coefficient: f64,
    /// Add to what is there.
    pub accumulate: bool,
}

/// `out[r, i, u] = from[r, u, i]`, or the other way round: between `[mul, 2l+1]` and `[2l+1, mul]`, or of a matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Transpose {
    /// The element type.
    pub dtype: DType,
    /// The strides of `out` and `from` from row to row.
    pub rows: [usize; 2],
    /// The number of neighbours in `from` that come apart, or come together in `out`.
    pub short: usize,
    /// How many such groups there are.
    pub long: usize,
    /// True where `from` is `[long, short]`, false where it is `[short, long]`.
    pub apart: bool,
    /// From one of `short` to the next in `[short, long]`: `long`, or more where other elements lie between.
    pub between: usize,
    /// A constant factor.
    pub coefficient: f64,
}

/// `f32 product, rows tile x 3, sums 32, columns 32 at 3`.
impl fmt::Display for Micro {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Micro::Product(p) => {
                write!(f, "{} product, rows {}, sums {}, columns {}", p.dtype, Pair(&p.m), Pair(&p.k), p.n)?;
                if p.n_stride > 1 {
                    write!(f, " at {}", p.n_stride)?;
                }
                f.write_str(match p.finish {
                    Finish::Plain => "",
                    Finish::Scaled(_) => ", scaled",
                    Finish::Silu { slope: None, .. } => ", silu",
                    Finish::Silu { slope: Some(_), .. } => ", silu and its slope",
                })
            }
            Micro::Dot(d) if d.short == 1 => write!(f, "{} dot product, rows tile, sums {}", d.dtype, d.terms),
            Micro::Dot(d) => write!(f, "{} dot product, rows tile x {}, sums {}", d.dtype, d.short, d.terms),
            Micro::Transpose(t) => {
                let (from, to) = if t.apart { (t.long, t.short) } else { (t.short, t.long) };
                write!(f, "{} transpose, {from} x {to} to {to} x {from}", t.dtype)
            }
            Micro::Map(m) => {
                write!(f, "{} map of {} elements", m.dtype, m.count)?;
                m.exprs.iter().try_for_each(|expr| write!(f, ", {expr}"))
            }
            Micro::Rows(rows) => write!(f, "{rows}"),
            Micro::Prefetch(_) => f.write_str("prefetch of what was not asked for"),
        }
    }
}

/// Two axes, those of one element left out.
struct Pair<'a>(&'a [Along; 2]);

impl fmt::Display for Pair<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut join = "";
        for along in self.0.iter().filter(|along| along.extent != Extent::Fixed(1)) {
            f.write_str(join)?;
            match along.extent {
                Extent::Rows => f.write_str("tile")?,
                Extent::Fixed(size) => write!(f, "{size}")?,
            }
            join = " x ";
        }
        if join.is_empty() { f.write_str("1") } else { Ok(()) }
    }
}
