//! Training: what is learnt, and that a run that was stopped ends with the same bits.

mod command;
#[cfg(unix)]
mod faults;
mod optimizers;

use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayD, s};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use schur::train::{DataSet, Decay, Layout, Loss, Method, Schedule, Settings, Trainer, order, training_graph};
use schur::{CompileOptions, DType, Mode, Model, ParamStore, Rotation, Source};
use schur_runtime::array::Array;
use schur_runtime::reference::{Evaluated, evaluate};

use crate::levels::{Arrays, compiled, distance};
use crate::specs::model;

/// Every kind of state: parameters, statistics, and an index.
const NETWORK: &str = r#"
name = "network"
dtype = "f64"
outputs = ["y", "hidden"]
inputs.x = { shape = ["N"], irreps = "4x0e + 2x1o" }
inputs.species = { shape = ["N"], dtype = "i32" }

[[layers]]
name = "embed"
op = "linear"
input = "x"
weights = "species"
num_indexed_weights = 3
irreps_out = "8x0e + 3x1o"

[[layers]]
name = "norm"
op = "batch_norm"
input = "embed"

[[layers]]
name = "hidden"
op = "gate"
input = "norm"

[[layers]]
name = "y"
op = "linear"
input = "hidden"
irreps_out = "1x0e + 1x1o"
"#;

const LOSSES: [Loss; 3] = [Loss::Mse, Loss::Mae, Loss::Huber { delta: 0.7 }];

fn network(dtype: DType) -> Model {
    model(&NETWORK.replace("\"f64\"", &format!("\"{dtype}\"")))
}

/// Rows of the network's data: its target is a linear function of `x`, equivariant too.
fn network_data(rows: usize, dtype: DType, seed: u64) -> Arrays {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let x = Array2::from_shape_fn((rows, 10), |_| rng.random_range(-1.0..1.0));
    let species = Array1::from_shape_fn(rows, |_| rng.random_range(0..3));
    let mut y = Array2::zeros((rows, 4));
    y.slice_mut(s![.., 0]).assign(&(&x.slice(s![.., 0]) - &x.slice(s![.., 2])));
    y.slice_mut(s![.., 1..]).assign(&(&x.slice(s![.., 4..7]) + &(2.0 * &x.slice(s![.., 7..]))));
    let float = |array: Array2<f64>| Array::from_f64(&array.into_dyn(), dtype);
    Arrays::from([("x".into(), float(x)), ("species".into(), Array::from(species)), ("y".into(), float(y))])
}

fn settings(loss: Loss, method: Method, rate: f64) -> Settings {
    let schedule = Schedule { rate, warmup: 0, decay: Decay::Constant };
    Settings { loss, method, schedule, clip: None, epochs: 3, batch: 16, seed: 5, threads: None }
}

fn trainer(model: &Model, settings: Settings, train: &Arrays, test: &Arrays) -> Trainer {
    let layout = Arc::new(Layout::new(model, "y").unwrap());
    let set = |name, arrays| DataSet::new(&layout, name, arrays, "y").unwrap();
    let params = model.init(0).unwrap();
    Trainer::new(model, params, settings, set("train", train), set("test", test), &CompileOptions::default()).unwrap()
}

fn finish(mut trainer: Trainer) -> Trainer {
    while !trainer.is_done() {
        trainer.step().unwrap();
    }
    trainer
}

/// The inputs of a training graph.
fn step_inputs(arrays: &Arrays, dtype: DType) -> Arrays {
    let mut inputs = arrays.clone();
    let y = inputs.swap_remove("y").unwrap();
    inputs.insert("target/y".into(), y);
    inputs.insert("cotangent/loss".into(), Array::from_f64(&ArrayD::ones(vec![1]), dtype));
    inputs
}

fn params_of(store: &ParamStore) -> Arrays {
    store.iter().map(|(name, array)| (name.to_owned(), array.clone())).collect()
}

/// Sets for another output, or for another model with arrays of the same names, would be trained on in silence.
#[test]
fn sets_are_of_the_model_that_is_trained() {
    let model = network(DType::F64);
    let data = network_data(16, DType::F64, 0);
    let set = |model: &Model, target: &str| {
        DataSet::new(&Arc::new(Layout::new(model, target).unwrap()), "the set", &data, target)
    };
    let other = crate::specs::model(&NETWORK.replace("2x1o\" }", "1x1o + 1x1e\" }"));
    let train = |train: DataSet, test: DataSet| {
        let settings = settings(Loss::Mse, Method::adam(), 1e-3);
        let trainer = Trainer::new(&model, model.init(0).unwrap(), settings, train, test, &CompileOptions::default());
        trainer.map(drop).map_err(|error| error.to_string())
    };
    let own = || set(&model, "y").unwrap();
    let refused = "the set: it is laid out for another model, or for another output than the training set";
    assert_eq!(train(own(), own()), Ok(()));
    assert_eq!(train(own(), set(&other, "y").unwrap()), Err(refused.to_owned()));
    assert_eq!(train(set(&other, "y").unwrap(), own()), Err(refused.to_owned()));
}

#[test]
fn losses_are_means_of_optaxs() {
    let text = r#"
        name = "same"
        dtype = "f64"
        outputs = ["y"]
        inputs.x = { shape = ["N"], irreps = "1x0e" }
        [[layers]]
        name = "y"
        op = "filter"
        input = "x"
        keep = ["0e"]
    "#;
    let graph = model(text).graph(Mode::Train).unwrap();
    let x = Array::from(ndarray::arr2(&[[-2.0], [0.5], [1.0], [1.2], [3.0]]));
    let y = Array::from(Array2::<f64>::ones((5, 1)));
    let inputs = step_inputs(&Arrays::from([("x".into(), x), ("y".into(), y)]), DType::F64);
    // The differences are -3, -0.5, 0, 0.2, 2.
    for (loss, wanted) in LOSSES.into_iter().zip([13.29 / 5.0, 5.7 / 5.0, 3.155 / 5.0]) {
        let graph = training_graph(&graph, "y", loss).unwrap();
        for found in [evaluate(&graph, &inputs, &Arrays::new()).unwrap(), compiled(&graph, &inputs, &Arrays::new())] {
            let found = found.outputs["loss"].sum();
            assert!((found - wanted).abs() < 1e-12, "{loss:?}: {found} is not {wanted}");
        }
    }
}

#[test]
fn gradients_of_losses_are_slopes_and_compiled_ones_the_same() {
    let model = network(DType::F64);
    let inputs = step_inputs(&network_data(40, DType::F64, 1), DType::F64);
    let params = params_of(&model.init(3).unwrap());
    for loss in LOSSES {
        let graph = training_graph(&model.graph(Mode::Train).unwrap(), "y", loss).unwrap();
        let evaluated = evaluate(&graph, &inputs, &params).unwrap();
        let value = |name: &str, place: usize, step: f64| {
            let mut params = params.clone();
            let mut array = params[name].to_f64();
            array.as_slice_mut().unwrap()[place] += step;
            params[name] = Array::from_f64(&array, DType::F64);
            evaluate(&graph, &inputs, &params).unwrap().outputs["loss"].sum()
        };
        assert_eq!(evaluated.gradients.len(), params.keys().filter(|name| name.starts_with("params/")).count());
        for (name, gradient) in &evaluated.gradients {
            let place = gradient.len() / 2;
            let slope = (value(name, place, 1e-6) - value(name, place, -1e-6)) / 2e-6;
            let found = gradient.as_slice().unwrap()[place];
            assert!((found - slope).abs() < 1e-6, "{loss:?}, {name}: {found} is not {slope}");
        }
        let code = compiled(&graph, &inputs, &params);
        check_same(&code, &evaluated);
    }
}

fn check_same(found: &Evaluated, wanted: &Evaluated) {
    let kinds = [
        (&found.outputs, &wanted.outputs),
        (&found.statistics, &wanted.statistics),
        (&found.gradients, &wanted.gradients),
    ];
    for (found, wanted) in kinds {
        let (apart, name) = distance(found, wanted);
        assert!(apart < 1e-10, "`{name}` is off by {apart}");
    }
}

#[test]
fn a_linear_regression_is_learnt() {
    let text = r#"
        name = "line"
        outputs = ["y"]
        inputs.x = { shape = ["N"], irreps = "4x0e + 2x1o" }
        [[layers]]
        name = "y"
        op = "linear"
        input = "x"
        irreps_out = "1x0e + 1x1o"
    "#;
    let model = model(text);
    let (train, test) = (network_data(128, DType::F32, 1), network_data(32, DType::F32, 2));
    let methods = [(Method::Sgd { momentum: 0.9 }, 0.2), (Method::adam(), 0.05), (Method::adamw(1e-6), 0.05)];
    for (loss, (method, rate)) in LOSSES.into_iter().flat_map(|loss| methods.map(|method| (loss, method))) {
        let schedule = Schedule { rate, warmup: 5, decay: Decay::Cosine };
        let settings = Settings { schedule, epochs: 40, clip: Some(5.0), ..settings(loss, method, rate) };
        let trainer = finish(trainer(&model, settings, &train, &test));
        let error = trainer.epochs()[39].error;
        assert!(trainer.untrained_error() > 0.5 && error < 0.03, "{loss:?} by {method:?}: {error}");
        assert_eq!(trainer.steps_done(), 40 * 8);
    }
}

#[test]
fn the_network_learns_and_stays_equivariant() {
    let (train, test) = (network_data(256, DType::F32, 1), network_data(64, DType::F32, 2));
    let settings = Settings { epochs: 20, ..settings(Loss::Mse, Method::adam(), 0.02) };
    let mut trainer = finish(trainer(&network(DType::F32), settings, &train, &test));
    let (error, rotated) = (
        trainer.test_error().unwrap(),
        trainer.rotated_error(Rotation::from_quaternion([1.0, -2.0, 0.3, 0.7]).inverted()),
    );
    let rotated = rotated.unwrap();
    assert!(error < 0.25 * trainer.untrained_error(), "{error} of {}", trainer.untrained_error());
    assert!((error - rotated).abs() < 1e-5, "{error} becomes {rotated}");
}

#[test]
fn a_run_that_was_stopped_ends_with_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).with_extension("safetensors");
    let (train, test) = (network_data(100, DType::F32, 1), network_data(20, DType::F32, 2));
    let model = network(DType::F32);
    for method in [Method::Sgd { momentum: 0.5 }, Method::adamw(0.01)] {
        let settings = Settings { clip: Some(0.5), ..settings(Loss::Huber { delta: 0.3 }, method, 0.02) };
        let new = || trainer(&model, settings, &train, &test);
        finish(new()).save(&path("whole")).unwrap();
        let wanted = std::fs::read(path("whole")).unwrap();
        // In the first epoch, at the end of one, and in a later one: an epoch has six steps.
        for stop in [0, 4, 6, 15] {
            let mut stopped = new();
            for _ in 0..stop {
                stopped.step().unwrap();
            }
            stopped.save(&path("part")).unwrap();
            drop(stopped);
            let mut resumed = new();
            resumed.resume(&path("part")).unwrap();
            assert_eq!(resumed.steps_done(), stop);
            finish(resumed).save(&path("resumed")).unwrap();
            assert!(std::fs::read(path("resumed")).unwrap() == wanted, "stopped after {stop} steps");
        }
    }
}

#[test]
fn a_run_is_resumed_with_its_own_settings_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    let (train, test) = (network_data(40, DType::F32, 1), network_data(20, DType::F32, 2));
    let model = network(DType::F32);
    let of = |settings| trainer(&model, settings, &train, &test);
    let saved = settings(Loss::Mse, Method::adam(), 0.01);
    of(saved).save(&path).unwrap();
    let refused = |settings| of(settings).resume(&path).unwrap_err().to_string().split_once(": ").unwrap().1.to_owned();
    assert_eq!(refused(Settings { seed: 6, ..saved }), "its --seed is 5, and 6 here");
    assert_eq!(refused(Settings { clip: Some(1.0), ..saved }), "its --clip is not given, and 1 here");
    assert_eq!(refused(Settings { loss: Loss::Mae, ..saved }), "its --loss is mse, and mae here");
    let huber = Loss::Huber { delta: 0.5 };
    assert_eq!(refused(Settings { loss: huber, ..saved }), "its --loss is mse, and huber with --huber-delta 0.5 here");
    let sgd = Method::Sgd { momentum: 0.0 };
    assert_eq!(refused(Settings { method: sgd, ..saved }), "its --optimizer is adam, and sgd with --momentum 0 here");
    let schedule = Schedule { decay: Decay::Cosine, ..saved.schedule };
    assert_eq!(refused(Settings { schedule, ..saved }), "its --schedule is constant, and cosine over 3 epochs here");
    let other_rows = trainer(&model, saved, &network_data(40, DType::F32, 3), &test).resume(&path).unwrap_err();
    assert!(other_rows.to_string().ends_with(": its --data held other numbers"), "{other_rows}");
    of(Settings { epochs: 9, ..saved }).resume(&path).unwrap();
    let whole = schur::checkpoint::read(&path).unwrap();
    let mut lacking = whole.clone();
    let moment = whole.keys().find(|name| name.starts_with("optimizer/mu/")).unwrap();
    lacking.swap_remove(moment);
    schur::checkpoint::write(&path, lacking.iter().map(|(name, array)| (name.as_str(), array))).unwrap();
    assert!(refused(saved).starts_with("under `optimizer/mu/`, the parameter `params/"));
    // What a run saves is parameters for a call, too.
    let params = of(saved).params().clone();
    let compiled = model.compile(Mode::Infer, &CompileOptions::default()).unwrap();
    assert_eq!(compiled.params(schur::checkpoint::read(&path).unwrap()).unwrap(), params);
    schur::checkpoint::write(&path, params.iter()).unwrap();
    assert_eq!(refused(saved), "it holds no run of training");
    // As floats, these seeds are one.
    let large = |seed| Settings { seed, ..saved };
    of(large(u64::MAX)).save(&path).unwrap();
    assert_eq!(refused(large(u64::MAX - 2)), "its --seed is 18446744073709551615, and 18446744073709551613 here");
    of(large(u64::MAX)).resume(&path).unwrap();
}

/// The network, as a program might write it.
const NETWORK_AS_JSON: &str = r#"{
    "layers": [
        {"irreps_out": "8x0e+3x1o", "num_indexed_weights": 3, "weights": "species", "input": "x", "op": "linear", "name": "embed"},
        {"eps": 1e-4, "op": "batch_norm", "name": "norm", "input": ["embed"]},
        {"name": "hidden", "op": "gate", "input": "norm"},
        {"name": "y", "op": "linear", "input": "hidden", "irreps_out": "0e + 1o", "biases": false}
    ],
    "inputs": {"x": {"irreps": "4x0e+2x1o", "shape": ["N"]}, "species": {"dtype": "i32", "shape": ["N"]}},
    "outputs": ["y"], "dtype": "f64", "name": "another name"
}"#;

#[test]
fn a_run_is_resumed_with_its_own_spec_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    let (train, test) = (network_data(40, DType::F64, 1), network_data(20, DType::F64, 2));
    let of = |model: &Model| trainer(model, settings(Loss::Mse, Method::adam(), 0.01), &train, &test);
    of(&model(NETWORK)).save(&path).unwrap();
    of(&model(&NETWORK.replace("op = ", "# What it is.\nop = "))).resume(&path).unwrap();
    of(&Model::parse(&Source::new("spec.json", NETWORK_AS_JSON).unwrap()).unwrap()).resume(&path).unwrap();

    let refused = |text: &str| {
        let refusal = of(&model(text)).resume(&path).unwrap_err().to_string();
        refusal.split_once(" cannot be resumed: ").unwrap().1.to_owned()
    };
    let with = |line: &str, more: &str| refused(&NETWORK.replace(line, &format!("{line}\n{more}")));
    assert_eq!(with("op = \"batch_norm\"", "eps = 1e-3"), "the layer `norm` is another in its spec");
    // Steps are the same, the errors of the test set are not.
    let average = "use_running_average = false";
    assert_eq!(with("op = \"batch_norm\"", average), "the layer `norm` is another in its spec");
    assert_eq!(with("op = \"gate\"", "even_act = \"tanh\""), "the layer `hidden` is another in its spec");
    assert_eq!(with("irreps_out = \"1x0e + 1x1o\"", "biases = true"), "the layer `y` is another in its spec");
    let config = |line: &str| NETWORK.replace("inputs.x", &format!("config.{line}\ninputs.x"));
    let gradient = config("gradient_normalization = \"element\"");
    assert_eq!(refused(&gradient), "the layer `embed` is another in its spec");
    // Every output is one term, which is normalised so by either.
    of(&model(&config("path_normalization = \"path\""))).resume(&path).unwrap();
    let lost = "its spec has the layer `hidden`, and this one has not";
    assert_eq!(refused(&NETWORK.replace("hidden", "gated")), lost);
    let more = format!("{NETWORK}\n[[layers]]\nname = \"more\"\nop = \"filter\"\ninput = \"hidden\"\nlmax = 0");
    assert_eq!(refused(&more), "its spec lacks the layer `more`");

    let whole = schur::checkpoint::read(&path).unwrap();
    let untold = whole.iter().filter(|(name, _)| !name.starts_with("settings/input:"));
    let untold = untold.filter(|(name, _)| !name.starts_with("settings/layer:"));
    schur::checkpoint::write(&path, untold.map(|(name, array)| (name.as_str(), array))).unwrap();
    assert_eq!(refused(NETWORK), "it does not tell its spec");
}

#[test]
fn a_run_is_resumed_for_its_own_target_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    let (model, mut data) = (network(DType::F32), network_data(40, DType::F32, 1));
    data.insert("hidden".into(), Array::from(Array2::<f32>::zeros((40, 14))));
    let of = |target| {
        let layout = Arc::new(Layout::new(&model, target).unwrap());
        let set = || DataSet::new(&layout, "set", &data, target).unwrap();
        let settings = settings(Loss::Mse, Method::adam(), 0.01);
        Trainer::new(&model, model.init(0).unwrap(), settings, set(), set(), &CompileOptions::default()).unwrap()
    };
    of("y").save(&path).unwrap();
    of("y").resume(&path).unwrap();
    let refused = of("hidden").resume(&path).unwrap_err().to_string();
    assert!(refused.ends_with(": its --target is y, and hidden here"), "{refused}");
}

#[test]
fn every_epoch_has_an_order_of_its_own() {
    let orders: Vec<Vec<usize>> = (0..4).map(|k| order(k % 2, k / 2, 500)).collect();
    for (k, order) in orders.iter().enumerate() {
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..500));
        assert!(orders[..k].iter().all(|other| other != order));
        let fixed = order.iter().enumerate().filter(|(place, row)| place == *row).count();
        assert!(fixed < 10, "{fixed} rows stay");
    }
    assert_eq!(order(7, 3, 500), order(7, 3, 500));
    assert_eq!(order(0, 0, 1), [0]);
}

#[test]
fn a_run_that_diverges_says_so_and_keeps_its_parameters() {
    let (train, test) = (network_data(40, DType::F32, 1), network_data(20, DType::F32, 2));
    let settings = settings(Loss::Mse, Method::Sgd { momentum: 0.0 }, 1e30);
    let mut trainer = trainer(&network(DType::F32), settings, &train, &test);
    let error = loop {
        match trainer.step() {
            Ok(_) => {}
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.starts_with("training diverged: the "), "{error}");
    let before = trainer.params().clone();
    assert!(trainer.step().is_err());
    assert_eq!(trainer.params(), &before);
}
