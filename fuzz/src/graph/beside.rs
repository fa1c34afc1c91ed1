//! A compiled graph beside the reference.
//!
//! Graphs without maps and maxima are compared element by element: for a sum of products there is a bound on what rounding
//! in any order does. Of zeros, every sum of products is zero, whatever the coefficients.

use std::collections::HashSet;
use std::sync::Arc;

use schur::ir::dim::{Bindings, Dim};
use schur::ir::expr::{Binary, Expr};
use schur::ir::graph::{Contract, Graph, Op, Path, Requirement};
use schur::runtime::executor::{Executor, Outputs};
use schur::runtime::reference::{Arrays, ReferenceError, evaluate, evaluate_all};
use schur::{Array, ArrayView, DType, Data, Error, ParamStore, Program};

use super::super::Random;

/// The most multiplications of a graph that is run.
const MAX_WORK: usize = 1 << 18;

/// True where a graph can be run at once, and all its numbers are near enough to 1 for a tolerance that knows nothing of
/// them. None may be compared where some are differences of what is equal: they are rounding, or zero where terms are joined.
pub(super) fn is_moderate(graph: &Graph) -> bool {
    let symbols = graph.nodes.iter().flat_map(|node| &node.ty.dims).flat_map(Dim::symbols);
    let sizes: Bindings = symbols.map(|symbol| (symbol.clone(), 5)).collect();
    let near = |x: f64| x == 0.0 || (1e-4..1e4).contains(&x.abs());
    let constants = |op: &Op| match op {
        Op::Map(map) => all_constants(&map.expr, &near),
        Op::Input(_) | Op::Param(_) | Op::Contract(_) | Op::Max(_) | Op::Reshape(_) => true,
    };
    work(graph, &sizes).is_some_and(|work| work <= MAX_WORK)
        && graph.nodes.iter().all(|node| constants(&node.op))
        && graph.nodes.iter().map(|n| growth(&n.op)).product::<f64>() < 1e8
        && !(graph.nodes.iter().any(|node| compares(&node.op)) && graph.nodes.iter().any(|node| cancels(&node.op)))
}

/// True where a map has a jump.
fn compares(op: &Op) -> bool {
    let is_comparison = |expr: &&Expr| matches!(expr, Expr::Binary(Binary::Gt | Binary::Eq, ..));
    match op {
        Op::Map(map) => {
            let mut parts = HashSet::new();
            map.expr.add_parts(&mut parts);
            parts.iter().any(is_comparison)
        }
        Op::Input(_) | Op::Param(_) | Op::Contract(_) | Op::Max(_) | Op::Reshape(_) => false,
    }
}

/// True where a contraction has a term and the same with the other sign.
fn cancels(op: &Op) -> bool {
    match op {
        Op::Contract(Contract { paths, .. }) => paths.iter().enumerate().any(|(k, path)| {
            let is_opposite = |other: &Path| {
                other.coefficient.0 == -path.coefficient.0 && (&other.factors, &other.out) == (&path.factors, &path.out)
            };
            paths.iter().skip(k + 1).any(is_opposite)
        }),
        Op::Input(_) | Op::Param(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => false,
    }
}

fn all_constants(expr: &Expr, near: &impl Fn(f64) -> bool) -> bool {
    match expr {
        Expr::Arg(_) => true,
        Expr::Const(value) => near(value.0),
        Expr::Unary(_, x) => all_constants(x, near),
        Expr::Binary(_, x, y) => all_constants(x, near) && all_constants(y, near),
        Expr::Select(x, y, z) => [x, y, z].iter().all(|x| all_constants(x, near)),
    }
}

/// By how much an op may multiply magnitudes or, where it divides them, what was rounded away before.
fn growth(op: &Op) -> f64 {
    match op {
        Op::Contract(contract) => contract.paths.iter().map(|path| path.coefficient.0.abs()).fold(1.0, |most, c| {
            let small = if c > 0.0 { 1.0 / c } else { 1.0 };
            most.max(c).max(small)
        }),
        Op::Input(_) | Op::Param(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => 1.0,
    }
}

/// Runs a program with numbers and with zeros, and fails where it is not what the reference says.
pub(super) fn compare(graph: &Graph, program: Program) {
    let mut random = Random::new(graph.nodes.len() as u64);
    let Some(sizes) = sizes(graph, &mut random) else { return };
    let dtype = program.dtype;
    let mut executor = Executor::new(Arc::new(program)).unwrap_or_else(|error| panic!("{error}\n{graph}"));
    executor.set_threads(1);
    for zeros in [false, true] {
        let Some((inputs, params)) = arrays(graph, &sizes, zeros, &mut random) else { return };
        let leaves: Vec<_> = executor.program().params.iter().map(|slot| slot.param.clone()).collect();
        let store = ParamStore::from_arrays(&leaves, dtype, params.clone()).unwrap_or_else(|e| panic!("{e}\n{graph}"));
        let views: Vec<(&str, ArrayView<'_>)> =
            inputs.iter().map(|(name, array)| (name.as_str(), array.view())).collect();
        match executor.call(&views, &store) {
            Ok(found) => agree(graph, &found, (&inputs, &params), dtype, zeros, &sizes),
            // Arrays that the graph requires to be others.
            Err(error) => assert!(!Error::from(error).is_bug(), "{graph}"),
        }
    }
}

/// A size for every symbol, small enough that the graph can be run at once.
fn sizes(graph: &Graph, random: &mut Random) -> Option<Bindings> {
    let mut sizes = Bindings::new();
    let symbols = graph.nodes.iter().flat_map(|node| &node.ty.dims).flat_map(Dim::symbols);
    for symbol in symbols {
        sizes.entry(symbol.clone()).or_insert_with(|| random.one_of(&[2, 1, 3, 0]));
    }
    work(graph, &sizes).is_some_and(|work| work <= MAX_WORK).then_some(sizes)
}

/// The multiplications and the elements of a graph.
fn work(graph: &Graph, sizes: &Bindings) -> Option<usize> {
    let mut work = 0usize;
    for node in &graph.nodes {
        let mut each = node.ty.width().max(1);
        if let Op::Contract(contract) = &node.op {
            each = contract.paths.iter().map(terms).fold(each, usize::saturating_add);
        }
        for dims in [graph.rows_of(&node.op), &node.ty.dims] {
            work = work.saturating_add(Dim::product(dims).evaluate(sizes).ok()?.saturating_mul(each));
        }
    }
    Some(work)
}

fn terms(path: &Path) -> usize {
    path.axes.iter().fold(1, |count, axis| count.saturating_mul(axis.size))
}

/// Arrays for inputs and parameters: numbers that `f32` holds, or zeros; indices that are allowed; masks. None where no array
/// has a shape that is asked for, as `[0, 2^62, 6]`.
fn arrays(graph: &Graph, sizes: &Bindings, zeros: bool, random: &mut Random) -> Option<(Arrays, Arrays)> {
    let (mut inputs, mut params) = (Arrays::new(), Arrays::new());
    for node in &graph.nodes {
        let (name, shape, to) = match &node.op {
            Op::Input(name) => {
                let mut shape = node.ty.dims.iter().map(|dim| dim.evaluate(sizes).ok()).collect::<Option<Vec<_>>>()?;
                shape.extend(node.ty.dtype.is_float().then_some(node.ty.width()));
                (name, shape, &mut inputs)
            }
            Op::Param(param) => (&param.name, param.shape.clone(), &mut params),
            Op::Contract(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => continue,
        };
        let bounds = graph.requirements.iter().filter_map(|requirement| match requirement {
            Requirement::IndexBelow { input, bound, .. } if input == name => Some(*bound),
            Requirement::IndexBelow { .. } | Requirement::NotEmpty { .. } | Requirement::AnyTrue { .. } => None,
        });
        let bound = bounds.min().unwrap_or(1).clamp(1, 100);
        let count = shape.iter().product::<usize>();
        let mut float =
            || if zeros { 0.0 } else { (random.below(505) as f64 + 8.0) / 512.0 * random.one_of(&[1.0, -1.0]) };
        let data = match node.ty.dtype {
            DType::F64 => Data::F64((0..count).map(|_| float()).collect()),
            DType::F32 => Data::F32((0..count).map(|_| float() as f32).collect()),
            DType::I32 => Data::I32((0..count).map(|_| random.below(bound) as i32).collect()),
            DType::Bool => Data::Bool((0..count).map(|k| u8::from(k == 0 || random.below(2) == 1)).collect()),
        };
        to.insert(name.to_string(), Array::new(shape, data).ok()?);
    }
    Some((inputs, params))
}

fn agree(
    graph: &Graph,
    found: &Outputs,
    (inputs, params): (&Arrays, &Arrays),
    dtype: DType,
    zeros: bool,
    sizes: &Bindings,
) {
    let wanted = match evaluate(graph, inputs, params) {
        Ok(wanted) => wanted,
        // Of a value that no output needs, or that is multiplied by zero: no code computes it.
        Err(ReferenceError::Size(_) | ReferenceError::Index { .. }) => return,
        Err(error) => panic!("{error}\n{graph}"),
    };
    let values = evaluate_all(graph, inputs, params).unwrap_or_else(|error| panic!("{error}\n{graph}"));
    let bounds = bounds(graph, sizes, dtype);
    let is_zero = values.iter().flatten().all(|x| *x == 0.0);
    let held = graph.nodes.iter().all(|node| match &node.op {
        Op::Contract(contract) => contract.paths.iter().all(|path| dtype.holds(path.coefficient.0)),
        Op::Map(_) | Op::Max(_) => false,
        Op::Input(_) | Op::Param(_) | Op::Reshape(_) => true,
    });
    let kinds = [
        (&found.outputs, &wanted.outputs),
        (&found.statistics, &wanted.statistics),
        (&found.gradients, &wanted.gradients),
    ];
    for (found, wanted) in kinds {
        assert!(found.keys().map(|name| &**name).eq(wanted.keys().map(String::as_str)), "{graph}");
        for ((name, found), wanted) in found.iter().zip(wanted.values()) {
            assert_eq!(found.shape(), wanted.shape(), "{name}: {graph}");
            let output = graph.outputs.iter().find(|output| output.name == *name).map(|output| output.value);
            let error = output.and_then(|value| bounds.as_ref()?.get(value.index()).copied());
            for (a, b) in found.to_f64().iter().zip(wanted) {
                let near = error.is_none_or(|error| (a - b).abs() <= error);
                assert!(near, "`{name}`: {a} where {b} is wanted, up to {error:?}: {graph}");
                assert!(!(zeros && is_zero && held) || *a == 0.0, "`{name}`: {a} where all is zero: {graph}");
            }
        }
    }
}

/// How far every value may be from the reference's, where arrays are about 1, in whichever order sums and products are
/// computed. None where a graph is no sum of products, or a number on the way may be beyond the type.
fn bounds(graph: &Graph, sizes: &Bindings, dtype: DType) -> Option<Vec<f64>> {
    let (rounding, least, most) = match dtype {
        DType::F32 => (1e-6, 1e-37, 1e35),
        DType::F64 | DType::I32 | DType::Bool => (1e-14, 1e-307, 1e300),
    };
    let amplified = graph.nodes.iter().map(|node| growth(&node.op)).product::<f64>();
    // The magnitude of a value, and its error.
    let mut known = Vec::<(f64, f64)>::new();
    for node in &graph.nodes {
        let (size, error) = match &node.op {
            Op::Input(_) | Op::Param(_) => (1.0, 0.0),
            Op::Reshape(of) => *known.get(of.index())?,
            Op::Contract(contract) => contract_bound(contract, &known, sizes, rounding)?,
            Op::Map(_) | Op::Max(_) => return None,
        };
        known.push((size, error + least * amplified * amplified));
        if amplified * size.max(1.0) > most {
            return None;
        }
    }
    let errors: Vec<f64> = known.into_iter().map(|(_, error)| error * 10.0).collect();
    errors.iter().all(|error| error.is_finite()).then_some(errors)
}

fn contract_bound(contract: &Contract, known: &[(f64, f64)], sizes: &Bindings, rounding: f64) -> Option<(f64, f64)> {
    let rows = Dim::product(&contract.rows).evaluate(sizes).ok()? as f64;
    let divisor = contract.divisor.evaluate(sizes).ok().filter(|divisor| *divisor > 0)? as f64;
    let count = rows.max(1.0) * contract.paths.iter().map(|path| terms(path) as f64).sum::<f64>();
    let (mut size, mut error) = (0.0, 0.0);
    for path in &contract.paths {
        let (mut product, mut beyond) = (1.0, 1.0);
        for factor in &path.factors {
            let (size, error) = known.get(contract.operands.get(factor.operand)?.value.index())?;
            product *= size;
            beyond *= size + error;
        }
        let times = path.coefficient.0.abs() * terms(path) as f64 * rows.max(1.0);
        size += times * product;
        error += times * (beyond - product + product * rounding * (2.0 + count));
    }
    Some((size / divisor.min(1.0), error / divisor.min(1.0)))
}
