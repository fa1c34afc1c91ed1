//! The reference evaluator: what a graph means, in `f64` whatever its element types, simple enough to be believed at a
//! glance. Compiled code is compared with it.
//!
//! Values are flat and row-major, `[dims…, width]`. NaN and infinities propagate; requirements are not checked, but no
//! index leaves its array. The graph is verified first, so that nothing below can panic.

#![expect(
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "places are of a verified graph and of values of its types"
)]

use indexmap::IndexMap;
use ndarray::{ArrayD, IxDyn};
use schur_ir::dim::{Bindings, Dim, DimError};
use schur_ir::expr::Binary;
use schur_ir::graph::{Contract, Graph, Map, Max, Op, Operand, OutputKind, Path, RowMap, ValueId};
use schur_ir::memory::{self, MemoryError};
use schur_ir::ty::{DType, Type};
use schur_ir::verify::{VerifyError, verify};

use crate::array::{Array, with_rank};

mod place;

use place::{Pick, Place, contiguous, coordinates, elements, in_rows};

/// Arrays by name.
pub type Arrays = IndexMap<String, Array>;

/// What a call returns, by name and in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluated {
    /// The outputs of the spec.
    pub outputs: IndexMap<String, ArrayD<f64>>,
    /// The updated statistics.
    pub statistics: IndexMap<String, ArrayD<f64>>,
    /// The gradients.
    pub gradients: IndexMap<String, ArrayD<f64>>,
}

/// Why a graph cannot be evaluated.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ReferenceError {
    /// The graph is not well formed.
    #[error(transparent)]
    Graph(#[from] VerifyError),
    /// No array is given for a leaf.
    #[error("no array is given for `{0}`")]
    Missing(String),
    /// An array has another element type.
    #[error("`{name}` is {given}, the graph wants {wanted}")]
    DType {
        /// The leaf.
        name: String,
        /// Of the array.
        given: DType,
        /// Of the graph.
        wanted: DType,
    },
    /// An array has another shape.
    #[error("`{name}` has shape {given:?}, the graph wants {wanted}")]
    Shape {
        /// The leaf.
        name: String,
        /// Of the array.
        given: Vec<usize>,
        /// Of the graph.
        wanted: String,
    },
    /// Values that take more memory than there is.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// A size has no value.
    #[error(transparent)]
    Size(#[from] DimError),
    /// An index picks beyond its axis.
    #[error("index {index} of {value} is not in 0..{size}")]
    Index {
        /// The index.
        index: i64,
        /// The value that holds it.
        value: ValueId,
        /// The length of the axis.
        size: usize,
    },
}

type Result<T> = std::result::Result<T, ReferenceError>;

/// Evaluates a graph. Indices and masks have shape `dims`, other inputs `[dims…, width]`, parameters their own shape.
pub fn evaluate(graph: &Graph, inputs: &Arrays, params: &Arrays) -> Result<Evaluated> {
    let values = evaluate_all(graph, inputs, params)?;
    let mut out = Evaluated::default();
    for output in &graph.outputs {
        let value = &values[output.value.index()];
        let leading = value.shape().len() - 1;
        // Indices and masks have no axis but the leading ones.
        let last = match &output.shape {
            _ if !has_last_axis(graph.ty(output.value)) => &[],
            Some(shape) => shape.as_slice(),
            None => &value.shape()[leading..],
        };
        let shape = [&value.shape()[..leading], last].concat();
        let misfit = |_| shape_error(&output.name, value.shape(), format!("{shape:?}"));
        let array = value.to_shape(shape.as_slice()).map_err(misfit)?.into_owned();
        let kind = match output.kind {
            OutputKind::Output => &mut out.outputs,
            OutputKind::Statistic => &mut out.statistics,
            OutputKind::Gradient => &mut out.gradients,
        };
        kind.insert(output.name.to_string(), array);
    }
    Ok(out)
}

/// Evaluates every value of a graph, in order, each of shape `[dims…, width]`.
pub fn evaluate_all(graph: &Graph, inputs: &Arrays, params: &Arrays) -> Result<Vec<ArrayD<f64>>> {
    verify(graph)?;
    let mut evaluator = Evaluator { graph, sizes: bind(graph, inputs)?, values: Vec::new() };
    memory::check(evaluator.bytes()?)?;
    for node in &graph.nodes {
        let elements = evaluator.size(&node.ty.rows().times(&Dim::from(node.ty.width() as i64)))?;
        let value = match &node.op {
            Op::Input(name) => {
                let array = lookup(inputs, name, node.ty.dtype)?;
                let mut shape = evaluator.sizes(&node.ty.dims)?;
                shape.extend(has_last_axis(&node.ty).then_some(node.ty.width()));
                expect_shape(name, with_rank(array.shape(), shape.len()), &shape)?;
                array.to_f64().into_raw_vec_and_offset().0
            }
            Op::Param(param) => {
                let array = lookup(params, &param.name, node.ty.dtype)?;
                expect_shape(&param.name, array.shape(), &param.shape)?;
                array.to_f64().into_raw_vec_and_offset().0
            }
            Op::Contract(contract) => evaluator.contract(contract, &node.ty, vec![0.0; elements])?,
            Op::Map(map) => evaluator.map(map, &node.ty, Vec::with_capacity(elements))?,
            Op::Max(max) => evaluator.max(max, &node.ty, vec![f64::NEG_INFINITY; elements])?,
            Op::Reshape(of) => evaluator.values[of.index()].clone(),
        };
        evaluator.values.push(value);
    }
    let values = std::mem::take(&mut evaluator.values);
    let shaped = graph.nodes.iter().zip(values).map(|(node, value)| {
        let shape = [evaluator.sizes(&node.ty.dims)?, vec![node.ty.width()]].concat();
        Ok(ArrayD::from_shape_vec(IxDyn(&shape), value).expect("a value has the elements of its type"))
    });
    shaped.collect()
}

/// The sizes of the symbols that stand alone as a leading size of some input.
pub fn bind(graph: &Graph, inputs: &Arrays) -> Result<Bindings> {
    let mut sizes = Bindings::new();
    for node in &graph.nodes {
        let Op::Input(name) = &node.op else { continue };
        let rank = node.ty.dims.len() + usize::from(has_last_axis(&node.ty));
        let shape = with_rank(lookup(inputs, name, node.ty.dtype)?.shape(), rank);
        if shape.len() != rank {
            return Err(shape_error(name, shape, format!("{} axes, as in {}", rank, node.ty)));
        }
        for (dim, &size) in node.ty.dims.iter().zip(shape) {
            if let Some(symbol) = dim.as_symbol() {
                sizes.entry(symbol.clone()).or_insert(size);
            }
        }
    }
    Ok(sizes)
}

/// False for an index or a mask: such an array has one element a row and no axis for it.
fn has_last_axis(ty: &Type) -> bool {
    ty.dtype.is_float() || ty.width() != 1
}

fn lookup<'a>(arrays: &'a Arrays, name: &str, wanted: DType) -> Result<&'a Array> {
    let array = arrays.get(name).ok_or_else(|| ReferenceError::Missing(name.into()))?;
    let given = array.dtype();
    if given == wanted { Ok(array) } else { Err(ReferenceError::DType { name: name.into(), given, wanted }) }
}

fn expect_shape(name: &str, given: &[usize], wanted: &[usize]) -> Result<()> {
    if given == wanted { Ok(()) } else { Err(shape_error(name, given, format!("{wanted:?}"))) }
}

fn shape_error(name: &str, given: &[usize], wanted: String) -> ReferenceError {
    ReferenceError::Shape { name: name.into(), given: given.to_vec(), wanted }
}

struct Evaluator<'g> {
    graph: &'g Graph,
    sizes: Bindings,
    values: Vec<Vec<f64>>,
}

impl Evaluator<'_> {
    fn size(&self, dim: &Dim) -> Result<usize> {
        Ok(dim.evaluate(&self.sizes)?)
    }

    fn sizes(&self, dims: &[Dim]) -> Result<Vec<usize>> {
        dims.iter().map(|dim| self.size(dim)).collect()
    }

    /// The bytes of all values, of the outputs that are made of them, and of the lists of the largest contraction; where rows
    /// have no elements, one for each.
    fn bytes(&self) -> Result<usize> {
        let size = |ty: &Type| self.size(&ty.rows().times(&Dim::from(ty.width() as i64)));
        let mut elements = 0usize;
        let outputs = self.graph.outputs.iter().map(|output| self.graph.ty(output.value));
        for ty in self.graph.nodes.iter().map(|node| &node.ty).chain(outputs) {
            elements = elements.saturating_add(size(ty)?);
        }
        for node in &self.graph.nodes {
            elements = elements.max(self.size(&Dim::product(self.graph.rows_of(&node.op)))?);
        }
        let listed = |path: &Path| path.axes.iter().fold(1usize, |count, axis| count.saturating_mul(axis.size));
        let lists = self.graph.nodes.iter().map(|node| match &node.op {
            Op::Contract(contract) => contract.paths.iter().map(listed).fold(0, usize::saturating_add),
            Op::Input(_) | Op::Param(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => 0,
        });
        let lists = lists.max().unwrap_or(0).saturating_mul(size_of::<[usize; 3]>());
        Ok(elements.saturating_mul(size_of::<f64>()).saturating_add(lists))
    }

    fn contract(&self, contract: &Contract, ty: &Type, mut out: Vec<f64>) -> Result<Vec<f64>> {
        let rows = self.sizes(&contract.rows)?;
        let operands = self.places(&contract.operands, &rows)?;
        let out_place = self.place(&contract.out, &ty.dims, ty.width(), &rows)?;
        let terms: Vec<_> = contract.paths.iter().map(|path| (path, elements(path))).collect();
        let mut starts = vec![0; operands.len()];
        for at in coordinates(&rows) {
            set_starts(&mut starts, &operands, &at)?;
            let out_start = out_place.start(&at)?;
            for (path, elements) in &terms {
                for [to, from @ ..] in elements {
                    let mut term = path.coefficient.0;
                    for (factor, offset) in path.factors.iter().zip(from) {
                        term *= operands[factor.operand].1[starts[factor.operand] + offset];
                    }
                    out[out_start + to] += term;
                }
            }
        }
        let divisor = self.size(&contract.divisor)? as f64;
        out.iter_mut().for_each(|x| *x /= divisor);
        Ok(out)
    }

    fn map(&self, map: &Map, ty: &Type, mut out: Vec<f64>) -> Result<Vec<f64>> {
        let rows = self.sizes(&map.rows)?;
        let operands = self.places(&map.operands, &rows)?;
        let (mut starts, mut args) = (vec![0; operands.len()], vec![0.0; operands.len()]);
        for at in coordinates(&rows) {
            set_starts(&mut starts, &operands, &at)?;
            for element in 0..ty.width() {
                for ((arg, start), (_, values)) in args.iter_mut().zip(&starts).zip(&operands) {
                    *arg = values[start + element];
                }
                out.push(map.expr.evaluate(&args));
            }
        }
        Ok(out)
    }

    fn max(&self, max: &Max, ty: &Type, mut out: Vec<f64>) -> Result<Vec<f64>> {
        let reduced = self.size(&Dim::product(&self.graph.ty(max.value).dims[max.keep..]))?;
        for (from, value) in self.values[max.value.index()].iter().enumerate() {
            let (row, element) = (from / ty.width(), from % ty.width());
            let to = &mut out[row / reduced * ty.width() + element];
            *to = Binary::Max.apply(*to, *value);
        }
        Ok(out)
    }

    fn places(&self, operands: &[Operand], rows: &[usize]) -> Result<Vec<Placed<'_>>> {
        let place = |o: &Operand| {
            let ty = self.graph.ty(o.value);
            Ok((self.place(&o.map, &ty.dims, ty.width(), rows)?, self.values[o.value.index()].as_slice()))
        };
        operands.iter().map(place).collect()
    }

    fn place(&self, map: &RowMap, dims: &[Dim], width: usize, rows: &[usize]) -> Result<Place<'_>> {
        let mut strides = contiguous(&self.sizes(dims)?, width);
        let pick = match &map.index {
            None => None,
            Some(index) => Some(Pick {
                value: index.value,
                indices: &self.values[index.value.index()],
                strides: in_rows(&index.axes, &contiguous(&self.sizes(&self.graph.ty(index.value).dims)?, 1), rows),
                size: self.size(&index.size)?,
                stride: strides.remove(0),
            }),
        };
        Ok(Place { strides: in_rows(&map.axes, &strides, rows), pick })
    }
}

/// An operand's place in the rows, and its elements.
type Placed<'a> = (Place<'a>, &'a [f64]);

fn set_starts(starts: &mut [usize], operands: &[Placed<'_>], at: &[usize]) -> Result<()> {
    starts.iter_mut().zip(operands).try_for_each(|(start, (place, _))| {
        *start = place.start(at)?;
        Ok(())
    })
}
