//! Graphs that took simplification to its edges: what comes out verifies, and computes the same.

use schur_compiler::simplify::{Simplified, SimplifyOptions, simplify};
use schur_compiler::validate::validate;
use schur_ir::build::{Mode, build};
use schur_ir::graph::Graph;
use schur_ir::spec::{ModelSpec, Source};
use schur_ir::verify::verify;

fn built(text: &str) -> Graph {
    let spec = ModelSpec::parse(&Source::new("spec.toml", text).unwrap()).unwrap_or_else(|e| panic!("{e:?}"));
    build(&spec, Mode::Infer).unwrap_or_else(|e| panic!("{e}"))
}

/// The graph simplified, for every range of sizes; all are valid and agree with it.
fn check(graph: &Graph) -> Simplified {
    let simplified = simplify(graph, &SimplifyOptions::default()).unwrap_or_else(|e| panic!("{e}\n{graph}"));
    for found in std::iter::once(&simplified.graph).chain(&simplified.others) {
        verify(found).unwrap_or_else(|e| panic!("{e}\n{found}"));
        for seed in 0..4 {
            validate(graph, found, seed).unwrap_or_else(|e| panic!("{e}\n{found}"));
        }
    }
    simplified
}

/// Biases of the chunks on both sides are summed in one run, which crosses the empty one.
#[test]
fn an_empty_chunk_lies_between_two_biases() {
    let linear = "op = 'linear'\ninput = 'x'\nirreps_out = '2x0e + 0x1o + 3x0e + 1x2e'\nbiases = true\n\
                  force_irreps_out = true";
    let graph = built(&format!(
        "name = 'm'\noutputs = ['y']\n[inputs.x]\nshape = ['N']\nirreps = '4x0e'\n\
         [[layers]]\nname = 'a'\n{linear}\n[[layers]]\nname = 'b'\n{linear}\n\
         [[layers]]\nname = 'y'\nop = 'add'\ninput = ['a', 'b']\n"
    ));
    check(&graph);
}
