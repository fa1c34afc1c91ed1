//! The loop interpreter: runs the `loops` stage in f64, element by element, with every place checked. It shows what
//! compiled code must compute, apart from rounding.

#![expect(clippy::indexing_slicing, reason = "a place beyond its array is a bug that must show; as documented")]

use indexmap::IndexMap;
use schur_ir::cut::Cut;
use schur_ir::dim::{Bindings, Dim, DimError};
use schur_ir::graph::Axis;
use schur_ir::memory::{self, MemoryError};
use schur_ir::program::{BufferId, BufferKind, MAX_CHUNKS, Step};

use super::{Access, Array, Kernel, Loops, MapStmt, Nest, Pick, RowAddress, RowTerm, Stmt, Write};

/// Runs the loops on arrays given by buffer (inputs and parameters, as f64 whatever their type) and returns every
/// buffer. A missing or short array counts as NaN, so that a place which nobody wrote shows.
pub fn interpret(
    loops: &Loops,
    bindings: &Bindings,
    given: &IndexMap<BufferId, Vec<f64>>,
) -> Result<Vec<Vec<f64>>, InterpretError> {
    memory::check(bytes(loops, bindings)?)?;
    let mut buffers = Vec::new();
    for (k, buffer) in loops.buffers.iter().enumerate() {
        let elements = buffer.elements().evaluate(bindings)?;
        let mut array = given.get(&BufferId(k as u32)).cloned().unwrap_or_default();
        array.resize(elements, f64::NAN);
        buffers.push(array);
    }
    let copies = vec![0; loops.buffers.len()];
    let mut machine = Machine { loops, bindings, buffers, copies, scratch: Vec::new() };
    for step in &loops.steps {
        match step {
            Step::Fill(buffer, value) => machine.begin(*buffer, *value),
            Step::Begin(buffer) => machine.begin(*buffer, f64::NAN),
            Step::Run(kernel) => machine.run(&loops.kernels[*kernel])?,
            Step::Combine { from, into } => machine.combine(*from, *into),
        }
    }
    Ok(machine.buffers)
}

/// Why loops are not run.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InterpretError {
    /// A size has no value.
    #[error(transparent)]
    Size(#[from] DimError),
    /// Arrays that take more memory than there is.
    #[error(transparent)]
    Memory(#[from] MemoryError),
}

/// The bytes of all buffers, and of the largest scratch; where rows have no elements, one for each.
pub(crate) fn bytes(loops: &Loops, bindings: &Bindings) -> Result<usize, DimError> {
    let scratch = loops.kernels.iter().map(|kernel| kernel.scratch_width().saturating_mul(kernel.tile));
    let mut elements = scratch.max().unwrap_or(0);
    for buffer in &loops.buffers {
        elements = elements.saturating_add(buffer.elements().evaluate(bindings)?);
    }
    for kernel in &loops.kernels {
        elements = elements.max(Dim::product(&kernel.rows).evaluate(bindings)?);
    }
    Ok(elements.saturating_mul(size_of::<f64>()))
}

struct Machine<'a> {
    loops: &'a Loops,
    bindings: &'a Bindings,
    buffers: Vec<Vec<f64>>,
    /// The copies of partial buffers that kernels added to since these were started.
    copies: Vec<usize>,
    scratch: Vec<f64>,
}

/// Where a statement runs: the kernel, the row, its place in the tile and the chunk of rows.
struct Here<'a> {
    kernel: &'a Kernel,
    coordinates: Vec<usize>,
    row: usize,
    in_tile: usize,
    chunk: usize,
    is_first_of_chunk: bool,
}

impl Machine<'_> {
    fn begin(&mut self, buffer: BufferId, value: f64) {
        self.buffers[buffer.index()].fill(value);
        self.copies[buffer.index()] = 0;
    }

    fn combine(&mut self, from: BufferId, into: BufferId) {
        let count = self.buffers[into.index()].len();
        for k in 0..count {
            let copies = (0..self.copies[from.index()]).map(|c| self.buffers[from.index()][c * count + k]);
            self.buffers[into.index()][k] = copies.sum();
        }
    }

    fn run(&mut self, kernel: &Kernel) -> Result<(), DimError> {
        let sizes = kernel.rows.iter().map(|d| d.evaluate(self.bindings)).collect::<Result<Vec<_>, _>>()?;
        let rows: usize = sizes.iter().product();
        let cut = if kernel.serial { Cut::whole(rows) } else { Cut::in_chunks(rows, kernel.tile, kernel.chunk) };
        for buffer in kernel.body.iter().filter_map(|stmt| stmt.written().array.memory()) {
            let copies = &mut self.copies[buffer.index()];
            *copies = cut.count().max(*copies);
        }
        self.scratch = vec![f64::NAN; kernel.scratch_width() * kernel.tile];
        let chunks = (0..).map_while(|chunk| Some((chunk, cut.part(chunk)?)));
        for (chunk, start, row) in chunks.flat_map(|(k, rows)| rows.clone().map(move |row| (k, rows.start, row))) {
            let mut rest = row;
            let mut coordinates = vec![0; sizes.len()];
            for (coordinate, size) in coordinates.iter_mut().zip(&sizes).rev() {
                *coordinate = rest % size;
                rest /= size;
            }
            let (in_tile, is_first_of_chunk) = (row % kernel.tile, row == start);
            let here = Here { kernel, coordinates, row, in_tile, chunk, is_first_of_chunk };
            for stmt in &kernel.body {
                self.statement(&here, stmt)?;
            }
        }
        Ok(())
    }

    fn statement(&mut self, here: &Here<'_>, stmt: &Stmt) -> Result<(), DimError> {
        match stmt {
            Stmt::Zero { out, count } => {
                let start = self.start(here, out)?;
                (0..*count).for_each(|k| *self.element(out, start + k) = 0.0);
            }
            Stmt::Nest(nest) => self.nest(here, nest)?,
            Stmt::Map(map) => self.map(here, map)?,
            Stmt::Max { value, out, count } => {
                let (from, into) = (self.start(here, value)?, self.start(here, out)?);
                for k in 0..*count {
                    let x = *self.element(value, from + k);
                    let best = self.element(out, into + k);
                    *best = if x.is_nan() || best.is_nan() { f64::NAN } else { best.max(x) };
                }
            }
        }
        Ok(())
    }

    fn map(&mut self, here: &Here<'_>, map: &MapStmt) -> Result<(), DimError> {
        let starts = map.operands.iter().map(|(o, _)| self.start(here, o)).collect::<Result<Vec<_>, _>>()?;
        let into = self.start(here, &map.out)?;
        let mut args = Vec::with_capacity(starts.len());
        for k in 0..map.count {
            args.clear();
            args.extend(map.operands.iter().zip(&starts).map(|((o, _), start)| *self.element(o, start + k)));
            *self.element(&map.out, into + k) = map.expr.evaluate(&args);
        }
        Ok(())
    }

    fn nest(&mut self, here: &Here<'_>, nest: &Nest) -> Result<(), DimError> {
        let scale = nest.coefficient.0 / nest.divisor.evaluate(self.bindings)? as f64;
        let starts = nest.factors.iter().map(|a| self.start(here, a)).collect::<Result<Vec<_>, _>>()?;
        let into = self.start(here, &nest.out)?;
        let sets = match nest.write {
            Write::Set => true,
            Write::Add => here.is_first_of_chunk && nest.begins_sums(),
        };
        let place = |a: &Access, start: usize, index: &[usize]| {
            start + a.segment.strides.iter().zip(index).map(|(s, k)| s * k).sum::<usize>()
        };
        if sets {
            for_each_index(&nest.axes, |index| *self.element(&nest.out, place(&nest.out, into, index)) = 0.0);
        }
        for_each_index(&nest.axes, |index| {
            let mut product = scale;
            for (factor, start) in nest.factors.iter().zip(&starts) {
                product *= *self.element(factor, place(factor, *start, index));
            }
            *self.element(&nest.out, place(&nest.out, into, index)) += product;
        });
        Ok(())
    }

    /// The place of a segment's first element.
    fn start(&mut self, here: &Here<'_>, access: &Access) -> Result<usize, DimError> {
        let row = match (&access.row, access.array) {
            (RowAddress::Fixed, _) => 0,
            (RowAddress::Row, Array::Memory(_)) => here.row,
            (RowAddress::Row, Array::Scratch(_)) => here.in_tile,
            (RowAddress::Computed(terms), _) => self.computed_row(here, terms)?,
        };
        let base = match access.array {
            Array::Scratch(id) => here.kernel.scratch[id.0 as usize].offset * here.kernel.tile,
            Array::Memory(buffer) => match self.loops.buffers[buffer.index()].kind {
                BufferKind::Partial => here.chunk * self.buffers[buffer.index()].len() / MAX_CHUNKS,
                BufferKind::Input
                | BufferKind::Param
                | BufferKind::Output
                | BufferKind::Temporary
                | BufferKind::Prepared => 0,
            },
        };
        Ok(base + row * access.width + access.segment.offset)
    }

    fn computed_row(&self, here: &Here<'_>, terms: &[RowTerm]) -> Result<usize, DimError> {
        let mut row = 0;
        for RowTerm { pick, stride } in terms {
            let pick = match pick {
                Pick::Coordinate(axis) => here.coordinates[*axis],
                Pick::Index(buffer, at) => self.buffers[buffer.index()][self.computed_row(here, at)?] as usize,
            };
            row += pick * Dim::evaluate(stride, self.bindings)?;
        }
        Ok(row)
    }

    fn element(&mut self, access: &Access, place: usize) -> &mut f64 {
        match access.array {
            Array::Memory(buffer) => &mut self.buffers[buffer.index()][place],
            Array::Scratch(_) => &mut self.scratch[place],
        }
    }
}

/// Calls a function for all index vectors of the axes, the last running fastest.
fn for_each_index(axes: &[Axis], mut call: impl FnMut(&[usize])) {
    let mut index = vec![0; axes.len()];
    for _ in 0..axes.iter().map(|axis| axis.size).product() {
        call(&index);
        for (k, axis) in index.iter_mut().zip(axes).rev() {
            *k = (*k + 1) % axis.size;
            if *k > 0 {
                break;
            }
        }
    }
}
