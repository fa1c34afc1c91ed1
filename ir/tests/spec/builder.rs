//! Specs built in Rust are those of files, and their problems name the call in the program.

use schur_ir::build::{Mode, build, build_within};
use schur_ir::limits::Limits;
use schur_ir::spec::Activation::{Gelu, Sigmoid, Silu, Softplus, Tanh};
use schur_ir::spec::*;
use schur_ir::ty::DType;

use super::{render, toml};

/// What a builder makes; its text means the same.
fn built(builder: SpecBuilder) -> ModelSpec {
    let (spec, source) = builder.finish().unwrap_or_else(|e| panic!("{}", render(&e)));
    assert_eq!(toml(source.text()).unwrap_or_else(|e| panic!("{}", render(&e))), spec);
    spec
}

/// A model with the inputs of every test.
fn model() -> SpecBuilder {
    SpecBuilder::new("m")
        .input("x", ["N"], "4x0e+1o")
        .input("y", ("N", 3), "4x0e+1o")
        .index("i", ["N"])
        .mask("m", ["N"])
        .outputs(["l"])
}

/// The same inputs in TOML, with one layer.
fn file(layer: &str) -> ModelSpec {
    let text = format!(
        "name = 'm'\noutputs = ['l']\ninputs.x = {{ shape = ['N'], irreps = '4x0e+1o' }}\n\
         inputs.y = {{ shape = ['N', 3], irreps = '4x0e+1o' }}\ninputs.i = {{ shape = ['N'], dtype = 'i32' }}\n\
         inputs.m = {{ shape = ['N'], dtype = 'bool' }}\n[[layers]]\nname = 'l'\n{layer}"
    );
    toml(&text).unwrap_or_else(|e| panic!("{}", render(&e)))
}

#[test]
fn every_option_is_that_of_a_file() {
    let init = Initializer { distribution: Distribution::Uniform, scale: 0.5, mean: 1e-7 };
    let (norm_of, component) = (IrrepNormalization::Norm, IrrepNormalization::Component);
    let pairs: Vec<(LayerBuilder, &str)> = vec![
        (linear("x", "2x0e").into(), "op = 'linear'\ninput = 'x'\nirreps_out = '2x0e'"),
        (
            linear("y", "2x0e + 2e")
                .irreps_in("4x0e+1o")
                .biases(true)
                .path_normalization(Normalization::Path)
                .gradient_normalization(0.3)
                .force_irreps_out(true)
                .weights("x")
                .weights_per_channel(true)
                .init(init.clone())
                .into(),
            "op = 'linear'\ninput = 'y'\nirreps_out = '2x0e + 2e'\nirreps_in = '4x0e+1o'\nbiases = true\n\
             path_normalization = 'path'\ngradient_normalization = 0.3\nforce_irreps_out = true\nweights = 'x'\n\
             weights_per_channel = true\ninit = { distribution = 'uniform', scale = 0.5, mean = 1e-7 }",
        ),
        (
            linear("x", "2x0e + 1o + 0e")
                .irreps_in("4x0e+1o")
                .biases([true, false, true])
                .instructions([[0, 0], [1, 1], [0, 0]])
                .simplify_irreps_internally(false)
                .weights("i")
                .num_indexed_weights(7)
                .into(),
            "op = 'linear'\ninput = 'x'\nirreps_out = '2x0e + 1o + 0e'\nirreps_in = '4x0e+1o'\n\
             biases = [true, false, true]\ninstructions = [[0, 0], [1, 1], [0, 0]]\n\
             simplify_irreps_internally = false\nweights = 'i'\nnum_indexed_weights = 7",
        ),
        (linear("y", "0e").channel_out(5).into(), "op = 'linear'\ninput = 'y'\nirreps_out = '0e'\nchannel_out = 5"),
        (mlp("x", [8, 1]).into(), "op = 'mlp'\ninput = 'x'\nlist_neurons = [8, 1]"),
        (
            mlp("x", [8])
                .act(Silu)
                .gradient_normalization(Normalization::Element)
                .output_activation(Tanh)
                .with_bias(true)
                .init(init)
                .into(),
            "op = 'mlp'\ninput = 'x'\nlist_neurons = [8]\nact = 'silu'\ngradient_normalization = 'element'\n\
             output_activation = 'tanh'\nwith_bias = true\n\
             init = { distribution = 'uniform', scale = 0.5, mean = 1e-7 }",
        ),
        (
            mlp("x", []).act(None).output_activation(false).into(),
            "op = 'mlp'\ninput = 'x'\nlist_neurons = []\nact = 'none'\noutput_activation = false",
        ),
        (batch_norm("x").into(), "op = 'batch_norm'\ninput = 'x'"),
        (
            batch_norm("x")
                .use_running_average(true)
                .eps(0.25)
                .momentum(1.0)
                .affine(false)
                .reduce(Reduce::Max)
                .instance(false)
                .normalization(norm_of)
                .mask("m")
                .into(),
            "op = 'batch_norm'\ninput = 'x'\nuse_running_average = true\neps = 0.25\nmomentum = 1.0\naffine = false\n\
             reduce = 'max'\ninstance = false\nnormalization = 'norm'\nmask = 'm'",
        ),
        (add(["x", "x"]), "op = 'add'\ninput = ['x', 'x']"),
        (concatenate(["x", "y"]), "op = 'concatenate'\ninput = ['x', 'y']"),
        (filter("x").keep(["0e", "1o"]).into(), "op = 'filter'\ninput = 'x'\nkeep = ['0e', '1o']"),
        (filter("x").drop(["0e"]).into(), "op = 'filter'\ninput = 'x'\ndrop = '0e'"),
        (filter("x").lmax(2).into(), "op = 'filter'\ninput = 'x'\nlmax = 2"),
        (regroup("x"), "op = 'regroup'\ninput = 'x'"),
        (norm("x").squared(true).into(), "op = 'norm'\ninput = 'x'\nsquared = true"),
        (multiply("x", "y"), "op = 'multiply'\ninput = ['x', 'y']"),
        (
            scalar_activation("x").acts([Some(Silu), None]).even_act(Tanh).odd_act(Tanh).normalize_act(false).into(),
            "op = 'scalar_activation'\ninput = 'x'\nacts = ['silu', 'none']\neven_act = 'tanh'\nodd_act = 'tanh'\n\
             normalize_act = false",
        ),
        (
            norm_activation("x", [Softplus, Gelu]).normalization(component).into(),
            "op = 'norm_activation'\ninput = 'x'\nacts = ['softplus', 'gelu']\nnormalization = 'component'",
        ),
        (
            gate("x")
                .even_act(Silu)
                .odd_act(Tanh)
                .even_gate_act(Tanh)
                .odd_gate_act(Sigmoid)
                .normalize_act(false)
                .into(),
            "op = 'gate'\ninput = 'x'\neven_act = 'silu'\nodd_act = 'tanh'\neven_gate_act = 'tanh'\n\
             odd_gate_act = 'sigmoid'\nnormalize_act = false",
        ),
    ];
    for (layer, text) in pairs {
        assert_eq!(built(model().layer("l", layer)), file(text), "{text}");
    }
}

#[test]
fn the_top_is_that_of_a_file() {
    let spec = built(
        SpecBuilder::new("é \"quoted\"\n\u{7f}")
            .dtype(DType::F64)
            .path_normalization(1.0)
            .gradient_normalization(Normalization::Element)
            .irrep_normalization(IrrepNormalization::Norm)
            .input("a \"b\"", (), "1o")
            .input("inputs", (2, "K", 4), "1o")
            .layer("l", add(["a \"b\""]))
            .outputs(["l", "inputs"]),
    );
    let text = "name = \"é \\\"quoted\\\"\\n\\u007F\"\ndtype = 'f64'\noutputs = ['l', 'inputs']\n\
                [config]\npath_normalization = 'path'\ngradient_normalization = 0\nirrep_normalization = 'norm'\n\
                [inputs.'a \"b\"']\nshape = []\nirreps = '1o'\n\
                [inputs.inputs]\nshape = [2, 'K', 4]\nirreps = '1o'\n\
                [[layers]]\nname = 'l'\nop = 'add'\ninput = 'a \"b\"'\n";
    assert_eq!(spec, toml(text).unwrap());
}

#[test]
fn an_option_counts_as_it_was_stated_last() {
    let spec = built(model().layer("l", linear("x", "0e").biases(true).biases(false)));
    assert_eq!(spec, file("op = 'linear'\ninput = 'x'\nirreps_out = '0e'\nbiases = false"));
}

/// A rendered error without the numbers of this file's lines.
fn without_lines(text: &str) -> String {
    let mut parts = text.split("builder.rs:");
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':');
        out += &format!("builder.rs:_{rest}");
    }
    out
}

#[test]
fn problems_name_the_call() {
    let line = line!() + 4;
    let error = SpecBuilder::new("block")
        .input("x", ["N"], "4x0e + 1o")
        .layer("mix", linear("x", "8x0e + 1o"))
        .layer("norm", batch_norm("mxi"))
        .outputs(["norm"])
        .finish()
        .unwrap_err();
    let message = format!(
        "the layer `norm` refers to `mxi`, which is neither an input nor a layer ({}:{line}:24)",
        file!().replace('\\', "/")
    );
    assert_eq!(error.to_string(), message);
    let debug = format!("{error:?}");
    assert_eq!(debug, format!("\nblock (built in Rust):17:9: {message}; did you mean `mix`?"));
    insta::assert_snapshot!(without_lines(&render(&error)));
}

#[test]
fn all_problems_are_told_at_once() {
    let error = SpecBuilder::new("")
        .dtype(DType::I32)
        .path_normalization(f64::NAN)
        .input("x", ["N + 1"], "4x0q")
        .input("a/b", ("N", usize::MAX), "")
        .layer(
            "x",
            linear("x", "8x0e")
                .channel_out(0)
                .biases([])
                .init(Initializer { scale: f64::INFINITY, ..Initializer::default() }),
        )
        .layer("", filter("x"))
        .layer("z", mlp("x", [3, 0, 1]))
        .finish()
        .unwrap_err();
    insta::assert_snapshot!(without_lines(&render(&error)));
    let error = model().input("x", (), "0e").layer("l", regroup("x")).finish().unwrap_err();
    assert_eq!(error.problems().len(), 1);
    assert!(error.to_string().contains("the name `x` is taken by an earlier input"), "{error}");
}

#[test]
fn problems_of_types_name_the_call() {
    let builder = model().layer("l", linear("x", "0e").irreps_in("5x0e")).outputs(["l"]);
    let line = line!() - 1;
    let (spec, source) = builder.finish().unwrap();
    let error = build(&spec, Mode::Infer).unwrap_err().located(&source);
    assert!(error.to_string().contains(&format!("builder.rs:{line}:56)")), "{error}");
}

/// A file must say that there are none.
#[test]
fn a_model_without_layers_or_inputs_is_that_of_a_file() {
    let spec = built(SpecBuilder::new("m").input("x", ["N"], "0e").gradient_normalization(0.5).outputs(["x"]));
    assert!(spec.layers.is_empty());
    let error = SpecBuilder::new("m").layer("a", norm("x")).outputs(["a"]).finish().unwrap_err();
    assert!(error.to_string().starts_with("the layer `a` refers to `x`"), "{error}");
}

#[test]
fn a_program_that_trusts_itself_sets_no_limits() {
    let spec = |count: usize| {
        let spec = SpecBuilder::new("m").input("x", ["N"], "1x200e").outputs(["x"]);
        (0..count).fold(spec, |spec, k| spec.layer(format!("l{k}"), regroup("x")))
    };
    assert!(spec(10_001).finish().is_err());
    let (spec, _) = spec(10_001).finish_within(&Limits::NONE).unwrap_or_else(|e| panic!("{}", render(&e)));
    build_within(&spec, Mode::Infer, &Limits::NONE).unwrap();
}
