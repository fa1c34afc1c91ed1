//! Steps of training allocate nothing, once one was done; nor do calls of compiled models that write over their results.

#[path = "../runtime/tests/support/counting.rs"]
mod counting;

use std::sync::Arc;

use counting::allocations;
use indexmap::IndexMap;
use schur::train::{self, DataSet, Decay, Loss, Method, Schedule, Settings, Trainer};
use schur::{Array, CompileOptions, Data, Mode, Model, Source};

fn model() -> Model {
    let text = r#"
        name = "model"
        outputs = ["y"]
        inputs.x = { shape = ["N"], irreps = "4x0e + 4x1o" }
        inputs.species = { shape = ["N"], dtype = "i32" }
        layers = [
            { name = "mix", op = "linear", input = "x", irreps_out = "8x0e + 4x1o", weights = "species", num_indexed_weights = 3 },
            { name = "norm", op = "batch_norm", input = "mix" },
            { name = "hidden", op = "gate", input = "norm" },
            { name = "y", op = "linear", input = "hidden", irreps_out = "1o" },
        ]
    "#;
    Model::parse(&Source::new("model.toml", text).unwrap()).unwrap()
}

fn arrays(rows: usize) -> IndexMap<String, Array> {
    let floats = |width: usize| {
        let values = (0..rows * width).map(|k| (k * 7919 % 1000) as f32 / 500.0 - 1.0);
        Array::new([rows, width], Data::F32(values.collect())).unwrap()
    };
    let species = Array::new([rows], Data::I32((0..rows).map(|k| (k % 3) as i32).collect())).unwrap();
    IndexMap::from([("x".into(), floats(16)), ("species".into(), species), ("y".into(), floats(3))])
}

#[test]
fn steps_of_training_allocate_nothing() {
    let model = model();
    let layout = Arc::new(train::Layout::new(&model, "y").unwrap());
    for method in [Method::adam(), Method::Sgd { momentum: 0.9 }] {
        let set = |rows| DataSet::new(&layout, "data", &arrays(rows), "y").unwrap();
        let schedule = Schedule { rate: 1e-3, warmup: 0, decay: Decay::Constant };
        let settings = Settings {
            loss: Loss::Mse,
            method,
            schedule,
            clip: Some(1.0),
            epochs: 1,
            batch: 8,
            seed: 0,
            threads: None,
        };
        let mut trainer =
            Trainer::new(&model, model.init(0).unwrap(), settings, set(80), set(8), &CompileOptions::default())
                .unwrap();
        let mut step = || allocations(|| assert!(trainer.step().unwrap().ended.is_none()));
        assert!(step() > 0);
        assert_eq!((0..8).map(|_| step()).sum::<usize>(), 0);
    }
}

#[test]
fn calls_over_results_allocate_nothing() {
    let model = model();
    let params = model.init(0).unwrap();
    let mut compiled = model.compile(Mode::Train, &CompileOptions::default()).unwrap();
    let data = arrays(100);
    let inputs = [("species", data["species"].view()), ("x", data["x"].view())];
    let expected = compiled.run(inputs, &params).unwrap();
    let mut results = expected.clone();
    results.outputs["y"] = Array::zeros([100, 3], schur::DType::F32).unwrap();
    let mut call = || compiled.executor().call_over(&inputs, &params, &mut results).unwrap();
    call();
    assert_eq!(allocations(call), 0);
    assert_eq!(results, expected);
    let mut shorter = results.clone();
    shorter.outputs["y"] = Array::zeros([99, 3], schur::DType::F32).unwrap();
    let refused = compiled.executor().call_over(&inputs, &params, &mut shorter).unwrap_err();
    assert_eq!(refused.to_string(), "the output `y` has the shape [99, 3] where [100, 3] is wanted");
}

/// Two linears that are multiplied together where rows are many: a program for few rows and one for many.
#[test]
fn calls_of_changing_sizes_and_parameters_allocate_nothing() {
    let text = r#"
        name = "pair"
        outputs = ["y"]
        inputs.x = { shape = ["N"], irreps = "64x0e" }
        layers = [
            { name = "h", op = "linear", input = "x", irreps_out = "64x0e" },
            { name = "y", op = "linear", input = "h", irreps_out = "64x0e" },
        ]
    "#;
    let model = Model::parse(&Source::new("model.toml", text).unwrap()).unwrap();
    let mut params = model.init(0).unwrap();
    let mut compiled = model.compile(Mode::Infer, &CompileOptions::default()).unwrap();
    assert_eq!(compiled.ranges().len(), 2);
    let arrays = [1, 1000].map(|rows: usize| {
        let values = (0..rows * 64).map(|k| (k * 7919 % 1000) as f32 / 500.0 - 1.0);
        Array::new([rows, 64], Data::F32(values.collect())).unwrap()
    });
    let mut results = arrays.each_ref().map(|x| compiled.run([("x", x)], &params).unwrap());
    let mut call = |params: &schur::ParamStore| {
        for (x, results) in arrays.iter().zip(&mut results) {
            let inputs = [("x", x.view())];
            compiled.executor_for(&inputs).unwrap().call_over(&inputs, params, results).unwrap();
        }
    };
    assert_eq!(allocations(|| call(&params)), 0);
    let name = params.names().next().unwrap().to_owned();
    let changed = Array::zeros([64, 64], schur::DType::F32).unwrap();
    params.set(&name, changed).unwrap();
    assert_eq!(allocations(|| call(&params)), 0);
    assert!(results.iter().all(|results| results.outputs["y"].to_f64().iter().all(|y| *y == 0.0)));
}
