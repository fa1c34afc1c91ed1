//! The `loops` stage: fused loop nests over tiles of rows.
//!
//! A kernel runs over a space of rows in tiles; its body is a list of statements, each a loop nest over the rows of the
//! tile and over segments of a row. Values that live and die inside a kernel are scratch: one tile of rows. All others
//! are buffers in memory. Statements say what is computed, element by element; how the loops are ordered, vectorised and
//! unrolled is [`crate::codegen`]'s.
//!
//! Invariants: scratch is written before it is read, within one kernel; a buffer is complete before another kernel reads
//! it; an access to scratch or to [`RowAddress::Row`] touches the statement's own row only; every segment stays inside
//! its array's width.

#[allow(
    clippy::indexing_slicing,
    reason = "places are of a graph that the verifier has passed, and of lists as long as its values"
)]
mod copies;
#[allow(
    clippy::indexing_slicing,
    clippy::unreachable,
    reason = "flags are as many as nests; a nest has factors, and a range of elements has terms"
)]
mod elementwise;
#[allow(clippy::indexing_slicing, reason = "a place beyond its array is a bug of ours that must show; as documented")]
mod interpret;
#[allow(
    clippy::indexing_slicing,
    reason = "places are of a graph that the verifier has passed, and of lists as long as its values"
)]
mod layout;
mod print;
#[allow(
    clippy::indexing_slicing,
    reason = "places are of a graph that the verifier has passed, and of lists as long as its values"
)]
mod prologue;
mod reads;
#[allow(
    clippy::indexing_slicing,
    reason = "places are of a graph that the verifier has passed, and of lists as long as its values"
)]
mod schedule;
#[allow(clippy::indexing_slicing, reason = "places are of the axes and accesses of one statement")]
mod select;
#[allow(
    clippy::indexing_slicing,
    clippy::unreachable,
    reason = "places are of a graph that the verifier has passed, and of lists as long as its values"
)]
mod statements;
#[allow(
    clippy::indexing_slicing,
    clippy::unreachable,
    reason = "places are of a graph that the verifier has passed, and of lists as long as its values"
)]
mod storage;
#[allow(clippy::indexing_slicing, reason = "places are of the axes and accesses of one statement")]
pub(crate) mod strides;

use std::fmt;

use schur_ir::dim::{Dim, Symbol};
use schur_ir::expr::{Expr, Scalar};
use schur_ir::graph::{Axis, Graph, Requirement, Segment, ValueId};
use schur_ir::micro::Micro;
use schur_ir::program::{Buffer, BufferId, InputSlot, OutputSlot, ParamSlot, Step};
use schur_ir::ty::DType;
use schur_ir::verify::{VerifyError, verify};

use copies::{Packed, cheap, flat, once, rows, weights};

pub use interpret::{InterpretError, interpret};

/// The fused loops of a model: everything of a program but the machine code.
#[derive(Clone, Debug, PartialEq)]
pub struct Loops {
    /// The model's name.
    pub name: String,
    /// The element type of all float arrays.
    pub dtype: DType,
    /// Every array in memory.
    pub buffers: Vec<Buffer>,
    /// The kernels.
    pub kernels: Vec<Kernel>,
    /// The micro-kernels that they call.
    pub micros: Vec<Micro>,
    /// What to do, in order.
    pub steps: Vec<Step>,
    /// The number of steps, of the first ones, that depend on parameters alone.
    pub prologue: usize,
    /// What must hold of a call's inputs.
    pub requirements: Vec<Requirement>,
    /// What a call gives.
    pub inputs: Vec<InputSlot>,
    /// What it reads from the store.
    pub params: Vec<ParamSlot>,
    /// What it returns.
    pub outputs: Vec<OutputSlot>,
}

/// A kernel: one fused loop over tiles of rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Kernel {
    /// Its name: the layers it computes.
    pub name: String,
    /// The space of rows.
    pub rows: Vec<Dim>,
    /// Rows a tile.
    pub tile: usize,
    /// True where the rows must be computed in order, as one chunk.
    pub serial: bool,
    /// The arrays of one tile.
    pub scratch: Vec<Scratch>,
    /// Rows of the next tile that are asked for at the start of a tile.
    pub ahead: Vec<Ahead>,
    /// What a tile computes, in order.
    pub body: Vec<Stmt>,
    /// For every statement the value of the graph that it computes: for people. Values beyond the graph's are copies for
    /// outputs.
    pub values: Vec<ValueId>,
}

impl Kernel {
    /// Elements of scratch a row of the tile.
    pub fn scratch_width(&self) -> usize {
        self.scratch.iter().map(|s| s.offset + s.width).max().unwrap_or(0)
    }
}

/// A buffer whose next rows are asked for ahead of their use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// The buffer.
    pub buffer: BufferId,
    /// Bytes of a row.
    pub row_bytes: usize,
    /// The micro-kernel that asks, by its place in [`Loops::micros`].
    pub micro: usize,
}

/// An array of one tile: `[tile, width]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scratch {
    /// What it holds, for people.
    pub label: String,
    /// Elements a row.
    pub width: usize,
    /// Its place: it starts `offset × tile` elements into the scratch. Arrays whose lives do not meet share a place.
    pub offset: usize,
    /// The order of elements within a chunk of irreps.
    pub layout: Layout,
}

/// The order of the elements of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// `[mul, 2l+1]`, e3nn's.
    Irreps,
    /// `[2l+1, mul]`: multiplicities are neighbours, as vectors want them.
    Components,
}

/// A place in [`Kernel::scratch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScratchId(pub u32);

impl fmt::Display for ScratchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}", self.0)
    }
}

/// An array that a statement touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Array {
    /// A buffer in memory.
    Memory(BufferId),
    /// An array of the tile.
    Scratch(ScratchId),
}

/// Which row of an array a row of the kernel touches.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RowAddress {
    /// The same for all rows: the array has one row.
    Fixed,
    /// The row itself; in scratch, the row of the tile.
    Row,
    /// `Σ pick × stride`.
    Computed(Vec<RowTerm>),
}

/// A term of a computed row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RowTerm {
    /// What is multiplied.
    pub pick: Pick,
    /// By how many rows of the array.
    pub stride: Dim,
}

/// A number that depends on the row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pick {
    /// The row's coordinate along an axis of the space of rows.
    Coordinate(usize),
    /// The element of an `i32` buffer of width 1, at a row made of coordinates.
    Index(BufferId, Vec<RowTerm>),
}

/// Elements of an array: a segment of one of its rows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Access {
    /// The array.
    pub array: Array,
    /// The row.
    pub row: RowAddress,
    /// Elements from one row to the next.
    pub width: usize,
    /// The elements, one stride an axis of the statement.
    pub segment: Segment,
}

/// How a nest writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Write {
    /// `=`
    Set,
    /// `+=`
    Add,
}

/// A statement: done for every row of the tile.
#[derive(Clone, Debug, PartialEq)]
pub enum Stmt {
    /// `out[…] = 0` over one axis.
    Zero {
        /// Where.
        out: Access,
        /// How many elements.
        count: usize,
    },
    /// A path of a contraction.
    Nest(Nest),
    /// A scalar expression at every element.
    Map(MapStmt),
    /// `out[k] = max(out[k], value[k])` over one axis.
    Max {
        /// The operand.
        value: Access,
        /// The running maximum.
        out: Access,
        /// How many elements.
        count: usize,
    },
}

impl Stmt {
    /// True where a micro-kernel computes it.
    pub fn calls(&self) -> bool {
        match self {
            Stmt::Nest(nest) => nest.call.is_some(),
            Stmt::Map(map) => map.call.is_some(),
            Stmt::Zero { .. } | Stmt::Max { .. } => false,
        }
    }

    /// The arrays that are touched, the written one first.
    pub fn accesses(&self) -> Vec<&Access> {
        match self {
            Stmt::Zero { out, .. } => vec![out],
            Stmt::Nest(nest) => std::iter::once(&nest.out).chain(&nest.factors).collect(),
            Stmt::Map(map) => std::iter::once(&map.out).chain(map.operands.iter().map(|(a, _)| a)).collect(),
            Stmt::Max { value, out, .. } => vec![out, value],
        }
    }
}

/// `out[…] (+)= coefficient / divisor · Σ factor[…] · factor[…]`, summed over the axes that `out` lacks.
#[derive(Clone, Debug, PartialEq)]
pub struct Nest {
    /// The axes besides the row.
    pub axes: Vec<Axis>,
    /// Where it is written.
    pub out: Access,
    /// How it is written.
    pub write: Write,
    /// One or two factors.
    pub factors: Vec<Access>,
    /// A constant factor.
    pub coefficient: Scalar,
    /// What the sum is divided by.
    pub divisor: Dim,
    /// The micro-kernel that computes it; none where code is generated.
    pub call: Option<MicroCall>,
}

/// How a statement is computed by a micro-kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MicroCall {
    /// Its place in [`Loops::micros`].
    pub micro: usize,
    /// The arrays that it is given: 0 for the output, 1 and 2 for the factors.
    pub arrays: Vec<usize>,
    /// The axes that are loops around the call.
    pub outer: Vec<usize>,
}

/// `out[k] = expr(operand_0[k], …)` for `k` in `0..count`.
#[derive(Clone, Debug, PartialEq)]
pub struct MapStmt {
    /// What is computed.
    pub expr: Expr,
    /// What is read: the arrays over one axis, and their element types.
    pub operands: Vec<(Access, DType)>,
    /// Where it is written.
    pub out: Access,
    /// How many elements.
    pub count: usize,
    /// The micro-kernel that computes it; none where code is generated.
    pub call: Option<MicroCall>,
}

/// How the loops are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LoopOptions {
    /// Fuse what shares rows into one kernel; without, every op is a kernel of its own.
    pub fuse: bool,
    /// Bytes that the rows of a tile may take in all arrays touched: a share of the L2 cache.
    pub tile_bytes: usize,
    /// Call the runtime's micro-kernels, which use the machine's whole width; without, all loops are generated code.
    pub micro_kernels: bool,
}

impl Default for LoopOptions {
    fn default() -> Self {
        LoopOptions { fuse: true, tile_bytes: 384 * 1024, micro_kernels: true }
    }
}

/// A graph that the loops cannot say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoopsError {
    /// The graph given breaks a rule.
    #[error("the graph is not valid: {0}")]
    Graph(#[from] VerifyError),
    /// Float arrays of two element types in one graph.
    #[error("a program has one float type, but {0} is not {1}")]
    MixedTypes(schur_ir::graph::ValueId, DType),
    /// A size that no call tells.
    #[error("{0} has to do with a size `{1}`, which no input has")]
    UnknownSize(schur_ir::graph::ValueId, Symbol),
    /// An index that a kernel would have to compute.
    #[error("index {0} is not an input")]
    ComputedIndex(schur_ir::graph::ValueId),
    /// An index into an axis whose size is a symbol: calls check indices against numbers alone.
    #[error("{0} picks from an axis of size {1}, which is not a number")]
    SymbolicIndex(schur_ir::graph::ValueId, Dim),
}

/// Lowers a graph to fused loops.
pub fn lower(graph: &Graph, options: &LoopOptions) -> Result<Loops, LoopsError> {
    verify(graph)?;
    lower_verified(graph, options)
}

/// Lowers a graph that verifies.
pub(crate) fn lower_verified(graph: &Graph, options: &LoopOptions) -> Result<Loops, LoopsError> {
    let graph = storage::separate_outputs(graph);
    let dtype = storage::float_type(&graph)?;
    storage::check_sizes(&graph)?;
    let mut packed = Packed::nothing(graph);
    packed.then(once::compute_once(&packed.graph));
    if options.micro_kernels {
        packed.then(weights::transpose(&packed.graph));
    }
    let mut schedule = schedule::schedule(&packed.graph, options.fuse, &packed.rows);
    let mut storage = storage::assign(&packed.graph, &schedule)?;
    let passes = [flat::flatten, cheap::compute_again, rows::take_apart].into_iter().filter(|_| options.micro_kernels);
    for pass in passes {
        if let Some(copied) = pass(&packed.graph, &schedule, &storage) {
            packed.then(copied);
            schedule = schedule::schedule(&packed.graph, options.fuse, &packed.rows);
            storage = storage::assign(&packed.graph, &schedule)?;
        }
    }
    let graph = &packed.graph;
    let mut kernels = statements::kernels(graph, &schedule, &storage, options);
    for value in kernels.iter_mut().flat_map(|kernel| &mut kernel.values) {
        *value = packed.origin(*value);
    }
    let mut micros = Vec::new();
    if options.micro_kernels {
        kernels.iter_mut().for_each(|kernel| select::select(kernel, dtype, &mut micros));
    }
    let (steps, prologue) = storage.steps(graph, &schedule);
    Ok(Loops {
        name: graph.name.clone(),
        dtype,
        steps,
        prologue,
        buffers: storage.buffers,
        kernels,
        micros,
        requirements: graph.requirements.clone(),
        inputs: storage.inputs,
        params: storage.params,
        outputs: storage.outputs,
    })
}
