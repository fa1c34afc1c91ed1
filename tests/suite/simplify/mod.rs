//! Simplification: every rule on random graphs, and the whole on random and hand-made ones.

mod by_size;
mod cases;
mod counts;
mod rules;
mod stress;

use std::collections::BTreeMap;

use ndarray::ArrayD;
use schur_compiler::simplify::{Cost, RULES, Simplified, SimplifyOptions, Stop, explain, simplify, variants};
use schur_ir::graph::{Graph, Op};
use schur_ir::ty::DType;
use schur_ir::verify::verify;
use schur_runtime::reference::{Evaluated, evaluate};

use crate::levels::apart;
use crate::random_graph::{random_arrays, random_graph, random_sizes};

fn evaluated(graph: &Graph, like: &Graph, seed: u64) -> Evaluated {
    let sizes = random_sizes(like, seed);
    let (inputs, params) = random_arrays(like, &sizes, seed);
    evaluate(graph, &inputs, &params).unwrap_or_else(|e| panic!("{e}\n{graph}\nof\n{like}"))
}

/// The largest difference, relative to the largest element.
fn difference(a: &ArrayD<f64>, b: &ArrayD<f64>) -> f64 {
    assert_eq!(a.shape(), b.shape());
    let scale = a.iter().fold(1.0f64, |m, x| m.max(x.abs()));
    a.iter().zip(b).map(|(x, y)| apart(*x, *y) / scale).fold(0.0, f64::max)
}

fn check(graph: &Graph, seed: u64) -> Simplified {
    let simplified = check_values(graph, seed);
    assert_eq!(simplified.report.stop, Stop::Saturated, "{:?}\n{graph}", simplified.report);
    simplified
}

/// Checks a simplification that may have left an e-class of many e-nodes as it is.
fn check_values(graph: &Graph, seed: u64) -> Simplified {
    let simplified = simplify(graph, &SimplifyOptions::default()).unwrap_or_else(|e| panic!("{e}\n{graph}"));
    let after = &simplified.graph;
    verify(after).unwrap_or_else(|e| panic!("{e}\n{after}\nof\n{graph}"));
    let stop = simplified.report.stop;
    assert!(matches!(stop, Stop::Saturated | Stop::Ops), "{:?}\n{graph}", simplified.report);
    assert_eq!((&after.name, &after.requirements), (&graph.name, &graph.requirements));
    let leaves = |g: &Graph| {
        let leaves = g.nodes.iter().filter(|n| matches!(n.op, Op::Input(_) | Op::Param(_)));
        leaves.cloned().collect::<Vec<_>>()
    };
    assert_eq!(leaves(after), leaves(graph));
    for (a, b) in graph.outputs.iter().zip(&after.outputs) {
        assert_eq!((&a.name, a.kind, &a.shape), (&b.name, b.kind, &b.shape));
        assert_eq!(graph.ty(a.value), after.ty(b.value));
    }
    let (before, now) = (evaluated(graph, graph, seed), evaluated(after, graph, seed));
    let kinds = |all: Evaluated| [all.outputs, all.statistics, all.gradients];
    for (a, b) in kinds(before).iter().zip(&kinds(now)) {
        for (name, value) in a {
            assert!(difference(value, &b[name]) < 1e-11, "{name}\n{graph}\nbecame\n{after}");
        }
    }
    simplified
}

#[test]
fn random_graphs_keep_their_values() {
    let mut cheaper = 0;
    for seed in 0..400 {
        let graph = random_graph(seed, DType::F64);
        let simplified = check(&graph, seed);
        let [before, after] = [&graph, &simplified.graph].map(|graph| Cost::of_graph(graph).nanoseconds(1000));
        assert!(after <= before * 1.0001 + 1.0, "{before} became {after}\n{graph}\n{}", simplified.graph);
        cheaper += usize::from(after < 0.9 * before);
    }
    assert!(cheaper > 100, "only {cheaper} graphs became a tenth cheaper");
}

#[test]
fn every_rule_holds_wherever_it_applies() {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let options = SimplifyOptions::default();
    for seed in 0..800 {
        let graph = random_graph(seed, DType::F64);
        let report = simplify(&graph, &options).unwrap().report;
        report.rules.iter().for_each(|(rule, n)| *counts.entry(rule).or_default() += n);
        let (all, pairs) = variants(&graph, &options).unwrap();
        verify(&all).unwrap_or_else(|e| panic!("{e}\n{all}\nof\n{graph}"));
        let values = evaluated(&all, &graph, seed).outputs;
        for pair in pairs {
            let error = difference(&values[&pair.before], &values[&pair.after]);
            assert!(error < 1e-12, "{}: {} differs by {error}\n{graph}\nbecame\n{all}", pair.rule, pair.after);
        }
    }
    for rule in RULES {
        assert!(counts.get(rule.name).is_some_and(|n| *n >= 3), "{} is hardly reached: {counts:#?}", rule.name);
    }
}

#[test]
fn one_graph_has_one_result() {
    for seed in 0..60 {
        let graph = random_graph(seed, DType::F32);
        let once = simplify(&graph, &SimplifyOptions::default()).unwrap();
        let again = simplify(&graph, &SimplifyOptions::default()).unwrap();
        assert_eq!((once.graph.to_string(), once.report), (again.graph.to_string(), again.report));
    }
}

#[test]
fn an_explanation_leads_to_what_simplification_makes() {
    let options = SimplifyOptions::default();
    for seed in 0..150 {
        let graph = random_graph(seed, DType::F32);
        let explanation = explain(&graph, &options).unwrap();
        let simplified = simplify(&graph, &options).unwrap().graph;
        assert_eq!(explanation.before, Cost::of_graph(&graph));
        assert_eq!(explanation.after, Cost::of_graph(&simplified), "{graph}\nbecame\n{simplified}");
        for step in &explanation.steps {
            assert!(step.before.is_none() || !step.after.is_empty(), "{step:?}");
        }
    }
}
