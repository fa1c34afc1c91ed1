//! Compile time, and the time of a call with fused and with unfused kernels.
//!
//! `cargo bench` runs all; `cargo bench -- compile` what matches. Times of one run compare; machines and days do not.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use schur::{Array, CompileOptions, Data, LoopOptions, Mode, Model, Source};

const LINEAR: &str = r#"
    name = "linear"
    outputs = ["mix"]
    [inputs.x]
    shape = ["N"]
    irreps = "32x0e + 32x1o + 32x2e"
    [[layers]]
    name = "mix"
    op = "linear"
    input = "x"
    irreps_out = "32x0e + 32x1o + 32x2e"
"#;

const BLOCK: &str = r#"
    name = "block"
    outputs = ["down"]
    [inputs.x]
    shape = ["N"]
    irreps = "32x0e + 32x1o + 32x2e"
    [[layers]]
    name = "up"
    op = "linear"
    input = "x"
    irreps_out = "96x0e + 32x1o + 32x2e"
    [[layers]]
    name = "norm"
    op = "batch_norm"
    input = "up"
    [[layers]]
    name = "hidden"
    op = "gate"
    input = "norm"
    [[layers]]
    name = "down"
    op = "linear"
    input = "hidden"
    irreps_out = "32x0e + 32x1o + 32x2e"
"#;

const WIDTH: usize = 32 * 9;

fn source(text: &str) -> Source {
    Source::new("bench.toml", text).expect("the name ends in .toml")
}

fn compile(c: &mut Criterion) {
    let forces = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/forces/model.toml");
    let forces = std::fs::read_to_string(forces).expect("the example is in the repository");
    let mut group = c.benchmark_group("compile");
    for (name, text) in [("linear", LINEAR), ("block", BLOCK), ("forces", &forces)] {
        group.bench_function(BenchmarkId::new("from text to program", name), |b| {
            let options = CompileOptions::default();
            b.iter(|| {
                let model = Model::parse(&source(black_box(text))).expect("the spec is right");
                model.compile(Mode::Infer, &options).expect("it compiles")
            });
        });
    }
    group.finish();
}

fn call(c: &mut Criterion) {
    let unfused =
        CompileOptions { loops: LoopOptions { fuse: false, ..LoopOptions::default() }, ..CompileOptions::default() };
    let ways = [("fused", CompileOptions::default()), ("unfused", unfused)];
    for (name, text) in [("linear", LINEAR), ("block", BLOCK)] {
        let model = Model::parse(&source(text)).expect("the spec is right");
        let params = model.init(0).expect("the parameters are small");
        let mut group = c.benchmark_group(format!("call {name}"));
        for rows in [1, 64, 1000, 10000] {
            group.throughput(Throughput::Elements(rows as u64));
            let values = (0..rows * WIDTH).map(|k| ((k * 7919) % 1000) as f32 / 500.0 - 1.0).collect();
            let x = Array::new([rows, WIDTH], Data::F32(values)).expect("the shape fits");
            for (way, options) in &ways {
                let mut compiled = model.compile(Mode::Infer, options).expect("it compiles");
                let mut results = compiled.run([("x", &x)], &params).expect("the input is right");
                group.bench_function(BenchmarkId::new(*way, rows), |b| {
                    let inputs = [("x", x.view())];
                    let mut outputs = results.views_mut();
                    b.iter(|| compiled.executor().call_into(&inputs, &params, &mut outputs).expect("it runs"));
                });
            }
        }
        group.finish();
    }
}

criterion_group!(benches, compile, call);
criterion_main!(benches);
