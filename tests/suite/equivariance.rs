//! Every layer commutes with rotations and inversion: f(D x) = D f(x), by the reference and by compiled code.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use schur_ir::build::{Mode, build};
use schur_ir::graph::{Graph, Op, OutputKind};
use schur_ir::spec::{LayerOp, ModelSpec};
use schur_ir::ty::DType;
use schur_runtime::array::Array;
use schur_runtime::reference::{Evaluated, evaluate};
use schur_runtime::rotation::Rotation;

use crate::levels::{Arrays, compiled, distance};
use crate::random_graph::{random_arrays, random_sizes};
use crate::specs::{spec, specs};

/// What a level makes of inputs.
type Level<'a> = &'a dyn Fn(&Arrays) -> Evaluated;

fn rotated_inputs(graph: &Graph, rotation: &Rotation, inputs: &Arrays) -> Arrays {
    let rotate = |name: &String, array: &Array| {
        let is_input = |op: &Op| matches!(op, Op::Input(n) if **n == **name);
        let ty = graph.nodes.iter().find(|node| is_input(&node.op)).map(|node| &node.ty);
        ty.map_or_else(|| array.clone(), |ty| rotation.rotated(&ty.irreps, array))
    };
    inputs.iter().map(|(name, array)| (name.clone(), rotate(name, array))).collect()
}

fn rotated_outputs(graph: &Graph, rotation: &Rotation, found: &Evaluated) -> Evaluated {
    let rotate = |(name, array): (&String, &_)| {
        let output = graph.output(OutputKind::Output, name).unwrap_or_else(|| panic!("no output {name}"));
        (name.clone(), rotation.apply(&graph.ty(output.value).irreps, array))
    };
    let outputs: IndexMap<_, _> = found.outputs.iter().map(rotate).collect();
    Evaluated { outputs, ..Evaluated::default() }
}

/// Fails where a model of f64 does not commute with a rotation and its inversion.
fn check(name_of_spec: &str, spec: &ModelSpec) {
    for mode in [Mode::Train, Mode::Infer] {
        let graph = build(spec, mode).unwrap_or_else(|e| panic!("{name_of_spec}: {e:?}"));
        let (inputs, params) = random_arrays(&graph, &random_sizes(&graph, 5), 5);
        let rotation = Rotation::from_quaternion([0.3, -0.5, 0.7, 0.2]);
        for rotation in [rotation, rotation.inverted()] {
            let rotated = rotated_inputs(&graph, &rotation, &inputs);
            let reference = |inputs: &Arrays| evaluate(&graph, inputs, &params).unwrap_or_else(|e| panic!("{e}"));
            let native = |inputs: &Arrays| compiled(&graph, inputs, &params);
            let levels: [(&str, Level<'_>); 2] = [("reference", &reference), ("compiled", &native)];
            for (level, run) in levels {
                let wanted = rotated_outputs(&graph, &rotation, &run(&inputs));
                let (apart, output) = distance(&run(&rotated).outputs, &wanted.outputs);
                assert!(apart < 1e-11, "{name_of_spec} {mode:?} {level}: `{output}` is {apart:e} off");
            }
        }
    }
}

#[test]
fn every_layer_is_equivariant() {
    let mut seen = BTreeSet::new();
    for (name_of_spec, mut spec) in specs() {
        spec.dtype = DType::F64;
        seen.extend(spec.layers.iter().map(|layer| layer.op.name()));
        check(&name_of_spec, &spec);
    }
    assert_eq!(seen, BTreeSet::from(LayerOp::names()));
}

#[test]
fn degrees_of_eleven_and_more_are_equivariant() {
    let text = r#"
        name = "high"
        dtype = "f64"
        outputs = ["y", "norms"]
        inputs.x = { shape = ["N"], irreps = "4x0e + 2x11o + 12e + 3x11o" }
        layers = [
            { name = "h", op = "linear", input = "x", irreps_out = "9x0e + 5x11o + 4x12e" },
            { name = "bn", op = "batch_norm", input = "h" },
            { name = "gated", op = "gate", input = "bn" },
            { name = "norms", op = "norm", input = "bn" },
            { name = "y", op = "linear", input = "gated", irreps_out = "2x12e + 11o" },
        ]
    "#;
    check("high degrees", &spec(text));
}
