//! Names, shapes, types and faults of what is built. The numbers are tested where graphs are evaluated.

use proptest::prelude::*;

use super::*;
use crate::expr::Scalar;
use crate::graph::{Contract, Init, Op, Requirement};
use crate::verify::verify;

/// Parses a spec and builds it; every graph must pass the verifier.
fn built(text: &str, mode: Mode) -> Result<Graph, BuildError> {
    let source = Source::new("spec.toml", text).expect("the name ends in .toml");
    let spec = ModelSpec::parse(&source).unwrap_or_else(|error| panic!("{text}: {:?}", error.problems()));
    let graph = build(&spec, mode)?;
    verify(&graph).unwrap_or_else(|error| panic!("{text}: {error}"));
    Ok(graph)
}

/// Inputs beside `x`: scalars, an index, a mask.
const SIDES: &str = "e = { shape = ['N'], irreps = '2x0e + 1x0e' }\ni = { shape = ['N'], dtype = 'i32' }\n\
    m = { shape = ['N'], dtype = 'bool' }";

/// A spec that returns the last of some layers, which are named `a`, `b`, … and each read the one before; the first
/// reads `x`.
fn chain(shape: &str, irreps: &str, layers: &[&str]) -> String {
    let names = ["x", "a", "b", "c"];
    let last = names[layers.len()];
    let mut text = format!(
        "name = 'model'\noutputs = ['{last}']\n[inputs]\nx = {{ shape = {shape}, irreps = '{irreps}' }}\n{SIDES}\n"
    );
    for (k, layer) in layers.iter().enumerate() {
        let input = if layer.contains("input =") { String::new() } else { format!("input = '{}'\n", names[k]) };
        text += &format!("[[layers]]\nname = '{}'\n{input}{layer}\n", names[k + 1]);
    }
    text
}

/// The type of the first output.
fn output_type(graph: &Graph) -> String {
    graph.ty(graph.outputs[0].value).to_string().trim_end().to_string()
}

fn params(graph: &Graph) -> impl Iterator<Item = &crate::graph::Param> {
    graph.nodes.iter().filter_map(|node| match &node.op {
        Op::Param(param) => Some(param),
        Op::Input(_) | Op::Contract(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => None,
    })
}

fn contracts(graph: &Graph) -> impl Iterator<Item = &Contract> {
    graph.nodes.iter().filter_map(|node| match &node.op {
        Op::Contract(contract) => Some(contract),
        Op::Input(_) | Op::Param(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => None,
    })
}

#[test]
fn linear_parameters_are_those_of_flax() {
    let mixed = "2x1o + 3x0e + 0x2e + 1x1o";
    let table: &[(&str, &str, &str, &str, &[&str])] = &[
        (
            "['N']",
            mixed,
            "irreps_out = '4x0e + 2x2e + 5x0e + 1o'\nbiases = true",
            "f32[N] 4x0e+5x0e+1x1o",
            &[
                "w[0,0] 3x0e,4x0e [3, 4]",
                "w[0,1] 3x0e,5x0e [3, 5]",
                "w[1,2] 3x1o,1x1o [3, 1]",
                "b[0] 4x0e [4]",
                "b[1] 5x0e [5]",
            ],
        ),
        (
            "['N']",
            mixed,
            "irreps_out = '4x0e + 2x2e + 1o'\nsimplify_irreps_internally = false",
            "f32[N] 4x0e+2x2e+1x1o",
            &[
                "w[0,2] 2x1o,1x1o [2, 1]",
                "w[1,0] 3x0e,4x0e [3, 4]",
                "w[2,1] 0x2e,2x2e [0, 2]",
                "w[3,2] 1x1o,1x1o [1, 1]",
            ],
        ),
        (
            "['N']",
            "3x0e",
            "irreps_out = '2x1o + 2x0e + 0x3e + 1x0e + 1o'\nforce_irreps_out = true",
            "f32[N] 2x1o!+2x0e+0x3e!+1x0e+1x1o!",
            &["w[0,1] 3x0e,3x0e [3, 3]"],
        ),
        (
            "[2, 'N']",
            "3x0e",
            "irreps_out = '2x0e'\nbiases = true\nweights = 'i'\nnum_indexed_weights = 4",
            "f32[2, N] 2x0e",
            &["w[0,0] 3x0e,2x0e [4, 3, 2]", "b[0] 2x0e [4, 2]"],
        ),
        (
            "[1]",
            "3x0e + 1o",
            "irreps_out = '2x0e'\nbiases = [true]\nweights = 'e'",
            "f32[N] 2x0e",
            &["w[0,0] 3x0e,2x0e [3, 3, 2]", "b[0] 2x0e [3, 2]"],
        ),
        (
            "['N', 5]",
            "3x0e + 1o",
            "irreps_out = '2x0e + 2x2e'\nbiases = true\nweights = 'e'\n\
             weights_per_channel = true\nforce_irreps_out = true",
            "f32[N, 5] 2x0e+2x2e!",
            &["w[0,0] 3x0e,2x0e [3, 5, 3, 2]", "b[0] 2x0e [3, 5, 2]"],
        ),
        (
            "['N', 5]",
            "1o + 3x0e",
            "irreps_out = '2x0e + 2x2e + 1o'\nbiases = true\nchannel_out = 4\nforce_irreps_out = true",
            "f32[N, 4] 2x0e+2x2e!+1x1o",
            &["w[0,0] 15x0e,8x0e [15, 8]", "w[1,2] 5x1o,4x1o [5, 4]", "b[0] 8x0e [8]"],
        ),
        (
            "[]",
            "2x1o + 1o + 1o",
            "irreps_in = '2x1o + 1o + 1o'\nirreps_out = '3x1o + 2x1o'\n\
             instructions = [[2, 0], [0, 1]]\nsimplify_irreps_internally = false",
            "f32[] 3x1o+2x1o",
            &["w[2,0] 1x1o,3x1o [1, 3]", "w[0,1] 2x1o,2x1o [2, 2]"],
        ),
        ("[]", "2x1o", "irreps_out = '3x2e'", "f32[]", &[]),
    ];
    for (shape, irreps, options, ty, names) in table {
        let graph = built(&chain(shape, irreps, &[&format!("op = 'linear'\n{options}")]), Mode::Train).expect(options);
        assert_eq!(output_type(&graph), *ty, "{options}");
        let found: Vec<String> = params(&graph).map(|p| format!("{} {:?}", p.name, p.shape)).collect();
        let names: Vec<String> = names.iter().map(|name| format!("params/a/{name}")).collect();
        assert_eq!(found, names, "{options}");
    }
}

#[test]
fn linear_scales_and_starts_as_in_e3nn_jax() {
    let facts = |options: &str| {
        let layer =
            format!("op = 'linear'\nirreps_out = '1x0e'\nweights = 'e'\nsimplify_irreps_internally = false\n{options}");
        let graph = built(&chain("['N']", "2x0e + 6x0e", &[&layer]), Mode::Train).expect(options);
        let last = contracts(&graph).last().expect("a linear layer is a contraction");
        let coefficients: Vec<f64> = last.paths.iter().map(|p| p.coefficient.0).collect();
        (coefficients, params(&graph).map(|p| p.init).collect::<Vec<_>>())
    };
    let normal = |std| Init::Normal { mean: Scalar(0.0), std: Scalar(std) };
    let third = (1.0f64 / 3.0).sqrt();
    let eighth = (1.0f64 / 8.0).sqrt();
    assert_eq!(facts(""), (vec![eighth * third; 2], vec![normal(1.0); 2]));
    let (coefficients, inits) = facts("path_normalization = 'path'\ngradient_normalization = 'element'");
    assert_eq!(coefficients, [1.0; 2]);
    assert_eq!(inits, [normal((1.0f64 / 4.0).sqrt() * third), normal((1.0f64 / 12.0).sqrt() * third)]);
    let (_, inits) = facts("init = { distribution = 'uniform', scale = 2.0, mean = 1.0 }\nbiases = true");
    assert_eq!(inits, [Init::Uniform { low: Scalar(-1.0), high: Scalar(3.0) }; 3]);
    let (_, inits) = facts("biases = true");
    assert_eq!(inits[2], Init::Constant(Scalar(0.0)));
}

/// Expected are the irreps and zero flags that e3nn_jax gives.
#[test]
fn zero_flags_are_those_of_e3nn_jax() {
    let forced = |irreps: &str| {
        format!("op = 'linear'\nirreps_out = '{irreps}'\nforce_irreps_out = true\nsimplify_irreps_internally = false")
    };
    let (empty, full) = ("2x0e + 2x1o + 3x0e + 1x2e + 0x0o", "2x0e + 2x1o + 3x0e + 1x2e");
    let table = [
        (empty, "op = 'regroup'", "5x0e+2x1o!+1x2e"),
        (empty, "op = 'filter'\ndrop = ['2e']", "2x0e+2x1o!+3x0e+0x0o!"),
        (empty, "op = 'filter'\nlmax = 0", "2x0e+3x0e+0x0o!"),
        (empty, "op = 'norm'", "2x0e+2x0e!+3x0e+1x0e+0x0e!"),
        (
            empty,
            "op = 'norm_activation'\nacts = ['silu', 'silu', 'none', 'tanh', 'none']",
            "2x0e+2x1o!+3x0e+1x2e+0x0o!",
        ),
        (empty, "op = 'scalar_activation'\nodd_act = 'abs'", "2x0e+2x1o!+3x0e+1x2e+0x0e!"),
        (empty, "op = 'batch_norm'", "2x0e+2x1o!+3x0e+1x2e+0x0o!"),
        (empty, "op = 'concatenate'\ninput = ['a', 'a']", "2x0e+2x1o!+3x0e+1x2e+0x0o!+2x0e+2x1o!+3x0e+1x2e+0x0o!"),
        (empty, "op = 'add'\ninput = ['a', 'a']", "2x0e+2x1o!+3x0e+1x2e+0x0o!"),
        (full, "op = 'gate'", "2x0e+2x1o!+1x2e"),
        (full, "op = 'scalar_activation'\nacts = ['tanh', 'none', 'sigmoid', 'none']", "2x0e+2x1o!+3x0e+1x2e"),
        ("2x0o + 1x0e", "op = 'scalar_activation'", "2x0o!+1x0e"),
        ("2x0o + 1x0e", "op = 'scalar_activation'\nacts = ['none', 'sigmoid']", "2x0o!+1x0e"),
    ];
    for (irreps, op, ty) in table {
        let graph = built(&chain("['N']", "0e + 2e", &[&forced(irreps), op]), Mode::Infer).expect(op);
        assert_eq!(output_type(&graph), format!("f32[N] {ty}"), "{op}");
    }
}

#[test]
fn gates_and_products_keep_e3nn_jax_s_chunks() {
    let gate = |irreps: &str| built(&chain("[]", irreps, &["op = 'gate'"]), Mode::Infer).map(|g| output_type(&g));
    let table = [
        ("15x0e + 2x1e + 1x2e", "12x0e+2x1e+1x2e"),
        ("12x0e + 3x0o + 2x1e + 1x2e", "12x0e+2x1o+1x2o"),
        ("12x0e + 3x0o + 0x1o", "12x0e+3x0o"),
        ("0x0o + 2x0e + 1o + 1o", "0x0o+0x1e!+1x1o+1x1o"),
    ];
    for (irreps, out) in table {
        assert_eq!(gate(irreps).as_deref(), Ok(&*format!("f32[] {out}")), "{irreps}");
    }
    let multiply = "op = 'multiply'\ninput = ['e', 'x']";
    let graph = built(&chain("['M', 1]", "1o + 2x0o", &[multiply]), Mode::Infer).expect("scalars times irreps");
    assert_eq!(output_type(&graph), "f32[M, N] 1x1o+1x0o+1x0o");
}

#[test]
fn nothing_is_copied_that_stays_in_place() {
    let table = [
        ("2x0e + 1o", "op = 'filter'\nlmax = 3", 0),
        ("2x0e + 1o", "op = 'regroup'", 0),
        ("1x0e + 1x0e + 1o", "op = 'regroup'", 0),
        ("1o + 2x0e", "op = 'regroup'", 1),
        ("1x0e + 1x0e + 1o", "op = 'linear'\nirreps_out = '3x0e'", 1),
        ("3x0e + 2x0e", "op = 'scalar_activation'", 0),
        ("3x0e + 2x0e", "op = 'mlp'\nlist_neurons = [4, 5]\nact = 'silu'", 2),
        ("2x0e + 2x1o", "op = 'gate'", 2),
        ("3x0e + 2x1o", "op = 'gate'", 3),
    ];
    for (irreps, op, count) in table {
        let graph = built(&chain("['N']", irreps, &[op]), Mode::Infer).expect(op);
        assert_eq!(contracts(&graph).count(), count, "{op} of {irreps}");
    }
}

#[test]
fn batch_norm_updates_its_statistics_in_training_alone() {
    let count = |op: &str, mode| {
        let graph = built(&chain("['N']", "2x0e + 1o", &[op]), mode).expect(op);
        let updates: Vec<String> =
            graph.outputs[1..].iter().map(|o| format!("{} {:?}", o.name, o.shape.as_deref().unwrap_or(&[]))).collect();
        (updates, graph.requirements.len())
    };
    let both = vec!["batch_stats/a/mean [2]".to_string(), "batch_stats/a/var [3]".to_string()];
    let table = [
        ("", Mode::Train, &both[..], 1),
        ("", Mode::Infer, &[], 0),
        ("use_running_average = true", Mode::Train, &both, 1),
        ("use_running_average = false", Mode::Infer, &[], 1),
        ("mask = 'm'", Mode::Train, &both, 2),
        ("mask = 'm'", Mode::Infer, &[], 0),
        ("instance = true", Mode::Train, &[], 0),
    ];
    for (options, mode, updates, requirements) in table {
        let found = count(&format!("op = 'batch_norm'\n{options}"), mode);
        assert_eq!(found, (updates.to_vec(), requirements), "{options} {mode:?}");
    }
}

#[test]
fn indices_are_required_to_be_in_bounds_once_a_layer() {
    let op = "op = 'linear'\nirreps_out = '2x0e + 1o'\nweights = 'i'\nnum_indexed_weights = 4";
    let graph = built(&chain("['N']", "2x0e + 1o", &[op]), Mode::Infer).expect(op);
    assert_eq!(graph.requirements, [Requirement::IndexBelow { input: "i".into(), bound: 4, layer: "a".into() }]);
}

#[test]
fn faults_say_what_was_found_and_point_at_it() {
    let linear = "op = 'linear'\nirreps_out = '2x0e'\n";
    let with = |options: &str| format!("{linear}{options}");
    let table = [
        ("2x0e", with("weights = 'i'"), "`a`: an i32 index as `weights` needs `num_indexed_weights`", "'i'"),
        ("2x0e", with("num_indexed_weights = 3"), "`a`: `num_indexed_weights` needs `weights`, an i32 index", "3"),
        (
            "2x0e",
            with("weights = 'e'\nnum_indexed_weights = 3"),
            "`a`: `num_indexed_weights` needs an i32 index as `weights`, these are scalars",
            "'e'",
        ),
        ("2x0e", with("weights = 'm'"), "`a`: a mask cannot be `weights`: an index or scalars (0e) can", "'m'"),
        (
            "2x0e",
            with("channel_out = 7"),
            "`a`: `channel_out` needs a number as the size of the input's last leading axis, found `N`",
            "7",
        ),
        (
            "2x0e",
            with("biases = [true, false]"),
            "`a`: `biases` lists 2 flags, `2x0e` has 1 chunk: one each is needed",
            "[true, false]",
        ),
        ("2x0e", with("irreps_in = '3x0e'"), "`a`: `irreps_in` is `3x0e`, the input's irreps are `2x0e`", "'3x0e'"),
        (
            "2x0e + 1o",
            "op = 'linear'\nirreps_in = '2x0e + 1o'\nirreps_out = '1o + 0e'\n\
             instructions = [[0, 0]]\nsimplify_irreps_internally = false"
                .into(),
            "`a`: instruction [0, 0] joins 2x0e to 1x1o: Schur's lemma allows equal irreps alone",
            "[0, 0]",
        ),
        (
            "2x0e + 1o",
            "op = 'linear'\nirreps_in = '2x0e + 1o'\nirreps_out = '1o + 0e'\n\
             instructions = [[1, 0], [1, 0]]\nsimplify_irreps_internally = false"
                .into(),
            "`a`: instruction [1, 0] is listed twice",
            "[1, 0]",
        ),
        (
            "2x0e + 1o",
            "op = 'linear'\nirreps_in = '2x0e + 1o'\nirreps_out = '2e + 1o'\n\
             instructions = [[1, 1]]\nsimplify_irreps_internally = false"
                .into(),
            "`a`: instruction [1, 1] names a chunk that `2x0e+1x1o` → `1x1o` does not have",
            "[1, 1]",
        ),
        (
            "2x0e + 1o",
            "op = 'linear'\nirreps_out = '0e + 1o'\nbiases = [true, true]".into(),
            "`a`: 1x1o cannot have a bias: scalars (0e) alone can",
            "[true, true]",
        ),
        (
            "4x0e",
            with("gradient_normalization = -3000"),
            "`a`: `gradient_normalization` makes the factor of a term inf: it must be finite",
            "-3000",
        ),
        (
            "4x0e",
            with("gradient_normalization = 3000"),
            "`a`: `gradient_normalization` makes the standard deviation of a weight inf: it must be finite",
            "3000",
        ),
        (
            "1x0e",
            with("weights = 'e'\ngradient_normalization = -3000"),
            "`a`: `gradient_normalization` makes the factor of a mixture inf: it must be finite",
            "-3000",
        ),
        (
            "4x0e",
            with("path_normalization = 3000"),
            "`a`: `path_normalization` makes the divisor of a variance NaN: it must be finite",
            "3000",
        ),
        (
            "4x0e",
            "op = 'mlp'\nlist_neurons = [3]\ngradient_normalization = -3000".into(),
            "`a`: `gradient_normalization` makes the factor of dense layer 0 inf: it must be finite",
            "-3000",
        ),
        (
            "4x0e",
            "op = 'mlp'\nlist_neurons = [3]\ngradient_normalization = 3000".into(),
            "`a`: `gradient_normalization` makes the standard deviation of kernel 0 inf: it must be finite",
            "3000",
        ),
        ("0x0e", "op = 'mlp'\nlist_neurons = [3]".into(), "dense layer 0 of `a` has no scalar to read", "[[layers]]"),
        (
            "2x0e + 1o",
            "op = 'mlp'\nlist_neurons = [3]".into(),
            "`a` reads `2x0e+1x1o`: `mlp` needs scalars (0e) alone",
            "'x'",
        ),
        (
            "2x0e",
            "op = 'add'\ninput = ['x', 'e']".into(),
            "`a` adds `2x0e` and `2x0e+1x0e`: `add` needs equal irreps",
            "'e'",
        ),
        ("2x0e", "op = 'regroup'\ninput = 'i'".into(), "`a` reads `i`, which is i32: features are needed", "'i'"),
        (
            "2x0e",
            "op = 'multiply'\ninput = ['x', 'e']".into(),
            "`a` multiplies `2x0e` by `2x0e+1x0e`: 2 irreps beside 3, as many are needed",
            "['x', 'e']",
        ),
        (
            "1e + 1o + 1o",
            "op = 'multiply'\ninput = ['x', 'x']".into(),
            "`a` multiplies `1x1e+1x1o+1x1o` by `1x1e+1x1o+1x1o`: 1x1e meets 1x1e, one of them must be scalars",
            "['x', 'x']",
        ),
        (
            "2x0o",
            "op = 'scalar_activation'\nacts = ['silu']".into(),
            "`a`: `silu` (`acts`) of the odd scalars `2x0o` has no parity: an even function (`abs`) or an odd one (`tanh`, `soft_odd`, `identity`) is \
             needed",
            "['silu']",
        ),
        (
            "0e + 2x0o",
            "op = 'scalar_activation'\neven_act = 'relu'\nodd_act = 'silu'".into(),
            "`a`: `silu` (`odd_act`) of the odd scalars `2x0o` has no parity: an even function (`abs`) or an odd one (`tanh`, `soft_odd`, \
             `identity`) is needed",
            "'silu'",
        ),
        (
            "0e + 0o + 1o",
            "op = 'gate'\nodd_gate_act = 'sigmoid'".into(),
            "`a`: `sigmoid` (`odd_gate_act`) of the odd scalars `1x0o` has no parity: an even function (`abs`) or an odd one (`tanh`, \
             `soft_odd`, `identity`) is needed",
            "'sigmoid'",
        ),
        (
            "1o",
            "op = 'scalar_activation'\nacts = ['silu']".into(),
            "`a`: `silu` (`acts`) of `1x1o` is not equivariant: activations are for scalars (l = 0)",
            "['silu']",
        ),
        (
            "1o",
            "op = 'norm_activation'\nacts = []".into(),
            "`a` has 0 `acts`, its input `1x1o` has 1 chunk: one each is needed",
            "[]",
        ),
        (
            "0e + 2x1o",
            "op = 'gate'".into(),
            "`a`: `1x0e+2x1o` has 1 scalar for 2 other irreps: each needs one as its gate",
            "[[layers]]",
        ),
        (
            "0e",
            "op = 'batch_norm'\nmask = 'm'\ninstance = true".into(),
            "`a`: with `instance`, statistics never see other elements, so a `mask` has no effect",
            "'m'",
        ),
    ];
    for (irreps, op, message, marked) in table {
        let text = chain("['N']", irreps, &[&op]);
        let error = built(&text, Mode::Train).expect_err(&op);
        let [problem] = error.problems.as_slice() else { panic!("{op}: {error}") };
        assert_eq!(problem.message, message);
        assert!(text[problem.span.clone()].starts_with(marked), "{op}: marks {:?}", &text[problem.span.clone()]);
    }
}

#[test]
fn batch_norm_needs_a_batch() {
    let error = built(&chain("[]", "2x0e", &["op = 'batch_norm'"]), Mode::Infer).unwrap_err();
    assert_eq!(error.to_string(), "`a` reads an array without leading axes: `batch_norm` needs a batch");
}

#[test]
fn sizes_that_do_not_fit_are_faults() {
    let table = [
        (
            "['M']",
            "op = 'linear'\nirreps_out = '2x0e'\nweights = 'e'",
            "the leading sizes [M] and [N] in `a` do not broadcast",
        ),
        ("['M']", "op = 'concatenate'\ninput = ['x', 'e']", "`a` joins leading sizes [M] and [N]"),
        ("['M', 'N']", "op = 'batch_norm'\nmask = 'm'", "`a`: the mask is bool[N], bool[M] is needed"),
        ("[]", "op = 'batch_norm'", "`a` reads an array without leading axes"),
        ("['N', 0]", "op = 'batch_norm'", "`a` has no row to take statistics of"),
        ("['N']", "op = 'mlp'\nlist_neurons = [2147483647, 2147483647]", "`params/a/Dense_0/kernel` has shape"),
        ("['N', 1000000000]", "op = 'linear'\nirreps_out = '2x0e'\nchannel_out = 2", "`a`: `channel_out` allows"),
    ];
    for (shape, op, start) in table {
        let error = built(&chain(shape, "2x0e + 1x0e", &[op]), Mode::Train).expect_err(op).to_string();
        assert!(error.starts_with(start), "{error}");
    }
}

#[test]
fn layers_after_a_fault_are_passed_over_and_others_are_not() {
    let faulty = "op = 'mlp'\nlist_neurons = [1]";
    let text = chain(
        "['N']",
        "1o",
        &[faulty, "op = 'batch_norm'", "op = 'linear'\ninput = 'x'\nirreps_out = '1o'\nweights = 'm'"],
    );
    let error = built(&text, Mode::Train).expect_err("two layers have faults");
    assert_eq!(error.problems.len(), 2, "{error}");
}

/// A layer that may or may not fit what is before it.
fn any_layer() -> impl Strategy<Value = String> {
    let linear = (any_irreps(), any::<[bool; 3]>(), 0..6usize).prop_map(|(irreps, [force, simplify, biases], kind)| {
        let weights = [
            "",
            "weights = 'e'",
            "weights = 'i'\nnum_indexed_weights = 3",
            "channel_out = 3",
            "weights = 'e'\nweights_per_channel = true",
            "weights = 'e'\nchannel_out = 2",
        ][kind];
        format!(
            "op = 'linear'\nirreps_out = '{irreps}'\nforce_irreps_out = {force}\n\
             simplify_irreps_internally = {simplify}\nbiases = {biases}\n{weights}"
        )
    });
    let batch_norm = (any::<[bool; 3]>(), 0..4usize).prop_map(|([affine, instance, mask], kind)| {
        let options = ["", "reduce = 'max'", "normalization = 'norm'", "momentum = 0.5"][kind];
        let mask = if mask { "mask = 'm'" } else { "" };
        format!("op = 'batch_norm'\naffine = {affine}\ninstance = {instance}\n{options}\n{mask}")
    });
    let others = prop::sample::select(vec![
        "op = 'regroup'",
        "op = 'gate'",
        "op = 'norm'",
        "op = 'scalar_activation'",
        "op = 'filter'\nkeep = ['0e', '1o']",
        "op = 'filter'\nlmax = 0",
        "op = 'mlp'\nlist_neurons = [3, 2]\nact = 'silu'\nwith_bias = true",
        "op = 'concatenate'\ninput = ['x', 'x', 'e']",
        "op = 'multiply'\ninput = ['x', 'e']",
        "op = 'add'\ninput = ['x', 'x']",
    ]);
    prop_oneof![3 => linear, 1 => batch_norm, 2 => others.prop_map(str::to_string)]
}

fn any_irreps() -> impl Strategy<Value = String> {
    let chunk =
        (0..4usize, prop::sample::select(vec!["0e", "0o", "1o", "2e"])).prop_map(|(mul, ir)| format!("{mul}x{ir}"));
    prop::collection::vec(chunk, 0..5).prop_map(|chunks| chunks.join("+"))
}

proptest! {
    /// `built` verifies every graph; parameters do not depend on the mode.
    #[test]
    fn what_is_built_is_well_formed(
        shape in prop::sample::select(vec!["[]", "['N']", "['N', 2]", "[3]", "['N', 'M']", "[1, 'N']"]),
        irreps in any_irreps(),
        layers in prop::collection::vec(any_layer(), 1..4),
    ) {
        let layers: Vec<&str> = layers.iter().map(String::as_str).collect();
        // What layers read beside their input says nothing of it, so the mode decides no fault.
        if let Ok(graph) = built(&chain(shape, &irreps, &layers), Mode::Train) {
            let inference = built(&chain(shape, &irreps, &layers), Mode::Infer).expect("the mode decides no fault");
            prop_assert_eq!(params(&graph).collect::<Vec<_>>(), params(&inference).collect::<Vec<_>>());
            prop_assert_eq!(output_type(&graph), output_type(&inference));
        }
    }
}
