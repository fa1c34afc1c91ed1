//! How long it takes to simplify hard specs, forward and joint: none of a hundred layers is to take a second.
//!
//! `cargo bench --bench simplify`; `tests/limits.rs` counts what decides it.

mod hard_specs;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use schur::{Mode, Model, Source};
use schur_compiler::simplify::{SimplifyOptions, simplify};

/// The linear layer and the chain that are to take less than ten milliseconds.
const SMALL: [(&str, &str); 2] = [
    (
        "a linear layer",
        r#"
        name = "split"
        outputs = ["y"]
        inputs.x = { shape = ["N"], irreps = "32x0e+32x0e+32x1o+32x1o+32x0e" }
        layers = [{ name = "y", op = "linear", input = "x", irreps_out = "32x0e+32x0e+32x1o+32x1o+32x0e" }]
        "#,
    ),
    (
        "two linears, batch norm, gate, two linears",
        r#"
        name = "chain"
        outputs = ["y"]
        inputs.x = { shape = ["N"], irreps = "64x0e + 32x1o" }
        layers = [
            { name = "a", op = "linear", input = "x", irreps_out = "64x0e + 32x1o" },
            { name = "b", op = "linear", input = "a", irreps_out = "96x0e + 32x1o" },
            { name = "norm", op = "batch_norm", input = "b" },
            { name = "gate", op = "gate", input = "norm" },
            { name = "c", op = "linear", input = "gate", irreps_out = "64x0e + 32x1o" },
            { name = "y", op = "linear", input = "c", irreps_out = "64x0e + 32x1o" },
        ]
        "#,
    ),
];

fn hard(c: &mut Criterion) {
    let small = SMALL.map(|(name, text)| (name, text.to_owned()));
    let hard = hard_specs::hard_specs().into_iter().map(|spec| (spec.name, spec.text));
    let mut group = c.benchmark_group("simplify");
    for (name, text) in small.into_iter().chain(hard) {
        let source = Source::new("spec.toml", text).expect("the name ends in .toml");
        let model = Model::parse(&source).expect("the spec is right");
        let options = SimplifyOptions::default();
        let graphs = [("forward", model.graph(Mode::Infer)), ("joint", model.joint(Mode::Train))];
        for (pass, graph) in graphs {
            let graph = graph.expect("the spec is right");
            group.bench_function(BenchmarkId::new(pass, name), |b| {
                b.iter(|| simplify(black_box(&graph), &options).expect("it verifies"));
            });
        }
    }
    group.finish();
}

fn few() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(1000))
}

criterion_group! {
    name = benches;
    config = few();
    targets = hard
}
criterion_main!(benches);
