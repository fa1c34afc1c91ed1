//! Many threads at once: calls of one program, parameters that change meanwhile, compilations.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::thread;

use indexmap::IndexMap;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use schur::compiler::compile::{Stage, compile};
use schur::runtime::InstructionSet;
use schur::runtime::executor::Executor;
use schur::runtime::view::ArrayView;
use schur::{Array, CompileOptions, Data, Mode, Model, Outputs, ParamStore, Program};

use crate::levels::Arrays;
use crate::specs::model;

const SPEC: &str = r#"
name = "m"
outputs = ["y"]
[inputs.x]
shape = ["N"]
irreps = "8x0e + 4x1o"
[[layers]]
name = "up"
op = "linear"
input = "x"
irreps_out = "32x0e + 8x1o"
[[layers]]
name = "norm"
op = "batch_norm"
input = "up"
[[layers]]
name = "act"
op = "gate"
input = "norm"
[[layers]]
name = "y"
op = "linear"
input = "act"
irreps_out = "4x0e + 2x1o"
"#;

fn program(model: &Model, mode: Mode) -> Arc<Program> {
    let graph = model.graph(mode).unwrap();
    Arc::new(compile(&graph, &CompileOptions::default(), &mut |_, _| {}).unwrap())
}

fn inputs(rows: usize) -> Arrays {
    let number = |k: usize| ((k * 2_654_435_761 + rows) % 1000) as f32 / 500.0 - 1.0;
    let x = Array::new([rows, 20], Data::F32((0..rows * 20).map(number).collect())).unwrap();
    IndexMap::from([("x".to_owned(), x)])
}

fn call(executor: &mut Executor, inputs: &Arrays, params: &ParamStore) -> Vec<u64> {
    let views: Vec<(&str, ArrayView<'_>)> = inputs.iter().map(|(name, array)| (name.as_str(), array.view())).collect();
    bits(&executor.call(&views, params).unwrap())
}

fn bits(results: &Outputs) -> Vec<u64> {
    let arrays = results.outputs.values().chain(results.statistics.values()).chain(results.gradients.values());
    arrays.map(Array::to_f64).flat_map(|array| array.iter().map(|x| x.to_bits()).collect::<Vec<_>>()).collect()
}

const SETS: [InstructionSet; 4] = InstructionSet::ALL;
const ROWS: [usize; 7] = [1, 2, 7, 131, 1000, 1237, 4096];

#[test]
fn one_program_is_called_with_many_sizes_at_once() {
    let model = model(SPEC);
    let (program, params) = (program(&model, Mode::Train), model.init(0).unwrap());
    let executor = |set| Executor::with_instruction_set(program.clone(), set).unwrap();
    let wanted: Vec<Vec<Vec<u64>>> =
        SETS.map(|set| ROWS.map(|rows| call(&mut executor(set), &inputs(rows), &params)).into()).into();
    thread::scope(|scope| {
        for number in 0..8u64 {
            let (executor, params, wanted) = (&executor, &params, &wanted);
            scope.spawn(move || {
                let mut rng = ChaCha8Rng::seed_from_u64(number);
                let mut executors = SETS.map(executor);
                for _ in 0..60 {
                    let (set, size) = (rng.random_range(0..SETS.len()), rng.random_range(0..ROWS.len()));
                    executors[set].set_threads(rng.random_range(1..4));
                    let found = call(&mut executors[set], &inputs(ROWS[size]), params);
                    assert!(found == wanted[set][size], "{:?}, {} rows", SETS[set], ROWS[size]);
                }
            });
        }
    });
}

/// The stores that take turns.
fn versions(model: &Model) -> Vec<ParamStore> {
    (0..6).map(|seed| model.init(seed).unwrap()).collect()
}

/// A store is borrowed for the whole call, so no call sees one that changes: who updates parameters while others call puts
/// another store in the place of the old one.
#[test]
fn every_call_sees_one_version_of_parameters_that_are_replaced() {
    let model = model(SPEC);
    let (program, versions) = (program(&model, Mode::Infer), versions(&model));
    let data = inputs(300);
    let call_once = |params: &ParamStore| call(&mut Executor::new(program.clone()).unwrap(), &data, params);
    let wanted: Vec<Vec<u64>> = versions.iter().map(call_once).collect();
    let current = RwLock::new((0, Arc::new(versions[0].clone())));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let callers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut executor = Executor::new(program.clone()).unwrap();
                    for _ in 0..200 {
                        // The lock is held while the pointer is copied, not while the model is called.
                        let (version, params) = current.read().unwrap().clone();
                        assert!(call(&mut executor, &data, &params) == wanted[version], "version {version}");
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            for version in (0..versions.len()).cycle() {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                *current.write().unwrap() = (version, Arc::new(versions[version].clone()));
                thread::yield_now();
            }
        });
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        done.store(true, Ordering::Relaxed);
    });
}

/// The same where one store is written in place, array by array, under a lock that callers hold for the call.
#[test]
fn every_call_sees_one_version_of_parameters_that_are_written_in_place() {
    let model = model(SPEC);
    let (program, versions) = (program(&model, Mode::Infer), versions(&model));
    let data = inputs(300);
    let call_once = |params: &ParamStore| call(&mut Executor::new(program.clone()).unwrap(), &data, params);
    let wanted: Vec<Vec<u64>> = versions.iter().map(call_once).collect();
    let current = RwLock::new((0, versions[0].clone()));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let callers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut executor = Executor::new(program.clone()).unwrap();
                    for _ in 0..200 {
                        let guard = current.read().unwrap();
                        assert!(call(&mut executor, &data, &guard.1) == wanted[guard.0], "version {}", guard.0);
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            for version in (0..versions.len()).cycle() {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                let mut guard = current.write().unwrap();
                guard.0 = version;
                versions[version].iter().for_each(|(name, array)| guard.1.set(name, array.clone()).unwrap());
                drop(guard);
                thread::yield_now();
            }
        });
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        done.store(true, Ordering::Relaxed);
    });
}

/// The machine code of a graph.
fn code(graph: &schur::Graph) -> Vec<Vec<u8>> {
    let mut code = Vec::new();
    compile(graph, &CompileOptions::default(), &mut |stage, _| {
        if let Stage::Code(kernels) = stage {
            code = kernels.iter().map(|kernel| kernel.machine.bytes.clone()).collect();
        }
    })
    .unwrap();
    code
}

#[test]
fn models_that_are_compiled_at_once_have_the_same_code() {
    let irreps = ["8x0e", "3x0e + 2x1o", "16x0e + 4x1o + 2x2e", "5x1o + 1x0e"];
    let specs =
        irreps.map(|irreps| SPEC.replace("irreps_out = \"4x0e + 2x1o\"", &format!("irreps_out = \"{irreps}\"")));
    let graphs: Vec<_> =
        specs.iter().flat_map(|spec| [Mode::Train, Mode::Infer].map(|mode| model(spec).joint(mode).unwrap())).collect();
    let wanted: Vec<_> = graphs.iter().map(code).collect();
    assert!(wanted.iter().all(|code| !code.is_empty()));
    thread::scope(|scope| {
        for first in 0..4 {
            let (graphs, wanted) = (&graphs, &wanted);
            scope.spawn(move || {
                for k in (0..graphs.len()).map(|k| (k + 2 * first) % graphs.len()) {
                    assert!(code(&graphs[k]) == wanted[k], "graph {k}");
                }
            });
        }
    });
}
