//! What a call and an executor refuse, and how they say it.

mod support;

use schur_ir::graph::{OutputKind, Requirement};
use schur_ir::program::{BufferId, BufferKind, Parts, Step};
use schur_ir::ty::DType;
use schur_runtime::array::{Array, Data};
use schur_runtime::executor::{Executor, OutputView};
use schur_runtime::store::ParamStore;
use schur_runtime::view::{ArrayView, Elements};
use support::{buffer, dim, executor, input, model, store};

fn zeros(shape: &[usize], dtype: DType) -> Array {
    Array::zeros(shape, dtype).unwrap()
}

/// The message of a call with these inputs; none where it succeeds.
fn refusal(program: Parts, inputs: &[(&str, &Array)]) -> Option<String> {
    let mut executor = executor(program);
    let store = store(executor.program());
    let inputs: Vec<_> = inputs.iter().map(|(name, array)| (*name, array.view())).collect();
    executor.call(&inputs, &store).err().map(|error| error.to_string())
}

#[track_caller]
fn refuses(inputs: &[(&str, &Array)], message: &str) {
    assert_eq!(refusal(model(), inputs).as_deref(), Some(message));
}

#[test]
fn names_of_inputs() {
    let (x, species) = (&zeros(&[3, 2], DType::F32), &zeros(&[3], DType::I32));
    assert_eq!(refusal(model(), &[("x", x), ("species", species)]), None);
    refuses(
        &[("x", x), ("speices", species)],
        "the input `speices` is not one of the model's; did you mean `species`?",
    );
    refuses(&[("x", x), ("species", species), ("temperature", x)], "the input `temperature` is not one of the model's");
    refuses(&[("species", species)], "the input `x` is missing");
    refuses(&[("x", x), ("species", species), ("x", x)], "the input `x` is given twice");
}

#[test]
fn types_and_shapes_of_inputs() {
    let (x, species) = (&zeros(&[7, 2], DType::F32), &zeros(&[7], DType::I32));
    let with_x = |x: &Array, message: &str| refuses(&[("x", x), ("species", species)], message);
    with_x(&zeros(&[7, 2], DType::F64), "the input `x` is f64 where f32 is wanted");
    with_x(&zeros(&[7], DType::F32), "the input `x` has the shape [7] where [N, 2] is wanted");
    with_x(&zeros(&[1, 7, 2], DType::F32), "the input `x` has the shape [1, 7, 2] where [N, 2] is wanted");
    with_x(&zeros(&[7, 3], DType::F32), "the input `x` has 3 elements on its last axis where its irreps have 2");
    let other = &zeros(&[9], DType::I32);
    refuses(&[("x", x), ("species", other)], "`N` is 7 in `x` but 9 in `species`");
    refuses(&[("species", other), ("x", x)], "`N` is 9 in `species` but 7 in `x`");
    let tall = &zeros(&[7, 1], DType::I32);
    refuses(&[("x", x), ("species", tall)], "the input `species` has the shape [7, 1] where [N] is wanted");
}

/// The model with one more input.
fn with_input(dims: &[&str], dtype: DType) -> Parts {
    let mut program = model();
    program.inputs.push(input("extra", 8));
    program.buffers.push(buffer("extra", dims, 1, dtype, BufferKind::Input));
    program
}

fn with_extra(program: Parts, extra: Array) -> Option<String> {
    let (x, species) = (&zeros(&[3, 2], DType::F32), &zeros(&[3], DType::I32));
    refusal(program, &[("x", x), ("species", species), ("extra", &extra)])
}

#[track_caller]
fn says(got: Option<String>, message: &str) {
    assert_eq!(got.as_deref(), Some(message));
}

#[test]
fn sizes_that_are_more_than_a_symbol() {
    let fixed = || with_input(&["4", "N"], DType::I32);
    assert_eq!(with_extra(fixed(), zeros(&[4, 3], DType::I32)), None);
    says(
        with_extra(fixed(), zeros(&[5, 3], DType::I32)),
        "the input `extra` has the shape [5, 3] where [4, N] is wanted",
    );
    let mut twice = with_input(&["N"], DType::F32);
    twice.buffers[8].dims = vec![dim("N").plus(&dim("N"))];
    assert_eq!(with_extra(twice.clone(), zeros(&[6, 1], DType::F32)), None);
    says(
        with_extra(twice, zeros(&[7, 1], DType::F32)),
        "the input `extra` has the shape [7, 1] where [2*N = 6, 1] is wanted",
    );
    says(
        with_extra(with_input(&["M", "M"], DType::I32), zeros(&[2, 3], DType::I32)),
        "`M` is 2 in `extra` but 3 in `extra`",
    );
}

#[test]
fn indices_out_of_range() {
    let x = &zeros(&[3, 2], DType::F32);
    let species = |values: [i32; 3]| Array::new([3], Data::I32(values.to_vec().into())).unwrap();
    refuses(
        &[("x", x), ("species", &species([0, 3, 4]))],
        "the index 4 at [2] of `species` is not in 0..4 (layer `mix`)",
    );
    refuses(
        &[("x", x), ("species", &species([0, -1, 4]))],
        "the index -1 at [1] of `species` is not in 0..4 (layer `mix`)",
    );
    let mut program = with_input(&["2", "N"], DType::I32);
    program.requirements.push(Requirement::IndexBelow { input: "extra".into(), bound: 2, layer: "other".into() });
    let extra = Array::new([2, 3], Data::I32(vec![0, 1, 1, 0, 1, 2].into())).unwrap();
    says(with_extra(program, extra), "the index 2 at [1, 2] of `extra` is not in 0..2 (layer `other`)");
}

#[test]
fn masks_and_empty_batches() {
    let mut program = with_input(&["N"], DType::Bool);
    program.requirements.push(Requirement::AnyTrue { input: "extra".into(), layer: "norm".into() });
    says(
        with_extra(program.clone(), zeros(&[3], DType::Bool)),
        "no element of the mask `extra` is true (layer `norm`)",
    );
    let mut executor = executor(program);
    let (x, species) = (zeros(&[3, 2], DType::F32), zeros(&[3], DType::I32));
    let mask = ArrayView::new(&[3], Elements::Bool(&[1, 0, 7])).unwrap();
    let inputs = [("x", x.view()), ("species", species.view()), ("extra", mask)];
    let store = store(executor.program());
    let error = executor.call(&inputs, &store).unwrap_err();
    assert_eq!(error.to_string(), "the input `extra` is a mask but holds 7 at [2]");

    let mut program = model();
    program.requirements.push(Requirement::NotEmpty { dims: vec![dim("5"), dim("N")], layer: "norm".into() });
    let (x, species) = (&zeros(&[0, 2], DType::F32), &zeros(&[0], DType::I32));
    says(
        refusal(program, &[("x", x), ("species", species)]),
        "`N` is 0, and statistics of no rows do not exist (layer `norm`)",
    );
}

#[test]
fn stores_of_another_model() {
    let mut executor = executor(model());
    let (x, species) = (zeros(&[3, 2], DType::F32), zeros(&[3], DType::I32));
    let inputs = [("x", x.view()), ("species", species.view())];
    let error = executor.call(&inputs, &ParamStore::default()).unwrap_err();
    assert_eq!(error.to_string(), "the parameter `params/mix/w` is missing");
    let mut other = model();
    other.params[1].param.shape = vec![2];
    let error = executor.call(&inputs, &store(&other)).unwrap_err();
    assert_eq!(error.to_string(), "the parameter `batch_stats/norm/sum` has the shape [2] where [2, 1] is wanted");
    other.params[1].param.shape = vec![2, 1];
    other.dtype = DType::F64;
    let error = store(&other).check(executor.program()).unwrap_err();
    assert_eq!(error.to_string(), "the parameter `params/mix/w` is f64 where f32 is wanted");
    other.dtype = DType::F32;
    other.params[0].param.name = "params/mix/v".into();
    let error = store(&other).check(executor.program()).unwrap_err();
    assert_eq!(error.to_string(), "the model has no parameter `params/mix/v`; did you mean `params/mix/w`?");
}

#[test]
fn a_refused_call_writes_nothing() {
    let mut executor = executor(model());
    let store = store(executor.program());
    let (x, species) = (zeros(&[3, 2], DType::F32), Array::new([3], Data::I32(vec![0, 1, 2].into())).unwrap());
    let inputs = [("x", x.view()), ("species", species.view())];
    let nines = |shape: &[usize]| Array::new(shape, Data::F32(vec![9.0; shape.iter().product()].into())).unwrap();
    let (mut y, mut sum) = (nines(&[3, 2]), nines(&[2]));
    let (out, statistic, name) = (OutputKind::Output, OutputKind::Statistic, "batch_stats/norm/sum");
    let mut refuse = |views: &mut [OutputView<'_>], message: &str| {
        assert_eq!(executor.call_into(&inputs, &store, views).unwrap_err().to_string(), message);
    };
    refuse(
        &mut [(out, "y", y.view_mut()), (statistic, name, sum.view_mut())],
        "the statistic `batch_stats/norm/sum` has the shape [2] where [2, 1] is wanted",
    );
    refuse(&mut [(out, "y", y.view_mut())], "the statistic `batch_stats/norm/sum` is missing");
    refuse(&mut [(out, name, sum.view_mut())], "the output `batch_stats/norm/sum` is not one of the model's");
    refuse(&mut [(out, "y", y.view_mut()), (out, "y", sum.view_mut())], "the output `y` is given twice");
    let mut wide = zeros(&[2, 1], DType::F64);
    refuse(
        &mut [(out, "y", y.view_mut()), (statistic, name, wide.view_mut())],
        "the statistic `batch_stats/norm/sum` is f64 where f32 is wanted",
    );
    assert_eq!((y, sum), (nines(&[3, 2]), nines(&[2])));
}

#[test]
fn sizes_beyond_memory() {
    let mut program = model();
    program.buffers[0].width = 0;
    program.buffers[1] = buffer("species", &["1"], 1, DType::I32, BufferKind::Input);
    let call = |program: Parts, n: usize| {
        let mut executor = executor(program);
        // Every thread has scratch of its own.
        executor.set_threads(1);
        executor.limit_memory(usize::MAX);
        let store = store(executor.program());
        let (shape, species) = ([n, 0], zeros(&[1], DType::I32));
        let x = ArrayView::new(&shape, Elements::F32(&[])).unwrap();
        executor.call(&[("x", x), ("species", species.view())], &store).unwrap_err().to_string()
    };
    assert_eq!(call(program.clone(), 1 << 62), "the array `t` does not fit in memory");
    assert_eq!(call(program.clone(), usize::MAX), "the size N does not fit in memory");
    assert_eq!(
        call(program.clone(), 1 << 52),
        format!("the memory of all temporaries ({} bytes) does not fit in memory", (1u64 << 55) + 64 + 128)
    );
    program.buffers[3].dims.clear();
    assert_eq!(call(program.clone(), 1 << 52), "the output `y` of shape [4503599627370496, 2] does not fit in memory");
    program.kernels[0].rows = dim("N").times(&dim("N"));
    assert_eq!(call(program, 1 << 52), "the size N*N does not fit in memory");
}

#[test]
fn programs_that_contradict_themselves() {
    #[track_caller]
    fn broken(change: impl FnOnce(&mut Parts), rule: &str) {
        let mut program = model();
        change(&mut program);
        let error = Executor::new(support::program(program)).unwrap_err();
        assert_eq!(error.to_string(), format!("the program `test` is broken: {rule}"));
    }
    broken(|p| p.code = support::code(&[]), "kernel 0 has no code");
    broken(|p| p.inputs[0].buffer = BufferId(9), "there is no buffer m9");
    broken(|p| p.inputs[0].buffer = BufferId(5), "`x` is at m5, which is not of the kind Input");
    broken(|p| p.outputs[0].buffer = BufferId(6), "two slots share m6");
    broken(|p| p.outputs[1].shape = Some(vec![3]), "m6 does not hold the shape Some([3]) of `batch_stats/norm/sum`");
    broken(|p| p.buffers[1].width = 2, "`species` is i32 of m1");
    broken(|p| drop(p.inputs.pop()), "no slot gives m1");
    broken(|p| p.inputs[0].name = "species".into(), "two slots are named `species`");
    broken(|p| p.symbols.push("M".into()), "the size `M` is no axis of an input");
    broken(
        |p| p.requirements.push(Requirement::AnyTrue { input: "x".into(), layer: "l".into() }),
        "a requirement is of `x`, which is no input of type bool",
    );
    broken(|p| p.steps.push(Step::Run(2)), "there is no kernel 2");
    broken(|p| p.steps.push(Step::Fill(BufferId(0), 0.0)), "m0 cannot be filled");
    broken(|p| p.steps.push(Step::Begin(BufferId(3))), "m3 cannot be begun");
    broken(|p| p.steps[0] = Step::Run(0), "m4 is combined but not filled");
    broken(
        |p| p.steps.splice(0..1, [Step::Begin(BufferId(4)), Step::Run(0)]).for_each(drop),
        "m4 is begun for one kernel, but 2 run before it is combined",
    );
    broken(|p| p.steps.push(Step::Combine { from: BufferId(4), into: BufferId(5) }), "m4 cannot be combined into m5");
}
