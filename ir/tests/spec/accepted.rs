//! Every option, in TOML and in JSON, gives the value that MODEL_SPEC.md says.

use std::ops::Range;

use schur_ir::dim::Dim;
use schur_ir::irreps::{Irrep, Irreps};
use schur_ir::spec::*;
use schur_ir::ty::DType;

use super::{json, render, toml};

/// The model that both texts must mean.
fn both(toml_text: &str, json_text: &str) -> ModelSpec {
    let spec = toml(toml_text).unwrap_or_else(|e| panic!("{}", render(&e)));
    assert_eq!(json(json_text).unwrap_or_else(|e| panic!("{}", render(&e))), spec);
    spec
}

/// The op of a layer that is given as the inside of a TOML table and of a JSON object.
fn layer(toml_options: &str, json_options: &str) -> LayerOp {
    let spec = both(
        &format!(
            "name = 'm'\noutputs = ['l']\nconfig.path_normalization = 0.25\nconfig.irrep_normalization = 'norm'\n\
             inputs.x = {{ shape = ['N'], irreps = '4x0e+1o' }}\ninputs.i = {{ shape = ['N'], dtype = 'i32' }}\n\
             inputs.m = {{ shape = ['N'], dtype = 'bool' }}\n[[layers]]\nname = 'l'\n{toml_options}"
        ),
        &format!(
            r#"{{"name": "m", "outputs": ["l"], "config": {{"path_normalization": 0.25, "irrep_normalization": "norm"}},
                 "inputs": {{"x": {{"shape": ["N"], "irreps": "4x0e+1o"}}, "i": {{"shape": ["N"], "dtype": "i32"}},
                             "m": {{"shape": ["N"], "dtype": "bool"}}}},
                 "layers": [{{"name": "l", {json_options}}}]}}"#
        ),
    );
    spec.layers[0].op.clone()
}

fn irreps(text: &str) -> Irreps {
    text.parse().unwrap()
}

fn ir(text: &str) -> Irrep {
    text.parse().unwrap()
}

fn anywhere<T>(value: T) -> Spanned<T> {
    Spanned::new(value, 0..0)
}

#[test]
fn the_top_of_a_spec() {
    let spec = both(
        "name = 'm'\ndtype = 'f64'\noutputs = ['y', 'x']\n[config]\npath_normalization = 'path'\n\
         gradient_normalization = 'element'\nirrep_normalization = 'norm'\n\
         [inputs.x]\nshape = ['N', '_b2', 0, 3]\nirreps = '2x0e + 1o'\ndtype = 'f64'\n\
         [inputs.a]\nshape = []\ndtype = 'bool'\n[[layers]]\nname = 'y'\nop = 'regroup'\ninput = 'x'\n",
        r#"{"name": "m", "dtype": "f64", "outputs": ["y", "x"], "train": true, "expect": {"y": "anything"},
            "config": {"path_normalization": "path", "gradient_normalization": "element", "irrep_normalization": "norm"},
            "inputs": {"x": {"shape": ["N", "_b2", 0, 3], "irreps": "2x0e + 1o", "dtype": null},
                       "a": {"shape": [], "dtype": "bool"}},
            "layers": [{"name": "y", "op": "regroup", "input": ["x"]}]}"#,
    );
    assert_eq!((spec.name.as_str(), spec.dtype), ("m", DType::F64));
    assert_eq!(spec.outputs, [anywhere("y".to_string()), anywhere("x".to_string())]);
    let config =
        Config { path_normalization: 1.0, gradient_normalization: 0.0, irrep_normalization: IrrepNormalization::Norm };
    assert_eq!(spec.config, config);
    assert_eq!(spec.inputs.keys().collect::<Vec<_>>(), ["x", "a"], "the file's order");
    assert_eq!(spec.inputs["x"].shape, [Dim::symbol("N"), Dim::symbol("_b2"), Dim::from(0), Dim::from(3)]);
    assert_eq!(spec.inputs["x"].kind, InputKind::Features(irreps("2x0e+1o")));
    assert_eq!(spec.inputs["a"].kind, InputKind::Mask);
    assert_eq!(spec.layers[0].inputs, [anywhere("x".to_string())]);
}

#[test]
fn defaults_of_the_top() {
    let spec = both(
        "name = 'm'\noutputs = ['x']\nlayers = []\n[inputs.x]\nshape = ['N']\nirreps = ''\n",
        r#"{"name": "m", "outputs": ["x"], "dtype": null, "config": null, "layers": [],
            "inputs": {"x": {"shape": ["N"], "irreps": ""}}}"#,
    );
    assert_eq!((spec.dtype, spec.config), (DType::F32, Config::default()));
    assert_eq!((Config::default().path_normalization, Config::default().gradient_normalization), (0.0, 1.0));
}

#[test]
fn linear_defaults_come_from_the_config() {
    let op =
        layer("op = 'linear'\ninput = 'x'\nirreps_out = '0e'", r#""op": "linear", "input": "x", "irreps_out": "0e""#);
    let expected = Linear {
        irreps_out: anywhere(irreps("0e")),
        irreps_in: None,
        channel_out: None,
        biases: Biases::Flag(false),
        path_normalization: 0.25,
        gradient_normalization: 1.0,
        instructions: None,
        num_indexed_weights: None,
        weights_per_channel: false,
        force_irreps_out: false,
        simplify_irreps_internally: true,
        weights: None,
        init: None,
    };
    assert_eq!(op, LayerOp::Linear(expected));
}

#[test]
fn every_option_of_linear() {
    let op = layer(
        "op = 'linear'\ninput = 'x'\nirreps_out = '0e+2x1o'\nirreps_in = '4x0e+1o'\nbiases = [true, false]\n\
         path_normalization = 'path'\ngradient_normalization = 0\ninstructions = [[0, 0], [1, 1]]\n\
         num_indexed_weights = 5\nforce_irreps_out = true\nsimplify_irreps_internally = false\nweights = 'i'\n\
         init = { distribution = 'truncated_normal', scale = 2, mean = -0.5 }",
        r#""op": "linear", "input": "x", "irreps_out": "0e+2x1o", "irreps_in": "4x0e+1o", "biases": [true, false],
           "path_normalization": "path", "gradient_normalization": 0.0, "instructions": [[0, 0], [1, 1]],
           "num_indexed_weights": 5, "force_irreps_out": true, "simplify_irreps_internally": false, "weights": "i",
           "init": {"distribution": "truncated_normal", "scale": 2.0, "mean": -5e-1}, "channel_out": null"#,
    );
    let expected = Linear {
        irreps_out: anywhere(irreps("0e+2x1o")),
        irreps_in: Some(anywhere(irreps("4x0e+1o"))),
        channel_out: None,
        biases: Biases::PerChunk(vec![true, false]),
        path_normalization: 1.0,
        gradient_normalization: 0.0,
        instructions: Some(vec![anywhere([0, 0]), anywhere([1, 1])]),
        num_indexed_weights: Some(5),
        weights_per_channel: false,
        force_irreps_out: true,
        simplify_irreps_internally: false,
        weights: Some(anywhere("i".to_string())),
        init: Some(Initializer { distribution: Distribution::TruncatedNormal, scale: 2.0, mean: -0.5 }),
    };
    assert_eq!(op, LayerOp::Linear(expected));
}

#[test]
fn channels_of_linear() {
    let options = |op| {
        let LayerOp::Linear(linear) = op else { panic!("{op:?}") };
        (linear.channel_out, linear.weights_per_channel, linear.biases)
    };
    let op = layer(
        "op = 'linear'\ninput = 'x'\nirreps_out = '0e'\nchannel_out = 3\nbiases = true",
        r#""op": "linear", "input": "x", "irreps_out": "0e", "channel_out": 3, "biases": true"#,
    );
    assert_eq!(options(op), (Some(3), false, Biases::Flag(true)));
    let op = layer(
        "op = 'linear'\ninput = 'x'\nirreps_out = '0e'\nweights_per_channel = true\nweights = 'x'",
        r#""op": "linear", "input": "x", "irreps_out": "0e", "weights_per_channel": true, "weights": "x""#,
    );
    assert_eq!(options(op), (None, true, Biases::Flag(false)));
}

#[test]
fn options_of_mlp() {
    let op = layer(
        "op = 'mlp'\ninput = 'x'\nlist_neurons = [8, 0]",
        r#""op": "mlp", "input": "x", "list_neurons": [8, 0], "act": null, "init": null"#,
    );
    let default = Mlp {
        list_neurons: vec![8, 0],
        act: None,
        gradient_normalization: 1.0,
        output_activation: OutputActivation::SameAsAct,
        with_bias: false,
        init: None,
    };
    assert_eq!(op, LayerOp::Mlp(default.clone()));
    let op = layer(
        "op = 'mlp'\ninput = 'x'\nlist_neurons = []\nact = 'softplus'\ngradient_normalization = 0.3\n\
         output_activation = 'tanh'\nwith_bias = true\ninit = { distribution = 'constant' }",
        r#""op": "mlp", "input": "x", "list_neurons": [], "act": "softplus", "gradient_normalization": 0.3,
           "output_activation": "tanh", "with_bias": true, "init": {"distribution": "constant"}"#,
    );
    let given = Mlp {
        list_neurons: vec![],
        act: Some(Activation::Softplus),
        gradient_normalization: 0.3,
        output_activation: OutputActivation::Given(Activation::Tanh),
        with_bias: true,
        init: Some(Initializer { distribution: Distribution::Constant, scale: 1.0, mean: 0.0 }),
    };
    assert_eq!(op, LayerOp::Mlp(given));
    let op = layer(
        "op = 'mlp'\ninput = 'x'\nlist_neurons = [8, 0]\nact = 'none'\noutput_activation = 'none'",
        r#""op": "mlp", "input": "x", "list_neurons": [8, 0], "output_activation": false"#,
    );
    assert_eq!(op, LayerOp::Mlp(Mlp { output_activation: OutputActivation::None, ..default }));
}

#[test]
fn options_of_batch_norm() {
    let op =
        layer("op = 'batch_norm'\ninput = 'x'", r#""op": "batch_norm", "input": "x", "use_running_average": null"#);
    let default = BatchNorm {
        use_running_average: None,
        eps: 1e-4,
        momentum: 0.1,
        affine: true,
        reduce: Reduce::Mean,
        instance: false,
        normalization: IrrepNormalization::Norm,
        mask: None,
    };
    assert_eq!(op, LayerOp::BatchNorm(default));
    let op = layer(
        "op = 'batch_norm'\ninput = 'x'\nuse_running_average = false\neps = 0\nmomentum = 1\naffine = false\n\
         reduce = 'max'\ninstance = true\nnormalization = 'component'\nmask = 'm'",
        r#""op": "batch_norm", "input": "x", "use_running_average": false, "eps": 0, "momentum": 1.0, "affine": false,
           "reduce": "max", "instance": true, "normalization": "component", "mask": "m""#,
    );
    let given = BatchNorm {
        use_running_average: Some(false),
        eps: 0.0,
        momentum: 1.0,
        affine: false,
        reduce: Reduce::Max,
        instance: true,
        normalization: IrrepNormalization::Component,
        mask: Some(anywhere("m".to_string())),
    };
    assert_eq!(op, LayerOp::BatchNorm(given));
}

#[test]
fn ops_without_options() {
    for (name, inputs, op) in [
        ("add", "['x', 'x']", LayerOp::Add),
        ("concatenate", "['x']", LayerOp::Concatenate),
        ("multiply", "['x', 'x']", LayerOp::Multiply),
        ("regroup", "'x'", LayerOp::Regroup),
        ("norm", "'x'", LayerOp::Norm { squared: false }),
    ] {
        let toml_options = format!("op = '{name}'\ninput = {inputs}");
        let json_options = format!(r#""op": "{name}", "input": {}"#, inputs.replace('\'', "\""));
        assert_eq!(layer(&toml_options, &json_options), op);
    }
    let op = layer("op = 'norm'\ninput = 'x'\nsquared = true", r#""op": "norm", "input": "x", "squared": true"#);
    assert_eq!(op, LayerOp::Norm { squared: true });
}

#[test]
fn rules_of_filter() {
    let rule = |toml_rule: &str, json_rule: &str| {
        layer(
            &format!("op = 'filter'\ninput = 'x'\n{toml_rule}"),
            &format!(r#""op": "filter", "input": "x", {json_rule}"#),
        )
    };
    let keep = FilterRule::Keep(vec![ir("0e"), ir("1o")]);
    assert_eq!(rule("keep = ['0e', '1y']", r#""keep": ["0e", "1o"], "drop": null"#), LayerOp::Filter(keep.clone()));
    assert_eq!(rule("keep = '3x0e + 1o'", r#""keep": "0e+1o""#), LayerOp::Filter(keep));
    assert_eq!(rule("drop = []", r#""drop": []"#), LayerOp::Filter(FilterRule::Drop(vec![])));
    assert_eq!(rule("lmax = 2", r#""lmax": 2"#), LayerOp::Filter(FilterRule::Lmax(2)));
}

#[test]
fn options_of_activations() {
    let op = layer("op = 'scalar_activation'\ninput = 'x'", r#""op": "scalar_activation", "input": "x", "acts": null"#);
    let default =
        ScalarActivation { acts: None, even_act: Activation::Gelu, odd_act: Activation::SoftOdd, normalize_act: true };
    assert_eq!(op, LayerOp::ScalarActivation(default));
    let op = layer(
        "op = 'scalar_activation'\ninput = 'x'\nacts = ['abs', 'none']\neven_act = 'relu'\nodd_act = 'identity'\n\
         normalize_act = false",
        r#""op": "scalar_activation", "input": "x", "acts": ["abs", null], "even_act": "relu", "odd_act": "identity",
           "normalize_act": false"#,
    );
    let given = ScalarActivation {
        acts: Some(vec![Some(Activation::Abs), None]),
        even_act: Activation::Relu,
        odd_act: Activation::Identity,
        normalize_act: false,
    };
    assert_eq!(op, LayerOp::ScalarActivation(given));
    let op = layer(
        "op = 'norm_activation'\ninput = 'x'\nacts = ['none', 'sigmoid']\nnormalization = 'norm'",
        r#""op": "norm_activation", "input": "x", "acts": [null, "sigmoid"], "normalization": "norm""#,
    );
    let acts = vec![None, Some(Activation::Sigmoid)];
    let given = NormActivation { acts: acts.clone(), normalization: IrrepNormalization::Norm };
    assert_eq!(op, LayerOp::NormActivation(given));
    let op = layer(
        "op = 'norm_activation'\ninput = 'x'\nacts = ['none', 'sigmoid']",
        r#""op": "norm_activation", "input": "x", "acts": ["none", "sigmoid"]"#,
    );
    let default = NormActivation { acts, normalization: IrrepNormalization::Component };
    assert_eq!(op, LayerOp::NormActivation(default), "whatever the config says");
}

#[test]
fn options_of_gate() {
    let op = layer("op = 'gate'\ninput = 'x'", r#""op": "gate", "input": "x""#);
    let default = Gate {
        even_act: Activation::Gelu,
        odd_act: Activation::SoftOdd,
        even_gate_act: Activation::Sigmoid,
        odd_gate_act: Activation::Tanh,
        normalize_act: true,
    };
    assert_eq!(op, LayerOp::Gate(default));
    let op = layer(
        "op = 'gate'\ninput = 'x'\neven_act = 'silu'\nodd_act = 'tanh'\neven_gate_act = 'softplus'\n\
         odd_gate_act = 'abs'\nnormalize_act = false",
        r#""op": "gate", "input": "x", "even_act": "silu", "odd_act": "tanh", "even_gate_act": "softplus",
           "odd_gate_act": "abs", "normalize_act": false"#,
    );
    let given = Gate {
        even_act: Activation::Silu,
        odd_act: Activation::Tanh,
        even_gate_act: Activation::Softplus,
        odd_gate_act: Activation::Abs,
        normalize_act: false,
    };
    assert_eq!(op, LayerOp::Gate(given));
}

#[test]
fn every_activation_has_a_name_that_reads_back() {
    for act in Activation::ALL {
        let name = act.name();
        let op = layer(
            &format!("op = 'mlp'\ninput = 'x'\nlist_neurons = [1]\nact = '{name}'"),
            &format!(r#""op": "mlp", "input": "x", "list_neurons": [1], "act": "{name}""#),
        );
        assert!(matches!(op, LayerOp::Mlp(mlp) if mlp.act == Some(act)), "{name}");
    }
}

#[test]
fn json_strings_escape_as_the_rfc_says() {
    let text = r#"{"name": "\ud83d\ude00\u00e9\n\/\"", "outputs": ["x"], "layers": [],
                   "inputs": {"\u0078": {"shape": [], "irreps": "0e"}}}"#;
    let spec = json(&format!("\u{feff}{text}")).unwrap();
    assert_eq!(spec.name, "😀é\n/\"");
    assert!(spec.inputs.contains_key("x"));
}

/// Places are those of the text, in both formats.
#[test]
fn spans_are_places_in_the_text() {
    let toml_text = "name = 'm'\noutputs = ['y']\n[inputs.x]\nshape = []\nirreps = '0e'\n\
                     [[layers]]\nname = 'y'\nop = 'linear'\ninput = 'x'\nirreps_out = '0e'\ninstructions = [[0, 0]]\n\
                     irreps_in = '0e'\nsimplify_irreps_internally = false\n";
    let json_text = r#"{"name": "m", "outputs": ["y"], "inputs": {"x": {"shape": [], "irreps": "0e"}}, "layers": [
        {"name": "y", "op": "linear", "input": "x", "irreps_out": "0e", "instructions": [[0, 0]],
         "irreps_in": "0e", "simplify_irreps_internally": false}]}"#;
    let spec = both(toml_text, json_text);
    let of_json = json(json_text).unwrap();
    for (spec, text, quote) in [(&spec, toml_text, '\''), (&of_json, json_text, '"')] {
        let at = |span: &Range<usize>| text[span.clone()].replace(quote, "\"");
        let layer = &spec.layers[0];
        assert_eq!(at(&spec.outputs[0].span), "\"y\"");
        assert_eq!(at(&spec.inputs["x"].span).trim_matches('"'), "x");
        assert_eq!(at(&layer.name.span), "\"y\"");
        assert_eq!(at(&layer.inputs[0].span), "\"x\"");
        assert_eq!(at(&layer.span_of("input")), "\"x\"");
        assert_eq!(layer.span_of("biases"), layer.span, "an option that is not stated");
        let LayerOp::Linear(linear) = &layer.op else { panic!("{layer:?}") };
        assert_eq!(at(&linear.irreps_out.span), "\"0e\"");
        assert_eq!(at(&linear.instructions.as_ref().unwrap()[0].span), "[0, 0]");
    }
    assert_eq!(&toml_text[spec.layers[0].span.clone()], "[[layers]]");
}

#[test]
fn the_ending_decides_the_format() {
    assert_eq!(Source::new("a/model.TOML", "").unwrap().format(), Format::Toml);
    assert_eq!(Source::new("a.toml/model.json", "").unwrap().format(), Format::Json);
    for name in ["model.yaml", "model", ""] {
        assert_eq!(Source::new(name, "").unwrap_err().name, name);
    }
}
