//! Kernels: what the fused loops of a model are made of, and the arrays that they touch.

use std::fmt;
use std::ops::Range;

use schur_ir::dim::Dim;
use schur_ir::graph::{Requirement, Segment, ValueId};
use schur_ir::micro::Micro;
use schur_ir::program::{Buffer, BufferId, InputSlot, OutputSlot, ParamSlot, Step};
use schur_ir::ty::DType;

use super::Stmt;

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
    /// About so many rows has a chunk at least, where it sums over rows.
    pub chunk: usize,
    /// True where the rows must be computed in order, as one chunk.
    pub serial: bool,
    /// The arrays of one tile.
    pub scratch: Vec<Scratch>,
    /// True where a micro-kernel does a single statement: products, copies and functions go tile by tile through the kernel, and what
    /// is between them finds its rows in the caches.
    pub calls: bool,
    /// Rows of the next tile that are asked for while a tile is computed.
    pub ahead: Option<Ahead>,
    /// For kernels of nothing but elements and sums over rows: above so many rows, which are larger than the caches, the sums
    /// go row by row too, so that memory is met in its order.
    pub by_row_above: Option<usize>,
    /// Statements that one micro-kernel does together, in order; no statement is in two.
    pub together: Vec<Together>,
    /// What a tile computes, in order.
    pub body: Vec<Stmt>,
    /// For every statement the value of the graph that it computes: for people. Values beyond the graph's are copies for
    /// outputs.
    pub values: Vec<ValueId>,
}

impl Kernel {
    /// Elements of scratch a row of the tile.
    pub fn scratch_width(&self) -> usize {
        self.scratch.iter().map(|s| s.places().end).max().unwrap_or(0)
    }

    /// True where two statements may be done row by row, one after the other in every row: none of them writes an array of
    /// the tile whose place is a part of another's that the other one touches.
    pub(crate) fn are_apart(&self, a: &Stmt, b: &Stmt) -> bool {
        let scratch = |access: &Access| match access.array {
            Array::Scratch(id) => Some((id, self.scratch.get(id.0 as usize)?.places())),
            Array::Memory(_) => None,
        };
        let apart = |written: &Stmt, touched: &Stmt| {
            let Some((id, places)) = scratch(written.written()) else { return true };
            let others = touched.accesses().into_iter().filter_map(scratch).filter(|(other, _)| *other != id);
            others.into_iter().all(|(_, other)| other.end <= places.start || places.end <= other.start)
        };
        apart(a, b) && apart(b, a)
    }

    /// Adds statements that one micro-kernel does together, none of which another one does so.
    pub(super) fn do_together(&mut self, together: Together) {
        let statements = &together.statements;
        let at = self.together.partition_point(|other| other.statements.start < statements.start);
        let is_apart =
            |other: &Together| other.statements.end <= statements.start || statements.end <= other.statements.start;
        debug_assert!(self.together.iter().all(is_apart), "{statements:?} beside {:?}", self.together);
        self.together.insert(at, together);
    }

    /// The statements that the `k`-th one is done together with by one micro-kernel, if it is.
    pub fn together_with(&self, k: usize) -> Option<&Together> {
        let at = self.together.partition_point(|together| together.statements.end <= k);
        self.together.get(at).filter(|together| together.statements.contains(&k))
    }

    /// All statements, where one micro-kernel does them, and does so for all rows of a chunk.
    pub fn streamed(&self) -> Option<&Together> {
        self.together.first().filter(|together| together.beyond_caches.is_some())
    }

    /// The statements that no micro-kernel does together with others.
    pub(crate) fn generated(&self) -> impl Iterator<Item = &Stmt> {
        self.body.iter().enumerate().filter(|(k, _)| self.together_with(*k).is_none()).map(|(_, stmt)| stmt)
    }
}

/// Statements that follow each other and that one micro-kernel does together.
#[derive(Clone, Debug, PartialEq)]
pub struct Together {
    /// Which statements of the kernel.
    pub statements: Range<usize>,
    /// The micro-kernel, by its place in [`Loops::micros`].
    pub micro: usize,
    /// The one for more rows than [`Kernel::by_row_above`], where the statements are all of a kernel.
    pub beyond_caches: Option<usize>,
    /// The arrays that it is given, each from the first element on that its access names.
    pub arrays: Vec<Access>,
    /// What some sums are divided by: the inverse is one more array.
    pub divisor: Option<Dim>,
}

/// Buffers whose next rows are asked for ahead of their use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// The buffers, with the bytes of a row.
    pub buffers: Vec<(BufferId, usize)>,
    /// The multiply-adds of products for every line that is asked for.
    pub work: usize,
    /// The micro-kernel that asks for what products do not, by its place in [`Loops::micros`].
    pub micro: usize,
}

/// An array of one tile: `[tile, width]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scratch {
    /// What it holds, for people.
    pub label: String,
    /// Elements from one row to the next.
    pub width: usize,
    /// Its place: it starts `offset × tile` elements into the scratch. Arrays whose lives do not meet share a place.
    pub offset: usize,
    /// The order of elements within a chunk of irreps.
    pub layout: Layout,
}

impl Scratch {
    /// The places of a row's elements, as [`Scratch::offset`] counts them.
    pub fn places(&self) -> Range<usize> {
        self.offset..self.offset + self.width
    }
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

impl Array {
    /// The buffer, where it is one.
    pub fn memory(self) -> Option<BufferId> {
        match self {
            Array::Memory(buffer) => Some(buffer),
            Array::Scratch(_) => None,
        }
    }
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

impl RowAddress {
    /// What a computed row is the sum of.
    fn terms(&self) -> &[RowTerm] {
        match self {
            RowAddress::Computed(terms) => terms,
            RowAddress::Fixed | RowAddress::Row => &[],
        }
    }

    /// The symbolic sizes that the row is computed from.
    pub fn sizes(&self) -> Vec<&Dim> {
        fn of(terms: &[RowTerm]) -> Vec<&Dim> {
            terms.iter().flat_map(|term| std::iter::once(&term.stride).chain(of(term.pick.terms()))).collect()
        }
        of(self.terms())
    }

    /// The buffers of indices that the row is computed from.
    pub fn index_buffers(&self) -> impl Iterator<Item = BufferId> {
        self.terms().iter().filter_map(|term| match term.pick {
            Pick::Index(buffer, _) => Some(buffer),
            Pick::Coordinate(_) => None,
        })
    }
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

impl Pick {
    /// What the row of an index is the sum of.
    fn terms(&self) -> &[RowTerm] {
        match self {
            Pick::Index(_, terms) => terms,
            Pick::Coordinate(_) => &[],
        }
    }
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
