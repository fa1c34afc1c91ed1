//! Random graphs and sizes, forward and with gradients: loops and compiled code against the reference.

use schur_compiler::autodiff::{VjpOptions, vjp};
use schur_ir::graph::Graph;
use schur_ir::ty::DType;
use schur_runtime::reference::{Evaluated, evaluate};

use crate::levels::{Arrays, distance, interpreted, ways};
use crate::random_graph::{random_arrays, random_graph, random_sizes, random_smooth_graph};

fn assert_close(found: &Evaluated, wanted: &Evaluated, tolerance: f64, what: &dyn Fn() -> String) {
    for (found, wanted) in [
        (&found.outputs, &wanted.outputs),
        (&found.statistics, &wanted.statistics),
        (&found.gradients, &wanted.gradients),
    ] {
        let (apart, name) = distance(found, wanted);
        assert!(apart <= tolerance, "`{name}` is {apart:e} off: {}", what());
    }
}

fn arrays(graph: &Graph, seed: u64) -> (Arrays, Arrays) {
    random_arrays(graph, &random_sizes(graph, seed), seed)
}

fn reference(graph: &Graph, inputs: &Arrays, params: &Arrays) -> Evaluated {
    evaluate(graph, inputs, params).unwrap_or_else(|e| panic!("{e}\n{graph}"))
}

#[test]
fn interpreted_loops_agree_with_the_reference() {
    for seed in 0..300 {
        let graph = random_graph(seed, DType::F64);
        let (inputs, params) = arrays(&graph, seed);
        let wanted = reference(&graph, &inputs, &params);
        for fuse in [true, false] {
            let found = interpreted(&graph, &inputs, &params, fuse);
            assert_close(&found, &wanted, 1e-12, &|| format!("seed {seed}, fuse {fuse}\n{graph}"));
        }
    }
}

#[test]
fn compiled_code_agrees_with_the_reference() {
    for seed in 0..300 {
        // In f32 a sum that cancels keeps few digits of the reference's.
        let (dtype, tolerance) = if seed % 3 == 0 { (DType::F32, 2e-4) } else { (DType::F64, 1e-11) };
        let graph = random_graph(seed, dtype);
        let way = &ways()[seed as usize % 5];
        for round in 0..3 {
            let (inputs, params) = arrays(&graph, seed + 1000 * round);
            let wanted = reference(&graph, &inputs, &params);
            let found = way.run(&graph, &inputs, &params);
            assert_close(&found, &wanted, tolerance, &|| format!("seed {seed}, {}\n{graph}", way.name));
        }
    }
}

#[test]
fn compiled_gradients_agree_with_the_reference() {
    for seed in 0..150 {
        let graph = random_smooth_graph(seed, DType::F64);
        let joint = vjp(&graph, &VjpOptions::new(&graph)).unwrap_or_else(|e| panic!("{e}\n{graph}"));
        let way = &ways()[seed as usize % 5];
        let (inputs, params) = arrays(&joint, seed);
        let wanted = reference(&joint, &inputs, &params);
        let found = way.run(&joint, &inputs, &params);
        assert_close(&found, &wanted, 1e-10, &|| format!("seed {seed}, {}\n{joint}", way.name));
    }
}
