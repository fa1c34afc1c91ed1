//! `schur bench`: how long compilation takes, and fused kernels against unfused ones and the f64 reference.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use indexmap::IndexMap;
use schur::compiler::loops::LoopOptions;
use schur::runtime::reference::{Arrays, ReferenceError, evaluate};
use schur::{Array, CompileOptions, CompiledModel, Graph, Mode, Model, ParamStore, Pass, Timings};
use serde_json::{Value, json};

use super::failure::Failure;
use super::files::named;
use super::random;
use super::terminal::{Progress, Terminal, count, duration, table};
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
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,64,1000,10000")]
    rows: Vec<usize>,
    /// Compile for training: batch norms use the statistics of the batch.
    #[arg(long)]
    train: bool,
    /// Compute gradients as well.
    #[arg(long)]
    gradients: bool,
    #[command(flatten)]
    threads: Threads,
    /// Print JSON.
    #[arg(long)]
    json: bool,
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
        let pass = if self.gradients { Pass::Joint } else { Pass::Forward };
        let compile = |options| model.compile_observed(pass, mode, &options, &mut |_| {});
        let progress = terminal.progress(1 + 3 * self.rows.len());
        progress.step("compiling");
        let (timings, mut fused) = repeated(|| compile(CompileOptions::default()))?;
        let unfused = LoopOptions { fuse: false, ..LoopOptions::default() };
        let mut unfused = compile(CompileOptions { loops: unfused, ..CompileOptions::default() })?;
        [&mut fused, &mut unfused].into_iter().for_each(|compiled| self.threads.limit(compiled));
        let params = model.init(0)?;
        let graph = match pass {
            Pass::Forward => model.graph(mode)?,
            Pass::Joint => model.joint(mode)?,
        };
        let mut rows = Vec::new();
        for &size in &self.rows {
            let inputs = random::inputs(&graph, size)?;
            progress.step(format!("{size} rows, fused"));
            let fused = call(&mut fused, &inputs, &params)?;
            progress.step(format!("{size} rows, unfused"));
            let unfused = call(&mut unfused, &inputs, &params)?;
            let reference = reference(&graph, size, &inputs, &params, &rows, &progress)?;
            rows.push(Row { rows: size, fused, unfused, reference });
        }
        drop(progress);
        if self.json { terminal.json(&to_json(&timings, &rows)) } else { terminal.print(&to_text(&timings, &rows)) }
    }
}

/// Compiles several times: the median of every stage, and the model.
fn repeated(compile: impl Fn() -> Result<CompiledModel, schur::Error>) -> Result<(Timings, CompiledModel), Failure> {
    let mut compiled = compile()?;
    let mut runs = vec![compiled.timings().clone()];
    for _ in 1..COMPILATIONS {
        compiled = compile()?;
        runs.push(compiled.timings().clone());
    }
    let stages = runs[0].0.iter().enumerate();
    let stages = stages.map(|(k, (stage, _))| (*stage, median(runs.iter().map(|run| run.0[k].1).collect())));
    Ok((Timings(stages.collect()), compiled))
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
    progress.step(format!("{size} rows, reference"));
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

fn to_text(compile: &Timings, rows: &[Row]) -> String {
    let stages = compile.0.iter().map(|(stage, time)| [(*stage).to_owned(), duration(*time)]);
    let stages = stages.chain([["all".to_owned(), duration(compile.total())]]);
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

fn to_json(compile: &Timings, rows: &[Row]) -> Value {
    let stages = compile.0.iter().map(|(stage, time)| ((*stage).to_owned(), json!(time.as_secs_f64())));
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
        "calls": rows.iter().map(row).collect::<Vec<_>>(),
    })
}
