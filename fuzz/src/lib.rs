//! What is fuzzed: functions of bytes that return for any bytes, and check what must hold of what they made.
//!
//! The binaries beside this run them under libFuzzer; the suite of the root package includes this file and replays seeds, kept
//! findings (`fuzz/regressions/<target>/`) and some thousands of mutations at every run.

use std::path::Path;
use std::{fs, io};

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use schur::checkpoint::{self, Format};
use schur::ir::verify::verify;
use schur::{CompileOptions, Error, Features, Limits, LoopOptions, Mode, Model, Source};

mod graph;
mod model;

pub use graph::edited;

/// A target of the fuzzer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A spec's text, as TOML and as JSON: parsed and built.
    Spec,
    /// A graph's text: parsed, printed, verified, compiled, run beside the reference.
    Graph,
    /// A safetensors file.
    Safetensors,
    /// A file in flax's msgpack.
    Msgpack,
    /// A spec that is made of the bytes: compiled, and run beside the reference.
    Model,
}

/// Small enough that nothing takes long.
fn limits() -> Limits {
    Limits {
        text: 1 << 16,
        inputs: 20,
        layers: 40,
        axes: 6,
        degree: 12,
        multiplicity: 1 << 16,
        chunks: 60,
        width: 1 << 16,
        nodes: 200,
        paths: 400,
        code: 1 << 22,
        memory: 1 << 28,
    }
}

/// One of four ways to compile.
fn ways(which: usize) -> CompileOptions {
    let best = CompileOptions { limits: limits(), verify_code: true, ..CompileOptions::default() };
    let unfused = LoopOptions { fuse: false, ..LoopOptions::default() };
    match which % 4 {
        1 => CompileOptions { simplify: None, ..best },
        2 => CompileOptions { loops: unfused, features: Features::Baseline, ..best },
        3 => CompileOptions { simplify: None, loops: unfused, features: Features::Baseline, ..best },
        _ => best,
    }
}

/// Choices that a seed decides.
struct Random(ChaCha8Rng);

impl Random {
    fn new(seed: u64) -> Self {
        Random(ChaCha8Rng::seed_from_u64(seed))
    }

    fn below(&mut self, n: usize) -> usize {
        self.0.random_range(0..n)
    }

    fn one_of<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }

    /// True once in so many times.
    fn chance(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }
}

impl Target {
    /// All targets.
    pub const ALL: [Target; 5] = [Target::Spec, Target::Graph, Target::Safetensors, Target::Msgpack, Target::Model];

    /// The name of its binary and of its folders.
    pub fn name(self) -> &'static str {
        match self {
            Target::Spec => "spec",
            Target::Graph => "graph",
            Target::Safetensors => "safetensors",
            Target::Msgpack => "msgpack",
            Target::Model => "model",
        }
    }

    /// Does what is fuzzed.
    ///
    /// # Panics
    /// Where something does not hold.
    pub fn run(self, data: &[u8]) {
        match self {
            Target::Spec => spec(data),
            Target::Graph => graph::run(data),
            Target::Safetensors => arrays(Format::Safetensors, data),
            Target::Msgpack => arrays(Format::Msgpack, data),
            Target::Model => model::run(data),
        }
    }

    /// What the fuzzer starts from, out of the tests of the repository at `root`.
    pub fn seeds(self, root: &Path) -> io::Result<Vec<Vec<u8>>> {
        let specs = || {
            let mut specs = files(&root.join("tests/specs"), "toml")?;
            specs.extend(files(&root.join("ir/tests/spec/faults"), "toml")?);
            specs.extend(files(&root.join("ir/tests/spec/faults"), "json")?);
            specs.extend(conformance(root, "spec.json")?);
            Ok::<_, io::Error>(specs)
        };
        let own = files(&root.join("fuzz/regressions").join(self.name()), "").unwrap_or_default();
        let mut seeds = match self {
            Target::Spec => specs()?,
            Target::Graph => {
                let mut seeds = files(&root.join("ir/tests/text"), "graph")?;
                seeds.extend(specs()?.iter().flat_map(|spec| graphs(spec)).map(String::into_bytes));
                seeds
            }
            Target::Safetensors => {
                let mut seeds = files(&root.join("runtime/tests/flax"), "safetensors")?;
                seeds.extend(conformance(root, "params.safetensors")?);
                seeds
            }
            Target::Msgpack => files(&root.join("runtime/tests/flax"), "msgpack")?,
            Target::Model => (0..64u8).map(|k| (0..96u8).map(|n| n.wrapping_mul(k | 1) ^ k).collect()).collect(),
        };
        seeds.extend(own);
        Ok(seeds)
    }
}

/// The files of a folder with an ending, in the order of their names.
fn files(folder: &Path, ending: &str) -> io::Result<Vec<Vec<u8>>> {
    let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    let fits = |path: &Path| path.extension().map_or(ending.is_empty(), |e| e == ending);
    paths.iter().filter(|path| fits(path)).map(fs::read).collect()
}

/// Every fourth case of the conformance tests, where files are small.
fn conformance(root: &Path, name: &str) -> io::Result<Vec<Vec<u8>>> {
    let cases = fs::read_dir(root.join("tests/conformance/cases"))?;
    let mut cases = cases.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    cases.sort();
    let files = cases.iter().step_by(4).map(|case| fs::read(case.join(name))).collect::<io::Result<Vec<_>>>()?;
    Ok(files.into_iter().filter(|file| file.len() < 4096).collect())
}

/// The graphs of a spec in both modes, as text.
fn graphs(spec: &[u8]) -> Vec<String> {
    let Ok(text) = str::from_utf8(spec) else { return Vec::new() };
    let models = ["m.toml", "m.json"].map(|name| Source::new(name, text).map(|source| Model::parse(&source)));
    let models = models.into_iter().flatten().flatten();
    models
        .flat_map(|model| [Mode::Train, Mode::Infer].map(|mode| model.graph(mode)))
        .flatten()
        .map(|g| g.to_string())
        .collect()
}

/// Fails where an error is a bug of Schur.
fn no_bug<T>(result: Result<T, Error>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) if error.is_bug() => panic!("{error}"),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            None
        }
    }
}

fn spec(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    for name in ["m.toml", "m.json"] {
        let Ok(source) = Source::new(name, text) else { return };
        let Some(model) = no_bug(Model::parse_within(&source, &limits())) else { continue };
        for mode in [Mode::Train, Mode::Infer] {
            if let Some(graph) = no_bug(model.graph(mode)) {
                verify(&graph).unwrap_or_else(|error| panic!("{error}\n{graph}"));
            }
        }
    }
}

fn arrays(format: Format, data: &[u8]) {
    let Ok(arrays) = checkpoint::parse_bytes(format, data) else { return };
    let mut bytes = 0usize;
    for (name, array) in &arrays {
        assert!(name.len() <= data.len());
        let elements = array.shape().iter().product::<usize>();
        assert_eq!(elements, array.len());
        bytes += array.len() * array.dtype().size();
    }
    assert!(bytes <= data.len(), "arrays hold no more than the file");
}
