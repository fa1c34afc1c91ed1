//! Small programs with hand-written kernels.

#![allow(dead_code, reason = "every test file uses another part")]
#![allow(clippy::undocumented_unsafe_blocks, reason = "the programs below state what their kernels may do")]

use std::cell::RefCell;
use std::sync::Arc;

use schur_ir::cut::CHUNK_ROWS;
use schur_ir::dim::Dim;
use schur_ir::expr::Scalar;
use schur_ir::graph::{Init, OutputKind, Param, Requirement};
use schur_ir::micro::Entry;
use schur_ir::program::{
    Buffer, BufferId, BufferKind, Code, InputSlot, Kernel, KernelFn, OutputSlot, ParamSlot, Parts, Program, Step,
};
use schur_ir::ty::DType;
use schur_runtime::executor::Executor;
use schur_runtime::store::ParamStore;

/// One call of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// Its rows.
    pub(crate) rows: (i64, i64),
    /// Its chunk.
    pub(crate) chunk: i64,
    /// The addresses that it was given: all buffers, then the scratch.
    pub(crate) addresses: Vec<usize>,
}

thread_local! {
    static RUNS: RefCell<Vec<Run>> = const { RefCell::new(Vec::new()) };
    static RECORDING: RefCell<bool> = const { RefCell::new(false) };
}

/// The calls of kernels on this thread while `body` runs.
pub(crate) fn runs(body: impl FnOnce()) -> Vec<Run> {
    RUNS.with(|runs| runs.borrow_mut().clear());
    RECORDING.set(true);
    body();
    RECORDING.set(false);
    RUNS.with(|runs| runs.borrow().clone())
}

unsafe fn record(buffers: &[*mut u8], begin: i64, end: i64, chunk: i64, scratch: *mut u8) {
    if RECORDING.with(|r| *r.borrow()) {
        let addresses = buffers.iter().map(|p| p.addr()).chain([scratch.addr()]).collect();
        RUNS.with(|runs| runs.borrow_mut().push(Run { rows: (begin, end), chunk, addresses }));
    }
}

#[derive(Debug)]
struct Kernels(Vec<KernelFn>);

impl Code for Kernels {
    fn kernel(&self, k: usize) -> Option<KernelFn> {
        self.0.get(k).copied()
    }

    fn size(&self) -> usize {
        0
    }
}

pub(crate) fn code(kernels: &[KernelFn]) -> Arc<dyn Code> {
    Arc::new(Kernels(kernels.to_vec()))
}

pub(crate) fn dim(text: &str) -> Dim {
    text.parse().map_or_else(|_| Dim::symbol(text), |n: i64| Dim::from(n))
}

pub(crate) fn buffer(label: &str, dims: &[&str], width: usize, dtype: DType, kind: BufferKind) -> Buffer {
    Buffer { label: label.into(), dims: dims.iter().map(|d| dim(d)).collect(), width, dtype, kind }
}

pub(crate) fn kernel(name: &str, rows: &str, serial: bool) -> Kernel {
    Kernel { name: name.into(), rows: dim(rows), tile: 3, chunk: CHUNK_ROWS, scratch: 100, serial }
}

pub(crate) fn input(name: &str, id: u32) -> InputSlot {
    InputSlot { name: name.into(), buffer: BufferId(id) }
}

pub(crate) fn output(name: &str, kind: OutputKind, id: u32, shape: Option<&[usize]>) -> OutputSlot {
    OutputSlot { name: name.into(), kind, buffer: BufferId(id), shape: shape.map(<[usize]>::to_vec) }
}

/// `t = x w` in a temporary, and the sum of x over rows in partial sums.
unsafe extern "C" fn scale(
    buffers: *const *mut u8,
    sizes: *const i64,
    begin: i64,
    end: i64,
    chunk: i64,
    scratch: *mut u8,
    _micros: *const Entry,
) {
    unsafe {
        record(std::slice::from_raw_parts(buffers, 7), begin, end, chunk, scratch);
        assert!(end <= *sizes);
        scratch.write_bytes(0xff, 100);
        let buffers = buffers.cast::<*mut f32>();
        let (x, w, t, partial) = (*buffers, *buffers.add(2), *buffers.add(3), *buffers.add(4));
        for row in begin as usize..end as usize {
            for j in 0..2 {
                *t.add(2 * row + j) = *x.add(2 * row + j) * *w.add(j);
                *partial.add(2 * chunk as usize + j) += *x.add(2 * row + j);
            }
        }
    }
}

/// The same, where the chunk sets its partial sums first.
pub(crate) unsafe extern "C" fn set_and_scale(
    buffers: *const *mut u8,
    sizes: *const i64,
    begin: i64,
    end: i64,
    chunk: i64,
    scratch: *mut u8,
    micros: *const Entry,
) {
    unsafe {
        let partial = *buffers.add(4).cast::<*mut f32>();
        (0..2).for_each(|j| *partial.add(2 * chunk as usize + j) = 0.0);
        scale(buffers, sizes, begin, end, chunk, scratch, micros);
    }
}

/// `y = t + species`
pub(crate) unsafe extern "C" fn finish(
    buffers: *const *mut u8,
    _sizes: *const i64,
    begin: i64,
    end: i64,
    _chunk: i64,
    _scratch: *mut u8,
    _micros: *const Entry,
) {
    unsafe {
        let (species, t, y) = (
            *buffers.add(1).cast::<*mut i32>(),
            *buffers.add(3).cast::<*mut f32>(),
            *buffers.add(5).cast::<*mut f32>(),
        );
        for row in begin as usize..end as usize {
            for j in 0..2 {
                *y.add(2 * row + j) = *t.add(2 * row + j) + *species.add(row) as f32;
            }
        }
    }
}

/// `y = x w + species` for `x: f32[N, 2]` and `species: i32[N]` below 4, and as a statistic the sum of x over all rows.
pub(crate) fn model() -> Parts {
    use BufferKind::{Input, Output, Partial, Temporary};
    let w = Param { name: "params/mix/w".into(), shape: vec![2], init: Init::Constant(Scalar(2.0)) };
    let sum = Param { name: "batch_stats/norm/sum".into(), shape: vec![2, 1], init: Init::Constant(Scalar(0.0)) };
    Parts {
        name: "test".into(),
        dtype: DType::F32,
        symbols: vec!["N".into()],
        buffers: vec![
            buffer("x", &["N"], 2, DType::F32, Input),
            buffer("species", &["N"], 1, DType::I32, Input),
            buffer("w", &[], 2, DType::F32, BufferKind::Param),
            buffer("t", &["N"], 2, DType::F32, Temporary),
            buffer("partial sums", &[], 2, DType::F32, Partial),
            buffer("y", &["N"], 2, DType::F32, Output),
            buffer("sum", &[], 2, DType::F32, Output),
            buffer("old sum", &["2"], 1, DType::F32, BufferKind::Param),
        ],
        kernels: vec![kernel("scale", "N", false), kernel("finish", "N", false)],
        micros: Vec::new(),
        steps: vec![
            Step::Fill(BufferId(4), 0.0),
            Step::Run(0),
            Step::Combine { from: BufferId(4), into: BufferId(6) },
            Step::Run(1),
        ],
        prologue: 0,
        requirements: vec![Requirement::IndexBelow { input: "species".into(), bound: 4, layer: "mix".into() }],
        inputs: vec![input("x", 0), input("species", 1)],
        params: vec![ParamSlot { param: w, buffer: BufferId(2) }, ParamSlot { param: sum, buffer: BufferId(7) }],
        outputs: vec![
            output("y", OutputKind::Output, 5, None),
            output("batch_stats/norm/sum", OutputKind::Statistic, 6, Some(&[2, 1])),
        ],
        code: code(&[scale, finish]),
    }
}

/// A program of these parts.
pub(crate) fn program(parts: Parts) -> Arc<Program> {
    // The kernels of these tests stay inside of what the parts say, or are never called.
    Arc::new(unsafe { Program::new(parts) })
}

pub(crate) fn executor(parts: Parts) -> Executor {
    Executor::new(program(parts)).unwrap()
}

pub(crate) fn store(parts: &Parts) -> ParamStore {
    ParamStore::init(parts.params.iter().map(|slot| &slot.param), parts.dtype, 0).unwrap()
}
