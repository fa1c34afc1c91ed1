//! What a user is told: one file a fault in `faults/`, one snapshot each.

use std::fs;
use std::ops::Range;
use std::path::Path;

use miette::Diagnostic;
use schur_ir::spec::{ModelSpec, Problem, Source, SpecError};

use super::render;

#[test]
fn faults() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/spec/faults");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 14, "the faults are missing");
    for path in paths {
        let name = path.file_name().unwrap().to_str().unwrap();
        let source = Source::new(name, fs::read_to_string(&path).unwrap()).unwrap();
        let error = ModelSpec::parse(&source).expect_err(name);
        insta::assert_snapshot!(name, render(&error));
    }
}

/// A spec that a program wrote on one line is shown in part.
#[test]
fn long_lines_are_cut() {
    let layers =
        (0..2000).map(|k| format!(r#"{{"name": "l{k}", "op": "regroup", "input": "x"}}, "#)).collect::<String>();
    let text = format!(
        r#"{{"name": "é", "outputs": ["x"], "layers": [{layers}{{"name": "end", "op": "regrup", "input": "x"}}],
        "inputs": {{"x": {{"shape": [], "irreps": "0e"}}}}}}"#
    );
    let error = ModelSpec::parse(&Source::new("model.json", text).unwrap()).unwrap_err();
    insta::assert_snapshot!(render(&error));
}

/// Later stages report with the same type; places outside the text are moved into it.
#[test]
fn problems_from_outside() {
    let source = Source::new("model.toml", "name = 'é'\nmore").unwrap();
    let places = [0..4, 9..10, 0..14, 14..99, 99..100, Range { start: 16, end: 3 }];
    let problems = places.map(|span| Problem::new("irreps differ", "", span)).to_vec();
    let error = SpecError::new(&source, problems);
    let spans: Vec<_> = error.problems().iter().map(|problem| problem.span.clone()).collect();
    assert_eq!(spans, [0..4, 8..10, 0..11, 14..16, 16..16, 16..16]);
    assert_eq!(error.to_string(), "model.toml has 6 problems");
    assert_eq!(error.related().unwrap().count(), 6);
    let single = SpecError::new(&source, vec![Problem::new("irreps differ", "", 0..4).with_help("make them equal")]);
    assert_eq!(single.to_string(), "irreps differ");
    assert_eq!(single.help().unwrap().to_string(), "make them equal");
    assert!(single.related().is_none());
}
