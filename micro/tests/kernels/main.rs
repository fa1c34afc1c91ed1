//! Every instruction set of this machine beside plain loops.

use proptest::prelude::*;
use schur_ir::expr::{Binary, Expr, Unary};
use schur_ir::micro::{
    Ahead, Along, Arguments, Dot, Extent, Finish, MAX_ARRAYS, MAX_DOT, Map, Micro, Product, Transpose,
};
use schur_ir::ty::DType;

use schur_micro::{InstructionSet, Table};

mod rows;

/// A float.
trait Float: Copy {
    /// The nearest to `x`.
    fn rounded(x: f64) -> Self;
}

impl Float for f32 {
    fn rounded(x: f64) -> Self {
        x as f32
    }
}

impl Float for f64 {
    fn rounded(x: f64) -> Self {
        x
    }
}

/// A value that is exact in `f32`, and so are small sums of products of two.
fn value(k: usize) -> f64 {
    ((k * 7919 + 3) % 17) as f64 - 8.0
}

fn values<T: Float>(count: usize, salt: usize) -> Vec<T> {
    (0..count).map(|k| T::rounded(value(k + salt))).collect()
}

fn call<T: Float>(micro: &Micro, set: InstructionSet, arrays: &mut [Vec<T>], rows: usize) {
    call_ahead(micro, set, arrays, rows, Ahead::NOTHING);
}

/// A call while something is ahead; gives what is left of that.
fn call_ahead<T: Float>(micro: &Micro, set: InstructionSet, arrays: &mut [Vec<T>], rows: usize, ahead: Ahead) -> Ahead {
    let table = Table::new(std::slice::from_ref(micro), set);
    let mut arguments = Arguments { arrays: [std::ptr::null_mut(); MAX_ARRAYS], first: 0, ahead };
    arguments.arrays.iter_mut().zip(arrays).for_each(|(pointer, array)| *pointer = array.as_mut_ptr().cast());
    let entry = table.entries()[0];
    // SAFETY: the arrays are as long as the description says, by construction.
    unsafe { (entry.run)(entry.plan, &raw mut arguments, rows as i64) }
    arguments.ahead
}

fn available() -> impl Iterator<Item = InstructionSet> {
    InstructionSet::ALL.into_iter().filter(|set| set.is_available())
}

/// The product, as its description says, but for functions of its sums.
fn plainly(p: &Product, arrays: &[Vec<f64>], rows: usize) -> Vec<f64> {
    let count = |along: &Along| match along.extent {
        Extent::Rows => rows,
        Extent::Fixed(count) => count,
    };
    let (mut out, a, b) = (arrays[0].clone(), &arrays[1], &arrays[2]);
    for m0 in 0..count(&p.m[0]) {
        for m1 in 0..count(&p.m[1]) {
            for n in 0..p.n {
                let mut sum = 0.0;
                for k0 in 0..count(&p.k[0]) {
                    for k1 in 0..count(&p.k[1]) {
                        let a_at = |m: usize, k: usize| m0 * p.m[0].strides[m] + m1 * p.m[1].strides[m] + k;
                        let a_at = a_at(1, k0 * p.k[0].strides[0] + k1 * p.k[1].strides[0]);
                        sum += a[a_at] * b[k0 * p.k[0].strides[1] + k1 * p.k[1].strides[1] + n];
                    }
                }
                let out = &mut out[m0 * p.m[0].strides[0] + m1 * p.m[1].strides[0] + n * p.n_stride];
                let scale = match p.finish {
                    Finish::Scaled(strides) => arrays[3][m0 * strides[0] + m1 * strides[1] + n],
                    Finish::Plain | Finish::Silu { .. } => 1.0,
                };
                *out = p.coefficient * scale * sum + if p.accumulate { *out } else { 0.0 };
            }
        }
    }
    out
}

/// A layer on irreps of `d` components, all arrays `[rows, mul, d]` or `[rows, d, mul]`.
fn layer(dtype: DType, [mul_in, mul_out, d]: [usize; 3], [x_apart, y_apart]: [bool; 2], accumulate: bool) -> Product {
    let strides = |mul: usize, apart: bool| if apart { [1, mul] } else { [d, 1] };
    let ([x_mul, x_d], [y_mul, y_d]) = (strides(mul_in, x_apart), strides(mul_out, y_apart));
    Product {
        dtype,
        m: [
            Along { extent: Extent::Rows, strides: [mul_out * d, mul_in * d] },
            Along { extent: Extent::Fixed(d), strides: [y_d, x_d] },
        ],
        k: [Along::NONE, Along { extent: Extent::Fixed(mul_in), strides: [x_mul, mul_out] }],
        n: mul_out,
        n_stride: y_mul,
        coefficient: 0.5,
        accumulate,
        finish: Finish::Plain,
    }
}

/// The gradient of the layer's weights, from `[rows, d, mul]` arrays; the array of weights may be transposed.
fn weights(dtype: DType, [mul_in, mul_out, d]: [usize; 3], [transposed, accumulate]: [bool; 2]) -> Product {
    let (m_stride, n_stride) = if transposed { (1, mul_in) } else { (mul_out, 1) };
    Product {
        dtype,
        m: [Along { extent: Extent::Fixed(mul_in), strides: [m_stride, 1] }, Along::NONE],
        k: [
            Along { extent: Extent::Rows, strides: [mul_in * d, mul_out * d] },
            Along { extent: Extent::Fixed(d), strides: [mul_in, mul_out] },
        ],
        n: mul_out,
        n_stride,
        coefficient: -2.0,
        accumulate,
        finish: Finish::Plain,
    }
}

/// The same gradient where components are neighbours in the layer's input: `[rows, mul, d]`.
fn weights_of_components(dtype: DType, [mul_in, mul_out, d]: [usize; 3], accumulate: bool) -> Product {
    let Product { m: [m, none], k: [rows, _], .. } = weights(dtype, [mul_in, mul_out, d], [false, accumulate]);
    Product {
        m: [Along { strides: [m.strides[0], d], ..m }, none],
        k: [Along { extent: Extent::Fixed(d), strides: [1, mul_out] }, rows],
        ..weights(dtype, [mul_in, mul_out, d], [false, accumulate])
    }
}

fn check_product<const N: usize>(product: &Product, lengths: [usize; N], rows: usize) {
    let plain: Vec<Vec<f64>> = lengths.iter().enumerate().map(|(k, &n)| values(n, k * 100)).collect();
    let wanted = plainly(product, &plain, rows);
    for set in available() {
        let found = after(product, set, &plain, rows).swap_remove(0);
        assert_eq!(found, wanted, "{set}: {product:?}, {rows} rows");
    }
}

/// The arrays after a call of a product.
fn after(product: &Product, set: InstructionSet, before: &[Vec<f64>], rows: usize) -> Vec<Vec<f64>> {
    called(&Micro::Product(product.clone()), product.dtype, set, before, rows)
}

/// The arrays after a call of a micro-kernel whose elements are of this type.
fn called(micro: &Micro, dtype: DType, set: InstructionSet, before: &[Vec<f64>], rows: usize) -> Vec<Vec<f64>> {
    if dtype == DType::F64 {
        let mut arrays = before.to_vec();
        call::<f64>(micro, set, &mut arrays, rows);
        arrays
    } else {
        let mut arrays: Vec<Vec<f32>> = before.iter().map(|a| a.iter().map(|x| *x as f32).collect()).collect();
        call::<f32>(micro, set, &mut arrays, rows);
        arrays.into_iter().map(|array| array.into_iter().map(f64::from).collect()).collect()
    }
}

#[test]
fn long_products_ask_for_what_is_ahead_and_compute_the_same() {
    let memory = vec![0u8; 200_000];
    let range = |from: usize, to: usize| [memory[from..].as_ptr(), memory[to..].as_ptr()];
    let mut ahead = Ahead { work: 1, left: 2, ..Ahead::NOTHING };
    (ahead.ranges[1], ahead.ranges[2]) = (range(0, 1000), range(2000, 3000));
    let mut large = Ahead { left: 1, ..ahead };
    large.ranges[1] = range(0, 150_000);
    let layer = |mul: usize| layer(DType::F32, [mul, 16, 3], [false, false], false);
    for set in available() {
        let run = |mul: usize, rows: usize, ahead: Ahead| {
            let mut arrays = [16 * 3 * rows, mul * 3 * rows, mul * 16].map(|count| values::<f32>(count, 1));
            let left = call_ahead(&Micro::Product(layer(mul)), set, &mut arrays, rows, ahead);
            let [out, ..] = arrays;
            (out, left)
        };
        let (out, all) = run(16, 12, ahead);
        assert_eq!(out, run(16, 12, Ahead::NOTHING).0, "{set}");
        assert_eq!(all.left, 0, "{set}");
        // A few rows do not come to the end.
        let (_, some) = run(16, 1, large);
        let [begin, end] = large.ranges[1];
        assert!(some.left == 1 && begin < some.ranges[1][0] && some.ranges[1][0] < end, "{set}: {some:?}");
        // Sums of few terms do not ask.
        assert_eq!(run(8, 12, ahead).1.ranges, ahead.ranges, "{set}");
        assert_eq!(call_ahead::<f32>(&Micro::Prefetch(DType::F32), set, &mut [], 24, ahead).left, 0, "{set}");
    }
}

fn dtypes() -> impl Strategy<Value = DType> {
    prop_oneof![Just(DType::F32), Just(DType::F64)]
}

proptest! {
    #[test]
    fn layers_are_what_plain_loops_compute(
        dtype in dtypes(), mul_in in 1usize..40, mul_out in 1usize..70, l in 0usize..7, rows in 1usize..30,
        apart: [bool; 2], accumulate: bool,
    ) {
        let d = 2 * l + 1;
        let product = layer(dtype, [mul_in, mul_out, d], apart, accumulate);
        check_product(&product, [rows * mul_out * d, rows * mul_in * d, mul_in * mul_out], rows);
    }

    #[test]
    fn layers_that_are_scaled_are_what_plain_loops_compute(
        dtype in dtypes(), mul_in in 1usize..300, mul_out in 1usize..70, l in 0usize..7, rows in 1usize..30,
        apart: [bool; 2], accumulate: bool, by_component: bool,
    ) {
        let d = 2 * l + 1;
        let scales = if by_component { d } else { 1 };
        let finish = Finish::Scaled([scales * mul_out, if by_component { mul_out } else { 0 }]);
        let product = Product { finish, ..layer(dtype, [mul_in, mul_out, d], apart, accumulate) };
        let lengths = [rows * mul_out * d, rows * mul_in * d, mul_in * mul_out, rows * scales * mul_out];
        check_product(&product, lengths, rows);
    }

    #[test]
    fn silu_of_sums_and_its_slope_are_what_plain_loops_compute(
        dtype in dtypes(), mul_in in 1usize..=Product::DEPTH, blocks in 1usize..7, rows in 1usize..40, gap in 0usize..3, sloped: bool,
    ) {
        let (mul_out, factor) = (blocks * Finish::WHOLE, 1.25);
        let sums = Product { coefficient: 1.0 / 64.0, ..layer(dtype, [mul_in, mul_out, 1], [false; 2], false) };
        let slope = sloped.then_some([mul_out + gap, 0]);
        let product = Product { finish: Finish::Silu { factor, slope }, ..sums.clone() };
        let mut plain: Vec<Vec<f64>> = [rows * mul_out, rows * mul_in, mul_in * mul_out].map(|n| values(n, n)).to_vec();
        plain.extend(sloped.then(|| values(rows * (mul_out + gap), 1)));
        let x = plainly(&sums, &plain, rows);
        let (silu, slope) = (|x: f64| x / (1.0 + (-x).exp()), |x: f64| {
            let s = 1.0 / (1.0 + (-x).exp());
            s + x * s * (1.0 - s)
        });
        let epsilon = if dtype == DType::F64 { f64::EPSILON } else { f64::from(f32::EPSILON) };
        for set in available() {
            let found = after(&product, set, &plain, rows);
            for (k, &x) in x.iter().enumerate() {
                let (wanted, found) = (factor * silu(x), found[0][k]);
                // Where e^−x is too large for a float, zero is given.
                prop_assert!((found - wanted).abs() <= 4.0 * epsilon * wanted.abs() + 1e-35, "{}: {} of {}", set, found, x);
            }
            if sloped {
                let slopes = found[3].chunks(mul_out + gap).flat_map(|row| &row[..mul_out]);
                for (found, &x) in slopes.zip(&x) {
                    // x (1 − σ(x)) has the error of σ(x) x times.
                    prop_assert!((found - slope(x)).abs() <= (4.0 + x.abs()) * epsilon, "{}: {} of {}", set, found, x);
                }
            }
        }
    }

    #[test]
    fn gradients_of_weights_are_what_plain_loops_compute(
        dtype in dtypes(), mul_in in 1usize..40, mul_out in 1usize..70, l in 0usize..4, rows in 1usize..40,
        options: [bool; 2],
    ) {
        let d = 2 * l + 1;
        let product = weights(dtype, [mul_in, mul_out, d], options);
        check_product(&product, [mul_in * mul_out, rows * mul_in * d, rows * mul_out * d], rows);
    }

    #[test]
    fn products_of_one_row_are_what_plain_loops_compute(
        dtype in dtypes(), mul_in in 1usize..40, mul_out in 1usize..300, l in 0usize..4, apart: [bool; 2], accumulate: bool,
    ) {
        let d = 2 * l + 1;
        let product = layer(dtype, [mul_in, mul_out, d], apart, accumulate);
        check_product(&product, [mul_out * d, mul_in * d, mul_in * mul_out], 1);
        let product = weights_of_components(dtype, [mul_in, mul_out, d], accumulate);
        check_product(&product, [mul_in * mul_out, mul_in * d, mul_out * d], 1);
    }

    #[test]
    fn products_with_squares_are_what_plain_loops_compute(
        dtype in dtypes(), bits in 1u32..4, mul in 1usize..9, l in 0usize..4, rows in 1usize..40, apart: [bool; 2],
        accumulate: bool,
    ) {
        let (side, d) = (1usize << bits, 2 * l + 1);
        let product = layer(dtype, [side, mul, d], apart, accumulate);
        check_product(&product, [rows * mul * d, rows * side * d, side * mul], rows);
        let product = weights_of_components(dtype, [side, mul, d], accumulate);
        check_product(&product, [side * mul, rows * side * d, rows * mul * d], rows);
    }

    #[test]
    fn long_sums_go_through_memory(dtype in dtypes(), mul_in in 250usize..800, rows in 1usize..6) {
        check_product(&layer(dtype, [mul_in, 19, 3], [true, false], false), [rows * 57, rows * mul_in * 3, mul_in * 19], rows);
    }

    #[test]
    fn sums_of_neighbours_are_what_plain_loops_compute(
        dtype in dtypes(), terms in 1usize..200, l in 0usize..5, rows in 1usize..40, strides in [1usize..3, 1usize..3],
        accumulate: bool,
    ) {
        let (short, [b_stride, out_stride]) = (2 * l + 1, strides);
        check_dot(&Dot { dtype, rows: [short * out_stride + 1, terms * short + 2], short, terms, b_stride, out_stride, coefficient: 0.5, accumulate }, rows);
    }

    #[test]
    fn transposing_copies_exchange_axes(
        dtype in dtypes(), long in 1usize..70, short in 2usize..40, rows in 1usize..6, apart: bool, gap in 0usize..3,
    ) {
        let between = long + gap;
        let width = between * short;
        let transpose = Transpose { dtype, rows: [width + 1, width], short, long, apart, between, coefficient: 3.0 };
        let from = values::<f64>(rows * width, 0);
        let mut wanted = vec![-1.0; rows * (width + 1)];
        for r in 0..rows {
            for u in 0..long {
                for i in 0..short {
                    let (long_major, short_major) = (u * short + i, i * between + u);
                    let (to, at) = if apart { (short_major, long_major) } else { (long_major, short_major) };
                    wanted[r * (width + 1) + to] = 3.0 * from[r * width + at];
                }
            }
        }
        for set in available() {
            let micro = Micro::Transpose(transpose.clone());
            let out = vec![-1.0; rows * (width + 1)];
            let found = called(&micro, dtype, set, &[out, from.clone()], rows).swap_remove(0);
            prop_assert_eq!(&found, &wanted, "{}", set);
        }
    }
}

/// Sums of neighbours by every set. What lies between rows is NaN, and no row sees it.
fn check_dot(dot: &Dot, rows: usize) {
    let Dot { rows: [out_row, a_row], short, terms, b_stride, out_stride, .. } = *dot;
    let mut a = values::<f64>((rows - 1) * a_row + terms * short, 1);
    (0..a.len()).filter(|k| k % a_row >= terms * short).for_each(|k| a[k] = f64::NAN);
    let (b, out) = (values::<f64>((terms - 1) * b_stride + 1, 2), values::<f64>(rows * out_row, 3));
    let mut wanted = out.clone();
    for r in 0..rows {
        for i in 0..short {
            let sum = (0..terms).map(|u| a[r * a_row + u * short + i] * b[u * b_stride]).sum::<f64>();
            let to = &mut wanted[r * out_row + i * out_stride];
            *to = 0.5 * sum + if dot.accumulate { *to } else { 0.0 };
        }
    }
    let before = [out, a, b];
    for set in available() {
        let micro = Micro::Dot(dot.clone());
        let found = called(&micro, dot.dtype, set, &before, rows).swap_remove(0);
        assert_eq!(found, wanted, "{set}");
    }
}

#[test]
fn sums_of_the_most_neighbours_have_room() {
    for short in [1, 3, 5, 7] {
        let terms = MAX_DOT / short;
        for dtype in [DType::F32, DType::F64] {
            check_dot(
                &Dot {
                    dtype,
                    rows: [short, terms * short],
                    short,
                    terms,
                    b_stride: 2,
                    out_stride: 1,
                    coefficient: 0.5,
                    accumulate: false,
                },
                3,
            );
        }
    }
}

/// An expression of `x0` at `xs`, by every set; it may err by four units in the last place of its value, or of `least` where
/// that is larger.
fn check_function<T: Float + Into<f64>>(dtype: DType, expr: &Expr, xs: &[f64], [epsilon, least]: [f64; 2]) {
    let map = Map { dtype, exprs: vec![expr.clone()], rows: vec![xs.len(); 2], count: xs.len() };
    for set in available() {
        let given: Vec<T> = xs.iter().map(|x| T::rounded(*x)).collect();
        let mut arrays = [vec![T::rounded(7.0); xs.len()], given.clone()];
        call::<T>(&Micro::Map(map.clone()), set, &mut arrays, 1);
        for (found, x) in arrays[0].iter().zip(given) {
            let (found, x): (f64, f64) = ((*found).into(), x.into());
            let wanted: f64 = T::rounded(expr.evaluate(&[x])).into();
            let close = (found - wanted).abs() <= 4.0 * epsilon * wanted.abs().max(least);
            assert!(
                close || found == wanted || (found.is_nan() && wanted.is_nan()),
                "{set}: {expr} at {x} is {found}, not {wanted}"
            );
        }
    }
}

#[test]
fn functions_err_by_few_units_in_the_last_place() {
    let mut xs: Vec<f64> = (-4000..4000).map(|k| f64::from(k) * 0.0037).collect();
    xs.extend([0.0, -0.0, 1e-30, -1e-30, 87.0, -87.0, 1e4, -1e4, f64::INFINITY, f64::NEG_INFINITY, f64::NAN]);
    let check = |expr: Expr, least: f64| {
        check_function::<f32>(DType::F32, &expr, &xs, [f64::from(f32::EPSILON), least]);
        check_function::<f64>(DType::F64, &expr, &xs, [f64::EPSILON, least]);
    };
    let tiny = f64::from(f32::MIN_POSITIVE);
    for op in Unary::ALL {
        check(Expr::unary(op, Expr::Arg(0)), tiny);
    }
    let (x, s) = (|| Expr::Arg(0), || Expr::unary(Unary::Sigmoid, Expr::Arg(0)));
    check(x() * s(), tiny);
    check(s() * x(), tiny);
    // The derivative of x σ(x), which is a difference near its root, where 1 − σ(x) errs by as much as σ(x) and is multiplied with x.
    check(s() + x() * (s() * (Expr::constant(1.0) - s())), 2.0);
    check((Expr::constant(1.0) - s()) * x() * s() + s(), 2.0);
    check(s() - x() * (s() * (s() + Expr::constant(-1.0))), 2.0);
    check(x() * (s() * (s() + Expr::constant(-1.0))) - s(), 2.0);
    check(s() + x() * (s() * (Expr::constant(2.0) - s())), 2.0);
    // x σ(u) at once, and where σ(u) is a part of something else as well.
    let wide = || Expr::unary(Unary::Sigmoid, x() * Expr::constant(2.0));
    check(x() * wide(), tiny);
    check(Expr::constant(3.0) * s(), tiny);
    check(wide() * s(), tiny);
    check(x() * wide() + wide(), 8.0);
    check(x(), tiny);
    check(Expr::constant(3.0), tiny);
}

#[test]
fn polynomials_err_by_few_units_in_the_last_place() {
    let mut xs: Vec<f64> = (-4000..4000).map(|k| f64::from(k) * 0.0037).collect();
    xs.extend([0.0, -0.0, 1e-30, 1e4, f64::INFINITY, f64::NEG_INFINITY, f64::NAN]);
    let (x, c) = (|| Expr::Arg(0), Expr::constant);
    let cube = || c(0.044715) * (x() * (x() * x()));
    let sigmoid = |x: Expr| Expr::unary(Unary::Sigmoid, x);
    let tiny = f64::from(f32::MIN_POSITIVE);
    // Odd, even, a factor beside others; and what takes digits from another is left as it is, and errs as its largest term does.
    let exprs = [
        (c(1.5) * (x() + cube()), tiny),
        (c(1.0) + x() * x() * c(0.25), tiny),
        (Expr::unary(Unary::Neg, x() * x()) - c(2.0), tiny),
        (sigmoid(x()) * (c(-0.5) * (x() * (c(1.0) + c(3.0) * (x() * x())))), tiny),
        ((x() + c(-1.0)) * (x() + c(-1.0)), tiny),
        (x() * x() - c(1.0), 1.0),
        (x() * x() * x() * x() * x() * x() * x() * x(), tiny),
    ];
    for (expr, least) in exprs {
        check_function::<f32>(DType::F32, &expr, &xs, [f64::from(f32::EPSILON), least]);
        check_function::<f64>(DType::F64, &expr, &xs, [f64::EPSILON, least]);
    }
}

#[test]
fn products_that_are_parts_of_one_another_have_room() {
    let (x, c) = (|| Expr::Arg(0), Expr::constant);
    let mut product = x() * (x() * Expr::unary(Unary::Sigmoid, x()));
    let mut sum = product.clone();
    for k in 1..6 {
        product = product * Expr::unary(Unary::Abs, x() + c(f64::from(k)));
        sum = sum + product.clone();
    }
    assert!(Map::parts(&[sum.clone()]) <= schur_ir::micro::MAX_MAP_PARTS);
    let xs: Vec<f64> = (-400..400).map(|k| f64::from(k) * 0.037).collect();
    check_function::<f64>(DType::F64, &sum, &xs, [4.0 * f64::EPSILON, f64::MIN_POSITIVE]);
}

#[test]
fn a_map_has_several_results() {
    let (x, y) = (|| Expr::Arg(0), || Expr::Arg(1));
    let sigmoid = || Expr::unary(Unary::Sigmoid, x());
    // One is a part of another, one is an operand, and one is there twice.
    let slope = sigmoid() - x() * (sigmoid() * (sigmoid() + Expr::constant(-1.0)));
    let exprs = vec![x() * sigmoid(), slope, sigmoid(), sigmoid() * (sigmoid() + Expr::constant(-1.0)), y(), sigmoid()];
    for count in [1, 16, 37, 300] {
        let given = [values::<f64>(count, 1), values(count, 2)];
        let results = exprs.len();
        let map = Map { dtype: DType::F64, exprs: exprs.clone(), rows: vec![count; results + 2], count };
        for set in available() {
            let mut arrays: Vec<Vec<f64>> = vec![vec![7.0; count]; results];
            arrays.extend(given.clone());
            call::<f64>(&Micro::Map(map.clone()), set, &mut arrays, 1);
            for (expr, found) in exprs.iter().zip(&arrays) {
                let wanted = (0..count).map(|k| expr.evaluate(&[given[0][k], given[1][k]]));
                assert!(
                    found.iter().zip(wanted).all(|(a, b)| (a - b).abs() <= 1e-14 * b.abs().max(1.0)),
                    "{set}: {expr}"
                );
            }
        }
    }
}

proptest! {
    #[test]
    fn maps_of_rows_are_what_plain_loops_compute(rows in 1usize..150, count in 1usize..90, gap in 0usize..3) {
        // silu(x) scaled by the larger of y and a constant where x is positive, else −y; y is the same for all rows.
        let (x, y) = (|| Expr::Arg(0), || Expr::Arg(1));
        let silu = x() * Expr::unary(Unary::Sigmoid, x());
        let scaled = silu * Expr::binary(Binary::Max, y(), Expr::constant(0.25));
        let expr = Expr::select(Expr::binary(Binary::Gt, x(), Expr::constant(0.0)), scaled, Expr::unary(Unary::Neg, y()));
        let map = Map { dtype: DType::F64, exprs: vec![expr.clone()], rows: vec![count + gap, count, 0], count };
        let plain = [vec![-1.0; rows * (count + gap)], values(rows * count, 1), values(count, 2)];
        let mut wanted = plain[0].clone();
        for r in 0..rows {
            for k in 0..count {
                wanted[r * (count + gap) + k] = expr.evaluate(&[plain[1][r * count + k], plain[2][k]]);
            }
        }
        for set in available() {
            let mut arrays = plain.clone();
            call::<f64>(&Micro::Map(map.clone()), set, &mut arrays, rows);
            prop_assert!(arrays[0].iter().zip(&wanted).all(|(a, b)| (a - b).abs() <= 1e-14 * b.abs()), "{}", set);
        }
    }
}
