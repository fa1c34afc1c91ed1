//! The reference evaluator against numbers worked out by hand, and against ndarray's own product.

use insta::assert_snapshot;
use ndarray::{Array1, Array2, Array3, ArrayD, array};
use schur_ir::graph::Graph;
use schur_runtime::array::Array;
use schur_runtime::reference::{Arrays, Evaluated, ReferenceError, evaluate};

fn arrays<const N: usize>(list: [(&str, Array); N]) -> Arrays {
    list.into_iter().map(|(name, array)| (name.to_string(), array)).collect()
}

fn run(text: &str, inputs: Arrays, params: Arrays) -> Result<Evaluated, ReferenceError> {
    let graph: Graph = text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"));
    evaluate(&graph, &inputs, &params)
}

#[track_caller]
fn check(text: &str, inputs: Arrays, params: Arrays, expected: impl Into<Array>) {
    let result = run(text, inputs, params).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let expected: ArrayD<f64> = expected.into().to_f64();
    assert_eq!(result.outputs["y"].shape(), expected.shape());
    for (a, b) in result.outputs["y"].iter().zip(&expected) {
        assert!(
            (a - b).abs() < 1e-12 || a == b || (a.is_nan() && b.is_nan()),
            "{} is not {expected}",
            result.outputs["y"]
        );
    }
}

#[test]
fn a_linear_layer_is_a_product_over_multiplicities() {
    let x = Array3::from_shape_fn((3, 4, 3), |(n, u, i)| (n * 7 + u * 5 + i * 3) as f64 % 11.0 - 5.0);
    let w = Array2::from_shape_fn((4, 2), |(u, v)| (u * 3 + v * 5) as f64 % 7.0 - 3.0);
    let y = Array3::from_shape_fn((3, 2, 3), |(n, v, i)| {
        0.5 * x.slice(ndarray::s![n, .., i]).dot(&w.slice(ndarray::s![.., v]))
    });
    let text = "graph \"linear\"
        %0: f64[N] 4x1o = input \"x\"
        %1: f64[] 8x0e = param \"w\" [4, 2] normal(0, 1)
        %2: f64[N] 2x1o = contract %0[0], %1[] over [N]
            0.5 x0@0(u i) x1@0(u v) -> @0(v i) for u=4 v=2 i=3
        output \"y\" = %2";
    let x = x.into_shape_with_order((3, 12)).unwrap();
    check(text, arrays([("x", x.into())]), arrays([("w", w.into())]), y.into_shape_with_order((3, 6)).unwrap());
}

#[test]
fn indices_pick_rows_and_scatter_into_them() {
    let inputs = || {
        let index = Array1::from(vec![2, 0, 2]);
        arrays([("x", array![[1.0], [10.0], [100.0]].into()), ("i", index.into())])
    };
    let gather = "graph \"gather\"
        %0: f64[N] 1x0e = input \"x\"
        %1: i32[N] 1x0e = input \"i\"
        %2: f64[3] 2x0e = param \"w\" [3, 2] constant(0)
        %3: f64[N] 2x0e = contract %0[0], %2[%1[0]<3] over [N]
            x0@0 x1@0(u) -> @0(u) for u=2
        require index \"i\" < 3
        output \"y\" = %3";
    let w = || arrays([("w", array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]].into())]);
    check(gather, inputs(), w(), array![[5.0, 6.0], [10.0, 20.0], [500.0, 600.0]]);
    let scatter = "graph \"scatter\"
        %0: f64[N] 1x0e = input \"x\"
        %1: i32[N] 1x0e = input \"i\"
        %2: f64[4] 1x0e = contract %0[0] over [N] into [%1[0]<4] / N
            x0@0 -> @0
        require index \"i\" < 4
        output \"y\" = %2";
    check(scatter, inputs(), arrays([]), array![[10.0 / 3.0], [0.0], [101.0 / 3.0], [0.0]]);
    let mut beyond = inputs();
    beyond.insert("i".into(), Array1::from(vec![0, 3, 0]).into());
    assert_snapshot!(run(gather, beyond, w()).unwrap_err(), @"index 3 of %1 is not in 0..3");
}

#[test]
fn rows_are_broadcast_permuted_and_summed() {
    let text = "graph \"rows\"
        %0: f64[N, 2] 1x0e = input \"x\"
        %1: f64[1, N] 1x0e = input \"z\"
        %2: f64[2, 1] 1x0e = contract %0[0, 1], %1[_, 0] over [N, 2] into [1, _]
            x0@0 x1@0 -> @0
        output \"y\" = %2";
    let x = array![[[1.0], [2.0]], [[3.0], [4.0]], [[5.0], [6.0]]];
    let z = array![[[1.0], [10.0], [100.0]]];
    check(text, arrays([("x", x.into()), ("z", z.into())]), arrays([]), array![[[531.0]], [[642.0]]]);
}

#[test]
fn means_and_maxima_of_nothing_are_nan_and_minus_infinity() {
    let mean = "graph \"mean\"
        %0: f64[N] 1x0e = input \"x\"
        %1: f64[] 1x0e = contract %0[0] over [N] into [] / 2*N
            x0@0 -> @0
        output \"y\" = %1";
    let max = "graph \"max\" %0: f64[N] 2x0e = input \"x\" %1: f64[] 2x0e = max %0 keep 0 output \"y\" = %1";
    let x = |rows: &[[f64; 2]]| arrays([("x", Array2::from(rows.to_vec()).into())]);
    check(mean, arrays([("x", array![[1.0], [4.0]].into())]), arrays([]), array![1.25]);
    check(mean, arrays([("x", Array2::<f64>::zeros((0, 1)).into())]), arrays([]), array![f64::NAN]);
    check(max, x(&[[1.0, f64::NAN], [3.0, 7.0], [-1.0, 2.0]]), arrays([]), array![3.0, f64::NAN]);
    check(max, x(&[]), arrays([]), array![f64::NEG_INFINITY, f64::NEG_INFINITY]);
}

#[test]
fn maps_read_masks_and_broadcast_rows() {
    let text = "graph \"map\"
        %0: f64[N] 1x0e = input \"x\"
        %1: bool[N] 1x0e = input \"mask\"
        %2: f64[] 1x0e = param \"b\" [] constant(1)
        %3: f64[N] 1x0e = map select(x1, add(x0, x2), neg(x0)) of %0[0], %1[0], %2[]
        output \"y\" = %3";
    let mask = Array1::from(vec![true, false]);
    let inputs = arrays([("x", array![[1.0], [2.0]].into()), ("mask", mask.into())]);
    check(text, inputs, arrays([("b", ndarray::arr0(10.0).into())]), array![[11.0], [-2.0]]);
}

#[test]
fn statistics_and_gradients_have_their_own_shape() {
    let text = "graph \"kinds\"
        %0: f64[] 6x0e = param \"w\" [2, 3] constant(0)
        output \"w\" = %0
        statistic \"w\" = %0 as [6, 1]
        gradient \"w\" = %0 as [2, 3]";
    let w = Array2::from_shape_fn((2, 3), |(a, b)| (a * 3 + b) as f64);
    let result = run(text, arrays([]), arrays([("w", w.clone().into())])).unwrap();
    assert_eq!(result.outputs["w"].shape(), [6]);
    assert_eq!(result.statistics["w"].shape(), [6, 1]);
    assert_eq!(result.gradients["w"], w.into_dyn());
}

#[test]
fn what_is_missing_or_misshapen_is_named() {
    let text = "graph \"faults\"
        %0: f32[N, 2] 3x0e = input \"x\"
        %1: i32[N] 1x0e = input \"i\"
        %2: f32[] 6x0e = param \"w\" [2, 3] constant(0)";
    let fault = |x: Array, i: Array, w: Array| {
        run(text, arrays([("x", x), ("i", i)]), arrays([("w", w)]))
            .map(|_| "fine".to_string())
            .unwrap_or_else(|e| e.to_string())
    };
    let x = || Array::from(Array3::<f32>::zeros((4, 2, 3)));
    let i = || Array::from(Array1::<i32>::zeros(4));
    let w = || Array::from(Array2::<f32>::zeros((2, 3)));
    assert_snapshot!(fault(x(), i(), w()), @"fine");
    assert_snapshot!(fault(x(), i(), i()), @"`w` is i32, the graph wants f32");
    assert_snapshot!(fault(Array3::<f64>::zeros((4, 2, 3)).into(), i(), w()), @"`x` is f64, the graph wants f32");
    assert_snapshot!(fault(w(), i(), w()), @"`x` has shape [2, 3], the graph wants 3 axes, as in f32[N, 2] 3x0e");
    assert_snapshot!(fault(Array3::<f32>::zeros((4, 3, 3)).into(), i(), w()), @"`x` has shape [4, 3, 3], the graph wants [4, 2, 3]");
    assert_snapshot!(fault(x(), Array1::<i32>::zeros(5).into(), w()), @"`i` has shape [5], the graph wants [4]");
    assert_snapshot!(fault(x(), i(), Array2::<f32>::zeros((3, 2)).into()), @"`w` has shape [3, 2], the graph wants [2, 3]");
    assert_snapshot!(run(text, arrays([]), arrays([])).unwrap_err(), @"no array is given for `x`");
    let unbound = "graph \"g\" %0: f64[2*N] 1x0e = input \"x\"";
    let x = arrays([("x", array![[1.0], [2.0]].into())]);
    assert_snapshot!(run(unbound, x, arrays([])).unwrap_err(), @"the size of `N` is not known");
}
