//! Values of a spec that is built.

use crate::spec::values::{ELEMENT, NONE, PATH};
use crate::spec::{Activation, Biases, Distribution, Initializer, IrrepNormalization, OutputActivation, Reduce};
use crate::ty::DType;

/// A value, as a file would state it.
#[derive(Clone, Debug)]
pub(super) enum Literal {
    Bool(bool),
    Int(i64),
    Float(f64),
    String(String),
    Array(Vec<Literal>),
    Table(Vec<(&'static str, Literal)>),
}

/// A normalisation between `element`, which is 0, and `path`, which is 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Normalization {
    /// 0: elements are weighed equally; of gradients, the initialisation normalises.
    Element,
    /// 1: paths are weighed equally; of gradients, the forward pass normalises.
    Path,
    /// Something between the two.
    Number(f64),
}

impl From<f64> for Normalization {
    fn from(number: f64) -> Self {
        Normalization::Number(number)
    }
}

/// A leading size of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Size {
    /// A symbol: a size that is known only when the model runs.
    Symbol(String),
    /// A number.
    Number(usize),
}

impl From<&str> for Size {
    fn from(symbol: &str) -> Self {
        Size::Symbol(symbol.to_owned())
    }
}

impl From<String> for Size {
    fn from(symbol: String) -> Self {
        Size::Symbol(symbol)
    }
}

impl From<usize> for Size {
    fn from(size: usize) -> Self {
        Size::Number(size)
    }
}

/// The leading axes of an input: `()`, `["N"]`, `["N", "M"]`, or with numbers `("N", 4)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape(pub Vec<Size>);

impl From<()> for Shape {
    fn from((): ()) -> Self {
        Shape::default()
    }
}

impl From<Vec<Size>> for Shape {
    fn from(sizes: Vec<Size>) -> Self {
        Shape(sizes)
    }
}

impl<S: Into<Size>, const RANK: usize> From<[S; RANK]> for Shape {
    fn from(sizes: [S; RANK]) -> Self {
        Shape(sizes.into_iter().map(Into::into).collect())
    }
}

impl<A: Into<Size>> From<(A, usize)> for Shape {
    fn from((a, b): (A, usize)) -> Self {
        Shape(vec![a.into(), b.into()])
    }
}

impl<A: Into<Size>, B: Into<Size>> From<(A, B, usize)> for Shape {
    fn from((a, b, c): (A, B, usize)) -> Self {
        Shape(vec![a.into(), b.into(), c.into()])
    }
}

impl From<bool> for Biases {
    fn from(flag: bool) -> Self {
        Biases::Flag(flag)
    }
}

impl From<Vec<bool>> for Biases {
    fn from(flags: Vec<bool>) -> Self {
        Biases::PerChunk(flags)
    }
}

impl<const CHUNKS: usize> From<[bool; CHUNKS]> for Biases {
    fn from(flags: [bool; CHUNKS]) -> Self {
        Biases::PerChunk(flags.to_vec())
    }
}

/// `true`: what `act` says; `false`: none.
impl From<bool> for OutputActivation {
    fn from(same: bool) -> Self {
        if same { OutputActivation::SameAsAct } else { OutputActivation::None }
    }
}

impl From<Activation> for OutputActivation {
    fn from(activation: Activation) -> Self {
        OutputActivation::Given(activation)
    }
}

impl From<bool> for Literal {
    fn from(flag: bool) -> Self {
        Literal::Bool(flag)
    }
}

/// One that has more than 63 bits is refused like the largest that has not.
impl From<usize> for Literal {
    fn from(size: usize) -> Self {
        Literal::Int(i64::try_from(size).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Literal {
    fn from(degree: u32) -> Self {
        Literal::Int(degree.into())
    }
}

impl From<f64> for Literal {
    fn from(number: f64) -> Self {
        Literal::Float(number)
    }
}

impl From<&str> for Literal {
    fn from(text: &str) -> Self {
        Literal::String(text.to_owned())
    }
}

impl From<String> for Literal {
    fn from(text: String) -> Self {
        Literal::String(text)
    }
}

impl<T: Into<Literal>> From<Vec<T>> for Literal {
    fn from(values: Vec<T>) -> Self {
        Literal::Array(values.into_iter().map(Into::into).collect())
    }
}

impl From<[usize; 2]> for Literal {
    fn from(pair: [usize; 2]) -> Self {
        Literal::from(pair.to_vec())
    }
}

impl From<Shape> for Literal {
    fn from(Shape(sizes): Shape) -> Self {
        Literal::from(sizes)
    }
}

impl From<Size> for Literal {
    fn from(size: Size) -> Self {
        match size {
            Size::Symbol(symbol) => symbol.into(),
            Size::Number(number) => number.into(),
        }
    }
}

impl From<Normalization> for Literal {
    fn from(normalization: Normalization) -> Self {
        match normalization {
            Normalization::Element => ELEMENT.into(),
            Normalization::Path => PATH.into(),
            Normalization::Number(number) => number.into(),
        }
    }
}

impl From<DType> for Literal {
    fn from(dtype: DType) -> Self {
        dtype.name().into()
    }
}

impl From<IrrepNormalization> for Literal {
    fn from(normalization: IrrepNormalization) -> Self {
        normalization.name().into()
    }
}

impl From<Reduce> for Literal {
    fn from(reduce: Reduce) -> Self {
        reduce.name().into()
    }
}

impl From<Activation> for Literal {
    fn from(activation: Activation) -> Self {
        activation.name().into()
    }
}

impl From<Option<Activation>> for Literal {
    fn from(activation: Option<Activation>) -> Self {
        activation.map_or(NONE, Activation::name).into()
    }
}

impl From<OutputActivation> for Literal {
    fn from(activation: OutputActivation) -> Self {
        match activation {
            OutputActivation::SameAsAct => true.into(),
            OutputActivation::None => false.into(),
            OutputActivation::Given(activation) => activation.into(),
        }
    }
}

impl From<Biases> for Literal {
    fn from(biases: Biases) -> Self {
        match biases {
            Biases::Flag(flag) => flag.into(),
            Biases::PerChunk(flags) => flags.into(),
        }
    }
}

impl From<Distribution> for Literal {
    fn from(distribution: Distribution) -> Self {
        distribution.name().into()
    }
}

impl From<Initializer> for Literal {
    fn from(init: Initializer) -> Self {
        let Initializer { distribution, scale, mean } = init;
        Literal::Table(vec![("distribution", distribution.into()), ("scale", scale.into()), ("mean", mean.into())])
    }
}
