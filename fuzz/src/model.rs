//! Models made of bytes: every layer and option, compiled in every way, beside the reference.

use schur::ir::graph::{Graph, Op};
use schur::runtime::executor::Outputs;
use schur::runtime::reference::{Arrays, Evaluated, evaluate};
use schur::{Array, DType, Data, Mode, Model, ParamStore, Pass, Source};
use serde_json::{Map, Value, json};

use super::{limits, no_bug, ways};

/// The bytes that decide; zeros where they have an end.
struct Choices<'a> {
    bytes: std::slice::Iter<'a, u8>,
    state: u64,
}

impl Choices<'_> {
    fn below(&mut self, n: usize) -> usize {
        usize::from(self.bytes.next().copied().unwrap_or(0)) % n
    }

    fn one_of<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }

    fn chance(&mut self, of: usize) -> bool {
        self.below(of) == 1
    }

    /// A number in −1..1 that no byte decides.
    fn number(&mut self) -> f64 {
        self.state = self.state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    fn irreps(&mut self) -> String {
        let count = 1 + self.below(4);
        let mut chunk = || {
            let mul = self.one_of(&[1, 2, 3, 4, 5, 0, 8, 17]);
            let l = self.one_of(&[0, 0, 1, 1, 2, 3, 0, 11]);
            format!("{mul}x{l}{}", self.one_of(&["e", "o", "y"]))
        };
        (0..count).map(|_| chunk()).collect::<Vec<_>>().join("+")
    }
}

const ACTS: [&str; 9] = ["silu", "tanh", "gelu", "sigmoid", "softplus", "soft_odd", "identity", "relu", "abs"];

/// A spec, and whether gradients depend on which side of a kink a rounded number falls.
fn spec(c: &mut Choices<'_>) -> (String, bool) {
    let shape = c.one_of(&[json!(["N"]), json!(["N", 3]), json!(["N", "M"]), json!([3]), json!([]), json!(["N", 1])]);
    let mut names = vec!["x".to_owned(), "z".to_owned()];
    let inputs = json!({
        "x": { "shape": shape, "irreps": c.irreps() },
        "z": { "shape": shape, "irreps": c.irreps() },
        "e": { "shape": ["N"], "irreps": "3x0e" },
        "i": { "shape": ["N"], "dtype": "i32" },
        "m": { "shape": ["N"], "dtype": "bool" },
    });
    let mut kinked = false;
    let layers: Vec<Value> = (0..1 + c.below(5))
        .map(|k| {
            let name = format!("l{k}");
            let (layer, kink) = layer(c, &names, &name);
            kinked |= kink;
            names.push(name);
            layer
        })
        .collect();
    let mut outputs = vec![names[names.len() - 1].clone()];
    if c.chance(3) {
        outputs.push(names[0].clone());
    }
    let normalization = c.one_of(&["element", "path"]);
    let spec = json!({ "name": "m", "dtype": "f64", "inputs": inputs, "layers": layers, "outputs": outputs,
                       "config": { "path_normalization": normalization } });
    (spec.to_string(), kinked)
}

fn layer(c: &mut Choices<'_>, names: &[String], name: &str) -> (Value, bool) {
    let op = c.one_of(&[
        "linear",
        "linear",
        "batch_norm",
        "gate",
        "norm",
        "mlp",
        "add",
        "concatenate",
        "filter",
        "regroup",
        "multiply",
        "scalar_activation",
        "norm_activation",
    ]);
    let input = if c.chance(4) { c.one_of(names) } else { names[names.len() - 1].clone() };
    let mut layer = Map::from_iter([("name".into(), json!(name)), ("op".into(), json!(op))]);
    let mut set = |key: &str, value: Value| drop(layer.insert(key.to_owned(), value));
    set("input", json!(input));
    let mut kinked = false;
    let act = |c: &mut Choices<'_>, kinked: &mut bool| {
        let act = c.one_of(&ACTS);
        *kinked |= matches!(act, "relu" | "abs" | "soft_odd");
        act
    };
    match op {
        "linear" => {
            set("irreps_out", json!(c.irreps()));
            set("biases", json!(c.chance(3)));
            set("force_irreps_out", json!(c.chance(4)));
            set("simplify_irreps_internally", json!(!c.chance(4)));
            match c.below(8) {
                1 => set("weights", json!("e")),
                2 => {
                    set("weights", json!("i"));
                    set("num_indexed_weights", json!(4));
                }
                3 => set("channel_out", json!(2)),
                _ => {}
            }
        }
        "mlp" => {
            set("list_neurons", json!([1 + c.below(9), c.below(5)]));
            set("act", json!(act(c, &mut kinked)));
            set("with_bias", json!(c.chance(2)));
        }
        "batch_norm" => {
            set("instance", json!(c.chance(3)));
            set("affine", json!(!c.chance(3)));
            let reduce = c.one_of(&["mean", "mean", "max"]);
            kinked |= reduce == "max";
            set("reduce", json!(reduce));
            if c.chance(4) {
                set("mask", json!("m"));
            }
        }
        "gate" => {
            set("even_act", json!(act(c, &mut kinked)));
            kinked = true;
        }
        "norm" => {
            let squared = c.chance(2);
            kinked |= !squared;
            set("squared", json!(squared));
        }
        "add" | "concatenate" => set("input", json!([input, c.one_of(names)])),
        "multiply" => set("input", json!([input, c.one_of(names)])),
        "filter" => set("lmax", json!(c.below(3))),
        "scalar_activation" => {
            set("even_act", json!(act(c, &mut kinked)));
            kinked = true;
        }
        "norm_activation" => {
            set("acts", json!([act(c, &mut kinked)]));
            kinked = true;
        }
        _ => {}
    }
    (Value::Object(layer), kinked)
}

pub(super) fn run(data: &[u8]) {
    let mut c = Choices { bytes: data.iter(), state: data.len() as u64 };
    let (options, pass) = (ways(c.below(4)), c.one_of(&[Pass::Forward, Pass::Joint]));
    let mode = c.one_of(&[Mode::Train, Mode::Infer]);
    let sizes = [c.one_of(&[3, 1, 0, 2, 7, 13, 31, 131]), c.one_of(&[2, 1, 0, 3, 5])];
    let (text, kinked) = spec(&mut c);
    let Ok(source) = Source::new("m.json", text.as_str()) else { return };
    let Some(model) = no_bug(Model::parse_within(&source, &limits())) else { return };
    let Some(graph) = no_bug(model.graph_of(&pass, mode)) else { return };
    let (inputs, params) = arrays(&mut c, &graph, sizes);
    let compiled = model.compile_observed(&pass, mode, &options, &mut |_| {});
    let Some(mut compiled) = no_bug(compiled) else { return };
    let leaves = compiled.program().params.iter().map(|slot| slot.param.clone()).collect::<Vec<_>>();
    let store = ParamStore::from_arrays(&leaves, DType::F64, params.clone()).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let given = inputs.iter().map(|(name, array)| (name.as_str(), array));
    let Some(found) = no_bug(compiled.run(given, &store)) else { return };
    let wanted = evaluate(&graph, &inputs, &params).unwrap_or_else(|e| panic!("{e}\n{text}"));
    if pass == Pass::Forward || !kinked {
        compare(&found, &wanted, &text);
    }
}

fn arrays(c: &mut Choices<'_>, graph: &Graph, [n, m]: [usize; 2]) -> (Arrays, Arrays) {
    let (mut inputs, mut params) = (Arrays::new(), Arrays::new());
    for node in &graph.nodes {
        let (name, mut shape, to) = match &node.op {
            Op::Input(name) => {
                let size = |dim: &schur::ir::dim::Dim| match dim.constant() {
                    Some(size) => usize::try_from(size).unwrap_or(0),
                    None if dim.symbols().any(|symbol| &**symbol == "N") => n,
                    None => m,
                };
                (name, node.ty.dims.iter().map(size).collect::<Vec<_>>(), &mut inputs)
            }
            Op::Param(param) => (&param.name, param.shape.clone(), &mut params),
            Op::Contract(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => continue,
        };
        if matches!(node.op, Op::Input(_)) && node.ty.dtype.is_float() {
            shape.push(node.ty.width());
        }
        let count = shape.iter().product::<usize>();
        let variance = name.ends_with("/var");
        let mut numbers = (0..count).map(|_| c.number());
        let data = match node.ty.dtype {
            DType::F64 => Data::F64(numbers.map(|x| if variance { x.abs() + 0.5 } else { x }).collect()),
            DType::F32 => Data::F32(numbers.map(|x| x as f32).collect()),
            DType::I32 => Data::I32(numbers.map(|x| ((x + 1.0) * 2.0) as i32 % 4).collect()),
            DType::Bool => {
                let first = numbers.next().map(|_| 1u8);
                Data::Bool(first.into_iter().chain(numbers.map(|x| u8::from(x > 0.0))).collect())
            }
        };
        let array = Array::new(shape, data).unwrap_or_else(|e| panic!("{e}"));
        to.insert(name.to_string(), array);
    }
    (inputs, params)
}

fn compare(found: &Outputs, wanted: &Evaluated, text: &str) {
    let kinds = [
        (&found.outputs, &wanted.outputs),
        (&found.statistics, &wanted.statistics),
        (&found.gradients, &wanted.gradients),
    ];
    let values = || kinds.iter().flat_map(|(_, wanted)| wanted.values()).flatten();
    let scale = values().fold(1.0f64, |m, x| m.max(x.abs()));
    if !values().all(|x| x.is_finite()) || scale > 1e9 {
        return;
    }
    for (found, wanted) in kinds {
        assert!(found.keys().map(|name| &**name).eq(wanted.keys().map(String::as_str)), "{text}");
        for ((name, found), wanted) in found.iter().zip(wanted.values()) {
            assert_eq!(found.shape(), wanted.shape(), "{name}: {text}");
            for (a, b) in found.to_f64().iter().zip(wanted) {
                assert!((a - b).abs() <= 1e-8 * scale, "`{name}`: {a} where {b} is wanted: {text}");
            }
        }
    }
}
