//! The graph under construction and the layer that is being lowered.

use std::ops::Range;
use std::sync::Arc;

use super::Mode;
use super::contraction::Contraction;
use crate::dim::Dim;
use crate::expr::{Expr, Scalar};
use crate::graph::{Graph, Init, Map, Op, Operand, Output, OutputKind, Param, RowMap, ValueId};
use crate::irreps::Irreps;
use crate::limits::{LimitError, Limits};
use crate::spec::{Distribution, Initializer, Layer, Problem};
use crate::ty::{DType, DisplayDims, Type};

pub(super) struct Builder {
    pub(super) graph: Graph,
    pub(super) mode: Mode,
    /// Updated statistics, which follow the outputs.
    pub(super) statistics: Vec<Output>,
    pub(super) limits: Limits,
    dtype: DType,
    layer: Arc<str>,
    span: Range<usize>,
    /// The nodes and paths that were checked.
    checked: (usize, usize),
}

impl Builder {
    pub(super) fn new(name: &str, dtype: DType, mode: Mode, limits: &Limits) -> Self {
        let graph = Graph { name: name.to_string(), ..Graph::default() };
        Builder {
            graph,
            mode,
            statistics: Vec::new(),
            limits: limits.clone(),
            dtype,
            layer: Arc::from(""),
            span: 0..0,
            checked: (0, 0),
        }
    }

    /// What follows belongs to this layer.
    pub(super) fn enter(&mut self, layer: &Layer) {
        self.layer = Arc::from(layer.name.as_str());
        self.span = layer.span.clone();
    }

    pub(super) fn layer(&self) -> &Arc<str> {
        &self.layer
    }

    pub(super) fn ty(&self, value: ValueId) -> &Type {
        self.graph.ty(value)
    }

    /// A problem of the whole layer.
    pub(super) fn problem(&self, message: String) -> Problem {
        Problem::new(message, "", self.span.clone())
    }

    /// A problem where more is `found` than is allowed.
    pub(super) fn within(
        &self,
        limit: &'static str,
        allowed: usize,
        found: usize,
        what: impl FnOnce() -> String,
    ) -> Result<(), Problem> {
        LimitError::check(limit, allowed, found, what).map_err(|error| self.problem(error.to_string()))
    }

    /// True where the graph has more nodes or paths than it may have: the layer that was told so is the last.
    pub(super) fn is_full(&self) -> bool {
        let (nodes, paths) = self.checked;
        nodes > self.limits.nodes || paths > self.limits.paths
    }

    /// Checks the nodes that were appended since the last check. Each is checked once, so that no other layer is blamed.
    pub(super) fn check_limits(&mut self) -> Result<(), Problem> {
        let (from, mut paths) = self.checked;
        let nodes = self.graph.nodes.len();
        if nodes == from {
            return Ok(());
        }
        for node in &self.graph.nodes[from..] {
            paths += if let Op::Contract(contract) = &node.op { contract.paths.len() } else { 0 };
        }
        self.checked = (nodes, paths);
        self.within("nodes", self.limits.nodes, nodes, || "the graph's nodes".into())?;
        self.graph.nodes[from..].iter().try_for_each(|node| self.value_limits(&node.ty))?;
        self.within("paths", self.limits.paths, paths, || "the graph's paths".into())
    }

    /// Checks the size of a value of the layer.
    fn value_limits(&self, ty: &Type) -> Result<(), Problem> {
        let of = |what: &str| format!("the {what} of a value of `{}`", self.layer);
        self.within("chunks", self.limits.chunks, ty.irreps.len(), || of("chunks"))?;
        self.within("width", self.limits.width, ty.width(), || of("width"))?;
        if ty.has_exact_size() {
            return Ok(());
        }
        Err(self.problem(format!("a value of `{}` fits in no memory", self.layer)))
    }

    /// A problem of an option that makes a number which is not finite.
    pub(super) fn finite(&self, layer: &Layer, option: &str, what: &str, number: f64) -> Result<(), Problem> {
        if number.is_finite() {
            return Ok(());
        }
        let message = format!("`{}`: `{option}` makes {what} {number}: it must be finite", layer.name.value);
        Err(Problem::new(message, "not finite", layer.span_of(option)))
    }

    /// The parameter `<collection>/<layer>/<name>`; see [`Graph::param`] for `leading`.
    pub(super) fn param(
        &mut self,
        collection: &str,
        name: &str,
        shape: Vec<usize>,
        leading: usize,
        init: Init,
    ) -> Result<ValueId, Problem> {
        let name = format!("{collection}/{}/{name}", self.layer);
        let size = shape.iter().try_fold(1usize, |size, n| size.checked_mul(*n));
        if size.is_none_or(|size| size > Irreps::MAX_DIM) {
            let message = format!("`{name}` has shape {shape:?}: more than {} elements", Irreps::MAX_DIM);
            return Err(self.problem(message));
        }
        let param = Param { name: name.into(), shape, init };
        Ok(self.graph.param(param, leading, self.dtype, &self.layer))
    }

    /// Returns `value` as the update of a statistic of this layer.
    pub(super) fn update(&mut self, name: &str, value: ValueId) {
        let shape = Some(vec![self.ty(value).width()]);
        let name = format!("batch_stats/{}/{name}", self.layer).into();
        self.statistics.push(Output { name, kind: OutputKind::Statistic, value, shape });
    }

    /// A contraction whose output has these zero flags.
    pub(super) fn contract(&mut self, contraction: Contraction, irreps: Irreps, zero: Vec<bool>) -> ValueId {
        let contract = contraction.finish();
        let ty = Type { dims: contract.out_dims(), irreps, dtype: self.dtype, zero };
        self.graph.push(Op::Contract(contract), ty, &self.layer)
    }

    /// A contraction that gives one chunk of scalars.
    pub(super) fn contract_scalars(&mut self, contraction: Contraction, n: usize) -> ValueId {
        self.contract(contraction, Irreps::scalars(n), vec![false])
    }

    /// An expression of operands that lie in `rows` as given.
    pub(super) fn map(&mut self, rows: &[Dim], operands: Vec<Operand>, expr: Expr, irreps: Irreps) -> ValueId {
        let map = Map { rows: rows.to_vec(), operands, expr };
        self.graph.map(map, irreps, self.dtype, &self.layer)
    }

    /// An expression of one value, row by row; the result has these irreps and zero flags.
    pub(super) fn map_one(&mut self, value: ValueId, expr: Expr, irreps: Irreps, zero: Vec<bool>) -> ValueId {
        let rows = self.ty(value).dims.clone();
        let map = Map { operands: vec![leading(value, rows.len())], rows: rows.clone(), expr };
        self.graph.push(Op::Map(map), Type { dims: rows, irreps, dtype: self.dtype, zero }, &self.layer)
    }

    /// The same elements with other sizes, irreps or flags; `value` itself where nothing changes.
    pub(super) fn reshape(&mut self, value: ValueId, dims: Vec<Dim>, irreps: Irreps, zero: Vec<bool>) -> ValueId {
        let ty = Type { dims, irreps, dtype: self.dtype, zero };
        if *self.ty(value) == ty { value } else { self.graph.push(Op::Reshape(value), ty, &self.layer) }
    }

    /// Appends any other op.
    pub(super) fn push(&mut self, op: Op, ty: Type) -> ValueId {
        self.graph.push(op, ty, &self.layer)
    }

    /// The leading sizes to which numpy broadcasts those of `values`.
    pub(super) fn broadcast(&self, dims: &[&[Dim]], span: &Range<usize>) -> Result<Vec<Dim>, Problem> {
        let Some((first, rest)) = dims.split_first() else { return Ok(Vec::new()) };
        rest.iter().try_fold(first.to_vec(), |rows, dims| {
            broadcast(&rows, dims).ok_or_else(|| {
                let message = format!(
                    "the leading sizes {} and {} in `{}` do not broadcast: sizes that meet must be equal or 1",
                    DisplayDims(&rows),
                    DisplayDims(dims),
                    self.layer
                );
                Problem::new(message, "", span.clone())
            })
        })
    }
}

/// How numpy broadcasts two lists of sizes, if it does.
fn broadcast(a: &[Dim], b: &[Dim]) -> Option<Vec<Dim>> {
    let (long, short) = if a.len() >= b.len() { (a, b) } else { (b, a) };
    let lacking = long.len() - short.len();
    let meet = long[lacking..].iter().zip(short).map(|(x, y)| match () {
        () if x == y || y.is_one() => Some(x.clone()),
        () if x.is_one() => Some(y.clone()),
        () => None,
    });
    long[..lacking].iter().cloned().map(Some).chain(meet).collect()
}

/// An operand whose leading axes are the first `rank` of the rows.
pub(super) fn leading(value: ValueId, rank: usize) -> Operand {
    Operand { value, map: RowMap::identity(rank) }
}

/// An operand that is the same for all rows.
pub(super) fn shared(value: ValueId) -> Operand {
    leading(value, 0)
}

/// The init that a spec states: the mean, plus `scale` times the unit member of the family, which is 1 for a constant and
/// uniform in [−1, 1) for `uniform`. Where it states none, normal with standard deviation `std`.
pub(super) fn init(stated: Option<&Initializer>, std: f64) -> Init {
    match stated {
        None if std == 0.0 => constant(0.0),
        None => Init::Normal { mean: Scalar(0.0), std: Scalar(std) },
        Some(Initializer { distribution, scale, mean }) => match distribution {
            Distribution::Constant => constant(mean + scale),
            Distribution::Normal => Init::Normal { mean: Scalar(*mean), std: Scalar(*scale) },
            Distribution::TruncatedNormal => Init::TruncatedNormal { mean: Scalar(*mean), std: Scalar(*scale) },
            Distribution::Uniform => Init::Uniform { low: Scalar(mean - scale), high: Scalar(mean + scale) },
        },
    }
}

/// The same value everywhere.
pub(super) fn constant(value: f64) -> Init {
    Init::Constant(Scalar(value))
}
