//! Gradients with respect to what is chosen: those of all, without the work for others.

use std::sync::Arc;

use schur::runtime::input::Input;
use schur::spec::{Activation, SpecBuilder, gate, linear, mlp, norm};
use schur::{Array, CompileOptions, CompiledModel, DType, Error, Mode, Model, Outputs, Pass};
use schur_ir::graph::OutputKind;

use crate::random_graph::random_arrays;

fn model(outputs: &[&str]) -> Model {
    let spec = SpecBuilder::new("energy")
        .dtype(DType::F64)
        .input("x", ["N"], "16x0e + 8x1o")
        .index("species", ["N"])
        .layer("mix", linear("x", "24x0e + 8x1o").weights("species").num_indexed_weights(3))
        .layer("hidden", gate("mix"))
        .layer("invariants", norm("hidden"))
        .layer("energy", mlp("invariants", [16, 1]).act(Activation::Silu).output_activation(false))
        .outputs(outputs.iter().copied());
    Model::new(spec).unwrap_or_else(|e| panic!("{e}"))
}

fn gradients(model: &Model, wrt: &[&str]) -> CompiledModel {
    let compiled = model.compile_gradients(wrt.iter().copied(), Mode::Infer, &CompileOptions::default());
    compiled.unwrap_or_else(|e| panic!("{e}"))
}

/// A call over five rows.
fn call(model: &Model, compiled: &mut CompiledModel) -> Outputs {
    let graph = model.joint(Mode::Infer).unwrap_or_else(|e| panic!("{e}"));
    let (inputs, params) = random_arrays(&graph, &[("N".into(), 5)].into(), 1);
    let params = compiled.params(params).unwrap_or_else(|e| panic!("{e}"));
    let inputs = inputs.iter().map(|(name, array)| (name.as_str(), Input::from(array)));
    compiled.run(inputs, &params).unwrap_or_else(|e| panic!("{e}"))
}

fn assert_close(found: &Array, wanted: &Array) {
    let (found, wanted) = (found.to_f64(), wanted.to_f64());
    let largest = wanted.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    assert!(largest > 0.0 && (&found - &wanted).iter().all(|d| d.abs() <= 1e-12 * largest), "{found}\n{wanted}");
}

#[test]
fn chosen_gradients_are_those_of_all() {
    let model = model(&["energy"]);
    let joint = model.compile_joint(Mode::Infer, &CompileOptions::default());
    let all = call(&model, &mut joint.unwrap_or_else(|e| panic!("{e}")));
    let kernel = "params/energy/Dense_1/kernel";
    for chosen in [&[][..], &["x"], &[kernel, "x"], &[kernel]] {
        let found = call(&model, &mut gradients(&model, chosen));
        assert_close(&found.outputs["energy"], &all.outputs["energy"]);
        assert_eq!(found.gradients.keys().map(|name| &**name).collect::<Vec<_>>(), chosen);
        found.gradients.iter().for_each(|(name, array)| assert_close(array, &all.gradients[name]));
    }
}

#[test]
fn gradients_of_inputs_sum_nothing_over_rows() {
    let graph = model(&["energy"]).graph_of(&Pass::Gradients(vec!["x".into()]), Mode::Infer);
    let graph = graph.unwrap_or_else(|e| panic!("{e}"));
    let gradients: Vec<_> = graph.outputs.iter().filter(|output| output.kind == OutputKind::Gradient).collect();
    assert_eq!(gradients.iter().map(|output| &*output.name).collect::<Vec<_>>(), ["x"]);
    let over_rows = graph.nodes.iter().filter(|node| !graph.rows_of(&node.op).is_empty() && node.ty.dims.is_empty());
    assert_eq!(over_rows.count(), 0, "{graph}");
}

#[test]
fn what_has_no_gradient_is_the_users_fault() {
    let refusal = |wrt: &[&str]| {
        let wrt = Pass::Gradients(wrt.iter().map(|name| Arc::from(*name)).collect());
        let refused = model(&["energy"]).graph_of(&wrt, Mode::Infer);
        let refused = refused.map_or_else(|error: Error| error, |graph| panic!("{graph}"));
        assert!(!refused.is_bug());
        refused.to_string()
    };
    assert_eq!(refusal(&["energy"]), "the model has no input or parameter `energy`");
    assert_eq!(
        refusal(&["params/mix/w[0,0] 16x0e,24x0f"]),
        "the model has no input or parameter `params/mix/w[0,0] 16x0e,24x0f`; did you mean `params/mix/w[0,0] 16x0e,24x0e`?"
    );
    assert_eq!(refusal(&["species"]), "`species` is an index or a mask: floats alone have derivatives");
    assert_eq!(refusal(&["x", "x"]), "`x` is given twice");
}
