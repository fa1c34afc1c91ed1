//! Calls of programs with hand-written kernels: values, chunks, the order of sums, memory.

#![allow(clippy::undocumented_unsafe_blocks, reason = "the programs state what their kernels may do")]

mod support;

use std::sync::Arc;

use indexmap::IndexMap;
use schur_ir::cut::{CHUNK_ROWS, Cut};
use schur_ir::graph::OutputKind;
use schur_ir::micro::Entry;
use schur_ir::program::{BufferId, BufferKind, MAX_CHUNKS, Parts, Program, Step};
use schur_ir::ty::DType;
use schur_runtime::array::{Array, Data};
use schur_runtime::executor::Outputs;
use schur_runtime::store::ParamStore;
use schur_runtime::view::ArrayView;
use support::{Run, buffer, code, executor, finish, input, kernel, model, output, runs, set_and_scale, store};

fn f32s(shape: &[usize], values: impl IntoIterator<Item = f32>) -> Array {
    Array::new(shape, Data::F32(values.into_iter().collect())).unwrap()
}

/// Values whose sum depends on the order of addition.
fn rough(n: usize) -> Vec<f32> {
    (0..n).map(|k| ((k * 7919 + 13) % 1000) as f32 * 0.37 - 123.4).collect()
}

fn inputs(n: usize) -> (Array, Array) {
    let species = (0..n).map(|k| (k % 4) as i32).collect();
    (f32s(&[n, 2], rough(2 * n)), Array::new([n], Data::I32(species)).unwrap())
}

/// What `model` gives, computed plainly.
fn expected(n: usize) -> Outputs {
    let x = rough(2 * n);
    let y = x.iter().enumerate().map(|(k, x)| x * 2.0 + (k / 2 % 4) as f32);
    let mut sum = [0.0; 2];
    let cut = Cut::in_chunks(n, 3, CHUNK_ROWS);
    for (k, rows) in (0..).map_while(|k| Some((k, cut.part(k)?))) {
        let mut part = [0.0; 2];
        x[2 * rows.start..2 * rows.end].iter().enumerate().for_each(|(i, x)| part[i % 2] += x);
        sum = if k == 0 { part } else { [sum[0] + part[0], sum[1] + part[1]] };
    }
    Outputs {
        outputs: IndexMap::from([("y".into(), f32s(&[n, 2], y))]),
        statistics: IndexMap::from([("batch_stats/norm/sum".into(), f32s(&[2, 1], sum))]),
        gradients: IndexMap::new(),
    }
}

#[test]
fn calls_of_any_size_give_the_same_bits_as_plain_loops() {
    let mut executor = executor(model());
    let store = store(executor.program());
    // Large before small: what earlier calls left in the arena must not show.
    for n in [5000, 0, 1, 2, 127, 128, 129, 130, 1000, 1033, 3, 0] {
        let (x, species) = inputs(n);
        let got = executor.call(&[("species", species.view()), ("x", x.view())], &store).unwrap();
        assert_eq!(got, expected(n), "N = {n}");
    }
}

#[test]
fn rows_are_cut_in_even_parts_and_none_is_run_without_rows() {
    let mut executor = executor(model());
    executor.set_threads(1);
    let store = store(executor.program());
    let mut cut = |n: usize| -> Vec<(i64, i64, i64)> {
        let (x, species) = inputs(n);
        let inputs = [("x", x.view()), ("species", species.view())];
        let runs = runs(|| drop(executor.call(&inputs, &store).unwrap()));
        runs.iter().map(|run| (run.chunk, run.rows.0, run.rows.1)).collect()
    };
    assert_eq!(cut(0), []);
    assert_eq!(cut(1), [(0, 0, 1)]);
    assert_eq!(cut(191), [(0, 0, 191)]);
    assert_eq!(cut(193), [(0, 0, 96), (1, 96, 193)]);
    assert_eq!(cut(5000).len(), MAX_CHUNKS);
}

#[test]
fn partial_sums_go_on_until_they_are_filled_again() {
    let (partial, sum) = (BufferId(4), BufferId(6));
    let (fill, combine) = (Step::Fill(partial, 0.0), Step::Combine { from: partial, into: sum });
    for (steps, times) in [
        (vec![fill.clone(), Step::Run(0), Step::Run(1), Step::Run(0), combine.clone()], 2.0),
        (vec![fill.clone(), Step::Run(0), combine.clone(), Step::Run(0), Step::Run(1), combine.clone()], 2.0),
        (vec![fill.clone(), Step::Run(0), combine.clone(), fill, Step::Run(0), combine, Step::Run(1)], 1.0),
    ] {
        let mut program = model();
        program.steps = steps;
        let mut executor = executor(program);
        let store = store(executor.program());
        for n in [2000, 1, 0, 500] {
            let x = f32s(&[n, 2], std::iter::repeat_n(1.0, 2 * n));
            let species = inputs(n).1;
            let got = executor.call(&[("x", x.view()), ("species", species.view())], &store).unwrap();
            assert_eq!(got.statistics[0].data(), &Data::F32(vec![n as f32 * times; 2].into()), "N = {n}");
        }
    }
}

#[test]
fn partial_sums_that_a_kernel_begins_are_not_filled() {
    let mut program = model();
    program.steps[0] = Step::Begin(BufferId(4));
    program.code = code(&[set_and_scale, finish]);
    let mut executor = executor(program);
    let store = store(executor.program());
    for n in [5000, 0, 1, 191, 193, 1000, 0] {
        let (x, species) = inputs(n);
        let mut got = expected(n);
        got.statistics[0] = f32s(&[2, 1], [f32::NAN; 2]);
        executor.call_over(&[("x", x.view()), ("species", species.view())], &store, &mut got).unwrap();
        assert_eq!(got, expected(n), "N = {n}");
    }
}

#[test]
fn statistics_go_back_into_the_store() {
    let mut executor = executor(model());
    let mut store = store(executor.program());
    let (x, species) = inputs(10);
    let outputs = executor.call(&[("x", x.view()), ("species", species.view())], &store).unwrap();
    store.apply(outputs.statistics).unwrap();
    assert_eq!(store.get("batch_stats/norm/sum").unwrap(), &expected(10).statistics["batch_stats/norm/sum"]);
    store.check(executor.program()).unwrap();
}

#[test]
fn the_callers_arrays_are_written() {
    let mut executor = executor(model());
    let store = store(executor.program());
    let mut outputs = expected(300);
    outputs.outputs[0] = Array::zeros([300, 2], DType::F32).unwrap();
    outputs.statistics[0] = f32s(&[2, 1], [9.0, 9.0]);
    let (x, species) = inputs(300);
    let mut views = outputs.views_mut();
    views.reverse();
    executor.call_into(&[("x", x.view()), ("species", species.view())], &store, &mut views).unwrap();
    assert_eq!(outputs, expected(300));
}

#[test]
fn memory_is_aligned_apart_and_kept() {
    let mut executor = executor(model());
    executor.set_threads(1);
    let store = store(executor.program());
    let mut run = |n: usize| -> Vec<Run> {
        let (x, species) = inputs(n);
        runs(|| drop(executor.call(&[("x", x.view()), ("species", species.view())], &store).unwrap()))
    };
    let own = |run: &Run| [run.addresses[3], run.addresses[4], run.addresses[7]];
    let large = run(1000);
    for run in &large {
        assert!(own(run).iter().all(|address| address % 64 == 0), "{run:?}");
        assert!(run.addresses.iter().all(|address| *address != 0));
        assert_eq!(run.addresses[4] - run.addresses[3], 8000);
    }
    assert_eq!(own(&run(1000)[0]), own(&large[0]), "a call of the same size has the same memory");
    assert_eq!(run(20)[0].addresses[3], large[0].addresses[3], "and so has a smaller one");
}

/// `y[r] = y[r − 1] + x[r]`, and the addresses must be good even where there is no row.
unsafe extern "C" fn running_sum(
    buffers: *const *mut u8,
    _sizes: *const i64,
    begin: i64,
    end: i64,
    chunk: i64,
    scratch: *mut u8,
    _micros: *const Entry,
) {
    unsafe {
        assert!(
            (*buffers).addr().is_multiple_of(8)
                && (*buffers.add(1)).addr().is_multiple_of(8)
                && scratch.addr().is_multiple_of(64)
        );
        assert!(!(*buffers).is_null() && !(*buffers.add(1)).is_null() && chunk == 0);
        let (x, y) = (*buffers.cast::<*mut f64>(), *buffers.add(1).cast::<*mut f64>());
        for row in begin as usize..end as usize {
            *y.add(row) = *x.add(row) + if row == 0 { 0.0 } else { *y.add(row - 1) };
        }
    }
}

unsafe extern "C" fn nothing(
    buffers: *const *mut u8,
    _sizes: *const i64,
    _begin: i64,
    end: i64,
    _chunk: i64,
    _scratch: *mut u8,
    _micros: *const Entry,
) {
    unsafe { assert!(end == 1 && (*buffers.add(1)).addr().is_multiple_of(8) && !(*buffers).is_null()) }
}

fn serial() -> Parts {
    Parts {
        name: "serial".into(),
        dtype: DType::F64,
        symbols: vec![],
        buffers: vec![
            buffer("x", &["N"], 1, DType::F64, BufferKind::Input),
            buffer("y", &["N"], 1, DType::F64, BufferKind::Output),
        ],
        kernels: vec![kernel("sum", "N", true), kernel("nothing", "1", false)],
        micros: Vec::new(),
        steps: vec![Step::Run(1), Step::Fill(BufferId(1), 5.0), Step::Run(0)],
        prologue: 0,
        requirements: vec![],
        inputs: vec![input("x", 0)],
        params: vec![],
        outputs: vec![output("x", OutputKind::Gradient, 1, None)],
        code: code(&[running_sum, nothing]),
    }
}

#[test]
fn serial_kernels_have_one_chunk_and_empty_arrays_have_addresses() {
    let mut executor = executor(serial());
    let store = store(executor.program());
    for n in [0, 1, 3000] {
        let x = Array::new([n, 1], Data::F64((0..n).map(|k| k as f64).collect())).unwrap();
        let got = executor.call(&[("x", x.view())], &store).unwrap();
        let sums = (0..n).map(|k| (k * (k + 1) / 2) as f64).collect();
        assert_eq!(got.gradients["x"], Array::new([n, 1], Data::F64(sums)).unwrap());
        assert!(got.outputs.is_empty() && got.statistics.is_empty());
    }
}

#[test]
fn fills_reach_every_element() {
    let mut program = serial();
    program.steps.truncate(2);
    let mut executor = executor(program);
    let x = Array::zeros([4, 1], DType::F64).unwrap();
    let got = executor.call(&[("x", ArrayView::from(&x))], &Default::default()).unwrap();
    assert_eq!(got.gradients["x"].data(), &Data::F64(vec![5.0; 4].into()));
}

#[test]
fn executors_move_between_threads() {
    let mut executor = executor(serial());
    let program: Arc<Program> = executor.program().clone();
    let handle = std::thread::spawn(move || {
        let x = Array::zeros([2, 1], DType::F64).unwrap();
        executor.call(&[("x", x.view())], &Default::default()).map(|outputs| outputs.gradients.len())
    });
    assert_eq!(handle.join().unwrap(), Ok(1));
    assert_eq!(program.name, "serial");
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let mut executor = executor(model());
    let store = store(executor.program());
    for n in [200_000, 1000, 130, 16, 1, 0, 50_000] {
        let (x, species) = inputs(n);
        let expected = expected(n);
        for threads in [1, 2, 3, 8, 0, usize::MAX] {
            executor.set_threads(threads);
            assert_eq!(executor.threads(), threads.clamp(1, 256));
            for _ in 0..3 {
                let got = executor.call(&[("x", x.view()), ("species", species.view())], &store).unwrap();
                assert!(got == expected, "N = {n}, {threads} threads");
            }
        }
    }
}

#[test]
fn clones_are_called_from_many_threads_at_once() {
    let executor = executor(model());
    let store = store(executor.program());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (mut executor, store) = (executor.clone(), &store);
            scope.spawn(move || {
                for k in 0..20 {
                    let n = 1000 * thread + 777 * k % 5000;
                    let (x, species) = inputs(n);
                    let got = executor.call(&[("x", x.view()), ("species", species.view())], store).unwrap();
                    assert!(got == expected(n), "N = {n}");
                }
            });
        }
    });
}

#[test]
fn what_was_found_out_is_forgotten_when_it_no_longer_holds() {
    let mut executor = executor(model());
    let mut store = store(executor.program());
    let other =
        ParamStore::init(executor.program().params.iter().rev().map(|slot| &slot.param), DType::F32, 0).unwrap();
    let (x, species) = inputs(300);
    let [forth, back] =
        [[("x", x.view()), ("species", species.view())], [("species", species.view()), ("x", x.view())]];
    for _ in 0..2 {
        for inputs in [&forth, &back] {
            for store in [&store, &other, &store.clone()] {
                assert_eq!(executor.call(inputs, store).unwrap(), expected(300));
            }
        }
    }
    // New elements under the same names are seen, in every order.
    store.set("params/mix/w", f32s(&[2], [3.0, 3.0])).unwrap();
    let got = executor.call(&forth, &store).unwrap();
    let y = rough(600).into_iter().enumerate().map(|(k, x)| x * 3.0 + (k / 2 % 4) as f32);
    assert_eq!(got.outputs["y"], f32s(&[300, 2], y));
    // A call that was refused leaves nothing behind.
    let (shorter, wider) = (inputs(299).1, f32s(&[300, 3], rough(900)));
    assert!(executor.call(&[("x", x.view()), ("species", shorter.view())], &store).is_err());
    assert!(executor.call(&[("x", wider.view()), ("species", species.view())], &store).is_err());
    assert!(executor.call(&forth, &ParamStore::default()).is_err());
    assert_eq!(executor.call(&forth, &other).unwrap(), expected(300));
}
