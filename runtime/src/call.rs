//! Where compiled code is called.
//!
//! A [`Frame`] holds the memory of one call, one array a buffer of the program. Its methods check that each array has
//! the size, the alignment and the access that the program states, so that what remains to be trusted is the program:
//! the invariants in the header of [`schur_ir::program`].

#![expect(clippy::indexing_slicing, clippy::unreachable, reason = "places are of a checked program")]
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use schur_ir::program::{BufferId, BufferKind, MAX_CHUNKS, Program, Step};
use schur_ir::ty::DType;

use crate::arena::ALIGN;
use crate::chunk::{Chunk, Chunks};
use crate::pace::{FIRST_PART, MEASURED_ROWS, Pace};
use crate::partial::{self, Float};
use crate::plan::Plan;
use crate::pool::share;
use crate::shares::Shares;
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
/// `'a`: exclusively, but for buffers of inputs and parameters. A partial buffer of which a call uses one copy is, until it
/// is combined, the array that it is combined into ([`Frame::begin`]).
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

    /// Gives the array of an output, a temporary, a prepared or a partial buffer.
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

    /// Does all steps of the program from one on, in order.
    pub(crate) fn run(mut self, from: usize, mut scratch: Scratch<'a>, paces: &mut [Pace]) {
        assert!(self.pointers.iter().all(|pointer| !pointer.is_null()), "a buffer has no array");
        for (at, step) in self.program.steps.iter().enumerate().skip(from) {
            match step {
                Step::Fill(id, value) => self.fill(*id, *value, at, scratch.threads),
                Step::Begin(id) => {
                    self.begin(*id, at);
                }
                Step::Run(kernel) => self.run_kernel(*kernel, &mut scratch, &mut paces[*kernel]),
                Step::Combine { from, into } => match self.program.buffers[from.index()].dtype {
                    DType::F32 => self.combine::<f32>(*from, *into, at, scratch.threads),
                    DType::F64 => self.combine::<f64>(*from, *into, at, scratch.threads),
                    DType::I32 | DType::Bool => unreachable!("the plan refuses sums of what is no float"),
                },
            }
        }
    }

    /// Runs a kernel over all its rows, on several threads where that pays.
    fn run_kernel(&self, k: usize, scratch: &mut Scratch<'_>, pace: &mut Pace) {
        let (kernel, rows) = (&self.program.kernels[k], self.sizes.rows[k]);
        let measured = scratch.threads > 1 && rows >= MEASURED_ROWS && !kernel.serial;
        let fixed = (self.plan.sums[k] || kernel.serial).then(|| Chunks::fixed(kernel, rows));
        let (mut chunks_done, mut rows_done) = (0, 0);
        if measured && pace.is_unknown() {
            let first = fixed.clone().unwrap_or_else(|| Chunks::free(kernel, 0..rows, FIRST_PART)).get(0);
            let clock = Instant::now();
            first.iter().for_each(|first| self.run_chunk(k, first, scratch.of_caller()));
            (chunks_done, rows_done) = (1, first.map_or(0, |first| first.rows.end));
            pace.learn(rows_done, clock.elapsed());
        }
        let parts = if measured { pace.parts(rows - rows_done, scratch.threads) } else { 1 };
        let (cut, from) = match fixed {
            Some(fixed) => (fixed, chunks_done),
            None => (Chunks::free(kernel, rows_done..rows, parts), 0),
        };
        if parts > 1 && cut.count() > from + 1 {
            let (rows, time) = self.run_shared(k, &cut, from, scratch);
            pace.learn(rows, time);
            return;
        }
        let clock = measured.then(Instant::now);
        (from..).map_while(|k| cut.get(k)).for_each(|chunk| self.run_chunk(k, &chunk, scratch.of_caller()));
        if let Some(clock) = clock {
            pace.learn(rows - rows_done, clock.elapsed());
        }
    }

    /// Runs the chunks of a cut from one on, each on the thread that takes it ([`Shares`]); gives how many rows the caller
    /// did, and how long that took.
    fn run_shared(&self, kernel: usize, cut: &Chunks, from: usize, scratch: &mut Scratch<'_>) -> (usize, Duration) {
        let shares = Shares::new(from..cut.count(), scratch.threads);
        let (rows, nanoseconds) = (AtomicUsize::new(0), AtomicU64::new(0));
        let shared = Shared { frame: self, scratch };
        share(shared.scratch.threads, &|thread| {
            let clock = (thread == 0).then(Instant::now);
            while let Some(chunk) = shares.take(thread).and_then(|k| cut.get(k)) {
                // SAFETY: threads have numbers of their own, and each chunk is taken once.
                unsafe { shared.run_chunk(kernel, &chunk, thread) };
                if thread == 0 {
                    rows.fetch_add(chunk.rows.len(), Ordering::Relaxed);
                }
            }
            if let Some(clock) = clock {
                nanoseconds.store(clock.elapsed().as_nanos() as u64, Ordering::Relaxed);
            }
        });
        (rows.into_inner(), Duration::from_nanos(nanoseconds.into_inner()))
    }

    /// Runs a kernel over some rows, with scratch that is nobody else's.
    fn run_chunk(&self, kernel: usize, chunk: &Chunk, scratch: &mut [u8]) {
        assert!(chunk.number < MAX_CHUNKS && chunk.rows.end <= self.sizes.rows[kernel]);
        assert!(scratch.len() >= self.program.kernels[kernel].scratch && scratch.as_ptr().addr().is_multiple_of(ALIGN));
        let (begin, end) = (chunk.rows.start as i64, chunk.rows.end as i64);
        // SAFETY: there is one array for every buffer (`run`), of the size that the program states for these sizes
        // (`set`), and these are one size a symbol (`new`). The rows are of the kernel's space, which fits in `i64`
        // as `Dim::evaluate` computes in it; the chunk is below `MAX_CHUNKS`; the scratch is as large and as aligned
        // as the kernel wants; the table has an entry for every micro-kernel of the program. What kernels write is
        // exclusively borrowed by the frame; other threads that work on it meanwhile have other rows, and where the
        // kernel sums over rows, other chunks (`Shared`).
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
                self.plan.micros.entries().as_ptr(),
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
            Step::Run(kernel) => Chunks::fixed(&self.program.kernels[*kernel], self.sizes.rows[*kernel]).count(),
            Step::Fill(..) | Step::Begin(_) | Step::Combine { .. } => 0,
        });
        chunks.max().unwrap_or(0)
    }

    /// Gives kernels the array that they add to, and says how many copies it has. Where they add to one copy of a partial
    /// buffer, that is the very array that it will be combined into: nobody else touches it meanwhile, and the sum of one
    /// copy is that copy.
    fn begin(&mut self, id: BufferId, at: usize) -> usize {
        let copies = self.copies(id, at);
        if let (1, Some(into)) = (copies, self.plan.sums_of[at]) {
            self.pointers[id.index()] = self.pointers[into.index()];
        }
        copies
    }

    /// Fills what kernels add to.
    fn fill(&mut self, id: BufferId, value: f64, at: usize, threads: usize) {
        let copies = self.begin(id, at);
        match self.program.buffers[id.index()].dtype {
            DType::F32 => partial::fill(self.floats::<f32>(id, copies), value as f32, threads),
            DType::F64 => partial::fill(self.floats::<f64>(id, copies), value, threads),
            DType::I32 | DType::Bool => unreachable!("the plan refuses to fill what is no float"),
        }
    }

    fn combine<T: Float>(&mut self, from: BufferId, into: BufferId, at: usize, threads: usize) {
        if self.pointers[from.index()] == self.pointers[into.index()] {
            return;
        }
        let copies = self.copies(from, at);
        let terms: *const [T] = self.floats::<T>(from, copies);
        let sum = self.floats::<T>(into, 1);
        // SAFETY: another array than that of `into`, as was asked first.
        partial::combine(unsafe { &*terms }, sum, threads);
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

/// What threads share that run chunks of one kernel.
///
/// Invariant: while it exists, nobody else uses the frame's arrays or the scratch.
struct Shared<'s, 'a, 'b> {
    frame: &'s Frame<'a>,
    scratch: &'s mut Scratch<'b>,
}

// SAFETY: what is not `Sync` are pointers to arrays and scratch. Threads use them by `run_chunk` alone, whose contract says
// how they keep apart; a kernel without sums over rows writes nothing but its rows, and one with sums has chunks that
// are numbered, each with a copy of its own (`Chunks`).
unsafe impl Sync for Shared<'_, '_, '_> {}

impl Shared<'_, '_, '_> {
    /// # Safety
    /// No other thread has this number, and none runs the same rows of this kernel, or another kernel.
    unsafe fn run_chunk(&self, kernel: usize, chunk: &Chunk, thread: usize) {
        assert!(thread < self.scratch.threads);
        let (base, each) = (self.scratch.base, self.scratch.each);
        // SAFETY: `Scratch` has a piece of `each` bytes for every thread, and this one is this thread's.
        let scratch = unsafe { slice::from_raw_parts_mut(base.add(thread * each), each) };
        self.frame.run_chunk(kernel, chunk, scratch);
    }
}

/// Scratch: a piece for every thread that a call may use.
///
/// Invariant: `base` points to `threads` pieces of `each` bytes, exclusively borrowed for `'a`.
pub(crate) struct Scratch<'a> {
    base: *mut u8,
    each: usize,
    threads: usize,
    bytes: PhantomData<&'a mut [u8]>,
}

impl<'a> Scratch<'a> {
    /// Cuts memory in aligned pieces, one a thread.
    pub(crate) fn new(bytes: &'a mut [u8], threads: usize) -> Self {
        assert!(threads > 0 && bytes.len().is_multiple_of(threads * ALIGN));
        Scratch { base: bytes.as_mut_ptr(), each: bytes.len() / threads, threads, bytes: PhantomData }
    }

    /// The piece of the thread that calls.
    fn of_caller(&mut self) -> &mut [u8] {
        // SAFETY: the first piece; all are exclusively borrowed with `self`.
        unsafe { slice::from_raw_parts_mut(self.base, self.each) }
    }
}
