//! Many random graphs, forward and joint, and large specs: nothing changes but rounding, and nothing runs over the limits.

use std::fmt::Write;
use std::time::Instant;

use schur_compiler::autodiff::{VjpOptions, vjp};
use schur_compiler::simplify::{SimplifyOptions, Stop, simplify};
use schur_ir::build::{Mode, build};
use schur_ir::graph::Graph;
use schur_ir::spec::{ModelSpec, Source};
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

/// A spec whose layers are given as lines of options, named `l0`, `l1`, …; the last is returned.
fn spec(irreps: &str, layers: &[String]) -> ModelSpec {
    let mut text = format!("name = \"large\"\noutputs = [\"l{}\"]\n", layers.len() - 1);
    let _ = writeln!(text, "[inputs.x]\nshape = [\"N\"]\nirreps = \"{irreps}\"");
    for (k, layer) in layers.iter().enumerate() {
        let _ = writeln!(text, "[[layers]]\nname = \"l{k}\"\n{layer}");
    }
    let source = Source::new("spec.toml", text).unwrap_or_else(|e| panic!("{e}"));
    ModelSpec::parse(&source).unwrap_or_else(|e| panic!("{e:?}"))
}

fn before(k: usize) -> String {
    if k == 0 { "x".into() } else { format!("l{}", k - 1) }
}

fn linear(k: usize, irreps: &str) -> String {
    format!("op = \"linear\"\ninput = \"{}\"\nirreps_out = \"{irreps}\"", before(k))
}

/// Specs of a hundred layers.
fn large() -> Vec<(&'static str, ModelSpec)> {
    let irreps = "16x0e+8x1o+4x2e";
    let chain = (0..100).map(|k| linear(k, irreps)).collect::<Vec<_>>();
    let sizes = ["64x0e", "8x0e", "128x0e", "16x0e"];
    let bottlenecks = (0..100).map(|k| linear(k, sizes[k % 4])).collect::<Vec<_>>();
    let sum: Vec<String> = (0..99)
        .map(|_| format!("op = \"linear\"\ninput = \"x\"\nirreps_out = \"{irreps}\""))
        .chain([format!(
            "op = \"add\"\ninput = [{}]",
            (0..99).map(|k| format!("\"l{k}\"")).collect::<Vec<_>>().join(", ")
        )])
        .collect();
    let block = (0..99).map(|k| match k % 3 {
        0 => linear(k, "24x0e+8x1o"),
        1 => format!("op = \"batch_norm\"\ninput = \"{}\"", before(k)),
        _ => format!("op = \"gate\"\ninput = \"{}\"", before(k)),
    });
    let residual = (0..100).map(|k| match k % 2 {
        0 => linear(k, irreps),
        _ if k == 1 => "op = \"add\"\ninput = [\"x\", \"l0\"]".to_owned(),
        _ => format!("op = \"add\"\ninput = [\"l{}\", \"l{}\"]", k - 2, k - 1),
    });
    let norms = (0..100).map(|k| format!("op = \"batch_norm\"\ninput = \"{}\"", before(k))).collect::<Vec<_>>();
    let joined = (0..100).map(|k| match k % 3 {
        0 => format!("op = \"concatenate\"\ninput = [\"x\", \"{}\"]", before(k)),
        1 => linear(k, "8x0e+4x1o+8x0e+4x1o"),
        _ => format!("op = \"filter\"\ninput = \"{}\"\nkeep = [\"0e\", \"1o\"]", before(k)),
    });
    let many = ["2x0e", "1x1o", "2x0o", "1x2e"].repeat(6).join("+");
    let wide = (0..12).map(|k| linear(k, &many) + "\nsimplify_irreps_internally = false").collect::<Vec<_>>();
    vec![
        ("batch norms", spec("16x0e+8x1o", &norms)),
        ("concatenates", spec("8x0e+4x1o", &joined.collect::<Vec<_>>())),
        ("many chunks", spec(&many, &wide)),
        ("chain", spec(irreps, &chain)),
        ("bottlenecks", spec("64x0e", &bottlenecks)),
        ("sum", spec(irreps, &sum)),
        ("blocks", spec("16x0e+8x1o", &block.collect::<Vec<_>>())),
        ("residual", spec(irreps, &residual.collect::<Vec<_>>())),
    ]
}

#[test]
fn a_hundred_layers_stay_inside_the_limits() {
    for (name, spec) in large() {
        for mode in [Mode::Infer, Mode::Train] {
            let graph = build(&spec, mode).unwrap_or_else(|e| panic!("{e:?}"));
            for (pass, graph) in [("forward", &graph), ("joint", &joint(&graph))] {
                let clock = Instant::now();
                let report = simplify(graph, &SimplifyOptions::default()).unwrap_or_else(|e| panic!("{e}")).report;
                let time = clock.elapsed();
                println!(
                    "{name} {mode:?} {pass}: {time:?}, {} e-nodes, {} iterations",
                    report.e_nodes, report.iterations
                );
                assert_eq!(report.stop, Stop::Saturated, "{name} {mode:?} {pass}: {} e-nodes", report.e_nodes);
                // What decides the time; the time itself depends on what else the machine does.
                let (passes, e_nodes) = (report.iterations, report.e_nodes);
                assert!(passes <= 4 && e_nodes < 4000, "{name} {mode:?} {pass}: {passes} passes, {e_nodes} e-nodes");
            }
        }
    }
}
