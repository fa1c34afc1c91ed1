//! Many random graphs, forward and joint: nothing changes but rounding, and nothing runs over the limits.

use schur_compiler::autodiff::{VjpOptions, vjp};
use schur_ir::graph::Graph;
use schur_ir::ty::DType;

use super::check;
use crate::random_graph::random_graph;

fn joint(graph: &Graph) -> Graph {
    vjp(graph, &VjpOptions::new(graph)).unwrap_or_else(|e| panic!("{e}\n{graph}"))
}

fn stress(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let graph = random_graph(seed, DType::F64);
        check(&graph, seed);
        check(&joint(&graph), seed);
    }
}

#[test]
fn random_joint_graphs_keep_their_values() {
    stress(1000..1150);
}

#[test]
#[ignore = "half a minute optimised, minutes if not"]
fn thousands_of_random_graphs_keep_their_values() {
    stress(2000..6000);
}
