//! Lowers a model spec to a graph: every layer option of e3nn_jax becomes contractions, maps and explicit constants.
//!
//! Invariants of a graph that is built: it passes [`crate::verify`]; every parameter of e3nn_jax's module is a node,
//! used or not, with flax's name and shape; [`Type::zero`] are e3nn_jax's zero flags, which batch norm depends on (where
//! a map or a reshape states them, its values are zero for every input); outputs stand in the order of the spec, then the
//! updated statistics in the order of the layers.

#![expect(clippy::indexing_slicing, reason = "places are of lists made here, as long as their irreps")]

mod batch_norm;
mod builder;
mod contraction;
mod instructions;
mod linear;
mod mlp;
mod pieces;
mod pointwise;
mod structure;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use crate::graph::{Graph, Output, OutputKind, ValueId};
use crate::irreps::Irreps;
use crate::limits::Limits;
use crate::spec::{InputKind, InputSpec, Layer, LayerOp, ModelSpec, Problem, Source, Spanned, SpecError};
use crate::ty::{DType, Type};
use builder::Builder;

/// What a model is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Batch norms use the batch's statistics and update the running ones.
    Train,
    /// Batch norms use the running statistics; nothing is updated.
    Infer,
}

/// A spec that is well formed but means no model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.iter().map(|p| p.message.as_str()).collect::<Vec<_>>().join("; "))]
pub struct BuildError {
    /// What is wrong, in the order of the layers; at least one.
    pub problems: Vec<Problem>,
}

impl BuildError {
    /// The error with its places in the source that the spec was parsed from.
    pub fn located(self, source: &Source) -> SpecError {
        SpecError::new(source, self.problems)
    }
}

/// What a name of the spec stands for; `None` where its layer has a problem, so that layers after it have no meaning.
type Values<'s> = HashMap<&'s str, Option<ValueId>>;

/// Builds the graph of a model.
pub fn build(spec: &ModelSpec, mode: Mode) -> Result<Graph, BuildError> {
    build_within(spec, mode, &Limits::default())
}

/// The same with other limits.
pub fn build_within(spec: &ModelSpec, mode: Mode, limits: &Limits) -> Result<Graph, BuildError> {
    let mut builder = Builder::new(&spec.name, spec.dtype, mode, limits);
    let mut values = Values::new();
    let mut problems = Vec::new();
    for (name, input) in &spec.inputs {
        let ty = input_type(input, spec.dtype);
        if !ty.has_exact_size() {
            let message = format!("the input `{name}` fits in no memory");
            problems.push(Problem::new(message, "too large", input.span.clone()));
        }
        values.insert(name, Some(builder.graph.input(name, ty)));
    }
    for layer in &spec.layers {
        let lowered = lower_layer(&mut builder, layer, &values);
        let within = builder.check_limits();
        let value = lowered.and_then(|value| within.map(|()| value)).unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        values.insert(&layer.name, value);
    }
    for name in &spec.outputs {
        match lookup(&values, name) {
            Ok(Some(value)) => builder.graph.outputs.push(output(&builder, name, value)),
            Ok(None) => {}
            Err(problem) => problems.push(problem),
        }
    }
    builder.graph.outputs.append(&mut builder.statistics);
    if problems.is_empty() { Ok(builder.graph) } else { Err(BuildError { problems }) }
}

fn input_type(input: &InputSpec, dtype: DType) -> Type {
    let (irreps, dtype) = match &input.kind {
        InputKind::Features(irreps) => (irreps.clone(), dtype),
        InputKind::Index => (Irreps::scalars(1), DType::I32),
        InputKind::Mask => (Irreps::scalars(1), DType::Bool),
    };
    Type::new(input.shape.clone(), irreps, dtype)
}

fn lookup(values: &Values, name: &Spanned<String>) -> Result<Option<ValueId>, Problem> {
    let unknown =
        || Problem::new(format!("`{}` is neither an input nor an earlier layer", name.value), "", name.span.clone());
    values.get(name.as_str()).copied().ok_or_else(unknown)
}

fn output(builder: &Builder, name: &str, value: ValueId) -> Output {
    // Indices and masks have no axis of irreps.
    let shape = (!builder.ty(value).dtype.is_float()).then(Vec::new);
    Output { name: Arc::from(name), kind: OutputKind::Output, value, shape }
}

/// Checks that what a layer reads is not too much in all: joined or added, it is as many paths.
fn check_inputs(builder: &Builder, layer: &Layer, inputs: &[ValueId]) -> Result<(), Problem> {
    let chunks = inputs.iter().map(|value| builder.ty(*value).irreps.len()).fold(0, usize::saturating_add);
    builder
        .within("paths", builder.limits.paths, chunks, || format!("the chunks of all inputs of `{}`", layer.name.value))
}

/// `Ok(None)` where something that the layer reads has a problem of its own, or the graph is as large as it may be.
fn lower_layer(builder: &mut Builder, layer: &Layer, values: &Values) -> Result<Option<ValueId>, Problem> {
    let reads = layer.references().map(|name| lookup(values, name)).collect::<Result<Option<Vec<_>>, _>>()?;
    let Some(reads) = reads.filter(|_| !builder.is_full()) else { return Ok(None) };
    let (inputs, side) = reads.split_at(layer.inputs.len());
    builder.enter(layer);
    for (name, value) in layer.inputs.iter().zip(inputs) {
        let dtype = builder.ty(*value).dtype;
        if !dtype.is_float() {
            let message =
                format!("`{}` reads `{}`, which is {dtype}: features are needed", layer.name.value, name.value);
            return Err(Problem::new(message, "not features", name.span.clone()));
        }
    }
    let [x, ..] = *inputs else {
        return Err(Problem::new(format!("`{}` has no input", layer.name.value), "", layer.span.clone()));
    };
    check_inputs(builder, layer, inputs)?;
    let side = side.first().copied();
    match &layer.op {
        LayerOp::Linear(options) => linear::linear(builder, layer, options, x, side),
        LayerOp::Mlp(options) => mlp::mlp(builder, layer, options, x),
        LayerOp::BatchNorm(options) => batch_norm::batch_norm(builder, layer, options, x, side),
        LayerOp::Add => structure::add(builder, layer, inputs),
        LayerOp::Concatenate => structure::concatenate(builder, layer, inputs),
        LayerOp::Filter(rule) => Ok(structure::filter(builder, rule, x)),
        LayerOp::Regroup => Ok(structure::regroup(builder, x)),
        LayerOp::Norm { squared } => Ok(pointwise::norm(builder, x, *squared)),
        LayerOp::Multiply => structure::multiply(builder, layer, inputs),
        LayerOp::ScalarActivation(options) => pointwise::scalar_activation(builder, layer, options, x),
        LayerOp::NormActivation(options) => pointwise::norm_activation(builder, layer, options, x),
        LayerOp::Gate(options) => pointwise::gate(builder, layer, options, x),
    }
    .map(Some)
}
