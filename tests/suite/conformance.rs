//! The cases computed by e3nn_jax, at every level.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use ndarray::ArrayD;
use schur_compiler::codegen::Features;
use schur_compiler::compile::CompileOptions;
use schur_compiler::loops::LoopOptions;
use schur_ir::build::{Mode, build};
use schur_ir::graph::Graph;
use schur_ir::spec::{ModelSpec, Source};
use schur_ir::ty::DType;
use schur_runtime::checkpoint;
use schur_runtime::reference::{Evaluated, evaluate};

use crate::levels::{Arrays, compiled, distance, interpreted};

/// A case of e3nn_jax.
struct Case {
    name: String,
    graph: Graph,
    inputs: Arrays,
    params: Arrays,
    wanted: Evaluated,
    /// True where a normalised activation limits what f64 can reach.
    normalised: bool,
    dtype: DType,
}

fn read(path: &Path) -> IndexMap<String, ArrayD<f64>> {
    let arrays = checkpoint::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut arrays: IndexMap<_, _> = arrays.iter().map(|(name, a)| (name.clone(), a.to_f64())).collect();
    arrays.sort_keys();
    arrays
}

fn case(folder: &Path) -> Case {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let text = std::fs::read_to_string(folder.join("spec.json")).unwrap_or_else(|e| panic!("{name}: {e}"));
    let source = Source::new("spec.json", text.as_str()).unwrap_or_else(|e| panic!("{name}: {e}"));
    let spec = ModelSpec::parse(&source).unwrap_or_else(|e| panic!("{name}: {e:?}"));
    let train = text.contains("\"train\": true");
    let graph = build(&spec, if train { Mode::Train } else { Mode::Infer }).unwrap_or_else(|e| panic!("{name}: {e:?}"));
    let arrays = |file: &str| checkpoint::read(&folder.join(file)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let statistics = folder.join("batch_stats.safetensors");
    let normalised = ["\"mlp\"", "\"gate\"", "\"scalar_activation\""].iter().any(|op| text.contains(op));
    let wanted = Evaluated {
        outputs: read(&folder.join("outputs.safetensors")),
        statistics: if statistics.exists() { read(&statistics) } else { IndexMap::new() },
        gradients: IndexMap::new(),
    };
    Case {
        dtype: spec.dtype,
        graph,
        inputs: arrays("inputs.safetensors"),
        params: arrays("params.safetensors"),
        wanted,
        normalised,
        name,
    }
}

fn cases() -> Vec<Case> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/cases");
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(&root).unwrap_or_else(|e| panic!("{e}")).flatten().map(|e| e.path()).collect();
    folders.sort();
    assert_eq!(folders.len(), 198);
    folders.iter().map(|f| case(f)).collect()
}

impl Case {
    /// What the cases' README says.
    fn tolerance(&self) -> f64 {
        match self.dtype {
            DType::F64 if self.normalised => 1e-9,
            DType::F64 => 1e-10,
            DType::F32 | DType::I32 | DType::Bool => 2e-5,
        }
    }

    fn check(&self, level: &str, mut found: Evaluated) {
        found.outputs.sort_keys();
        found.statistics.sort_keys();
        for (found, wanted) in [(found.outputs, &self.wanted.outputs), (found.statistics, &self.wanted.statistics)] {
            let (apart, name) = distance(&found, wanted);
            assert!(apart <= self.tolerance(), "{} {level}: `{name}` is {apart:e} off\n{}", self.name, self.graph);
        }
    }
}

#[test]
fn the_reference_agrees_with_e3nn_jax() {
    for case in cases() {
        let found = evaluate(&case.graph, &case.inputs, &case.params).unwrap_or_else(|e| panic!("{}: {e}", case.name));
        case.check("reference", found);
    }
}

#[test]
fn interpreted_loops_agree_with_e3nn_jax() {
    for case in cases() {
        for fuse in [true, false] {
            case.check("interpreter", interpreted(&case.graph, &case.inputs, &case.params, fuse));
        }
    }
}

#[test]
fn compiled_code_agrees_with_e3nn_jax() {
    for case in cases() {
        for features in [Features::Native, Features::Baseline] {
            for fuse in [true, false] {
                let loops = LoopOptions { fuse, ..LoopOptions::default() };
                let options = CompileOptions { features, loops, ..CompileOptions::default() };
                let level = format!("compiled {features:?}, fuse {fuse}");
                case.check(&level, compiled(&case.graph, &case.inputs, &case.params, &options));
            }
        }
    }
}
