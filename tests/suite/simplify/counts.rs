//! What a simplified program does in every row and once a call, beside the least that a person writes by hand.

use schur_compiler::simplify::{Cost, SimplifyOptions, simplify};
use schur_ir::build::{Mode, build};
use schur_ir::dim::Dim;
use schur_ir::graph::{Contract, Graph, Op};

use crate::specs;

fn spec(layers: &str) -> Graph {
    let text = format!("name = \"counted\"\noutputs = [\"y\"]\n{layers}");
    build(&specs::spec(&text), Mode::Infer).unwrap_or_else(|e| panic!("{e:?}"))
}

fn simplified(graph: &Graph) -> Graph {
    super::check(graph, 3);
    simplify(graph, &SimplifyOptions::default()).unwrap_or_else(|e| panic!("{e}")).graph
}

/// Flops once a call, and in every row.
fn flops(graph: &Graph) -> [i64; 2] {
    let flops = Cost::of_graph(graph).flops;
    let of = |symbols: usize| flops.terms().filter(|(_, s)| s.len() == symbols).map(|(c, _)| c).sum();
    [of(0), of(1)]
}

fn in_rows(graph: &Graph) -> Vec<&Contract> {
    let rows = [Dim::symbol("N")];
    let contracts = graph.nodes.iter().filter_map(|node| match &node.op {
        Op::Contract(c) if c.rows == rows => Some(c),
        Op::Input(_) | Op::Param(_) | Op::Contract(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => None,
    });
    contracts.collect()
}

fn split(internally: bool) -> Graph {
    spec(&format!(
        r#"
        [inputs.x]
        shape = ["N"]
        irreps = "32x0e+32x0e+32x1o+32x1o+32x0e"
        [[layers]]
        name = "y"
        op = "linear"
        input = "x"
        irreps_out = "32x0e+32x0e+32x1o+32x1o+32x0e"
        simplify_irreps_internally = {internally}
        "#
    ))
}

/// By hand: a product with one matrix of 96 × 96 for scalars, and of 64 × 64 for the three components of vectors.
#[test]
fn a_split_linear_is_its_regrouped_form() {
    let by_hand = 96 * 96 * 2 - 96 + 3 * (64 * 64 * 2 - 64);
    let [apart, grouped] = [false, true].map(|internally| simplified(&split(internally)));
    // Thirteen weights, or three, are laid out once a call; a multiplication a weight by the normalisation.
    for graph in [&apart, &grouped] {
        let [once, row] = flops(graph);
        assert_eq!(row, by_hand, "{graph}");
        assert!(once <= 2 * (96 * 96 + 64 * 64), "{once}\n{graph}");
    }
    // What runs in every row is the same code.
    let [a, b] = [&apart, &grouped].map(in_rows);
    assert_eq!((a.len(), b.len()), (1, 1));
    assert_eq!((a[0].operands.len(), &a[0].paths), (b[0].operands.len(), &b[0].paths), "{apart}\n{grouped}");
}

const CHAIN: &str = r#"
    [inputs.x]
    shape = ["N"]
    irreps = "64x0e + 32x1o"
    [[layers]]
    name = "a"
    op = "linear"
    input = "x"
    irreps_out = "64x0e + 32x1o"
    [[layers]]
    name = "b"
    op = "linear"
    input = "a"
    irreps_out = "96x0e + 32x1o"
    [[layers]]
    name = "norm"
    op = "batch_norm"
    input = "b"
    [[layers]]
    name = "gate"
    op = "gate"
    input = "norm"
    [[layers]]
    name = "c"
    op = "linear"
    input = "gate"
    irreps_out = "64x0e + 32x1o"
    [[layers]]
    name = "y"
    op = "linear"
    input = "c"
    irreps_out = "64x0e + 32x1o"
"#;

/// By hand: the first two linears are one product with the scale of the batch norm in its weights, one bias has its
/// mean; the last two are one with the constants of the activations in it.
#[test]
fn a_chain_of_linears_batch_norm_and_gate_does_no_more_than_by_hand() {
    let product = |inputs: i64, outputs: i64| outputs * (2 * inputs - 1);
    let before = product(64, 96) + 96 + 3 * product(32, 32);
    // x σ(c (x + d x x x)): a sigmoid is as long as 24.
    let gelu = 6 + 24;
    let gate = 64 * gelu + 32 * 24 + 32 * 3;
    let after = product(64, 64) + 3 * product(32, 32);
    let graph = simplified(&spec(CHAIN));
    let [once, row] = flops(&graph);
    assert_eq!(row, before + gate + after, "{graph}");
    // Two products of matrices each, the scales and biases of the batch norm.
    let products = 64 * 64 * 96 + 64 * 64 * 64 + 2 * 32 * 32 * 32;
    assert!(once <= 2 * products + 40_000, "{once}\n{graph}");
}

/// A model whose vectors are dropped at its end, behind a sum, a batch norm and a concatenation; or that reads scalars
/// alone from its beginning.
fn scalars(dropped: bool) -> Graph {
    let (irreps, hidden, filtered) = if dropped {
        (
            "8x0e + 8x1o",
            "16x0e + 8x1o",
            "\n[[layers]]\nname = \"scalars\"\nop = \"filter\"\ninput = \"both\"\nkeep = [\"0e\"]",
        )
    } else {
        ("8x0e", "16x0e", "")
    };
    let last = if dropped { "scalars" } else { "both" };
    spec(&format!(
        r#"
        [inputs.x]
        shape = ["N"]
        irreps = "{irreps}"
        [[layers]]
        name = "a"
        op = "linear"
        input = "x"
        irreps_out = "{hidden}"
        [[layers]]
        name = "b"
        op = "linear"
        input = "x"
        irreps_out = "{hidden}"
        [[layers]]
        name = "sum"
        op = "add"
        input = ["a", "b"]
        [[layers]]
        name = "norm"
        op = "batch_norm"
        input = "sum"
        [[layers]]
        name = "both"
        op = "concatenate"
        input = ["norm", "x"]{filtered}
        [[layers]]
        name = "y"
        op = "linear"
        input = "{last}"
        irreps_out = "4x0e"
        "#
    ))
}

#[test]
fn irreps_that_no_output_reaches_are_computed_nowhere() {
    let [dropped, alone] = [true, false].map(|dropped| simplified(&scalars(dropped)));
    // Once a call, the scales of the vectors are computed beside the others.
    let ([more, row], [once, by_hand]) = (flops(&dropped), flops(&alone));
    assert!(row == by_hand && more - once < 200, "{more} {once}\n{dropped}\n{alone}");
    let has_vectors = |graph: &Graph| {
        let computed = graph.nodes.iter().filter(|node| !matches!(node.op, Op::Input(_) | Op::Param(_)));
        computed.flat_map(|node| node.ty.irreps.iter()).any(|chunk| chunk.ir.l > 0)
    };
    assert!(has_vectors(&scalars(true)) && !has_vectors(&dropped), "{dropped}");
}
