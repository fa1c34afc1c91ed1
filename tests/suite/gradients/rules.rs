//! The adjoint of every op: for every graph of `rules/`, the joint graph, as text and against slopes.

use std::fs;
use std::path::Path;

use indexmap::indexmap;
use ndarray::{arr1, array};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use schur_compiler::autodiff::{VjpOptions, vjp};
use schur_ir::graph::Graph;
use schur_runtime::reference::{Arrays, evaluate};

use super::{check, check_random, gradients_too};

#[test]
fn rules() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/gradients/rules");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 8);
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let graph: Graph = fs::read_to_string(&file).unwrap().parse().unwrap_or_else(|e| panic!("{name}: {e}"));
        let joint = vjp(&graph, &VjpOptions::new(&graph)).unwrap_or_else(|e| panic!("{name}: {e}"));
        insta::assert_snapshot!(name, joint);
        for seed in 0..8 {
            check_random(&graph, &VjpOptions::new(&graph), seed);
            check_random(&joint, &gradients_too(&joint), seed);
        }
    }
}

#[test]
fn elements_that_attain_a_maximum_share_its_cotangent() {
    let text = r#"
        graph "max"
        %0: f64[N] 2x0e = input "x"
        %1: f64[] 2x0e = max %0 keep 0
        output "y" = %1
    "#;
    let graph: Graph = text.parse().unwrap();
    let joint = vjp(&graph, &VjpOptions::new(&graph)).unwrap();
    let inputs: Arrays = indexmap! {
        "x".into() => array![[1.0, 7.0], [3.0, 5.0], [3.0, 5.0], [2.0, 7.0], [3.0, 7.0]].into(),
        "cotangent/y".into() => array![6.0, 9.0].into(),
    };
    let gradients = evaluate(&joint, &inputs, &Arrays::new()).unwrap().gradients;
    let wanted = array![[0.0, 3.0], [2.0, 0.0], [2.0, 0.0], [0.0, 3.0], [2.0, 3.0]];
    assert_eq!(gradients["x"], wanted.into_dyn());
}

#[test]
fn slopes_at_kinks_are_jaxs() {
    let text = r#"
        graph "map"
        %0: f64[] 3x0e = input "x"
        %1: f64[] 3x0e = map EXPR of %0[]
        output "y" = %1
    "#;
    for (expr, wanted) in [
        ("abs(x0)", [-1.0, 1.0, 1.0]),
        ("max(x0, 0)", [0.0, 0.0, 1.0]),
        ("select(eq(x0, 0), 0, sqrt(abs(x0)))", [-0.25, 0.0, 0.25]),
        ("gt(x0, 0)", [0.0, 0.0, 0.0]),
    ] {
        let graph: Graph = text.replace("EXPR", expr).parse().unwrap();
        let joint = vjp(&graph, &VjpOptions::new(&graph)).unwrap();
        let inputs: Arrays = indexmap! {
            "x".into() => array![-4.0, 0.0, 4.0].into(),
            "cotangent/y".into() => array![1.0, 1.0, 1.0].into(),
        };
        let gradients = evaluate(&joint, &inputs, &Arrays::new()).unwrap().gradients;
        assert_eq!(gradients["x"], arr1(&wanted).into_dyn(), "{expr}");
    }
}

#[test]
fn nothing_flows_through_an_empty_batch() {
    let text = include_str!("rules/linear.graph");
    let graph: Graph = text.parse().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let sizes = indexmap! { "N".into() => 0 };
    let (inputs, params) = crate::random_graph::random_arrays(&graph, &sizes, 0);
    check(&graph, &VjpOptions::new(&graph), &inputs, &params, &mut rng);
}
