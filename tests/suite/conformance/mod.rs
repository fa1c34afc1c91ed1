//! The cases computed by e3nn_jax and jax, at every level: forward, backward, and twice backward.
//!
//! `SCHUR_CONFORMANCE=FOLDER cargo test --test suite conformance` takes the cases of `generate.py` from another folder.

mod second_order;

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

use crate::levels::{Arrays, Way, distance, interpreted, ways};

/// The folder of a case: a model, its arrays, and what the reference computed.
struct Folder {
    path: PathBuf,
    name: String,
    spec: ModelSpec,
    /// What one call computes.
    graph: Graph,
    /// True where a normalised activation limits what f64 can reach.
    normalised: bool,
}

/// A case, ready to be run at every level.
struct Case {
    name: String,
    params: Arrays,
    calls: Vec<Call>,
    /// How far outputs and statistics, and gradients, may be off.
    tolerances: (f64, f64),
}

/// One graph with what it is given and what it must return.
struct Call {
    graph: Graph,
    inputs: Arrays,
    wanted: Evaluated,
}

type Named = IndexMap<String, ArrayD<f64>>;

impl Folder {
    fn open(path: &Path) -> Folder {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(path.join("spec.json")).unwrap_or_else(|e| panic!("{name}: {e}"));
        let source = Source::new("spec.json", text.as_str()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let spec = ModelSpec::parse(&source).unwrap_or_else(|e| panic!("{name}: {e:?}"));
        let mode = if text.contains("\"train\": true") { Mode::Train } else { Mode::Infer };
        let graph = build(&spec, mode).unwrap_or_else(|e| panic!("{name}: {e:?}"));
        let normalised = ["\"mlp\"", "\"gate\"", "\"scalar_activation\""].iter().any(|op| text.contains(op));
        Folder { path: path.to_owned(), name, spec, graph, normalised }
    }

    fn arrays(&self, file: &str) -> Arrays {
        let path = self.path.join(format!("{file}.safetensors"));
        checkpoint::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// What must be found, of a file that may be absent.
    fn wanted(&self, file: &str) -> Named {
        if !self.path.join(format!("{file}.safetensors")).exists() {
            return IndexMap::new();
        }
        let mut arrays: Named = self.arrays(file).iter().map(|(name, a)| (name.clone(), a.to_f64())).collect();
        arrays.sort_keys();
        arrays
    }

    /// What the cases' README says: of outputs and statistics, and of gradients.
    fn tolerances(&self) -> (f64, f64) {
        match self.spec.dtype {
            DType::F64 if self.normalised => (1e-9, 1e-9),
            DType::F64 => (1e-10, 1e-10),
            DType::F32 | DType::I32 | DType::Bool => (2e-5, 5e-5),
        }
    }
}

/// A case of `generate.py`: the forward graph, and that with gradients.
fn case(path: &Path) -> Case {
    let folder = Folder::open(path);
    let joint = vjp(&folder.graph, &VjpOptions::new(&folder.graph)).unwrap_or_else(|e| panic!("{}: {e}", folder.name));
    let inputs = folder.arrays("inputs");
    let cotangents = folder.arrays("cotangents").into_iter();
    let mut joint_inputs = inputs.clone();
    joint_inputs.extend(cotangents.map(|(output, array)| (format!("cotangent/{output}"), array)));
    let (outputs, statistics) = (folder.wanted("outputs"), folder.wanted("batch_stats"));
    let forward = Evaluated { outputs, statistics, gradients: IndexMap::new() };
    let both = Evaluated { gradients: folder.wanted("gradients"), ..forward.clone() };
    Case {
        params: folder.arrays("params"),
        tolerances: folder.tolerances(),
        calls: vec![
            Call { graph: folder.graph, inputs, wanted: forward },
            Call { graph: joint, inputs: joint_inputs, wanted: both },
        ],
        name: folder.name,
    }
}

/// The folders in a folder of the tree.
fn folders(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root).unwrap_or_else(|e| panic!("{}: {e}", root.display()));
    let mut folders: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn of_the_tree(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance").join(folder)
}

fn cases() -> impl Iterator<Item = Case> {
    let folders = match std::env::var_os("SCHUR_CONFORMANCE") {
        Some(elsewhere) => folders(Path::new(&elsewhere)),
        None => {
            let [cases, edges] = ["cases", "edges"].map(|folder| folders(&of_the_tree(folder)));
            assert_eq!((cases.len(), edges.len()), (198, 65));
            [cases, edges].concat()
        }
    };
    assert!(!folders.is_empty(), "there are no cases");
    folders.into_iter().map(|folder| case(&folder))
}

impl Case {
    /// Runs every graph at a level and compares all that it returns. The error is the first difference.
    fn check(&self, level: &str, run: impl Fn(&Graph, &Arrays, &Arrays) -> Evaluated) -> Result<(), String> {
        let (forward, backward) = self.tolerances;
        for Call { graph, inputs, wanted } in &self.calls {
            let found = run(graph, inputs, &self.params);
            let pairs = [
                (found.outputs, &wanted.outputs, forward),
                (found.statistics, &wanted.statistics, forward),
                (found.gradients, &wanted.gradients, backward),
            ];
            for (mut found, wanted, tolerance) in pairs {
                found.sort_keys();
                let (apart, name) = distance(&found, wanted);
                if apart > tolerance {
                    return Err(format!("{} {level}: `{name}` is {apart:e} off\n{graph}", self.name));
                }
            }
        }
        Ok(())
    }

    fn check_reference(&self) -> Result<(), String> {
        self.check("reference", |graph, inputs, params| {
            evaluate(graph, inputs, params).unwrap_or_else(|e| panic!("{}: {e}\n{graph}", self.name))
        })
    }

    fn check_interpreted(&self) -> Result<(), String> {
        [true, false].into_iter().try_for_each(|fuse| {
            self.check("interpreter", |graph, inputs, params| interpreted(graph, inputs, params, fuse))
        })
    }

    fn check_compiled(&self) -> Result<(), String> {
        let check = |way: &Way| self.check(&way.name, |graph, inputs, params| way.run(graph, inputs, params)).err();
        let faults: Vec<String> = ways().iter().filter_map(check).collect();
        if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
    }
}

/// Checks all the cases, and tells of every one that is off.
fn check_all(cases: impl Iterator<Item = Case>, check: impl Fn(&Case) -> Result<(), String>) {
    let faults: Vec<String> = cases.filter_map(|case| check(&case).err()).collect();
    assert!(faults.is_empty(), "{} cases are off\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn the_reference_agrees_with_e3nn_jax() {
    check_all(cases(), Case::check_reference);
}

#[test]
fn interpreted_loops_agree_with_e3nn_jax() {
    check_all(cases(), Case::check_interpreted);
}

#[test]
fn compiled_code_agrees_with_e3nn_jax() {
    check_all(cases(), Case::check_compiled);
}
