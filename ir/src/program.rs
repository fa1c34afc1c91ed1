//! The contract between compiler and runtime: kernels with symbolic buffer sizes, slots of inputs, parameters and
//! outputs, ordered steps, and how a kernel is called.
//!
//! Invariants: every access of a kernel stays inside buffers of the sizes given here (each buffer's size is
//! `copies × Π dims × width × dtype.size()` bytes), inside `scratch` bytes of scratch, and inside the rows it is called
//! with. A step reads only buffers that are inputs, parameters, or written by earlier steps. A kernel adds to a partial
//! buffer only between a step that fills or begins it and the last one that combines it, and no step touches what it is
//! combined into meanwhile; where it was begun, one kernel adds to it, once, and sets what a chunk adds to first. A kernel
//! that adds to none gives the same for any cut of its rows in parts of [`Cut::in_parts`](crate::cut::Cut::in_parts).
//!
//! The first [`Parts::prologue`] steps depend on parameters alone: they read parameters and what they wrote
//! themselves, and their rows are constant. Prepared buffers are written by them and by no later step, and are all that
//! later steps read of what they wrote. So while parameters are the same, they need not be done again.

use std::fmt;
use std::sync::Arc;

use crate::dim::{Dim, Symbol};
use crate::graph::{OutputKind, Param, Requirement};
use crate::micro::{Entry, Micro};
use crate::ty::DType;

/// A buffer of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub u32);

impl BufferId {
    /// The place in [`Parts::buffers`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for BufferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m{}", self.0)
    }
}

/// An array in memory: `[dims…, width]`, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Buffer {
    /// What it is, for people.
    pub label: String,
    /// The leading sizes.
    pub dims: Vec<Dim>,
    /// The number of elements in a row.
    pub width: usize,
    /// The element type.
    pub dtype: DType,
    /// How it lives.
    pub kind: BufferKind,
}

impl Buffer {
    /// The last axis of the caller's array: floats have one for their irreps, indices and masks none.
    pub fn width_axis(&self) -> Option<usize> {
        self.dtype.is_float().then_some(self.width)
    }
}

/// Who gives a buffer its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BufferKind {
    /// The caller, at every call; read only.
    Input,
    /// The parameter store; read only.
    Param,
    /// The caller; written.
    Output,
    /// The executor, for the time of a call.
    Temporary,
    /// The executor, for as long as parameters stay the same: packed weights and the like. Its size is constant.
    Prepared,
    /// The executor, for the time of a call: [`MAX_CHUNKS`] copies of the array, one a chunk of rows, which
    /// [`Step::Combine`] sums in order.
    Partial,
}

impl Buffer {
    /// The number of elements, copies included.
    pub fn elements(&self) -> Dim {
        let copies = if self.kind == BufferKind::Partial { MAX_CHUNKS } else { 1 };
        Dim::product(&self.dims).times(&Dim::from(self.width as i64).times(&Dim::from(copies as i64)))
    }
}

/// The largest number of chunks that the rows of a kernel are cut in. Fixed, so that sums over rows have the same bits
/// for any number of threads.
pub const MAX_CHUNKS: usize = 8;

/// How a kernel is called: `(buffers, sizes, begin, end, chunk, scratch, micro)`.
///
/// - `buffers`: one pointer a buffer of the program, in order;
/// - `sizes`: one `i64` a symbol of the program, in order;
/// - `begin..end`: the rows to compute: of a kernel that adds to partial buffers, a whole chunk;
/// - `chunk`: which copy of partial buffers to add to;
/// - `scratch`: [`Kernel::scratch`] bytes aligned to 64, nobody else's during the call;
/// - `micro`: one entry a micro-kernel of [`Parts::micros`], in order.
///
/// # Safety
/// The caller gives buffers of the sizes that the program states for these `sizes` (of a partial buffer the copies up to
/// `chunk`, which may be the array that it is combined into where that is one copy), rows inside the kernel's row space,
/// `chunk` below [`MAX_CHUNKS`], and memory that no other thread writes, but for calls of the same kernel: these have other
/// rows and, where it adds to partial buffers, another `chunk`.
pub type KernelFn = unsafe extern "C" fn(*const *mut u8, *const i64, i64, i64, i64, *mut u8, *const Entry);

/// Compiled code that is alive as long as this is.
pub trait Code: Send + Sync + fmt::Debug {
    /// The entry of kernel `k` of the program; `None` where there is no such kernel.
    fn kernel(&self, k: usize) -> Option<KernelFn>;

    /// The size of the machine code in bytes.
    fn size(&self) -> usize;
}

/// A kernel: one fused loop over a space of rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Kernel {
    /// Its name, for people.
    pub name: String,
    /// The number of rows that it runs over.
    pub rows: Dim,
    /// Rows a tile.
    pub tile: usize,
    /// About so many rows has a chunk at least, where it sums over rows ([`Cut::in_chunks`](crate::cut::Cut::in_chunks)).
    pub chunk: usize,
    /// Bytes of scratch that a call needs.
    pub scratch: usize,
    /// True where the rows must be one chunk, computed in order.
    pub serial: bool,
}

/// One thing to do, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Fill a float buffer, all copies, with a value.
    Fill(BufferId, f64),
    /// Begin the sums of a partial buffer, whose copies hold anything: the kernel that adds to it sets each copy first.
    Begin(BufferId),
    /// Run a kernel over all its rows, in chunks.
    Run(usize),
    /// `into = Σ copies of from`, in order.
    Combine {
        /// A partial buffer.
        from: BufferId,
        /// A buffer of the same array without copies.
        into: BufferId,
    },
}

/// An array that every call gives.
#[derive(Clone, Debug, PartialEq)]
pub struct InputSlot {
    /// Its name in the spec.
    pub name: Arc<str>,
    /// Its buffer; the shape of an index or a mask is the buffer's `dims`, of a float array `[dims…, width]`.
    pub buffer: BufferId,
}

/// An array of the parameter store.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamSlot {
    /// Its name, shape and initialisation.
    pub param: Param,
    /// Its buffer.
    pub buffer: BufferId,
}

/// An array that every call returns.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputSlot {
    /// Its name.
    pub name: Arc<str>,
    /// What it is to the user.
    pub kind: OutputKind,
    /// Its buffer.
    pub buffer: BufferId,
    /// Its whole shape where that is not `[dims…, width]`: of statistics and of gradients of parameters.
    pub shape: Option<Vec<usize>>,
}

/// A compiled model: its parts, which can be read but not altered, so that what runs is what was compiled.
///
/// Safe code can neither put a program together nor change one:
///
/// ```compile_fail,E0594
/// # fn change(mut program: schur_ir::program::Program) {
/// program.prologue = 0;
/// # }
/// ```
///
/// ```compile_fail,E0596
/// # fn change(mut program: schur_ir::program::Program) {
/// program.buffers.clear();
/// # }
/// ```
///
/// ```compile_fail,E0133
/// # use schur_ir::program::{Parts, Program};
/// # fn change(program: Program) -> Program {
/// let mut parts = program.into_parts();
/// parts.buffers.clear();
/// Program::new(parts)
/// # }
/// ```
///
/// ```compile_fail,E0423
/// # use schur_ir::program::{Parts, Program};
/// # fn change(parts: Parts) -> Program {
/// Program(parts)
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Program(Parts);

impl Program {
    /// A program of these parts.
    ///
    /// # Safety
    /// The parts keep the invariants in the header of [this module](self): whatever sizes the program is called with, its code
    /// stays inside of buffers and scratch as large as the parts say.
    #[allow(unsafe_code, reason = "what is declared here is a promise of the caller; nothing unsafe is done")]
    pub unsafe fn new(parts: Parts) -> Self {
        Program(parts)
    }

    /// The parts, which are no program any more.
    pub fn into_parts(self) -> Parts {
        self.0
    }
}

impl std::ops::Deref for Program {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// What a program is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The model's name.
    pub name: String,
    /// The element type of all float arrays.
    pub dtype: DType,
    /// The symbols whose sizes kernels are given, in order.
    pub symbols: Vec<Symbol>,
    /// Every array in memory.
    pub buffers: Vec<Buffer>,
    /// The kernels.
    pub kernels: Vec<Kernel>,
    /// The micro-kernels that kernels call.
    pub micros: Vec<Micro>,
    /// What to do, in order.
    pub steps: Vec<Step>,
    /// The number of steps, of the first ones, that depend on parameters alone.
    pub prologue: usize,
    /// What must hold of a call's inputs.
    pub requirements: Vec<Requirement>,
    /// What a call gives.
    pub inputs: Vec<InputSlot>,
    /// What it reads from the store; also parameters that nothing reads, so that the store holds all that flax's does.
    pub params: Vec<ParamSlot>,
    /// What it returns.
    pub outputs: Vec<OutputSlot>,
    /// The machine code.
    pub code: Arc<dyn Code>,
}
