//! Random graphs and sizes: loops and compiled code against the reference.

use schur_compiler::codegen::Features;
use schur_compiler::compile::CompileOptions;
use schur_compiler::loops::LoopOptions;
use schur_ir::ty::DType;
use schur_runtime::reference::{Evaluated, evaluate};

use crate::levels::{compiled, distance, interpreted};
use crate::random_graph::{random_arrays, random_graph, random_sizes};

fn assert_close(found: &Evaluated, wanted: &Evaluated, tolerance: f64, what: &dyn Fn() -> String) {
    for (found, wanted) in [(&found.outputs, &wanted.outputs), (&found.statistics, &wanted.statistics)] {
        let (apart, name) = distance(found, wanted);
        assert!(apart <= tolerance, "`{name}` is {apart:e} off: {}", what());
    }
}

#[test]
fn interpreted_loops_agree_with_the_reference() {
    for seed in 0..300 {
        let graph = random_graph(seed, DType::F64);
        let (inputs, params) = random_arrays(&graph, &random_sizes(&graph, seed), seed);
        let wanted = evaluate(&graph, &inputs, &params).unwrap_or_else(|e| panic!("{e}"));
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
        let features = if seed % 2 == 0 { Features::Native } else { Features::Baseline };
        let loops = LoopOptions { fuse: seed % 5 != 0, ..LoopOptions::default() };
        let options = CompileOptions { features, loops, ..CompileOptions::default() };
        for round in 0..3 {
            let (inputs, params) = random_arrays(&graph, &random_sizes(&graph, seed + 1000 * round), seed);
            let wanted = evaluate(&graph, &inputs, &params).unwrap_or_else(|e| panic!("{e}"));
            let found = compiled(&graph, &inputs, &params, &options);
            assert_close(&found, &wanted, tolerance, &|| format!("seed {seed}, {options:?}\n{graph}"));
        }
    }
}
