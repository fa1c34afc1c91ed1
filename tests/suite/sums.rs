//! Sums over rows, for numbers of rows that make one tile, several, and several chunks: the first tile of a chunk may set
//! what the others add to.

use std::sync::Arc;

use schur::spec::{SpecBuilder, linear};
use schur::{Array, CompileOptions, Data, Mode, Model};
use schur_compiler::loops::{LoopOptions, lower};
use schur_ir::program::Step;
use schur_runtime::executor::Executor;
use schur_runtime::view::ArrayView;

use crate::levels::{Arrays, check_every_level};
use crate::random_graph::random_arrays;

/// Whole vectors and tails, components and scalars.
fn model() -> Model {
    let spec = SpecBuilder::new("mix").input("x", ["N"], "17x0e + 16x1o + 5x2e");
    Model::new(spec.layer("y", linear("x", "16x0e + 33x1o + 8x2e")).outputs(["y"])).unwrap()
}

/// The arrays of a call over so many rows.
fn arrays(model: &Model, rows: usize) -> (Arrays, Arrays) {
    random_arrays(&model.joint(Mode::Infer).unwrap(), &[("N".into(), rows)].into(), 7)
}

#[test]
fn gradients_of_weights_agree_at_every_level_for_any_number_of_tiles_and_chunks() {
    let model = model();
    let graph = model.joint(Mode::Infer).unwrap();
    for rows in [0, 1, 23, 24, 97, 191, 193, 400, 1000] {
        let arrays = arrays(&model, rows);
        check_every_level(&format!("{rows} rows"), &graph, &arrays, 2e-5);
    }
}

#[test]
fn sums_that_micro_kernels_begin_are_not_filled() {
    let loops = lower(&model().joint(Mode::Infer).unwrap(), &LoopOptions::default()).unwrap();
    assert_eq!(loops.steps.iter().filter(|step| matches!(step, Step::Begin(_))).count(), 3);
    assert!(!loops.steps.iter().any(|step| matches!(step, Step::Fill(..))), "{loops}");
}

#[test]
fn wide_products_have_the_same_bits_for_any_number_of_threads() {
    let spec = SpecBuilder::new("wide").input("x", ["N"], "400x0e");
    let model = Model::new(spec.layer("y", linear("x", "400x0e")).outputs(["y"])).unwrap();
    let params = model.init(0).unwrap();
    let program = Arc::clone(model.compile_joint(Mode::Infer, &CompileOptions::default()).unwrap().program());
    // The output and both gradients, of which that of the weights has chunks of more rows than others.
    let kernels = program.kernels.iter().filter(|kernel| kernel.rows.constant().is_none());
    let mut chunks: Vec<usize> = kernels.map(|kernel| kernel.chunk).collect();
    chunks.sort_unstable();
    assert_eq!(chunks, [96, 96, 156]);
    let (inputs, _) = arrays(&model, 700);
    let views: Vec<(&str, ArrayView<'_>)> = inputs.iter().map(|(name, array)| (&**name, array.view())).collect();
    let [one, two, three] = [1, 2, 3].map(|threads| {
        let mut executor = Executor::new(Arc::clone(&program)).unwrap();
        executor.set_threads(threads);
        // Threads share rows once it is known what they take.
        (0..3).map(|_| executor.call(&views, &params).unwrap()).last().unwrap()
    });
    assert!(one == two && one == three);
}

#[test]
fn what_arrays_held_before_does_not_show_in_sums() {
    let model = model();
    let params = model.init(0).unwrap();
    let compiled = model.compile_joint(Mode::Infer, &CompileOptions::default()).unwrap();
    let mut used = Executor::new(Arc::clone(compiled.program())).unwrap();
    // Large before small: partial sums of earlier calls are left in the arena.
    for rows in [1000, 400, 193, 191, 24, 1, 0] {
        let (inputs, _) = arrays(&model, rows);
        let views: Vec<(&str, ArrayView<'_>)> = inputs.iter().map(|(name, array)| (&**name, array.view())).collect();
        let wanted = Executor::new(Arc::clone(compiled.program())).unwrap().call(&views, &params).unwrap();
        let mut found = wanted.clone();
        for array in found.outputs.values_mut().chain(found.gradients.values_mut()) {
            let nans = vec![f32::NAN; array.shape().iter().product()];
            *array = Array::new(array.shape().to_vec(), Data::F32(nans.into())).unwrap();
        }
        used.call_over(&views, &params, &mut found).unwrap();
        assert_eq!(found, wanted, "{rows} rows");
    }
}
