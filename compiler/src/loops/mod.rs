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

mod begin;
mod body;
mod chosen;
mod columns;
mod copies;
mod direct;
mod elementwise;
mod finish;
mod functions;
mod interpret;
mod kernel;
mod layout;
mod print;
mod prologue;
mod reads;
mod room;
mod schedule;
mod select;
mod shared;
mod stmt;
mod storage;
pub(crate) mod strides;
mod tile;
mod together;

use schur_ir::dim::{Dim, Symbol};
use schur_ir::graph::{Graph, ValueId};
use schur_ir::ty::DType;
use schur_ir::verify::{VerifyError, verify};

use copies::{
    Packed, cheap, cut, divisors, factors, flat, inline, live, matrices, once, rows, slopes, sums, turned, units,
    weights,
};

pub(crate) use interpret::bytes as interpreted_bytes;
pub use interpret::{InterpretError, interpret};
pub use kernel::{
    Access, Ahead, Array, Kernel, Layout, Loops, Pick, RowAddress, RowTerm, Scratch, ScratchId, Together,
};
pub use stmt::{MapStmt, MicroCall, Nest, Stmt, Write};

/// How the loops are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LoopOptions {
    /// Fuse what shares rows into one kernel; without, every op is a kernel of its own.
    pub fuse: bool,
    /// Bytes that the rows of a tile may take in all arrays touched: a share of the L2 cache.
    pub tile_bytes: usize,
    /// Bytes of weights, and of sums over rows, that the second cache holds beside a tile: products that have more of them
    /// together are in kernels of their own.
    pub shared_bytes: usize,
    /// Bytes of arrays that the caches hold; what is larger is met in the order of its memory.
    pub cache_bytes: usize,
    /// Call the runtime's micro-kernels, which use the machine's whole width; without, all loops are generated code.
    pub micro_kernels: bool,
}

impl Default for LoopOptions {
    fn default() -> Self {
        LoopOptions {
            fuse: true,
            tile_bytes: 256 * 1024,
            shared_bytes: 1 << 20,
            cache_bytes: 16 << 20,
            micro_kernels: true,
        }
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
    MixedTypes(ValueId, DType),
    /// A size that no call tells.
    #[error("{0} has to do with a size `{1}`, which is no axis of an input")]
    UnknownSize(ValueId, Symbol),
    /// A requirement on a size that no call tells.
    #[error("a requirement has to do with a size `{0}`, which is no axis of an input")]
    UnknownRequired(Symbol),
    /// An index that a kernel would have to compute.
    #[error("index {0} is not an input")]
    ComputedIndex(ValueId),
    /// An index into an axis whose size is a symbol: calls check indices against numbers alone.
    #[error("{0} picks from an axis of size {1}, which is not a number")]
    SymbolicIndex(ValueId, Dim),
}

/// Lowers a graph to fused loops.
pub fn lower(graph: &Graph, options: &LoopOptions) -> Result<Loops, LoopsError> {
    verify(graph)?;
    lower_verified(graph, options)
}

/// The loops of a graph's text, as they are made by default.
#[cfg(test)]
fn lowered(text: &str) -> Loops {
    let graph = text.parse::<Graph>().expect("the text is a graph");
    lower(&graph, &LoopOptions::default()).expect("the graph is valid")
}

/// Lowers a graph that verifies.
pub(crate) fn lower_verified(graph: &Graph, options: &LoopOptions) -> Result<Loops, LoopsError> {
    let graph = storage::separate_outputs(graph);
    let dtype = storage::float_type(&graph)?;
    storage::check_sizes(&graph)?;
    let mut packed = Packed::nothing(graph);
    packed.then(units::drop_units(&packed.graph));
    packed.then(once::compute_once(&packed.graph));
    packed.then(divisors::divide_once(&packed.graph));
    if options.fuse {
        packed.then(sums::sum_early(&packed.graph));
        packed.then(cut::by_passes(&packed.graph));
    }
    if options.micro_kernels {
        packed.then(weights::transpose(&packed.graph));
    }
    let mut schedule = schedule::schedule(&packed.graph, options, &packed.rows);
    let mut storage = storage::assign(&packed.graph, &schedule)?;
    let passes = [
        slopes::beside_functions,
        factors::take_out,
        inline::read_through,
        live::drop_dead,
        flat::flatten,
        cheap::compute_again,
        matrices::exchange,
        turned::turn,
        rows::take_apart,
    ]
    .into_iter()
    .filter(|_| options.micro_kernels);
    for pass in passes {
        if let Some(copied) = pass(&packed.graph, &schedule, &storage) {
            packed.then(copied);
            schedule = schedule::schedule(&packed.graph, options, &packed.rows);
            storage = storage::assign(&packed.graph, &schedule)?;
        }
    }
    let graph = &packed.graph;
    let mut kernels = body::kernels(graph, &schedule, &storage);
    for value in kernels.iter_mut().flat_map(|kernel| &mut kernel.values) {
        *value = packed.origin(*value);
    }
    let mut micros = Vec::new();
    if options.micro_kernels {
        for kernel in &mut kernels {
            direct::read_and_write(kernel);
            select::select(kernel, dtype, &mut micros);
            together::gather(kernel, &storage.buffers, dtype, &mut micros);
        }
    }
    for kernel in &mut kernels {
        kernel.tile = tile::rows(kernel, &storage.buffers, dtype.size(), options);
        kernel.chunk = shared::chunk(kernel, &storage.buffers);
        kernel.by_row_above = tile::by_row_above(kernel, &storage.buffers, dtype.size(), options);
    }
    let begun =
        kernels.iter_mut().flat_map(|kernel| begin::sums(kernel, &storage.buffers, &mut micros)).collect::<Vec<_>>();
    chosen::list_used(&mut kernels, &mut micros);
    let (steps, prologue) = storage.steps(graph, &schedule, &begun);
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
