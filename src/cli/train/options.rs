//! The settings of a run, as arguments.

use std::num::NonZeroUsize;

use clap::builder::RangedU64ValueParser;
use clap::{Args, ValueEnum};
use schur::train::{Decay, Loss, Method, Schedule, Settings};

use crate::cli::failure::{Failure, require_effects};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// What is minimised: a mean over all rows and components.
    #[arg(long, value_enum, default_value_t = LossName::Mse)]
    loss: LossName,
    /// Where the square of the Huber loss ends [default: 1].
    #[arg(long, value_name = "DELTA", value_parser = positive, allow_negative_numbers = true)]
    huber_delta: Option<f64>,
    /// How gradients become steps.
    #[arg(long, value_enum, default_value_t = OptimizerName::Adam)]
    optimizer: OptimizerName,
    /// The largest learning rate.
    #[arg(long, default_value_t = 1e-3, value_parser = positive, allow_negative_numbers = true)]
    rate: f64,
    /// How much of the last steps `sgd` keeps, below 1 [default: 0].
    #[arg(long, value_parser = momentum, allow_negative_numbers = true)]
    momentum: Option<f64>,
    /// How fast `adamw` shrinks parameters [default: 1e-4].
    #[arg(long, value_name = "DECAY", value_parser = not_negative, allow_negative_numbers = true)]
    weight_decay: Option<f64>,
    /// How the rate falls after the warm-up: not at all, or to 0 as half a cosine.
    #[arg(long, value_enum, default_value_t = ScheduleName::Constant)]
    schedule: ScheduleName,
    /// The steps in which the rate grows from 0.
    #[arg(long, value_name = "STEPS", default_value_t = 0, allow_negative_numbers = true)]
    warmup: u64,
    /// Shorten gradients whose norm, all together, is larger.
    #[arg(long, value_name = "NORM", value_parser = positive, allow_negative_numbers = true)]
    clip: Option<f64>,
    /// How often the data are gone through.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..), allow_negative_numbers = true)]
    epochs: u64,
    /// The rows of a batch; what is left of an epoch after the last whole batch is passed over.
    #[arg(long, value_name = "ROWS", default_value_t = 256, value_parser = rows(), allow_negative_numbers = true)]
    batch: usize,
    /// What the order of rows and the parameters at the start depend on.
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LossName {
    /// The mean of squares.
    Mse,
    /// The mean of magnitudes.
    Mae,
    /// Squares of small differences, magnitudes of large ones.
    Huber,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OptimizerName {
    Adam,
    /// Adam with a decay of the parameters.
    Adamw,
    /// Gradient descent, with momentum or without.
    Sgd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ScheduleName {
    Constant,
    Cosine,
}

impl Options {
    /// The settings, where all that is given has an effect.
    pub(super) fn settings(&self, threads: Option<NonZeroUsize>) -> Result<Settings, Failure> {
        let (loss, optimizer) = (self.loss, self.optimizer);
        require_effects(&[
            ("--huber-delta", self.huber_delta.is_some(), loss == LossName::Huber, "--loss huber"),
            ("--momentum", self.momentum.is_some(), optimizer == OptimizerName::Sgd, "--optimizer sgd"),
            ("--weight-decay", self.weight_decay.is_some(), optimizer == OptimizerName::Adamw, "--optimizer adamw"),
        ])?;
        let decay = match self.schedule {
            ScheduleName::Constant => Decay::Constant,
            ScheduleName::Cosine => Decay::Cosine,
        };
        Ok(Settings {
            loss: match self.loss {
                LossName::Mse => Loss::Mse,
                LossName::Mae => Loss::Mae,
                LossName::Huber => Loss::Huber { delta: self.huber_delta.unwrap_or(1.0) },
            },
            method: match self.optimizer {
                OptimizerName::Adam => Method::adam(),
                OptimizerName::Adamw => Method::adamw(self.weight_decay.unwrap_or(1e-4)),
                OptimizerName::Sgd => Method::Sgd { momentum: self.momentum.unwrap_or(0.0) },
            },
            schedule: Schedule { rate: self.rate, warmup: self.warmup, decay },
            clip: self.clip,
            epochs: self.epochs,
            batch: self.batch,
            seed: self.seed,
            threads,
        })
    }
}

fn number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| "not a number".to_owned())
}

fn positive(text: &str) -> Result<f64, String> {
    let within = |x: f64| if x > 0.0 && x.is_finite() { Ok(x) } else { Err("must be above 0 and finite".into()) };
    number(text).and_then(within)
}

fn not_negative(text: &str) -> Result<f64, String> {
    let within = |x: f64| if x >= 0.0 && x.is_finite() { Ok(x) } else { Err("must be 0 or more and finite".into()) };
    number(text).and_then(within)
}

fn rows() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}

fn momentum(text: &str) -> Result<f64, String> {
    number(text).and_then(|x| if (0.0..1.0).contains(&x) { Ok(x) } else { Err("must be in 0..1".into()) })
}
