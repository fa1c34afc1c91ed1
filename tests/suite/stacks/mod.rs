//! Random stacks of layers, of the multiplicities that models have: what lies between layers goes through micro-kernels that random
//! graphs, which are narrow, do not reach.

mod linear;
mod parts;
mod stack;

use std::ops::Range;
use std::panic::{RefUnwindSafe, catch_unwind};
use std::sync::Arc;

use schur::{CompileOptions, Mode};
use schur_compiler::autodiff::{VjpOptions, vjp};
use schur_compiler::compile::compile;
use schur_ir::graph::{Graph, OutputKind, Requirement};
use schur_ir::ty::DType;
use schur_runtime::executor::{Executor, Outputs};
use schur_runtime::store::ParamStore;
use schur_runtime::view::ArrayView;

use stack::Stack;

use crate::levels::{Arrays, any_way, check_levels, ways};
use crate::random_graph::random_arrays;
use crate::specs::model;

/// A stack to be run.
pub(crate) struct Case {
    /// For people.
    pub(crate) name: String,
    pub(crate) graph: Graph,
    /// Inputs and parameters.
    pub(crate) arrays: (Arrays, Arrays),
    tolerance: f64,
}

/// The stack of a seed, forward, with all gradients, with those of inputs or of parameters alone or, in `f64`, with gradients of
/// gradients, in inference or in training.
pub(crate) fn case(seed: u64) -> Case {
    let mut stack = Stack::of_seed(seed);
    let text = stack.text();
    let mode = if seed % 4 > 1 { Mode::Train } else { Mode::Infer };
    let forward = model(&text).graph(mode).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let joint = |graph: &Graph, options: &VjpOptions| vjp(graph, options).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let graph = match seed % 8 {
        0 | 2 | 4 | 6 => forward,
        5 if stack.dtype == DType::F64 => {
            let mut options = VjpOptions::new(&forward);
            let first = joint(&forward, &options);
            options.outputs.extend(options.wrt.iter().map(|name| (OutputKind::Gradient, name.clone())));
            joint(&first, &options)
        }
        7 => {
            let mut options = VjpOptions::new(&forward);
            let inputs_alone = seed % 16 == 7;
            options.wrt.retain(|name| name.starts_with("params/") != inputs_alone);
            joint(&forward, &options)
        }
        _ => joint(&forward, &VjpOptions::new(&forward)),
    };
    let is_statistic = |requirement: &Requirement| !matches!(requirement, Requirement::IndexBelow { .. });
    let sizes = stack.sizes(graph.requirements.iter().any(is_statistic));
    let tolerance = match (stack.dtype, seed % 8) {
        (DType::F32, 0 | 2 | 4 | 6) => 2e-4,
        (DType::F32, _) => 2e-3,
        (DType::F64 | DType::I32 | DType::Bool, 5) => 1e-9,
        (DType::F64 | DType::I32 | DType::Bool, _) => 1e-10,
    };
    let arrays = random_arrays(&graph, &sizes, seed);
    Case { name: format!("seed {seed}, {sizes:?}\n{text}"), graph, arrays, tolerance }
}

/// Checks the stack of a seed in all the usual ways.
fn check(seed: u64) {
    let Case { name, graph, arrays, tolerance } = case(seed);
    check_levels(&name, &ways(), &graph, &arrays, tolerance);
}

/// Checks the stack of a seed in a way that the seed picks.
fn check_in_any_way(seed: u64) {
    let Case { name, graph, arrays, tolerance } = case(seed);
    check_levels(&name, &[any_way(seed)], &graph, &arrays, tolerance);
}

#[test]
fn stacks_of_layers_agree_at_every_level() {
    (0..10).for_each(check);
}

#[test]
fn stacks_of_layers_agree_in_any_way() {
    (114..136).for_each(check_in_any_way);
}

/// Checks all the seeds that `SCHUR_STACKS=first..last` says, or 2,000, and then fails where some did.
fn check_chosen(check: impl Fn(u64) + RefUnwindSafe) {
    let seeds = std::env::var("SCHUR_STACKS").unwrap_or_else(|_| "1000..3000".into());
    let (first, last) = seeds.split_once("..").expect("a range");
    let seeds: Range<u64> = first.parse().expect("a number")..last.parse().expect("a number");
    let faults: Vec<u64> = seeds.filter(|seed| catch_unwind(|| check(*seed)).is_err()).collect();
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
#[ignore = "2,000 stacks: many minutes, in a release build"]
fn two_thousand_stacks_agree_at_every_level() {
    check_chosen(check);
}

#[test]
#[ignore = "2,000 stacks: many minutes, in a release build"]
fn two_thousand_stacks_agree_in_any_way() {
    check_chosen(check_in_any_way);
}

#[test]
#[ignore = "2,000 stacks: many minutes, in a release build"]
fn two_thousand_stacks_have_the_same_bits() {
    check_chosen(|seed| check_bits(&case(seed)));
}

/// The bits of three calls: what a call learns of the time that rows take decides how the next one cuts them.
fn bits(executor: &mut Executor, inputs: &Arrays, params: &ParamStore) -> Vec<Vec<u64>> {
    let views: Vec<(&str, ArrayView<'_>)> = inputs.iter().map(|(name, array)| (&**name, array.view())).collect();
    let of = |Outputs { outputs, statistics, gradients }: Outputs| {
        let arrays = outputs.values().chain(statistics.values()).chain(gradients.values());
        arrays.flat_map(|array| array.to_f64()).map(f64::to_bits).collect()
    };
    (0..3).map(|_| of(executor.call(&views, params).unwrap_or_else(|e| panic!("{e}")))).collect()
}

/// Checks that a graph has the same bits on one, two and three threads, and from call to call.
fn check_bits(Case { name, graph, arrays: (inputs, params), .. }: &Case) {
    let program = compile(graph, &CompileOptions::default(), &mut |_, _| {}).unwrap_or_else(|e| panic!("{e}\n{name}"));
    let program = Arc::new(program);
    let leaves = program.params.iter().map(|slot| &slot.param);
    let store = ParamStore::from_arrays(leaves, program.dtype, params.clone()).unwrap();
    let all = [1, 2, 3].map(|threads| {
        let mut executor = Executor::new(Arc::clone(&program)).unwrap();
        executor.set_threads(threads);
        bits(&mut executor, inputs, &store)
    });
    let mut calls = all.iter().flatten();
    let wanted = calls.next().expect("there are nine calls");
    assert!(calls.all(|found| found == wanted), "{name}");
}

#[test]
fn the_last_rows_have_the_same_bits_for_any_number_of_threads() {
    for (from, to) in [("128x0e", "128x0e"), ("3x0e", "64x0e"), ("64x1o", "64x1o"), ("1x2e", "64x2e"), ("8x0e", "8x0e")]
    {
        let text = format!(
            "name = 'linear'\noutputs = ['y']\ninputs.x = {{ shape = ['N'], irreps = '{from}' }}\n\
             layers = [{{ name = 'y', op = 'linear', input = 'x', irreps_out = '{to}' }}]"
        );
        let graph = model(&text).graph(Mode::Infer).unwrap_or_else(|e| panic!("{e}\n{text}"));
        for rows in [97, 98, 99, 193, 289] {
            let arrays = random_arrays(&graph, &[("N".into(), rows)].into(), 1);
            let name = format!("{rows} rows\n{text}");
            check_bits(&Case { name, graph: graph.clone(), arrays, tolerance: 0.0 });
        }
    }
}

#[test]
fn stacks_have_the_same_bits_for_any_number_of_threads() {
    (5000..5012).for_each(|seed| check_bits(&case(seed)));
}
