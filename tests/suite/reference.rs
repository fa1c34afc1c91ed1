//! What the generator of random graphs makes, and what the reference makes of it.

use std::collections::BTreeMap;

use schur_ir::dim::Bindings;
use schur_ir::expr::{Binary, Expr, Unary};
use schur_ir::graph::{Contract, Graph, Op, RowMap};
use schur_ir::ty::DType;
use schur_ir::verify::verify;
use schur_runtime::reference::evaluate_all;

use crate::random_graph::{random_arrays, random_graph, random_sizes, random_smooth_graph};

#[test]
fn random_graphs_are_accepted_and_tame() {
    for seed in 0..400 {
        for graph in [random_graph(seed, DType::F32), random_smooth_graph(seed, DType::F64)] {
            verify(&graph).unwrap_or_else(|e| panic!("{e}\n{graph}"));
            let sizes = random_sizes(&graph, seed);
            let (inputs, params) = random_arrays(&graph, &sizes, seed);
            let values = evaluate_all(&graph, &inputs, &params).unwrap_or_else(|e| panic!("{e}\n{sizes:?}\n{graph}"));
            for ((value, _), array) in graph.values().zip(values) {
                let largest = array.iter().fold(0.0f64, |a, b| if a.is_nan() { a } else { a.max(b.abs()) });
                assert!(array.iter().all(|x| x.is_finite()) && largest < 1000.0, "{value} {sizes:?}\n{graph}");
            }
        }
    }
}

#[test]
fn the_generator_reaches_everything() {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 0..400 {
        let graph = random_graph(seed, DType::F32);
        features(&graph, &random_sizes(&graph, seed)).into_iter().for_each(|f| *seen.entry(f).or_default() += 1);
    }
    let functions = Unary::ALL.map(Unary::name).into_iter().chain(Binary::ALL.map(Binary::name));
    let wanted = "input param max reshape contract map select mask \
        gather gathered_value scatter sum mean broadcast size_one permuted transposed extra_rows \
        same_operand_twice two_factors empty_chunk zero_chunk strided \
        no_symbol two_symbols size_zero size_one_row many_rows several_outputs statistic";
    for feature in functions.chain(wanted.split_whitespace()) {
        let count = seen.get(feature).copied().unwrap_or(0);
        assert!(count >= 8, "{feature} occurs in {count} of 400 graphs: {seen:#?}");
    }
}

/// What a graph and its sizes exercise.
fn features(graph: &Graph, sizes: &Bindings) -> Vec<&'static str> {
    let mut found = Vec::new();
    let mut note = |feature, holds: bool| found.extend(holds.then_some(feature));
    note("no_symbol", sizes.is_empty());
    note("two_symbols", sizes.len() == 2);
    note("size_zero", sizes.values().any(|n| *n == 0));
    note("size_one_row", sizes.values().any(|n| *n == 1));
    note("many_rows", sizes.values().any(|n| *n > 128));
    note("several_outputs", graph.outputs.len() > 2);
    note("statistic", graph.outputs.iter().any(|o| o.shape.is_some()));
    for node in &graph.nodes {
        note("empty_chunk", node.ty.irreps.iter().any(|c| c.mul == 0));
        note("zero_chunk", node.ty.irreps.iter().zip(&node.ty.zero).any(|(c, zero)| *zero && c.mul > 0));
        note("mask", node.op.reads().iter().any(|v| graph.ty(*v).dtype == DType::Bool));
        match &node.op {
            Op::Input(_) => note("input", true),
            Op::Param(_) => note("param", true),
            Op::Max(_) => note("max", true),
            Op::Reshape(_) => note("reshape", true),
            Op::Map(map) => {
                note("map", true);
                functions(&map.expr, &mut note);
            }
            Op::Contract(contract) => contract_features(graph, contract, &mut note),
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn functions(expr: &Expr, note: &mut impl FnMut(&'static str, bool)) {
    match expr {
        Expr::Arg(_) | Expr::Const(_) => {}
        Expr::Unary(op, x) => {
            note(op.name(), true);
            functions(x, note);
        }
        Expr::Binary(op, a, b) => {
            note(op.name(), true);
            [a, b].into_iter().for_each(|x| functions(x, note));
        }
        Expr::Select(c, a, b) => {
            note("select", true);
            [c, a, b].into_iter().for_each(|x| functions(x, note));
        }
    }
}

fn contract_features(graph: &Graph, contract: &Contract, note: &mut impl FnMut(&'static str, bool)) {
    let rank = contract.rows.len();
    let maps = || contract.operands.iter().map(|o| &o.map);
    let is_param = |k: usize| matches!(graph.node(contract.operands[k].value).op, Op::Param(_));
    let gathered = |k: &usize| contract.operands[*k].map.index.is_some();
    let falls = |map: &RowMap| map.axes.iter().flatten().collect::<Vec<_>>().windows(2).any(|w| w[0] > w[1]);
    note("contract", true);
    note("gather", (0..contract.operands.len()).any(|k| gathered(&k)));
    note("gathered_value", (0..contract.operands.len()).filter(gathered).any(|k| !is_param(k)));
    note("scatter", contract.out.index.is_some());
    note("sum", contract.reduces() && contract.divisor.is_one());
    note("mean", !contract.divisor.is_one());
    note("broadcast", maps().any(|map| map.index.is_none() && map.axes.len() < rank && !map.axes.is_empty()));
    note("size_one", maps().chain([&contract.out]).any(|map| map.axes.contains(&None)));
    note("permuted", falls(&contract.out));
    note("transposed", maps().any(falls));
    note("extra_rows", (0..rank).any(|axis| maps().all(|map| !map.axes.contains(&Some(axis)))));
    note(
        "same_operand_twice",
        (1..contract.operands.len()).any(|k| contract.operands[..k].contains(&contract.operands[k])),
    );
    note("two_factors", contract.paths.iter().any(|path| path.factors.len() == 2));
    note("strided", contract.paths.iter().any(|path| path.out.strides.iter().min().is_some_and(|least| *least > 1)));
}
