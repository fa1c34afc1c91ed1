//! The graph: typed values in SSA form, made by few primitive ops that are closed under differentiation.
//!
//! A value is an array `[dims…, width]`; the last axis holds its irreps. Ops iterate over a space of rows (the leading
//! sizes) and, inside a row, over segments of the last axis:
//!
//! - [`Contract`] is every multilinear thing: a linear layer, its transpose and its weight gradient, a bias, a sum, a
//!   mean over rows, a dot product per irrep, scalar times irreps, and every selection, permutation and joining of
//!   segments. Rows are matched by [`RowMap`]s as numpy broadcasts; rows that the output lacks are summed over.
//! - [`Map`] applies a scalar expression at every element.
//! - [`Max`] is the maximum over trailing leading sizes.
//! - `Reshape` reads the same elements with other sizes.
//!
//! Invariants (checked by [`crate::verify`]): operands come before their uses; names of leaves and outputs are unique;
//! segments stay inside their values; sizes that meet are equal or 1.

use std::fmt;
use std::sync::Arc;

use crate::dim::Dim;
use crate::expr::{Expr, Scalar};
use crate::irreps::Irreps;
use crate::path;
use crate::ty::{DType, Type};

pub use crate::path::{Axis, Factor, Path, Segment};

/// A value of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub u32);

impl ValueId {
    /// The place of the node in [`Graph::nodes`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for ValueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

/// A graph: what one call computes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// The model's name.
    pub name: String,
    /// The values, operands before uses.
    pub nodes: Vec<Node>,
    /// What is returned, in order.
    pub outputs: Vec<Output>,
    /// What must hold of a call's inputs; checked before anything is computed.
    pub requirements: Vec<Requirement>,
}

/// One value: the op that makes it, its type, and the layer of the spec that it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// How it is made.
    pub op: Op,
    /// Its type.
    pub ty: Type,
    /// The layer it belongs to; empty for inputs.
    pub layer: Arc<str>,
}

/// How a value is made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// An array given at every call.
    Input(Arc<str>),
    /// An array of the parameter store.
    Param(Param),
    /// A segmented contraction.
    Contract(Contract),
    /// A scalar expression at every element.
    Map(Map),
    /// A maximum over trailing leading sizes.
    Max(Max),
    /// The operand's elements, in order, with the sizes and irreps of the node's type.
    Reshape(ValueId),
}

/// An array of the parameter store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Param {
    /// Its name: `params/…` or `batch_stats/…`.
    pub name: Arc<str>,
    /// Its shape as the user sees it.
    pub shape: Vec<usize>,
    /// How it is initialised.
    pub init: Init,
}

impl Param {
    /// True for `params/…`, which gradients are for; running statistics are updated in another way.
    pub fn is_trained(&self) -> bool {
        self.name.starts_with("params/")
    }
}

/// How a parameter is initialised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Init {
    /// The same value everywhere.
    Constant(Scalar),
    /// Normal, with this mean and standard deviation.
    Normal {
        /// The mean.
        mean: Scalar,
        /// The standard deviation.
        std: Scalar,
    },
    /// Uniform between two bounds.
    Uniform {
        /// The lower bound.
        low: Scalar,
        /// The upper bound.
        high: Scalar,
    },
    /// A normal distribution cut at two standard deviations.
    TruncatedNormal {
        /// The mean.
        mean: Scalar,
        /// The standard deviation before the cut.
        std: Scalar,
    },
}

/// How the leading sizes of an array lie in a space of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowMap {
    /// Where present, the array's first leading axis is not an axis of the rows: it is picked by this index.
    pub index: Option<RowIndex>,
    /// For every (other) leading axis of the array: the axis of the rows that it is, or `None` for an axis of size 1.
    pub axes: Vec<Option<usize>>,
}

impl RowMap {
    /// All axes of `rank` rows, in order.
    pub fn identity(rank: usize) -> Self {
        RowMap { index: None, axes: (0..rank).map(Some).collect() }
    }

    /// No leading axis: the same for all rows.
    pub fn shared() -> Self {
        RowMap::default()
    }

    /// True where the array has one row for every row of a space of `rank` axes, in order.
    pub fn is_identity(&self, rank: usize) -> bool {
        self.index.is_none() && self.axes.len() == rank && self.axes.iter().enumerate().all(|(k, a)| *a == Some(k))
    }

    /// How numpy broadcasts an array of leading sizes `dims` against `rows`: aligned at the right, sizes 1 stretched.
    /// `None` where a size is neither 1 nor the row's.
    pub fn broadcast(dims: &[Dim], rows: &[Dim]) -> Option<Self> {
        let lacking = rows.len().checked_sub(dims.len())?;
        let axes = dims.iter().enumerate().map(|(k, dim)| {
            let axis = lacking.saturating_add(k);
            if rows.get(axis) == Some(dim) {
                Some(Some(axis))
            } else if dim.is_one() {
                Some(None)
            } else {
                None
            }
        });
        Some(RowMap { index: None, axes: axes.collect::<Option<_>>()? })
    }
}

/// An index that picks along the first axis of an array.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowIndex {
    /// An `i32` value of width 1.
    pub value: ValueId,
    /// The length of the axis that is indexed; every index is below it (a [`Requirement`]).
    pub size: Dim,
    /// How its leading axes lie in the rows.
    pub axes: Vec<Option<usize>>,
}

/// An operand with its place in the rows.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Operand {
    /// The value.
    pub value: ValueId,
    /// How its leading axes lie in the rows.
    pub map: RowMap,
}

/// A segmented contraction: `out[r'] = 1/divisor Σ_rows Σ_paths coefficient Π_factors operand[segment]`.
///
/// For every row, every path adds the product of one or two segments, summed over the axes that its output segment
/// lacks. What no path writes is zero.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Contract {
    /// The space of rows that is iterated over.
    pub rows: Vec<Dim>,
    /// The arrays read.
    pub operands: Vec<Operand>,
    /// How the output's leading axes lie in the rows; rows that it lacks are summed over. An index scatters: rows of
    /// equal index are added.
    pub out: RowMap,
    /// What the sum is divided by: 1, or a number of rows for a mean.
    pub divisor: Dim,
    /// The terms of the sum.
    pub paths: Vec<Path>,
}

impl Contract {
    /// True where some axis of the rows is not in the output or rows are scattered, so that rows are summed.
    pub fn reduces(&self) -> bool {
        self.out.index.is_some() || (0..self.rows.len()).any(|axis| !self.out.axes.contains(&Some(axis)))
    }
}

/// A scalar expression at every element of values of equal width.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Map {
    /// The space of rows: the output's leading sizes.
    pub rows: Vec<Dim>,
    /// The arrays read; `bool` ones as 0 and 1. Without any, the expression is a constant. No index is allowed here.
    pub operands: Vec<Operand>,
    /// What is computed.
    pub expr: Expr,
}

/// `out[a…] = max over b… of value[a…, b…]`: the first `keep` leading axes stay.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Max {
    /// The operand.
    pub value: ValueId,
    /// How many leading axes stay.
    pub keep: usize,
}

/// A value that is returned.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// Its name; for a statistic `batch_stats/…`, for a gradient the name of what it is the gradient of.
    pub name: Arc<str>,
    /// What it is to the user.
    pub kind: OutputKind,
    /// The value.
    pub value: ValueId,
    /// Its shape beyond the leading sizes, where that is not one axis of irreps (parameters and statistics).
    pub shape: Option<Vec<usize>>,
}

/// What a returned value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OutputKind {
    /// An output of the spec.
    Output,
    /// An updated statistic of the parameter store.
    Statistic,
    /// A gradient with respect to an input or a parameter.
    Gradient,
}

/// What must hold of a call before anything is computed or written.
#[derive(Clone, Debug, PartialEq)]
pub enum Requirement {
    /// Every element of an `i32` input is in `0..bound`.
    IndexBelow {
        /// The input.
        input: Arc<str>,
        /// The first index that is too large.
        bound: usize,
        /// The layer that asks for it.
        layer: Arc<str>,
    },
    /// The product of sizes is not zero: statistics of an empty batch do not exist.
    NotEmpty {
        /// The sizes.
        dims: Vec<Dim>,
        /// The layer that asks for it.
        layer: Arc<str>,
    },
    /// Some element of a `bool` input is true.
    AnyTrue {
        /// The input.
        input: Arc<str>,
        /// The layer that asks for it.
        layer: Arc<str>,
    },
}

impl Op {
    /// The name of an input or a parameter.
    pub fn leaf_name(&self) -> Option<&Arc<str>> {
        match self {
            Op::Input(name) => Some(name),
            Op::Param(param) => Some(&param.name),
            Op::Contract(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => None,
        }
    }

    /// The values read, in order, indices included.
    pub fn reads(&self) -> Vec<ValueId> {
        fn operands(list: &[Operand]) -> impl Iterator<Item = ValueId> + '_ {
            list.iter().flat_map(|o| std::iter::once(o.value).chain(o.map.index.as_ref().map(|i| i.value)))
        }
        match self {
            Op::Input(_) | Op::Param(_) => Vec::new(),
            Op::Contract(c) => operands(&c.operands).chain(c.out.index.as_ref().map(|i| i.value)).collect(),
            Op::Map(m) => operands(&m.operands).collect(),
            Op::Max(m) => vec![m.value],
            Op::Reshape(value) => vec![*value],
        }
    }

    /// The indices that pick rows of operands, or of the output.
    pub fn indices(&self) -> impl Iterator<Item = &RowIndex> {
        let (operands, out): (&[Operand], Option<&RowMap>) = match self {
            Op::Contract(c) => (&c.operands, Some(&c.out)),
            Op::Map(m) => (&m.operands, None),
            Op::Input(_) | Op::Param(_) | Op::Max(_) | Op::Reshape(_) => (&[], None),
        };
        operands.iter().map(|o| &o.map).chain(out).filter_map(|map| map.index.as_ref())
    }

    /// The op with every value it reads replaced.
    pub fn map_reads(&self, mut with: impl FnMut(ValueId) -> ValueId) -> Op {
        let mut op = self.clone();
        let mut map_operand = |o: &mut Operand| {
            o.value = with(o.value);
            if let Some(index) = &mut o.map.index {
                index.value = with(index.value);
            }
        };
        match &mut op {
            Op::Input(_) | Op::Param(_) => {}
            Op::Contract(c) => {
                c.operands.iter_mut().for_each(&mut map_operand);
                if let Some(index) = &mut c.out.index {
                    index.value = with(index.value);
                }
            }
            Op::Map(m) => m.operands.iter_mut().for_each(&mut map_operand),
            Op::Max(m) => m.value = with(m.value),
            Op::Reshape(value) => *value = with(*value),
        }
        op
    }
}

impl Graph {
    /// The node of a value.
    ///
    /// # Panics
    /// Where the value is not of this graph.
    #[allow(clippy::indexing_slicing, reason = "as documented")]
    pub fn node(&self, value: ValueId) -> &Node {
        &self.nodes[value.index()]
    }

    /// The type of a value.
    ///
    /// # Panics
    /// Where the value is not of this graph.
    pub fn ty(&self, value: ValueId) -> &Type {
        &self.node(value).ty
    }

    /// The sizes that an op of this graph iterates over.
    ///
    /// # Panics
    /// Where a value that it reads is not of this graph.
    pub fn rows_of<'g>(&'g self, op: &'g Op) -> &'g [Dim] {
        match op {
            Op::Contract(contract) => &contract.rows,
            Op::Map(map) => &map.rows,
            Op::Max(max) => &self.ty(max.value).dims,
            Op::Input(_) | Op::Param(_) | Op::Reshape(_) => &[],
        }
    }

    /// One flag a value: true where an output needs it.
    ///
    /// # Panics
    /// Where an op reads a value that is not of this graph.
    #[allow(clippy::indexing_slicing, reason = "as documented")]
    pub fn needed(&self) -> Vec<bool> {
        let mut needed = vec![false; self.nodes.len()];
        self.outputs.iter().for_each(|output| needed[output.value.index()] = true);
        for (k, node) in self.nodes.iter().enumerate().rev() {
            if needed[k] {
                node.op.reads().iter().for_each(|read| needed[read.index()] = true);
            }
        }
        needed
    }

    /// All values, in order.
    pub fn values(&self) -> impl Iterator<Item = (ValueId, &Node)> {
        self.nodes.iter().enumerate().map(|(k, node)| (ValueId(k as u32), node))
    }

    /// Appends a node.
    pub fn push(&mut self, op: Op, ty: Type, layer: &Arc<str>) -> ValueId {
        let value = ValueId(self.nodes.len() as u32);
        self.nodes.push(Node { op, ty, layer: layer.clone() });
        value
    }

    /// Appends an input.
    pub fn input(&mut self, name: &str, ty: Type) -> ValueId {
        self.push(Op::Input(name.into()), ty, &Arc::from(""))
    }

    /// Appends a parameter: `leading` of its axes are leading sizes (picked by an index), the others are its width.
    pub fn param(&mut self, param: Param, leading: usize, dtype: DType, layer: &Arc<str>) -> ValueId {
        let (dims, rest) = param.shape.split_at(leading.min(param.shape.len()));
        let dims = dims.iter().map(|&n| Dim::from(i64::try_from(n).unwrap_or(i64::MAX))).collect();
        let width = rest.iter().copied().fold(1, usize::saturating_mul);
        self.push(Op::Param(param), Type::new(dims, Irreps::scalars(width), dtype), layer)
    }

    /// Appends a contraction whose output holds `irreps`; chunks that no path writes are known to be zero.
    pub fn contract(&mut self, contract: Contract, irreps: Irreps, dtype: DType, layer: &Arc<str>) -> ValueId {
        let dims = contract.out_dims();
        let zero = path::unwritten(&contract.paths, &irreps);
        self.push(Op::Contract(contract), Type { dims, irreps, dtype, zero }, layer)
    }

    /// Appends a map whose output holds `irreps`.
    pub fn map(&mut self, map: Map, irreps: Irreps, dtype: DType, layer: &Arc<str>) -> ValueId {
        let ty = Type::new(map.rows.clone(), irreps, dtype);
        self.push(Op::Map(map), ty, layer)
    }

    /// The least of what an index is required to be below; `None` where nothing is required of the input.
    pub fn index_bound(&self, input: &str) -> Option<usize> {
        let bounds = self.requirements.iter().filter_map(|requirement| match requirement {
            Requirement::IndexBelow { input: index, bound, .. } if **index == *input => Some(*bound),
            Requirement::IndexBelow { .. } | Requirement::NotEmpty { .. } | Requirement::AnyTrue { .. } => None,
        });
        bounds.min()
    }

    /// The output of the given kind and name.
    pub fn output(&self, kind: OutputKind, name: &str) -> Option<&Output> {
        self.outputs.iter().find(|o| o.kind == kind && &*o.name == name)
    }
}

impl Contract {
    /// The leading sizes of the output.
    pub fn out_dims(&self) -> Vec<Dim> {
        let scattered = self.out.index.iter().map(|index| index.size.clone());
        scattered
            .chain(
                self.out.axes.iter().map(|axis| axis.and_then(|a| self.rows.get(a).cloned()).unwrap_or_else(Dim::one)),
            )
            .collect()
    }

    /// True where no path writes into a chunk that `ty` says is zero; see [`path::keep_zeros`].
    pub fn keeps_zeros(&self, ty: &Type) -> bool {
        path::keep_zeros(&self.paths, ty)
    }
}
