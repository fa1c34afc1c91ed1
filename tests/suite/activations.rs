//! Activations and their slopes far from zero.

use schur::Mode;
use schur_ir::spec::Activation;
use schur_ir::ty::DType;
use schur_runtime::array::{Array, Data};
use schur_runtime::reference::{Arrays, evaluate};

use crate::levels::ways;
use crate::specs::model;

/// A whole vector of any instruction set.
const WIDTH: usize = 16;

/// What an activation and its slope are far from zero, as jax has them.
fn far(act: Activation, x: f64) -> (f64, f64) {
    let step = f64::from(u8::from(x > 0.0));
    match act {
        Activation::Silu | Activation::Relu | Activation::Gelu | Activation::Softplus => (x * step, step),
        Activation::Tanh => (x.signum(), 0.0),
        Activation::Sigmoid => (step, 0.0),
        Activation::SoftOdd | Activation::Identity => (x, 1.0),
        Activation::Abs => (x.abs(), x.signum()),
    }
}

/// Checks an activation at some numbers and their negatives, at every level.
fn check(act: Activation, dtype: DType, numbers: &[f64]) {
    let name = act.name();
    let text = format!(
        "name = '{name}'\ndtype = '{dtype}'\noutputs = ['y']\n\
         inputs.x = {{ shape = ['N'], irreps = '{WIDTH}x0e' }}\n\
         layers = [{{ name = 'y', op = 'scalar_activation', input = 'x', acts = ['{name}'], normalize_act = false }}]"
    );
    let graph = model(&text).joint(Mode::Infer).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let xs: Vec<f64> = numbers.iter().flat_map(|x| [*x, -x]).collect();
    let array = |of: &dyn Fn(f64) -> f64| {
        let elements = xs.iter().flat_map(|x| [of(*x); WIDTH]);
        let data = match dtype {
            DType::F32 => Data::F32(elements.map(|x| x as f32).collect()),
            DType::F64 | DType::I32 | DType::Bool => Data::F64(elements.collect()),
        };
        Array::new([xs.len(), WIDTH], data).unwrap()
    };
    let inputs = Arrays::from([("x".into(), array(&|x| x)), ("cotangent/y".into(), array(&|_| 1.0))]);
    let wanted = [array(&|x| far(act, x).0), array(&|x| far(act, x).1)].map(|array| array.to_f64());
    let levels = ways().map(|way| (way.name.clone(), way.run(&graph, &inputs, &Arrays::new())));
    let reference = ("reference".to_owned(), evaluate(&graph, &inputs, &Arrays::new()).unwrap());
    for (level, found) in [reference].into_iter().chain(levels) {
        assert_eq!([&found.outputs["y"], &found.gradients["x"]], [&wanted[0], &wanted[1]], "{name}, {dtype}, {level}");
    }
}

#[test]
fn activations_and_their_slopes_are_finite_where_jax_has_them_finite() {
    for act in Activation::ALL {
        // The square of the argument overflows in the slope of `gelu` alone, as it does in jax.
        let farther = act != Activation::Gelu;
        check(act, DType::F32, if farther { &[1e4, 2e13, 1e19, 1e25, 1e38] } else { &[1e4, 2e13, 1e19] });
        check(act, DType::F64, if farther { &[1e4, 1e100, 1e153, 1e155, 1e307] } else { &[1e4, 1e103, 1e153] });
    }
}
