//! Where a NaN or an infinity comes from.

use schur::{Array, CompileOptions, Data, Mode, Origin, ParamStore, all_finite};

use crate::cli::{Folder, printed, refused};
use crate::levels::Arrays;
use crate::specs::model;

const SPEC: &str = r#"
name = "m"
outputs = ["last"]
[inputs.x]
shape = ["N"]
irreps = "2x1o"
[[layers]]
name = "first"
op = "linear"
input = "x"
irreps_out = "2x1o"
init = { distribution = "constant", scale = 1.0 }
[[layers]]
name = "squares"
op = "norm"
input = "first"
squared = true
[[layers]]
name = "last"
op = "mlp"
input = "squares"
list_neurons = [2]
act = "tanh"
init = { distribution = "constant", scale = 1.0 }
"#;

fn x(value: f32) -> Array {
    let mut elements = vec![1.0; 18];
    elements[7] = value;
    Array::new([3, 6], Data::F32(elements.into())).unwrap()
}

/// What is found, for a value in the input.
fn found(value: f32, params: &ParamStore) -> Option<String> {
    let model = model(SPEC);
    let x = x(value);
    let results = model.compile(Mode::Infer, &CompileOptions::default()).unwrap().run([("x", &x)], params).unwrap();
    let found = model.find_non_finite(Mode::Infer, [("x", x.view())], params, &results, None).unwrap();
    found.map(|found| found.to_string())
}

#[test]
fn the_first_that_is_not_finite_is_named() {
    let params = model(SPEC).init(0).unwrap();
    assert_eq!(found(1.0, &params), None);
    // The square of a large number is beyond f32, and tanh of infinity is 1.
    assert_eq!(found(1e30, &params).unwrap(), "the layer `squares` makes inf at [1, 0]");
    assert_eq!(found(f32::NAN, &params).unwrap(), "the input `x` holds NaN at [1, 1]");
    let mut broken = params.clone();
    let name = "params/last/Dense_0/kernel";
    broken.set(name, Array::new([2, 2], Data::F32(vec![0.0, 0.0, f32::NEG_INFINITY, 0.0].into())).unwrap()).unwrap();
    assert_eq!(found(1.0, &broken).unwrap(), "the parameter `params/last/Dense_0/kernel` holds -inf at [1, 0]");
}

#[test]
fn gradients_that_are_not_finite_are_named_after_the_layers() {
    let spec = SPEC.replace("squared = true", "squared = false");
    let model = model(&spec);
    let params = model.init(0).unwrap();
    let mut joint = model.compile_joint(Mode::Infer, &CompileOptions::default()).unwrap();
    let (x, cotangent) = (x(1.0), Array::new([3, 2], Data::F32(vec![f32::INFINITY; 6].into())).unwrap());
    let results = joint.run([("x", &x), ("cotangent/last", &cotangent)], &params).unwrap();
    assert!(!all_finite(&results));
    let found = model.find_non_finite(Mode::Infer, [("x", x.view())], &params, &results, None).unwrap().unwrap();
    assert_eq!(found.origin, Origin::Gradient);
}

#[test]
fn commands_fail_where_they_are_asked_to_check() {
    let folder = Folder::new();
    let spec = folder.write("m.toml", SPEC);
    let [params, data, out] = ["p.safetensors", "x.safetensors", "y.safetensors"].map(|name| folder.path(name));
    printed(&["init", &spec, "--out", &params, "-q"]);
    crate::cli::write(&data, &Arrays::from([("x".to_owned(), x(1e30))]));
    let run = ["run", &spec, "--params", &params, "--inputs", &data, "--outputs", &out, "-q"];
    printed(&run);
    // What is returned is finite: nothing is asked of what is in between.
    printed(&[&run[..], &["--check-finite"]].concat());
    crate::cli::write(&data, &Arrays::from([("x".to_owned(), x(f32::NAN))]));
    let told = refused(1, &[&run[..], &["--check-finite"]].concat());
    assert!(told.contains("the input `x` holds NaN at [1, 1]"), "{told}");
    let told = refused(1, &["evaluate", &spec, "--data", &data, "--check-finite", "-q"]);
    assert!(told.contains("the input `x` holds NaN at [1, 1]"), "{told}");
}
