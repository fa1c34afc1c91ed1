//! Every rule on its page of the textbook: that it applies, that it holds, and that its gradient does.

use schur_compiler::autodiff::{VjpOptions, vjp};
use schur_compiler::simplify::{Cost, SimplifyOptions, explain, simplify, variants};
use schur_ir::graph::Graph;

use super::{check, difference, evaluated};
use crate::textbook::rule_pages;

#[test]
fn every_rule_applies_to_its_graph_and_holds() {
    for (rule, _, graph) in rule_pages() {
        check(&graph, 2);
        let joint = vjp(&graph, &VjpOptions::new(&graph)).unwrap_or_else(|e| panic!("{e}\n{graph}"));
        check(&joint, 2);
        every_variant_holds(&joint, &SimplifyOptions::default());
        // It applies by itself, too, and what it finds is equal.
        let options = SimplifyOptions { rules: vec![rule], ..Default::default() };
        let alone = simplify(&graph, &options).unwrap();
        let applied = &alone.report.rules;
        assert!(applied.iter().any(|(name, _)| *name == rule.name), "{} is not among {applied:?}", rule.name);
        let (before, after) = (evaluated(&graph, &graph, 2), evaluated(&alone.graph, &graph, 2));
        assert!(difference(&before.outputs["y"], &after.outputs["y"]) < 1e-12, "{}\n{}", rule.name, alone.graph);
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

#[test]
fn dropped_copies_are_a_step_of_their_own() {
    let copy = rule_pages().into_iter().find(|(rule, ..)| rule.name == "drop-copy");
    let (_, _, graph) = copy.expect("every rule has a page");
    let explanation = explain(&graph, &SimplifyOptions::default()).unwrap();
    let step = explanation.steps.iter().position(|step| step.rule == "drop-copy").expect("it is among the steps");
    let bytes = |cost: &Cost| cost.bytes.evaluate(&[("N".into(), 100)].into_iter().collect()).unwrap();
    let before = step.checked_sub(1).map_or(&explanation.before, |k| &explanation.steps[k].cost);
    assert!(bytes(&explanation.steps[step].cost) < bytes(before), "{:?}", explanation.steps);
}
