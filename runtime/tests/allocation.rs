//! Calls into the caller's arrays allocate nothing, once a call as large has been made.

#[path = "support/counting.rs"]
mod counting;
mod support;

use counting::allocations;
use schur_ir::ty::DType;
use schur_runtime::array::Array;
use support::{executor, model, store};

/// A call of so many rows: the allocations of this thread.
fn caller(threads: usize) -> impl FnMut(usize) -> usize {
    let mut executor = executor(model());
    executor.set_threads(threads);
    let store = store(executor.program());
    move |n: usize| {
        let (x, species) = (Array::zeros([n, 2], DType::F32).unwrap(), Array::zeros([n], DType::I32).unwrap());
        let (mut y, mut sum) = (x.clone(), Array::zeros([2, 1], DType::F32).unwrap());
        let inputs = [("x", x.view()), ("species", species.view())];
        let [y, sum] = [y.view_mut(), sum.view_mut()];
        let mut outputs = [
            (schur_ir::graph::OutputKind::Output, "y", y),
            (schur_ir::graph::OutputKind::Statistic, "batch_stats/norm/sum", sum),
        ];
        allocations(|| executor.call_into(&inputs, &store, &mut outputs).unwrap())
    }
}

#[test]
fn a_second_call_allocates_nothing() {
    let mut call = caller(1);
    assert!(call(1000) > 0);
    assert_eq!((call(1000), call(10), call(0)), (0, 0, 0));
    assert!(call(2000) > 0);
}

#[test]
fn nor_does_one_on_several_threads() {
    let mut call = caller(3);
    // Helpers are started when they are first of use.
    assert!((0..3).map(|_| call(300_000)).sum::<usize>() > 0);
    assert_eq!((0..10).map(|_| call(300_000)).sum::<usize>(), 0);
}
