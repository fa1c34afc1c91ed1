//! The command line: what it prints, what it writes, and its exit status.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use schur_runtime::array::Array;
use schur_runtime::checkpoint;
use serde_json::Value;
use tempfile::TempDir;

use crate::levels::{Arrays, apart};
use crate::specs::FORCES;

const DATA: &str = "examples/forces/test.safetensors";

/// Where the command line is.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_schur");

/// The command line with these arguments, in the root of the tree.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments);
    command
}

/// Runs the command line.
pub(crate) fn schur(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap_or_else(|e| panic!("{e}"))
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a command prints that succeeds.
pub(crate) fn printed(arguments: &[&str]) -> String {
    let output = schur(arguments);
    assert!(output.status.success(), "{arguments:?}\n{}", text(&output.stderr));
    text(&output.stdout)
}

pub(crate) fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&printed(arguments)).unwrap_or_else(|e| panic!("{arguments:?}: {e}"))
}

/// What a command says that ends with this status.
pub(crate) fn refused(status: i32, arguments: &[&str]) -> String {
    let output = schur(arguments);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}\n{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "", "{arguments:?}");
    text(&output.stderr)
}

/// A folder for files, and their paths as arguments.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Folder(tempfile::tempdir().unwrap_or_else(|e| panic!("{e}")))
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_string_lossy().into_owned()
    }

    pub(crate) fn write(&self, name: &str, contents: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, contents).unwrap_or_else(|e| panic!("{e}"));
        path
    }

    /// A text without the folder's name, which is another in every run.
    pub(crate) fn strip(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.0.path().display()), "")
    }
}

pub(crate) fn arrays(path: impl AsRef<Path>) -> Arrays {
    checkpoint::read(path.as_ref()).unwrap_or_else(|e| panic!("{e}"))
}

pub(crate) fn write(path: &str, arrays: &Arrays) {
    let arrays = arrays.iter().map(|(name, array)| (name.as_str(), array));
    checkpoint::write(Path::new(path), arrays).unwrap_or_else(|e| panic!("{e}"));
}

/// Adds a tensor of one element to a safetensors file, of a type that no array has.
pub(crate) fn add_foreign(path: &str, name: &str, dtype: &str, size: usize) {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{e}"));
    let (length, rest) = bytes.split_at(8);
    let (header, data) = rest.split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize);
    let mut header: Value = serde_json::from_slice(header).unwrap_or_else(|e| panic!("{e}"));
    let offsets = [data.len(), data.len() + size];
    header[name] = serde_json::json!({ "dtype": dtype, "shape": [1], "data_offsets": offsets });
    let header = header.to_string();
    let whole = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data, &vec![0; size]].concat();
    std::fs::write(path, whole).unwrap_or_else(|e| panic!("{e}"));
}

fn largest(array: &Array) -> f64 {
    array.to_f64().iter().fold(0.0, |m, x| m.max(x.abs()))
}

/// Checks arrays relative to their largest element, or to a hundredth of the file's where that is more.
fn assert_near(found: &Arrays, wanted: &Arrays, case: &str) {
    assert_eq!(found.len(), wanted.len(), "{case}");
    let floor = wanted.values().map(largest).fold(0.0, f64::max) / 100.0;
    for (name, wanted) in wanted {
        let found = &found[name];
        assert_eq!(found.shape(), wanted.shape(), "{case}: {name}");
        let (a, b) = (found.to_f64(), wanted.to_f64());
        let worst = a.iter().zip(&b).map(|(a, b)| apart(*a, *b)).fold(0.0, f64::max);
        assert!(worst <= 5e-5 * largest(wanted).max(floor), "{case}: {name} is off by {worst}");
    }
}

#[test]
fn check_prints_every_layer_with_its_type() {
    insta::assert_snapshot!(printed(&["check", FORCES]));
}

#[test]
fn a_spec_whose_rows_are_too_many_is_not_validated_and_no_bug() {
    let folder = Folder::new();
    for shape in ["2147483647, 2147483647", "'N', 2147483647, 2147483647"] {
        let layer = "layers = [{ name = 'y', op = 'batch_norm', input = 'x' }]";
        let input = format!("inputs.x = {{ shape = [{shape}], irreps = '0x1o + 0x0e' }}");
        let spec = folder.write("m.toml", &format!("name = 'm'\noutputs = ['y']\n{layer}\n{input}\n"));
        let said = refused(1, &["check", &spec, "--validate"]);
        assert!(said.contains("all values together take") || said.contains("does not fit in memory"), "{said}");
        refused(1, &["bench", &spec, "--rows", "3"]);
    }
}

#[test]
fn a_spec_is_validated_on_random_arrays() {
    assert!(printed(&["check", FORCES, "--validate"]).contains("elements are equal but for rounding"));
    let report = json(&["check", "tests/specs/batch_norm.toml", "--validate", "--json"]);
    let validation = &report["validation"];
    assert!(validation["elements"].as_u64() > Some(1000), "{report}");
    assert!(validation["error"].as_f64().is_some_and(|error| error < 1e-12), "{report}");
    assert!(json(&["check", FORCES, "--json"])["validation"].is_null());
}

#[test]
fn simplification_is_explained() {
    let spec = "tests/specs/batch_norm.toml";
    insta::assert_snapshot!(printed(&["explain", spec]));
    let report = json(&["explain", spec, "--train", "--gradients", "--json"]);
    let steps = report["steps"].as_array().unwrap_or_else(|| panic!("{report}"));
    assert!(
        !steps.is_empty() && steps.iter().all(|step| step["rule"].is_string() && step["cost"]["flops"].is_string())
    );
    assert_eq!(steps.last().map(|step| &step["cost"]), Some(&report["after"]), "{report}");
}

#[test]
fn check_tells_programs_the_same() {
    let report = json(&["check", FORCES, "--json"]);
    assert_eq!((&report["parameters"], &report["statistics"]), (&118272.into(), &480.into()));
    let layers = report["layers"].as_array().map(Vec::as_slice).unwrap_or_default();
    assert_eq!(layers.len(), 14);
    assert_eq!(layers[1]["irreps"], Value::Null);
    assert_eq!(layers[13]["irreps"], "1x1o");
    assert_eq!(layers[13]["parameters"][0]["shape"], serde_json::json!([32, 1]));
}

#[test]
fn problems_of_a_spec_are_shown_with_their_place() {
    let folder = Folder::new();
    let spec = folder.write(
        "model.toml",
        r#"
name = "m"
outputs = ["y"]
inputs.x = { shape = ["N"], irreps = "8x0e + 4x1o" }

[[layers]]
name = "y"
op = "linear"
input = "x"
irreps_out = "8x0e"
irreps_in = "9x0e"

[[layers]]
name = "z"
op = "gate"
input = "x"
"#,
    );
    insta::assert_snapshot!(folder.strip(&refused(1, &["check", &spec])));
}

#[test]
fn files_that_are_no_specs_are_refused() {
    let folder = Folder::new();
    assert!(refused(1, &["check", &folder.path("none.toml")]).contains("cannot read the spec"));
    let spec = folder.write("model.yaml", "");
    assert!(folder.strip(&refused(1, &["check", &spec])).contains("`model.yaml` ends in neither"));
}

/// What a file holds cannot move the cursor, set the title or hide a line.
#[test]
fn terminals_get_no_commands_from_files() {
    let folder = Folder::new();
    let commands = "\u{1b}[2J\u{7}\u{9b}H\u{202e}";
    let spec = folder.write("comment.toml", &format!("name = 1 # {commands}"));
    let said = refused(1, &["check", &spec]);
    assert!(
        said.contains(r"\u{1b}[2J\u{7}\u{9b}H\u{202e}") && !said.contains(['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}'])
    );
    let [inputs, params] = ["x", "p"].map(|name| folder.path(&format!("{name}.safetensors")));
    write(&inputs, &Arrays::from([(commands.into(), ndarray::arr1(&[0f32]).into())]));
    printed(&["init", FORCES, "--out", &params]);
    let said = refused(1, &["evaluate", FORCES, "--data", &inputs]);
    assert!(said.contains(r"it holds `\u{1b}[2J") && !said.contains('\u{1b}'), "{said}");
    // JSON spells them in its own way, and says the same.
    let model = "outputs = ['x']\nlayers = []\ninputs.x = { shape = ['N'], irreps = '0e' }";
    let spec = folder.write("name.toml", &format!("name = \"\\u007f\\u009bH\\u202e\"\n{model}"));
    let said = printed(&["check", &spec, "--json"]);
    assert!(said.contains(r#""name": "\u007f\u009bH\u202e""#), "{said}");
    assert_eq!(json(&["check", &spec, "--json"])["name"], "\u{7f}\u{9b}H\u{202e}");
}

#[test]
fn a_cause_is_told_once() {
    let folder = Folder::new();
    let inputs = folder.write("x.safetensors", "");
    let said = refused(1, &["evaluate", FORCES, "--data", &inputs]);
    assert_eq!(said.matches("header too small").count(), 1, "{said}");
}

#[test]
fn a_result_takes_no_place_of_another_file() {
    let folder = Folder::new();
    let [params, outputs, other] = ["p", "y", "z"].map(|name| folder.path(&format!("{name}.safetensors")));
    printed(&["init", FORCES, "--out", &params]);
    let old = std::fs::read(&params).unwrap_or_else(|e| panic!("{e}"));
    let run = ["run", FORCES, "--inputs", DATA, "--params"];
    let around = folder.path("./y.safetensors");
    for (files, said) in [
        (vec![&*params, "--outputs", &params], "--outputs and --params are the same file"),
        (vec![&params, "--outputs", DATA], "--outputs and --inputs are the same file"),
        (vec![&params, "--outputs", &outputs, "--train", "--batch-stats", &params], "--batch-stats and --params are"),
        (
            vec![&params, "--outputs", &outputs, "--cotangents", &other, "--gradients", &around],
            "--gradients and --outputs",
        ),
    ] {
        let found = refused(2, &[&run[..], &files].concat());
        assert!(found.contains(said), "{found}");
    }
    let spec = folder.write("m.json", &std::fs::read_to_string(case("chain_0012").join("spec.json")).unwrap());
    assert!(refused(2, &["inspect", &spec, "--html", &spec]).contains("--html and the spec are the same file"));
    assert!(std::fs::read(&params).unwrap() == old && !Path::new(&outputs).exists());
    // A device is nobody's file.
    printed(&["inspect", &spec, "--html", "/dev/null"]);
}

#[test]
fn a_wrong_command_line_is_status_2() {
    assert!(refused(2, &["compile"]).contains("unrecognized subcommand"));
    assert!(refused(2, &["inspect", FORCES, "--stage", "bytes"]).contains("[possible values: spec, graph"));
    let files = ["--params", "p", "--inputs", "x", "--outputs", "y.safetensors"];
    let run = |more: &[&str], status| refused(status, &[&["run", FORCES][..], &files, more].concat());
    assert!(run(&["--cotangents", "c"], 2).contains("--gradients"));
    // Before anything is read.
    assert!(run(&["--batch-stats", "b.npz"], 2).contains("b.npz: a file of arrays is named .safetensors"));
    assert!(refused(2, &["init", FORCES, "--out", "p.npz"]).contains("p.npz: a file of arrays is named .safetensors"));
    let outputs = ["run", FORCES, "--params", "p", "--inputs", "x", "--outputs", "y.npz"];
    assert!(refused(2, &outputs).contains("y.npz must end in .safetensors"));
    assert!(
        refused(2, &["init", FORCES, "--out", "p.safetensors", "--seed", "-1"])
            .contains("invalid value '-1' for '--seed")
    );
}

/// A case of e3nn_jax, by its number.
fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/cases").join(name)
}

#[test]
fn a_call_from_files_is_e3nn_jaxs() {
    for (name, train) in [("weighted_chain_0175", true), ("chain_0012", false)] {
        let folder = Folder::new();
        let file = |name_of_file: &str| case(name).join(name_of_file).to_string_lossy().into_owned();
        let [outputs, statistics, gradients] =
            ["outputs", "statistics", "gradients"].map(|name| folder.path(&format!("{name}.safetensors")));
        let (spec, params, inputs) = (file("spec.json"), file("params.safetensors"), file("inputs.safetensors"));
        let cotangents = file("cotangents.safetensors");
        let mut arguments = vec!["run", &spec, "--params", &params, "--inputs", &inputs, "--outputs", &outputs];
        arguments.extend(["--cotangents", &cotangents, "--gradients", &gradients]);
        if train {
            arguments.extend(["--train", "--batch-stats", &statistics]);
        }
        assert_eq!(printed(&arguments), "");
        let mut pairs = vec![(outputs, file("outputs.safetensors")), (gradients, file("gradients.safetensors"))];
        pairs.extend(train.then(|| (statistics, file("batch_stats.safetensors"))));
        for (found, wanted) in pairs {
            assert_near(&arrays(found), &arrays(wanted), name);
        }
    }
}

#[test]
fn parameters_that_flax_saved_give_e3nn_jaxs_outputs() {
    let folder = Folder::new();
    let file = |name: &str| format!("tests/conformance/msgpack/{name}");
    let [outputs, copy] = ["outputs.safetensors", "copy.msgpack"].map(|name| folder.path(name));
    let wanted = arrays(file("outputs.safetensors"));
    let (spec, inputs) = (file("spec.json"), file("inputs.safetensors"));
    // And back: what Schur writes as msgpack says the same.
    write(&copy, &arrays(file("params.msgpack")));
    for params in [file("params.msgpack"), copy] {
        printed(&["run", &spec, "--params", &params, "--inputs", &inputs, "--outputs", &outputs]);
        assert_near(&arrays(&outputs), &wanted, &params);
    }
}

#[test]
fn statistics_are_written_as_they_are_where_nothing_is_trained() {
    let folder = Folder::new();
    let [params, outputs, statistics] = ["p", "y", "s"].map(|name| folder.path(&format!("{name}.safetensors")));
    printed(&["init", FORCES, "--out", &params]);
    let run = ["run", FORCES, "--params", &params, "--inputs", DATA, "--outputs", &outputs];
    let run = |more: &[&str]| printed(&[&run[..], &["--batch-stats", &statistics], more].concat());
    run(&["--train"]);
    let updated = arrays(&statistics);
    let mut given = arrays(&params);
    given.extend(updated.clone());
    write(&params, &given);
    run(&[]);
    assert!(!updated.is_empty() && arrays(&statistics) == updated);
}

#[test]
fn inputs_of_every_type_can_be_returned() {
    let folder = Folder::new();
    let spec = folder.write(
        "model.toml",
        r#"
name = "m"
outputs = ["y", "species", "real", "x"]
layers = [{ name = "y", op = "regroup", input = "x" }]

[inputs]
x = { shape = ["N"], irreps = "1o + 0e" }
species = { shape = ["N"], dtype = "i32" }
real = { shape = ["N"], dtype = "bool" }
"#,
    );
    let [params, inputs, outputs, cotangents, gradients] =
        ["p", "x", "y", "dy", "dx"].map(|name| folder.path(&format!("{name}.safetensors")));
    let features: Array = ndarray::arr2(&[[1f32, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]).into();
    let given = Arrays::from([
        ("x".into(), features.clone()),
        ("species".into(), ndarray::arr1(&[3i32, 0]).into()),
        ("real".into(), ndarray::arr1(&[true, false]).into()),
    ]);
    write(&inputs, &given);
    // Indices and masks have no cotangent.
    write(&cotangents, &Arrays::from([("x".into(), features.clone()), ("y".into(), features)]));
    printed(&["init", &spec, "--out", &params]);
    let run = ["run", &spec, "--params", &params, "--inputs", &inputs, "--outputs", &outputs];
    printed(&[&run[..], &["--cotangents", &cotangents, "--gradients", &gradients]].concat());
    let returned = arrays(&outputs);
    assert!(given.iter().all(|(name, array)| returned[name] == *array), "{returned:?}");
    assert_eq!(returned["y"], ndarray::arr2(&[[4f32, 1.0, 2.0, 3.0], [8.0, 5.0, 6.0, 7.0]]).into());
    assert_eq!(arrays(&gradients)["x"], ndarray::arr2(&[[3f32, 5.0, 7.0, 5.0], [11.0, 13.0, 15.0, 13.0]]).into());
}

#[test]
fn the_gradients_that_are_named_are_computed_alone() {
    let folder = Folder::new();
    let [params, outputs, cotangents, gradients] =
        ["p", "y", "dy", "dx"].map(|name| folder.path(&format!("{name}.safetensors")));
    printed(&["init", FORCES, "--out", &params]);
    let run = ["run", FORCES, "--params", &params, "--inputs", DATA, "--outputs", &outputs];
    printed(&run);
    write(&cotangents, &arrays(&outputs));
    let run = [&run[..], &["--cotangents", &cotangents, "--gradients", &gradients]].concat();
    printed(&run);
    let all = arrays(&gradients);
    let kernel = "params/invariants/Dense_0/kernel";
    printed(&[&run[..], &["--wrt", "x", "--wrt", kernel]].concat());
    let chosen = arrays(&gradients);
    assert_eq!(chosen.len(), 2);
    for (name, found) in &chosen {
        let (found, wanted) = (found.to_f64(), all[name].to_f64());
        let largest = wanted.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
        assert!((&found - &wanted).iter().all(|d| d.abs() <= 1e-5 * largest), "{name}");
    }
    let said = refused(1, &[&run[..], &["--wrt", "xx"]].concat());
    assert!(said.contains("the model has no input or parameter `xx`; did you mean `x`?"), "{said}");
    assert!(
        refused(2, &["run", FORCES, "--params", "p", "--inputs", "x", "--outputs", "y", "--wrt", "x"])
            .contains("--gradients")
    );
}

#[test]
fn init_writes_the_parameters_that_run_reads() {
    let folder = Folder::new();
    let [first, second, other] = ["first", "second", "other"].map(|name| folder.path(&format!("{name}.safetensors")));
    for (path, seed) in [(&first, "7"), (&second, "7"), (&other, "8")] {
        printed(&["init", FORCES, "--seed", seed, "--out", path]);
    }
    assert_eq!(arrays(&first), arrays(&second));
    assert_ne!(arrays(&first), arrays(&other));
    let outputs = folder.path("outputs.safetensors");
    // The data hold more arrays than the spec has inputs.
    let run = ["run", FORCES, "--params", &first, "--inputs", DATA, "--outputs", &outputs];
    let note = text(&schur(&run).stderr);
    assert!(note.contains("wrote `forces`") && !note.contains("statistics"), "{note}");
    let statistics = folder.path("statistics.safetensors");
    let note = folder.strip(&text(&schur(&[&run[..], &["--batch-stats", &statistics]].concat()).stderr));
    assert!(note.contains("wrote `forces` to outputs.safetensors, statistics to statistics.safetensors"), "{note}");
    assert_eq!(arrays(&outputs)["forces"].shape(), [2508, 3]);
    assert_eq!(text(&schur(&[&["-q"][..], &run].concat()).stderr), "");
}

#[test]
fn arrays_that_are_not_wanted_have_any_type() {
    let folder = Folder::new();
    let [params, inputs, outputs] = ["p", "x", "y"].map(|name| folder.path(&format!("{name}.safetensors")));
    printed(&["init", FORCES, "--out", &params]);
    std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join(DATA), &inputs).unwrap_or_else(|e| panic!("{e}"));
    for (name, dtype, size) in [("atom_id", "I64", 8), ("half", "F16", 2), ("flag", "U8", 1)] {
        add_foreign(&inputs, name, dtype, size);
    }
    let run = ["run", FORCES, "--params", &params, "--inputs", &inputs, "--outputs", &outputs];
    printed(&run);
    let data: Arrays = arrays(&outputs);
    write(&inputs, &data);
    add_foreign(&inputs, "x", "F16", 2);
    let said = folder.strip(&refused(1, &run));
    assert!(said.contains("x.safetensors: the tensor `x` is F16;") && said.contains("save it as float32"), "{said}");
    write(&inputs, &Arrays::from([("x".into(), data["forces"].clone())]));
    add_foreign(&inputs, "species", "I64", 8);
    let said = folder.strip(&refused(1, &run));
    assert!(said.contains("the tensor `species` is I64;") && said.contains("help: save it as int32"), "{said}");
    // What is wanted and is not there: all that is there is listed.
    write(&inputs, &data);
    add_foreign(&inputs, "atom_id", "I64", 8);
    assert!(refused(1, &run).contains("it holds `atom_id`, `forces`"));
}

#[test]
fn all_results_can_be_written_or_none_is() {
    let folder = Folder::new();
    let [params, outputs, cotangents] = ["p", "y", "dy"].map(|name| folder.path(&format!("{name}.safetensors")));
    printed(&["init", FORCES, "--out", &params]);
    let run = ["run", FORCES, "--params", &params, "--inputs", DATA, "--outputs", &outputs];
    printed(&run);
    let forces = arrays(&outputs);
    write(&cotangents, &forces);
    std::fs::remove_file(&outputs).unwrap_or_else(|e| panic!("{e}"));
    let with = |gradients: &str| {
        folder.strip(&refused(1, &[&run[..], &["--cotangents", &cotangents, "--gradients", gradients]].concat()))
    };
    let said = with(&folder.path("none/dx.safetensors"));
    assert!(said.contains("dx.safetensors cannot be written: there is no such folder"), "{said}");
    let taken = folder.path("taken.safetensors");
    std::fs::create_dir(&taken).unwrap_or_else(|e| panic!("{e}"));
    assert!(with(&taken).contains("taken.safetensors cannot be written: it is a folder"));
    assert!(!Path::new(&outputs).exists());
    let said = folder.strip(&refused(1, &["init", FORCES, "--out", &folder.path("none/p.safetensors")]));
    assert!(said.contains("p.safetensors: No such file") && !said.contains(".schur-"), "{said}");
    // A cotangent that is wrong has the name of its file, and its own there.
    write(
        &cotangents,
        &Arrays::from([("forces".into(), Array::from_f64(&forces["forces"].to_f64(), schur::DType::F64))]),
    );
    let said = with(&folder.path("dx.safetensors"));
    assert!(said.contains("dy.safetensors: the cotangent `forces` is f64 where f32 is wanted"), "{said}");
    write(&cotangents, &Arrays::from([("forces".into(), ndarray::Array2::<f32>::zeros((7, 3)).into())]));
    let said = with(&folder.path("dx.safetensors"));
    assert!(said.contains("the cotangent `forces` has 7 for `N`, which is 2508 in `x`"), "{said}");
}

#[test]
fn wrong_arrays_are_named_and_nothing_is_written() {
    let folder = Folder::new();
    let [params, inputs, outputs] = ["p", "x", "y"].map(|name| folder.path(&format!("{name}.safetensors")));
    let spec = FORCES;
    printed(&["init", spec, "--out", &params]);
    let run = ["run", spec, "--params", &params, "--inputs", &inputs, "--outputs", &outputs];
    let said = || folder.strip(&refused(1, &run));
    let data = arrays(Path::new(env!("CARGO_MANIFEST_DIR")).join(DATA));
    let without = |name: &str| data.iter().filter(|(n, _)| *n != name).map(|(n, a)| (n.clone(), a.clone())).collect();

    let mut given: Arrays = without("species");
    write(&inputs, &given);
    insta::assert_snapshot!("missing_input", said());
    given.insert("species".into(), ndarray::arr1(&[0i32; 3]).into());
    write(&inputs, &given);
    insta::assert_snapshot!("sizes_disagree", said());
    given.insert("species".into(), ndarray::Array1::from_elem(2508, 4i32).into());
    write(&inputs, &given);
    insta::assert_snapshot!("index_out_of_range", said());

    write(&inputs, &data);
    let mut renamed = arrays(&params);
    let bias = renamed.shift_remove("params/embed_norm/biases").unwrap_or_else(|| panic!("there are biases"));
    renamed.insert("params/embed_norm/bias".into(), bias);
    write(&params, &renamed);
    insta::assert_snapshot!("unknown_parameter", said());
    assert!(!Path::new(&outputs).exists());
}

#[test]
fn every_stage_can_be_inspected() {
    let stage = |name: &str, more: &[&str]| printed(&[&["inspect", FORCES, "--stage", name][..], more].concat());
    assert!(stage("spec", &[]).contains("num_indexed_weights = 4"));
    assert!(stage("graph", &[]).starts_with("graph \"forces\""));
    assert!(stage("joint", &[]).contains("input \"cotangent/forces\""));
    assert!(stage("simplified", &[]).contains("e-nodes"));
    assert_ne!(stage("simplified", &[]), stage("simplified", &["--gradients"]));
    assert!(stage("loops", &[]).contains("kernel k0"));
    assert_ne!(stage("loops", &[]), stage("loops", &["--train"]));
    assert!(stage("clif", &["--kernel", "k1"]).contains("\nfunction "));
    let asm = stage("asm", &["--kernel", "k0"]);
    assert!(asm.starts_with("; k0") && asm.contains("bytes") && !asm.contains("; k1"), "{asm}");
    assert!(refused(1, &["inspect", FORCES, "--stage", "asm", "--kernel", "zz"]).contains("k0"));
}

#[test]
fn options_without_an_effect_on_what_is_inspected_are_refused() {
    for (options, said) in [
        ("--stage spec --train", "--train has an effect with the stages after spec alone"),
        (
            "--stage joint --gradients",
            "--gradients has an effect with the stages simplified, loops, clif and asm alone",
        ),
        ("--stage graph --rule narrow", "--rule has an effect with the stages simplified"),
        ("--dot --stage graph --size 3", "--size has an effect with the stages simplified"),
        ("--stage graph --kernel k0", "--kernel has an effect with the stages loops, clif and asm alone"),
        ("--diff graph simplified --kernel k0", "--kernel has"),
        ("--dot --kernel k0", "--kernel has"),
    ] {
        let arguments: Vec<&str> = ["inspect", FORCES].into_iter().chain(options.split(' ')).collect();
        let found = refused(2, &arguments);
        assert!(found.contains(said), "{options}: {found}");
    }
    printed(&["inspect", FORCES, "--diff", "graph", "loops", "--kernel", "k0", "--rule", "narrow", "--size", "3"]);
}

#[test]
fn the_example_is_equivariant() {
    let report = json(&["evaluate", FORCES, "--data", DATA, "--json"]);
    assert_eq!(report["rows"], 2508);
    let output = &report["outputs"][0];
    assert_eq!((&output["name"], &output["irreps"]), (&"forces".into(), &"1x1o".into()));
    assert!(output["largest"].as_f64().is_some_and(|x| x > 0.01), "{output}");
    assert!(output["equivariance_error"].as_f64().is_some_and(|x| x < 2e-5), "{output}");
    let text = printed(&["evaluate", FORCES, "--data", DATA]);
    assert!(text.contains("compiled in") && text.contains("rows/s"), "{text}");
}

#[test]
fn rows_are_counted_along_a_symbol() {
    let folder = Folder::new();
    let data = folder.path("x.safetensors");
    let [all, each]: [Array; 2] = [ndarray::Array1::<f32>::ones(4).into(), ndarray::Array2::<f32>::ones((7, 4)).into()];
    for (shape, array, rows) in [("'N'", each, 7), ("", all.clone(), 1)] {
        let inputs =
            format!("all = {{ shape = [], irreps = '4x0e' }}\neach = {{ shape = [{shape}], irreps = '4x0e' }}");
        let layers = "layers = [{ name = 'y', op = 'regroup', input = 'each' }]";
        let spec = folder.write("m.toml", &format!("name = 'm'\noutputs = ['y']\n{layers}\n[inputs]\n{inputs}"));
        write(&data, &Arrays::from([("all".into(), all.clone()), ("each".into(), array)]));
        assert_eq!(json(&["evaluate", &spec, "--data", &data, "--json"])["rows"], rows);
    }
}

#[test]
fn bench_measures_what_it_is_asked_for() {
    let spec = case("chain_0012").join("spec.json").to_string_lossy().into_owned();
    let report = json(&["bench", &spec, "--rows", "0,3", "--gradients", "--json"]);
    assert_eq!((&report["calls"][0]["rows"], &report["calls"][1]["rows"]), (&0.into(), &3.into()));
    for time in ["fused_seconds", "unfused_seconds", "reference_seconds"] {
        assert!(report["calls"][1][time].as_f64().is_some_and(|t| t > 0.0), "{time}");
    }
    assert!(report["compile_seconds"]["code"].as_f64().is_some_and(|t| t > 0.0));
    assert!(refused(1, &["bench", &spec, "--rows", "99999999999999"]).contains("too large"));
}

/// What a machine of 600 MB would say.
#[cfg(target_os = "linux")]
#[test]
fn bench_asks_for_no_memory_that_is_not_there() {
    let folder = Folder::new();
    let layer = |k: usize| {
        let input = if k == 0 { "x".to_owned() } else { format!("l{}", k - 1) };
        format!("[[layers]]\nname = \"l{k}\"\nop = \"scalar_activation\"\ninput = \"{input}\"\n")
    };
    let layers: String = (0..24).map(layer).collect();
    let top = "name = \"m\"\noutputs = [\"l23\"]\ninputs.x = { shape = [\"N\"], irreps = \"4x0e\" }\n";
    let spec = folder.write("chain.toml", &format!("{top}{layers}"));
    let bench = |rows: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -v 600000; exec \"$@\"", "sh", PROGRAM, "bench", &spec, "--json", "--rows", rows]);
        command.output().unwrap_or_else(|e| panic!("{e}"))
    };
    // The reference holds every value, in f64.
    let measured = bench("1000000");
    assert!(measured.status.success(), "{}", text(&measured.stderr));
    let report: Value = serde_json::from_slice(&measured.stdout).unwrap_or_else(|e| panic!("{e}"));
    assert!(
        report["calls"][0]["fused_seconds"].is_f64() && report["calls"][0]["reference_seconds"].is_null(),
        "{report}"
    );
    let refused = bench("40000000");
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("`x` of shape [40000000, 4] is too large"));
}

#[test]
fn shells_learn_the_command_line() {
    for (shell, word) in [("bash", "complete -F _schur"), ("zsh", "#compdef schur"), ("fish", "complete -c schur")] {
        let script = printed(&["completions", shell]);
        assert!(script.contains(word) && script.contains("gradients") && script.contains("evaluate"), "{script}");
    }
    assert!(refused(2, &["completions", "dos"]).contains("possible values: bash"));
}

#[test]
fn every_command_has_help_with_an_example() {
    let all = printed(&["help"]);
    for command in ["check", "init", "run", "train", "evaluate", "bench", "explain", "inspect", "completions"] {
        assert!(all.contains(&format!("\n  {command} ")), "{command}: {all}");
        let help = printed(&["help", command]);
        assert!(help.contains(&format!("\n  schur {command} ")), "{command} has no example: {help}");
        let (options, examples) = help.split_once("\nExample").unwrap_or_else(|| panic!("{help}"));
        // What all commands have comes last.
        let options = options.lines().filter(|line| line.trim_start().starts_with('-'));
        assert!(options.rev().nth(1).is_some_and(|option| option.starts_with("  -q, --quiet")), "{help}");
        let lines: Vec<&str> = examples.lines().skip(1).take_while(|line| !line.is_empty()).collect();
        let mut goes_on = false;
        for line in lines {
            // A line that is too long would be broken as no shell reads it.
            assert!(line.len() <= 100 && line.starts_with(if goes_on { "      " } else { "  schur " }), "{help}");
            goes_on = line.ends_with('\\');
        }
    }
}
