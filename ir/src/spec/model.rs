//! The data model of a spec: what a user's file says, with every default filled in and every word resolved.
//!
//! Invariants of a [`ModelSpec`] that was parsed: names are unique among inputs and layers, and every reference names an
//! input or an earlier layer. Equality ignores places in the file.

use std::ops::Range;

use indexmap::IndexMap;

use super::Spanned;
use super::layers::OPS;
use crate::dim::Dim;
use crate::irreps::{Irrep, Irreps};
use crate::ty::DType;

/// A model: layers applied in order to named inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSpec {
    /// The model's name.
    pub name: String,
    /// The element type of features and parameters: [`DType::F32`] (default) or [`DType::F64`].
    pub dtype: DType,
    /// The names of the inputs or layers that are returned; at least one.
    pub outputs: Vec<Spanned<String>>,
    /// The defaults of the layers.
    pub config: Config,
    /// The inputs by name, in the file's order.
    pub inputs: IndexMap<String, InputSpec>,
    /// The layers in the order in which they run.
    pub layers: Vec<Layer>,
}

/// Defaults of the layers; already applied to them.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// 0 (`element`, default) weighs elements equally, 1 (`path`) paths.
    pub path_normalization: f64,
    /// 0 (`element`) normalises in the initialisation, 1 (`path`, default) in the forward pass.
    pub gradient_normalization: f64,
    /// How batch norms measure an irrep. Default `component`.
    pub irrep_normalization: IrrepNormalization,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            path_normalization: 0.0,
            gradient_normalization: 1.0,
            irrep_normalization: IrrepNormalization::Component,
        }
    }
}

/// How the size of an irrep is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IrrepNormalization {
    /// The mean of the squared components.
    Component,
    /// The sum of the squared components.
    Norm,
}

impl IrrepNormalization {
    /// Both.
    pub const ALL: [IrrepNormalization; 2] = [IrrepNormalization::Component, IrrepNormalization::Norm];

    /// The name in specs.
    pub fn name(self) -> &'static str {
        match self {
            IrrepNormalization::Component => "component",
            IrrepNormalization::Norm => "norm",
        }
    }

    /// What the square of a component of an irrep counts.
    pub fn weight(self, ir: Irrep) -> f64 {
        match self {
            IrrepNormalization::Component => 1.0 / ir.dim() as f64,
            IrrepNormalization::Norm => 1.0,
        }
    }
}

/// One input.
#[derive(Clone, Debug)]
pub struct InputSpec {
    /// The leading sizes: symbols or non-negative integers.
    pub shape: Vec<Dim>,
    /// What its elements are.
    pub kind: InputKind,
    /// Where the input's table begins.
    pub span: Range<usize>,
}

impl PartialEq for InputSpec {
    fn eq(&self, other: &Self) -> bool {
        let InputSpec { shape, kind, span: _ } = self;
        *shape == other.shape && *kind == other.kind
    }
}

/// What the elements of an input are.
#[derive(Clone, Debug, PartialEq)]
pub enum InputKind {
    /// Floats of the model's element type, whose last axis has these irreps.
    Features(Irreps),
    /// `i32` indices, without an axis of irreps.
    Index,
    /// `bool`, without an axis of irreps.
    Mask,
}

/// One layer.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Its name: that of its value and of the scope of its parameters.
    pub name: Spanned<String>,
    /// Where the layer's table begins.
    pub span: Range<usize>,
    /// Where each option that the file states has its value, by the option's name.
    pub option_spans: IndexMap<String, Range<usize>>,
    /// `input`: one name, or a list of them for `add`, `concatenate` and `multiply`.
    pub inputs: Vec<Spanned<String>>,
    /// What it computes.
    pub op: LayerOp,
}

impl PartialEq for Layer {
    fn eq(&self, other: &Self) -> bool {
        let Layer { name, span: _, option_spans: _, inputs, op } = self;
        *name == other.name && *inputs == other.inputs && *op == other.op
    }
}

impl Layer {
    /// The place of an option's value; of the layer where the file leaves the option out.
    pub fn span_of(&self, option: &str) -> Range<usize> {
        self.option_spans.get(option).unwrap_or(&self.span).clone()
    }

    /// Every name that the layer reads: its inputs, then its `weights` or its `mask`.
    pub fn references(&self) -> impl Iterator<Item = &Spanned<String>> {
        let side = match &self.op {
            LayerOp::Linear(linear) => linear.weights.as_ref(),
            LayerOp::BatchNorm(batch_norm) => batch_norm.mask.as_ref(),
            LayerOp::Mlp(_)
            | LayerOp::Add
            | LayerOp::Concatenate
            | LayerOp::Filter(_)
            | LayerOp::Regroup
            | LayerOp::Norm { .. }
            | LayerOp::Multiply
            | LayerOp::ScalarActivation(_)
            | LayerOp::NormActivation(_)
            | LayerOp::Gate(_) => None,
        };
        self.inputs.iter().chain(side)
    }
}

/// What a layer computes, with its options.
#[derive(Clone, Debug, PartialEq)]
pub enum LayerOp {
    /// `linear`: an equivariant linear map.
    Linear(Linear),
    /// `mlp`: dense layers on scalars.
    Mlp(Mlp),
    /// `batch_norm`: equivariant batch normalisation.
    BatchNorm(BatchNorm),
    /// `add`: the sum of the inputs.
    Add,
    /// `concatenate`: the inputs one after the other along the axis of irreps.
    Concatenate,
    /// `filter`: some of the chunks.
    Filter(FilterRule),
    /// `regroup`: chunks sorted and joined.
    Regroup,
    /// `norm`: one scalar an irrep.
    Norm {
        /// Whether to leave the square root out. Default false.
        squared: bool,
    },
    /// `multiply`: scalars times irreps; two inputs.
    Multiply,
    /// `scalar_activation`: functions of the scalars.
    ScalarActivation(ScalarActivation),
    /// `norm_activation`: irreps scaled by functions of their norms.
    NormActivation(NormActivation),
    /// `gate`: scalars activated, the last of them as gates of the other irreps.
    Gate(Gate),
}

impl LayerOp {
    /// The name in specs.
    pub fn name(&self) -> &'static str {
        match self {
            LayerOp::Linear(_) => "linear",
            LayerOp::Mlp(_) => "mlp",
            LayerOp::BatchNorm(_) => "batch_norm",
            LayerOp::Add => "add",
            LayerOp::Concatenate => "concatenate",
            LayerOp::Filter(_) => "filter",
            LayerOp::Regroup => "regroup",
            LayerOp::Norm { .. } => "norm",
            LayerOp::Multiply => "multiply",
            LayerOp::ScalarActivation(_) => "scalar_activation",
            LayerOp::NormActivation(_) => "norm_activation",
            LayerOp::Gate(_) => "gate",
        }
    }

    /// The names of all ops.
    pub fn names() -> [&'static str; 12] {
        OPS.map(|op| op.name)
    }
}

/// The options of `linear`.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    /// The wanted irreps; those that Schur's lemma cannot reach are dropped unless `force_irreps_out`.
    pub irreps_out: Spanned<Irreps>,
    /// The irreps that the input must have. Default: whatever it has.
    pub irreps_in: Option<Spanned<Irreps>>,
    /// The new size of the axis before the irreps, which is mixed with them; at least 1. Default: no such axis.
    pub channel_out: Option<usize>,
    /// Biases of the scalars. Default: none.
    pub biases: Biases,
    /// As in [`Config`], which is its default.
    pub path_normalization: f64,
    /// As in [`Config`], which is its default.
    pub gradient_normalization: f64,
    /// Pairs of a chunk of the input and one of the output. Default: all pairs of equal irrep.
    pub instructions: Option<Vec<Spanned<[usize; 2]>>>,
    /// The number of sets of weights among which `weights` picks; at least 1. Default: not indexed.
    pub num_indexed_weights: Option<usize>,
    /// Whether every channel has its own external weights. Default false.
    pub weights_per_channel: bool,
    /// Whether to return unreachable irreps too, as zeros. Default false.
    pub force_irreps_out: bool,
    /// Whether to regroup the input and simplify the output first. Default true.
    pub simplify_irreps_internally: bool,
    /// What picks (`i32`) or makes (scalars) the weights. Default: one set for all rows.
    pub weights: Option<Spanned<String>>,
    /// How weights and biases start. Default: e3nn_jax's normal weights, zero biases.
    pub init: Option<Initializer>,
}

/// Which chunks of a linear layer's output have a bias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Biases {
    /// All the scalars, or none.
    Flag(bool),
    /// One flag a chunk of the output.
    PerChunk(Vec<bool>),
}

/// A function of a scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// x · sigmoid(x).
    Silu,
    /// The hyperbolic tangent.
    Tanh,
    /// max(x, 0).
    Relu,
    /// The tanh form of x · Φ(x).
    Gelu,
    /// 1 / (1 + e^−x).
    Sigmoid,
    /// log(1 + e^x).
    Softplus,
    /// x · (1 − e^−x²).
    SoftOdd,
    /// The absolute value.
    Abs,
    /// x itself.
    Identity,
}

impl Activation {
    /// All of them, in the order of the documentation.
    pub const ALL: [Activation; 9] = [
        Activation::Silu,
        Activation::Tanh,
        Activation::Relu,
        Activation::Gelu,
        Activation::Sigmoid,
        Activation::Softplus,
        Activation::SoftOdd,
        Activation::Abs,
        Activation::Identity,
    ];

    /// The name in specs.
    pub fn name(self) -> &'static str {
        match self {
            Activation::Silu => "silu",
            Activation::Tanh => "tanh",
            Activation::Relu => "relu",
            Activation::Gelu => "gelu",
            Activation::Sigmoid => "sigmoid",
            Activation::Softplus => "softplus",
            Activation::SoftOdd => "soft_odd",
            Activation::Abs => "abs",
            Activation::Identity => "identity",
        }
    }
}

/// The options of `mlp`.
#[derive(Clone, Debug, PartialEq)]
pub struct Mlp {
    /// The width of every dense layer after the input.
    pub list_neurons: Vec<usize>,
    /// The activation between dense layers, normalised. Default: none.
    pub act: Option<Activation>,
    /// As in [`Config`], which is its default.
    pub gradient_normalization: f64,
    /// The activation after the last dense layer, normalised. Default: `act`.
    pub output_activation: OutputActivation,
    /// Whether dense layers have biases. Default false.
    pub with_bias: bool,
    /// How kernels start; biases start at zero. Default: e3nn_jax's normal kernels.
    pub init: Option<Initializer>,
}

/// What follows the last dense layer of an `mlp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputActivation {
    /// `true`: what `act` says.
    SameAsAct,
    /// `false`: nothing.
    None,
    /// The name of an activation.
    Given(Activation),
}

/// The options of `batch_norm`.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNorm {
    /// Whether to use the stored statistics. Default: in inference, not in training.
    pub use_running_average: Option<bool>,
    /// The weight of 1 beside the measured variance. Default 1e-4.
    pub eps: f64,
    /// The weight of the new statistics in the running ones. Default 0.1.
    pub momentum: f64,
    /// Whether there are learnable weights and biases. Default true.
    pub affine: bool,
    /// How squared norms are reduced over the axes between batch and irreps. Default mean.
    pub reduce: Reduce,
    /// Whether every element of the batch has statistics of its own. Default false.
    pub instance: bool,
    /// How irreps are measured. Default: [`Config::irrep_normalization`].
    pub normalization: IrrepNormalization,
    /// A mask of shape `[batch]`: the rows that the statistics see. Default: all.
    pub mask: Option<Spanned<String>>,
}

/// How squared norms are reduced over the axes between batch and irreps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduce {
    /// Their mean.
    Mean,
    /// The largest.
    Max,
}

impl Reduce {
    /// Both.
    pub const ALL: [Reduce; 2] = [Reduce::Mean, Reduce::Max];

    /// The name in specs.
    pub fn name(self) -> &'static str {
        match self {
            Reduce::Mean => "mean",
            Reduce::Max => "max",
        }
    }
}

/// Which chunks a `filter` lets through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterRule {
    /// Those of these irreps.
    Keep(Vec<Irrep>),
    /// All but those of these irreps.
    Drop(Vec<Irrep>),
    /// Those of at most this degree.
    Lmax(u32),
}

/// The options of `scalar_activation`.
#[derive(Clone, Debug, PartialEq)]
pub struct ScalarActivation {
    /// One activation or none a chunk. Default: `even_act` and `odd_act` decide.
    pub acts: Option<Vec<Option<Activation>>>,
    /// The activation of `0e`, where there are no `acts`. Default `gelu`.
    pub even_act: Activation,
    /// The activation of `0o`, where there are no `acts`. Default `soft_odd`.
    pub odd_act: Activation,
    /// Whether activations are scaled to second moment 1. Default true.
    pub normalize_act: bool,
}

/// The options of `norm_activation`.
#[derive(Clone, Debug, PartialEq)]
pub struct NormActivation {
    /// One activation or none a chunk.
    pub acts: Vec<Option<Activation>>,
    /// How norms are measured. Default `component`.
    pub normalization: IrrepNormalization,
}

/// The options of `gate`.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    /// The activation of `0e` that is not a gate. Default `gelu`.
    pub even_act: Activation,
    /// The activation of `0o` that is not a gate. Default `soft_odd`.
    pub odd_act: Activation,
    /// The activation of `0e` gates. Default `sigmoid`.
    pub even_gate_act: Activation,
    /// The activation of `0o` gates. Default `tanh`.
    pub odd_gate_act: Activation,
    /// Whether activations are scaled to second moment 1. Default true.
    pub normalize_act: bool,
}

/// How parameters start.
#[derive(Clone, Debug, PartialEq)]
pub struct Initializer {
    /// The family of distributions.
    pub distribution: Distribution,
    /// The spread. Default 1.
    pub scale: f64,
    /// The centre. Default 0.
    pub mean: f64,
}

impl Default for Initializer {
    fn default() -> Self {
        Initializer { distribution: Distribution::Normal, scale: 1.0, mean: 0.0 }
    }
}

/// A family of distributions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Distribution {
    /// Normal.
    #[default]
    Normal,
    /// Uniform.
    Uniform,
    /// Normal, cut at two standard deviations.
    TruncatedNormal,
    /// All equal.
    Constant,
}

impl Distribution {
    /// All of them.
    pub const ALL: [Distribution; 4] =
        [Distribution::Normal, Distribution::Uniform, Distribution::TruncatedNormal, Distribution::Constant];

    /// The name in specs.
    pub fn name(self) -> &'static str {
        match self {
            Distribution::Normal => "normal",
            Distribution::Uniform => "uniform",
            Distribution::TruncatedNormal => "truncated_normal",
            Distribution::Constant => "constant",
        }
    }
}
