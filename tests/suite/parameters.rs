//! Compiled models give what their parameters of the moment say, whatever was called before: what is computed from
//! parameters alone is kept from call to call.

use schur::spec::{batch_norm, gate, linear};
use schur::{Array, CompileOptions, CompiledModel, Data, Mode, Model, ParamStore, Pass, SpecBuilder};
use schur_ir::program::BufferKind;
use schur_runtime::view::{ArrayViewMut, ElementsMut};

/// Chunks that are packed, weights that are transposed for gradients, and statistics that become scales.
fn block() -> SpecBuilder {
    SpecBuilder::new("block")
        .input("x", ["N"], "8x0e + 8x1o + 8x0e + 8x1o")
        .layer("mix", linear("x", "8x0e + 8x1o + 16x0e").simplify_irreps_internally(false))
        .layer("norm", batch_norm("mix"))
        .layer("hidden", gate("norm"))
        .layer("y", linear("hidden", "8x0e + 8x1o"))
        .outputs(["y"])
}

/// Two linears that are multiplied together for many rows alone.
fn pair() -> SpecBuilder {
    SpecBuilder::new("pair")
        .input("x", ["N"], "64x0e")
        .layer("h", linear("x", "64x0e"))
        .layer("y", linear("h", "64x0e"))
        .outputs(["y"])
}

fn arrays(compiled: &CompiledModel, rows: usize) -> Vec<(String, Array)> {
    let program = compiled.program();
    let slots = program.inputs.iter().map(|slot| {
        let width = program.buffers[slot.buffer.index()].width;
        let values = (0..rows * width).map(|k| ((k * 37 + 11) % 101) as f32 / 50.0 - 1.0);
        let array = Array::new([rows, width], Data::F32(values.collect()));
        (slot.name.to_string(), array.unwrap_or_else(|e| panic!("{e}")))
    });
    slots.collect()
}

/// The bits of all that a call returns.
fn bits(compiled: &mut CompiledModel, params: &ParamStore, rows: usize) -> Vec<u64> {
    let inputs = arrays(compiled, rows);
    let views = inputs.iter().map(|(name, array)| (name.as_str(), array));
    let results = compiled.run(views, params).unwrap_or_else(|e| panic!("{e}"));
    let arrays = [results.outputs, results.statistics, results.gradients].into_iter().flatten();
    arrays.flat_map(|(_, array)| array.to_f64().iter().map(|x| x.to_bits()).collect::<Vec<_>>()).collect()
}

fn check(spec: SpecBuilder, mode: Mode, pass: &Pass) {
    let model = Model::new(spec).unwrap_or_else(|e| panic!("{e}"));
    let compiled = model.compile_observed(pass, mode, &CompileOptions::default(), &mut |_| {});
    let kept = &mut compiled.unwrap_or_else(|e| panic!("{e}"));
    let prepared = kept.program().buffers.iter().filter(|buffer| buffer.kind == BufferKind::Prepared);
    assert!(prepared.count() > 0, "{mode:?}, {pass:?}: nothing is prepared");
    let stores = [1, 2].map(|seed| model.init(seed).unwrap_or_else(|e| panic!("{e}")));
    let names: Vec<String> = stores[0].names().map(str::to_owned).collect();
    let mut store = stores[0].clone();
    // Both stores in turn, few rows and many, while one of them changes, an element at a time.
    for (k, name) in names.iter().enumerate() {
        for params in [&store, &stores[1], &stores[0]] {
            for rows in [2, 200, 1] {
                let found = bits(kept, params, rows);
                assert!(found == bits(kept, params, rows), "{mode:?}, {pass:?}: two calls differ");
                let wanted = bits(&mut kept.clone(), params, rows);
                assert!(found == wanted, "{mode:?}, {pass:?}, {rows} rows, change {k}");
            }
        }
        let before = bits(kept, &store, 2);
        match store.get_mut(name).map(ArrayViewMut::into_elements) {
            Ok(ElementsMut::F32(elements)) => elements[0] += 0.25,
            other => panic!("{other:?}"),
        }
        assert!(before != bits(kept, &store, 2), "{mode:?}, {pass:?}: `{name}` is not seen");
    }
}

#[test]
fn the_parameters_of_every_call_are_seen() {
    for pass in &[Pass::Forward, Pass::Joint, Pass::Gradients(vec!["x".into()])] {
        for mode in [Mode::Infer, Mode::Train] {
            check(block(), mode, pass);
        }
        check(pair(), Mode::Infer, pass);
    }
}
