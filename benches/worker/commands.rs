//! The commands.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use indexmap::IndexMap;
use schur::train::{DataSet, Decay, Layout, Loss, Method, Schedule, Settings, Trainer, order};
use schur::{
    Array, CompileOptions, CompiledModel, Data, LoopOptions, Mode, Model, Outputs, ParamStore, Pass, Source, checkpoint,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Failure, machine};

/// What a call is of.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Case {
    /// The spec, in JSON.
    spec: String,
    /// Batch norms use the statistics of the batch.
    train: bool,
    /// Gradients are computed as well.
    gradients: bool,
    /// Of these inputs alone; all where there is none.
    wrt: Vec<String>,
    /// One kernel an op, to compare with.
    #[serde(default)]
    unfused: bool,
    /// A file of parameters, statistics, inputs and cotangents.
    arrays: PathBuf,
}

/// A line of standard input.
#[derive(Debug, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub(crate) enum Command {
    /// Compiles a case and keeps it under a name.
    Load { name: String, case: Case },
    /// Forgets a case.
    Drop { name: String },
    /// Writes what a case returns.
    Write { name: String, path: PathBuf },
    /// Times batches of calls, of which each has other parameters than the one before, if that is asked for.
    Time {
        name: String,
        samples: usize,
        calls: usize,
        #[serde(default)]
        change: bool,
    },
    /// Times from the text of a spec to the results of its first call.
    Start { case: Case, samples: usize },
    /// Prepares a run of training, and writes its parameters and the orders of its rows.
    Train { spec: PathBuf, data: PathBuf, target: String, batch: usize, epochs: u64, arrays: PathBuf },
    /// Times the next epoch of the run.
    Epoch,
    /// Samples of the machine's multiply-add peak.
    Peak,
    /// The machine's bandwidths to working sets of these sizes.
    Bandwidths { bytes: Vec<usize> },
}

/// A case that is ready to be called.
struct Loaded {
    compiled: CompiledModel,
    params: ParamStore,
    inputs: Vec<(String, Array)>,
    results: Outputs,
}

/// What commands work on.
#[derive(Default)]
pub(crate) struct Worker {
    cases: HashMap<String, Loaded>,
    trainer: Option<Trainer>,
}

impl Worker {
    pub(crate) fn obey(&mut self, command: Command) -> Result<Value, Failure> {
        match command {
            Command::Load { name, case } => {
                self.cases.insert(name, Loaded::new(&case)?);
                Ok(json!({}))
            }
            Command::Drop { name } => {
                self.cases.remove(&name);
                Ok(json!({}))
            }
            Command::Write { name, path } => {
                self.case(&name)?.write(&path)?;
                Ok(json!({}))
            }
            Command::Time { name, samples, calls, change } => {
                Ok(json!({ "seconds": self.case(&name)?.time(samples, calls, change)? }))
            }
            Command::Start { case, samples } => Ok(json!({ "seconds": start(&case, samples)? })),
            Command::Train { spec, data, target, batch, epochs, arrays } => {
                self.trainer = Some(train(&spec, &data, &target, batch, epochs, &arrays)?);
                Ok(json!({}))
            }
            Command::Epoch => epoch(self.trainer.as_mut().ok_or("no run of training is prepared")?),
            Command::Peak => Ok(json!({ "flops": machine::peak() })),
            Command::Bandwidths { bytes } => Ok(json!({ "bandwidths": machine::bandwidths(&bytes) })),
        }
    }

    fn case(&mut self, name: &str) -> Result<&mut Loaded, Failure> {
        self.cases.get_mut(name).ok_or_else(|| format!("no case `{name}` is loaded").into())
    }
}

fn compile(case: &Case) -> Result<CompiledModel, Failure> {
    let model = Model::parse(&Source::new("case.json", &*case.spec)?)?;
    let mode = if case.train { Mode::Train } else { Mode::Infer };
    let pass = match (case.gradients, &*case.wrt) {
        (false, _) => Pass::Forward,
        (true, []) => Pass::Joint,
        (true, wrt) => Pass::Gradients(wrt.iter().map(|name| name.as_str().into()).collect()),
    };
    let loops = LoopOptions { fuse: !case.unfused, ..LoopOptions::default() };
    let options = CompileOptions { loops, ..CompileOptions::default() };
    Ok(model.compile_observed(&pass, mode, &options, &mut |_| {})?)
}

/// Parameters, and all other arrays.
type Arrays = (IndexMap<String, Array>, Vec<(String, Array)>);

/// Those of a case's file that it takes.
fn arrays(case: &Case) -> Result<Arrays, Failure> {
    let all = checkpoint::read(&case.arrays)?;
    let (params, inputs): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|(name, _)| name.starts_with("params/") || name.starts_with("batch_stats/"));
    let inputs = inputs.into_iter().filter(|(name, _)| case.gradients || !name.starts_with("cotangent/"));
    Ok((params.into_iter().collect(), inputs.collect()))
}

impl Loaded {
    fn new(case: &Case) -> Result<Self, Failure> {
        let mut compiled = compile(case)?;
        let (params, inputs) = arrays(case)?;
        let params = compiled.params(params)?;
        let results = compiled.run(inputs.iter().map(|(name, array)| (name.as_str(), array)), &params)?;
        Ok(Loaded { compiled, params, inputs, results })
    }

    /// The mean times of batches of calls.
    fn time(&mut self, samples: usize, calls: usize, change: bool) -> Result<Vec<f64>, Failure> {
        let inputs: Vec<_> = self.inputs.iter().map(|(name, array)| (name.as_str(), array.view())).collect();
        let mut outputs = self.results.views_mut();
        let executor = self.compiled.executor_for(&inputs)?;
        let changed: Option<String> = self.params.iter().map(|(name, _)| name.to_owned()).next().filter(|_| change);
        let mut sample = || {
            let clock = Instant::now();
            for _ in 0..calls {
                // Whoever may write to a parameter may have changed it.
                changed.iter().try_for_each(|name| self.params.get_mut(name).map(|_| ()))?;
                executor.call_into(&inputs, &self.params, &mut outputs)?;
            }
            Ok(clock.elapsed().as_secs_f64() / calls as f64)
        };
        sample()?;
        (0..samples).map(|_| sample()).collect()
    }

    fn write(&self, path: &Path) -> Result<(), Failure> {
        let Outputs { outputs, statistics, gradients } = &self.results;
        let named = [("output", outputs), ("statistic", statistics), ("gradient", gradients)];
        let all: Vec<(String, &Array)> = named
            .into_iter()
            .flat_map(|(kind, arrays)| arrays.iter().map(move |(name, array)| (format!("{kind}/{name}"), array)))
            .collect();
        Ok(checkpoint::write(path, all.iter().map(|(name, array)| (name.as_str(), *array)))?)
    }
}

/// The times from the text of a spec to the results of its first call, arrays being at hand.
fn start(case: &Case, samples: usize) -> Result<Vec<f64>, Failure> {
    let (params, inputs) = arrays(case)?;
    let sample = |_| {
        let params = params.clone();
        let clock = Instant::now();
        let mut compiled = compile(case)?;
        let params = compiled.params(params)?;
        compiled.run(inputs.iter().map(|(name, array)| (name.as_str(), array)), &params)?;
        Ok(clock.elapsed().as_secs_f64())
    };
    (0..samples).map(sample).collect()
}

/// A run that is about to begin. Its parameters are written, and `order/<epoch>`: its rows in their order.
fn train(spec: &Path, data: &Path, target: &str, batch: usize, epochs: u64, to: &Path) -> Result<Trainer, Failure> {
    let model = Model::from_file(spec)?;
    let layout = Arc::new(Layout::new(&model, target)?);
    let rows = DataSet::new(&layout, "data", &checkpoint::read(data)?, target)?;
    let schedule = Schedule { rate: 1e-3, warmup: 0, decay: Decay::Constant };
    let settings = Settings {
        loss: Loss::Mse,
        method: Method::adam(),
        schedule,
        clip: None,
        epochs,
        batch,
        seed: 0,
        threads: None,
    };
    let one_epoch = rows.len() / batch * batch;
    let orders = (0..epochs).map(|epoch| {
        let order = order(settings.seed, epoch, rows.len()).into_iter().take(one_epoch);
        let order = order.map(i32::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok((format!("order/{epoch}"), Array::new([order.len()], Data::I32(order.into()))?))
    });
    let orders = orders.collect::<Result<Vec<_>, Failure>>()?;
    let params = model.init(settings.seed)?;
    checkpoint::write(to, params.iter().chain(orders.iter().map(|(name, array)| (name.as_str(), array))))?;
    // The test set, which an epoch ends with, is one row: next to no time.
    let test = rows.rows(&[0]);
    Ok(Trainer::new(&model, params, settings, rows, test, &CompileOptions::default())?)
}

/// Does an epoch: its time, and the mean of its losses.
fn epoch(trainer: &mut Trainer) -> Result<Value, Failure> {
    let clock = Instant::now();
    loop {
        if let Some(epoch) = trainer.step()?.ended {
            return Ok(json!({ "seconds": clock.elapsed().as_secs_f64(), "loss": epoch.loss }));
        }
    }
}
