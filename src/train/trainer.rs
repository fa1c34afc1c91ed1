//! A run: parameters, optimiser and progress, and what a step does to them.
//!
//! Invariant: everything that later steps depend on is in the spec, the [`Settings`], the data, and what a checkpoint holds.

use std::num::NonZeroUsize;

use indexmap::IndexMap;
use ndarray::ArrayD;
use schur_compiler::compile::{CompileOptions, compile};
use schur_ir::build::Mode;
use schur_ir::graph::Graph;
use schur_ir::program::Program;
use schur_runtime::array::Array;
use schur_runtime::bind::{CallError, RequirementError};
use schur_runtime::executor::{Executor, Outputs};
use schur_runtime::rotation::Rotation;
use schur_runtime::store::ParamStore;
use schur_runtime::view::Elements;
use smallvec::SmallVec;

use super::batches::{DataSet, Layout, order};
use super::error::{DataFault, TrainError};
use super::identity::{parts, rows};
use super::loss::{COTANGENT, LOSS, Loss, target_input, training_graph};
use super::optimizer::{Method, Optimizer, norm};
use super::schedule::Schedule;
use crate::compiled;
use crate::error::Error;
use crate::finite::NonFinite;
use crate::model::Model;

/// How to train.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// What is minimised.
    pub loss: Loss,
    /// How.
    pub method: Method,
    /// The learning rates.
    pub schedule: Schedule,
    /// Where gradients are longer than this, all together, they are shortened to it.
    pub clip: Option<f64>,
    /// How often the training set is gone through.
    pub epochs: u64,
    /// The rows of a batch; what is left of an epoch after the last whole batch is passed over.
    pub batch: usize,
    /// What the order of rows depends on.
    pub seed: u64,
    /// The most threads that compute; without, one a core. Runs end with the same bits for any number.
    pub threads: Option<NonZeroUsize>,
}

/// What an epoch ended with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epoch {
    /// The mean of the losses of its steps.
    pub loss: f64,
    /// The root mean square error of the test set.
    pub error: f64,
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The loss before it.
    pub loss: f64,
    /// The epoch that it ended, if it did.
    pub ended: Option<Epoch>,
}

/// How far a run is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Progress {
    /// The steps done.
    pub(super) step: u64,
    /// The sum of the losses of the epoch that is not yet over.
    pub(super) loss: f64,
    /// The error of the test set before the first step.
    pub(super) untrained: f64,
    /// The epochs that are over.
    pub(super) epochs: Vec<Epoch>,
}

/// A run of training.
#[derive(Debug)]
pub struct Trainer {
    pub(super) settings: Settings,
    pub(super) params: ParamStore,
    pub(super) optimizer: Optimizer,
    pub(super) progress: Progress,
    pub(super) train: DataSet,
    test: DataSet,
    stepping: Executor,
    predictor: Predictor,
    target_input: String,
    one: Array,
    /// The rows of the last step, to be written over.
    batch: Option<DataSet>,
    /// What the last step returned, to be written over.
    results: Option<Outputs>,
    /// Which spec it is of.
    pub(super) spec: IndexMap<String, f64>,
    /// Which rows it is trained on.
    pub(super) data: f64,
    /// The order of rows of an epoch.
    order: Option<(u64, Vec<usize>)>,
}

impl Trainer {
    /// A run that is about to begin with these parameters. Compiles the model, and calls it with every row of both
    /// sets, so that a wrong row is found now.
    pub fn new(
        model: &Model,
        params: ParamStore,
        settings: Settings,
        train: DataSet,
        test: DataSet,
        options: &CompileOptions,
    ) -> Result<Self, Error> {
        let target = checked_target(model, &settings, [&train, &test])?;
        let [train_graph, infer_graph] = [model.graph(Mode::Train)?, model.graph(Mode::Infer)?];
        let stepping = executor(&training_graph(&train_graph, &target, settings.loss)?, &settings, options)?;
        let predicting = executor(&infer_graph, &settings, options)?;
        let program = stepping.program();
        let trained = program.params.iter().map(|slot| &slot.param).filter(|param| param.is_trained());
        let mut optimizer = Optimizer::new(settings.method, trained, program.dtype)?;
        optimizer.set_threads(stepping.threads());
        let one = Array::from_f64(&ArrayD::ones(vec![1]), program.dtype);
        let mut trainer = Trainer {
            settings,
            params,
            optimizer,
            progress: Progress::default(),
            spec: parts([&train_graph, &infer_graph]),
            data: rows(&train),
            train,
            test,
            stepping,
            target_input: target_input(&target),
            predictor: Predictor { executor: predicting, target, batch: settings.batch },
            one,
            batch: None,
            results: None,
            order: None,
        };
        trainer.predictor.error(&trainer.params, &trainer.train)?;
        trainer.progress.untrained = trainer.test_error()?;
        Ok(trainer)
    }

    pub(super) fn program(&self) -> &Program {
        self.stepping.program()
    }

    /// The parameters and statistics as they are now.
    pub fn params(&self) -> &ParamStore {
        &self.params
    }

    /// How it is trained.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The steps done so far.
    pub fn steps_done(&self) -> u64 {
        self.progress.step
    }

    /// The steps of an epoch.
    pub fn steps_an_epoch(&self) -> u64 {
        (self.train.len() / self.settings.batch) as u64
    }

    /// The steps of the whole run.
    pub fn steps(&self) -> u64 {
        self.settings.epochs.saturating_mul(self.steps_an_epoch())
    }

    /// True where no step is left.
    pub fn is_done(&self) -> bool {
        self.progress.step >= self.steps()
    }

    /// The epochs that are over.
    pub fn epochs(&self) -> &[Epoch] {
        &self.progress.epochs
    }

    /// The error of the test set before the first step.
    pub fn untrained_error(&self) -> f64 {
        self.progress.untrained
    }

    /// The root mean square error of the test set.
    pub fn test_error(&mut self) -> Result<f64, TrainError> {
        self.predictor.error(&self.params, &self.test)
    }

    /// The same of the test set with an element of O(3) acting on its inputs and its target.
    pub fn rotated_error(&mut self, rotation: Rotation) -> Result<f64, TrainError> {
        self.predictor.error(&self.params, &self.test.rotated(rotation))
    }

    /// Does the next step. A step that diverges changes nothing.
    pub fn step(&mut self) -> Result<Step, Error> {
        let (epoch, place) = (self.progress.step / self.steps_an_epoch(), self.progress.step % self.steps_an_epoch());
        let batch = self.batch(epoch, place as usize);
        let results = self.call(&batch)?;
        let loss = only(&results.outputs[LOSS]);
        let length = norm(&results.gradients);
        let step = self.progress.step;
        for (what, value) in [("loss", loss), ("gradient's norm", length)] {
            if !value.is_finite() {
                return Err(TrainError::Diverged { what, step: step + 1, value }.into());
            }
        }
        let scale = self.settings.clip.filter(|clip| length > *clip).map_or(1.0, |clip| clip / length);
        let rate = self.settings.schedule.at(step, self.steps());
        self.optimizer.update(&mut self.params, &results.gradients, step + 1, rate, scale)?;
        self.params.apply_copies(&results.statistics)?;
        (self.batch, self.results) = (Some(batch), Some(results));
        self.progress.step += 1;
        self.progress.loss += loss;
        let ended = if place + 1 == self.steps_an_epoch() { Some(self.end_epoch()?) } else { None };
        Ok(Step { loss, ended })
    }

    /// Where the NaN or infinity of a step that diverged comes from, if a layer or what it is given holds one.
    pub fn find_non_finite(&mut self, model: &Model) -> Result<Option<NonFinite>, Error> {
        let epoch = self.progress.step / self.steps_an_epoch();
        let batch = self.batch(epoch, (self.progress.step % self.steps_an_epoch()) as usize);
        model.find_non_finite(Mode::Train, batch.views(), &self.params, &Outputs::default(), self.settings.threads)
    }

    fn end_epoch(&mut self) -> Result<Epoch, TrainError> {
        let loss = std::mem::take(&mut self.progress.loss) / self.steps_an_epoch() as f64;
        let epoch = Epoch { loss, error: self.test_error()? };
        self.progress.epochs.push(epoch);
        Ok(epoch)
    }

    fn batch(&mut self, epoch: u64, place: usize) -> DataSet {
        let Settings { seed, batch, .. } = self.settings;
        let rows = self.train.len();
        let (_, order) = match self.order.take() {
            Some(known) if known.0 == epoch => self.order.insert(known),
            Some(_) | None => self.order.insert((epoch, order(seed, epoch, rows))),
        };
        let rows = &order[place * batch..][..batch];
        match self.batch.take() {
            Some(mut last) => {
                self.train.rows_over(rows, &mut last);
                last
            }
            None => self.train.rows(rows),
        }
    }

    /// The loss of a batch, its gradients, and the updated statistics.
    fn call(&mut self, batch: &DataSet) -> Result<Outputs, TrainError> {
        let added = [(self.target_input.as_str(), batch.target().view()), (COTANGENT, self.one.view())];
        let inputs: SmallVec<[_; 8]> = batch.views().chain(added).collect();
        match self.results.take() {
            Some(mut results) => {
                let written = self.stepping.call_over(&inputs, &self.params, &mut results);
                written.map_err(|error| batch.fault(error))?;
                Ok(results)
            }
            None => self.stepping.call(&inputs, &self.params).map_err(|error| batch.fault(error)),
        }
    }
}

/// The model as it predicts.
#[derive(Debug)]
struct Predictor {
    executor: Executor,
    target: String,
    /// The rows of a call.
    batch: usize,
}

impl Predictor {
    /// The root mean square error of a set.
    fn error(&mut self, params: &ParamStore, set: &DataSet) -> Result<f64, TrainError> {
        let (mut sum, mut count) = (0.0, 0);
        let all: Vec<usize> = (0..set.len()).collect();
        for (k, rows) in all.chunks(self.batch).enumerate() {
            let part = set.rows(rows);
            let found = self.executor.call(&part.views().collect::<SmallVec<[_; 8]>>(), params);
            let found = found.map_err(|error| set.fault(of_row(error, k * self.batch)))?;
            let (found, wanted) = (&found.outputs[&*self.target], part.target());
            if found.shape() != wanted.shape() {
                let (given, wanted) = (wanted.shape().to_vec(), found.shape().to_vec());
                return Err(set.fault(DataFault::Shape { name: self.target.clone(), given, wanted }));
            }
            sum += (found.to_f64() - wanted.to_f64()).mapv(|x| x * x).sum();
            count += found.len();
        }
        Ok((sum / count as f64).sqrt())
    }
}

/// The element of an array that has one.
fn only(array: &Array) -> f64 {
    match array.view().elements() {
        Elements::F32(elements) => elements.iter().map(|x| f64::from(*x)).sum(),
        Elements::F64(elements) => elements.iter().sum(),
        Elements::I32(_) | Elements::Bool(_) => f64::NAN,
    }
}

/// The error with the place of an index in the whole set, whose rows from `start` were called.
fn of_row(mut error: CallError, start: usize) -> CallError {
    if let CallError::Requirement(RequirementError::IndexBelow { place, .. }) = &mut error
        && let Some(row) = place.first_mut()
    {
        *row += start;
    }
    error
}

fn executor(graph: &Graph, settings: &Settings, options: &CompileOptions) -> Result<Executor, Error> {
    compiled::executor(compile(graph, options, &mut |_, _| {})?, options, settings.threads)
}

/// The name of the target, where batches can be made of the sets and both are laid out for the model and this target.
fn checked_target(model: &Model, settings: &Settings, [train, test]: [&DataSet; 2]) -> Result<String, Error> {
    if settings.batch == 0 || settings.batch > train.len() {
        return Err(TrainError::Batch { set: train.name().to_owned(), batch: settings.batch, rows: train.len() }.into());
    }
    let target = train.layout().target.clone();
    let layout = Layout::new(model, &target)?;
    if let Some(set) = [train, test].into_iter().find(|set| *set.layout() != layout) {
        return Err(set.fault(DataFault::Layout).into());
    }
    Ok(target)
}
