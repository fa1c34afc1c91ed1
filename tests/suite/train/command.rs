//! `schur train`: what it prints and writes, and how it refuses.

use std::path::Path;
#[cfg(unix)]
use std::process::{Command, Stdio};

use schur_ir::ty::DType;
use schur_runtime::array::Array;

use super::{NETWORK, network_data};
use crate::cli::{Folder, add_foreign, arrays, json, printed, refused, schur, text, write};
use crate::levels::Arrays;

/// A folder with a spec and data, whose target is called `goal`.
pub(super) struct Run {
    pub(super) folder: Folder,
    pub(super) spec: String,
    pub(super) train: String,
    pub(super) test: String,
    pub(super) out: String,
}

impl Run {
    pub(super) fn new() -> Self {
        let folder = Folder::new();
        let spec = folder.write("network.toml", &NETWORK.replace("\"f64\"", "\"f32\""));
        let [train, test, out] = ["train", "test", "out"].map(|name| folder.path(&format!("{name}.safetensors")));
        for (path, rows, seed) in [(&train, 200, 1), (&test, 50, 2)] {
            let mut data = network_data(rows, DType::F32, seed);
            let goal = data.swap_remove("y").unwrap();
            data.insert("goal".into(), goal);
            write(path, &data);
        }
        Run { folder, spec, train, test, out }
    }

    pub(super) fn arguments<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let files = ["train", &self.spec, "--data", &self.train, "--test", &self.test, "--out", &self.out];
        let target = if more.contains(&"--target") { &[][..] } else { &["--target", "y=goal"] };
        let batch = if more.contains(&"--batch") { &[][..] } else { &["--batch", "32"] };
        [&files, target, batch, more].concat()
    }

    fn refused(&self, status: i32, more: &[&str]) -> String {
        self.folder.strip(&refused(status, &self.arguments(more)))
    }
}

#[test]
fn a_model_is_trained_from_files_to_files() {
    let run = Run::new();
    let curve = run.folder.path("curve.svg");
    let settings = ["--epochs", "25", "--rate", "0.02", "--schedule", "cosine", "--curve", &curve];
    let report = json(&run.arguments(&[&settings[..], &["--json"]].concat()));
    let number = |name: &str| report[name].as_f64().unwrap_or_else(|| panic!("{name}"));
    assert_eq!(report["epochs"].as_array().map(Vec::len), Some(25));
    assert!(number("test_rmse") < 0.3 * number("untrained_test_rmse"), "{report}");
    assert!((number("test_rmse") - number("rotated_test_rmse")).abs() < 1e-5, "{report}");
    assert_eq!(report["epochs"][24]["test_rmse"], report["test_rmse"]);
    let picture = std::fs::read_to_string(curve).unwrap();
    assert!(picture.starts_with("<svg") && picture.contains("network: y") && picture.contains("test RMSE"));

    // What is saved can be run as it is.
    let outputs = run.folder.path("outputs.safetensors");
    printed(&["run", &run.spec, "--params", &run.out, "--inputs", &run.test, "--outputs", &outputs]);
    let apart = arrays(&outputs)["y"].to_f64() - arrays(&run.test)["goal"].to_f64();
    let error = apart.mapv(|x| x * x).mean().unwrap().sqrt();
    assert!((error - number("test_rmse")).abs() < 1e-6, "{error}");
}

#[test]
fn epochs_are_a_table_and_notes() {
    let run = Run::new();
    let arguments = run.arguments(&["--epochs", "3"]);
    let output = schur(&arguments);
    let (out, notes) = (text(&output.stdout), text(&output.stderr));
    assert!(out.contains("epoch  steps  training loss  test RMSE") && out.contains(", rotated "), "{out}");
    assert!(notes.contains("epoch 3: loss ") && notes.contains("wrote "), "{notes}");
    assert_eq!(text(&schur(&[&["-q"][..], &arguments].concat()).stderr), "");
}

#[test]
fn longer_training_goes_on_from_what_is_saved() {
    let run = Run::new();
    printed(&run.arguments(&["--epochs", "4"]));
    let whole = std::fs::read(&run.out).unwrap();
    printed(&run.arguments(&["--epochs", "2"]));
    printed(&run.arguments(&["--epochs", "4", "--resume", &run.out]));
    assert!(std::fs::read(&run.out).unwrap() == whole);
    assert!(run.refused(1, &["--resume", &run.out, "--rate", "0.5"]).contains("its --rate is 0.001, and 0.5 here"));
    let said = run.refused(1, &["--resume", &run.out, "--epochs", "3"]);
    assert!(said.contains("the run has done 4 epochs, which is more than --epochs 3"), "{said}");
    // The parameters alone are where another run can start.
    let start = run.folder.path("start.safetensors");
    let params: Arrays = arrays(&run.out).into_iter().filter(|(name, _)| !name.contains("optimizer/")).collect();
    write(&start, &params);
    printed(&run.arguments(&["--epochs", "1", "--params", &start, "--optimizer", "sgd", "--momentum", "0.9"]));
}

/// A long run that is interrupted once its file is there: what it says.
#[cfg(unix)]
fn interrupted(mut command: Command, out: &Path) -> String {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The first epoch is over when there is a file.
    while !out.exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let signal = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(signal.success());
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("the run is saved in ") && said.contains("--resume "), "{said}");
    said
}

/// Arguments that are no text are told as well as they can be.
#[cfg(target_os = "linux")]
#[test]
fn an_interrupt_saves_where_a_name_is_no_text() {
    use std::os::unix::ffi::OsStrExt;
    let run = Run::new();
    let mut command = crate::cli::command(&run.arguments(&["--epochs", "400"]));
    let curve = Path::new(&run.out).with_file_name(std::ffi::OsStr::from_bytes(b"\xff.svg"));
    command.arg("--curve").arg(curve);
    assert!(interrupted(command, Path::new(&run.out)).contains("/\u{fffd}.svg' --resume "));
}

#[cfg(unix)]
#[test]
fn an_interrupt_saves_first() {
    let run = Run::new();
    printed(&run.arguments(&["--epochs", "400", "--schedule", "cosine"]));
    let whole = std::fs::read(&run.out).unwrap();
    std::fs::remove_file(&run.out).unwrap();
    let command = crate::cli::command(&run.arguments(&["--epochs", "400", "--schedule", "cosine"]));
    let said = interrupted(command, Path::new(&run.out));
    // The last line is the command that goes on, as a shell reads it.
    let line = said.lines().last().unwrap();
    assert!(line.starts_with(crate::cli::PROGRAM) && line.ends_with(&format!("--resume {}", run.out)), "{said}");
    let resumed = Command::new("sh").args(["-c", line]).output().unwrap();
    assert!(resumed.status.success(), "{line}: {}", text(&resumed.stderr));
    assert!(std::fs::read(&run.out).unwrap() == whole);
}

/// The names of a run's threads after its first epoch.
#[cfg(target_os = "linux")]
fn threads_of(run: &Run, threads: &str) -> Vec<String> {
    let rows = ["--batch", "5000", "--epochs", "1000000", "--threads", threads];
    let mut child = crate::cli::command(&run.arguments(&rows)).stderr(Stdio::null()).spawn().unwrap();
    while !Path::new(&run.out).exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let tasks = std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap();
    let names = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap()).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::remove_file(&run.out).unwrap();
    names
}

/// No more threads compute than are asked for, in the check of all rows either.
#[cfg(target_os = "linux")]
#[test]
fn as_many_threads_compute_as_are_asked_for() {
    let run = Run::new();
    for path in [&run.train, &run.test] {
        let mut data = network_data(10_000, DType::F32, 1);
        let goal = data.swap_remove("y").unwrap();
        data.insert("goal".into(), goal);
        write(path, &data);
    }
    let helpers = |threads| threads_of(&run, threads).iter().filter(|name| name.starts_with("schur helper")).count();
    assert_eq!([helpers("1"), helpers("2")], [0, 1]);
}

/// Steps whose losses are finite can end where the model overflows.
#[test]
fn an_error_that_is_no_number_is_a_failure() {
    let run = Run::new();
    let settings = ["--epochs", "1", "--batch", "200", "--optimizer", "sgd", "--rate", "1e30", "--json"];
    let output = schur(&run.arguments(&settings));
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("training diverged: the test RMSE of step 1 is "), "{said}");
    assert!(text(&output.stdout).contains("\"test_rmse\": null"));
}

#[test]
fn wrong_arguments_are_told_before_anything_is_done() {
    let run = Run::new();
    assert!(run.refused(1, &["--target", "hiden"]).contains("no output `hiden`; did you mean `hidden`?"));
    assert!(run.refused(1, &["--target", "y"]).contains("train.safetensors: there is no array `y`"));
    assert!(run.refused(1, &["--target", "y=gaol"]).contains("there is no array `gaol`; did you mean `goal`?"));
    assert!(run.refused(1, &["--target", "y=x"]).contains("the target `x` has 10 elements on its last axis"));
    let said = run.refused(1, &["--batch", "201"]);
    assert!(said.contains("train.safetensors: a batch of 201 rows cannot be made of 200"), "{said}");
    assert!(said.contains("help: --batch says how many rows a batch has"), "{said}");
    assert!(run.refused(2, &["--batch", "0"]).contains("0 is not in 1.."));
    for option in ["--seed", "--save-every", "--threads"] {
        assert!(run.refused(2, &[option, "-1"]).contains(&format!("invalid value '-1' for '{option}")));
    }
    assert!(run.refused(2, &["--threads", "0"]).contains("must be a whole number above 0"));
    assert!(run.refused(2, &["--rate", "inf"]).contains("must be above 0 and finite"));
    printed(&run.arguments(&["--epochs", "1", "--optimizer", "adamw", "--weight-decay", "0"]));
    std::fs::remove_file(&run.out).unwrap();
    assert!(run.refused(2, &["--momentum", "0.5"]).contains("--momentum has an effect with --optimizer sgd alone"));
    assert!(run.refused(2, &["--huber-delta", "1"]).contains("--loss huber alone"));
    assert!(run.refused(2, &["--weight-decay", "1"]).contains("--optimizer adamw alone"));
    assert!(run.refused(2, &["--rate", "0"]).contains("must be above 0"));
    assert!(run.refused(2, &["--loss", "mean"]).contains("[possible values: mse, mae, huber]"));
    assert!(run.refused(1, &["--resume", &run.train]).contains("it holds no run of training"));
    let nowhere = run.folder.path("none/curve.svg");
    assert!(run.refused(1, &["--curve", &nowhere]).contains("there is no such folder"));
    assert!(!Path::new(&run.out).exists());
}

#[test]
fn no_result_takes_the_place_of_a_file_that_is_read() {
    let run = Run::new();
    printed(&run.arguments(&["--epochs", "1"]));
    let start = run.folder.path("start.safetensors");
    std::fs::copy(&run.out, &start).unwrap();
    let old = std::fs::read(&start).unwrap();
    let refused = |option: &str, [out, curve]: [&str; 2]| {
        let mut arguments = run.arguments(&["--epochs", "2", option, &start, "--curve", curve]);
        let place = arguments.iter().position(|argument| *argument == "--out").unwrap() + 1;
        arguments[place] = out;
        refused(2, &arguments)
    };
    let curve = run.folder.path("curve.svg");
    for (option, files, said) in [
        ("--params", [&*start, &curve], "--out and --params are the same file"),
        ("--params", [&run.out, &start], "--curve and --params are the same file"),
        ("--resume", [&run.out, &start], "--curve and --resume are the same file"),
        ("--resume", [&start, &start], "--curve and --out are the same file"),
    ] {
        let found = refused(option, files);
        assert!(found.contains(said), "{found}");
    }
    assert!(std::fs::read(&start).unwrap() == old && !Path::new(&curve).exists());
}

#[test]
fn wrong_rows_are_found_before_the_first_step() {
    let run = Run::new();
    let data = arrays(&run.train);
    let with = |name: &str, array: Array| {
        let mut data = data.clone();
        data.insert(name.to_owned(), array);
        write(&run.train, &data);
        run.refused(1, &[])
    };
    let mut species = vec![0; 200];
    species[150] = 3;
    let said = with("species", ndarray::Array1::from(species).into());
    assert!(said.contains("train.safetensors: the index 3 at [150] of `species` is not in 0..3"), "{said}");
    let said = with("species", ndarray::arr1(&[0i32; 7]).into());
    assert!(said.contains("`species` has 7 rows, `goal` has 200"), "{said}");
    let said = with("goal", ndarray::Array2::<f64>::zeros((200, 4)).into());
    assert!(said.contains("the target `goal` is f64 where the output is f32"), "{said}");
    let mut goal = ndarray::Array2::<f32>::zeros((200, 4));
    goal[[17, 2]] = f32::NAN;
    let said = with("goal", goal.into());
    assert!(said.contains("train.safetensors: `goal` holds NaN at [17, 2]"), "{said}");
    let mut x = ndarray::Array2::<f32>::zeros((200, 10));
    x[[3, 9]] = f32::INFINITY;
    let said = with("x", x.into());
    assert!(said.contains("train.safetensors: `x` holds inf at [3, 9]"), "{said}");
    let said = with("x", ndarray::Array2::<f64>::zeros((200, 10)).into());
    assert!(said.contains("the input `x` is f64 where f32 is wanted"), "{said}");
    write(&run.train, &data);
    let mut test = arrays(&run.test);
    let mut goal = test["goal"].to_f64();
    goal[[49, 0]] = f64::NEG_INFINITY;
    test.insert("goal".into(), Array::from_f64(&goal, DType::F32));
    write(&run.test, &test);
    let said = run.refused(1, &[]);
    assert!(said.contains("test.safetensors: `goal` holds -inf at [49, 0]"), "{said}");
    assert!(!Path::new(&run.out).exists());
}

#[test]
fn data_sets_hold_arrays_of_any_type_beside_those_that_are_trained_on() {
    let run = Run::new();
    add_foreign(&run.train, "atom_id", "I64", 8);
    printed(&run.arguments(&["--epochs", "1"]));
    let mut data = arrays(&run.test);
    data.swap_remove("goal");
    write(&run.test, &data);
    add_foreign(&run.test, "goal", "F16", 2);
    let said = run.refused(1, &[]);
    assert!(said.contains("test.safetensors: the tensor `goal` is F16;"), "{said}");
}
