//! The same bits: from call to call, from thread to thread, from process to process.

use std::thread;

use schur::{Array, CompileOptions, Data, Mode, Model, ParamStore};

use crate::cli::{Folder, printed};
use crate::levels::Arrays;

const SPEC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/specs/batch_norm.toml");

/// The inputs of a model for so many rows.
fn inputs(model: &Model, rows: usize) -> Arrays {
    let number = |k: usize| ((k * 2_654_435_761) % 1000) as f32 / 500.0 - 1.0;
    let of = |(name, ty): (String, schur::Type)| {
        let elements = rows * ty.width();
        let data = match ty.dtype {
            schur::DType::F64 => Data::F64((0..elements).map(|k| f64::from(number(k))).collect()),
            schur::DType::F32 => Data::F32((0..elements).map(number).collect()),
            schur::DType::I32 => Data::I32(vec![0; rows].into()),
            schur::DType::Bool => Data::Bool(vec![1; rows].into()),
        };
        let shape = if ty.dtype.is_float() { vec![rows, ty.width()] } else { vec![rows] };
        (name, Array::new(shape, data).unwrap())
    };
    let types = model.types(Mode::Train).unwrap();
    types.into_iter().filter(|(name, _)| model.spec().inputs.contains_key(name)).map(of).collect()
}

/// The bits of everything that a training call returns, compiled anew.
fn bits(model: &Model, inputs: &Arrays, params: &ParamStore) -> Vec<u64> {
    let mut compiled = model.compile(Mode::Train, &CompileOptions::default()).unwrap();
    let mut call = || {
        let given = inputs.iter().map(|(name, array)| (name.as_str(), array));
        let results = compiled.run(given, params).unwrap();
        let arrays: Vec<_> = results.outputs.values().chain(results.statistics.values()).map(Array::to_f64).collect();
        arrays.iter().flatten().map(|x| x.to_bits()).collect::<Vec<u64>>()
    };
    let first = call();
    assert_eq!(first, call(), "from call to call");
    first
}

#[test]
fn threads_compute_the_same_bits() {
    let model = Model::from_file(SPEC).unwrap();
    let params = model.init(0).unwrap();
    // More rows than one chunk has, and a number that no tile divides.
    let inputs = inputs(&model, 1237);
    let wanted = bits(&model, &inputs, &params);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(|| bits(&model, &inputs, &params))).collect();
        threads.into_iter().for_each(|thread| assert_eq!(thread.join().unwrap(), wanted));
    });
}

#[test]
fn processes_write_the_same_bytes() {
    let folder = Folder::new();
    let model = Model::from_file(SPEC).unwrap();
    let [params, data] = ["p.safetensors", "x.safetensors"].map(|name| folder.path(name));
    printed(&["init", SPEC, "--out", &params, "-q"]);
    crate::cli::write(&data, &inputs(&model, 1237));
    let files = ["a", "b"].map(|name| {
        let [out, stats] = ["y", "s"].map(|kind| folder.path(&format!("{name}_{kind}.safetensors")));
        let arguments = ["--params", &params, "--inputs", &data, "--outputs", &out, "--batch-stats", &stats, "--train"];
        printed(&[&["run", SPEC, "-q"], &arguments[..]].concat());
        [out, stats].map(|path| std::fs::read(path).unwrap())
    });
    assert_eq!(files[0], files[1]);
}
