//! What joint graphs are called by, and what is refused.

use schur_compiler::autodiff::{AutodiffError, VjpOptions, vjp};
use schur_ir::graph::{Graph, Op, OutputKind};

fn terms() -> Graph {
    include_str!("rules/terms.graph").parse().unwrap()
}

fn inputs(graph: &Graph) -> Vec<&str> {
    let names = graph.nodes.iter().filter_map(|node| match &node.op {
        Op::Input(name) => Some(&**name),
        Op::Param(_) | Op::Contract(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => None,
    });
    names.collect()
}

fn outputs(graph: &Graph, kind: OutputKind) -> Vec<&str> {
    graph.outputs.iter().filter(|o| o.kind == kind).map(|o| &*o.name).collect()
}

#[test]
fn joint_graphs_name_cotangents_and_gradients() {
    let graph = terms();
    let joint = vjp(&graph, &VjpOptions::new(&graph)).unwrap();
    let cotangents = ["cotangent/a", "cotangent/b", "cotangent/c", "cotangent/d"];
    assert_eq!(inputs(&joint), [["x", "unused", "far"].as_slice(), &cotangents].concat());
    assert_eq!(outputs(&joint, OutputKind::Output), ["index", "a", "b", "c", "d"]);
    assert_eq!(outputs(&joint, OutputKind::Statistic), ["s"]);
    assert_eq!(outputs(&joint, OutputKind::Gradient), ["x", "far"]);
    assert_eq!(joint.nodes[..graph.nodes.len()], graph.nodes);
}

#[test]
fn names_that_are_taken_get_their_prefix_again() {
    let graph = terms();
    let first = VjpOptions { outputs: vec![(OutputKind::Output, "a".into())], wrt: vec!["x".into()] };
    let mut joint = vjp(&graph, &first).unwrap();
    for gradient in ["gradient/x", "gradient/gradient/x"] {
        assert_eq!(outputs(&joint, OutputKind::Gradient), ["x"]);
        let chosen = vec![(OutputKind::Output, "a".into()), (OutputKind::Gradient, "x".into())];
        joint = vjp(&joint, &VjpOptions { outputs: chosen, wrt: vec!["x".into()] }).unwrap();
        assert!(outputs(&joint, OutputKind::Output).contains(&gradient), "{joint}");
    }
    let wanted = [
        "x",
        "unused",
        "far",
        "cotangent/a",
        "cotangent/cotangent/a",
        "cotangent/x",
        "cotangent/cotangent/cotangent/a",
        "cotangent/cotangent/x",
    ];
    assert_eq!(inputs(&joint), wanted);
}

#[test]
fn what_has_no_derivative_is_refused() {
    let graph = terms();
    let refusal = |output: &str, kind, wrt: &[&str]| {
        let wrt = wrt.iter().map(|name| (*name).into()).collect();
        vjp(&graph, &VjpOptions { outputs: vec![(kind, output.into())], wrt }).unwrap_err()
    };
    let (output, statistic) = (OutputKind::Output, OutputKind::Statistic);
    assert_eq!(refusal("a", statistic, &[]), AutodiffError::NoOutput("a".into()));
    assert_eq!(refusal("index", output, &[]), AutodiffError::NotFloat("index".into()));
    assert_eq!(refusal("a", output, &["y"]), AutodiffError::NoLeaf("y".into()));
    assert_eq!(refusal("a", output, &["unused"]), AutodiffError::NotFloat("unused".into()));
    assert_eq!(refusal("a", output, &["x", "x"]), AutodiffError::Repeated("x".into()));
    let mut broken = terms();
    broken.nodes.swap(3, 4);
    assert!(matches!(vjp(&broken, &VjpOptions::new(&broken)), Err(AutodiffError::Graph(_))));
}
