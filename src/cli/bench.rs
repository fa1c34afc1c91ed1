//! `schur bench`: how long compilation takes, and fused kernels against unfused ones and the f64 reference.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use indexmap::IndexMap;
use schur::compiler::codegen::KernelCode;
use schur::compiler::loops::LoopOptions;
use schur::runtime::reference::{Arrays, ReferenceError, evaluate};
use schur::{Array, CompileOptions, CompiledModel, Graph, Mode, Model, ParamStore, Stage, Timings};
use serde_json::{Value, json};

use super::cache::{CacheFolder, tell_failure};
use super::failure::Failure;
use super::files::named;
use super::gradients::Gradients;
use super::random;
use super::terminal::{Progress, Terminal, count, counted, duration, table};
use super::threads::Threads;

/// How often a spec is compiled, and how long a call is repeated.
const COMPILATIONS: usize = 7;
const BUDGET: Duration = Duration::from_millis(300);
const MAX_CALLS: usize = 1000;
/// The reference is left out where it is expected to take longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Measure the time to compile a spec and to run it on random inputs.
///
/// Every symbol of the spec's shapes is set to the number of rows. Times are medians of repeated calls: kernels with
/// all that can be fused, one kernel an op, and the reference evaluator, which is plain f64 code. The reference runs
/// once, and not at all where it would take longer than ten seconds.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  schur bench model.toml\n  schur bench model.toml --rows 100,5000 --train --gradients --json"
)]
pub(crate) struct Bench {
    /// The model spec: a .toml or .json file.
    spec: PathBuf,
    /// The numbers of rows.
    #[arg(
        long,
        value_name = "N",
        value_delimiter = ',',
        default_value = "1,64,1000,10000",
        allow_negative_numbers = true
    )]
    rows: Vec<usize>,
    /// Compile for training: batch norms use the statistics of the batch.
    #[arg(long)]
    train: bool,
    #[command(flatten)]
    gradients: Gradients,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    cache: CacheFolder,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What compiling several times took.
struct Compilations {
    /// The median of every stage.
    timings: Timings,
    /// All stages of the first one.
    first: Duration,
    /// What the first one and the last one found in the cache.
    found: [Found; 2],
}

/// How many functions of a program there are, and how many of them were in the cache.
#[derive(Clone, Copy, Default, PartialEq)]
struct Found {
    functions: usize,
    cached: usize,
}

impl Found {
    fn observe(&mut self, stage: Stage<'_>) {
        if let Stage::Code(kernels) = stage {
            let functions = || kernels.iter().flat_map(KernelCode::functions);
            *self = Found { functions: functions().count(), cached: functions().filter(|f| f.was_cached).count() };
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} from the cache", self.cached, self.functions)
    }
}

/// The times of one number of rows.
struct Row {
    rows: usize,
    fused: Duration,
    unfused: Duration,
    reference: Option<Duration>,
}

impl Bench {
    pub(crate) fn run(&self, terminal: &Terminal) -> Result<(), Failure> {
        let model = Model::from_file(&self.spec)?;
        let mode = if self.train { Mode::Train } else { Mode::Infer };
        let pass = self.gradients.pass();
        let options = self.cache.options(terminal);
        let compile = |options: &CompileOptions| {
            let mut found = Found::default();
            let compiled = model.compile_observed(&pass, mode, options, &mut |stage| found.observe(stage))?;
            Ok::<_, schur::Error>((compiled, found))
        };
        let progress = terminal.progress(1 + 3 * self.rows.len());
        progress.step("compiling");
        let (compilations, mut fused) = repeated(|| compile(&options))?;
        let unfused = LoopOptions { fuse: false, ..LoopOptions::default() };
        let (mut unfused, _) = compile(&CompileOptions { loops: unfused, ..options.clone() })?;
        [&mut fused, &mut unfused].into_iter().for_each(|compiled| self.threads.limit(compiled));
        let params = model.init(0)?;
        let graph = model.graph_of(&pass, mode)?;
        let mut rows = Vec::new();
        for &size in &self.rows {
            let inputs = random::inputs(&graph, size)?;
            progress.step(format!("{}, fused", counted(size, "row")));
            let fused = call(&mut fused, &inputs, &params)?;
            progress.step(format!("{}, unfused", counted(size, "row")));
            let unfused = call(&mut unfused, &inputs, &params)?;
            let reference = reference(&graph, size, &inputs, &params, &rows, &progress)?;
            rows.push(Row { rows: size, fused, unfused, reference });
        }
        drop(progress);
        tell_failure(&options, terminal);
        let is_cached = options.cache.is_some();
        if self.json {
            terminal.json(&to_json(&compilations, is_cached, &rows))
        } else {
            terminal.print(&to_text(&compilations, is_cached, &rows))
        }
    }
}

/// Compiles several times: what it took, and the model.
fn repeated(
    compile: impl Fn() -> Result<(CompiledModel, Found), schur::Error>,
) -> Result<(Compilations, CompiledModel), Failure> {
    let (mut compiled, at_first) = compile()?;
    let (mut runs, mut at_last) = (vec![compiled.timings().clone()], at_first);
    for _ in 1..COMPILATIONS {
        (compiled, at_last) = compile()?;
        runs.push(compiled.timings().clone());
    }
    let stages = runs[0].0.iter().enumerate();
    let stages = stages.map(|(k, (stage, _))| (*stage, median(runs.iter().map(|run| run.0[k].1).collect())));
    let timings = Timings(stages.collect());
    Ok((Compilations { timings, first: runs[0].total(), found: [at_first, at_last] }, compiled))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// The median time of a call, after one to warm up.
fn call(
    compiled: &mut CompiledModel,
    inputs: &IndexMap<String, Array>,
    params: &ParamStore,
) -> Result<Duration, Failure> {
    let views: Vec<_> = named(inputs).map(|(name, array)| (name, array.view())).collect();
    let mut results = compiled.run(views.iter().copied(), params)?;
    let mut outputs = results.views_mut();
    let executor = compiled.executor_for(&views)?;
    let start = Instant::now();
    let mut times = Vec::new();
    while times.is_empty() || (start.elapsed() < BUDGET && times.len() < MAX_CALLS) {
        let clock = Instant::now();
        executor.call_into(&views, params, &mut outputs)?;
        times.push(clock.elapsed());
    }
    Ok(median(times))
}

/// The time of the reference; none where it is expected to take too long, or more memory than there is.
fn reference(
    graph: &Graph,
    size: usize,
    inputs: &IndexMap<String, Array>,
    params: &ParamStore,
    measured: &[Row],
    progress: &Progress,
) -> Result<Option<Duration>, Failure> {
    progress.step(format!("{}, reference", counted(size, "row")));
    let known = measured.iter().rev().filter(|row| row.rows > 0);
    let expected = known.filter_map(|row| Some(row.reference? * size.div_ceil(row.rows) as u32)).next();
    let unmeasured = measured.iter().any(|row| row.reference.is_none() && row.rows <= size);
    if unmeasured || expected.is_some_and(|time| time > PATIENCE) {
        return Ok(None);
    }
    let params: Arrays = params.iter().map(|(name, array)| (name.to_owned(), array.clone())).collect();
    let clock = Instant::now();
    match evaluate(graph, inputs, &params) {
        Ok(_) => Ok(Some(clock.elapsed())),
        Err(ReferenceError::Memory(_)) => Ok(None),
        Err(error) => Err(Failure::Bug(format!("the reference refuses: {error}"))),
    }
}

fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}

fn to_text(compilations: &Compilations, is_cached: bool, rows: &[Row]) -> String {
    let Compilations { timings, first, found: [at_first, at_last] } = compilations;
    let name = |stage: &str| if is_cached && stage == "code" { format!("code, {at_last}") } else { stage.to_owned() };
    let stages = timings.0.iter().map(|(stage, time)| [name(stage), duration(*time)]);
    let mut all = vec![["all".to_owned(), duration(timings.total())]];
    if is_cached && at_first != at_last {
        all.push([format!("the first time, {at_first}"), duration(*first)]);
    }
    let stages = stages.chain(all);
    let rows = rows.iter().map(|row| {
        let reference = row.reference;
        [
            count(row.rows),
            duration(row.fused),
            duration(row.unfused),
            reference.map_or("-".into(), duration),
            format!("{:.2}", ratio(row.unfused, row.fused)),
            reference.map_or("-".into(), |time| format!("{:.1}", ratio(time, row.fused))),
        ]
    });
    let header = ["rows", "fused", "unfused", "reference", "unfused/fused", "reference/fused"];
    format!("{}\n{}", table(["stage", "time"], 1, stages), table(header, 0, rows))
}

fn to_json(compilations: &Compilations, is_cached: bool, rows: &[Row]) -> Value {
    let Compilations { timings, first, found: [at_first, at_last] } = compilations;
    let cache = || {
        json!({
            "functions": at_last.functions,
            "found": at_last.cached,
            "found_the_first_time": at_first.cached,
            "compile_seconds_the_first_time": first.as_secs_f64(),
        })
    };
    let stages = timings.0.iter().map(|(stage, time)| ((*stage).to_owned(), json!(time.as_secs_f64())));
    let row = |row: &Row| {
        json!({
            "rows": row.rows,
            "fused_seconds": row.fused.as_secs_f64(),
            "unfused_seconds": row.unfused.as_secs_f64(),
            "reference_seconds": row.reference.map(|time| time.as_secs_f64()),
        })
    };
    json!({
        "compile_seconds": stages.collect::<serde_json::Map<_, _>>(),
        "cache": is_cached.then(cache),
        "calls": rows.iter().map(row).collect::<Vec<_>>(),
    })
}
