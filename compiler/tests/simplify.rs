//! Graphs that took simplification to its edges: what comes out verifies, and computes the same.

use schur_compiler::autodiff::{VjpOptions, vjp};
use schur_compiler::simplify::{Simplified, SimplifyOptions, simplify};
use schur_compiler::validate::{ValidationError, validate};
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

fn parsed(text: &str) -> Graph {
    text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// Maps of values with a chunk that is known to be zero: a scale moves out, and a sum becomes a contraction.
#[test]
fn what_is_known_to_be_zero_stays_so() {
    let graph = parsed(
        "graph \"g\"\n%0: f64[N] 2x0e+1x1o = input \"x\"\n\
         %1: f64[N] 2x0e!+1x1o = contract %0[0] over [N]\n  x0@2(i) -> @2(i) for i=3\n\
         %2: f64[N] 2x0e!+1x1o = map tanh(x0) of %1[0]\n\
         %3: f64[N] 2x0e!+1x1o = map mul(2, tanh(x0)) of %1[0]\n\
         %4: f64[N] 2x0e!+1x1o = map add(x0, x1) of %2[0], %3[0]\n\
         output \"a\" = %2\noutput \"b\" = %3\noutput \"c\" = %4\n",
    );
    check(&graph);
}

/// Nested as deep as a graph may hold.
fn nested(outer: &str, inner: &str, depth: usize) -> String {
    format!("{}{inner}{}", format!("{outer}(").repeat(depth), ")".repeat(depth))
}

fn map(expr: &str) -> Graph {
    parsed(&format!(
        "graph \"g\"\n%0: f64[N] 2x0e = input \"x\"\n%1: f64[N] 2x0e = map {expr} of %0[0]\noutput \"y\" = %1\n"
    ))
}

/// `exp(−x − e)` would be spelt `exp(−(x + e))`, one deeper.
#[test]
fn no_spelling_is_deeper_than_a_graph_may_hold() {
    check(&map(&format!("exp(sub(neg(x0), {}))", nested("tanh", "x0", 198))));
}

#[test]
fn a_slope_that_no_graph_may_hold_is_an_error() {
    let graph = map(&nested("tanh", "x0", 199));
    let error = vjp(&graph, &VjpOptions::new(&graph)).unwrap_err();
    assert_eq!(error.to_string(), "the derivative of %1 is deeper than 200 or too large");
    let graph = map(&nested("tanh", "x0", 100));
    verify(&vjp(&graph, &VjpOptions::new(&graph)).unwrap()).unwrap();
}

/// One step of the strided axis is a part of its own.
#[test]
fn segments_of_millions_of_parts_are_not_listed() {
    let graph = parsed(
        "graph \"g\"\n%0: f64[N] 16000000x0e = input \"x\"\n%1: f64[N] 16000000x0e = contract %0[0] over [N]\n  \
         x0@0(u*2) x0@0(u*2) -> @0(u*2) for u=8000000\n  x0@1(u*2) -> @1(u*2) for u=8000000\n\
         %2: f64[N] 16000000x0e = contract %1[0] over [N]\n  2 x0@0(u) -> @0(u) for u=16000000\noutput \"y\" = %2\n",
    );
    let simplified = simplify(&graph, &SimplifyOptions::default()).unwrap();
    verify(&simplified.graph).unwrap();
}

/// 2e-38 is a normal number of `f32`, a thousandth of it is not.
#[test]
fn a_divisor_that_coefficients_cannot_hold_stays() {
    let graph = |coefficient: &str| {
        parsed(&format!(
            "graph \"g\"\n%0: f32[N, 1000] 2x0e = input \"x\"\n%1: f32[N] 2x0e = contract %0[0, 1] over [N, 1000] \
             into [0] / 1000\n  {coefficient} x0@0(u) -> @0(u) for u=2\noutput \"y\" = %1\n"
        ))
    };
    assert!(check(&graph("2e-38")).graph.to_string().contains("/ 1000"));
    assert!(!check(&graph("2e-3")).graph.to_string().contains("/ 1000"));
}

#[test]
fn a_graph_that_no_index_can_be_given_is_not_compared() {
    let graph = parsed(
        "graph \"g\"\n%0: f64[N] 4x0e = input \"x\"\n%1: i32[N] 1x0e = input \"i\"\n\
         %2: f64[0] 4x0e = param \"p\" [0, 4] constant(0)\n\
         %3: f64[N] 4x0e = contract %0[0], %2[%1[0]<0] over [N]\n  x0@0(u) x1@0(u) -> @0(u) for u=4\n\
         require index \"i\" < 0\noutput \"y\" = %3\n",
    );
    let error = validate(&graph, &graph, 0).unwrap_err();
    assert_eq!(error, ValidationError::NoIndex("i".into()));
    assert!(!error.is_bug());
}
