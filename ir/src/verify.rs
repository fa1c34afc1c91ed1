//! The verifier of graphs. A graph that passes can be evaluated, differentiated and compiled. Stages ask for more in few
//! cases, each with an error of its own: the slope of a map can be a larger expression than a graph may hold; programs have
//! one float type, sizes that axes of inputs tell, and indices that are inputs, into axes whose sizes are numbers; and limits
//! on size and memory hold at every stage.
//!
//! It checks, of every node:
//! - what it reads comes before it; the type has one zero flag a chunk;
//! - the sizes of values and rows, their products and divisors are exact: nothing was cut off at the end of its range;
//! - row maps have one entry a leading axis, and the sizes that they match are equal, or 1 where they say so;
//!   indices are `i32` of width 1, and inputs that are required to be below a size that is a number;
//! - contractions: one or two factors a path, distinct letters, one stride an axis, segments inside their values, finite
//!   coefficients, float operands of the output's element type, output sizes as the rows say;
//! - maps: equal widths, no index, no operand missing; float or `bool` operands; the output has the sizes of the rows;
//! - maxima keep a prefix of the sizes and the width; reshapes keep the number of elements;
//! - a chunk that is said to be zero is: no path of a contraction writes it; a map gives zero there, where operands that are
//!   zero are; a reshape reads nothing else. Of leaves and maxima nothing is known;
//! - inputs are floats, or one integer or boolean a row; parameters are floats, and their sizes are numbers;
//!
//! and of the graph: names of inputs, of parameters, and of outputs of one kind are unique; outputs exist, and shapes of their
//! own hold as many elements as a row; what is required is required of inputs.

use std::collections::HashSet;
use std::sync::Arc;

use crate::dim::Dim;
use crate::expr::Expr;
use crate::graph::{
    Contract, Graph, Map, Node, Op, Operand, Output, Path, Requirement, RowIndex, RowMap, Segment, ValueId,
};
use crate::ty::{DType, Type, have_exact_strides};

mod zeros;

/// A rule of the graph that is broken: a bug of the pass that made the graph, or a fault in a hand-written one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value}: {rule}")]
pub struct VerifyError {
    /// The value at fault.
    pub value: ValueId,
    /// The rule, as it applies to it.
    pub rule: String,
}

type Check = Result<(), String>;

fn ensure(holds: bool, rule: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(rule()) }
}

/// Checks a graph; see the module's list.
pub fn verify(graph: &Graph) -> Result<(), VerifyError> {
    let mut leaves = HashSet::new();
    for (value, node) in graph.values() {
        node_rules(graph, value, node, &mut leaves).map_err(|rule| VerifyError { value, rule })?;
    }
    let mut names = HashSet::new();
    for output in &graph.outputs {
        let fault = |rule: String| VerifyError { value: output.value, rule };
        let exists = output.value.index() < graph.nodes.len();
        ensure(exists, || format!("output `{}` does not exist", output.name)).map_err(fault)?;
        ensure(names.insert((output.kind, &output.name)), || format!("two outputs are named `{}`", output.name))
            .map_err(fault)?;
        shape_rules(output, graph.ty(output.value)).map_err(fault)?;
    }
    graph.requirements.iter().try_for_each(|requirement| requirement_rules(graph, requirement))
}

fn requirement_rules(graph: &Graph, requirement: &Requirement) -> Result<(), VerifyError> {
    let last = ValueId(u32::try_from(graph.nodes.len().saturating_sub(1)).unwrap_or(u32::MAX));
    let is_input = |name: &Arc<str>, dtype: DType| {
        let of_input = |node: &Node| matches!(&node.op, Op::Input(input) if input == name);
        let found = graph.values().find(|(_, node)| of_input(node));
        let value = found.map_or(last, |(value, _)| value);
        let fits = found.is_some_and(|(_, node)| node.ty.dtype == dtype);
        ensure(fits, || format!("a requirement is of `{name}`, which is no input of type {dtype}"))
            .map_err(|rule| VerifyError { value, rule })
    };
    match requirement {
        Requirement::IndexBelow { input, .. } => is_input(input, DType::I32),
        Requirement::AnyTrue { input, .. } => is_input(input, DType::Bool),
        Requirement::NotEmpty { dims, .. } => {
            ensure(dims.iter().all(Dim::is_exact), || "a size that is required is too large".into())
                .map_err(|rule| VerifyError { value: last, rule })
        }
    }
}

fn shape_rules(output: &Output, ty: &Type) -> Check {
    let Some(shape) = &output.shape else { return Ok(()) };
    let elements = shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size));
    ensure(elements == Some(ty.width()), || format!("the shape of `{}` is not its width", output.name))?;
    let is_fixed = ty.dims.iter().all(|dim| dim.constant().is_some());
    ensure(is_fixed || !ty.dtype.is_float(), || format!("`{}` has a shape, and sizes that are no numbers", output.name))
}

fn node_rules<'g>(graph: &'g Graph, value: ValueId, node: &'g Node, leaves: &mut HashSet<&'g str>) -> Check {
    for read in node.op.reads() {
        ensure(read < value, || format!("reads {read}, which does not come before it"))?;
    }
    ensure(node.ty.zero.len() == node.ty.irreps.len(), || "one zero flag a chunk is needed".into())?;
    ensure(node.ty.has_exact_size(), || format!("an array of {} fits in no memory", node.ty))?;
    zeros::rules(graph, node)?;
    match &node.op {
        Op::Input(name) => {
            ensure(leaves.insert(name), || format!("two leaves are named `{name}`"))?;
            let fits = node.ty.dtype.is_float() || node.ty.width() == 1;
            ensure(fits, || format!("`{name}` is {} of width {}, not 1", node.ty.dtype, node.ty.width()))
        }
        Op::Param(param) => {
            ensure(node.ty.dtype.is_float(), || format!("the parameter `{}` is {}", param.name, node.ty.dtype))?;
            ensure(leaves.insert(&param.name), || format!("two leaves are named `{}`", param.name))?;
            let known = node.ty.dims.iter().all(|dim| dim.constant().is_some());
            ensure(known, || format!("a size of the parameter `{}` is not a number", param.name))?;
            let elements = node.ty.rows().times(&Dim::from(node.ty.width() as i64));
            let shape = param.shape.iter().try_fold(1i64, |n, size| n.checked_mul(i64::try_from(*size).ok()?));
            let fits = shape.is_some_and(|shape| elements == Dim::from(shape));
            ensure(fits, || format!("the shape of `{}` is not its type's", param.name))
        }
        Op::Contract(contract) => contract_rules(graph, contract, &node.ty),
        Op::Map(map) => map_rules(graph, map, &node.ty),
        Op::Max(max) => {
            let of = graph.ty(max.value);
            let kept = of.dims.get(..max.keep).is_some_and(|kept| kept == node.ty.dims);
            ensure(kept, || "a maximum keeps a prefix of the sizes".into())?;
            ensure(of.width() == node.ty.width() && of.dtype == node.ty.dtype && of.dtype.is_float(), || {
                "a maximum keeps width and float element type".into()
            })
        }
        Op::Reshape(operand) => {
            let count = |ty: &Type| ty.rows().times(&Dim::from(ty.width() as i64));
            let of = graph.ty(*operand);
            ensure(count(of) == count(&node.ty) && of.dtype == node.ty.dtype, || {
                format!("a reshape keeps elements: {of} is not {}", node.ty)
            })
        }
    }
}

fn row_map_rules(graph: &Graph, map: &RowMap, dims: &[Dim], rows: &[Dim]) -> Check {
    let mut rest = dims;
    if let Some(index) = &map.index {
        let [first, tail @ ..] = dims else { return Err("an indexed operand needs a leading axis".into()) };
        rest = tail;
        ensure(*first == index.size, || format!("the indexed axis has size {first}, not {}", index.size))?;
        let ty = graph.ty(index.value);
        ensure(ty.dtype == DType::I32 && ty.width() == 1, || format!("index {} is not i32 of width 1", index.value))?;
        index_rules(graph, index)?;
        axes_rules(&index.axes, &ty.dims, rows)?;
    }
    axes_rules(&map.axes, rest, rows)
}

/// An index that calls give is required to be below the number that it picks from: nothing else checks it.
fn index_rules(graph: &Graph, index: &RowIndex) -> Check {
    let mut value = index.value;
    while let Op::Reshape(of) = &graph.node(value).op {
        value = *of;
    }
    let Op::Input(name) = &graph.node(value).op else { return Ok(()) };
    let Some(size) = index.size.constant() else { return Ok(()) };
    let below = |bound: usize| i64::try_from(bound).is_ok_and(|bound| bound <= size);
    ensure(graph.index_bound(name).is_some_and(below), || {
        format!("nothing requires `{name}` to be below {}", index.size)
    })
}

fn axes_rules(axes: &[Option<usize>], dims: &[Dim], rows: &[Dim]) -> Check {
    ensure(axes.len() == dims.len(), || format!("{} leading axes are mapped, there are {}", axes.len(), dims.len()))?;
    for (axis, dim) in axes.iter().zip(dims) {
        match axis {
            None => ensure(dim.is_one(), || format!("an axis of size {dim} is broadcast"))?,
            Some(axis) => {
                ensure(rows.get(*axis) == Some(dim), || format!("size {dim} is not that of row axis {axis}"))?
            }
        }
    }
    let mut used: Vec<usize> = axes.iter().flatten().copied().collect();
    used.sort_unstable();
    ensure(used.iter().zip(used.iter().skip(1)).all(|(a, b)| a != b), || "two axes are mapped to one".into())
}

fn operand_rules(graph: &Graph, operands: &[Operand], rows: &[Dim]) -> Check {
    operands.iter().try_for_each(|o| row_map_rules(graph, &o.map, &graph.ty(o.value).dims, rows))
}

fn contract_rules(graph: &Graph, contract: &Contract, ty: &Type) -> Check {
    let exact = have_exact_strides(&contract.rows) && contract.divisor.is_exact();
    ensure(exact, || "the number of rows, or the divisor, is too large".into())?;
    operand_rules(graph, &contract.operands, &contract.rows)?;
    row_map_rules(graph, &contract.out, &ty.dims, &contract.rows)?;
    ensure(contract.divisor.constant() != Some(0), || "divides by zero".into())?;
    ensure(ty.dtype.is_float(), || "a contraction is of floats".into())?;
    for operand in &contract.operands {
        let dtype = graph.ty(operand.value).dtype;
        ensure(dtype == ty.dtype, || format!("{} is {dtype}, the result {}", operand.value, ty.dtype))?;
    }
    contract.paths.iter().try_for_each(|path| path_rules(graph, contract, path, ty))
}

fn path_rules(graph: &Graph, contract: &Contract, path: &Path, ty: &Type) -> Check {
    ensure(matches!(path.factors.len(), 1 | 2), || "a path has one or two factors".into())?;
    ensure(path.coefficient.0.is_finite(), || "a coefficient is not finite".into())?;
    let letters: HashSet<char> = path.axes.iter().map(|a| a.letter).collect();
    ensure(letters.len() == path.axes.len(), || "two axes of a path have one letter".into())?;
    segment_rules(&path.out, path, ty.width())?;
    for factor in &path.factors {
        let operand = contract.operands.get(factor.operand).ok_or_else(|| "a factor names no operand".to_string())?;
        segment_rules(&factor.segment, path, graph.ty(operand.value).width())?;
    }
    Ok(())
}

fn segment_rules(segment: &Segment, path: &Path, width: usize) -> Check {
    ensure(segment.strides.len() == path.axes.len(), || "a segment has one stride an axis".into())?;
    let empty = path.axes.iter().any(|a| a.size == 0);
    ensure(empty || segment.last(&path.axes).is_some_and(|last| last < width), || {
        format!("a segment at {} leaves its value of width {width}", segment.offset)
    })
}

fn map_rules(graph: &Graph, map: &Map, ty: &Type) -> Check {
    operand_rules(graph, &map.operands, &map.rows)?;
    ensure(map.rows == ty.dims && ty.dtype.is_float(), || "a map is of floats, with the sizes of its rows".into())?;
    ensure(map.expr.is_small(), || format!("the expression is deeper than {} or too large", Expr::MAX_DEPTH))?;
    ensure(map.expr.arity() <= map.operands.len(), || "an operand of the expression is missing".into())?;
    for operand in &map.operands {
        let of = graph.ty(operand.value);
        ensure(operand.map.index.is_none(), || "a map does not index".into())?;
        ensure(of.width() == ty.width(), || format!("{} has width {}, not {}", operand.value, of.width(), ty.width()))?;
        let fits = of.dtype == ty.dtype || of.dtype == DType::Bool;
        ensure(fits, || format!("{} is {}, the result {}", operand.value, of.dtype, ty.dtype))?;
    }
    Ok(())
}
