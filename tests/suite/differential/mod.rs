//! Random graphs and sizes, forward, with gradients and with gradients of gradients: loops and compiled code against the
//! reference. A graph that fails is made small and written to `tests/graphs/`, whose graphs are tried at every run.

use std::fs;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Instant;

use schur_compiler::autodiff::{VjpOptions, vjp};
use schur_ir::graph::{Graph, OutputKind};
use schur_ir::ty::DType;
use schur_runtime::reference::{Evaluated, evaluate};

use crate::levels::{Way, distance, interpreted, ways};
use crate::random_graph::{random_arrays, random_graph, random_sizes, random_smooth_graph};

mod shrink;

use shrink::shrink;

/// How often a graph was differentiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Zeroth,
    First,
    Second,
}

/// The graph of a seed. Forty of a hundred are as they are, forty with gradients and twenty with gradients of gradients;
/// a fifth computes in f32.
fn graph(seed: u64) -> (Graph, Order) {
    let order = [Order::Zeroth, Order::First, Order::Zeroth, Order::First, Order::Second][seed as usize % 5];
    let dtype = if seed % 10 == 2 || seed % 10 == 3 { DType::F32 } else { DType::F64 };
    let forward = match order {
        Order::Zeroth => random_graph(seed, dtype),
        Order::First | Order::Second => random_smooth_graph(seed, dtype),
    };
    let joint = |graph: &Graph, options: &VjpOptions| vjp(graph, options).unwrap_or_else(|e| panic!("{e}\n{graph}"));
    let graph = match order {
        Order::Zeroth => forward,
        Order::First => joint(&forward, &VjpOptions::new(&forward)),
        Order::Second => {
            let first = joint(&forward, &VjpOptions::new(&forward));
            let mut options = VjpOptions::new(&forward);
            options.outputs.extend(options.wrt.iter().map(|name| (OutputKind::Gradient, name.clone())));
            joint(&first, &options)
        }
    };
    (graph, order)
}

/// How far compiled code may be from the reference, relative to the largest of an array: in f32 a sum that cancels keeps few
/// digits of the reference's, and every derivative is a longer sum of products.
fn tolerance(graph: &Graph, order: Order) -> f64 {
    let f32 = graph.nodes.iter().any(|node| node.ty.dtype == DType::F32);
    match (f32, order) {
        (true, Order::Zeroth) => 2e-4,
        (true, Order::First | Order::Second) => 2e-3,
        (false, Order::Zeroth) => 1e-11,
        (false, Order::First) => 1e-10,
        (false, Order::Second) => 1e-9,
    }
}

fn close(found: &Evaluated, wanted: &Evaluated, tolerance: f64) -> Result<(), String> {
    for (found, wanted) in [
        (&found.outputs, &wanted.outputs),
        (&found.statistics, &wanted.statistics),
        (&found.gradients, &wanted.gradients),
    ] {
        let (apart, name) = distance(found, wanted);
        if apart > tolerance {
            return Err(format!("`{name}` is {apart:e} off"));
        }
    }
    Ok(())
}

/// What runs a graph: the loop interpreter, or compiled code.
enum Runner<'w> {
    Interpreter { fuse: bool },
    Code(&'w Way),
}

impl Runner<'_> {
    fn name(&self) -> String {
        match self {
            Runner::Interpreter { fuse } => format!("interpreted, fuse {fuse}"),
            Runner::Code(way) => way.name.clone(),
        }
    }

    /// Runs a graph on the arrays of a seed, and says what is wrong. A graph that the reference cannot evaluate has
    /// nothing to be compared with, which is for the caller to know.
    fn check(&self, graph: &Graph, seed: u64, tolerance: f64) -> Result<bool, String> {
        let (inputs, params) = random_arrays(graph, &random_sizes(graph, seed), seed);
        let Ok(wanted) = evaluate(graph, &inputs, &params) else { return Ok(false) };
        let found = catch_unwind(AssertUnwindSafe(|| match self {
            Runner::Interpreter { fuse } => interpreted(graph, &inputs, &params, *fuse),
            Runner::Code(way) => way.run(graph, &inputs, &params),
        }));
        // What the panic says is printed.
        let found = found.map_err(|_| "it panics".to_owned())?;
        close(&found, &wanted, tolerance).map(|()| true)
    }

    /// Fails with a small graph in a file where a graph does.
    fn assert(&self, graph: &Graph, order: Order, seed: u64, arrays: u64) {
        let tolerance = tolerance(graph, order);
        match self.check(graph, arrays, tolerance) {
            Ok(evaluated) => assert!(evaluated, "the reference cannot evaluate {graph}"),
            Err(fault) => {
                let small = shrink(graph, &|graph| self.check(graph, arrays, tolerance).is_err());
                let path = folder().join(format!("random_{seed}.graph"));
                fs::write(&path, small.to_string()).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
                panic!("seed {seed}, arrays {arrays}, {}: {fault}; in {}\n{small}", self.name(), path.display());
            }
        }
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/graphs")
}

/// The graphs of some seeds, each in one way after the other, or in all of them.
fn check(seeds: Range<u64>, everywhere: bool) {
    let ways = ways();
    for seed in seeds {
        let (graph, order) = graph(seed);
        let interpreters = [true, false].map(|fuse| Runner::Interpreter { fuse });
        let runners: Vec<Runner<'_>> = interpreters.into_iter().chain(ways.iter().map(Runner::Code)).collect();
        let turn = seed / 5;
        let chosen = |k: usize| everywhere || turn % runners.len() as u64 == k as u64;
        for (_, runner) in runners.iter().enumerate().filter(|(k, _)| chosen(*k)) {
            // Other sizes for every way; compiled code is for all of them.
            runner.assert(&graph, order, seed, seed);
            runner.assert(&graph, order, seed, seed + 1_000_000);
        }
    }
}

#[test]
fn all_levels_agree_with_the_reference() {
    check(0..1000, false);
}

/// `SCHUR_GRAPHS=first..last` takes other seeds than the first 10,000.
#[test]
#[ignore = "10,000 graphs in every way: many minutes, in a release build"]
fn all_levels_agree_with_the_reference_on_ten_thousand_graphs() {
    let seeds = std::env::var("SCHUR_GRAPHS").unwrap_or_else(|_| "0..10000".into());
    let (first, last) = seeds.split_once("..").expect("a range");
    let (first, last) = (first.parse().expect("a number"), last.parse().expect("a number"));
    let clock = Instant::now();
    for start in (first..last).step_by(500) {
        check(start..last.min(start + 500), true);
        println!("{} graphs after {} s", last.min(start + 500) - first, clock.elapsed().as_secs());
    }
}

#[test]
fn graphs_that_failed_once_do_not_again() {
    let mut paths: Vec<_> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let graph: Graph = text.parse().unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let ways = ways();
        let interpreters = [true, false].map(|fuse| Runner::Interpreter { fuse });
        for runner in interpreters.into_iter().chain(ways.iter().map(Runner::Code)) {
            for seed in 0..8 {
                let checked = runner.check(&graph, seed, tolerance(&graph, Order::Second));
                assert_eq!(checked, Ok(true), "{}: {}, seed {seed}", path.display(), runner.name());
            }
        }
    }
}
