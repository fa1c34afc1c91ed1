//! Compile time, single layers, with every set of vector instructions too, chains and steps of training: fused kernels, one kernel
//! an op, and the f64 reference.
//!
//! `cargo bench` runs all in some minutes; `cargo bench -- compile` what matches. Times of one run compare; machines and
//! days do not. `against_e3nn_jax.py` measures e3nn_jax beside Schur.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use indexmap::IndexMap;
use schur::runtime::InstructionSet;
use schur::runtime::executor::Executor;
use schur::runtime::reference::{Arrays, evaluate};
use schur::{
    Array, ArrayView, CompileOptions, CompiledModel, DType, Data, Graph, LoopOptions, Mode, Model, ParamStore, Pass,
    Source,
};

/// The layers that are measured alone, each with the irreps of its input.
const LAYERS: [(&str, &str, &str); 8] = [
    ("linear, M = 8", "8x0e + 8x1o + 8x2e", r#"op = "linear", irreps_out = "8x0e + 8x1o + 8x2e""#),
    ("linear, M = 32", "32x0e + 32x1o + 32x2e", r#"op = "linear", irreps_out = "32x0e + 32x1o + 32x2e""#),
    ("linear, M = 128", "128x0e + 128x1o + 128x2e", r#"op = "linear", irreps_out = "128x0e + 128x1o + 128x2e""#),
    ("mlp", "8x0e", r#"op = "mlp", list_neurons = [64, 64, 64], act = "silu""#),
    ("batch_norm", "32x0e + 32x1o + 32x2e", r#"op = "batch_norm""#),
    ("gate", "96x0e + 32x1o + 32x2e", r#"op = "gate""#),
    ("norm", "32x0e + 32x1o + 32x2e", r#"op = "norm""#),
    ("norm_activation", "32x0e + 32x1o + 32x2e", r#"op = "norm_activation", acts = ["silu", "silu", "silu"]"#),
];

/// Linear, batch norm, gate, linear.
const CHAIN: [&str; 4] = [
    r#"op = "linear", irreps_out = "96x0e + 32x1o + 32x2e""#,
    r#"op = "batch_norm""#,
    r#"op = "gate""#,
    r#"op = "linear", irreps_out = "32x0e + 32x1o + 32x2e""#,
];

/// The text of a spec whose layers follow one another.
fn spec(irreps: &str, layers: &[&str]) -> String {
    let input = |k: usize| if k == 0 { "x".to_owned() } else { format!("layer{}", k - 1) };
    let layers = layers.iter().enumerate();
    let layers = layers.map(|(k, layer)| format!(r#"{{ name = "layer{k}", input = "{}", {layer} }}"#, input(k)));
    let layers: Vec<String> = layers.collect();
    let (output, layers) = (input(layers.len()), layers.join(",\n    "));
    format!(
        "name = \"bench\"\noutputs = [\"{output}\"]\ninputs.x = {{ shape = [\"N\"], irreps = \"{irreps}\" }}\n\
         layers = [\n    {layers}\n]\n"
    )
}

fn chain() -> String {
    spec("32x0e + 32x1o + 32x2e", &CHAIN)
}

fn forces() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/forces/model.toml");
    std::fs::read_to_string(path).expect("the example is in the repository")
}

fn model(text: &str) -> Model {
    let source = Source::new("bench.toml", text).expect("the name ends in .toml");
    Model::parse(&source).expect("the spec is right")
}

/// A model with all that a call of so many rows needs.
struct Subject {
    model: Model,
    mode: Mode,
    pass: Pass,
    graph: Graph,
    params: ParamStore,
    inputs: IndexMap<String, Array>,
}

impl Subject {
    fn new(text: &str, mode: Mode, pass: &Pass, rows: usize) -> Self {
        let model = model(text);
        let graph = model.graph_of(pass, mode);
        let (graph, params) = (graph.expect("the spec is right"), model.init(0).expect("parameters fit"));
        let compiled =
            model.compile_observed(pass, mode, &CompileOptions::default(), &mut |_| {}).expect("it compiles");
        let program = compiled.program();
        let inputs = program.inputs.iter().map(|slot| {
            let buffer = &program.buffers[slot.buffer.index()];
            (slot.name.to_string(), array(buffer.dtype, rows, buffer.width))
        });
        let inputs = inputs.collect();
        Subject { model, mode, pass: pass.clone(), graph, params, inputs }
    }

    fn compiled(&self, options: &CompileOptions) -> CompiledModel {
        self.model.compile_observed(&self.pass, self.mode, options, &mut |_| {}).expect("it compiles")
    }

    /// Measures a call that writes to arrays which are there.
    fn call(&self, group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId, options: &CompileOptions) {
        let mut compiled = self.compiled(options);
        let inputs = views(&self.inputs);
        let mut results = compiled.run(inputs.iter().copied(), &self.params).expect("the inputs are right");
        let executor = compiled.executor_for(&inputs).expect("it compiles");
        group.bench_function(id, |b| {
            b.iter(|| executor.call_over(&inputs, &self.params, &mut results).expect("it runs"));
        });
    }

    /// Measures a call with a set of vector instructions.
    fn call_with(&self, group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId, set: InstructionSet) {
        let compiled = self.compiled(&CompileOptions::default());
        let executor = Executor::with_instruction_set(Arc::clone(compiled.program()), set);
        let mut executor = executor.expect("the program is valid");
        let inputs = views(&self.inputs);
        let mut results = executor.call(&inputs, &self.params).expect("the inputs are right");
        group.bench_function(id, |b| {
            b.iter(|| executor.call_over(&inputs, &self.params, &mut results).expect("it runs"));
        });
    }

    /// The same where parameters change before every call.
    fn change_params(&mut self, group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId) {
        let mut compiled = self.compiled(&CompileOptions::default());
        let inputs = views(&self.inputs);
        let mut results = compiled.run(inputs.iter().copied(), &self.params).expect("the inputs are right");
        let executor = compiled.executor_for(&inputs).expect("it compiles");
        let name = self.params.names().next().expect("there are parameters").to_owned();
        let params = &mut self.params;
        group.bench_function(id, |b| {
            b.iter(|| {
                black_box(params.get_mut(&name).expect("it is there"));
                executor.call_over(&inputs, params, &mut results).expect("it runs");
            });
        });
    }

    fn reference(&self, group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId) {
        let params: Arrays = self.params.iter().map(|(name, array)| (name.to_owned(), array.clone())).collect();
        group.bench_function(id, |b| b.iter(|| evaluate(&self.graph, &self.inputs, &params).expect("it runs")));
    }

    /// Fused kernels, one kernel an op, and, up to so many rows, the reference.
    fn all_ways(&self, group: &mut BenchmarkGroup<'_, WallTime>, rows: usize, patience: usize) {
        group.throughput(Throughput::Elements(rows as u64));
        let loops = LoopOptions { fuse: false, ..LoopOptions::default() };
        let unfused = CompileOptions { loops, ..CompileOptions::default() };
        self.call(group, BenchmarkId::new("fused", rows), &CompileOptions::default());
        self.call(group, BenchmarkId::new("unfused", rows), &unfused);
        if rows <= patience {
            self.reference(group, BenchmarkId::new("reference", rows));
        }
    }
}

fn views(inputs: &IndexMap<String, Array>) -> Vec<(&str, ArrayView<'_>)> {
    inputs.iter().map(|(name, array)| (name.as_str(), array.view())).collect()
}

fn array(dtype: DType, rows: usize, width: usize) -> Array {
    let values = || (0..rows * width).map(|k| ((k * 7919) % 1000) as f32 / 500.0 - 1.0);
    match dtype {
        DType::F32 => Array::new([rows, width], Data::F32(values().collect())),
        DType::F64 => Array::new([rows, width], Data::F64(values().map(f64::from).collect())),
        DType::I32 => Array::new([rows], Data::I32((0..rows).map(|k| (k % 4) as i32).collect())),
        DType::Bool => Array::new([rows], Data::Bool(vec![1; rows].into())),
    }
    .expect("the shape fits")
}

fn compile(c: &mut Criterion) {
    let linear = spec(LAYERS[1].1, &[LAYERS[1].2]);
    let mut group = c.benchmark_group("compile");
    for (name, text) in [("linear", linear), ("chain", chain()), ("forces", forces())] {
        let options = CompileOptions::default();
        group.bench_function(BenchmarkId::new("forward", name), |b| {
            b.iter(|| model(black_box(&text)).compile(Mode::Infer, &options).expect("it compiles"));
        });
        group.bench_function(BenchmarkId::new("training", name), |b| {
            b.iter(|| model(black_box(&text)).compile_joint(Mode::Train, &options).expect("it compiles"));
        });
    }
    group.finish();
}

fn layers(c: &mut Criterion) {
    for (way, pass) in [("forward", Pass::Forward), ("forward and backward", Pass::Joint)] {
        let mut group = c.benchmark_group(format!("layer, {way}"));
        for (name, irreps, layer) in LAYERS {
            let subject = Subject::new(&spec(irreps, &[layer]), Mode::Train, &pass, 1000);
            subject.call(&mut group, BenchmarkId::new(name, 1000), &CompileOptions::default());
        }
        group.finish();
    }
}

/// Every set of vector instructions of this machine: each is compiled by itself, and may be slow by itself.
fn instruction_sets(c: &mut Criterion) {
    for (way, pass) in [("forward", Pass::Forward), ("forward and backward", Pass::Joint)] {
        let mut group = c.benchmark_group(format!("instruction sets, {way}"));
        for (name, irreps, layer) in LAYERS {
            let subject = Subject::new(&spec(irreps, &[layer]), Mode::Train, &pass, 1000);
            for set in InstructionSet::ALL.into_iter().filter(|set| set.is_available()) {
                subject.call_with(&mut group, BenchmarkId::new(name, set), set);
            }
        }
        group.finish();
    }
}

/// One row: with the parameters of the call before, and with others, of which packed and transposed weights are made anew.
fn few_rows(c: &mut Criterion) {
    let (name, irreps, layer) = LAYERS[2];
    for (way, pass) in [("forward", Pass::Forward), ("forward and backward", Pass::Joint)] {
        let mut subject = Subject::new(&spec(irreps, &[layer]), Mode::Infer, &pass, 1);
        let mut group = c.benchmark_group(format!("one row, {name}, {way}"));
        subject.call(&mut group, BenchmarkId::new("same parameters", 1), &CompileOptions::default());
        subject.change_params(&mut group, BenchmarkId::new("other parameters", 1));
        group.finish();
    }
}

fn chains(c: &mut Criterion) {
    let mut group = c.benchmark_group("chain");
    for rows in [1, 64, 1000, 10000] {
        Subject::new(&chain(), Mode::Infer, &Pass::Forward, rows).all_ways(&mut group, rows, 64);
    }
    group.finish();
}

fn training_steps(c: &mut Criterion) {
    for (name, text) in [("chain", chain()), ("forces", forces())] {
        let mut group = c.benchmark_group(format!("training step, {name}"));
        Subject::new(&text, Mode::Train, &Pass::Joint, 256).all_ways(&mut group, 256, 256);
        group.finish();
    }
}

fn short() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1500))
}

criterion_group! {
    name = benches;
    config = short();
    targets = compile, layers, instruction_sets, few_rows, chains, training_steps
}
criterion_main!(benches);
