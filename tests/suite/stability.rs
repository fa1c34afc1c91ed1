//! Numbers that a careless order of operations would lose.

use indexmap::IndexMap;
use schur_ir::build::{Mode, build};
use schur_ir::graph::Op;
use schur_ir::ty::DType;
use schur_runtime::array::{Array, Data};
use schur_runtime::store::ParamStore;

use crate::levels::compiled;
use crate::specs::spec;

const SPEC: &str = r#"
    name = "far_from_zero"
    outputs = ["norm"]

    [inputs.x]
    shape = ["N"]
    irreps = "2x0e"

    [[layers]]
    name = "norm"
    op = "batch_norm"
    input = "x"
    momentum = 1.0
"#;

/// Inputs with mean 1e4 and deviation 1: in `f32` the variance keeps three digits, and so do the outputs.
#[test]
fn batch_statistics_are_stable_far_from_zero() {
    let graph = build(&spec(SPEC), Mode::Train).unwrap_or_else(|e| panic!("{e:?}"));
    let rows = 1000;
    let deviation = |k: usize| ((k * 7919) % 2000) as f32 / 1000.0 - 1.0;
    let values: Vec<f32> = (0..2 * rows).map(|k| 1e4 + 1.7 * deviation(k)).collect();
    let column = |c: usize| values.iter().skip(c).step_by(2).map(|&x| f64::from(x)).collect::<Vec<f64>>();
    let x = Array::new([rows, 2], Data::F32(values.clone().into())).unwrap_or_else(|e| panic!("{e}"));
    let params = graph.nodes.iter().filter_map(|node| if let Op::Param(param) = &node.op { Some(param) } else { None });
    let store = ParamStore::init(params, DType::F32, 0).unwrap_or_else(|e| panic!("{e}"));
    let params: IndexMap<String, Array> = store.iter().map(|(name, array)| (name.into(), array.clone())).collect();
    let inputs = IndexMap::from([("x".to_string(), x)]);
    let found = compiled(&graph, &inputs, &params);
    for c in 0..2 {
        let x = column(c);
        let mean = x.iter().sum::<f64>() / rows as f64;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / rows as f64;
        let updated = found.statistics["batch_stats/norm/var"][[c]];
        assert!((updated / variance - 1.0).abs() < 1e-3, "variance {updated}, not {variance}");
        for (row, x) in x.iter().enumerate() {
            let wanted = (x - mean) / ((1.0 - 1e-4) * variance + 1e-4).sqrt();
            let output = found.outputs["norm"][[row, c]];
            assert!((output - wanted).abs() < 2e-3, "row {row}: {output}, not {wanted}");
        }
    }
}
