//! What the machine gives: multiply-adds in registers, and bytes copied.
//!
//! Both are measured on as many threads as the process may use, each on a core of its own.

use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long threads work before they are measured: twice as long as the clock takes to follow a change of load.
const WARM: Duration = Duration::from_millis(1);

/// How many samples are taken, and how long one takes at least.
#[derive(Clone, Copy)]
struct Samples {
    count: usize,
    time: Duration,
}

/// Those of a turn, each as long as a sample of calls is.
const PEAK: Samples = Samples { count: 15, time: Duration::from_micros(200) };
/// Many: the best counts, and whatever else the machine does only takes away.
const BANDWIDTH: Samples = Samples { count: 25, time: Duration::from_millis(3) };

/// Samples of the multiply-add peak in floating-point operations a second. It goes with the clock, which is another from minute
/// to minute.
pub(crate) fn peak() -> Vec<f64> {
    on_all(threads(), PEAK, |_| Box::new(multiply_adds()))
}

/// The bandwidth in bytes a second for each working set, of which larger ones follow.
pub(crate) fn bandwidths(bytes: &[usize]) -> Vec<f64> {
    let mut bandwidths: Vec<f64> = bytes.iter().map(|&bytes| bandwidth(bytes, threads())).collect();
    // What a machine gives to a working set it gives to smaller ones, whatever a way to copy makes of them.
    bandwidths.iter_mut().rev().fold(0.0, |larger, bandwidth| {
        *bandwidth = bandwidth.max(larger);
        *bandwidth
    });
    bandwidths
}

fn threads() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// One thread's work: does it once, and says how much was done.
type Work = Box<dyn FnMut() -> f64>;

/// Rates of all threads together, from when they start to when the last is done. All do the same.
fn on_all(threads: usize, samples: Samples, work: impl Fn(usize) -> Work + Sync) -> Vec<f64> {
    let (meeting, most) = (Meeting::of(threads), AtomicUsize::new(0));
    let run = |k: usize| {
        bind(k);
        let mut work = work(k);
        most.fetch_max(times(&mut work, samples.time), Ordering::Relaxed);
        meeting.wait();
        let times = most.load(Ordering::Relaxed);
        let sample = || {
            meeting.wait();
            let clock = Instant::now();
            let done: f64 = (0..times).map(|_| work()).sum();
            meeting.wait();
            done / clock.elapsed().as_secs_f64()
        };
        std::iter::repeat_with(sample).take(samples.count).collect::<Vec<f64>>()
    };
    let rates: Vec<Vec<f64>> = thread::scope(|scope| {
        let run = &run;
        let handles: Vec<_> = (0..threads).map(|k| scope.spawn(move || run(k))).collect();
        handles.into_iter().map(|handle| handle.join().expect("no measurement panics")).collect()
    });
    (0..samples.count).map(|sample| rates.iter().map(|rates| rates[sample]).sum()).collect()
}

/// Warms up, and says how often the work is to be done for a sample.
fn times(work: &mut Work, time: Duration) -> usize {
    let (clock, mut done) = (Instant::now(), 0.0);
    while clock.elapsed() < WARM {
        work();
        done += 1.0;
    }
    (done * time.as_secs_f64() / clock.elapsed().as_secs_f64()).ceil() as usize
}

/// Where threads wait for each other. They stay awake: to be woken takes as long as a good part of a sample.
struct Meeting {
    threads: usize,
    arrivals: AtomicUsize,
}

impl Meeting {
    fn of(threads: usize) -> Self {
        Meeting { threads, arrivals: AtomicUsize::new(0) }
    }

    fn wait(&self) {
        let arrivals = self.arrivals.fetch_add(1, Ordering::AcqRel) + 1;
        let all = arrivals.next_multiple_of(self.threads);
        while self.arrivals.load(Ordering::Acquire) < all {
            spin_loop();
        }
    }
}

/// Keeps this thread on one of the process's cores: the system may start two on one of them, and part them milliseconds later.
#[cfg(target_os = "linux")]
fn bind(k: usize) {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    let Ok(allowed) = sched_getaffinity(None) else { return };
    let core = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).nth(k);
    let mut own = CpuSet::new();
    core.into_iter().for_each(|core| own.set(core));
    let _ = sched_setaffinity(None, &own);
}

#[cfg(not(target_os = "linux"))]
fn bind(_: usize) {}

/// Bytes read and written in a second, in a working set of so many, by the best way to copy.
fn bandwidth(bytes: usize, threads: usize) -> f64 {
    let ways: [CopyFn; 2] = [|from, to| to.copy_from_slice(from), copy_past_caches];
    let rates = ways.map(|way| on_all(threads, BANDWIDTH, |k| Box::new(copy(bytes, threads, k, way))));
    rates.into_iter().flatten().fold(0.0, f64::max)
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
