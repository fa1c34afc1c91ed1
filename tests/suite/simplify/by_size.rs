//! One spec, one program for each range of sizes: which is taken depends on the sizes of a call alone.

use schur::{Array, CompileOptions, Mode};
use schur_compiler::autodiff::{VjpOptions, vjp};
use schur_compiler::simplify::{SimplifyOptions, simplify};
use schur_compiler::validate::{ValidationError, validate};
use schur_ir::dim::{Bindings, Symbol};
use schur_ir::expr::Scalar;
use schur_ir::graph::{Graph, Op};

use crate::specs::model;

const SPEC: &str = r#"
    name = "two_linears"
    outputs = ["y"]
    [inputs.x]
    shape = ["N"]
    irreps = "64x0e"
    [[layers]]
    name = "h"
    op = "linear"
    input = "x"
    irreps_out = "64x0e"
    [[layers]]
    name = "y"
    op = "linear"
    input = "h"
    irreps_out = "64x0e"
"#;

fn rows(graph: &Graph) -> usize {
    graph.nodes.iter().filter(|node| matches!(&node.op, Op::Contract(c) if !c.rows.is_empty())).count()
}

/// A product of two matrices of 64 × 64 costs what 64 rows save, and what starting it takes.
#[test]
fn linears_are_multiplied_together_where_rows_are_many() {
    let graph = model(SPEC).graph(Mode::Infer).unwrap_or_else(|e| panic!("{e}"));
    let simplified = simplify(&graph, &SimplifyOptions::default()).unwrap_or_else(|e| panic!("{e}"));
    let [few] = simplified.others.as_slice() else { panic!("{:?}", simplified.others) };
    assert_eq!((rows(&simplified.graph), rows(few)), (1, 2), "{}\n{few}", simplified.graph);
    let ranges = simplified.by_size.ranges();
    let [(0, 1), (threshold, 0)] = ranges.as_slice() else { panic!("{ranges:?}") };
    assert!((32..128).contains(threshold), "{threshold}");
    let chosen = |size| simplified.by_size.choose(&Bindings::from([(Symbol::from("N"), size)]));
    assert_eq!([threshold - 1, *threshold].map(chosen), [1, 0]);
}

#[test]
fn every_range_computes_the_same() {
    let model = model(SPEC);
    let params = model.init(1).unwrap_or_else(|e| panic!("{e}"));
    let mut compiled = model.compile(Mode::Infer, &CompileOptions::default()).unwrap_or_else(|e| panic!("{e}"));
    let plain = CompileOptions { simplify: None, ..CompileOptions::default() };
    let mut plain = model.compile(Mode::Infer, &plain).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((compiled.ranges().len(), plain.ranges()), (2, vec![(0, 0)]));
    for rows in [0, 1, 5, 1000, 3] {
        let x = ndarray::Array2::from_shape_fn((rows, 64), |(k, c)| ((k * 37 + c * 11) % 19) as f32 / 19.0 - 0.5);
        let x = Array::from(x);
        let [found, wanted] = [&mut compiled, &mut plain].map(|model| {
            let results = model.run([("x", &x)], &params).unwrap_or_else(|e| panic!("{e}"));
            results.outputs["y"].to_f64()
        });
        assert!(found.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-5), "{rows} rows");
    }
}

#[test]
fn a_wrong_simplification_is_found() {
    let graph = model(SPEC).graph(Mode::Infer).unwrap_or_else(|e| panic!("{e}"));
    let mut wrong = simplify(&graph, &SimplifyOptions::default()).unwrap_or_else(|e| panic!("{e}")).graph;
    let validation = validate(&graph, &wrong, 3).unwrap_or_else(|e| panic!("{e}"));
    assert!(validation.elements >= 128 && validation.error < 1e-13, "{validation:?}");
    let last = wrong.nodes.last_mut().map(|node| &mut node.op);
    let Some(Op::Contract(contract)) = last else { panic!("no contraction") };
    contract.paths[0].coefficient = Scalar(contract.paths[0].coefficient.0 * (1.0 + 1e-6));
    let found = validate(&graph, &wrong, 3);
    assert!(matches!(&found, Err(ValidationError::Differs { name, .. }) if &**name == "y"), "{found:?}");
    // Graphs that take other arrays are not run.
    let joint = vjp(&graph, &VjpOptions::new(&graph)).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(validate(&graph, &joint, 3), Err(ValidationError::Interface("leaves")));
    assert_eq!(validate(&joint, &graph, 3), Err(ValidationError::Interface("outputs")));
}
