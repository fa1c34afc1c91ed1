//! Losses that contain a gradient with respect to an input, as forces are.

use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use schur_compiler::autodiff::{VjpOptions, vjp};
use schur_ir::build::{Mode, build};
use schur_ir::graph::OutputKind;

use super::check;
use crate::random_graph::{random_arrays, random_sizes};
use crate::specs::spec;

/// Checks ∂(a·energy + b·∂energy/∂x)/∂(x, parameters).
fn check_forces(layers: &str, mode: Mode) {
    let text = format!(
        "name = 'm'\ndtype = 'f64'\noutputs = ['energy']\n\
         inputs.x = {{ shape = ['N'], irreps = '6x0e+2x1o' }}\ninputs.e = {{ shape = ['N'], irreps = '2x0e' }}\n{layers}"
    );
    let graph = build(&spec(&text), mode).unwrap();
    let energy = (OutputKind::Output, Arc::from("energy"));
    let joint = vjp(&graph, &VjpOptions { outputs: vec![energy.clone()], wrt: vec!["x".into()] }).unwrap();
    let options = VjpOptions { outputs: vec![energy, (OutputKind::Gradient, "x".into())], ..VjpOptions::new(&graph) };
    for seed in 0..4 {
        let (inputs, params) = random_arrays(&joint, &random_sizes(&joint, seed), seed);
        check(&joint, &options, &inputs, &params, &mut ChaCha8Rng::seed_from_u64(seed));
    }
}

#[test]
fn of_an_mlp_of_norms() {
    let layers = "[[layers]]\nname = 'norms'\nop = 'norm'\ninput = 'x'\n\
         [[layers]]\nname = 'energy'\nop = 'mlp'\ninput = 'norms'\nlist_neurons = [5, 1]\nact = 'silu'\n\
         with_bias = true\noutput_activation = false\n";
    check_forces(layers, Mode::Infer);
}

#[test]
fn of_a_gate_between_linears() {
    let layers = "[[layers]]\nname = 'up'\nop = 'linear'\ninput = 'x'\nirreps_out = '5x0e+2x1o'\nweights = 'e'\n\
         [[layers]]\nname = 'gate'\nop = 'gate'\ninput = 'up'\n\
         [[layers]]\nname = 'squares'\nop = 'norm'\ninput = 'gate'\nsquared = true\n\
         [[layers]]\nname = 'energy'\nop = 'linear'\ninput = 'squares'\nirreps_out = '1x0e'\nbiases = true\n";
    check_forces(layers, Mode::Infer);
}

#[test]
fn of_a_batch_norm_of_this_batch() {
    let layers = "[[layers]]\nname = 'up'\nop = 'linear'\ninput = 'x'\nirreps_out = '3x0e+2x1o'\n\
         [[layers]]\nname = 'bn'\nop = 'batch_norm'\ninput = 'up'\n\
         [[layers]]\nname = 'act'\nop = 'norm_activation'\ninput = 'bn'\nacts = ['tanh', 'silu']\n\
         [[layers]]\nname = 'squares'\nop = 'norm'\ninput = 'act'\nsquared = true\n\
         [[layers]]\nname = 'energy'\nop = 'linear'\ninput = 'squares'\nirreps_out = '1x0e'\n";
    check_forces(layers, Mode::Train);
}
