//! Training on a machine that fails: processes killed at any moment, disks that are full, folders that cannot be written,
//! files that are cut off or something else.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::command::Run;
use crate::cli::{PROGRAM, arrays, command, printed, schur, text};

/// The number of a user who owns nothing.
const NOBODY: u32 = 65534;

const LONG: [&str; 5] = ["-q", "--epochs", "150", "--schedule", "cosine"];

/// Starts the command line quietly and kills it (SIGKILL) after a while, if it is not done by then.
fn killed_after(arguments: &[&str], time: Duration) -> bool {
    let mut child = command(arguments).stdout(Stdio::null()).spawn().unwrap();
    std::thread::sleep(time);
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(status.signal() == Some(9) || status.success(), "{status}");
    !status.success()
}

/// Kills runs so many times at random points, resuming each from what it left, until it ends.
fn kill_and_resume(wanted_kills: usize) {
    let run = Run::new();
    let clock = Instant::now();
    printed(&run.arguments(&LONG));
    let mut time = clock.elapsed();
    let whole = std::fs::read(&run.out).unwrap();
    std::fs::remove_file(&run.out).unwrap();

    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let (mut kills, mut kills_of_this_run) = (0, 0);
    while kills < wanted_kills {
        let resumed = [&LONG[..], &["--resume", &run.out]].concat();
        let saved = Path::new(&run.out).exists();
        let arguments = run.arguments(if saved { &resumed } else { &LONG });
        if killed_after(&arguments, time.mul_f64(rng.random_range(0.05..0.5))) {
            (kills, kills_of_this_run) = (kills + 1, kills_of_this_run + 1);
            // Whenever it was killed, there is a whole file or none.
            if Path::new(&run.out).exists() {
                assert!(!arrays(&run.out).is_empty());
            }
        } else {
            assert!(std::fs::read(&run.out).unwrap() == whole, "after {kills} kills");
            std::fs::remove_file(&run.out).unwrap();
            // Where it was done before it could be killed, the machine was slower when the time was taken.
            time = if kills_of_this_run == 0 { time / 2 } else { time };
            kills_of_this_run = 0;
        }
    }
    if Path::new(&run.out).exists() {
        printed(&run.arguments(&[&LONG[..], &["--resume", &run.out]].concat()));
    } else {
        printed(&run.arguments(&LONG));
    }
    assert!(std::fs::read(&run.out).unwrap() == whole);
    assert_nothing_half_written(&run);
}

/// No temporary file is left.
fn assert_nothing_half_written(run: &Run) {
    let names = std::fs::read_dir(Path::new(&run.out).parent().unwrap()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = names.filter(|name| name.to_string_lossy().starts_with('.')).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_run_that_is_killed_again_and_again_ends_with_the_same_bits() {
    kill_and_resume(10);
}

#[test]
#[ignore = "a hundred kills: minutes"]
fn a_run_that_is_killed_a_hundred_times_ends_with_the_same_bits() {
    kill_and_resume(100);
}

/// Runs the command line where no file can have more than a kilobyte, as on a disk that is full.
fn without_room(arguments: &[&str]) -> Output {
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$@\"", "sh", PROGRAM]);
    command.args(arguments).output().unwrap()
}

#[test]
fn a_full_disk_is_told_and_the_old_file_stays() {
    let run = Run::new();
    printed(&run.arguments(&["--epochs", "1"]));
    let old = std::fs::read(&run.out).unwrap();
    let [outputs, page] = ["outputs.safetensors", "page.html"].map(|name| run.folder.path(name));
    printed(&["run", &run.spec, "--params", &run.out, "--inputs", &run.test, "--outputs", &outputs]);
    let old_outputs = std::fs::read(&outputs).unwrap();
    std::fs::write(&page, "old").unwrap();
    for arguments in [
        run.arguments(&["--epochs", "2", "--resume", &run.out]),
        vec!["run", &run.spec, "--params", &run.out, "--inputs", &run.train, "--outputs", &outputs],
        vec!["init", &run.spec, "--out", &run.out],
        vec!["inspect", &run.spec, "--html", &page],
    ] {
        let output = without_room(&arguments);
        let said = run.folder.strip(&text(&output.stderr));
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains(if arguments[0] == "inspect" { "page.html: " } else { "safetensors: " }), "{said}");
        assert!(said.contains("File too large"), "{said}");
    }
    assert_eq!(std::fs::read(&page).unwrap(), b"old");
    assert!(std::fs::read(&run.out).unwrap() == old);
    assert!(std::fs::read(&outputs).unwrap() == old_outputs);
    assert_nothing_half_written(&run);
}

/// Who reads what is said may go away, and a log may be full: a run goes on.
#[cfg(target_os = "linux")]
#[test]
fn a_run_goes_on_where_nobody_hears_of_it() {
    let run = Run::new();
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let status = |arguments: &[&str]| command(arguments).stdout(Stdio::null()).stderr(full()).status().unwrap().code();
    assert_eq!(status(&run.arguments(&["--epochs", "2"])), Some(0));
    assert!(!arrays(&run.out).is_empty());
    assert_eq!(status(&["check", "none.toml"]), Some(1));
}

#[cfg(target_os = "linux")]
#[test]
fn a_place_that_cannot_be_written_is_told_before_the_first_step() {
    let run = Run::new();
    let out = run.arguments(&[]).iter().position(|argument| *argument == "--out").unwrap() + 1;
    let mut arguments = run.arguments(&["--epochs", "1"]);
    arguments[out] = "/proc/out.safetensors";
    let said = crate::cli::refused(1, &arguments);
    assert!(said.contains("cannot write /proc/out.safetensors") && !said.contains("epoch"), "{said}");
}

#[test]
fn a_folder_that_cannot_be_written_is_told() {
    let run = Run::new();
    let folder = run.folder.path("locked");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o555)).unwrap();
    let out = format!("{folder}/out.safetensors");
    let arguments = ["init", &run.spec, "--out", &out];
    // Root may write anywhere: there, somebody else is tried, with a program that they may read.
    let output = match std::fs::write(format!("{folder}/probe"), "") {
        Ok(()) => {
            let program = run.folder.path("schur");
            std::fs::copy(PROGRAM, &program).unwrap();
            std::fs::set_permissions(Path::new(&folder).parent().unwrap(), PermissionsExt::from_mode(0o755)).unwrap();
            Command::new(program).args(arguments).uid(NOBODY).gid(NOBODY).output().unwrap()
        }
        Err(_) => schur(&arguments),
    };
    let said = run.folder.strip(&text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("locked/out.safetensors: ") && said.contains("ermission denied"), "{said}");
}

#[test]
fn files_that_are_cut_off_or_something_else_are_told() {
    let run = Run::new();
    printed(&run.arguments(&["--epochs", "1"]));
    let whole = std::fs::read(&run.out).unwrap();
    let other = run.folder.path("other.safetensors");
    for length in [0, 7, 8, 100, whole.len() - 1] {
        std::fs::write(&other, &whole[..length]).unwrap();
        for said in refusals(&run, &other) {
            assert!(said.contains("other.safetensors: "), "{length}: {said}");
        }
    }
    for bytes in [&b"PK\x03\x04 a zip archive of numpy's"[..], &[0xff; 4096], b"{\"x\": 1}", &[0x81; 64]] {
        for ending in ["safetensors", "msgpack"] {
            let foreign = run.folder.path(&format!("foreign.{ending}"));
            std::fs::write(&foreign, bytes).unwrap();
            for said in refusals(&run, &foreign) {
                assert!(said.contains(&format!("foreign.{ending}: ")), "{bytes:?}: {said}");
            }
        }
    }
    assert!(std::fs::read(&run.out).unwrap() == whole);
}

/// What is said where the file of one option that reads arrays is another, for all such options of all commands.
fn refusals(run: &Run, file: &str) -> Vec<String> {
    let [outputs, gradients] = ["outputs", "gradients"].map(|name| run.folder.path(&format!("{name}.safetensors")));
    let call = ["run", &run.spec, "--params", &run.out, "--inputs", &run.test, "--outputs", &outputs];
    let commands: [(Vec<&str>, &[&'static str]); 4] = [
        (run.arguments(&["--epochs", "2"]), &["--data", "--test", "--resume", "--params"]),
        (call.to_vec(), &["--params", "--inputs"]),
        ([&call[..], &["--gradients", &gradients]].concat(), &["--cotangents"]),
        (vec!["evaluate", &run.spec, "--data", &run.test], &["--data", "--params"]),
    ];
    let refusal = |(command, option): (&Vec<&str>, &&'static str)| {
        let mut arguments = command.clone();
        match arguments.iter().position(|argument| argument == option) {
            Some(place) => arguments[place + 1] = file,
            None => arguments.extend([*option, file]),
        }
        run.folder.strip(&crate::cli::refused(1, &arguments))
    };
    let of = |(command, options): &(Vec<&str>, &[&'static str])| {
        options.iter().map(|option| refusal((command, option))).collect::<Vec<_>>()
    };
    let said = commands.iter().flat_map(of).collect();
    assert!(!Path::new(&outputs).exists() && !Path::new(&gradients).exists());
    said
}
