//! Optimisers against optax's steps.

use std::sync::Arc;

use indexmap::IndexMap;
use schur::ParamStore;
use schur::train::{Method, Optimizer, norm};
use schur_ir::expr::Scalar;
use schur_ir::graph::{Init, Param};
use schur_ir::ty::DType;
use schur_runtime::array::{Array, Data};

const GRADIENTS: [[f64; 3]; 3] = [[0.1, -2.0, 0.0], [0.3, 1.0, -1e-9], [-0.2, 0.5, 4.0]];

/// The parameters after three steps at a rate of 0.1, of an optimiser that starts at 0.5, -1, 2.
fn steps(method: Method, clip: f64, dtype: DType) -> Vec<f64> {
    let param = Param { name: "params/p".into(), shape: vec![3], init: Init::Constant(Scalar(0.0)) };
    let array = |values: &[f64]| Array::from_f64(&ndarray::Array1::from(values.to_vec()).into_dyn(), dtype);
    let mut params = ParamStore::init([&param], dtype, 0).unwrap();
    params.set("params/p", array(&[0.5, -1.0, 2.0])).unwrap();
    let mut optimizer = Optimizer::new(method, [&param], dtype).unwrap();
    for (gradient, t) in GRADIENTS.iter().zip(1..) {
        let gradients: IndexMap<Arc<str>, Array> = IndexMap::from([("params/p".into(), array(gradient))]);
        let scale = (clip / norm(&gradients)).min(1.0);
        optimizer.update(&mut params, &gradients, t, 0.1, scale).unwrap();
    }
    params.get("params/p").unwrap().to_f64().iter().copied().collect()
}

#[test]
fn steps_are_optaxs() {
    let cases = [
        (Method::Sgd { momentum: 0.0 }, f64::INFINITY, [0.48, -0.95, 1.6000000001]),
        (Method::Sgd { momentum: 0.9 }, f64::INFINITY, [0.4359, -0.698, 1.60000000019]),
        (Method::Sgd { momentum: 0.0 }, 1.5, [0.4699422989208878, -0.9687695028245024, 1.8513411708505667]),
        (Method::adam(), f64::INFINITY, [0.2824315228897929, -0.8672274104696712, 1.9410341334671426]),
        (Method::adamw(0.01), f64::INFINITY, [0.2812247004775974, -0.8644569431724692, 1.9350352159740263]),
    ];
    for (method, clip, wanted) in cases {
        for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 1e-6)] {
            let found = steps(method, clip, dtype);
            let near = found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < tolerance);
            assert!(near, "{method:?} in {dtype}: {found:?} is not {wanted:?}");
        }
    }
}

#[test]
fn gradients_of_another_type_shape_or_name_are_refused() {
    let param = Param { name: "params/p".into(), shape: vec![1], init: Init::Constant(Scalar(0.0)) };
    let mut params = ParamStore::init([&param], DType::F32, 0).unwrap();
    let mut optimizer = Optimizer::new(Method::adam(), [&param], DType::F32).unwrap();
    let mut update = |name: &str, data: Data| {
        let gradients = IndexMap::from([(name.into(), Array::new([data.len()], data).unwrap())]);
        optimizer.update(&mut params, &gradients, 1, 0.1, 1.0).unwrap_err().to_string()
    };
    assert_eq!(update("params/p", Data::F64(vec![1.0].into())), "the parameter `params/p` is f64 where f32 is wanted");
    assert_eq!(
        update("params/p", Data::F32(vec![1.0; 2].into())),
        "the parameter `params/p` has the shape [2] where [1] is wanted"
    );
    assert_eq!(
        update("params/q", Data::F32(vec![1.0].into())),
        "the model has no parameter `params/q`; did you mean `params/p`?"
    );
}
