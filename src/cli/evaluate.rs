//! `schur evaluate`: a spec on real data: how fast it compiles and runs, and how equivariant it is.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use indexmap::IndexMap;
use ndarray::ArrayD;
use schur::{Array, CompiledModel, Irreps, Mode, Model, Outputs, ParamStore, Rotation, Timings, Type};
use serde_json::{Value, json};

use super::cache::{CacheFolder, tell_failure};
use super::failure::Failure;
use super::files::{check_finite, named, read_inputs, read_params};
use super::random::rotations;
use super::terminal::{Terminal, count, counted, duration, table};
use super::threads::Threads;

/// How often the data are run for the time, and how many rotations act on them.
const RUNS: usize = 5;
const ROTATIONS: usize = 4;

/// Compile a spec, run it over a file of data, and measure its speed and its equivariance.
///
/// Every float input is rotated at random, with and without inversion; the error of an output is the largest difference
/// between the output of rotated inputs and the rotated output, relative to the largest output.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  schur evaluate examples/forces/model.toml \\
      --data examples/forces/test.safetensors
  schur evaluate model.toml --data data.safetensors \\
      --params params.safetensors --json")]
pub(crate) struct Evaluate {
    /// The model spec: a .toml or .json file.
    spec: PathBuf,
    /// The inputs, by their names in the spec; other arrays of the file are passed over.
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// The parameters; without, they are initialised.
    #[arg(long, value_name = "FILE", conflicts_with = "seed")]
    params: Option<PathBuf>,
    /// The seed that parameters are initialised from.
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    seed: u64,
    /// Fail where an output is NaN or infinite, and name the first layer that makes one.
    #[arg(long)]
    check_finite: bool,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    cache: CacheFolder,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What was measured.
struct Report {
    timings: Timings,
    rows: usize,
    time: Duration,
    outputs: Vec<OutputReport>,
}

struct OutputReport {
    name: String,
    shape: Vec<usize>,
    irreps: Irreps,
    largest: f64,
    error: f64,
}

impl Evaluate {
    pub(crate) fn run(&self, terminal: &Terminal) -> Result<(), Failure> {
        let options = self.cache.options(terminal);
        let progress = terminal.progress(3 + 2 * ROTATIONS);
        progress.step("reading");
        let model = Model::from_file(&self.spec)?;
        let inputs = read_inputs(&model, &self.data)?;
        progress.step("compiling");
        let mut compiled = model.compile(Mode::Infer, &options)?;
        self.threads.limit(&mut compiled);
        let params = match &self.params {
            Some(path) => read_params(&model, path)?,
            None => model.init(self.seed)?,
        };
        progress.step("running");
        let (results, time) = timed(&mut compiled, &inputs, &params)?;
        if self.check_finite {
            check_finite(&model, Mode::Infer, &inputs, &params, &results, self.threads.most())?;
        }
        let mut subject = Subject { types: model.types(Mode::Infer)?, compiled, params, inputs, results };
        let mut errors = vec![0.0; subject.results.outputs.len()];
        for rotation in rotations(ROTATIONS).into_iter().flat_map(|r| [r, r.inverted()]) {
            progress.step("rotating");
            for (worst, error) in errors.iter_mut().zip(subject.errors(rotation)?) {
                *worst = if error.is_nan() || error > *worst { error } else { *worst };
            }
        }
        drop(progress);
        tell_failure(&options, terminal);
        let report = subject.report(time, &errors);
        if self.json { terminal.json(&report.to_json(&model)) } else { terminal.print(&report.to_text(&model)) }
    }
}

/// Runs several times: the results, and the median of the times.
fn timed(
    compiled: &mut CompiledModel,
    inputs: &IndexMap<String, Array>,
    params: &ParamStore,
) -> Result<(Outputs, Duration), Failure> {
    let mut results = compiled.run(named(inputs), params)?;
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let clock = Instant::now();
        results = compiled.run(named(inputs), params)?;
        times.push(clock.elapsed());
    }
    times.sort();
    Ok((results, times[RUNS / 2]))
}

/// A model, its data, and what it makes of them.
struct Subject {
    /// The type of every input and of every layer's value.
    types: IndexMap<String, Type>,
    compiled: CompiledModel,
    params: ParamStore,
    inputs: IndexMap<String, Array>,
    results: Outputs,
}

impl Subject {
    /// The largest difference of every output between rotating before and after.
    fn errors(&mut self, rotation: Rotation) -> Result<Vec<f64>, Failure> {
        let rotate =
            |(name, array): (&String, &Array)| (name.clone(), rotation.rotated(&self.types[name].irreps, array));
        let rotated: IndexMap<String, Array> = self.inputs.iter().map(rotate).collect();
        let after = self.compiled.run(named(&rotated), &self.params)?;
        let error = |(name, array): (&Arc<str>, &Array)| {
            let before = array.to_f64();
            let expected = self.irreps(name).map(|irreps| rotation.apply(irreps, &before)).unwrap_or(before);
            largest(&(after.outputs[name].to_f64() - expected))
        };
        Ok(self.results.outputs.iter().map(error).collect())
    }

    /// The irreps of a float.
    fn irreps(&self, name: &str) -> Option<&Irreps> {
        self.types.get(name).filter(|ty| ty.dtype.is_float()).map(|ty| &ty.irreps)
    }

    /// The rows of a call: the size of the first axis of an input that is a symbol; 1 where none is.
    fn rows(&self) -> usize {
        let axes = self.inputs.iter().flat_map(|(name, array)| self.types[name].dims.iter().zip(array.shape()));
        axes.filter(|(dim, _)| dim.as_symbol().is_some()).map(|(_, size)| *size).next().unwrap_or(1)
    }

    fn report(&self, time: Duration, errors: &[f64]) -> Report {
        let output = |((name, array), error): ((&Arc<str>, &Array), &f64)| {
            let largest = largest(&array.to_f64());
            OutputReport {
                name: name.to_string(),
                shape: array.shape().to_vec(),
                irreps: self.irreps(name).cloned().unwrap_or_default(),
                largest,
                error: if *error == 0.0 { 0.0 } else { error / largest },
            }
        };
        Report {
            timings: self.compiled.timings().clone(),
            rows: self.rows(),
            time,
            outputs: self.results.outputs.iter().zip(errors).map(output).collect(),
        }
    }
}

/// The largest magnitude; NaN where there is one.
fn largest(values: &ArrayD<f64>) -> f64 {
    values.iter().fold(0.0, |m: f64, x| if x.is_nan() || x.abs() > m { x.abs() } else { m })
}

impl Report {
    fn rows_per_second(&self) -> f64 {
        self.rows as f64 / self.time.as_secs_f64()
    }

    fn to_text(&self, model: &Model) -> String {
        let stages = self.timings.0.iter().map(|(stage, time)| format!("{stage} {}", duration(*time)));
        let stages = stages.collect::<Vec<_>>().join(", ");
        let outputs = self.outputs.iter().map(|output| {
            let shape = format!("{:?}", output.shape);
            let (largest, error) = (format!("{:.3}", output.largest), format!("{:.1e}", output.error));
            [output.name.clone(), shape, output.irreps.to_string(), largest, error]
        });
        let head = ["output", "shape", "irreps", "largest", "equivariance error"];
        format!(
            " {}, {}\n compiled in {}: {stages}\n ran {} in {}: {} rows/s\n\n{}",
            model.spec().name,
            model.spec().dtype,
            duration(self.timings.total()),
            counted(self.rows, "row"),
            duration(self.time),
            count(self.rows_per_second() as usize),
            table(head, 3, outputs),
        )
    }

    fn to_json(&self, model: &Model) -> Value {
        let stages = self.timings.0.iter().map(|(stage, time)| ((*stage).to_owned(), json!(time.as_secs_f64())));
        let output = |output: &OutputReport| {
            json!({
                "name": output.name,
                "shape": output.shape,
                "irreps": output.irreps.to_string(),
                "largest": output.largest,
                "equivariance_error": output.error,
            })
        };
        json!({
            "name": model.spec().name,
            "dtype": model.spec().dtype.name(),
            "compile_seconds": stages.collect::<serde_json::Map<_, _>>(),
            "rows": self.rows,
            "run_seconds": self.time.as_secs_f64(),
            "rows_per_second": self.rows_per_second(),
            "outputs": self.outputs.iter().map(output).collect::<Vec<_>>(),
        })
    }
}
