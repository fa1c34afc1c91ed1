//! Many random graphs, forward and joint: nothing changes but rounding, and nothing runs over the limits.

use schur_compiler::autodiff::{VjpOptions, vjp};
use schur_compiler::simplify::Stop;
use schur_ir::graph::Graph;
use schur_ir::ty::DType;

use super::{check, check_values};
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
    let mut limited = 0;
    for seed in 2000..6000 {
        let graph = random_graph(seed, DType::F64);
        for graph in [&graph, &joint(&graph)] {
            limited += usize::from(check_values(graph, seed).report.stop == Stop::Ops);
        }
    }
    assert!(limited <= 8, "{limited} graphs have e-classes that are left as they are");
}
