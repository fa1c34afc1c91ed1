//! What can be wrong with a run of training.

use std::path::{Path, PathBuf};

use schur_ir::counted::Counted;
use schur_ir::ty::DType;
use schur_runtime::bind::CallError;
use schur_runtime::nearest::Nearest;

/// Why a run is not begun, or does not go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The target is no output of the model.
    #[error("the model has no output `{name}`{nearest}")]
    NoOutput {
        /// The name asked for.
        name: String,
        /// The nearest output.
        nearest: Nearest,
    },
    /// Nothing says which axis rows are cut along.
    #[error("`{target}` cannot be trained in batches: {why}")]
    NoBatches {
        /// The target.
        target: String,
        /// What stands against it.
        why: String,
    },
    /// A data set is wrong.
    #[error("{set}: {fault}")]
    Data {
        /// Which.
        set: String,
        /// What is wrong.
        fault: DataFault,
    },
    /// There are fewer rows than in a batch.
    #[error("{set}: a batch of {} cannot be made of {rows}", Counted(*.batch, "row"))]
    Batch {
        /// The training set.
        set: String,
        /// The rows of a batch.
        batch: usize,
        /// The rows of the training set.
        rows: usize,
    },
    /// The loss or a gradient is no number any more.
    #[error("training diverged: the {what} of step {step} is {value}")]
    Diverged {
        /// What is not finite.
        what: &'static str,
        /// The step, from 1.
        step: u64,
        /// Its value.
        value: f64,
    },
    /// A checkpoint is not one of this run.
    #[error("{} cannot be resumed: {fault}", path.display())]
    Resume {
        /// The file.
        path: PathBuf,
        /// Why.
        fault: String,
    },
}

/// What is wrong with a data set.
#[derive(Debug, thiserror::Error)]
pub enum DataFault {
    /// It is for another model, or for another output.
    #[error("it is laid out for another model, or for another output than the training set")]
    Layout,
    /// It lacks an array.
    #[error("there is no array `{name}`{nearest}")]
    Missing {
        /// The array.
        name: String,
        /// The nearest one.
        nearest: Nearest,
    },
    /// Arrays have unequal numbers of rows.
    #[error("`{name}` has {}, `{other}` has {wanted}", Counted(*.given, "row"))]
    Rows {
        /// An array.
        name: String,
        /// Its rows.
        given: usize,
        /// Another array.
        other: String,
        /// The rows of that.
        wanted: usize,
    },
    /// There are no rows.
    #[error("it has no rows")]
    Empty,
    /// The target is not of the output's type.
    #[error("the target `{name}` is {given} where the output is {wanted}")]
    DType {
        /// The array.
        name: String,
        /// Its element type.
        given: DType,
        /// The output's.
        wanted: DType,
    },
    /// The last axis of the target is not as long as the irreps' dimension.
    #[error("the target `{name}` has {} on its last axis where the irreps of the output have {wanted}", Counted(*.given, "element"))]
    Width {
        /// The array.
        name: String,
        /// The length of its last axis.
        given: usize,
        /// The dimension of the irreps.
        wanted: usize,
    },
    /// A number is NaN or infinite.
    #[error("`{name}` holds {value} at {place:?}")]
    NotFinite {
        /// The array.
        name: String,
        /// The place in it; the first number is the row's.
        place: Vec<usize>,
        /// What is there.
        value: f64,
    },
    /// The target has not the output's shape.
    #[error("the target `{name}` has the shape {given:?}, the output has {wanted:?}")]
    Shape {
        /// The array.
        name: String,
        /// Its shape.
        given: Vec<usize>,
        /// The output's.
        wanted: Vec<usize>,
    },
    /// The model cannot be called with it.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl TrainError {
    pub(super) fn no_output<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Self {
        TrainError::NoOutput { name: name.to_owned(), nearest: Nearest::of(name, known) }
    }

    pub(super) fn resume(path: &Path, fault: impl ToString) -> Self {
        TrainError::Resume { path: path.to_owned(), fault: fault.to_string() }
    }
}
