//! Kernels stay inside their buffers: every buffer and scratch stands alone between pages that nobody may touch.
//!
//! A guarded program has entries that copy every array into memory of its own, which ends (or begins) exactly where a
//! forbidden page begins (or ends), call the kernel there, and copy back what it may write. Inputs and parameters are read
//! only. An access outside ends the process, and says of which graph. Kernels are called by the executor's threads as ever:
//! several run at once, each with copies of its own, and what one wrote is put back where it differs from what it was given.

#![allow(unsafe_code, reason = "memory is mapped by hand, and kernels are called in it")]

use std::collections::HashSet;
use std::ffi::{c_int, c_void};
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::{self, ThreadId};

use schur_compiler::autodiff::{VjpOptions, vjp};
use schur_ir::build::{Mode, build};
use schur_ir::dim::Bindings;
use schur_ir::graph::Graph;
use schur_ir::micro::Entry;
use schur_ir::program::{Buffer, BufferKind, Code, KernelFn, MAX_CHUNKS, Program};
use schur_ir::ty::DType;
use schur_runtime::reference::{Evaluated, evaluate};

use crate::levels::{Arrays, Way, any_way, distance, ways};
use crate::random_graph::{random_arrays, random_graph, random_sizes};
use crate::specs;
use crate::stacks::{Case, case};

/// At which end of its pages an array stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Start,
    End,
}

/// Pages for one array, between two that are forbidden.
struct Pages {
    base: *mut u8,
    length: usize,
    array: *mut u8,
}

impl Pages {
    fn new(bytes: usize, align: usize, side: Side) -> Self {
        // SAFETY: asks for a number.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        let inner = bytes.max(1).next_multiple_of(page);
        let length = inner + 2 * page;
        // SAFETY: new memory at no given address; nobody else's.
        let base = unsafe {
            libc::mmap(ptr::null_mut(), length, libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
        };
        assert_ne!(base, libc::MAP_FAILED);
        let base = base.cast::<u8>();
        let offset = match side {
            Side::Start => 0,
            Side::End => (inner - bytes) / align * align,
        };
        // SAFETY: inside of the mapping: a page after its begin, and `offset` is at most `inner`.
        let (first, array) = unsafe { (base.add(page), base.add(page + offset)) };
        // SAFETY: pages of this mapping.
        assert_eq!(unsafe { libc::mprotect(first.cast(), inner, libc::PROT_READ | libc::PROT_WRITE) }, 0);
        Pages { base, length, array }
    }

    fn forbid_writing(&self) {
        // SAFETY: asks for a number.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        // SAFETY: pages of this mapping, without the forbidden ones.
        let done = unsafe { libc::mprotect(self.base.add(page).cast(), self.length - 2 * page, libc::PROT_READ) };
        assert_eq!(done, 0);
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: mapped in `new`, and no pointer into it is left.
        unsafe { libc::munmap(self.base.cast(), self.length) };
    }
}

/// The program that entries stand for.
struct Guarded {
    buffers: Vec<Buffer>,
    symbols: Vec<Arc<str>>,
    scratch: Vec<usize>,
    code: Arc<dyn Code>,
    side: Side,
    /// Locked while arrays are copied: other threads write some of their bytes at other times.
    copying: Mutex<()>,
    /// The threads that kernels were called by.
    callers: Mutex<HashSet<ThreadId>>,
}

/// One program is guarded at a time.
static GUARDED: RwLock<Option<Guarded>> = RwLock::new(None);
static TURN: Mutex<()> = Mutex::new(());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Guarded {
    /// Calls kernel `k` on copies.
    ///
    /// # Safety
    /// As for [`KernelFn`].
    unsafe fn call(
        &self,
        k: usize,
        pointers: *const *mut u8,
        sizes: *const i64,
        rows: [i64; 3],
        scratch: *mut u8,
        micro: *const Entry,
    ) {
        let size = |at: usize| {
            // SAFETY: there is one size a symbol.
            unsafe { *sizes.add(at) as usize }
        };
        let bindings: Bindings = self.symbols.iter().enumerate().map(|(at, name)| (name.clone(), size(at))).collect();
        // SAFETY: there is one pointer a buffer.
        let all = unsafe { slice::from_raw_parts(pointers, self.buffers.len()) };
        let elements = |buffer: &Buffer| buffer.elements().evaluate(&bindings).unwrap();
        let filled = all.iter().zip(&self.buffers).filter(|(_, buffer)| elements(buffer) > 0);
        let filled: Vec<*mut u8> = filled.map(|(pointer, _)| *pointer).collect();
        lock(&self.callers).insert(thread::current().id());
        let copying = lock(&self.copying);
        let mut arrays = Vec::new();
        for (at, buffer) in self.buffers.iter().enumerate() {
            // A partial buffer of one copy may be the array that it is combined into, which nobody else touches then.
            let shared = elements(buffer) > 0 && filled.iter().filter(|other| **other == all[at]).count() > 1;
            let partial = buffer.kind == BufferKind::Partial;
            let copies = if shared && partial { MAX_CHUNKS } else { 1 };
            let bytes = elements(buffer) / copies * buffer.dtype.size();
            let pages = Pages::new(bytes, buffer.dtype.size(), self.side);
            // SAFETY: the pointer is to as many bytes; the pages are new and as large.
            unsafe { ptr::copy_nonoverlapping(all[at], pages.array, bytes) };
            let written = !matches!(buffer.kind, BufferKind::Input | BufferKind::Param) && (partial || !shared);
            if !written {
                pages.forbid_writing();
            }
            // SAFETY: the pages are as large, and were written just now.
            let before = unsafe { slice::from_raw_parts(pages.array, if written { bytes } else { 0 }) }.to_vec();
            arrays.push((all[at], pages, before));
        }
        drop(copying);
        let own = Pages::new(self.scratch[k], 64, self.side);
        // SAFETY: the scratch given is as large, and initialised.
        unsafe { ptr::copy_nonoverlapping(scratch, own.array, self.scratch[k]) };
        let copies: Vec<*mut u8> = arrays.iter().map(|(_, pages, ..)| pages.array).collect();
        let entry = self.code.kernel(k).unwrap();
        let [begin, end, chunk] = rows;
        // SAFETY: the same call with other arrays of the same sizes.
        unsafe { entry(copies.as_ptr(), sizes, begin, end, chunk, own.array, micro) };
        let _copying = lock(&self.copying);
        for (given, pages, before) in &arrays {
            for (at, before) in before.iter().enumerate() {
                // SAFETY: both arrays are as large, and apart.
                let (given, after) = unsafe { (given.add(at), *pages.array.add(at)) };
                if after != *before {
                    // SAFETY: the kernel would have written here; what other threads write are other bytes.
                    unsafe { *given = after };
                }
            }
        }
    }
}

/// The entry that stands for kernel `K` of the guarded program.
unsafe extern "C" fn entry<const K: usize>(
    pointers: *const *mut u8,
    sizes: *const i64,
    begin: i64,
    end: i64,
    chunk: i64,
    scratch: *mut u8,
    micro: *const Entry,
) {
    if let Some(guarded) = GUARDED.read().unwrap_or_else(PoisonError::into_inner).as_ref() {
        // SAFETY: called as the kernel would be.
        unsafe { guarded.call(K, pointers, sizes, [begin, end, chunk], scratch, micro) };
    }
}

macro_rules! entries {
    ($($k:literal)*) => { [$(entry::<$k> as KernelFn),*] };
}

static ENTRIES: [KernelFn; 48] = entries! {
    0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43
    44 45 46 47
};

#[derive(Debug)]
struct Entries(usize);

impl Code for Entries {
    fn kernel(&self, k: usize) -> Option<KernelFn> {
        ENTRIES.get(k).copied()
    }

    fn size(&self) -> usize {
        self.0
    }
}

/// What runs now, for whoever reads of an access outside.
static NAME: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
static NAME_LENGTH: AtomicUsize = AtomicUsize::new(0);

extern "C" fn told(_: c_int) {
    const PREFIX: &[u8] = b"\na kernel left its memory: ";
    for (text, length) in [
        (PREFIX.as_ptr(), PREFIX.len()),
        (NAME.load(Ordering::SeqCst).cast_const(), NAME_LENGTH.load(Ordering::SeqCst)),
    ] {
        // SAFETY: `write` may be called in a handler; the texts are static or leaked.
        unsafe { libc::write(2, text.cast::<c_void>(), length) };
    }
    // SAFETY: the same fault again, without a handler.
    unsafe { libc::signal(libc::SIGSEGV, libc::SIG_DFL) };
}

/// The program whose kernels are entries, and what these stand for.
fn guard(program: Program, side: Side) -> (Program, Guarded) {
    let mut parts = program.into_parts();
    let (buffers, symbols) = (parts.buffers.clone(), parts.symbols.clone());
    let scratch = parts.kernels.iter().map(|kernel| kernel.scratch).collect();
    let code = std::mem::replace(&mut parts.code, Arc::new(Entries(0)));
    let (copying, callers) = Default::default();
    // SAFETY: entries touch what the kernels do that they stand for.
    (unsafe { Program::new(parts) }, Guarded { buffers, symbols, scratch, code, side, copying, callers })
}

/// Runs a graph in guarded memory and compares with the reference.
fn check(name: &str, graph: &Graph, seed: u64) {
    let _ = run(name, graph, seed, true);
}

/// The same, compared or not; gives how many threads called kernels of one program.
fn run(name: &str, graph: &Graph, seed: u64, compare: bool) -> usize {
    let arrays = random_arrays(graph, &random_sizes(graph, seed), seed);
    let ways = ways();
    run_on(name, graph, &arrays, &ways[seed as usize % ways.len()], compare)
}

/// The same, on arrays and in a way that are given.
fn run_on(name: &str, graph: &Graph, (inputs, params): &(Arrays, Arrays), way: &Way, compare: bool) -> usize {
    let _turn = lock(&TURN);
    let label: &'static str = Box::leak(format!("{name}\n").into_boxed_str());
    NAME.store(label.as_ptr().cast_mut(), Ordering::SeqCst);
    NAME_LENGTH.store(label.len(), Ordering::SeqCst);
    // SAFETY: the handler does nothing but what handlers may do.
    unsafe { libc::signal(libc::SIGSEGV, told as *const () as libc::sighandler_t) };
    let wanted = if compare { evaluate(graph, inputs, params) } else { Ok(Evaluated::default()) };
    let wanted = wanted.unwrap_or_else(|e| panic!("{name}: {e}\n{graph}"));
    let mut threads = 0;
    for side in [Side::Start, Side::End] {
        let program = way.program(graph);
        if program.kernels.len() > ENTRIES.len() {
            return threads;
        }
        let (program, guarded) = guard(program, side);
        *GUARDED.write().unwrap() = Some(guarded);
        let found = way.call(program, inputs, params);
        let guarded = GUARDED.write().unwrap().take();
        threads = threads.max(guarded.map_or(0, |guarded| lock(&guarded.callers).len()));
        for (found, wanted) in [(&found.outputs, &wanted.outputs), (&found.statistics, &wanted.statistics)] {
            if !compare {
                break;
            }
            let (apart, array) = distance(found, wanted);
            assert!(apart < 2e-4, "{name}, {}, {side:?}: `{array}` is {apart:e} off", way.name);
        }
    }
    threads
}

fn check_random(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let dtype = if seed % 2 == 0 { DType::F32 } else { DType::F64 };
        check(&format!("random graph {seed}"), &random_graph(seed, dtype), seed);
    }
}

/// Stacks of layers, as wide as models have them.
fn check_stacks(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let Case { name, graph, arrays, .. } = case(seed);
        let _ = run_on(&name, &graph, &arrays, &any_way(seed), true);
    }
}

/// The specs of a folder, both modes, forward and with gradients.
fn check_specs(paths: impl Iterator<Item = std::path::PathBuf>) {
    for (seed, path) in paths.enumerate() {
        let spec = specs::read(&path);
        for mode in [Mode::Train, Mode::Infer] {
            let graph = build(&spec, mode).unwrap();
            check(&format!("{}, {mode:?}", path.display()), &graph, seed as u64);
            let joint = vjp(&graph, &VjpOptions::new(&graph)).unwrap();
            // Gradients at a kink may go to either side in f32.
            let _ = run(&format!("{}, {mode:?}, gradients", path.display()), &joint, seed as u64, false);
        }
    }
}

#[test]
fn kernels_stay_inside_their_memory() {
    check_random(0..60);
    check_stacks(0..20);
    check_specs(specs::entries("tests/specs").into_iter());
    check_specs(specs::cases().step_by(10));
}

/// Helpers come when they can; with so many rows, they come soon.
#[test]
fn guarded_kernels_are_called_by_several_threads() {
    if thread::available_parallelism().map_or(1, usize::from) == 1 {
        return;
    }
    let text = r#"
        name = "m"
        outputs = ["y"]
        inputs.x = { shape = ["N"], irreps = "8x0e + 4x1o" }
        layers = [
            { name = "h", op = "linear", input = "x", irreps_out = "16x0e + 8x1o" },
            { name = "n", op = "batch_norm", input = "h" },
            { name = "y", op = "gate", input = "n" },
        ]
    "#;
    let graph = build(&specs::spec(text), Mode::Train).unwrap();
    let joint = vjp(&graph, &VjpOptions::new(&graph)).unwrap();
    // Seeds whose sizes are of many rows, of which there are some.
    let mut threads = (0..400).map(|seed| run("many rows", &joint, seed, false));
    assert!(threads.any(|threads| threads > 1));
}

#[test]
#[ignore = "all cases, 2,000 graphs and 500 stacks: minutes"]
fn kernels_of_all_cases_stay_inside_their_memory() {
    check_random(0..2000);
    check_stacks(0..500);
    check_specs(specs::cases());
}

/// The guard works: an access one element outside ends the process.
#[test]
fn an_access_outside_would_be_seen() {
    for (side, offset) in [(Side::End, 8isize), (Side::Start, -1)] {
        let pages = Pages::new(8, 8, side);
        // SAFETY: a child that does nothing but one read, which is a fault, and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: it is not safe: that is what is tested. Default handling ends the child.
            unsafe {
                libc::signal(libc::SIGSEGV, libc::SIG_DFL);
                let value = ptr::read_volatile(pages.array.offset(offset));
                libc::_exit(c_int::from(value));
            }
        }
        let mut status = 0;
        // SAFETY: waits for the child made above.
        unsafe { libc::waitpid(child, &mut status, 0) };
        assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSEGV, "{side:?}: {status}");
    }
}
