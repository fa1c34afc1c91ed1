//! The functions of every instruction set: the micro-kernels' loops, compiled for its vectors.

use schur_ir::micro::Transpose;

use super::InstructionSet;
use super::code::Code;
use super::columns;
use super::dot;
use super::lines;
#[cfg(target_arch = "aarch64")]
use super::neon;
use super::outer;
use super::portable::{self, Plain};
use super::side_by_side;
use super::silu::Silu;
use super::simd::Simd;
use super::square;
use super::steps::{self, Shape, Step, StepFn};
use super::store::{Any, Form, Whole, Woven};
use super::strips;
use super::tile::{Layout, Tile};
use super::tile_sums;
use super::tiles::{TileFn, Tiles};
use super::transpose;
#[cfg(target_arch = "x86_64")]
use super::x86;

/// What one instruction set has for one float.
pub(super) struct Functions<T: 'static> {
    /// Register tiles.
    pub(super) tiles: Tiles<T>,
    /// The sums of a number of components for a single column.
    pub(super) dot: fn(usize) -> dot::DotFn<T>,
    /// The copy of rows.
    pub(super) rows: fn(&Transpose) -> transpose::RowsFn<T>,
    /// What maps call.
    pub(super) map: strips::Functions<T>,
    /// A step of a list of steps that are done row by row.
    pub(super) step: fn(Shape) -> Option<StepFn<T>>,
}

/// A float, with the functions of every instruction set.
pub(super) trait Float: Copy + Send + Sync + 'static {
    /// The nearest to `x`.
    fn rounded(x: f64) -> Self;
    /// The functions of a set; of the portable one where the machine's architecture lacks it.
    fn functions(set: InstructionSet) -> &'static Functions<Self>;
}

/// Functions of one signature, compiled with the instructions of a set.
macro_rules! compiled {
    (@ [$($features:tt)*] ($($argument:ident: $of:ty),*) $name:ident [$($generics:tt)*] $function:path) => {
        /// # Safety
        /// The machine has the instructions, and the arguments name elements that are there.
        $($features)*
        unsafe fn $name<$($generics)*>($($argument: $of),*) {
            // SAFETY: the caller's.
            unsafe { $function($($argument),*) }
        }
    };
    ($features:tt $arguments:tt $($name:ident $generics:tt = $function:path;)*) => {
        $(compiled!(@ $features $arguments $name $generics $function);)*
    };
}

/// The functions of one instruction set for one float.
macro_rules! functions {
    ($name:ident, $float:ty, $simd:ty, [$(#[$features:meta])?], [$(($list:literal, $l:literal, $w:literal))*], [$(($j:literal, $g:literal, $v:literal))*], [$(($items:literal, $pairs:literal, $groups:literal))*], [$(($terms:literal, $columns:literal))*]) => {
        mod $name {
            use super::*;

            const LANES: usize = <$simd as Simd>::LANES;
            /// Plain arrays are written to the caches all the same.
            const PAST: bool = !<$simd as Simd>::IS_PLAIN;

            compiled! {
                [$(#[$features])?] (layout: &Layout<$float>, tile: &mut Tile<$float>, times: usize)
                tiles[F: Form, const G: usize, const J: usize, const NV: usize] = tile_sums::tiles::<$simd, F, G, J, NV>;
                tile_of_pairs[const G: usize, const H: usize, const ITEMS: usize] = tile_sums::pairs::<$simd, G, H, ITEMS>;
                tile_of_terms[const G: usize, const J: usize] = tile_sums::terms::<$simd, G, J>;
                square_pairs[const G: usize, const H: usize, const ITEMS: usize] = square::pairs::<$simd, G, H, ITEMS>;
                square_terms[const G: usize] = square::terms::<$simd, G>;
                square_sums[const D: usize] = square::sums::<$simd, D>;
                outer_rows[const K: usize, const NV: usize] = outer::rows::<$simd, K, NV>;
            }

            compiled! {
                [$(#[$features])?] (step: &Step<$float>, arrays: &steps::Arrays<$float>, rows: usize)
                elements[const P: usize, const Q: usize, const D: usize] = steps::elements::<$simd, P, Q, D>;
                sums[const P: usize, const Q: usize, const D: usize, const ACROSS: bool, const STREAMS: bool]
                    = steps::sums::<$simd, P, Q, D, ACROSS, STREAMS>;
                lines[const P: usize, const Q: usize, const ASKS: usize, const PAST: bool]
                    = lines::lines::<$simd, P, Q, ASKS, PAST>;
                columns[const OF: usize, const ASKS: usize] = columns::columns::<$simd, OF, ASKS>;
            }

            compiled! {
                [$(#[$features])?] (code: &Code, arrays: &strips::Arrays<$float>, count: usize)
                run[] = strips::run::<$simd>;
            }

            compiled! {
                [$(#[$features])?] (to: *mut $float, from: *const $float, rows: [usize; 3])
                gather[] = side_by_side::gather::<$simd>;
                scatter[] = side_by_side::scatter::<$simd>;
            }

            compiled! {
                [$(#[$features])?] (arrays: dot::Arrays<$float>, plan: &dot::Plan<$float>, rows: usize)
                dots[const D: usize] = dot::rows::<$simd, D, LANES>;
            }

            fn get<F: Form>(items: usize, groups: usize, vectors: usize) -> Option<TileFn<$float>> {
                match (items, groups, vectors) {
                    $(($list, $l, $w) => Some(tiles::<F, $l, $list, $w>),)*
                    $(($j, $g, $v) => Some(tiles::<F, $g, $j, $v>),)*
                    _ => None,
                }
            }

            fn woven(items: usize, groups: usize, vectors: usize) -> Option<TileFn<$float>> {
                match (items, groups, vectors) {
                    $(($j, $g, $v) => Some(tiles::<Woven, $g, $j, $v>),)*
                    _ => None,
                }
            }

            fn silu(items: usize, groups: usize, vectors: usize) -> Option<TileFn<$float>> {
                match (items, groups, vectors) {
                    $(($list, $l, $w) => Some(tiles::<Silu, $l, $list, $w>),)*
                    _ => None,
                }
            }

            fn pairs(items: usize, groups: usize) -> Option<TileFn<$float>> {
                match (items, groups) {
                    $(($items, $groups) => Some(tile_of_pairs::<$groups, $pairs, $items>),)*
                    _ => None,
                }
            }

            fn terms(items: usize, groups: usize) -> Option<TileFn<$float>> {
                match (items, groups) {
                    (4, 1) => Some(tile_of_terms::<1, 4>),
                    (4, 2) => Some(tile_of_terms::<2, 4>),
                    (4, 3) => Some(tile_of_terms::<3, 4>),
                    _ => None,
                }
            }

            fn sums_of(components: usize) -> Option<TileFn<$float>> {
                match components {
                    3 => Some(square_sums::<3>),
                    5 => Some(square_sums::<5>),
                    _ => None,
                }
            }

            fn square(items: usize, groups: usize) -> Option<TileFn<$float>> {
                match (items, groups) {
                    (1, 1) => Some(square_terms::<1>),
                    (1, 2) => Some(square_terms::<2>),
                    (1, 3) => Some(square_terms::<3>),
                    (1, 4) => Some(square_terms::<4>),
                    (3, 1) => Some(square_pairs::<1, 2, 3>),
                    (3, 2) => Some(square_pairs::<2, 2, 3>),
                    (3, 3) => Some(square_pairs::<3, 2, 3>),
                    (3, 4) => Some(square_pairs::<4, 2, 3>),
                    (5, 1) => Some(square_pairs::<1, 3, 5>),
                    (5, 2) => Some(square_pairs::<2, 3, 5>),
                    (5, 3) => Some(square_pairs::<3, 3, 5>),
                    _ => None,
                }
            }

            fn outer(terms: usize, vectors: usize) -> Option<TileFn<$float>> {
                match (terms, vectors) {
                    $(($terms, $columns) => Some(outer_rows::<$terms, $columns>),)*
                    _ => None,
                }
            }

            /// # Safety
            /// The machine has the instructions, and the arrays hold these rows.
            $(#[$features])?
            unsafe fn rows_of<const D: usize>(
                arrays: transpose::Arrays<$float>,
                plan: &transpose::Plan<$float>,
                rows: usize,
            ) {
                // SAFETY: the caller's.
                plan.each(arrays, rows, |out, from| unsafe { row_of::<D>(out, from, plan) })
            }

            /// By itself: in the loop over rows, the registers do not suffice.
            ///
            /// # Safety
            /// The machine has the instructions, and the arrays hold a row.
            $(#[$features])?
            #[inline(never)]
            unsafe fn row_of<const D: usize>(out: *mut $float, from: *const $float, plan: &transpose::Plan<$float>) {
                // SAFETY: the caller's.
                unsafe { transpose::row::<$simd, D>(out, from, plan) }
            }

            /// # Safety
            /// The machine has the instructions, and the arrays hold these rows.
            $(#[$features])?
            unsafe fn matrices(arrays: transpose::Arrays<$float>, plan: &transpose::Plan<$float>, rows: usize) {
                // SAFETY: the caller's.
                plan.each(arrays, rows, |out, from| unsafe { transpose::matrix::<$simd, LANES>(out, from, plan) })
            }

            fn lines_of<const P: usize, const Q: usize>(shape: Shape) -> StepFn<$float> {
                match (shape.asks, shape.past_caches) {
                    (0, false) => lines::<P, Q, 0, false>,
                    (1, false) => lines::<P, Q, 1, false>,
                    (_, false) => lines::<P, Q, 2, false>,
                    (0, true) => lines::<P, Q, 0, PAST>,
                    (1, true) => lines::<P, Q, 1, PAST>,
                    (_, true) => lines::<P, Q, 2, PAST>,
                }
            }

            fn columns_of<const ASKS: usize>(of: usize) -> Option<StepFn<$float>> {
                Some(match of {
                    columns::FACTOR => columns::<{ columns::FACTOR }, ASKS>,
                    columns::SQUARE => columns::<{ columns::SQUARE }, ASKS>,
                    columns::PRODUCT => columns::<{ columns::PRODUCT }, ASKS>,
                    columns::BOTH => columns::<{ columns::BOTH }, ASKS>,
                    _ => return None,
                })
            }

            fn step(shape: Shape) -> Option<StepFn<$float>> {
                match (shape.columns, shape.asks) {
                    (Some(of), 0) => columns_of::<0>(of),
                    (Some(of), 1) => columns_of::<1>(of),
                    (Some(of), _) => columns_of::<2>(of),
                    (None, 0) => step_that::<false>(shape),
                    (None, _) => step_that::<true>(shape),
                }
            }

            fn step_that<const STREAMS: bool>(shape: Shape) -> Option<StepFn<$float>> {
                Some(match (shape.terms, shape.sums_rows, shape.components) {
                    ([0, 1], Some(true), _) => sums::<0, 1, 0, true, STREAMS>,
                    ([0, 1], Some(false), _) => sums::<0, 1, 0, false, STREAMS>,
                    ([1, 0], Some(true), 3) => sums::<1, 0, 3, true, STREAMS>,
                    ([1, 0], Some(true), 5) => sums::<1, 0, 5, true, STREAMS>,
                    ([1, 0], Some(true), _) => sums::<1, 0, 0, true, STREAMS>,
                    ([1, 0], Some(false), 3) => sums::<1, 0, 3, false, STREAMS>,
                    ([1, 0], Some(false), 5) => sums::<1, 0, 5, false, STREAMS>,
                    ([1, 0], Some(false), _) => sums::<1, 0, 0, false, STREAMS>,
                    ([0, 1], None, 1) => lines_of::<0, 1>(shape),
                    ([0, 2], None, 1) => lines_of::<0, 2>(shape),
                    ([1, 0], None, 1) => lines_of::<1, 0>(shape),
                    ([1, 1], None, 1) => lines_of::<1, 1>(shape),
                    ([2, 0], None, 1) => lines_of::<2, 0>(shape),
                    ([2, 1], None, 1) => lines_of::<2, 1>(shape),
                    ([1, 0], None, 3) => elements::<1, 0, 3>,
                    ([1, 0], None, 5) => elements::<1, 0, 5>,
                    ([2, 0], None, 3) => elements::<2, 0, 3>,
                    ([2, 0], None, 5) => elements::<2, 0, 5>,
                    ([0, 1], None, _) => elements::<0, 1, 0>,
                    ([0, 2], None, _) => elements::<0, 2, 0>,
                    ([0, 3], None, _) => elements::<0, 3, 0>,
                    ([1, 0], None, _) => elements::<1, 0, 0>,
                    ([1, 1], None, _) => elements::<1, 1, 0>,
                    ([1, 2], None, _) => elements::<1, 2, 0>,
                    ([2, 0], None, _) => elements::<2, 0, 0>,
                    ([2, 1], None, _) => elements::<2, 1, 0>,
                    ([3, 0], None, _) => elements::<3, 0, 0>,
                    _ => return None,
                })
            }

            /// # Safety
            /// The machine has the instructions, and the arrays hold these rows.
            $(#[$features])?
            unsafe fn few<const N: usize>(
                arrays: transpose::Arrays<$float>,
                plan: &transpose::Plan<$float>,
                rows: usize,
            ) {
                // SAFETY: the caller's.
                plan.each(arrays, rows, |out, from| unsafe { transpose::few::<$simd, N>(out, from, plan) })
            }

            fn dot(short: usize) -> dot::DotFn<$float> {
                match short {
                    1 => dots::<1>,
                    3 if 3 <= LANES => dots::<3>,
                    5 if 5 <= LANES => dots::<5>,
                    7 if 7 <= LANES => dots::<7>,
                    _ => dot::plain::<$float>,
                }
            }

            fn rows(transpose: &Transpose) -> transpose::RowsFn<$float> {
                if transpose::is_few(transpose, LANES) {
                    return match (transpose.short * transpose.long).div_ceil(LANES) {
                        1 => few::<1>,
                        2 => few::<2>,
                        3 => few::<3>,
                        4 => few::<4>,
                        _ => plain_rows::<$float>,
                    };
                }
                match transpose.short {
                    2 => rows_of::<2>,
                    3 => rows_of::<3>,
                    4 => rows_of::<4>,
                    5 => rows_of::<5>,
                    6 => rows_of::<6>,
                    7 => rows_of::<7>,
                    8 => rows_of::<8>,
                    9 => rows_of::<9>,
                    short if short > 9 => matrices,
                    _ => plain_rows::<$float>,
                }
            }

            pub(super) static FUNCTIONS: Functions<$float> = Functions {
                tiles: Tiles {
                    lanes: LANES,
                    any: get::<Any>,
                    // Plain arrays take any number of elements about as fast as whole vectors, which would be many functions more to
                    // compile. Where sums go nowhere but to woven vectors, the compiler sums them in that order, by half the speed.
                    whole: if <$simd as Simd>::IS_PLAIN { get::<Any> } else { get::<Whole> },
                    woven: if <$simd as Simd>::IS_PLAIN { get::<Any> } else { woven },
                    silu,
                    pairs,
                    terms,
                    square,
                    sums: sums_of,
                    outer,
                },
                dot,
                rows,
                map: strips::Functions { lanes: LANES, run, gather, scatter },
                step,
            };
        }
    };
}

/// The functions of a set of 32 registers: its tiles hold at most 27 sums.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! functions_of_32_registers {
    ($($set:tt)*) => {
        functions!($($set)*, [
            (1, 1, 1) (1, 2, 1) (1, 3, 1) (1, 1, 2) (1, 2, 2) (1, 3, 2)
            (1, 1, 3) (1, 1, 4) (1, 1, 5) (1, 1, 6) (1, 1, 7) (1, 1, 8)
            (4, 1, 1) (4, 2, 1) (4, 3, 1) (4, 1, 2) (4, 2, 2) (4, 3, 2)
        ], [
            (3, 1, 1) (3, 2, 1) (3, 3, 1) (3, 4, 1) (3, 1, 2) (3, 2, 2) (3, 3, 2) (3, 4, 2) (3, 2, 3) (3, 3, 3)
            (3, 1, 3) (3, 1, 4) (3, 1, 5) (3, 1, 6) (3, 1, 7) (3, 1, 8)
            (5, 1, 1) (5, 2, 1) (5, 1, 2) (5, 2, 2) (5, 1, 3) (5, 1, 4)
            (7, 1, 1) (7, 2, 1) (7, 1, 2) (7, 1, 3) (9, 1, 1) (9, 1, 2) (11, 1, 1) (11, 1, 2)
        ], [
            (3, 2, 1) (3, 2, 2) (3, 2, 3) (3, 2, 4) (3, 2, 5) (3, 2, 6)
            (4, 2, 1) (4, 2, 2) (4, 2, 3) (4, 2, 4)
            (5, 3, 1) (5, 3, 2) (5, 3, 3) (5, 3, 4) (7, 4, 1) (7, 4, 2) (7, 4, 3)
        ], [
            (1, 1) (1, 2) (1, 4) (1, 8) (3, 1) (3, 2) (3, 4) (3, 8) (5, 1) (5, 2) (5, 4)
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
        ], [
            (3, 1, 1) (3, 2, 1) (3, 3, 1) (3, 1, 2) (3, 2, 2) (3, 1, 3)
            (5, 1, 1) (5, 2, 1) (5, 1, 2) (7, 1, 1) (9, 1, 1) (11, 1, 1)
        ], [
            (3, 2, 1) (3, 2, 2) (3, 2, 3) (3, 2, 4) (4, 2, 1) (4, 2, 2) (4, 2, 3)
            (5, 3, 1) (5, 3, 2) (5, 3, 3) (7, 4, 1) (7, 4, 2)
        ], [
            (1, 1) (1, 2) (1, 4) (1, 8) (3, 1) (3, 2) (3, 4) (5, 1) (5, 2)
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
#[cfg(target_arch = "aarch64")]
functions_of_32_registers!(neon_f32, f32, neon::F32x4, []);
#[cfg(target_arch = "aarch64")]
functions_of_32_registers!(neon_f64, f64, neon::F64x2, []);
functions_of_16_registers!(plain_f32, f32, Plain<f32, 4>, []);
functions_of_16_registers!(plain_f64, f64, Plain<f64, 2>, []);

/// A transposing copy, element by element.
///
/// # Safety
/// The arrays hold these rows.
unsafe fn plain_rows<T: portable::Element>(arrays: transpose::Arrays<T>, plan: &transpose::Plan<T>, rows: usize) {
    let Transpose { short, long, apart, between, .. } = plan.transpose;
    let (from_strides, out_strides) = if apart { ([short, 1], [1, between]) } else { ([1, between], [short, 1]) };
    plan.each(arrays, rows, |out, from| {
        for u in 0..long {
            for i in 0..short {
                // SAFETY: the caller's.
                unsafe {
                    let x = *from.add(u * from_strides[0] + i * from_strides[1]);
                    *out.add(u * out_strides[0] + i * out_strides[1]) = x * plan.coefficient;
                }
            }
        }
    });
}

macro_rules! float {
    ($float:ty, $avx512:ident, $avx2:ident, $neon:ident, $plain:ident) => {
        impl Float for $float {
            fn rounded(x: f64) -> Self {
                x as $float
            }

            fn functions(set: InstructionSet) -> &'static Functions<Self> {
                match set {
                    #[cfg(target_arch = "x86_64")]
                    InstructionSet::Avx512 => &$avx512::FUNCTIONS,
                    #[cfg(target_arch = "x86_64")]
                    InstructionSet::Avx2 => &$avx2::FUNCTIONS,
                    #[cfg(target_arch = "aarch64")]
                    InstructionSet::Neon => &$neon::FUNCTIONS,
                    #[cfg(not(target_arch = "x86_64"))]
                    InstructionSet::Avx512 | InstructionSet::Avx2 => &$plain::FUNCTIONS,
                    #[cfg(not(target_arch = "aarch64"))]
                    InstructionSet::Neon => &$plain::FUNCTIONS,
                    InstructionSet::Portable => &$plain::FUNCTIONS,
                }
            }
        }
    };
}

float!(f32, avx512_f32, avx2_f32, neon_f32, plain_f32);
float!(f64, avx512_f64, avx2_f64, neon_f64, plain_f64);
