//! The cache of machine code: what is found is what would be compiled, whatever else is in the folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;

use schur_compiler::autodiff::{VjpOptions, vjp};
use schur_compiler::codegen::{Cache, Features, KernelCode, Listings, MachineCode, Target, generate};
use schur_compiler::compile::{CompileOptions, compile};
use schur_compiler::loops::{LoopOptions, Loops, lower};
use schur_compiler::simplify::{SimplifyOptions, simplify};
use schur_ir::build::{Mode, build};
use schur_ir::dim::Bindings;
use schur_ir::graph::Graph;
use serde_json::Value;

use crate::cli::{Folder, command, json, printed, schur, text};
use crate::deep::gated;
use crate::levels::ways;
use crate::random_graph::random_arrays;
use crate::specs::{FORCES, spec, specs};

fn lowered(graph: &Graph) -> Loops {
    let simplified = simplify(graph, &SimplifyOptions::default()).unwrap_or_else(|e| panic!("{e}")).graph;
    lower(&simplified, &LoopOptions::default()).unwrap_or_else(|e| panic!("{e}"))
}

fn generated(loops: &Loops, features: Features, cache: Option<&Cache>) -> Vec<KernelCode> {
    let target = Target::host(features, false).unwrap_or_else(|e| panic!("{e}"));
    generate(loops, &target, Listings::Skip, cache).unwrap_or_else(|e| panic!("{e}"))
}

/// The code of every function, and whether it was in the cache.
fn functions(kernels: &[KernelCode]) -> (Vec<&MachineCode>, Vec<bool>) {
    kernels.iter().flat_map(KernelCode::functions).map(|function| (&function.machine, function.was_cached)).unzip()
}

#[track_caller]
fn open(folder: &Folder) -> Cache {
    Cache::open(folder.path("cache")).unwrap_or_else(|e| panic!("{e}"))
}

/// The files of a folder, and what is in them.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
}

/// Every spec of the tests, forward and with gradients, and one whose kernel has sections.
fn programs() -> Vec<(String, Loops)> {
    let specs = specs().into_iter().flat_map(|(name, spec)| {
        let graph = build(&spec, Mode::Train).unwrap_or_else(|e| panic!("{e:?}"));
        let joint = vjp(&graph, &VjpOptions::new(&graph)).unwrap_or_else(|e| panic!("{e}"));
        [(name.clone(), lowered(&graph)), (format!("{name}, gradients"), lowered(&joint))]
    });
    specs.chain([("sections".to_owned(), lowered(&gated(30)))]).collect()
}

#[test]
fn what_is_found_is_what_is_compiled() {
    let folder = Folder::new();
    let cache = open(&folder);
    let mut calls = 0;
    for (name, loops) in programs() {
        let [without, cold, warm] =
            [None, Some(&cache), Some(&cache)].map(|cache| generated(&loops, Features::Native, cache));
        let [(wanted, none), (cold, _), (warm, all)] = [&without, &cold, &warm].map(|kernels| functions(kernels));
        assert!(wanted == cold && wanted == warm, "{name}");
        assert!(none.iter().all(|was_cached| !was_cached) && all.iter().all(|was_cached| *was_cached), "{name}");
        assert!(without.iter().map(|kernel| &kernel.name).eq(loops.kernels.iter().map(|kernel| &kernel.name)));
        calls += wanted.iter().map(|machine| machine.calls.len()).sum::<usize>();
    }
    assert!(calls > 2, "no kernel calls sections");
    assert!(cache.failure().is_none(), "{:?}", cache.failure());
}

#[test]
fn programs_of_code_that_was_found_compute_the_same() {
    let folder = Folder::new();
    let graph = gated(30);
    let (inputs, params) = random_arrays(&graph, &Bindings::from([("N".into(), 100)]), 0);
    let results = [None, Some(open(&folder)), Some(open(&folder))].map(|cache| {
        let options = CompileOptions { cache, ..CompileOptions::default() };
        let program = compile(&graph, &options, &mut |_, _| {}).unwrap_or_else(|e| panic!("{e}"));
        let found = ways()[0].call(program, &inputs, &params);
        (found.outputs, found.gradients)
    });
    assert!(results[0] == results[1] && results[0] == results[2]);
}

#[test]
fn what_is_no_file_of_the_program_is_written_again() {
    let folder = Folder::new();
    let cache = open(&folder);
    let [loops, other] = [30, 2].map(|layers| lowered(&gated(layers)));
    let without = generated(&loops, Features::Native, None);
    let wanted = functions(&without).0;
    generated(&other, Features::Native, Some(&cache));
    let others = files(cache.folder()).into_values().next().unwrap();
    generated(&loops, Features::Native, Some(&cache));
    let mut kept = files(cache.folder());
    kept.retain(|_, file| *file != others);
    let (path, file) = kept.pop_first().unwrap();
    let flipped = |k: usize| {
        let (mut file, place) = (file.clone(), k * 7919 % file.len());
        file[place] ^= 1 << (k % 8);
        file
    };
    let damaged = [
        Vec::new(),
        b"something else".to_vec(),
        file[..file.len() - 1].to_vec(),
        file[..file.len() / 2].to_vec(),
        [&file[..], b"\0"].concat(),
        vec![0; file.len()],
        others,
    ];
    for damaged in damaged.into_iter().chain((0..8).map(flipped)) {
        fs::write(&path, damaged).unwrap();
        let mended = generated(&loops, Features::Native, Some(&cache));
        let (found, was_cached) = functions(&mended);
        assert!(found == wanted && was_cached.iter().all(|was_cached| !was_cached));
        assert!(fs::read(&path).unwrap() == file && files(cache.folder()).len() == 2, "it is mended");
    }
    assert!(cache.failure().is_none(), "{:?}", cache.failure());
}

#[test]
fn programs_that_look_alike_share_a_file_and_no_code() {
    let folder = Folder::new();
    let cache = open(&folder);
    let of_epsilon = |epsilon: &str| {
        let text = format!(
            "name = \"normed\"\noutputs = [\"y\"]\n[inputs.x]\nshape = [\"N\"]\nirreps = \"4x0e + 2x1o\"\n\
             [[layers]]\nname = \"y\"\nop = \"batch_norm\"\ninput = \"x\"\neps = {epsilon}\n"
        );
        lowered(&build(&spec(&text), Mode::Train).unwrap_or_else(|e| panic!("{e:?}")))
    };
    let programs = ["1e-5", "1e-2"].map(of_epsilon);
    let wanted = programs.each_ref().map(|loops| generated(loops, Features::Native, None));
    assert_ne!(functions(&wanted[0]).0, functions(&wanted[1]).0);
    for _ in 0..2 {
        for (loops, wanted) in programs.iter().zip(&wanted) {
            let found = generated(loops, Features::Native, Some(&cache));
            assert_eq!(functions(&found).0, functions(wanted).0);
            assert!(functions(&found).1.contains(&false));
            assert_eq!(files(cache.folder()).len(), 1);
        }
    }
}

#[test]
fn targets_do_not_share_code() {
    let folder = Folder::new();
    let cache = open(&folder);
    let loops = lowered(&gated(2));
    for features in [Features::Native, Features::Baseline] {
        let cold = generated(&loops, features, Some(&cache));
        assert!(functions(&cold).1.iter().all(|was_cached| !was_cached), "{features:?}");
        let (without, warm) = (generated(&loops, features, None), generated(&loops, features, Some(&cache)));
        assert_eq!(functions(&without).0, functions(&warm).0);
        assert!(functions(&warm).1.iter().all(|was_cached| *was_cached), "{features:?}");
    }
}

#[test]
fn listings_are_of_code_that_is_compiled() {
    let folder = Folder::new();
    let cache = open(&folder);
    let loops = lowered(&gated(2));
    let target = Target::host(Features::Native, false).unwrap_or_else(|e| panic!("{e}"));
    generated(&loops, Features::Native, Some(&cache));
    let listed = generate(&loops, &target, Listings::Keep, Some(&cache)).unwrap_or_else(|e| panic!("{e}"));
    assert!(listed.iter().all(|kernel| kernel.listing.is_some() && !kernel.was_cached));
}

#[test]
fn threads_share_a_folder() {
    let folder = Folder::new();
    let programs = [2, 3, 4, 30].map(|layers| lowered(&gated(layers)));
    let wanted = programs.each_ref().map(|loops| generated(loops, Features::Native, None));
    thread::scope(|scope| {
        for first in 0..4 {
            let (programs, wanted, folder) = (&programs, &wanted, &folder);
            scope.spawn(move || {
                // A handle of its own, as another process has one.
                let cache = open(folder);
                for k in (0..2 * programs.len()).map(|k| (k + first) % programs.len()) {
                    let found = generated(&programs[k], Features::Native, Some(&cache));
                    assert_eq!(functions(&found).0, functions(&wanted[k]).0);
                }
                assert!(cache.failure().is_none(), "{:?}", cache.failure());
            });
        }
    });
}

#[test]
fn a_folder_that_cannot_be_written_to_is_compiled_without() {
    let folder = Folder::new();
    let cache = open(&folder);
    let loops = lowered(&gated(2));
    let wanted = generated(&loops, Features::Native, Some(&cache));
    // Nobody can put a file in the place of a folder, whatever rights they have.
    for path in files(cache.folder()).keys() {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
    }
    assert!(cache.failure().is_none());
    let found = generated(&loops, Features::Native, Some(&cache));
    assert!(functions(&found).0 == functions(&wanted).0 && functions(&found).1.iter().all(|was_cached| !was_cached));
    let said = cache.failure().unwrap().to_string();
    assert!(said.starts_with(&format!("cannot write to the cache of code {}: ", cache.folder().display())), "{said}");
}

#[cfg(unix)]
#[test]
fn a_folder_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let cache = Cache::open(folder.path("made/with/parents")).unwrap();
    assert_eq!(mode(cache.folder()), 0o700);
    generated(&lowered(&gated(2)), Features::Native, Some(&cache));
    let entries = files(cache.folder());
    assert!(!entries.is_empty() && entries.keys().all(|entry| mode(entry) == 0o600));
    fs::set_permissions(cache.folder(), fs::Permissions::from_mode(0o777)).unwrap();
    let refused = Cache::open(cache.folder()).unwrap_err().to_string();
    assert!(refused.ends_with("every user may write to it, and so decide what runs"), "{refused}");
}

/// What `schur bench` says of the cache.
fn bench(cache: &str, more: &[&str]) -> Value {
    let arguments = [&["bench", FORCES, "--rows", "1", "--json", "--cache", cache], more].concat();
    json(&arguments)["cache"].clone()
}

#[test]
fn processes_share_a_folder() {
    let folder = Folder::new();
    let cache = folder.path("cache");
    let arguments = ["bench", FORCES, "--rows", "1", "--train", "--gradients", "--cache", &cache];
    let both = [0, 1].map(|_| command(&arguments).stdout(Stdio::null()).spawn().unwrap());
    both.into_iter().for_each(|mut child| assert!(child.wait().unwrap().success()));
    let entries = files(Path::new(&cache));
    // Keys are the same in every process, and names of temporary files are gone.
    let found = bench(&cache, &["--train", "--gradients"]);
    assert!(found["functions"].as_u64() > Some(3) && found["functions"] == found["found_the_first_time"], "{found}");
    assert!(files(Path::new(&cache)) == entries);
    let other = bench(&cache, &[]);
    assert_eq!(other["functions"], other["found"], "{other}");
}

#[test]
fn commands_take_code_from_the_folder_that_is_named() {
    const DATA: &str = "examples/forces/test.safetensors";
    let folder = Folder::new();
    let [cache, params, without, cold, warm] =
        ["cache", "p", "y", "cold", "warm"].map(|name| folder.path(&(name.to_owned() + ".safetensors")));
    printed(&["init", FORCES, "--out", &params]);
    let run = |outputs: &str, more: &[&str]| {
        let arguments = ["run", FORCES, "--params", &params, "--inputs", DATA, "--outputs", outputs];
        let output = schur(&[&arguments, more].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        (fs::read(outputs).unwrap(), text(&output.stderr))
    };
    let (wanted, _) = run(&without, &[]);
    let (found, said) = run(&cold, &["--cache", &cache]);
    assert!(found == wanted && !said.contains("warning"), "{said}");
    let entries = files(Path::new(&cache));
    assert!(!entries.is_empty());
    let (found, _) = run(&warm, &["--cache", &cache]);
    assert!(found == wanted && files(Path::new(&cache)) == entries);
    // The folder can be named once for all commands; an empty name is none.
    for (name, entries) in [(folder.path("other"), entries.len()), (String::new(), 0)] {
        let arguments = ["evaluate", FORCES, "--data", DATA];
        let output = command(&arguments).env("SCHUR_CACHE", &name).output().unwrap();
        assert!(output.status.success() && !text(&output.stderr).contains("warning"), "{}", text(&output.stderr));
        assert_eq!(fs::read_dir(&name).map_or(0, Iterator::count), entries);
    }
    // What cannot be a folder is told once, and done without.
    let (found, said) = run(&without, &["--cache", &params]);
    assert!(found == wanted, "{said}");
    let warning = format!("warning: cannot use the cache of code {params}: ");
    assert!(
        said.contains(&warning) && said.contains("; compiling without it\n") && said.matches("warning").count() == 1,
        "{said}"
    );
    assert_eq!(run(&without, &["--cache", &params, "--quiet"]), (wanted, String::new()));
}
