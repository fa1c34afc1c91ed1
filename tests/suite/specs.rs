//! Specs of tests: from texts, and from files of the tree.

use std::fs;
use std::path::{Path, PathBuf};

use schur::Model;
use schur_ir::spec::{ModelSpec, Source};

/// The spec of the example, as a command line names it.
pub(crate) const FORCES: &str = "examples/forces/model.toml";

/// The model of a text in TOML.
#[track_caller]
pub(crate) fn model(text: &str) -> Model {
    let source = Source::new("spec.toml", text).unwrap_or_else(|e| panic!("{e}"));
    Model::parse(&source).unwrap_or_else(|e| panic!("{e:?}"))
}

/// The spec of a text in TOML.
#[track_caller]
pub(crate) fn spec(text: &str) -> ModelSpec {
    model(text).spec().clone()
}

/// The spec of a file.
pub(crate) fn read(path: &Path) -> ModelSpec {
    Model::from_file(path).unwrap_or_else(|e| panic!("{}: {e:?}", path.display())).spec().clone()
}

/// What is in a folder of the tree, in order.
pub(crate) fn entries(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap_or_else(|e| panic!("{e}")).path()).collect();
    paths.sort();
    paths
}

/// The specs of `tests/specs`, by name.
pub(crate) fn specs() -> Vec<(String, ModelSpec)> {
    let name = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    entries("tests/specs").iter().map(|path| (name(path), read(path))).collect()
}

/// The specs of the cases of e3nn_jax.
pub(crate) fn cases() -> impl Iterator<Item = PathBuf> {
    entries("tests/conformance/cases").into_iter().map(|case| case.join("spec.json"))
}
