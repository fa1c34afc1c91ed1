//! Simplifying a spec of a hundred layers stays inside its limits, whatever it is made of: passes, e-nodes, and the memory
//! that is held at once. How long it takes follows from these; `cargo bench --bench simplify` measures it.

#[path = "../benches/simplify/hard_specs.rs"]
mod hard_specs;

#[path = "../runtime/tests/support/counting.rs"]
mod counting;

use schur::ir::build::{Mode, build};
use schur::ir::graph::Graph;
use schur::ir::spec::{ModelSpec, Source};
use schur_compiler::autodiff::{VjpOptions, vjp};
use schur_compiler::simplify::{Cost, SimplifyOptions, Stop, simplify};

use counting::measured;

fn check(name: &str, graph: &Graph) {
    let options = SimplifyOptions::default();
    let (simplified, bytes, allocations) = measured(|| simplify(graph, &options).unwrap_or_else(|e| panic!("{e}")));
    let report = &simplified.report;
    let found = report.e_nodes.saturating_sub(graph.nodes.len());
    println!(
        "{name}: {} passes, {found} e-nodes found, {} MB, {allocations} allocations, {:?}",
        report.iterations,
        bytes >> 20,
        report.stop
    );
    // One spec is too large for rules, and of some, most of them forward and backward, they find more than the limit of paths
    // lets them.
    let joint = ["most chunks, joint", "more chunks, joint", "many chunks, joint", "few chunks, residual, joint"];
    let limited = joint.contains(&name) || ["most chunks", "few chunks, residual"].contains(&name);
    let limited = limited && report.stop == Stop::Paths;
    assert!(limited || report.stop == Stop::Saturated, "{name}: {:?}", report.stop);
    assert!(report.iterations <= 4 && found < 4000, "{name}: {} passes, {found} e-nodes found", report.iterations);
    assert!(bytes < 200 << 20, "{name}: {bytes} bytes at once");
    // About as many as half a second has time for.
    assert!(allocations < 8_000_000, "{name}: {allocations} allocations");
    let [before, after] = [graph, &simplified.graph].map(|graph| Cost::of_graph(graph).nanoseconds(1000));
    assert!(after <= before, "{name}: {before} became {after}");
}

#[test]
fn hard_specs_stay_inside_the_limits() {
    for spec in hard_specs::hard_specs() {
        let source = Source::new("spec.toml", spec.text).unwrap_or_else(|e| panic!("{e}"));
        let parsed = ModelSpec::parse(&source).unwrap_or_else(|e| panic!("{}: {e:?}", spec.name));
        let graph = |mode| build(&parsed, mode).unwrap_or_else(|e| panic!("{}: {e:?}", spec.name));
        check(spec.name, &graph(Mode::Infer));
        let graph = graph(Mode::Train);
        let joint = vjp(&graph, &VjpOptions::new(&graph)).unwrap_or_else(|e| panic!("{}: {e}", spec.name));
        check(&format!("{}, joint", spec.name), &joint);
    }
}
