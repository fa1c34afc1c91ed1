//! The ops of a spec that is built, each with its options.
//!
//! An option that is not stated has the default of docs/model-spec.md; of an option that is stated twice, the last value
//! counts.

use std::fmt::Display;

use super::Table;
use super::literal::{Literal, Normalization};
use crate::spec::{Activation, Biases, Initializer, IrrepNormalization, OutputActivation, Reduce};

/// A layer in the making, without its name.
#[derive(Clone, Debug)]
pub struct LayerBuilder(pub(super) Table);

macro_rules! ops {
    ($($(#[$doc:meta])* $layer:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $layer(Table);

        impl From<$layer> for LayerBuilder {
            fn from(layer: $layer) -> Self {
                LayerBuilder(layer.0)
            }
        }
    )*};
}

ops! {
    /// `linear`, made by [`linear`].
    LinearLayer
    /// `mlp`, made by [`mlp`].
    MlpLayer
    /// `batch_norm`, made by [`batch_norm`].
    BatchNormLayer
    /// `filter`, made by [`filter`].
    FilterLayer
    /// `norm`, made by [`norm`].
    NormLayer
    /// `scalar_activation`, made by [`scalar_activation`].
    ScalarActivationLayer
    /// `norm_activation`, made by [`norm_activation`].
    NormActivationLayer
    /// `gate`, made by [`gate`].
    GateLayer
}

#[track_caller]
fn op(name: &str, input: impl Into<Literal>) -> Table {
    let mut table = Table::new();
    table.set("op", name);
    table.set("input", input);
    table
}

fn names(names: impl IntoIterator<Item = impl Into<String>>) -> Vec<String> {
    names.into_iter().map(Into::into).collect()
}

/// An equivariant linear map to `irreps_out`; those that Schur's lemma cannot reach are dropped, unless forced.
#[track_caller]
pub fn linear(input: impl Into<String>, irreps_out: impl Display) -> LinearLayer {
    LinearLayer(op("linear", input.into())).with("irreps_out", irreps_out.to_string())
}

/// Dense layers of these widths, on scalars alone.
#[track_caller]
pub fn mlp(input: impl Into<String>, list_neurons: impl IntoIterator<Item = usize>) -> MlpLayer {
    MlpLayer(op("mlp", input.into())).with("list_neurons", list_neurons.into_iter().collect::<Vec<_>>())
}

/// Equivariant batch normalisation.
#[track_caller]
pub fn batch_norm(input: impl Into<String>) -> BatchNormLayer {
    BatchNormLayer(op("batch_norm", input.into()))
}

/// The sum of inputs of equal irreps.
#[track_caller]
pub fn add(inputs: impl IntoIterator<Item = impl Into<String>>) -> LayerBuilder {
    LayerBuilder(op("add", names(inputs)))
}

/// The inputs one after the other, along the axis of irreps.
#[track_caller]
pub fn concatenate(inputs: impl IntoIterator<Item = impl Into<String>>) -> LayerBuilder {
    LayerBuilder(op("concatenate", names(inputs)))
}

/// Some of the chunks: one of [`FilterLayer::keep`], [`FilterLayer::drop`] and [`FilterLayer::lmax`] says which.
#[track_caller]
pub fn filter(input: impl Into<String>) -> FilterLayer {
    FilterLayer(op("filter", input.into()))
}

/// Chunks sorted and joined.
#[track_caller]
pub fn regroup(input: impl Into<String>) -> LayerBuilder {
    LayerBuilder(op("regroup", input.into()))
}

/// One scalar an irrep.
#[track_caller]
pub fn norm(input: impl Into<String>) -> NormLayer {
    NormLayer(op("norm", input.into()))
}

/// Scalars times irreps: one of the two is all `0e`, with as many scalars as the other has irreps.
#[track_caller]
pub fn multiply(left: impl Into<String>, right: impl Into<String>) -> LayerBuilder {
    LayerBuilder(op("multiply", vec![left.into(), right.into()]))
}

/// Functions of the scalars.
#[track_caller]
pub fn scalar_activation(input: impl Into<String>) -> ScalarActivationLayer {
    ScalarActivationLayer(op("scalar_activation", input.into()))
}

/// Irreps scaled by functions of their norms: one activation or none a chunk.
#[track_caller]
pub fn norm_activation(
    input: impl Into<String>,
    acts: impl IntoIterator<Item = impl Into<Option<Activation>>>,
) -> NormActivationLayer {
    NormActivationLayer(op("norm_activation", input.into())).with("acts", activations(acts))
}

/// Scalars activated, the last of them as gates of the other irreps.
#[track_caller]
pub fn gate(input: impl Into<String>) -> GateLayer {
    GateLayer(op("gate", input.into()))
}

fn activations(acts: impl IntoIterator<Item = impl Into<Option<Activation>>>) -> Vec<Option<Activation>> {
    acts.into_iter().map(Into::into).collect()
}

/// Options: each a method of the option's name, whose argument becomes the option's value.
macro_rules! options {
    ($layer:ident { $($(#[$doc:meta])* $option:ident($argument:ident: $type:ty) = $value:expr;)* }) => {
        impl $layer {
            #[track_caller]
            fn with(mut self, option: &'static str, value: impl Into<Literal>) -> Self {
                self.0.set(option, value);
                self
            }

            $(
                $(#[$doc])*
                #[track_caller]
                pub fn $option(self, $argument: $type) -> Self {
                    self.with(stringify!($option), $value)
                }
            )*
        }
    };
}

options!(LinearLayer {
    /// The irreps that the input must have. Default: whatever it has.
    irreps_in(irreps: impl Display) = irreps.to_string();
    /// The new size of the axis before the irreps, which is mixed with them. Default: no such axis.
    channel_out(size: usize) = size;
    /// Biases of the scalars: a flag, or one an output irrep. Default false.
    biases(biases: impl Into<Biases>) = biases.into();
    /// How paths are weighed. Default: the model's.
    path_normalization(normalization: impl Into<Normalization>) = normalization.into();
    /// Where weights are normalised. Default: the model's.
    gradient_normalization(normalization: impl Into<Normalization>) = normalization.into();
    /// Pairs of a chunk of the input and one of the output. Default: all pairs of equal irrep.
    instructions(pairs: impl IntoIterator<Item = [usize; 2]>) = pairs.into_iter().collect::<Vec<_>>();
    /// The number of sets of weights among which `weights` picks. Default: not indexed.
    num_indexed_weights(count: usize) = count;
    /// Whether every channel has its own external weights. Default false.
    weights_per_channel(flag: bool) = flag;
    /// Whether to return unreachable irreps too, as zeros. Default false.
    force_irreps_out(flag: bool) = flag;
    /// Whether to regroup the input and simplify the output first. Default true.
    simplify_irreps_internally(flag: bool) = flag;
    /// The index that picks, or the scalars that make, the weights. Default: one set for all rows.
    weights(name: impl Into<String>) = name.into();
    /// How weights and biases start. Default: normal weights as e3nn_jax has them, zero biases.
    init(initializer: Initializer) = initializer;
});

options!(MlpLayer {
    /// The activation between dense layers, normalised. Default: none.
    act(activation: impl Into<Option<Activation>>) = activation.into();
    /// Where kernels are normalised. Default: the model's.
    gradient_normalization(normalization: impl Into<Normalization>) = normalization.into();
    /// What follows the last dense layer: true is `act`, false is nothing. Default true.
    output_activation(activation: impl Into<OutputActivation>) = activation.into();
    /// Whether dense layers have biases. Default false.
    with_bias(flag: bool) = flag;
    /// How kernels start; biases start at zero. Default: normal kernels as e3nn_jax has them.
    init(initializer: Initializer) = initializer;
});

options!(BatchNormLayer {
    /// Whether to use the stored statistics. Default: in inference, not in training.
    use_running_average(flag: bool) = flag;
    /// The weight of 1 beside the measured variance. Default 1e-4.
    eps(weight: f64) = weight;
    /// The weight of the new statistics in the running ones. Default 0.1.
    momentum(weight: f64) = weight;
    /// Whether there are learnable weights and biases. Default true.
    affine(flag: bool) = flag;
    /// How squared norms are reduced over the axes between batch and irreps. Default mean.
    reduce(reduce: Reduce) = reduce;
    /// Whether every element of the batch has statistics of its own. Default false.
    instance(flag: bool) = flag;
    /// How irreps are measured. Default: the model's.
    normalization(normalization: IrrepNormalization) = normalization;
    /// The mask of the rows that the statistics see. Default: all.
    mask(name: impl Into<String>) = name.into();
});

options!(FilterLayer {
    /// Lets chunks of these irreps through.
    keep(irreps: impl IntoIterator<Item = impl Display>) = irreps.into_iter().map(|ir| ir.to_string()).collect::<Vec<_>>();
    /// Lets all chunks but those of these irreps through.
    drop(irreps: impl IntoIterator<Item = impl Display>) = irreps.into_iter().map(|ir| ir.to_string()).collect::<Vec<_>>();
    /// Lets chunks of at most this degree through.
    lmax(degree: u32) = degree;
});

options!(NormLayer {
    /// Whether to leave the square root out. Default false.
    squared(flag: bool) = flag;
});

options!(ScalarActivationLayer {
    /// One activation or none a chunk. Default: [`Self::even_act`] and [`Self::odd_act`] decide.
    acts(acts: impl IntoIterator<Item = impl Into<Option<Activation>>>) = activations(acts);
    /// The activation of `0e`, where there are no `acts`. Default gelu.
    even_act(activation: Activation) = activation;
    /// The activation of `0o`, where there are no `acts`. Default soft_odd.
    odd_act(activation: Activation) = activation;
    /// Whether activations are scaled to second moment 1. Default true.
    normalize_act(flag: bool) = flag;
});

options!(NormActivationLayer {
    /// How norms are measured. Default component.
    normalization(normalization: IrrepNormalization) = normalization;
});

options!(GateLayer {
    /// The activation of `0e` that is not a gate. Default gelu.
    even_act(activation: Activation) = activation;
    /// The activation of `0o` that is not a gate. Default soft_odd.
    odd_act(activation: Activation) = activation;
    /// The activation of `0e` gates. Default sigmoid.
    even_gate_act(activation: Activation) = activation;
    /// The activation of `0o` gates. Default tanh.
    odd_gate_act(activation: Activation) = activation;
    /// Whether activations are scaled to second moment 1. Default true.
    normalize_act(flag: bool) = flag;
});
