//! What depends on parameters alone is computed when they changed, and then only.

#![allow(clippy::undocumented_unsafe_blocks, reason = "the programs state what their kernels may do")]

mod support;

use std::cell::Cell;

use indexmap::IndexMap;
use schur_ir::expr::Scalar;
use schur_ir::graph::{Init, OutputKind, Param};
use schur_ir::micro::Entry;
use schur_ir::program::{BufferId, BufferKind, ParamSlot, Parts, Step};
use schur_ir::ty::DType;
use schur_runtime::array::{Array, Data};
use schur_runtime::executor::Executor;
use schur_runtime::store::ParamStore;
use schur_runtime::view::ElementsMut;
use support::{buffer, code, executor, input, kernel, output, store};

thread_local! {
    static PACKED: Cell<usize> = const { Cell::new(0) };
}

/// `packed = partial sums of w`, a chunk of one row; counted.
unsafe extern "C" fn pack(
    buffers: *const *mut u8,
    _sizes: *const i64,
    _begin: i64,
    _end: i64,
    chunk: i64,
    _scratch: *mut u8,
    _micros: *const Entry,
) {
    PACKED.set(PACKED.get() + 1);
    unsafe {
        let (w, v, partial) = (
            *buffers.add(1).cast::<*mut f64>(),
            *buffers.add(2).cast::<*mut f64>(),
            *buffers.add(3).cast::<*mut f64>(),
        );
        *partial.add(chunk as usize) += *w + 10.0 * *v;
    }
}

/// `y = x packed`
unsafe extern "C" fn multiply(
    buffers: *const *mut u8,
    _sizes: *const i64,
    begin: i64,
    end: i64,
    _chunk: i64,
    _scratch: *mut u8,
    _micros: *const Entry,
) {
    unsafe {
        let (x, packed, y) =
            (*buffers.cast::<*mut f64>(), *buffers.add(4).cast::<*mut f64>(), *buffers.add(5).cast::<*mut f64>());
        for row in begin as usize..end as usize {
            *y.add(row) = *x.add(row) * *packed;
        }
    }
}

/// `y = x (w + 10 v)`, the sum being prepared, by way of partial sums.
fn model() -> Parts {
    let param = |name: &str, id| ParamSlot {
        param: Param { name: name.into(), shape: vec![1], init: Init::Constant(Scalar(1.0)) },
        buffer: BufferId(id),
    };
    Parts {
        name: "test".into(),
        dtype: DType::F64,
        symbols: vec!["N".into()],
        buffers: vec![
            buffer("x", &["N"], 1, DType::F64, BufferKind::Input),
            buffer("w", &[], 1, DType::F64, BufferKind::Param),
            buffer("v", &[], 1, DType::F64, BufferKind::Param),
            buffer("partial sums", &[], 1, DType::F64, BufferKind::Partial),
            buffer("packed", &[], 1, DType::F64, BufferKind::Prepared),
            buffer("y", &["N"], 1, DType::F64, BufferKind::Output),
        ],
        kernels: vec![kernel("pack", "1", false), kernel("multiply", "N", false)],
        micros: Vec::new(),
        steps: vec![
            Step::Fill(BufferId(3), 0.0),
            Step::Run(0),
            Step::Combine { from: BufferId(3), into: BufferId(4) },
            Step::Run(1),
        ],
        prologue: 3,
        requirements: vec![],
        inputs: vec![input("x", 0)],
        params: vec![param("w", 1), param("v", 2)],
        outputs: vec![output("y", OutputKind::Output, 5, None)],
        code: code(&[pack, multiply]),
    }
}

fn one(value: f64) -> Array {
    Array::new([1], Data::F64(vec![value].into())).unwrap()
}

/// Calls with rows of ones: what every row gave, and how often the weight was packed.
fn call(executor: &mut Executor, store: &ParamStore, rows: usize) -> (f64, usize) {
    let x = Array::new([rows, 1], Data::F64(vec![1.0; rows].into())).unwrap();
    PACKED.set(0);
    let y = executor.call(&[("x", x.view())], store).unwrap().outputs["y"].to_f64();
    let y: Vec<f64> = y.iter().copied().collect();
    assert!(y.iter().all(|value| *value == y[0]), "{y:?}");
    (y[0], PACKED.get())
}

#[test]
fn the_prologue_is_done_once_for_a_version() {
    let mut executor = executor(model());
    let store = store(executor.program());
    assert_eq!(call(&mut executor, &store, 3), (11.0, 1));
    // More rows take another arena; prepared buffers have memory of their own.
    for rows in [1, 100_000, 2] {
        assert_eq!(call(&mut executor, &store, rows), (11.0, 0));
    }
    executor.set_threads(1);
    assert_eq!(call(&mut executor, &store, 3), (11.0, 0));
    assert_eq!(call(&mut executor.clone(), &store, 3), (11.0, 1));
}

#[test]
fn every_way_to_change_a_store_is_seen() {
    let mut executor = executor(model());
    let mut store = store(executor.program());
    assert_eq!(call(&mut executor, &store, 3), (11.0, 1));
    store.set("w", one(2.0)).unwrap();
    assert_eq!(call(&mut executor, &store, 3), (12.0, 1));
    store.apply(IndexMap::from([("v".into(), one(2.0))])).unwrap();
    assert_eq!(call(&mut executor, &store, 3), (22.0, 1));
    store.apply_copies(&IndexMap::from([("w".into(), one(3.0))])).unwrap();
    assert_eq!(call(&mut executor, &store, 3), (23.0, 1));
    match store.get_mut("v").unwrap().into_elements() {
        ElementsMut::F64(v) => v[0] = 3.0,
        ElementsMut::F32(_) | ElementsMut::I32(_) | ElementsMut::Bool(_) => unreachable!("parameters are f64"),
    }
    assert_eq!(call(&mut executor, &store, 3), (33.0, 1));
    let arrays = store.iter().map(|(name, array)| (name.to_owned(), array.clone())).collect();
    let params: Vec<Param> = executor.program().params.iter().map(|slot| slot.param.clone()).collect();
    let mut read = ParamStore::from_arrays(&params, DType::F64, arrays).unwrap();
    read.set("w", one(4.0)).unwrap();
    assert_eq!(call(&mut executor, &read, 3), (34.0, 1));
    assert_eq!(call(&mut executor, &store, 3), (33.0, 1));
}

#[test]
fn changes_that_are_refused_change_nothing() {
    let mut executor = executor(model());
    let mut store = store(executor.program());
    call(&mut executor, &store, 3);
    assert!(store.set("w", Array::zeros([2], DType::F64).unwrap()).is_err() && store.get_mut("u").is_err());
    assert_eq!(call(&mut executor, &store, 3), (11.0, 0));
}

#[test]
fn copies_are_the_same_until_one_is_changed() {
    let mut executor = executor(model());
    let store = store(executor.program());
    let mut copy = store.clone();
    assert_eq!(call(&mut executor, &store, 3), (11.0, 1));
    assert_eq!(call(&mut executor, &copy, 3), (11.0, 0));
    copy.set("w", one(2.0)).unwrap();
    let second = copy.clone();
    for _ in 0..2 {
        assert_eq!(call(&mut executor, &copy, 3), (12.0, 1));
        assert_eq!(call(&mut executor, &second, 3), (12.0, 0));
        assert_eq!(call(&mut executor, &store, 3), (11.0, 1));
    }
}

#[test]
fn calls_that_are_refused_keep_what_is_prepared() {
    let mut executor = executor(model());
    let store = store(executor.program());
    call(&mut executor, &store, 3);
    let wrong = Array::zeros([3, 2], DType::F64).unwrap();
    assert!(executor.call(&[("x", wrong.view())], &store).is_err());
    executor.limit_memory(0);
    let x = Array::zeros([3, 1], DType::F64).unwrap();
    assert!(executor.call(&[("x", x.view())], &store).is_err());
    executor.limit_memory(1 << 30);
    assert_eq!(call(&mut executor, &store, 3), (11.0, 0));
}

#[test]
fn prologues_that_depend_on_more_are_refused() {
    #[track_caller]
    fn broken(change: impl FnOnce(&mut Parts), rule: &str) {
        let mut program = model();
        change(&mut program);
        let error = Executor::new(support::program(program)).unwrap_err();
        assert_eq!(error.to_string(), format!("the program `test` is broken: {rule}"));
    }
    broken(|p| p.prologue = 5, "the prologue has more steps than there are");
    broken(|p| p.prologue = 4, "kernel 1 of the prologue has rows of no constant size");
    broken(|p| p.prologue = 2, "m4 is prepared, but written at every call");
    broken(|p| p.steps.push(Step::Run(0)), "kernel 0 of the prologue runs again");
    broken(|p| p.steps[2] = Step::Combine { from: BufferId(3), into: BufferId(5) }, "the prologue writes to m5");
    broken(|p| p.buffers[4].dims.push(support::dim("N")), "`packed` is prepared, but its size is not constant");
}
