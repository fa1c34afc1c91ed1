//! Gradients: the joint graph, evaluated by the reference, against central differences of the forward graph.

mod chosen;
mod naming;
mod rules;
mod second_order;

use std::sync::Arc;

use ndarray::ArrayD;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use schur_compiler::autodiff::{VjpOptions, vjp};
use schur_ir::graph::{Graph, Op, OutputKind};
use schur_ir::ty::DType;
use schur_ir::verify::verify;
use schur_runtime::array::Array;
use schur_runtime::reference::{Arrays, Evaluated, bind, evaluate};

use crate::random_graph::{random_arrays, random_sizes, random_smooth_graph};

#[test]
fn gradients_of_random_graphs_are_slopes() {
    for seed in 0..100 {
        let graph = random_smooth_graph(seed, DType::F64);
        check_random(&graph, &VjpOptions::new(&graph), seed);
    }
}

#[test]
fn gradients_of_gradients_of_random_graphs_are_slopes() {
    for seed in 0..30 {
        let graph = random_smooth_graph(seed, DType::F64);
        let joint = vjp(&graph, &VjpOptions::new(&graph)).unwrap();
        check_random(&joint, &gradients_too(&joint), seed);
    }
}

/// All outputs of the spec and all gradients, with respect to everything.
fn gradients_too(joint: &Graph) -> VjpOptions {
    let mut options = VjpOptions::new(joint);
    let gradients = joint.outputs.iter().filter(|o| o.kind == OutputKind::Gradient);
    options.outputs.extend(gradients.map(|o| (o.kind, o.name.clone())));
    options
}

/// Checks the gradients at a random place, away from the kinks and steps of random graphs, which are on a grid.
fn check_random(graph: &Graph, options: &VjpOptions, seed: u64) {
    let (mut inputs, mut params) = random_arrays(graph, &random_sizes(graph, seed), seed);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for array in inputs.values_mut().chain(params.values_mut()).filter(|array| array.dtype().is_float()) {
        *array = Array::from_f64(&array.to_f64().mapv(|x| x + rng.random_range(0.2..0.8) / 512.0), DType::F64);
    }
    check(graph, options, &inputs, &params, &mut rng);
}

/// Checks that the joint graph computes what the graph does, and of every gradient the slope in a random direction.
fn check(graph: &Graph, options: &VjpOptions, inputs: &Arrays, params: &Arrays, rng: &mut ChaCha8Rng) {
    let joint = vjp(graph, options).unwrap();
    verify(&joint).unwrap_or_else(|e| panic!("{e}\n{joint}"));
    let sizes = bind(graph, inputs).unwrap();
    let mut all_inputs = inputs.clone();
    let mut cotangents = Vec::new();
    for node in &joint.nodes[graph.nodes.len()..][..options.outputs.len()] {
        let mut shape: Vec<usize> = node.ty.dims.iter().map(|d| d.evaluate(&sizes).unwrap()).collect();
        shape.push(node.ty.width());
        let cotangent = random(shape, rng);
        let Op::Input(name) = &node.op else { panic!("cotangents come first\n{joint}") };
        all_inputs.insert(name.to_string(), Array::from_f64(&cotangent, DType::F64));
        cotangents.push(cotangent);
    }
    let evaluated = evaluate(&joint, &all_inputs, params).unwrap();
    let forward = evaluate(graph, inputs, params).unwrap();
    assert!(forward.statistics == evaluated.statistics, "{joint}");

    let objective = |inputs: &Arrays, params: &Arrays| {
        let evaluated = evaluate(graph, inputs, params).unwrap();
        options.outputs.iter().zip(&cotangents).map(|(o, g)| dot(of(&evaluated, o), g)).collect::<Vec<_>>()
    };
    let size: f64 = options.outputs.iter().zip(&cotangents).map(|(o, g)| dot(of(&forward, o), g).1).sum();
    assert_eq!(evaluated.gradients.len(), options.wrt.len());
    for (name, gradient) in &evaluated.gradients {
        let at = inputs.get(name).or(params.get(name)).unwrap();
        assert_eq!(at.shape(), gradient.shape(), "{name}");
        let direction = random(at.shape().to_vec(), rng);
        let moved = |step: f64| {
            let array = Array::from_f64(&(at.to_f64() + &direction * step), DType::F64);
            let (mut inputs, mut params) = (inputs.clone(), params.clone());
            let list = if inputs.contains_key(name) { &mut inputs } else { &mut params };
            list.insert(name.clone(), array);
            objective(&inputs, &params)
        };
        let slope = |step: f64| {
            let terms = moved(step).into_iter().zip(moved(-step)).map(|((a, _), (b, _))| a - b);
            terms.sum::<f64>() / (2.0 * step)
        };
        let (wanted, magnitude) = dot(gradient, &direction);
        let found = [1e-5, 1e-4, 1e-6].map(slope);
        let tolerance = 1e-6 * magnitude + 1e-9 * size;
        let near = found.iter().any(|slope| (slope - wanted).abs() <= tolerance);
        assert!(near, "`{name}`: {wanted}, slopes {found:?}, tolerance {tolerance}\n{joint}");
    }
}

fn of<'e>(evaluated: &'e Evaluated, (kind, name): &(OutputKind, Arc<str>)) -> &'e ArrayD<f64> {
    match kind {
        OutputKind::Output => &evaluated.outputs[&**name],
        OutputKind::Statistic => &evaluated.statistics[&**name],
        OutputKind::Gradient => &evaluated.gradients[&**name],
    }
}

fn random(shape: Vec<usize>, rng: &mut ChaCha8Rng) -> ArrayD<f64> {
    ArrayD::from_shape_simple_fn(shape, || rng.random_range(-1.0..1.0))
}

/// The sum of products, and of their magnitudes.
fn dot(a: &ArrayD<f64>, b: &ArrayD<f64>) -> (f64, f64) {
    assert_eq!(a.len(), b.len());
    let products = || a.iter().zip(b).map(|(x, y)| x * y);
    (products().sum(), products().map(f64::abs).sum())
}
