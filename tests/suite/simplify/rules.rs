//! One graph for every rule, as small as shows it.

use schur_compiler::autodiff::{VjpOptions, vjp};
use schur_compiler::simplify::{RULES, SimplifyOptions, simplify, variants};
use schur_ir::graph::Graph;

use super::{check, difference, evaluated};

const INPUT: &str = "%0: f64[N] 4x0e+2x1o = input \"x\"\n";
const WEIGHT: &str = "%1: f64[] 16x0e = param \"params/w\" [4, 4] normal(0, 1)\n";

/// A rule, and a graph over the input `%0` and the weight `%1`.
const CASES: [(&str, &str); 28] = [
    (
        "narrow",
        "%2: f64[N] 4x0e+2x1o = map tanh(x0) of %0[0]
         %3: f64[N] 4x0e = contract %2[0], %1[] over [N]
           x0@0(u) x1@0(u v) -> @0(v) for u=4 v=4
         output \"y\" = %3",
    ),
    (
        "read-through-copy",
        "%2: f64[N] 2x1o+4x0e = contract %0[0] over [N]
           x0@4(u i) -> @0(u i) for u=2 i=3
           2 x0@0(u) -> @6(u) for u=4
         %3: f64[N] 4x0e = contract %2[0], %1[] over [N]
           x0@6(u) x1@0(u v) -> @0(v) for u=4 v=4
         output \"y\" = %3",
    ),
    (
        "inline-into-copy",
        "%2: f64[N] 4x0e = contract %0[0], %1[] over [N]
           x0@0(u) x1@0(u v) -> @0(v) for u=4 v=4
         %3: f64[N] 4x0e+2x1o = contract %2[0], %0[0] over [N]
           x0@0(u) -> @0(u) for u=4
           x1@4(u i) -> @4(u i) for u=2 i=3
         output \"y\" = %3",
    ),
    (
        "write-through-copy",
        "%2: f64[] 4x0e+2x1o = contract %0[0] over [N] into [] / N
           x0@0(u) -> @0(u) for u=10
         %3: f64[] 4x0e = contract %2[] over []
           0.5 x0@0(u) -> @0(u) for u=4
         require rows [N]
         output \"y\" = %3",
    ),
    (
        "drop-copy",
        "%2: f64[N] 4x0e+2x1o = contract %0[0] over [N]
           x0@0(u) -> @0(u) for u=4
           x0@4(u i) -> @4(u i) for u=2 i=3
         output \"y\" = %2",
    ),
    ("drop-void-paths", "%2: f64[N] 4x0e = contract %0[0] over [N]\n 0 x0@0(u) -> @0(u) for u=4\n output \"y\" = %2"),
    (
        "drop-unit-axes",
        "%2: f64[N] 4x0e = contract %0[0] over [N]\n x0@0(u i) -> @0(u i) for u=4 i=1\n output \"y\" = %2",
    ),
    ("sum-free-axes", "%2: f64[N] 4x0e = contract %0[0] over [N]\n x0@0(u) -> @0(u) for u=4 i=5\n output \"y\" = %2"),
    ("merge-axes", "%2: f64[N] 2x1o = contract %0[0] over [N]\n x0@4(u i) -> @0(u i) for u=2 i=3\n output \"y\" = %2"),
    ("sort-paths", "%2: f64[N] 2x1o = contract %0[0] over [N]\n x0@4(b a) -> @0(a b) for a=3 b=2\n output \"y\" = %2"),
    (
        "add-equal-paths",
        "%2: f64[N] 4x0e = contract %0[0] over [N]
           x0@0(u) -> @0(u) for u=4
           0.5 x0@0(u) -> @0(u) for u=4
         output \"y\" = %2",
    ),
    (
        "join-neighbour-paths",
        "%2: f64[N] 4x0e = contract %0[0], %1[] over [N]
           x0@0(u) x1@0(u v) -> @0(v) for u=1 v=4
           x0@1(u) x1@4(u v) -> @0(v) for u=3 v=4
         output \"y\" = %2",
    ),
    (
        "multiply-weights",
        "%2: f64[N] 4x0e = contract %0[0], %1[] over [N]
           x0@0(u) x1@0(u v) -> @0(v) for u=4 v=4
           x1@3(v) -> @0(v) for v=4
         %3: f64[N] 4x0e = contract %2[0], %1[] over [N]
           0.5 x0@0(u) x1@0(v u) -> @0(v) for u=4 v=4
         output \"y\" = %3",
    ),
    (
        "pack-weights",
        "%2: f64[N] 2x0e = contract %0[0], %1[] over [N]
           x0@0(u) x1@0(u v) -> @0(v) for u=4 v=2
           3 x0@0(u) x1@8(v u) -> @0(v) for u=4 v=2
         output \"y\" = %2",
    ),
    ("fold-divisor", "%2: f64[N] 4x0e = contract %0[0] over [N] / 3\n x0@0(u) -> @0(u) for u=4\n output \"y\" = %2"),
    (
        "fold-constant",
        "%2: f64[N] 4x0e = map 3
         %3: f64[N] 4x0e = contract %0[0], %2[0] over [N]
           x0@0(u) x1@0(u) -> @0(u) for u=4
         output \"y\" = %3",
    ),
    (
        "fuse-maps",
        "%2: f64[N] 4x0e+2x1o = map tanh(x0) of %0[0]
         %3: f64[N] 4x0e+2x1o = map mul(x0, exp(x1)) of %2[0], %2[0]
         output \"y\" = %3",
    ),
    (
        "contract-as-map",
        "%2: f64[N] 4x0e+2x1o = map tanh(x0) of %0[0]
         %3: f64[N] 4x0e+2x1o = contract %2[0], %0[0] over [N]
           2 x0@0(u) -> @0(u) for u=10
           x1@0(u) -> @0(u) for u=10
         output \"y\" = %3",
    ),
    (
        "map-as-contract",
        "%2: f64[N] 4x0e+2x1o = map sub(mul(x0, 2), mul(x0, x0)) of %0[0]
         %3: f64[N] 4x0e = contract %2[0] over [N]
           x0@0(u) -> @0(u) for u=4
         output \"y\" = %3",
    ),
    (
        "scale-out-of-map",
        "%2: f64[N] 4x0e+2x1o = map div(mul(x0, mul(0.5, tanh(x0))), 3) of %0[0]
         %3: f64[N] 4x0e = contract %2[0], %1[] over [N]
           x0@0(u) x1@0(u v) -> @0(v) for u=4 v=4
         output \"y\" = %3",
    ),
    (
        "scale-out-of-product",
        "%2: f64[N] 2x1o = contract %0[0] over [N]
           3 x0@4(v i) x0@0(v) -> @0(v i) for v=2 i=3
         %3: f64[N] 2x1o = contract %2[0], %1[] over [N]
           x0@0(u i) x1@0(u v) -> @0(v i) for u=2 v=2 i=3
         output \"y\" = %3",
    ),
    (
        "drop-unit-rows",
        "%2: f64[1, N] 4x0e = contract %0[1] over [1, N]\n x0@0(u) -> @0(u) for u=4\n output \"y\" = %2",
    ),
    (
        "merge-operands",
        "%2: f64[N] 4x0e = contract %0[0], %1[], %0[0] over [N]
           x0@0(u) x2@0(u) -> @0(u) for u=4
         output \"y\" = %2",
    ),
    ("merge-map-operands", "%2: f64[N] 4x0e+2x1o = map mul(x0, tanh(x1)) of %0[0], %0[0]\n output \"y\" = %2"),
    (
        "reshape-of-reshape",
        "%2: f64[2] 8x0e = reshape %1
         %3: f64[4] 4x0e = reshape %2
         output \"y\" = %3",
    ),
    ("drop-reshape", "%2: f64[N] 4x0e+2x1o = reshape %0\n output \"y\" = %2"),
    (
        "reshape-as-copy",
        "%2: f64[N, 1] 10x0e = reshape %0
         %3: f64[N] 4x0e = contract %2[0, _], %1[] over [N]
           x0@0(u) x1@0(u v) -> @0(v) for u=4 v=4
         output \"y\" = %3",
    ),
    (
        "retype",
        "%2: f64[N] 4x0e = contract %0[0], %1[] over [N]
           x0@0(u) x1@0(u v) -> @0(v) for u=4 v=4
         %3: f64[N] 1x0e+3x0e = reshape %2
         output \"y\" = %3",
    ),
];

#[test]
fn every_rule_is_shown() {
    let mut named: Vec<&str> = CASES.iter().map(|(rule, _)| *rule).collect();
    let mut all: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
    named.sort_unstable();
    all.sort_unstable();
    assert_eq!(named, all);
}

#[test]
fn every_rule_applies_to_its_graph_and_holds() {
    for (rule, text) in CASES {
        let text = format!("graph \"{rule}\"\n{INPUT}{WEIGHT}{text}\n");
        let graph: Graph = text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"));
        check(&graph, 2);
        let joint = vjp(&graph, &VjpOptions::new(&graph)).unwrap_or_else(|e| panic!("{e}\n{graph}"));
        check(&joint, 2);
        every_variant_holds(&joint, &SimplifyOptions::default());
        // It applies by itself, too, and what it finds is equal.
        let options =
            SimplifyOptions { rules: vec![RULES.into_iter().find(|r| r.name == rule).unwrap()], ..Default::default() };
        let alone = simplify(&graph, &options).unwrap();
        let applied = &alone.report.rules;
        assert!(applied.iter().any(|(name, _)| *name == rule), "{rule} is not among {applied:?}");
        let (before, after) = (evaluated(&graph, &graph, 2), evaluated(&alone.graph, &graph, 2));
        assert!(difference(&before.outputs["y"], &after.outputs["y"]) < 1e-12, "{rule}\n{}", alone.graph);
        every_variant_holds(&graph, &options);
    }
}

fn every_variant_holds(graph: &Graph, options: &SimplifyOptions) {
    let (all, pairs) = variants(graph, options).unwrap();
    let values = evaluated(&all, graph, 2).outputs;
    for pair in pairs {
        assert!(difference(&values[&pair.before], &values[&pair.after]) < 1e-12, "{}\n{all}", pair.rule);
    }
}
