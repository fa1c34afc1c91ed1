//! What the machine gives: multiply-adds in registers, and bytes copied.
//!
//! Both are measured on as many threads as the process may use.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long a measurement takes at least, and how often it is repeated: often, for the best counts, and whatever else the
/// machine does only takes away.
const TIME: Duration = Duration::from_millis(3);
const REPEATS: usize = 25;

/// The peak in floating-point operations a second, and the bandwidth in bytes a second for each working set, of
/// which larger ones follow.
pub(crate) fn measure(bytes: &[usize]) -> Value {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let peak = on_all(threads, |_| Box::new(multiply_adds()));
    let mut bandwidths: Vec<f64> = bytes.iter().map(|&bytes| bandwidth(bytes, threads)).collect();
    // What a machine gives to a working set it gives to smaller ones, whatever a way to copy makes of them.
    bandwidths.iter_mut().rev().fold(0.0, |larger, bandwidth| {
        *bandwidth = bandwidth.max(larger);
        *bandwidth
    });
    json!({ "threads": threads, "flops": peak, "bandwidths": bandwidths })
}

/// One thread's work: does it once, and says how much was done.
type Work = Box<dyn FnMut() -> f64>;

/// The best rate of all threads together, from when they start to when the last is done.
fn on_all(threads: usize, work: impl Fn(usize) -> Work + Sync) -> f64 {
    let barrier = Barrier::new(threads);
    let run = |k: usize| {
        let mut work = work(k);
        work();
        let clock = Instant::now();
        work();
        let times = (TIME.as_secs_f64() / clock.elapsed().as_secs_f64()).ceil().clamp(1.0, 1e6) as usize;
        let repeat = || {
            barrier.wait();
            let clock = Instant::now();
            let done: f64 = (0..times).map(|_| work()).sum();
            barrier.wait();
            done / clock.elapsed().as_secs_f64()
        };
        std::iter::repeat_with(repeat).take(REPEATS).collect::<Vec<f64>>()
    };
    let rates: Vec<Vec<f64>> = thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .map(|k| {
                scope.spawn({
                    let run = &run;
                    move || run(k)
                })
            })
            .collect();
        handles.into_iter().map(|handle| handle.join().expect("no measurement panics")).collect()
    });
    (0..REPEATS).map(|repeat| rates.iter().map(|rates| rates[repeat]).sum()).fold(0.0, f64::max)
}

/// Bytes read and written in a second, in a working set of so many, by the best way to copy.
fn bandwidth(bytes: usize, threads: usize) -> f64 {
    let ways: [CopyFn; 2] = [|from, to| to.copy_from_slice(from), copy_past_caches];
    let rates = ways.map(|way| on_all(threads, |k| Box::new(copy(bytes, threads, k, way))));
    rates.into_iter().fold(0.0, f64::max)
}

/// Copies lines.
type CopyFn = fn(&[Line], &mut [Line]);

/// A line of the cache.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([f32; 16]);

/// Copies lines, written past the caches where the machine has an instruction for that.
fn copy_past_caches(from: &[Line], to: &mut [Line]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx") {
        // SAFETY: the machine has the instructions.
        return unsafe { wide::copy(from, to) };
    }
    to.copy_from_slice(from);
}

/// Copies a thread's share of an array of half the bytes to another: half is read and half is written. What is read was written
/// before: pages of zeros that nobody wrote are one page, which the first cache holds.
fn copy(bytes: usize, threads: usize, k: usize, way: CopyFn) -> impl FnMut() -> f64 {
    let lines = (bytes / 2 / size_of::<Line>() / threads).max(1);
    let (from, mut to) = (vec![Line([k as f32 + 1.0; 16]); lines], vec![Line([0.0; 16]); lines]);
    move || {
        way(black_box(&from), &mut to);
        black_box(&mut to);
        (2 * size_of::<Line>() * lines) as f64
    }
}

/// Multiply-adds that depend on nothing but themselves.
fn multiply_adds() -> impl FnMut() -> f64 {
    const ROUNDS: usize = 10_000;
    || {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                // SAFETY: the machine has the instructions.
                return unsafe { wide::avx512(ROUNDS) };
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                // SAFETY: the machine has the instructions.
                return unsafe { wide::avx2(ROUNDS) };
            }
        }
        chains::<4>(ROUNDS)
    }
}

/// The number of chains: more than the latency of a multiply-add times those that start in a cycle.
const CHAINS: usize = 12;

#[inline(always)]
fn chains<const LANES: usize>(rounds: usize) -> f64 {
    let (x, y) = (black_box([0.999f32; LANES]), black_box([0.001f32; LANES]));
    let mut sums = [[1.0f32; LANES]; CHAINS];
    for _ in 0..rounds {
        for sum in &mut sums {
            for lane in 0..LANES {
                sum[lane] = sum[lane].mul_add(x[lane], y[lane]);
            }
        }
    }
    black_box(sums);
    (2 * LANES * CHAINS * rounds) as f64
}

#[cfg(target_arch = "x86_64")]
mod wide {
    use std::arch::x86_64::{
        _MM_HINT_T0, _mm_prefetch, _mm_sfence, _mm256_fmadd_ps, _mm256_load_ps, _mm256_set1_ps, _mm256_stream_ps,
        _mm512_fmadd_ps, _mm512_set1_ps,
    };
    use std::hint::black_box;

    use super::{CHAINS, Line};

    /// Lines that are asked for so many before they are copied.
    const AHEAD: usize = 128;

    #[target_feature(enable = "avx")]
    pub(super) fn copy(from: &[Line], to: &mut [Line]) {
        for (from, to) in from.iter().zip(to) {
            // SAFETY: lines are aligned, and hold 16 floats; asking reads nothing.
            unsafe {
                _mm_prefetch::<_MM_HINT_T0>((&raw const *from).wrapping_add(AHEAD).cast());
                for half in [0, 8] {
                    _mm256_stream_ps(to.0.as_mut_ptr().add(half), _mm256_load_ps(from.0.as_ptr().add(half)));
                }
            }
        }
        _mm_sfence();
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn avx512(rounds: usize) -> f64 {
        let (x, y) = (_mm512_set1_ps(black_box(0.999)), _mm512_set1_ps(black_box(0.001)));
        let mut sums = [_mm512_set1_ps(1.0); CHAINS];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(*sum, x, y);
            }
        }
        black_box(sums);
        (2 * 16 * CHAINS * rounds) as f64
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn avx2(rounds: usize) -> f64 {
        let (x, y) = (_mm256_set1_ps(black_box(0.999)), _mm256_set1_ps(black_box(0.001)));
        let mut sums = [_mm256_set1_ps(1.0); CHAINS];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(*sum, x, y);
            }
        }
        black_box(sums);
        (2 * 8 * CHAINS * rounds) as f64
    }
}
