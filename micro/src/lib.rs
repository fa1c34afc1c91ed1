//! Micro-kernels: the loops that need the machine's whole width, for every set of vector instructions.
//!
//! What there is to compute is plain data, [`schur_ir::micro`]. A micro-kernel is written once over `simd::Simd` and compiled
//! for each set, in `sets`; which one is used is found out when a [`Table`] is made, or chosen by the caller. All sets compute
//! the same numbers but for rounding.
//!
//! | modules | what they compute |
//! | --- | --- |
//! | `product`, `tiles`, `blocks`, `tile`, `tile_sums`, `store` | matrix products, cut in tiles of registers |
//! | `square`, `outer`, `dot`, `silu` | products of a few columns, or terms, or one column, and those that an activation is taken of |
//! | `map`, `code`, `polynomial`, `strips`, `side_by_side`, `functions`, `vectors` | expressions of elements |
//! | `rows`, `ready`, `steps`, `lines`, `columns`, `joined` | sums of products of elements, row by row |
//! | `transpose`, `weave`, `deal`, `pairs`, `permutation` | elements in another order |
//! | `prefetch` | what is asked of memory ahead |
//! | `wide` | plain loops of callers |
//! | `simd`, `x86`, `neon`, `portable` | vectors |

#![warn(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::todo,
    clippy::unimplemented,
    clippy::unreachable,
    clippy::unwrap_used
)]
#![expect(clippy::indexing_slicing, reason = "places are of arrays whose lengths are constants here")]

mod blocks;
mod code;
mod columns;
mod deal;
mod dot;
mod functions;
mod joined;
mod lines;
mod map;
#[cfg(target_arch = "aarch64")]
mod neon;
mod outer;
mod pairs;
mod permutation;
mod polynomial;
mod portable;
mod prefetch;
mod product;
mod ready;
mod rows;
mod sets;
mod side_by_side;
mod silu;
mod simd;
mod square;
mod steps;
mod store;
mod strips;
mod tile;
mod tile_sums;
mod tiles;
mod transpose;
mod vectors;
mod weave;
mod wide;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::any::Any;
use std::fmt;

use schur_ir::micro::{Arguments, Entry, Micro, MicroFn};
use schur_ir::ty::DType;

use sets::Float;
pub use wide::Loop;

/// A set of vector instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InstructionSet {
    /// 512-bit vectors: AVX-512F.
    Avx512,
    /// 256-bit vectors: AVX2 and FMA.
    Avx2,
    /// 128-bit vectors of AArch64.
    Neon,
    /// Plain Rust, compiled for every machine of the architecture.
    Portable,
}

impl InstructionSet {
    /// All sets, the widest first.
    pub const ALL: [InstructionSet; 4] =
        [InstructionSet::Avx512, InstructionSet::Avx2, InstructionSet::Neon, InstructionSet::Portable];

    /// True where this machine has the instructions.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => is_x86_feature_detected!("avx512f"),
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(not(target_arch = "x86_64"))]
            InstructionSet::Avx512 | InstructionSet::Avx2 => false,
            // A part of what every AArch64 target of Rust's has.
            InstructionSet::Neon => cfg!(target_arch = "aarch64"),
            InstructionSet::Portable => true,
        }
    }

    /// The widest set of this machine.
    pub fn widest() -> Self {
        Self::ALL.into_iter().find(|set| set.is_available()).unwrap_or(InstructionSet::Portable)
    }
}

impl fmt::Display for InstructionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InstructionSet::Avx512 => "AVX-512",
            InstructionSet::Avx2 => "AVX2",
            InstructionSet::Neon => "NEON",
            InstructionSet::Portable => "portable",
        })
    }
}

/// The entries of a program's micro-kernels, and what they point to.
#[derive(Default)]
pub struct Table {
    entries: Vec<Entry>,
    _plans: Vec<Box<dyn Any + Send + Sync>>,
}

// SAFETY: entries point to plans that are owned here, are never written, and may be shared between threads.
unsafe impl Send for Table {}
// SAFETY: as above.
unsafe impl Sync for Table {}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({} micro-kernels)", self.entries.len())
    }
}

impl Table {
    /// The entries of `micros`, in order. A set that the machine lacks stands for the widest that it has.
    ///
    /// # Panics
    /// If there is more in a micro-kernel than its description allows, which nothing in a checked program has.
    pub fn new(micros: &[Micro], set: InstructionSet) -> Self {
        let set = if set.is_available() { set } else { InstructionSet::widest() };
        let mut table = Table::default();
        for micro in micros {
            match micro.dtype() {
                DType::F64 => table.push::<f64>(micro, set),
                DType::F32 | DType::I32 | DType::Bool => table.push::<f32>(micro, set),
            }
        }
        table
    }

    fn push<T: Float>(&mut self, micro: &Micro, set: InstructionSet) {
        let functions = T::functions(set);
        match micro {
            Micro::Product(product) => {
                self.add(product::Plan::new(product, &functions.tiles), run_product::<T>);
            }
            Micro::Dot(dot) => {
                let (coefficient, run) = (T::rounded(dot.coefficient), (functions.dot)(dot.short));
                self.add(dot::Plan::new(dot, coefficient, run), run_dot::<T>);
            }
            Micro::Transpose(transpose) => {
                let coefficient = T::rounded(transpose.coefficient);
                let (lanes, copy) = (functions.tiles.lanes, (functions.rows)(transpose));
                self.add(transpose::Plan::new(transpose, coefficient, lanes, copy), run_transpose::<T>);
            }
            Micro::Map(map) => self.add(map::Plan::new(map, functions.map), run_map::<T>),
            Micro::Rows(rows) => self.add(rows::Plan::new(rows, functions.tiles.lanes, functions.step), run_rows::<T>),
            Micro::Prefetch(_) => self.add((), run_prefetch),
        }
    }

    fn add<P: Send + Sync + 'static>(&mut self, plan: P, run: MicroFn) {
        let plan = Box::new(plan);
        self.entries.push(Entry { run, plan: (&raw const *plan).cast() });
        self._plans.push(plan);
    }

    /// An entry a micro-kernel, in the order in which these were given; each is good as long as the table.
    ///
    /// An entry reads and writes what its micro-kernel's description names.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

/// The arrays of a call.
///
/// # Safety
/// There are `N` arrays of elements `T`.
unsafe fn arrays<T, const N: usize>(given: *const Arguments) -> [*mut T; N] {
    // SAFETY: the caller's.
    std::array::from_fn(|k| unsafe { (*given).arrays[k] }.cast())
}

unsafe extern "C" fn run_product<T: Float>(plan: *const u8, given: *mut Arguments, rows: i64) {
    // SAFETY: the plan is the entry's; arguments and rows are the caller's.
    unsafe {
        let plan = &*plan.cast::<product::Plan<T>>();
        let [out, a, b] = arrays(given);
        let beside = if plan.has_beside() { arrays::<T, 4>(given)[3] } else { std::ptr::null_mut() };
        plan.run([out, a, b, beside], given, rows as usize)
    }
}

unsafe extern "C" fn run_dot<T: Float>(plan: *const u8, given: *mut Arguments, rows: i64) {
    // SAFETY: the plan is the entry's; arguments and rows are the caller's.
    unsafe { (*plan.cast::<dot::Plan<T>>()).run(arrays(given), rows as usize) }
}

unsafe extern "C" fn run_transpose<T: Float>(plan: *const u8, given: *mut Arguments, rows: i64) {
    // SAFETY: the plan is the entry's; arguments and rows are the caller's.
    unsafe { (*plan.cast::<transpose::Plan<T>>()).run(arrays(given), rows as usize) }
}

unsafe extern "C" fn run_map<T: Float>(plan: *const u8, given: *mut Arguments, rows: i64) {
    // SAFETY: the plan is the entry's; arguments and rows are the caller's.
    unsafe { (*plan.cast::<map::Plan<T>>()).run((&raw const (*given).arrays).cast(), rows as usize) }
}

unsafe extern "C" fn run_rows<T: Float>(plan: *const u8, given: *mut Arguments, rows: i64) {
    // SAFETY: the plan is the entry's; arguments and rows are the caller's.
    unsafe { (*plan.cast::<rows::Plan<T>>()).run((&raw const (*given).arrays).cast(), rows as usize) }
}

unsafe extern "C" fn run_prefetch(_plan: *const u8, given: *mut Arguments, _rows: i64) {
    // SAFETY: the arguments are the caller's.
    unsafe { prefetch::rest(&mut (*given).ahead) }
}
