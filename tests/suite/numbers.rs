//! NaN and infinity go the same way at every level.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use schur_ir::build::{Mode, build};
use schur_ir::graph::Graph;
use schur_ir::ty::DType;
use schur_runtime::array::{Array, Data};
use schur_runtime::reference::{Arrays, Evaluated, evaluate};

use crate::levels::{Way, ways};
use crate::random_graph::{random_arrays, random_graph, random_sizes, random_smooth_graph};
use crate::specs;

/// The same inputs with some elements of floats replaced.
fn sprinkled(inputs: &Arrays, values: &[f64], seed: u64) -> Arrays {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut sprinkle = |x: f64| if rng.random_ratio(1, 8) { values[rng.random_range(0..values.len())] } else { x };
    let of = |array: &Array, sprinkle: &mut dyn FnMut(f64) -> f64| {
        let data = match array.data() {
            Data::F32(v) => Data::F32(v.iter().map(|x| sprinkle(f64::from(*x)) as f32).collect()),
            Data::F64(v) => Data::F64(v.iter().map(|x| sprinkle(*x)).collect()),
            Data::I32(v) => Data::I32(v.clone()),
            Data::Bool(v) => Data::Bool(v.clone()),
        };
        Array::new(array.shape(), data).unwrap()
    };
    inputs.iter().map(|(name, array)| (name.clone(), of(array, &mut sprinkle))).collect()
}

/// What an element is, beside its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Finite,
    Infinite(bool),
    Nan,
}

fn kind(x: f64) -> Kind {
    if x.is_nan() {
        Kind::Nan
    } else if x.is_infinite() {
        Kind::Infinite(x > 0.0)
    } else {
        Kind::Finite
    }
}

/// The elements of both that are not of one kind, and how many are not finite where that is wanted.
fn apart(found: &Evaluated, wanted: &Evaluated) -> (Vec<(Kind, Kind)>, usize) {
    let kinds = [
        (&found.outputs, &wanted.outputs),
        (&found.statistics, &wanted.statistics),
        (&found.gradients, &wanted.gradients),
    ];
    let pairs = kinds.iter().flat_map(|(found, wanted)| found.values().zip(wanted.values()));
    let pairs: Vec<_> = pairs.flat_map(|(f, w)| f.iter().zip(w).map(|(f, w)| (kind(*f), kind(*w)))).collect();
    let count = pairs.iter().filter(|(_, wanted)| *wanted != Kind::Finite).count();
    (pairs.into_iter().filter(|(found, wanted)| found != wanted).collect(), count)
}

fn compare(way: &Way, graph: &Graph, values: &[f64], seed: u64) -> (Vec<(Kind, Kind)>, usize) {
    let (inputs, params) = random_arrays(graph, &random_sizes(graph, seed), seed);
    let inputs = sprinkled(&inputs, values, seed);
    let wanted = evaluate(graph, &inputs, &params).unwrap();
    apart(&way.run(graph, &inputs, &params), &wanted)
}

const NAN: [f64; 1] = [f64::NAN];
const INFINITIES: [f64; 2] = [f64::INFINITY, f64::NEG_INFINITY];

/// Some graphs, with and without kinks, in both element types.
fn graphs(count: u64) -> impl Iterator<Item = (u64, Graph)> {
    (0..count).map(|seed| {
        let dtype = if seed % 3 == 0 { DType::F32 } else { DType::F64 };
        (seed, if seed % 2 == 0 { random_smooth_graph(seed, dtype) } else { random_graph(seed, dtype) })
    })
}

#[test]
fn unsimplified_code_gives_what_the_reference_gives() {
    let mut special = 0;
    for (seed, graph) in graphs(120) {
        for values in [&NAN[..], &INFINITIES[..]] {
            for way in ways().iter().filter(|way| !way.is_simplified()) {
                let (apart, count) = compare(way, &graph, values, seed);
                assert!(apart.is_empty(), "seed {seed}, {}: {apart:?}\n{graph}", way.name);
                special += count;
            }
        }
    }
    assert!(special > 10_000);
}

/// Simplification drops terms that are zero for every finite number (0 x, x − x). So a NaN of the reference may be missing,
/// but no element is NaN or infinite that is finite in the reference.
#[test]
fn simplified_code_makes_no_nan_of_its_own() {
    let mut special = 0;
    for (seed, graph) in graphs(120) {
        for values in [&NAN[..], &INFINITIES[..]] {
            for way in ways().iter().filter(|way| way.is_simplified()) {
                let (apart, count) = compare(way, &graph, values, seed);
                assert!(
                    apart.iter().all(|(_, wanted)| *wanted == Kind::Nan),
                    "seed {seed}, {}: {apart:?}\n{graph}",
                    way.name
                );
                special += count;
            }
        }
    }
    assert!(special > 10_000);
}

/// The graphs that specs make have no such terms: their NaNs are where the reference has them, simplified or not.
#[test]
fn models_of_specs_keep_every_nan() {
    for (seed, path) in specs::entries("tests/specs").into_iter().chain(specs::cases().step_by(4)).enumerate() {
        let spec = specs::read(&path);
        for mode in [Mode::Train, Mode::Infer] {
            let graph = build(&spec, mode).unwrap();
            for way in &ways()[..2] {
                let (apart, _) = compare(way, &graph, &NAN, seed as u64);
                assert!(apart.is_empty(), "{}, {mode:?}, {}: {apart:?}", path.display(), way.name);
            }
        }
    }
}

/// A product of coefficients that is no number of the type is not multiplied before it meets an array.
#[test]
fn coefficients_beyond_the_type_stay_apart() {
    let chain = |coefficients: &[f64]| {
        let mut text = "graph \"chain\"\n%0: f32[N] 4x0e = input \"x\"\n".to_owned();
        for (k, coefficient) in coefficients.iter().enumerate() {
            text += &format!(
                "%{}: f32[N] 4x0e = contract %{k}[0] over [N]\n    {coefficient} x0@0(v) -> @0(v) for v=4\n",
                k + 1
            );
        }
        text + &format!("output \"y\" = %{}\n", coefficients.len())
    };
    let twice = "graph \"twice\"\n%0: f32[N] 4x0e = input \"x\"\n%1: f32[N] 4x0e = contract %0[0] over [N]\n    \
                 2e38 x0@0 -> @0\n    2e38 x0@0 -> @0\n    2e38 x0@1 -> @1 for u=4\noutput \"y\" = %1\n";
    let up_and_down = [1e30, 1e-30].repeat(4);
    for text in [chain(&[1e15; 3]), chain(&[1e30; 11]), chain(&up_and_down), twice.to_owned()] {
        let graph: Graph = text.parse().unwrap();
        let x = Array::new([1, 4], Data::F32(vec![0.0, 1e-38, 1.0, -1.0].into())).unwrap();
        let inputs = Arrays::from([("x".into(), x)]);
        let wanted = evaluate(&graph, &inputs, &Arrays::new()).unwrap();
        for way in ways() {
            let found = way.run(&graph, &inputs, &Arrays::new());
            for (name, wanted) in &wanted.outputs {
                for (a, b) in found.outputs[name].iter().zip(wanted) {
                    let near = *a == f64::from(*b as f32) || (a - b).abs() < 1e-5 * b.abs();
                    assert!(near, "{}: {a} is not {b}\n{text}", way.name);
                }
            }
        }
    }
}
