//! Makes a graph smaller as long as it fails.

use std::collections::HashSet;
use std::sync::Arc;

use schur_ir::expr::Expr;
use schur_ir::graph::{Graph, Node, Op, Output, OutputKind, Requirement, ValueId};
use schur_ir::ty::{DType, Type};
use schur_ir::verify::verify;

/// No graph is tried more often than this.
const TRIES: usize = 3000;

/// A graph that fails as the one given does, and none of whose parts can be left out.
pub(super) fn shrink(graph: &Graph, fails: &dyn Fn(&Graph) -> bool) -> Graph {
    let (mut graph, mut tries) = (pruned(graph), 0);
    if !fails(&graph) {
        return graph;
    }
    loop {
        let smaller = candidates(&graph).into_iter().map(|candidate| pruned(&candidate)).find(|candidate| {
            tries += 1;
            tries <= TRIES && verify(candidate).is_ok() && fails(candidate)
        });
        match smaller {
            Some(smaller) => graph = smaller,
            None => return graph,
        }
    }
}

/// Graphs with a part left out, large parts first.
fn candidates(graph: &Graph) -> Vec<Graph> {
    let mut candidates = Vec::new();
    if graph.outputs.len() > 1 {
        let alone = graph.outputs.iter().map(|output| Graph { outputs: vec![output.clone()], ..graph.clone() });
        candidates.extend(alone);
    }
    for (value, node) in graph.values().filter(|(_, node)| !matches!(node.op, Op::Input(_) | Op::Param(_))) {
        let is_output = graph.outputs.len() == 1 && graph.outputs.iter().any(|output| output.value == value);
        if node.ty.dtype.is_float() && !is_output {
            let output = Output { name: "y".into(), kind: OutputKind::Output, value, shape: None };
            candidates.push(Graph { outputs: vec![output], ..graph.clone() });
        }
    }
    for k in (0..graph.nodes.len()).rev() {
        candidates.extend(as_input(graph, k));
    }
    for (k, node) in graph.nodes.iter().enumerate() {
        candidates.extend(simpler(node).into_iter().map(|op| with(graph, k, Node { op, ..node.clone() })));
    }
    candidates
}

fn with(graph: &Graph, k: usize, node: Node) -> Graph {
    let mut graph = graph.clone();
    graph.nodes[k] = node;
    graph
}

/// A node as an input of its type.
fn as_input(graph: &Graph, k: usize) -> Option<Graph> {
    let node = &graph.nodes[k];
    if matches!(node.op, Op::Input(_) | Op::Param(_)) || node.ty.dtype == DType::I32 {
        return None;
    }
    let Type { dims, irreps, dtype, .. } = node.ty.clone();
    let op = Op::Input(format!("v{k}").into());
    Some(with(graph, k, Node { op, ty: Type::new(dims, irreps, dtype), layer: Arc::from("") }))
}

/// Ops with half of the paths of an op, with one path less, or with a part of its expression.
fn simpler(node: &Node) -> Vec<Op> {
    match &node.op {
        Op::Input(_) | Op::Param(_) | Op::Max(_) | Op::Reshape(_) => Vec::new(),
        Op::Contract(contract) => {
            let half = contract.paths.len() / 2;
            let without = (0..contract.paths.len()).map(|k| k..k + 1);
            let ranges = [0..half, half..contract.paths.len()].into_iter().chain(without);
            let op = |range: std::ops::Range<usize>| {
                let mut contract = contract.clone();
                contract.paths.drain(range);
                Op::Contract(contract)
            };
            ranges.filter(|range| !range.is_empty() && range.len() < contract.paths.len()).map(op).collect()
        }
        Op::Map(map) => {
            let inner: Vec<Expr> = match &map.expr {
                Expr::Arg(_) | Expr::Const(_) => Vec::new(),
                Expr::Unary(_, x) => vec![(**x).clone()],
                Expr::Binary(_, a, b) => vec![(**a).clone(), (**b).clone()],
                Expr::Select(_, a, b) => vec![(**a).clone(), (**b).clone()],
            };
            let op = |expr| Op::Map(schur_ir::graph::Map { expr, ..map.clone() });
            inner.into_iter().map(op).collect()
        }
    }
}

/// The graph without values that no output needs, and without what is required of inputs that are gone.
fn pruned(graph: &Graph) -> Graph {
    let mut needed = vec![false; graph.nodes.len()];
    graph.outputs.iter().for_each(|output| needed[output.value.index()] = true);
    for (value, node) in graph.values().collect::<Vec<_>>().into_iter().rev() {
        if needed[value.index()] {
            node.op.reads().iter().for_each(|read| needed[read.index()] = true);
        }
    }
    let mut moved = vec![ValueId(0); graph.nodes.len()];
    let mut out = Graph { nodes: Vec::new(), ..graph.clone() };
    for (value, node) in graph.values().filter(|(value, _)| needed[value.index()]) {
        let op = node.op.map_reads(|read| moved[read.index()]);
        moved[value.index()] = out.push(op, node.ty.clone(), &node.layer);
    }
    out.outputs.iter_mut().for_each(|output| output.value = moved[output.value.index()]);
    let leaves: HashSet<Arc<str>> = out.nodes.iter().filter_map(|node| node.op.leaf_name().cloned()).collect();
    out.requirements.retain(|requirement| match requirement {
        Requirement::IndexBelow { input, .. } | Requirement::AnyTrue { input, .. } => leaves.contains(input),
        Requirement::NotEmpty { .. } => true,
    });
    out
}

#[test]
fn what_does_not_matter_is_left_out() {
    let mut shrunk = 0;
    for seed in 0..60 {
        let graph = crate::random_graph::random_graph(seed, DType::F64);
        let has_maximum = |graph: &Graph| graph.nodes.iter().any(|node| matches!(node.op, Op::Max(_)));
        if has_maximum(&graph) {
            let small = shrink(&graph, &has_maximum);
            assert!(has_maximum(&small) && small.nodes.len() <= 3 && small.outputs.len() == 1, "{small}");
            shrunk += 1;
        }
    }
    assert!(shrunk > 3);
}
