//! What is larger than is accepted is refused with the limit's name, before time or memory is spent on it.

use schur_ir::build::{Mode, build, build_within};
use schur_ir::limits::Limits;
use schur_ir::spec::{ModelSpec, Source};
use serde_json::{Value, json};

fn spec(inputs: Value, layers: Value, outputs: Value) -> String {
    json!({ "name": "m", "inputs": inputs, "layers": layers, "outputs": outputs }).to_string()
}

fn features(irreps: &str) -> Value {
    json!({ "x": { "shape": ["N"], "irreps": irreps } })
}

fn layer(name: &str, op: &str, input: impl Into<Value>) -> Value {
    json!({ "name": name, "op": op, "input": input.into() })
}

/// Layers that each read the one before, as often as `times` says.
fn chain(count: usize, op: &str, times: usize) -> Value {
    let before = |k: usize| if k == 0 { "x".to_owned() } else { format!("l{}", k - 1) };
    (0..count).map(|k| layer(&format!("l{k}"), op, vec![before(k); times])).collect()
}

/// The messages of a spec that is refused when it is read or built.
fn refused_within(text: &str, limits: &Limits) -> String {
    let source = Source::new("m.json", text).unwrap();
    let messages = match ModelSpec::parse_within(&source, limits) {
        Err(error) => error.problems().iter().map(|problem| problem.message.clone()).collect::<Vec<_>>(),
        Ok(spec) => match build_within(&spec, Mode::Train, limits) {
            Err(error) => error.problems.iter().map(|problem| problem.message.clone()).collect(),
            Ok(_) => panic!("accepted: {}", &text[..text.len().min(200)]),
        },
    };
    messages.join("; ")
}

fn refused(text: &str) -> String {
    refused_within(text, &Limits::default())
}

#[track_caller]
fn assert_refused(text: &str, wanted: &str) {
    let message = refused(text);
    assert!(message.contains(wanted), "{}", &message[..message.len().min(500)]);
}

#[test]
fn every_limit_is_told_by_name() {
    let of = |irreps: &str| spec(features(irreps), chain(1, "regroup", 1), json!(["l0"]));
    assert_refused(&of("1x129e"), "the degree: 129, where the limit `degree` is 128");
    assert_refused(&of("20000000x0e"), "where the limit `multiplicity` is 16777216");
    assert_refused(&of("3000000x64e"), "where the limit `width` is 268435456");
    assert_refused(&of(&["0e"; 10_001].join("+")), "the chunks: 10001, where the limit `chunks` is 10000");
    let deep = json!({ "x": { "shape": vec!["N"; 33], "irreps": "0e" } });
    assert_refused(&spec(deep, chain(1, "regroup", 1), json!(["l0"])), "the axes: 33, where the limit `axes` is 32");
    let inputs: serde_json::Map<_, _> =
        (0..1001).map(|k| (format!("x{k}"), json!({ "shape": [], "irreps": "0e" }))).collect();
    assert_refused(&spec(inputs.into(), json!([]), json!(["x0"])), "where the limit `inputs` is 1000");
    assert_refused(&spec(features("0e"), chain(10_001, "regroup", 1), json!(["l0"])), "the limit `layers` is 10000");
    let text = " ".repeat(8 << 20) + &of("0e");
    assert_refused(&text, "where the limit `text` is 8388608");
    let chunks = vec!["0e"; 500].join("+");
    let linear = json!([{ "name": "l0", "op": "linear", "input": "x", "irreps_out": chunks,
                          "simplify_irreps_internally": false }]);
    assert_refused(&spec(features(&chunks), linear, json!(["l0"])), "the paths of `l0`: 250000");
    let nodes = refused_within(&of("0e+1o"), &Limits { nodes: 0, ..Limits::default() });
    assert!(nodes.contains("where the limit `nodes` is 0"), "{nodes}");
}

#[test]
fn what_is_within_the_limits_is_accepted() {
    // All irreps up to l = 11, and well beyond.
    let irreps: Vec<String> = (0..=128).flat_map(|l| [format!("2x{l}e"), format!("{l}o")]).collect();
    let linear = json!([{ "name": "l0", "op": "linear", "input": "x", "irreps_out": irreps.join("+") }]);
    let text = spec(features(&irreps.join("+")), linear, json!(["l0"]));
    let parsed = ModelSpec::parse(&Source::new("m.json", text).unwrap()).unwrap();
    build(&parsed, Mode::Infer).unwrap();
}

#[test]
fn limits_can_be_raised() {
    let text = spec(features("1x65536e"), chain(10_001, "regroup", 1), json!(["l0"]));
    let source = Source::new("m.json", text).unwrap();
    let parsed = ModelSpec::parse_within(&source, &Limits::NONE).unwrap();
    build_within(&parsed, Mode::Infer, &Limits::NONE).unwrap();
    assert!(build(&parsed, Mode::Infer).is_ok(), "no layer makes a node");
}

#[test]
fn layers_that_double_what_they_read_are_refused_early() {
    let doubled = |irreps: &str, op: &str, times| spec(features(irreps), chain(60, op, times), json!(["l59"]));
    assert_refused(&doubled("0e+1o", "concatenate", 2), "where the limit `chunks` is 10000");
    assert_refused(&doubled("16777216x0e", "concatenate", 4), "where the limit `width` is 268435456");
    assert_refused(&doubled("0x128e", "multiply", 2), "the limit `chunks`");
    assert_refused(&doubled(&["0e"; 9000].join("+"), "add", 60), "where the limit `paths` is 200000");
}

/// What one layer makes too large is not told of those after it.
#[test]
fn the_layer_that_is_too_large_is_told_alone() {
    let layers = |first: Value| {
        let mut layers = vec![first];
        layers.extend((1..4).map(|k| layer(&format!("l{k}"), "norm", "x")));
        spec(features("2x0e + 1o"), layers.into(), json!(["l3"]))
    };
    let wide = layer("l0", "concatenate", vec!["x", "x"]);
    let message = refused_within(&layers(wide), &Limits { width: 9, ..Limits::default() });
    assert!(message.contains("the width of a value of `l0`: 10") && !message.contains(';'), "{message}");
    let message = refused_within(&layers(layer("l0", "norm", "x")), &Limits { nodes: 4, ..Limits::default() });
    assert!(message.contains("where the limit `nodes` is 4") && !message.contains(';'), "{message}");
    let message = refused_within(&layers(layer("l0", "norm", "x")), &Limits { paths: 3, ..Limits::default() });
    assert!(message.contains("where the limit `paths` is 3") && !message.contains(';'), "{message}");
}

#[test]
fn arrays_beyond_any_memory_are_refused() {
    let shape = json!({ "x": { "shape": vec![2_147_483_647; 8], "irreps": "4x0e" } });
    assert_refused(&spec(shape, chain(1, "norm", 1), json!(["l0"])), "the input `x` fits in no memory");
    let channels = json!({ "x": { "shape": ["N", 4], "irreps": "4x0e" } });
    let linear = json!([{ "name": "l0", "op": "linear", "input": "x", "irreps_out": "4x0e",
                          "channel_out": 2_147_483_647 }]);
    assert_refused(&spec(channels, linear, json!(["l0"])), "features in all channels at most");
    let mlp = json!([{ "name": "l0", "op": "mlp", "input": "x", "list_neurons": [2_147_483_647, 2_147_483_647] }]);
    assert_refused(&spec(features("4x0e"), mlp, json!(["l0"])), "elements");
}

/// Each of these took minutes or more, or gigabytes, where something grows with the square of the text.
#[test]
fn time_grows_with_the_text_alone() {
    let many = |count: usize, op: &str, input: &dyn Fn(usize) -> Value| -> Value {
        (0..count).map(|k| layer(&format!("l{k}"), op, input(k))).collect()
    };
    let unknown = many(10_000, "regroup", &|k| json!(format!("m{k}")));
    let later = many(1000, "add", &|k| (k + 1..1000).map(|j| json!(format!("l{j}"))).collect());
    let cycles = many(5000, "add", &|k| json!([format!("l{}", (k + 1) % 5000), format!("l{}", (k + 7) % 5000), "x"]));
    for layers in [unknown, later, cycles] {
        assert!(!refused(&spec(features("0e"), layers, json!(["l0"]))).is_empty());
    }
    let long = "a".repeat(1 << 20);
    let title = spec(features("0e"), chain(1, "regroup", 1), json!(["l0"])).replace("\"m\"", &format!("{long:?}"));
    assert_refused(&title, "longer than 1,000 bytes");
    let names = json!([layer(&format!("{long}b"), "regroup", format!("{long}c"))]);
    assert!(refused(&spec(features("0e"), names, json!(["l0"]))).len() < 10_000, "messages are short");
    let unknown_keys: Vec<String> = (0..100_000).map(|k| format!("\"k{k}\": 1")).collect();
    assert!(!refused(&format!("{{{}}}", unknown_keys.join(","))).is_empty());
    let twice = vec!["\"name\": 1"; 100_000].join(",\n");
    assert!(!refused(&format!("{{{twice}}}")).is_empty());
    assert!(!refused(&format!("{{\"layers\": [{}1]}}", "1,".repeat(1 << 21))).is_empty());
    let instructions: Vec<[usize; 2]> = (0..90_000).map(|k| [k % 300, k / 300]).collect();
    let chunks = vec!["0e"; 300].join("+");
    let linear = json!([{ "name": "l0", "op": "linear", "input": "x", "irreps_out": chunks, "irreps_in": chunks,
                          "simplify_irreps_internally": false, "instructions": instructions }]);
    let text = spec(features(&chunks), linear, json!(["l0"]));
    let parsed = ModelSpec::parse(&Source::new("m.json", text).unwrap()).unwrap();
    build(&parsed, Mode::Infer).unwrap();
}

#[test]
fn a_hundred_megabytes_are_read_where_they_are_allowed() {
    let valid = spec(features("0e"), chain(1, "regroup", 1), json!(["l0"]));
    let limits = Limits { text: usize::MAX, ..Limits::default() };
    let padded = format!("{}{valid}", " ".repeat(100 << 20));
    assert!(ModelSpec::parse_within(&Source::new("m.json", padded).unwrap(), &limits).is_ok());
    let nested = "[".repeat(100 << 20);
    assert!(refused_within(&nested, &limits).contains("deeper than 128"));
    let long = format!("{{\"name\": \"{}\"}}", "a".repeat(100 << 20));
    assert!(refused_within(&long, &limits).contains("lacks `outputs`"));
}
