//! Everything at once, for as long as is asked: calls with many sizes and threads, parameters that are replaced meanwhile,
//! compilations, runs of training that are stopped and resumed, checkpoints. Results must have the bits of the first of their
//! kind; between rounds, when nothing is under way and the allocator has given back what is free, memory, files and mappings
//! are counted, and must not grow.
//!
//! An ordinary run takes some seconds. `SCHUR_SECONDS=3600 cargo test --release --test soak -- --nocapture` takes an hour,
//! and prints a line a minute.

#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(unsafe_code, reason = "the allocator is asked to give back what is free")]

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use schur::checkpoint::{read, write};
use schur::train::{DataSet, Decay, Layout, Loss, Method, Schedule, Settings, Trainer};
use schur::{Array, CompileOptions, CompiledModel, DType, Data, Mode, Model, Outputs, ParamStore, Pass};

type Arrays = IndexMap<String, Array>;

/// Rows of calls: none, one, primes, more than a chunk has, a power of two.
const ROWS: [usize; 7] = [0, 1, 7, 131, 997, 1500, 4096];

/// The stores that take turns.
const VERSIONS: u64 = 3;

/// One thing that is computed over and over: a model, how it is compiled, and what calls of it gave first.
struct Subject {
    model: Model,
    mode: Mode,
    pass: Pass,
    compiled: CompiledModel,
    inputs: Vec<Arrays>,
    versions: Vec<Arc<ParamStore>>,
    /// The version that calls take now.
    current: RwLock<usize>,
    /// What is wanted, by version and number of rows.
    wanted: Vec<Vec<u64>>,
}

fn model(path: &str) -> Model {
    Model::from_file(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Arrays that a model takes for so many rows; cotangents too where gradients are computed.
fn inputs(model: &Model, mode: Mode, pass: &Pass, rows: usize) -> Arrays {
    let types = model.types(mode).unwrap();
    let array = |dtype: DType, width: usize| {
        let number = |k: usize| ((k * 2_654_435_761 + rows) % 1000) as f32 / 500.0 - 1.0;
        match dtype {
            DType::F32 => Array::new([rows, width], Data::F32((0..rows * width).map(number).collect())),
            DType::F64 => {
                Array::new([rows, width], Data::F64((0..rows * width).map(|k| f64::from(number(k))).collect()))
            }
            DType::I32 => Array::new([rows], Data::I32((0..rows).map(|k| (k % 2) as i32).collect())),
            DType::Bool => Array::new([rows], Data::Bool(vec![1; rows].into())),
        }
        .unwrap()
    };
    let given = model.spec().inputs.keys().map(|name| (name.clone(), name));
    let outputs = model.spec().outputs.iter().map(|name| (format!("cotangent/{}", name.value), &name.value));
    let outputs = outputs.take(if pass.has_gradients() { usize::MAX } else { 0 });
    given.chain(outputs).map(|(name, of)| (name, array(types[of].dtype, types[of].width()))).collect()
}

/// The bits of all that a call returns, as one number.
fn digest(results: &Outputs) -> u64 {
    let mut hasher = DefaultHasher::new();
    let arrays = [&results.outputs, &results.statistics, &results.gradients];
    for (name, array) in arrays.into_iter().flatten() {
        (name, array.shape()).hash(&mut hasher);
        array.to_f64().iter().for_each(|x| x.to_bits().hash(&mut hasher));
    }
    hasher.finish()
}

fn call(compiled: &mut CompiledModel, inputs: &Arrays, params: &ParamStore) -> u64 {
    digest(&compiled.run(inputs.iter().map(|(name, array)| (name.as_str(), array)), params).unwrap())
}

impl Subject {
    fn new(path: &str, mode: Mode, pass: Pass) -> Self {
        let model = model(path);
        let compiled = compile(&model, mode, &pass);
        // Statistics of no rows are refused.
        let rows = ROWS.into_iter().filter(|rows| *rows > 0 || mode == Mode::Infer);
        let inputs: Vec<Arrays> = rows.map(|rows| inputs(&model, mode, &pass, rows)).collect();
        let versions: Vec<_> = (0..VERSIONS).map(|seed| Arc::new(model.init(seed).unwrap())).collect();
        let mut one = compiled.clone();
        one.set_threads(1);
        let of = |params: &Arc<ParamStore>| inputs.iter().map(|inputs| call(&mut one, inputs, params)).collect();
        let wanted = versions.iter().map(of).collect();
        Subject { model, mode, pass, compiled, inputs, versions, current: RwLock::new(0), wanted }
    }

    /// One call with any size, version of parameters, and number of threads.
    fn call(&self, compiled: &mut CompiledModel, rng: &mut ChaCha8Rng) {
        let version = *self.current.read().unwrap();
        let size = rng.random_range(0..self.inputs.len());
        compiled.set_threads(rng.random_range(1..=4));
        let found = call(compiled, &self.inputs[size], &self.versions[version]);
        assert_eq!(found, self.wanted[version][size], "{}, size {size}, version {version}", self.model.spec().name);
    }

    /// Saves and loads one version of the parameters, in both formats, and has calls take it.
    fn save_and_load(&self, folder: &Path, rng: &mut ChaCha8Rng) {
        let version = rng.random_range(0..self.versions.len());
        for ending in ["safetensors", "msgpack"] {
            let path = folder.join("params").with_extension(ending);
            write(&path, self.versions[version].iter()).unwrap();
            let params = self.compiled.params(read(&path).unwrap()).unwrap();
            assert!(params == *self.versions[version], "version {version} as {ending}");
        }
        *self.current.write().unwrap() = version;
    }
}

fn compile(model: &Model, mode: Mode, pass: &Pass) -> CompiledModel {
    model.compile_observed(pass, mode, &CompileOptions::default(), &mut |_| {}).unwrap()
}

/// A run of training that is done over and over.
struct Training {
    model: Model,
    train: DataSet,
    test: DataSet,
    wanted: Vec<u8>,
}

impl Training {
    fn new(folder: &Path) -> Self {
        let model = model("examples/forces/model.toml");
        let layout = Arc::new(Layout::new(&model, "forces").unwrap());
        let set = |rows| {
            let mut arrays = inputs(&model, Mode::Train, &Pass::Forward, rows);
            let forces = (0..rows * 3).map(|k| ((k * 7919) % 1000) as f32 / 500.0 - 1.0).collect();
            arrays.insert("forces".into(), Array::new([rows, 3], Data::F32(forces)).unwrap());
            DataSet::new(&layout, "data", &arrays, "forces").unwrap()
        };
        let (train, test) = (set(160), set(32));
        let mut training = Training { model, train, test, wanted: Vec::new() };
        training.wanted = training.run(folder, 0, 1);
        training
    }

    fn trainer(&self, threads: usize) -> Trainer {
        let schedule = Schedule { rate: 1e-3, warmup: 2, decay: Decay::Cosine };
        let (loss, method) = (Loss::Mse, Method::adamw(0.01));
        let settings = Settings {
            loss,
            method,
            schedule,
            clip: Some(1.0),
            epochs: 2,
            batch: 32,
            seed: 1,
            threads: NonZeroUsize::new(threads),
        };
        let params = self.model.init(0).unwrap();
        Trainer::new(&self.model, params, settings, self.train.clone(), self.test.clone(), &CompileOptions::default())
            .unwrap()
    }

    /// What is saved at the end of a run that is stopped after some steps and resumed.
    fn run(&self, folder: &Path, stop: u64, threads: usize) -> Vec<u8> {
        let path = folder.join("run.safetensors");
        let mut trainer = self.trainer(threads);
        for _ in 0..stop {
            trainer.step().unwrap();
        }
        trainer.save(&path).unwrap();
        let mut trainer = self.trainer(threads);
        trainer.resume(&path).unwrap();
        while !trainer.is_done() {
            trainer.step().unwrap();
        }
        trainer.save(&path).unwrap();
        fs::read(&path).unwrap()
    }
}

/// How often each thing was done.
#[derive(Default)]
struct Done {
    calls: AtomicU64,
    compilations: AtomicU64,
    checkpoints: AtomicU64,
    runs: AtomicU64,
}

/// Does everything once, on all threads at once, with as many rows as there are, and keeps it all until the end: the most memory
/// that rounds can ask for. What an allocator keeps of it, it has before the first round then, which by itself may have no
/// time for the largest calls.
fn settle(threads: usize, subjects: &[Subject], training: &Training) {
    let all = || {
        let folder = tempfile::tempdir().unwrap();
        let mut kept: Vec<_> = subjects.iter().map(|of| (compile(&of.model, of.mode, &of.pass), of)).collect();
        for (compiled, subject) in &mut kept {
            let most = subject.inputs.len() - 1;
            let found = call(compiled, &subject.inputs[most], &subject.versions[0]);
            assert_eq!(found, subject.wanted[0][most], "{}", subject.model.spec().name);
        }
        assert!(training.run(folder.path(), 1, 1) == training.wanted);
    };
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(all))));
}

/// Does one thing after the other until a time.
fn work(until: Instant, seed: u64, subjects: &[Subject], training: &Training, done: &Done) {
    let folder = tempfile::tempdir().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut compiled: Vec<_> = subjects.iter().map(|subject| subject.compiled.clone()).collect();
    while Instant::now() < until {
        let one = rng.random_range(0..subjects.len());
        let subject = &subjects[one];
        let counter = match rng.random_range(0..100) {
            0..85 => {
                subject.call(&mut compiled[one], &mut rng);
                &done.calls
            }
            85..92 => {
                subject.call(&mut compile(&subject.model, subject.mode, &subject.pass), &mut rng);
                &done.compilations
            }
            92..98 => {
                subject.save_and_load(folder.path(), &mut rng);
                &done.checkpoints
            }
            _ => {
                let (stop, threads) = (rng.random_range(0..10), rng.random_range(1..=3));
                assert!(training.run(folder.path(), stop, threads) == training.wanted, "stopped after {stop} steps");
                &done.runs
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// What this process holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    kibibytes: usize,
    files: usize,
    mappings: usize,
}

fn held() -> Held {
    // SAFETY: gives back pages that no allocation has.
    unsafe { libc::malloc_trim(0) };
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    Held {
        kibibytes: line.trim().trim_end_matches(" kB").parse().unwrap(),
        files: fs::read_dir("/proc/self/fd").unwrap().count(),
        mappings: fs::read_to_string("/proc/self/maps").unwrap().lines().count(),
    }
}

/// Fails where the middle one of the last third is above all of the second sixth to the half, by more than some slack. What
/// comes before is passed over: allocators settle at first.
fn assert_flat(what: &str, curve: &[usize], slack: usize) {
    let early = curve[curve.len() / 6..curve.len() / 2].iter().max().unwrap();
    let mut last = curve[curve.len() * 2 / 3..].to_vec();
    last.sort_unstable();
    let late = last[last.len() / 2];
    assert!(late <= early + slack, "{what}: {early} became {late}: {curve:?}");
}

#[test]
fn nothing_grows_and_results_stay_the_same() {
    // One arena: the end of another is never given back. It is set when a process starts.
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "everything_at_once", "--ignored", "--nocapture"]).env("MALLOC_ARENA_MAX", "1");
    if std::env::var_os("SCHUR_SECONDS").is_some() {
        assert!(command.status().unwrap().success());
        return;
    }
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

#[test]
#[ignore = "is run in a process of its own"]
fn everything_at_once() {
    let seconds: u64 = std::env::var("SCHUR_SECONDS").map_or(6, |seconds| seconds.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let example = "examples/forces/model.toml";
    let subjects = [
        Subject::new(example, Mode::Infer, Pass::Forward),
        Subject::new(example, Mode::Train, Pass::Joint),
        Subject::new("tests/specs/batch_norm.toml", Mode::Infer, Pass::Joint),
        Subject::new("tests/specs/batch_norm.toml", Mode::Train, Pass::Forward),
    ];
    let training = Training::new(folder.path());
    let threads = thread::available_parallelism().map_or(2, usize::from) + 1;
    let (rounds, done, clock) = ((seconds / 60).max(6), Done::default(), Instant::now());
    println!("seconds    calls  compiled  checkpoints  runs   KiB resident  files  mappings");
    settle(threads, &subjects, &training);
    let mut curve = Vec::new();
    for round in 1..=rounds {
        let until = Instant::now() + Duration::from_secs(seconds) / rounds as u32;
        thread::scope(|scope| {
            for number in 0..threads as u64 {
                let (subjects, training, done) = (&subjects, &training, &done);
                scope.spawn(move || work(until, round * 1000 + number, subjects, training, done));
            }
        });
        let held = held();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (calls, compiled) = (count(&done.calls), count(&done.compilations));
        let (checkpoints, runs) = (count(&done.checkpoints), count(&done.runs));
        let Held { kibibytes, files, mappings } = held;
        let time = clock.elapsed().as_secs();
        println!(
            "{time:>7} {calls:>8} {compiled:>9} {checkpoints:>12} {runs:>5} {kibibytes:>14} {files:>6} {mappings:>9}"
        );
        curve.push(held);
    }
    let of = |one: fn(&Held) -> usize| curve.iter().map(one).collect::<Vec<_>>();
    assert_flat("KiB resident", &of(|held| held.kibibytes), 4 * 1024);
    assert_flat("open files", &of(|held| held.files), 0);
    assert_flat("mappings", &of(|held| held.mappings), 8);
    assert!(done.calls.into_inner() > 0);
}

#[test]
fn growth_would_be_seen() {
    let flat = [9, 5, 6, 5, 6, 5, 6, 6, 5, 6, 5, 6];
    assert_flat("a flat curve", &flat, 0);
    let grows: Vec<usize> = (0..60).collect();
    assert!(std::panic::catch_unwind(|| assert_flat("a curve that grows", &grows, 8)).is_err());
}
