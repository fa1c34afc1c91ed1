//! Dense layers on scalars.

use super::builder::{Builder, constant, init, leading, shared};
use super::contraction::{Axes, Contraction};
use crate::graph::ValueId;
use crate::irreps::Irreps;
use crate::spec::{Activation, Layer, Mlp, OutputActivation, Problem};

/// `mlp`: dense layers, each with a normalised activation. A stated `init` is that of the kernels; biases start at
/// zero.
pub(super) fn mlp(b: &mut Builder, layer: &Layer, options: &Mlp, x: ValueId) -> Result<ValueId, Problem> {
    let irreps = &b.ty(x).irreps;
    if !irreps.is_scalar() {
        let message = format!("`{}` reads `{irreps}`: `mlp` needs scalars (0e) alone", layer.name.value);
        return Err(Problem::new(message, "not scalars", layer.inputs[0].span.clone())
            .with_help("a `filter` with `keep = [\"0e\"]` or a `norm` gives scalars"));
    }
    let last_act = match options.output_activation {
        OutputActivation::SameAsAct => options.act,
        OutputActivation::None => None,
        OutputActivation::Given(act) => Some(act),
    };
    let mut value = x;
    for (k, &neurons) in options.list_neurons.iter().enumerate() {
        let act = if k + 1 < options.list_neurons.len() { options.act } else { last_act };
        value = dense(b, layer, options, k, neurons, value)?;
        value = activated(b, value, act);
    }
    // e3nn_jax returns one chunk and forgets what it knew to be zero.
    let (dims, width) = (b.ty(value).dims.clone(), b.ty(value).width());
    Ok(b.reshape(value, dims, Irreps::scalars(width), vec![false]))
}

/// Layer `k`: the product with the kernel and the bias, both times the normalisation.
fn dense(
    b: &mut Builder,
    layer: &Layer,
    options: &Mlp,
    k: usize,
    neurons: usize,
    x: ValueId,
) -> Result<ValueId, Problem> {
    let (rows, width) = (b.ty(x).dims.clone(), b.ty(x).width());
    if width == 0 {
        return Err(b.problem(format!("dense layer {k} of `{}` has no scalar to read", b.layer())));
    }
    let (gradient, scale) = (options.gradient_normalization, (1.0 / width as f64).sqrt());
    let (coefficient, std) = (scale.powf(gradient), scale.powf(1.0 - gradient));
    b.finite(layer, "gradient_normalization", &format!("the factor of dense layer {k}"), coefficient)?;
    b.finite(layer, "gradient_normalization", &format!("the standard deviation of kernel {k}"), std)?;
    let kernel_init = init(options.init.as_ref(), std);
    let kernel = shared(b.param("params", &format!("Dense_{k}/kernel"), vec![width, neurons], 0, kernel_init)?);
    let mut contraction = Contraction::over(&rows);
    for piece in b.pieces(x).iter().filter(|p| !p.zero) {
        let axes = Axes::new([('u', piece.mul), ('v', neurons)]);
        let input = (&leading(x, rows.len()), axes.dense(piece.offset, "u"));
        let weight = (&kernel, axes.dense(piece.offset * neurons, "uv"));
        contraction.path(coefficient, &axes, [input, weight], axes.dense(0, "v"));
    }
    if options.with_bias {
        let bias = b.param("params", &format!("Dense_{k}/bias"), vec![neurons], 0, constant(0.0))?;
        let axes = Axes::new([('v', neurons)]);
        contraction.path(coefficient, &axes, [(&shared(bias), axes.dense(0, "v"))], axes.dense(0, "v"));
    }
    Ok(b.contract_scalars(contraction, neurons))
}

fn activated(b: &mut Builder, x: ValueId, act: Option<Activation>) -> ValueId {
    match act {
        Some(act) => {
            let irreps = b.ty(x).irreps.clone();
            b.map_one(x, act.normalized(), irreps, vec![false])
        }
        None => x,
    }
}
