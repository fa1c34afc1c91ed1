//! What is wrong with one array of a call, told with its name.

use std::fmt;

use schur_ir::counted::Counted;
use schur_ir::graph::OutputKind;
use schur_ir::ty::DType;

use crate::nearest::Nearest;

/// What an array is to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// It is given.
    Input,
    /// It is returned: an output of the spec.
    Output,
    /// It is returned: an updated statistic.
    Statistic,
    /// It is returned: a gradient.
    Gradient,
}

impl From<OutputKind> for Role {
    fn from(kind: OutputKind) -> Self {
        match kind {
            OutputKind::Output => Role::Output,
            OutputKind::Statistic => Role::Statistic,
            OutputKind::Gradient => Role::Gradient,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Input => "input",
            Role::Output => "output",
            Role::Statistic => "statistic",
            Role::Gradient => "gradient",
        })
    }
}

/// One array of a call is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {role} `{name}` {fault}")]
pub struct ArgumentError {
    /// What the array is to the call.
    pub role: Role,
    /// Its name.
    pub name: String,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with an array.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The model has no such array.
    #[error("is not one of the model's{0}")]
    Unknown(Nearest),
    /// The model needs it.
    #[error("is missing")]
    Missing,
    /// Two arrays of this name are given.
    #[error("is given twice")]
    Twice,
    /// The element type is another.
    #[error("is {given} where {wanted} is wanted")]
    DType {
        /// The type given.
        given: DType,
        /// The type of the model.
        wanted: DType,
    },
    /// The rank or a size is another.
    #[error("has the shape {given:?} where {wanted} is wanted")]
    Shape {
        /// The shape given.
        given: Vec<usize>,
        /// The shape of the model, with its symbols.
        wanted: String,
    },
    /// The last axis is not as long as the irreps' dimension.
    #[error("has {} on its last axis where its irreps have {wanted}", Counted(*.given, "element"))]
    Width {
        /// The length given.
        given: usize,
        /// The dimension of the irreps.
        wanted: usize,
    },
    /// A mask holds something else than 0 and 1.
    #[error("is a mask but holds {value} at {place:?}")]
    NotBool {
        /// The byte.
        value: u8,
        /// Where it is.
        place: Vec<usize>,
    },
}
