//! Training: minibatches, losses, optimisers, schedules, and checkpoints that go on to the same bits.
//!
//! A [`Trainer`] holds a model's parameters and everything else that a run depends on. One [`Trainer::step`] is one call
//! of one program, which returns the loss, all gradients and the updated statistics: the loss is part of the graph
//! ([`training_graph`]). A run is a function of the spec, the data, the [`Settings`] and the parameters that it starts
//! from: it can be stopped between any two steps, saved, and resumed, and ends with the same bits.

mod batches;
mod checkpoint;
mod curve;
mod error;
mod identity;
mod loss;
mod optimizer;
mod schedule;
mod told;
mod trainer;
mod update;

pub use batches::{DataSet, Layout, order};
pub use checkpoint::is_state;
pub use curve::svg;
pub use error::{DataFault, TrainError};
pub use loss::{Loss, training_graph};
pub use optimizer::{Method, Optimizer, norm};
pub use schedule::{Decay, Schedule};
pub use trainer::{Epoch, Settings, Step, Trainer};
