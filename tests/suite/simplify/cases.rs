//! What simplification makes of graphs as layers build them.

use schur_ir::graph::{Contract, Graph, Node, Op};

use super::check;

fn simplified(text: &str) -> Graph {
    let graph: Graph = text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"));
    check(&graph, 1).graph
}

fn contracts(graph: &Graph) -> Vec<&Contract> {
    fn contract(node: &Node) -> Option<&Contract> {
        match &node.op {
            Op::Contract(c) => Some(c),
            Op::Input(_) | Op::Param(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => None,
        }
    }
    graph.nodes.iter().filter_map(contract).collect()
}

fn maps(graph: &Graph) -> usize {
    graph.nodes.iter().filter(|n| matches!(n.op, Op::Map(_))).count()
}

/// The numbers of paths of all contractions.
fn paths(graph: &Graph) -> Vec<usize> {
    contracts(graph).iter().map(|c| c.paths.len()).collect()
}

/// `simplify_irreps_internally`: regroup, a linear layer with one weight a pair of irreps.
const REGROUPED: &str = r#"graph "g"
%0: f32[N] 32x0e+32x0e+32x1o+32x1o = input "x"
%1: f32[] 4096x0e = param "params/w00" [64, 64] normal(0, 1)
%2: f32[] 4096x0e = param "params/w11" [64, 64] normal(0, 1)
%3: f32[N] 64x0e+64x1o = contract %0[0] over [N] ; regroup
    x0@0(u) -> @0(u) for u=32
    x0@32(u) -> @32(u) for u=32
    x0@64(u i) -> @64(u i) for u=32 i=3
    x0@160(u i) -> @160(u i) for u=32 i=3
%4: f32[N] 64x0e+64x1o = contract %3[0], %1[], %2[] over [N] ; linear
    0.125 x0@0(u) x1@0(u v) -> @0(v) for u=64 v=64
    0.125 x0@64(u i) x2@0(u v) -> @64(v i) for u=64 v=64 i=3
%5: f32[N] 32x0e+32x0e+32x1o+32x1o = contract %4[0] over [N] ; back
    x0@0(u) -> @0(u) for u=32
    x0@32(u) -> @32(u) for u=32
    x0@64(u i) -> @64(u i) for u=32 i=3
    x0@160(u i) -> @160(u i) for u=32 i=3
output "y" = %5
"#;

#[test]
fn a_regrouped_linear_is_one_contraction() {
    let graph = simplified(REGROUPED);
    assert_eq!(paths(&graph), [2], "{graph}");
    assert_eq!(&*graph.nodes[3].layer, "back");
}

#[test]
fn separated_chunks_are_read_where_they_are() {
    let graph = simplified(
        r#"graph "g"
%0: f32[N] 32x0e+32x0e+32x1o+32x1o+32x0e = input "x"
%1: f32[] 9216x0e = param "params/w00" [96, 96] normal(0, 1)
%2: f32[] 4096x0e = param "params/w11" [64, 64] normal(0, 1)
%3: f32[N] 96x0e+64x1o = contract %0[0] over [N]
    x0@0(u) -> @0(u) for u=32
    x0@32(u) -> @32(u) for u=32
    x0@256(u) -> @64(u) for u=32
    x0@64(u i) -> @96(u i) for u=32 i=3
    x0@160(u i) -> @192(u i) for u=32 i=3
%4: f32[N] 96x0e+64x1o = contract %3[0], %1[], %2[] over [N]
    0.125 x0@0(u) x1@0(u v) -> @0(v) for u=96 v=96
    0.125 x0@96(u i) x2@0(u v) -> @96(v i) for u=64 v=64 i=3
output "y" = %4
"#,
    );
    assert_eq!(paths(&graph), [3], "{graph}");
}

#[test]
fn a_filter_drops_paths_of_the_linear_before_it() {
    let text = REGROUPED.replace("output \"y\" = %5", "%6: f32[N] 64x0e = contract %5[0] over [N] ; filter\n    x0@0(u) -> @0(u) for u=32\n    x0@32(u) -> @32(u) for u=32\noutput \"y\" = %6");
    let graph = simplified(&text);
    assert_eq!(paths(&graph), [1], "{graph}");
    assert_eq!(contracts(&graph)[0].operands.len(), 2, "{graph}");
    assert!(graph.to_string().contains("params/w11"), "{graph}");
}

#[test]
fn sums_and_biases_of_linears_are_one_contraction() {
    let graph = simplified(
        r#"graph "g"
%0: f32[N] 16x0e = input "x"
%1: f32[N] 16x0e = input "z"
%2: f32[] 256x0e = param "params/a" [16, 16] normal(0, 1)
%3: f32[] 256x0e = param "params/b" [16, 16] normal(0, 1)
%4: f32[] 16x0e = param "params/c" [16] constant(0)
%5: f32[N] 16x0e = contract %0[0], %2[] over [N]
    0.25 x0@0(u) x1@0(u v) -> @0(v) for u=16 v=16
%6: f32[N] 16x0e = contract %1[0], %3[] over [N]
    0.25 x0@0(u) x1@0(u v) -> @0(v) for u=16 v=16
%7: f32[N] 16x0e = contract %5[0], %6[0] over [N]
    x0@0(u) -> @0(u) for u=16
    x1@0(u) -> @0(u) for u=16
%8: f32[N] 16x0e = contract %7[0], %4[] over [N]
    x0@0(u) -> @0(u) for u=16
    x1@0(u) -> @0(u) for u=16
output "y" = %8
"#,
    );
    assert_eq!(paths(&graph), [3], "{graph}");
}

#[test]
fn a_shared_linear_is_computed_once() {
    let graph = simplified(
        r#"graph "g"
%0: f32[N] 128x0e = input "x"
%1: f32[] 16384x0e = param "params/a" [128, 128] normal(0, 1)
%2: f32[N] 128x0e = contract %0[0], %1[] over [N]
    x0@0(u) x1@0(u v) -> @0(v) for u=128 v=128
%3: f32[N] 128x0e = contract %0[0], %2[0] over [N]
    x0@0(u) -> @0(u) for u=128
    x1@0(u) -> @0(u) for u=128
output "y" = %2
output "z" = %3
"#,
    );
    let products = contracts(&graph).iter().flat_map(|c| &c.paths).filter(|p| p.axes.len() > 1).count();
    assert_eq!(products, 1, "{graph}");
}

#[test]
fn scales_fold_into_weights_and_maps() {
    let graph = simplified(
        r#"graph "g"
%0: f32[N] 16x0e = input "x"
%1: f32[] 256x0e = param "params/a" [16, 16] normal(0, 1)
%2: f32[N] 16x0e = map mul(x0, 2) of %0[0]
%3: f32[N] 16x0e = contract %2[0], %1[] over [N]
    0.25 x0@0(u) x1@0(u v) -> @0(v) for u=16 v=16
%4: f32[N] 16x0e = contract %3[0] over [N]
    3 x0@0(u) -> @0(u) for u=16
%5: f32[N] 16x0e = map mul(x0, sigmoid(x0)) of %4[0]
%6: f32[N] 16x0e = contract %5[0] over [N]
    1.5 x0@0(u) -> @0(u) for u=16
output "y" = %6
"#,
    );
    assert_eq!((paths(&graph), maps(&graph)), (vec![1], 1), "{graph}");
    assert_eq!(contracts(&graph)[0].paths[0].coefficient.0, 1.5, "{graph}");
}

#[test]
fn dead_irreps_are_not_computed_through_maps_and_products() {
    let graph = simplified(
        r#"graph "g"
%0: f32[N] 16x0e+16x1o = input "x"
%1: f32[] 512x0e = param "params/a" [16, 32] normal(0, 1)
%2: f32[] 512x0e = param "params/b" [16, 32] normal(0, 1)
%3: f32[] 256x0e = param "params/c" [16, 16] normal(0, 1)
%4: f32[N] 32x0e+32x1o = contract %0[0], %1[], %2[] over [N] ; first
    0.25 x0@0(u) x1@0(u v) -> @0(v) for u=16 v=32
    0.25 x0@16(u i) x2@0(u v) -> @32(v i) for u=16 v=32 i=3
%5: f32[N] 32x0e+32x1o = map tanh(x0) of %4[0] ; act
%6: f32[N] 16x0e = contract %5[0], %3[] over [N] ; second
    0.25 x0@16(u) x1@0(u v) -> @0(v) for u=16 v=16
output "y" = %6
"#,
    );
    let widths: Vec<usize> = graph.nodes[4..].iter().map(|n| n.ty.width()).collect();
    assert_eq!(widths, [16, 16, 16], "{graph}");
    assert_eq!(paths(&graph), [1, 1], "{graph}");
}

#[test]
fn inverse_permutations_cancel() {
    let graph = simplified(
        r#"graph "g"
%0: f32[N] 4x0e+2x1o+8x0e = input "x"
%1: f32[N] 8x0e+4x0e+2x1o = contract %0[0] over [N]
    x0@10(u) -> @0(u) for u=8
    x0@0(u) -> @8(u) for u=4
    x0@4(u i) -> @12(u i) for u=2 i=3
%2: f32[N] 4x0e+2x1o+8x0e = contract %1[0] over [N]
    x0@8(u) -> @0(u) for u=4
    x0@12(u i) -> @4(u i) for u=2 i=3
    x0@0(u) -> @10(u) for u=8
%3: f32[N] 4x0e+2x1o+8x0e = reshape %2
output "y" = %3
"#,
    );
    assert_eq!((graph.nodes.len(), graph.outputs[0].value.0), (1, 0), "{graph}");
}

#[test]
fn a_mean_writes_what_is_selected_of_it() {
    let graph = simplified(
        r#"graph "g"
%0: f32[N, M] 8x0e+4x1o = input "x"
%1: f32[M] 8x0e+4x1o = contract %0[0, 1] over [N, M] into [1] / N
    x0@0(u) -> @0(u) for u=20
%2: f32[] 8x0e = contract %1[0] over [M] into [] / M
    2 x0@0(u) -> @0(u) for u=8
require rows [N, M]
output "y" = %2
"#,
    );
    assert_eq!(contracts(&graph).len(), 1, "{graph}");
    assert!(graph.to_string().contains("/ M*N"), "{graph}");
}

#[test]
fn equal_values_are_computed_once_and_dead_leaves_stay() {
    let graph = simplified(
        r#"graph "g"
%0: f32[N] 8x0e = input "x"
%1: f32[N] 8x0e = input "unused"
%2: f32[] 8x0e = param "params/unused" [8] constant(0)
%3: f32[N] 8x0e = map tanh(x0) of %0[0]
%4: f32[N] 8x0e = map tanh(x0) of %0[0]
%5: f32[N] 8x0e = map exp(x0) of %1[0]
output "y" = %3
output "z" = %4
"#,
    );
    assert_eq!(graph.nodes.len(), 4, "{graph}");
    assert_eq!(graph.outputs[0].value, graph.outputs[1].value, "{graph}");
}

#[test]
fn values_tell_where_they_come_from() {
    let text = REGROUPED.replace("output \"y\" = %5", "%6: f32[N] 64x0e = contract %5[0] over [N] ; filter\n    x0@0(u) -> @0(u) for u=32\n    x0@32(u) -> @32(u) for u=32\noutput \"y\" = %6");
    let graph: Graph = text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"));
    let simplified = check(&graph, 1);
    let origins = &simplified.report.origins;
    assert_eq!(origins.len(), simplified.graph.nodes.len());
    let told: Vec<String> = origins.iter().map(|o| format!("{:?} {}", o.sources, o.rules.join(" "))).collect();
    assert_eq!(told[..3], ["[ValueId(0)] ", "[ValueId(1)] ", "[ValueId(2)] "]);
    let [.., last] = origins.as_slice() else { panic!("there are values") };
    assert!(last.sources.contains(&graph.outputs[0].value), "{told:?}");
    assert!(["read-through-copy", "inline-into-copy"].iter().any(|rule| last.rules.contains(rule)), "{told:?}");
}
