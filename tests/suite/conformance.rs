//! The cases computed by e3nn_jax, forward and backward, at every level.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use ndarray::ArrayD;
use schur_compiler::autodiff::{VjpOptions, vjp};
use schur_ir::build::{Mode, build};
use schur_ir::graph::Graph;
use schur_ir::spec::{ModelSpec, Source};
use schur_ir::ty::DType;
use schur_runtime::checkpoint;
use schur_runtime::reference::{Evaluated, evaluate};

use crate::levels::{Arrays, compiled, distance, interpreted, ways};

/// A case of e3nn_jax.
struct Case {
    name: String,
    /// What one call computes, without and with gradients.
    forward: Graph,
    joint: Graph,
    /// The inputs of each.
    inputs: Arrays,
    joint_inputs: Arrays,
    params: Arrays,
    wanted: Evaluated,
    /// True where a normalised activation limits what f64 can reach.
    normalised: bool,
    dtype: DType,
}

type Named = IndexMap<String, ArrayD<f64>>;

fn read(path: &Path) -> Named {
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
    let joint = vjp(&graph, &VjpOptions::new(&graph)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let arrays = |file: &str| checkpoint::read(&folder.join(file)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let inputs = arrays("inputs.safetensors");
    let cotangents = arrays("cotangents.safetensors").into_iter();
    let mut joint_inputs = inputs.clone();
    joint_inputs.extend(cotangents.map(|(output, array)| (format!("cotangent/{output}"), array)));
    let statistics = folder.join("batch_stats.safetensors");
    let normalised = ["\"mlp\"", "\"gate\"", "\"scalar_activation\""].iter().any(|op| text.contains(op));
    let wanted = Evaluated {
        outputs: read(&folder.join("outputs.safetensors")),
        statistics: if statistics.exists() { read(&statistics) } else { IndexMap::new() },
        gradients: read(&folder.join("gradients.safetensors")),
    };
    Case {
        dtype: spec.dtype,
        forward: graph,
        joint,
        inputs,
        joint_inputs,
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
    /// What the cases' README says: of outputs and statistics, and of gradients.
    fn tolerances(&self) -> (f64, f64) {
        match self.dtype {
            DType::F64 if self.normalised => (1e-9, 1e-9),
            DType::F64 => (1e-10, 1e-10),
            DType::F32 | DType::I32 | DType::Bool => (2e-5, 5e-5),
        }
    }

    /// Runs the forward and the joint graph at a level and compares all that they return.
    fn check(&self, level: &str, run: impl Fn(&Graph, &Arrays, &Arrays) -> Evaluated) {
        let (forward, backward) = self.tolerances();
        let mut found = run(&self.forward, &self.inputs, &self.params);
        self.compare(level, &mut found.outputs, &self.wanted.outputs, forward);
        self.compare(level, &mut found.statistics, &self.wanted.statistics, forward);
        let mut found = run(&self.joint, &self.joint_inputs, &self.params);
        self.compare(level, &mut found.outputs, &self.wanted.outputs, forward);
        self.compare(level, &mut found.statistics, &self.wanted.statistics, forward);
        self.compare(level, &mut found.gradients, &self.wanted.gradients, backward);
    }

    fn compare(&self, level: &str, found: &mut Named, wanted: &Named, tolerance: f64) {
        found.sort_keys();
        let (apart, name) = distance(found, wanted);
        assert!(apart <= tolerance, "{} {level}: `{name}` is {apart:e} off\n{}", self.name, self.joint);
    }
}

#[test]
fn the_reference_agrees_with_e3nn_jax() {
    for case in cases() {
        case.check("reference", |graph, inputs, params| {
            evaluate(graph, inputs, params).unwrap_or_else(|e| panic!("{e}\n{graph}"))
        });
    }
}

#[test]
fn interpreted_loops_agree_with_e3nn_jax() {
    for case in cases() {
        for fuse in [true, false] {
            case.check("interpreter", |graph, inputs, params| interpreted(graph, inputs, params, fuse));
        }
    }
}

#[test]
fn compiled_code_agrees_with_e3nn_jax() {
    for case in cases() {
        for (level, options) in ways() {
            case.check(level, |graph, inputs, params| compiled(graph, inputs, params, &options));
        }
    }
}
