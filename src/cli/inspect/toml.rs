//! A spec as TOML, defaults filled in: read again, it is the same spec.

use std::fmt::Display;

use schur::spec::{
    Activation, BatchNorm, Biases, FilterRule, Initializer, InputKind, InputSpec, Layer, LayerOp, Linear, Mlp,
    OutputActivation, ScalarActivation, Spanned,
};
use schur::{Irrep, ModelSpec};

use crate::cli::shown::shown_json;

/// The text of a spec.
pub(super) fn toml(spec: &ModelSpec) -> String {
    let mut out = Text::default();
    out.set("name", text(&spec.name));
    out.set("dtype", text(spec.dtype.name()));
    out.set("outputs", list(spec.outputs.iter().map(name)));
    if spec.layers.is_empty() {
        out.set("layers", "[]");
    }
    out.head("[config]");
    out.set("path_normalization", balance(spec.config.path_normalization));
    out.set("gradient_normalization", balance(spec.config.gradient_normalization));
    out.set("irrep_normalization", text(spec.config.irrep_normalization.name()));
    for (name, input) in &spec.inputs {
        out.input(name, input);
    }
    for layer in &spec.layers {
        out.layer(layer);
    }
    out.0
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn head(&mut self, head: &str) {
        self.0 += &format!("\n{head}\n");
    }

    fn set(&mut self, key: &str, value: impl Display) {
        self.0 += &format!("{key} = {value}\n");
    }

    /// Sets a key that has no default where it has a value.
    fn set_some(&mut self, key: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    fn input(&mut self, name: &str, input: &InputSpec) {
        self.head(&format!("[inputs.{}]", key(name)));
        let size = |dim: &schur::ir::dim::Dim| dim.constant().map_or_else(|| text(&dim.to_string()), |n| n.to_string());
        self.set("shape", list(input.shape.iter().map(size)));
        match &input.kind {
            InputKind::Features(irreps) => self.set("irreps", quoted(irreps)),
            InputKind::Index => self.set("dtype", text("i32")),
            InputKind::Mask => self.set("dtype", text("bool")),
        }
    }

    fn layer(&mut self, layer: &Layer) {
        self.head("[[layers]]");
        self.set("name", name(&layer.name));
        self.set("op", text(layer.op.name()));
        match &*layer.inputs {
            [input] => self.set("input", name(input)),
            inputs => self.set("input", list(inputs.iter().map(name))),
        }
        match &layer.op {
            LayerOp::Linear(linear) => self.linear(linear),
            LayerOp::Mlp(mlp) => self.mlp(mlp),
            LayerOp::BatchNorm(batch_norm) => self.batch_norm(batch_norm),
            LayerOp::Filter(FilterRule::Keep(irreps)) => self.set("keep", irreps_of(irreps)),
            LayerOp::Filter(FilterRule::Drop(irreps)) => self.set("drop", irreps_of(irreps)),
            LayerOp::Filter(FilterRule::Lmax(lmax)) => self.set("lmax", lmax),
            LayerOp::Norm { squared } => self.set("squared", squared),
            LayerOp::ScalarActivation(activation) => self.scalar_activation(activation),
            LayerOp::NormActivation(activation) => {
                self.set("acts", acts(&activation.acts));
                self.set("normalization", text(activation.normalization.name()));
            }
            LayerOp::Gate(gate) => {
                self.set("even_act", text(gate.even_act.name()));
                self.set("odd_act", text(gate.odd_act.name()));
                self.set("even_gate_act", text(gate.even_gate_act.name()));
                self.set("odd_gate_act", text(gate.odd_gate_act.name()));
                self.set("normalize_act", gate.normalize_act);
            }
            LayerOp::Add | LayerOp::Concatenate | LayerOp::Regroup | LayerOp::Multiply => {}
        }
    }

    fn linear(&mut self, linear: &Linear) {
        self.set("irreps_out", quoted(&linear.irreps_out.value));
        self.set_some("irreps_in", linear.irreps_in.as_ref().map(|irreps| quoted(&irreps.value)));
        self.set_some("channel_out", linear.channel_out);
        match &linear.biases {
            Biases::Flag(flag) => self.set("biases", flag),
            Biases::PerChunk(flags) => self.set("biases", list(flags.iter().map(bool::to_string))),
        }
        self.set("path_normalization", balance(linear.path_normalization));
        self.set("gradient_normalization", balance(linear.gradient_normalization));
        let pair = |pair: &Spanned<[usize; 2]>| format!("{:?}", pair.value);
        self.set_some("instructions", linear.instructions.as_ref().map(|pairs| list(pairs.iter().map(pair))));
        self.set_some("num_indexed_weights", linear.num_indexed_weights);
        self.set("weights_per_channel", linear.weights_per_channel);
        self.set("force_irreps_out", linear.force_irreps_out);
        self.set("simplify_irreps_internally", linear.simplify_irreps_internally);
        self.set_some("weights", linear.weights.as_ref().map(name));
        self.set_some("init", linear.init.as_ref().map(init));
    }

    fn mlp(&mut self, mlp: &Mlp) {
        self.set("list_neurons", format!("{:?}", mlp.list_neurons));
        self.set_some("act", mlp.act.map(|act| text(act.name())));
        self.set("gradient_normalization", balance(mlp.gradient_normalization));
        match mlp.output_activation {
            OutputActivation::SameAsAct => self.set("output_activation", true),
            OutputActivation::None => self.set("output_activation", false),
            OutputActivation::Given(act) => self.set("output_activation", text(act.name())),
        }
        self.set("with_bias", mlp.with_bias);
        self.set_some("init", mlp.init.as_ref().map(init));
    }

    fn batch_norm(&mut self, batch_norm: &BatchNorm) {
        self.set_some("use_running_average", batch_norm.use_running_average);
        self.set("eps", float(batch_norm.eps));
        self.set("momentum", float(batch_norm.momentum));
        self.set("affine", batch_norm.affine);
        self.set("reduce", text(batch_norm.reduce.name()));
        self.set("instance", batch_norm.instance);
        self.set("normalization", text(batch_norm.normalization.name()));
        self.set_some("mask", batch_norm.mask.as_ref().map(name));
    }

    fn scalar_activation(&mut self, activation: &ScalarActivation) {
        self.set_some("acts", activation.acts.as_deref().map(acts));
        self.set("even_act", text(activation.even_act.name()));
        self.set("odd_act", text(activation.odd_act.name()));
        self.set("normalize_act", activation.normalize_act);
    }
}

/// A string, as TOML and JSON quote it.
fn text(text: &str) -> String {
    shown_json(&serde_json::Value::from(text).to_string())
}

/// A key, quoted where it has to be.
fn key(name: &str) -> String {
    let is_bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if is_bare { name.to_owned() } else { text(name) }
}

fn quoted(value: &impl Display) -> String {
    text(&value.to_string())
}

fn name(name: &Spanned<String>) -> String {
    text(&name.value)
}

fn list(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", values.collect::<Vec<_>>().join(", "))
}

fn irreps_of(irreps: &[Irrep]) -> String {
    list(irreps.iter().map(quoted))
}

fn acts(acts: &[Option<Activation>]) -> String {
    list(acts.iter().map(|act| text(act.map_or("none", Activation::name))))
}

/// A float, always with a point or an exponent.
fn float(number: f64) -> String {
    format!("{number:?}")
}

/// A normalisation by its name, where it has one.
fn balance(number: f64) -> String {
    match number {
        0.0 => text("element"),
        1.0 => text("path"),
        number => float(number),
    }
}

fn init(init: &Initializer) -> String {
    let [scale, mean] = [init.scale, init.mean].map(float);
    format!("{{ distribution = {}, scale = {scale}, mean = {mean} }}", text(init.distribution.name()))
}
