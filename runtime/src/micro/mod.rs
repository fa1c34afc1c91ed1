//! Micro-kernels: the loops that need the machine's whole width, for every set of vector instructions.
//!
//! A micro-kernel is written once over `simd::Simd` and compiled for each set; which one is used is found out when an
//! executor is made, or chosen by the caller. All sets compute the same numbers but for rounding.

#![expect(clippy::indexing_slicing, reason = "places are of arrays whose lengths are constants here")]
#![allow(unsafe_code)]

mod functions;
mod map;
mod portable;
mod prefetch;
mod product;
mod simd;
#[cfg(test)]
mod tests;
mod tile;
mod transpose;
mod vectors;
mod weave;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::any::Any;
use std::fmt;

use schur_ir::micro::{Entry, Micro, MicroFn, Prefetch, Transpose};
use schur_ir::ty::DType;

use portable::Plain;
use product::{TileFn, Tiles};
use simd::Simd;
use tile::Tile;

/// A set of vector instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InstructionSet {
    /// 512-bit vectors: AVX-512F.
    Avx512,
    /// 256-bit vectors: AVX2 and FMA.
    Avx2,
    /// Plain Rust, compiled for every machine of the architecture.
    Portable,
}

impl InstructionSet {
    /// All sets, the widest first.
    pub const ALL: [InstructionSet; 3] = [InstructionSet::Avx512, InstructionSet::Avx2, InstructionSet::Portable];

    /// True where this machine has the instructions.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => is_x86_feature_detected!("avx512f"),
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(not(target_arch = "x86_64"))]
            InstructionSet::Avx512 | InstructionSet::Avx2 => false,
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
            InstructionSet::Portable => "portable",
        })
    }
}

/// The entries of a program's micro-kernels, and what they point to.
#[derive(Default)]
pub(crate) struct Table {
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
    pub(crate) fn new(micros: &[Micro], set: InstructionSet) -> Self {
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
        match micro {
            Micro::Product(product) => {
                let plan = product::Plan::new(product, &T::tiles(set), T::rounded(product.coefficient));
                self.add(plan, run_product::<T>);
            }
            Micro::Transpose(transpose) => {
                let coefficient = T::rounded(transpose.coefficient);
                let (lanes, row) = (T::tiles(set).lanes, T::row(set, transpose));
                self.add(transpose::Plan::new(transpose, coefficient, lanes, row), run_transpose::<T>);
            }
            Micro::Map(map) => self.add(map::Plan::new(map, T::map(set)), run_map::<T>),
            Micro::Prefetch(prefetch) => self.add(prefetch.clone(), run_prefetch),
        }
    }

    fn add<P: Send + Sync + 'static>(&mut self, plan: P, run: MicroFn) {
        let plan = Box::new(plan);
        self.entries.push(Entry { run, plan: (&raw const *plan).cast() });
        self._plans.push(plan);
    }

    /// What kernels are given.
    pub(crate) fn as_ptr(&self) -> *const Entry {
        self.entries.as_ptr()
    }
}

/// The arrays of a call.
///
/// # Safety
/// There are `N` arrays of elements `T`.
unsafe fn arrays<T, const N: usize>(arrays: *const *mut u8) -> [*mut T; N] {
    // SAFETY: the caller's.
    std::array::from_fn(|k| unsafe { *arrays.add(k) }.cast())
}

unsafe extern "C" fn run_product<T: Float>(plan: *const u8, given: *const *mut u8, rows: i64) {
    // SAFETY: the plan is the entry's; arrays and rows are the caller's.
    unsafe { (*plan.cast::<product::Plan<T>>()).run(arrays(given), rows as usize) }
}

unsafe extern "C" fn run_transpose<T: Float>(plan: *const u8, given: *const *mut u8, rows: i64) {
    // SAFETY: the plan is the entry's; arrays and rows are the caller's.
    unsafe { (*plan.cast::<transpose::Plan<T>>()).run(arrays(given), rows as usize) }
}

unsafe extern "C" fn run_map<T: Float>(plan: *const u8, given: *const *mut u8, rows: i64) {
    // SAFETY: the plan is the entry's; arrays and rows are the caller's.
    unsafe { (*plan.cast::<map::Plan<T>>()).run(given.cast(), rows as usize) }
}

unsafe extern "C" fn run_prefetch(plan: *const u8, given: *const *mut u8, rows: i64) {
    // SAFETY: the plan is the entry's; there is one array.
    unsafe { prefetch::run(&*plan.cast::<Prefetch>(), *given, rows as usize) }
}

/// A float, with the functions of every instruction set.
trait Float: Copy + Send + Sync + 'static {
    /// The nearest to `x`.
    fn rounded(x: f64) -> Self;
    /// Register tiles.
    fn tiles(set: InstructionSet) -> Tiles<Self>;
    /// The copy of a row.
    fn row(set: InstructionSet, transpose: &Transpose) -> transpose::RowFn<Self>;
    /// A run of elements of a map.
    fn map(set: InstructionSet) -> map::RunFn<Self>;
}

/// The functions of one instruction set for one float.
macro_rules! functions {
    ($name:ident, $float:ty, $simd:ty, [$(#[$features:meta])?], [$(($j:literal, $g:literal, $v:literal))*], [$(($items:literal, $pairs:literal, $groups:literal))*]) => {
        mod $name {
            use super::*;

            /// # Safety
            /// The machine has the instructions, and the tile names elements of its arrays.
            $(#[$features])?
            unsafe fn tile<const G: usize, const J: usize, const NV: usize>(tile: Tile<$float>, times: usize) {
                // SAFETY: the caller's.
                tile.repeat(G, times, |tile| unsafe { tile::tile::<$simd, G, J, NV>(tile) })
            }

            fn get(items: usize, groups: usize, vectors: usize) -> Option<TileFn<$float>> {
                match (items, groups, vectors) {
                    $(($j, $g, $v) => Some(tile::<$g, $j, $v>),)*
                    _ => None,
                }
            }

            /// # Safety
            /// The machine has the instructions, and the tile names elements of its arrays.
            $(#[$features])?
            unsafe fn tile_of_pairs<const G: usize, const H: usize, const ITEMS: usize>(tile: Tile<$float>, times: usize) {
                // SAFETY: the caller's.
                tile.repeat(G, times, |tile| unsafe { tile::pairs::<$simd, G, H, ITEMS>(tile) })
            }

            fn pairs(items: usize, groups: usize) -> Option<TileFn<$float>> {
                match (items, groups) {
                    $(($items, $groups) => Some(tile_of_pairs::<$groups, $pairs, $items>),)*
                    _ => None,
                }
            }

            /// # Safety
            /// The machine has the instructions, and the tile names elements of its arrays.
            $(#[$features])?
            unsafe fn tile_of_terms<const G: usize, const J: usize>(tile: Tile<$float>, times: usize) {
                // SAFETY: the caller's.
                tile.repeat(G, times, |tile| unsafe { tile::terms::<$simd, G, J>(tile) })
            }

            fn terms(items: usize, groups: usize) -> Option<TileFn<$float>> {
                match (items, groups) {
                    (4, 1) => Some(tile_of_terms::<1, 4>),
                    (4, 2) => Some(tile_of_terms::<2, 4>),
                    (4, 3) => Some(tile_of_terms::<3, 4>),
                    _ => None,
                }
            }

            pub(super) const TILES: Tiles<$float> = Tiles { lanes: <$simd as Simd>::LANES, get, pairs, terms };

            /// # Safety
            /// The machine has the instructions, and the arrays hold a row.
            $(#[$features])?
            unsafe fn row_of<const D: usize>(
                out: *mut $float,
                from: *const $float,
                plan: &transpose::Plan<$float>,
            ) {
                // SAFETY: the caller's.
                unsafe { transpose::row::<$simd, D>(out, from, plan) }
            }

            /// # Safety
            /// The machine has the instructions, and the arrays hold a row.
            $(#[$features])?
            unsafe fn matrix(out: *mut $float, from: *const $float, plan: &transpose::Plan<$float>) {
                // SAFETY: the caller's.
                unsafe { transpose::matrix::<$simd, { <$simd as Simd>::LANES }>(out, from, plan) }
            }

            /// # Safety
            /// The machine has the instructions, and the arrays hold `count` elements.
            $(#[$features])?
            pub(super) unsafe fn map(code: &map::Code<'_>, arrays: &[*mut $float; map::MAX_ARRAYS], count: usize) {
                // SAFETY: the caller's.
                unsafe { map::run::<$simd>(code, arrays, count) }
            }

            /// # Safety
            /// The machine has the instructions, and the arrays hold a row.
            $(#[$features])?
            unsafe fn few<const N: usize>(out: *mut $float, from: *const $float, plan: &transpose::Plan<$float>) {
                // SAFETY: the caller's.
                unsafe { transpose::few::<$simd, N>(out, from, plan) }
            }

            pub(super) fn row(transpose: &Transpose) -> Option<transpose::RowFn<$float>> {
                if transpose::is_few(transpose, TILES.lanes) {
                    let vectors = (transpose.short * transpose.long).div_ceil(TILES.lanes);
                    return [few::<1>, few::<2>, few::<3>, few::<4>].get(vectors.checked_sub(1)?).copied().map(|few| few as _);
                }
                match transpose.short {
                    3 => Some(row_of::<3>),
                    5 => Some(row_of::<5>),
                    7 => Some(row_of::<7>),
                    9 => Some(row_of::<9>),
                    short if short > 9 => Some(matrix),
                    _ => None,
                }
            }
        }
    };
}

/// The functions of a set of 32 registers: its tiles hold at most 24 sums.
#[cfg(target_arch = "x86_64")]
macro_rules! functions_of_32_registers {
    ($($set:tt)*) => {
        functions!($($set)*, [
            (1, 1, 1) (1, 2, 1) (1, 3, 1) (1, 1, 2) (1, 2, 2) (1, 3, 2)
            (1, 1, 3) (1, 1, 4) (1, 1, 5) (1, 1, 6) (1, 1, 7) (1, 1, 8)
            (4, 1, 1) (4, 2, 1) (4, 3, 1) (4, 1, 2) (4, 2, 2) (4, 3, 2)
            (3, 1, 1) (3, 2, 1) (3, 3, 1) (3, 4, 1) (3, 1, 2) (3, 2, 2) (3, 3, 2) (3, 4, 2)
            (5, 1, 1) (5, 2, 1) (5, 1, 2) (5, 2, 2)
            (7, 1, 1) (7, 2, 1) (7, 1, 2) (9, 1, 1) (9, 1, 2) (11, 1, 1) (11, 1, 2)
        ], [
            (3, 2, 1) (3, 2, 2) (3, 2, 3) (3, 2, 4) (3, 2, 5) (3, 2, 6)
            (4, 2, 1) (4, 2, 2) (4, 2, 3) (4, 2, 4)
            (5, 3, 1) (5, 3, 2) (5, 3, 3) (5, 3, 4) (7, 4, 1) (7, 4, 2) (7, 4, 3)
        ]);
    };
}

/// The functions of a set of 16 registers: its tiles hold at most 12 sums.
macro_rules! functions_of_16_registers {
    ($($set:tt)*) => {
        functions!($($set)*, [
            (1, 1, 1) (1, 2, 1) (1, 3, 1) (1, 1, 2) (1, 2, 2) (1, 3, 2)
            (1, 1, 3) (1, 1, 4) (1, 1, 5) (1, 1, 6) (1, 1, 7) (1, 1, 8)
            (4, 1, 1) (4, 2, 1) (4, 3, 1) (4, 1, 2)
            (3, 1, 1) (3, 2, 1) (3, 3, 1) (3, 1, 2) (3, 2, 2)
            (5, 1, 1) (5, 2, 1) (5, 1, 2) (7, 1, 1) (9, 1, 1) (11, 1, 1)
        ], [
            (3, 2, 1) (3, 2, 2) (3, 2, 3) (3, 2, 4) (4, 2, 1) (4, 2, 2) (4, 2, 3)
            (5, 3, 1) (5, 3, 2) (5, 3, 3) (7, 4, 1) (7, 4, 2)
        ]);
    };
}

#[cfg(target_arch = "x86_64")]
functions_of_32_registers!(avx512_f32, f32, x86::F32x16, [#[target_feature(enable = "avx512f")]]);
#[cfg(target_arch = "x86_64")]
functions_of_32_registers!(avx512_f64, f64, x86::F64x8, [#[target_feature(enable = "avx512f")]]);
#[cfg(target_arch = "x86_64")]
functions_of_16_registers!(avx2_f32, f32, x86::F32x8, [#[target_feature(enable = "avx2,fma")]]);
#[cfg(target_arch = "x86_64")]
functions_of_16_registers!(avx2_f64, f64, x86::F64x4, [#[target_feature(enable = "avx2,fma")]]);
functions_of_16_registers!(plain_f32, f32, Plain<f32, 4>, []);
functions_of_16_registers!(plain_f64, f64, Plain<f64, 2>, []);

/// A transposing copy, element by element.
///
/// # Safety
/// `out` and `from` hold a row.
unsafe fn plain_row<T: portable::Element>(out: *mut T, from: *const T, plan: &transpose::Plan<T>) {
    let (short, long) = (plan.transpose.short, plan.transpose.long);
    let (from_strides, out_strides) =
        if plan.transpose.apart { ([short, 1], [1, long]) } else { ([1, long], [short, 1]) };
    for u in 0..long {
        for i in 0..short {
            // SAFETY: the caller's.
            unsafe {
                let x = *from.add(u * from_strides[0] + i * from_strides[1]);
                *out.add(u * out_strides[0] + i * out_strides[1]) = x * plan.coefficient;
            }
        }
    }
}

macro_rules! float {
    ($float:ty, $avx512:ident, $avx2:ident, $plain:ident) => {
        impl Float for $float {
            fn rounded(x: f64) -> Self {
                x as $float
            }

            fn tiles(set: InstructionSet) -> Tiles<Self> {
                match set {
                    #[cfg(target_arch = "x86_64")]
                    InstructionSet::Avx512 => $avx512::TILES,
                    #[cfg(target_arch = "x86_64")]
                    InstructionSet::Avx2 => $avx2::TILES,
                    #[cfg(not(target_arch = "x86_64"))]
                    InstructionSet::Avx512 | InstructionSet::Avx2 => $plain::TILES,
                    InstructionSet::Portable => $plain::TILES,
                }
            }

            fn row(set: InstructionSet, transpose: &Transpose) -> transpose::RowFn<Self> {
                let found = match set {
                    #[cfg(target_arch = "x86_64")]
                    InstructionSet::Avx512 => $avx512::row(transpose),
                    #[cfg(target_arch = "x86_64")]
                    InstructionSet::Avx2 => $avx2::row(transpose),
                    #[cfg(not(target_arch = "x86_64"))]
                    InstructionSet::Avx512 | InstructionSet::Avx2 => None,
                    InstructionSet::Portable => $plain::row(transpose),
                };
                found.unwrap_or(plain_row::<$float>)
            }

            fn map(set: InstructionSet) -> map::RunFn<Self> {
                match set {
                    #[cfg(target_arch = "x86_64")]
                    InstructionSet::Avx512 => $avx512::map,
                    #[cfg(target_arch = "x86_64")]
                    InstructionSet::Avx2 => $avx2::map,
                    #[cfg(not(target_arch = "x86_64"))]
                    InstructionSet::Avx512 | InstructionSet::Avx2 => $plain::map,
                    InstructionSet::Portable => $plain::map,
                }
            }
        }
    };
}

float!(f32, avx512_f32, avx2_f32, plain_f32);
float!(f64, avx512_f64, avx2_f64, plain_f64);
