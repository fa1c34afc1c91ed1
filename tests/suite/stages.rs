//! Every spec of `tests/specs`, stage by stage: one snapshot a spec and mode, to be read from top to bottom.

use std::path::PathBuf;

use schur_compiler::loops::{LoopOptions, lower};
use schur_compiler::simplify::{SimplifyOptions, simplify};
use schur_ir::build::{Mode, build};
use schur_ir::spec::{ModelSpec, Source};

/// The specs of `tests/specs`, by name.
pub(crate) fn specs() -> Vec<(String, ModelSpec)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/specs");
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    paths.sort();
    let spec = |path: PathBuf| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
        let source = Source::new("spec.toml", text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let spec = ModelSpec::parse(&source).unwrap_or_else(|e| panic!("{name}: {e:?}"));
        (name, spec)
    };
    paths.into_iter().map(spec).collect()
}

fn stages(spec: &ModelSpec, mode: Mode) -> String {
    let graph = build(spec, mode).unwrap_or_else(|e| panic!("{e:?}"));
    let simplified = simplify(&graph, &SimplifyOptions::default()).unwrap_or_else(|e| panic!("{e}")).graph;
    let loops = lower(&simplified, &LoopOptions::default()).unwrap_or_else(|e| panic!("{e}"));
    format!("==== graph\n{graph}\n==== simplified\n{simplified}\n==== loops\n{loops}")
}

#[test]
fn stages_of_every_spec() {
    for (name, spec) in specs() {
        insta::assert_snapshot!(name.clone(), stages(&spec, Mode::Infer));
        if name.contains("norm") {
            insta::assert_snapshot!(format!("{name}_train"), stages(&spec, Mode::Train));
        }
    }
}
