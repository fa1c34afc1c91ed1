//! Nothing that a file holds makes the parser, or the rendering of its error, panic.

use proptest::prelude::*;

use super::{json, render, toml};

const TOML: &str = r#"
name = "block"
outputs = ["energy", "y"]
config = { path_normalization = "element", gradient_normalization = 0.5 }
[inputs]
x = { shape = ["N", 3], irreps = "64x0e + 32x1o" }
i.shape = ["N"]
i.dtype = "i32"
[[layers]]
name = "y"
op = "linear"
input = "x"
irreps_out = "4x0e + 1o"
weights = "i"
num_indexed_weights = 0x4
biases = [true, false]
init = { distribution = "uniform", scale = 2.0 }
[[layers]]
name = "scalars"
op = "filter"
input = "y"
keep = ["0e"]
[[layers]]
name = "energy"
op = "mlp"
input = "scalars"
list_neurons = [64, 1]
act = "silu"
output_activation = false
"#;

const JSON: &str = r#"{"name": "bl\u00f6ck", "outputs": ["a", "c"], "train": true,
  "config": {"path_normalization": "element", "gradient_normalization": 5e-1},
  "inputs": {"x": {"shape": ["N", 3], "irreps": "6x0e + 3x1o"}, "m": {"shape": ["N"], "dtype": "bool"}},
  "layers": [
    {"name": "a", "op": "batch_norm", "input": "x", "eps": 1e-3, "mask": "m", "reduce": "max"},
    {"name": "b", "op": "gate", "input": "a", "even_act": "silu"},
    {"name": "c", "op": "add", "input": ["a", "b", "x"]},
    {"name": "d", "op": "scalar_activation", "input": "x", "acts": ["tanh", null]},
    {"name": "e", "op": "linear", "input": "x", "irreps_out": "0e", "irreps_in": "6x0e+3x1o",
     "instructions": [[0, 0]], "simplify_irreps_internally": false}]}"#;

/// Parses as both, and renders what is wrong.
fn survive(text: &str) {
    for result in [toml(text), json(text)] {
        if let Err(error) = result {
            assert!(!error.problems().is_empty());
            assert!(error.problems().iter().all(|problem| text.get(problem.span.clone()).is_some()));
            render(&error);
        }
    }
}

/// Pieces that matter to the grammars and to the data model.
fn piece() -> impl Strategy<Value = String> {
    let known = [
        "",
        "\"",
        "'",
        "\\",
        "\\u",
        "\\ud800",
        "[",
        "]",
        "[[",
        "{",
        "}",
        ",",
        ":",
        "=",
        ".",
        "+",
        "x",
        "0e",
        "-1",
        "1e999",
        "nan",
        "inf",
        "null",
        "true",
        "none",
        "\"a\"",
        "\"x\"",
        "\n",
        "\r",
        "\u{0}",
        "\u{feff}",
        "é",
        "😀",
        "#",
        "99999999999999999999",
        "2147483649",
        "1979-05-27",
        "\"0e\"",
        "\"energy\"",
        "layers",
        "inputs",
        "weights",
        "instance",
        "[[layers]]\n",
        "[inputs.x]\n",
        "0x4e",
        "\"irreps_out\": 3, ",
        "lmax = 1\n",
    ];
    prop_oneof![3 => prop::sample::select(known.to_vec()).prop_map(String::from), 1 => ".{0,4}"]
}

/// Replaces characters by a piece, a few times.
fn mutated(text: &'static str) -> impl Strategy<Value = String> {
    let edit = (any::<prop::sample::Index>(), 0usize..12, piece());
    prop::collection::vec(edit, 1..5).prop_map(move |edits| {
        let mut text = text.to_string();
        for (place, length, piece) in edits {
            let start = text.floor_char_boundary(place.index(text.len() + 1));
            let end = text.ceil_char_boundary((start + length).min(text.len()));
            text.replace_range(start..end, &piece);
        }
        text
    })
}

proptest! {
    #[test]
    fn any_text(text in any::<String>()) {
        survive(&text);
    }

    #[test]
    fn any_pieces(pieces in prop::collection::vec(piece(), 0..40)) {
        survive(&pieces.concat());
    }

    #[test]
    fn mutated_toml(text in mutated(TOML)) {
        survive(&text);
    }

    #[test]
    fn mutated_json(text in mutated(JSON)) {
        survive(&text);
    }
}

#[test]
fn what_is_mutated_is_valid() {
    toml(TOML).unwrap();
    json(JSON).unwrap();
}

#[test]
fn deep_nesting_is_an_error() {
    for open in ["[", "{\"a\":", "a = [", "a = {b = ", "a.", "[a.", "[["] {
        survive(&open.repeat(100_000));
    }
    for text in [format!("a = {}1{}", "[".repeat(5000), "]".repeat(5000)), format!("{}a = 1", "a.".repeat(50_000))] {
        assert!(toml(&text).is_err());
    }
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(json(&nested(128)).unwrap_err().to_string().contains("a table"), "deep, but JSON");
    assert!(json(&nested(129)).unwrap_err().to_string().contains("deeper than 128"));
}

#[test]
fn long_chains_of_layers_are_fine() {
    let layers: Vec<String> = (0..5000)
        .map(|k| format!("[[layers]]\nname = 'l{k}'\nop = 'regroup'\ninput = 'l{}'\n", (k + 1) % 5000))
        .collect();
    let text = format!("name = 'm'\noutputs = ['l0']\n[inputs]\n{}", layers.concat());
    let error = toml(&text).unwrap_err();
    assert_eq!(error.problems().len(), 1, "one cycle through all layers");
}
