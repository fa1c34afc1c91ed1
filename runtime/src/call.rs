//! Where compiled code is called: the only module with `unsafe`.
//!
//! A [`Frame`] holds the memory of one call, one array a buffer of the program. Its methods check that each array has
//! the size, the alignment and the access that the program states, so that what remains to be trusted is the program:
//! the invariants in the header of [`schur_ir::program`].

#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ops::AddAssign;
use std::ptr;
use std::slice;

use schur_ir::program::{BufferId, BufferKind, MAX_CHUNKS, Program, Step};
use schur_ir::ty::DType;

use crate::arena::ALIGN;
use crate::chunk::{Chunk, chunks, count};
use crate::plan::Plan;
use crate::sizes::Sizes;

/// The table of pointers that kernels are given; kept between calls for its memory.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<*mut u8>);

// SAFETY: outside of a `Frame`, which borrows the table, no pointer is ever read.
unsafe impl Send for Table {}
// SAFETY: as above; nothing can be done with a shared table.
unsafe impl Sync for Table {}

/// The memory of one call.
///
/// Invariant: a pointer is null, or points to as many bytes as the buffer has, aligned for its elements, borrowed for
/// `'a`: exclusively, but for buffers of inputs and parameters.
pub(crate) struct Frame<'a> {
    program: &'a Program,
    plan: &'a Plan,
    sizes: &'a Sizes,
    pointers: &'a mut [*mut u8],
    arrays: PhantomData<&'a mut [u8]>,
}

impl<'a> Frame<'a> {
    /// A frame without any array.
    pub(crate) fn new(program: &'a Program, plan: &'a Plan, sizes: &'a Sizes, table: &'a mut Table) -> Self {
        assert_eq!(sizes.bytes.len(), program.buffers.len());
        assert_eq!(sizes.symbols.len(), program.symbols.len());
        assert_eq!(sizes.rows.len(), program.kernels.len());
        table.0.clear();
        table.0.resize(program.buffers.len(), ptr::null_mut());
        Frame { program, plan, sizes, pointers: &mut table.0, arrays: PhantomData }
    }

    /// Gives the array of an input or a parameter.
    pub(crate) fn read(&mut self, id: BufferId, bytes: &'a [u8]) {
        let kind = self.program.buffers[id.index()].kind;
        assert!(matches!(kind, BufferKind::Input | BufferKind::Param), "{id} is written");
        self.set(id, bytes.as_ptr().cast_mut(), bytes.len());
    }

    /// Gives the array of an output, a temporary or a partial buffer.
    pub(crate) fn write(&mut self, id: BufferId, bytes: &'a mut [u8]) {
        let kind = self.program.buffers[id.index()].kind;
        assert!(!matches!(kind, BufferKind::Input | BufferKind::Param), "{id} is read");
        self.set(id, bytes.as_mut_ptr(), bytes.len());
    }

    fn set(&mut self, id: BufferId, pointer: *mut u8, bytes: usize) {
        assert_eq!(bytes, self.sizes.bytes[id.index()], "the size of {id}");
        assert!(pointer.addr().is_multiple_of(self.program.buffers[id.index()].dtype.size()), "{id} is not aligned");
        self.pointers[id.index()] = pointer;
    }

    /// Does all steps of the program, in order.
    pub(crate) fn run(mut self, scratch: &'a mut [u8]) {
        assert!(self.pointers.iter().all(|pointer| !pointer.is_null()), "a buffer has no array");
        for (at, step) in self.program.steps.iter().enumerate() {
            match step {
                Step::Fill(id, value) => self.fill(*id, *value, at),
                Step::Run(kernel) => {
                    for chunk in chunks(&self.program.kernels[*kernel], self.sizes.rows[*kernel]) {
                        self.run_chunk(*kernel, &chunk, scratch);
                    }
                }
                Step::Combine { from, into } => match self.program.buffers[from.index()].dtype {
                    DType::F32 => self.combine::<f32>(*from, *into, at),
                    DType::F64 => self.combine::<f64>(*from, *into, at),
                    DType::I32 | DType::Bool => unreachable!("the plan refuses sums of what is no float"),
                },
            }
        }
    }

    /// Runs a kernel over some rows, with scratch that is nobody else's.
    fn run_chunk(&self, kernel: usize, chunk: &Chunk, scratch: &mut [u8]) {
        assert!(chunk.number < MAX_CHUNKS && chunk.rows.end <= self.sizes.rows[kernel]);
        assert!(scratch.len() >= self.program.kernels[kernel].scratch && scratch.as_ptr().addr().is_multiple_of(ALIGN));
        let (begin, end) = (chunk.rows.start as i64, chunk.rows.end as i64);
        // SAFETY: there is one array for every buffer (`run`), of the size that the program states for these sizes
        // (`set`), and these are one size a symbol (`new`). The rows are of the kernel's space, which fits in `i64`
        // as `Dim::evaluate` computes in it; the chunk is below `MAX_CHUNKS`; the scratch is as large and as aligned
        // as the kernel wants; the table has an entry for every micro-kernel of the program. No other thread has any of the memory: what kernels write is exclusively borrowed.
        // Indices that are read as rows are in range, as the program's requirements were checked. For all else the
        // program answers: every access stays inside these arrays.
        unsafe {
            self.plan.entries[kernel](
                self.pointers.as_ptr(),
                self.sizes.symbols.as_ptr(),
                begin,
                end,
                chunk.number as i64,
                scratch.as_mut_ptr(),
                self.plan.micros.as_ptr(),
            );
        }
    }

    /// The copies of a step's partial buffer that kernels add to before it is combined; one for other buffers.
    fn copies(&self, id: BufferId, at: usize) -> usize {
        if self.program.buffers[id.index()].kind != BufferKind::Partial {
            return 1;
        }
        let steps = &self.program.steps[self.plan.writers[at].clone()];
        let chunks = steps.iter().map(|step| match step {
            Step::Run(kernel) => count(&self.program.kernels[*kernel], self.sizes.rows[*kernel]),
            Step::Fill(..) | Step::Combine { .. } => 0,
        });
        chunks.max().unwrap_or(0)
    }

    fn fill(&mut self, id: BufferId, value: f64, at: usize) {
        let copies = self.copies(id, at);
        match self.program.buffers[id.index()].dtype {
            DType::F32 => self.floats::<f32>(id, copies).fill(value as f32),
            DType::F64 => self.floats::<f64>(id, copies).fill(value),
            DType::I32 | DType::Bool => unreachable!("the plan refuses to fill what is no float"),
        }
    }

    fn combine<T: Float>(&mut self, from: BufferId, into: BufferId, at: usize) {
        assert_ne!(from, into);
        let copies = self.copies(from, at);
        let terms: *const [T] = self.floats::<T>(from, copies);
        let sum = self.floats::<T>(into, 1);
        // SAFETY: another buffer than `into`, so another array.
        let terms = unsafe { &*terms };
        sum.fill(T::default());
        for (k, term) in terms.chunks_exact(sum.len().max(1)).enumerate() {
            if k == 0 {
                sum.copy_from_slice(term);
            } else {
                sum.iter_mut().zip(term).for_each(|(sum, x)| *sum += *x);
            }
        }
    }

    /// The first copies of a buffer that is written.
    fn floats<T: Float>(&mut self, id: BufferId, copies: usize) -> &mut [T] {
        let buffer = &self.program.buffers[id.index()];
        assert!(buffer.dtype == T::DTYPE && !matches!(buffer.kind, BufferKind::Input | BufferKind::Param));
        let all = if buffer.kind == BufferKind::Partial { MAX_CHUNKS } else { 1 };
        assert!(copies <= all);
        let length = self.sizes.bytes[id.index()] / all / size_of::<T>() * copies;
        // SAFETY: the array is as large (`set`), aligned for `T`, exclusively borrowed, and initialised, as all memory
        // that a frame is given is; any bytes are floats.
        unsafe { slice::from_raw_parts_mut(self.pointers[id.index()].cast(), length) }
    }
}

/// A float that arrays hold.
trait Float: Copy + Default + AddAssign {
    /// Its name.
    const DTYPE: DType;
}

impl Float for f32 {
    const DTYPE: DType = DType::F32;
}

impl Float for f64 {
    const DTYPE: DType = DType::F64;
}
