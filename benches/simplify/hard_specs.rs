//! Specs that are hard to simplify, of at most a hundred layers: many chunks, deep chains, sums, concatenations, and many
//! inputs. `main.rs` measures how long they take, `tests/limits.rs` what they need of passes, e-nodes and memory.

use std::fmt::Write;

/// A spec by name, with its text in TOML.
pub(crate) struct HardSpec {
    /// What it is a case of.
    pub(crate) name: &'static str,
    /// The spec.
    pub(crate) text: String,
}

/// The layers before `k` is their input.
fn before(k: usize) -> String {
    if k == 0 { "x".into() } else { format!("l{}", k - 1) }
}

fn linear(input: &str, irreps: &str) -> String {
    format!("op = \"linear\"\ninput = \"{input}\"\nirreps_out = \"{irreps}\"")
}

/// A linear layer with a weight for every pair of chunks.
fn apart(input: &str, irreps: &str) -> String {
    linear(input, irreps) + "\nsimplify_irreps_internally = false"
}

fn unary(op: &str, k: usize) -> String {
    format!("op = \"{op}\"\ninput = \"{}\"", before(k))
}

/// `op` of several layers.
fn of_many(op: &str, inputs: impl Iterator<Item = String>) -> String {
    let inputs: Vec<String> = inputs.map(|input| format!("\"{input}\"")).collect();
    format!("op = \"{op}\"\ninput = [{}]", inputs.join(", "))
}

/// A spec whose layers are named `l0`, `l1`, …, of which the last is returned.
fn spec(name: &'static str, inputs: &[(&str, &str)], layers: impl Iterator<Item = String>) -> HardSpec {
    let (mut text, mut last) = (String::new(), 0);
    for (input, irreps) in inputs {
        let _ = writeln!(text, "[inputs.{input}]\nshape = [\"N\"]\nirreps = \"{irreps}\"");
    }
    for (k, layer) in layers.enumerate() {
        let _ = writeln!(text, "[[layers]]\nname = \"l{k}\"\n{layer}");
        last = k;
    }
    let text = format!("name = \"hard\"\noutputs = [\"l{last}\"]\n{text}");
    HardSpec { name, text }
}

/// Chunks in an order that no two neighbours can be joined in.
fn chunks(kinds: &[&str], times: usize) -> String {
    vec![kinds.join(" + "); times].join(" + ")
}

const KINDS: [&str; 4] = ["2x0e", "1x1o", "2x0o", "1x2e"];

/// All of them.
pub(crate) fn hard_specs() -> Vec<HardSpec> {
    [deep(), wide(), branching()].into_iter().flatten().collect()
}

/// Layers that follow one another.
fn deep() -> Vec<HardSpec> {
    const IRREPS: &str = "16x0e + 8x1o + 4x2e";
    let sizes = ["64x0e", "8x0e", "128x0e", "16x0e"];
    let block = |k: usize| match k % 3 {
        0 => linear(&before(k), "24x0e + 8x1o"),
        1 => unary("batch_norm", k),
        _ => unary("gate", k),
    };
    let mixed = |k: usize| match k % 5 {
        0 => linear(&before(k), "24x0e + 8x1o"),
        1 => unary("batch_norm", k),
        2 => unary("gate", k),
        3 => format!("op = \"filter\"\ninput = \"{}\"\nkeep = [\"0e\"]", before(k)),
        _ => unary("mlp", k) + "\nlist_neurons = [32, 16]\nact = \"silu\"",
    };
    vec![
        spec("chain", &[("x", IRREPS)], (0..100).map(|k| linear(&before(k), IRREPS))),
        spec("bottlenecks", &[("x", "64x0e")], (0..100).map(|k| linear(&before(k), sizes[k % 4]))),
        spec("batch norms", &[("x", "16x0e + 8x1o")], (0..100).map(|k| unary("batch_norm", k))),
        spec("blocks", &[("x", "16x0e + 8x1o")], (0..99).map(block)),
        spec("linear, norm, gate, mlp", &[("x", "16x0e + 8x1o")], (0..100).map(mixed)),
    ]
}

/// Layers of many chunks.
fn wide() -> Vec<HardSpec> {
    let many = chunks(&KINDS, 6);
    let more = chunks(&KINDS, 16);
    let most = chunks(&KINDS, 75);
    let [few, joined] = [chunks(&KINDS, 3), chunks(&KINDS, 8)];
    let residual = |k: usize| match k % 2 {
        0 => apart(&before(k), &few),
        _ if k == 1 => of_many("add", ["x", "l0"].map(String::from).into_iter()),
        _ => of_many("add", [k - 2, k - 1].map(|k| format!("l{k}")).into_iter()),
    };
    let regrouped = |k: usize| match k % 4 {
        1 | 3 => unary("regroup", k),
        0 if k < 12 => of_many("concatenate", ["x".to_owned(), before(k)].into_iter()),
        _ => linear(&before(k), &joined),
    };
    let block = |k: usize| match k % 2 {
        0 => apart(&before(k), &many),
        _ => unary("batch_norm", k),
    };
    vec![
        spec("many chunks", &[("x", &many)], (0..100).map(|k| apart(&before(k), &many))),
        spec("more chunks", &[("x", &more)], (0..12).map(|k| apart(&before(k), &more))),
        spec("most chunks", &[("x", &most)], (0..2).map(|k| apart(&before(k), &most))),
        spec("few chunks, residual", &[("x", &few)], (0..99).map(residual)),
        spec("regrouped", &[("x", &joined)], (0..60).map(regrouped)),
        spec("many chunks, normalised", &[("x", &many)], (0..100).map(block)),
    ]
}

/// Layers that read several others.
fn branching() -> Vec<HardSpec> {
    const FEW: &str = "1x0e + 2x1o";
    const IRREPS: &str = "16x0e + 8x1o + 4x2e";
    let sum = (0..99).map(|_| linear("x", IRREPS)).chain([of_many("add", (0..99).map(|k| format!("l{k}")))]);
    let residual = (0..100).map(|k| match k % 2 {
        0 => linear(&before(k), IRREPS),
        _ if k == 1 => of_many("add", ["x", "l0"].map(String::from).into_iter()),
        _ => of_many("add", [k - 2, k - 1].map(|k| format!("l{k}")).into_iter()),
    });
    let joined = (0..100).map(|k| match k % 3 {
        0 => of_many("concatenate", ["x".to_owned(), before(k)].into_iter()),
        1 => linear(&before(k), "8x0e + 4x1o + 8x0e + 4x1o"),
        _ => format!("op = \"filter\"\ninput = \"{}\"\nkeep = [\"0e\", \"1o\"]", before(k)),
    });
    // All that is there so far is read, again and again.
    let dense = (0..40).map(|k| match k % 2 {
        0 if k == 0 => linear("x", "4x0e + 2x1o"),
        0 => linear(&before(k), "4x0e + 2x1o"),
        _ => of_many("concatenate", std::iter::once("x".to_owned()).chain((0..k).step_by(2).map(|k| format!("l{k}")))),
    });
    // Sums of layers before, nearer and farther, and activations of them.
    let web = (0..70).map(|k: usize| match k % 7 {
        5 => of_many("add", (0..6).map(|j| format!("l{}", k.saturating_sub(1 + j + j * j)))),
        6 => unary("scalar_activation", k),
        _ => linear(&before(k), FEW),
    });
    let activated = (0..99).map(|k: usize| match k % 2 {
        1 => unary("scalar_activation", k) + "\nacts = [\"silu\"]",
        _ if k > 3 => of_many("add", (1..4).map(|j| format!("l{}", k - j))),
        _ => linear(&before(k), "8x0e"),
    });
    let inputs: Vec<String> = (0..16).map(|k| format!("x{k}")).collect();
    let named: Vec<(&str, &str)> = inputs.iter().map(|name| (name.as_str(), "8x0e + 4x1o + 8x0e")).collect();
    let heads = inputs.iter().map(|input| linear(input, "16x0e + 8x1o"));
    let gates = (0..16).map(|k| format!("op = \"scalar_activation\"\ninput = \"l{k}\"\nacts = [\"silu\", \"none\"]"));
    let tails = (16..32).map(|k| linear(&format!("l{k}"), "16x0e + 8x1o"));
    let ends =
        [of_many("add", (32..48).map(|k| format!("l{k}"))), of_many("concatenate", (32..49).map(|k| format!("l{k}")))];
    let last = [linear("l49", "16x0e + 8x1o")];
    vec![
        spec("sum", &[("x", IRREPS)], sum),
        spec("residual sums", &[("x", IRREPS)], residual),
        spec("concatenations", &[("x", "8x0e + 4x1o")], joined),
        spec("dense", &[("x", "4x0e + 2x1o")], dense),
        spec("activated sums", &[("x", "8x0e")], activated),
        spec("web of sums", &[("x", FEW)], web),
        spec("inputs", &named, heads.chain(gates).chain(tails).chain(ends).chain(last)),
    ]
}
