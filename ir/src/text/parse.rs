//! Parsing. The grammar is read from left to right, one token ahead; line ends are space like any other.

use std::ops::ControlFlow;
use std::str::FromStr;
use std::sync::Arc;

use winnow::ascii::alphanumeric1;
use winnow::stream::LocatingSlice;

use super::token::{
    Fault, Input, Parsed, Reason, here, integer, mark, maybe, maybe_word, name, next_is, next_is_scalar, number,
    quoted, scalar, token, word,
};
use crate::dim::Dim;
use crate::expr::{Binary, Expr, Scalar, Unary};
use crate::graph::{Graph, Init, Map, Max, Node, Op, Output, OutputKind, Param, Requirement, ValueId};
use crate::irreps::{Irreps, MulIrrep, ParseIrrepsError};
use crate::limits::{LimitError, Limits};
use crate::ty::{DType, Type};

mod contract;

use contract::{contract, operands, paths};

/// Expressions deeper than this are refused.
const MAX_DEPTH: usize = Expr::MAX_DEPTH;

/// The most numbers and symbols in one size: what is done with sizes takes time in proportion to the square.
const MAX_DIM_FACTORS: usize = 1000;

/// Why a text is not a graph.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {reason}")]
pub struct ParseGraphError {
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
    /// The byte in the text.
    pub offset: usize,
    /// What is wrong.
    pub reason: String,
}

impl FromStr for Graph {
    type Err = ParseGraphError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Graph::parse_within(text, &Limits::default())
    }
}

impl Graph {
    /// The graph of a text, where that is within the limits.
    pub fn parse_within(text: &str, limits: &Limits) -> Result<Self, ParseGraphError> {
        let at_start = |error: LimitError| Fault { at: 0, reason: Reason::Wrong(error.to_string()) };
        LimitError::check("text", limits.text, text.len(), || "the bytes of the graph".into())
            .map_err(at_start)
            .and_then(|()| graph(&mut LocatingSlice::new(text)))
            .and_then(|graph| graph.check_limits(limits).map_err(at_start).map(|()| graph))
            .map_err(|fault| locate(text, fault))
    }
}

fn locate(text: &str, fault: Fault) -> ParseGraphError {
    let (before, after) = text.split_at(fault.at);
    let reason = match fault.reason {
        Reason::Wrong(reason) => reason,
        Reason::Expected(what) => {
            let found: String = after.chars().take(24).take_while(|c| !c.is_whitespace()).collect();
            let found = if found.is_empty() { "the end".to_string() } else { format!("`{found}`") };
            let what = if what.contains(char::is_alphabetic) { what.to_string() } else { format!("`{what}`") };
            format!("expected {what}, found {found}")
        }
    };
    let line_start = before.rfind('\n').map_or(0, |at| at.saturating_add(1));
    let line = before.matches('\n').count().saturating_add(1);
    let column = before[line_start..].chars().count().saturating_add(1);
    ParseGraphError { line, column, offset: fault.at, reason }
}

fn graph(input: &mut Input<'_>) -> Parsed<Graph> {
    if !maybe_word(input, "graph")? {
        return Err(Fault { at: here(input)?, reason: Reason::Expected("the keyword `graph`") });
    }
    let mut graph = Graph { name: quoted(input, "the graph's name in quotes")?, ..Graph::default() };
    while next_is(input, "%")? {
        let at = here(input)?;
        let (id, next) = (value(input)?, graph.nodes.len());
        if id.index() != next {
            return Fault::wrong(at, format!("values are numbered in order: this is %{next}"));
        }
        mark(input, ":")?;
        graph.nodes.push(node(input)?);
    }
    while statement(input, &mut graph)?.is_continue() {}
    Ok(graph)
}

/// A requirement or an output; breaks at the end of the text.
fn statement(input: &mut Input<'_>, graph: &mut Graph) -> Parsed<ControlFlow<()>> {
    let at = here(input)?;
    if input.is_empty() {
        return Ok(ControlFlow::Break(()));
    }
    let what = "a value, `require`, `output`, `statistic` or `gradient`";
    let keyword = word(input, what)?;
    if keyword == "require" {
        graph.requirements.push(requirement(input)?);
    } else if let Some(kind) = OutputKind::ALL.into_iter().find(|kind| kind.name() == keyword) {
        graph.outputs.push(output(input, kind)?);
    } else {
        return Err(Fault { at, reason: Reason::Expected(what) });
    }
    Ok(ControlFlow::Continue(()))
}

fn requirement(input: &mut Input<'_>) -> Parsed<Requirement> {
    let (at, what) = (here(input)?, "`index`, `rows` or `any`");
    match word(input, what)? {
        "index" => {
            let name = quoted(input, "an input's name in quotes")?.into();
            mark(input, "<")?;
            let bound = number(input, "a bound")?;
            Ok(Requirement::IndexBelow { input: name, bound, layer: layer(input)? })
        }
        "rows" => Ok(Requirement::NotEmpty { dims: list(input, dim)?, layer: layer(input)? }),
        "any" => {
            let name = quoted(input, "an input's name in quotes")?.into();
            Ok(Requirement::AnyTrue { input: name, layer: layer(input)? })
        }
        _ => Err(Fault { at, reason: Reason::Expected(what) }),
    }
}

fn output(input: &mut Input<'_>, kind: OutputKind) -> Parsed<Output> {
    let name = quoted(input, "the output's name in quotes")?.into();
    mark(input, "=")?;
    let value = value(input)?;
    let shape = if maybe_word(input, "as")? { Some(shape(input)?) } else { None };
    Ok(Output { name, kind, value, shape })
}

fn node(input: &mut Input<'_>) -> Parsed<Node> {
    let ty = ty(input)?;
    mark(input, "=")?;
    let (at, what) = (here(input)?, "`input`, `param`, `contract`, `map`, `max` or `reshape`");
    let mut op = match word(input, what)? {
        "input" => Op::Input(quoted(input, "the input's name in quotes")?.into()),
        "param" => Op::Param(param(input)?),
        "contract" => Op::Contract(contract(input)?),
        "map" => Op::Map(map(input, &ty)?),
        "max" => Op::Max(max(input)?),
        "reshape" => Op::Reshape(value(input)?),
        _ => return Err(Fault { at, reason: Reason::Expected(what) }),
    };
    let layer = layer(input)?;
    if let Op::Contract(contract) = &mut op {
        contract.paths = paths(input)?;
    }
    Ok(Node { op, ty, layer })
}

fn layer(input: &mut Input<'_>) -> Parsed<Arc<str>> {
    if maybe(input, ";")? { name(input, "the layer's name").map(Arc::from) } else { Ok(Arc::from("")) }
}

fn value(input: &mut Input<'_>) -> Parsed<ValueId> {
    token(input, "a value, as in `%0`", "%")?;
    number(input, "the number of a value").map(ValueId)
}

fn ty(input: &mut Input<'_>) -> Parsed<Type> {
    let at = here(input)?;
    let what = "an element type: `f32`, `f64`, `i32` or `bool`";
    let keyword = word(input, what)?;
    let dtype = [DType::F32, DType::F64, DType::I32, DType::Bool].into_iter().find(|dtype| dtype.name() == keyword);
    let Some(dtype) = dtype else { return Err(Fault { at, reason: Reason::Expected(what) }) };
    let dims = list(input, dim)?;
    let (mut chunks, mut zero, mut width) = (Vec::<MulIrrep>::new(), Vec::new(), 0usize);
    while !next_is(input, "=")? {
        if !zero.is_empty() {
            mark(input, "+")?;
        }
        let at = here(input)?;
        let text: &str = token(input, "irreps, as in `8x0e+4x1o`", alphanumeric1)?;
        let irreps: Irreps = text.parse().or_else(|e: ParseIrrepsError| Fault::wrong(at, e.reason))?;
        width = width.saturating_add(irreps.dim());
        chunks.extend(irreps.iter());
        if width > Irreps::MAX_DIM {
            return Fault::wrong(at, format!("the irreps have a dimension above {}", Irreps::MAX_DIM));
        }
        zero.push(maybe(input, "!")?);
    }
    Ok(Type { dims, irreps: Irreps::new(chunks), dtype, zero })
}

fn list<T>(input: &mut Input<'_>, mut item: impl FnMut(&mut Input<'_>) -> Parsed<T>) -> Parsed<Vec<T>> {
    mark(input, "[")?;
    let mut items = Vec::new();
    while !maybe(input, "]")? {
        if !items.is_empty() {
            mark(input, ",")?;
        }
        items.push(item(input)?);
    }
    Ok(items)
}

fn dim(input: &mut Input<'_>) -> Parsed<Dim> {
    let mut left = MAX_DIM_FACTORS;
    let mut sum = dim_term(input, &mut left)?;
    while maybe(input, "+")? {
        sum = sum.plus(&dim_term(input, &mut left)?);
    }
    Ok(sum)
}

fn dim_term(input: &mut Input<'_>, left: &mut usize) -> Parsed<Dim> {
    let mut product = dim_factor(input, left)?;
    while maybe(input, "*")? {
        product = product.times(&dim_factor(input, left)?);
    }
    Ok(product)
}

fn dim_factor(input: &mut Input<'_>, left: &mut usize) -> Parsed<Dim> {
    let at = here(input)?;
    let Some(fewer) = left.checked_sub(1) else {
        return Fault::wrong(at, format!("a size has more than {MAX_DIM_FACTORS} factors"));
    };
    *left = fewer;
    if input.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        return integer(input).map(Dim::from);
    }
    name(input, "a size: a number or a symbol").map(Dim::symbol)
}

/// A shape whose number of elements fits.
fn shape(input: &mut Input<'_>) -> Parsed<Vec<usize>> {
    let at = here(input)?;
    let shape: Vec<usize> = list(input, |input| number(input, "a size"))?;
    let elements = shape.iter().try_fold(1i64, |n, &size| n.checked_mul(i64::try_from(size).ok()?));
    if elements.is_some() { Ok(shape) } else { Fault::wrong(at, "the shape is too large") }
}

fn param(input: &mut Input<'_>) -> Parsed<Param> {
    let name = quoted(input, "the parameter's name in quotes")?.into();
    let shape = shape(input)?;
    Ok(Param { name, shape, init: init(input)? })
}

fn init(input: &mut Input<'_>) -> Parsed<Init> {
    let (at, what) = (here(input)?, "`constant`, `normal`, `uniform` or `truncated_normal`");
    let keyword = word(input, what)?;
    mark(input, "(")?;
    let first = scalar(input)?;
    let mut second = || -> Parsed<Scalar> {
        mark(input, ",")?;
        scalar(input)
    };
    let init = match keyword {
        "constant" => Init::Constant(first),
        "normal" => Init::Normal { mean: first, std: second()? },
        "uniform" => Init::Uniform { low: first, high: second()? },
        "truncated_normal" => Init::TruncatedNormal { mean: first, std: second()? },
        _ => return Err(Fault { at, reason: Reason::Expected(what) }),
    };
    mark(input, ")")?;
    Ok(init)
}

fn keyword(input: &mut Input<'_>, text: &'static str, what: &'static str) -> Parsed<()> {
    if maybe_word(input, text)? { Ok(()) } else { Err(Fault { at: here(input)?, reason: Reason::Expected(what) }) }
}

fn map(input: &mut Input<'_>, ty: &Type) -> Parsed<Map> {
    let expr = expr(input, MAX_DEPTH)?;
    let operands = if maybe_word(input, "of")? { operands(input)? } else { Vec::new() };
    Ok(Map { rows: ty.dims.clone(), operands, expr })
}

fn max(input: &mut Input<'_>) -> Parsed<Max> {
    let value = value(input)?;
    keyword(input, "keep", "the keyword `keep`")?;
    Ok(Max { value, keep: number(input, "a number of axes")? })
}

fn expr(input: &mut Input<'_>, depth: usize) -> Parsed<Expr> {
    let (at, what) = (here(input)?, "an expression: an operand as `x0`, a number, or a function's call");
    if next_is_scalar(input)? {
        return scalar(input).map(Expr::Const);
    }
    let keyword = word(input, what)?;
    if let Some(digits) = keyword.strip_prefix('x') {
        let operand = digits.parse::<u32>().map_err(|_| Fault { at, reason: Reason::Expected(what) })?;
        return Ok(Expr::Arg(operand as usize));
    }
    let Some(depth) = depth.checked_sub(1) else {
        return Fault::wrong(at, format!("the expression is nested deeper than {MAX_DEPTH}"));
    };
    call(input, at, keyword, depth)
}

fn call(input: &mut Input<'_>, at: usize, function: &str, depth: usize) -> Parsed<Expr> {
    let argument = |input: &mut Input<'_>, before: &'static str| {
        mark(input, before)?;
        expr(input, depth)
    };
    let call = if let Some(op) = Unary::ALL.into_iter().find(|op| op.name() == function) {
        Expr::unary(op, argument(input, "(")?)
    } else if let Some(op) = Binary::ALL.into_iter().find(|op| op.name() == function) {
        let a = argument(input, "(")?;
        Expr::binary(op, a, argument(input, ",")?)
    } else if function == "select" {
        let (condition, a) = (argument(input, "(")?, argument(input, ",")?);
        Expr::select(condition, a, argument(input, ",")?)
    } else {
        return Fault::wrong(at, format!("there is no function `{function}`"));
    };
    mark(input, ")")?;
    Ok(call)
}
