//! Data sets, and how they are cut in batches.
//!
//! Rows are cut along the first axis of the target, whose size is a symbol. Inputs whose first axis is that symbol are
//! cut with it; inputs without the symbol belong to every batch.

use std::sync::Arc;

use indexmap::IndexMap;
use schur_ir::build::Mode;
use schur_ir::dim::{Dim, Symbol};
use schur_ir::expr::Scalar;
use schur_ir::graph::{Init, Param};
use schur_ir::ty::Type;
use schur_runtime::argument::{ArgumentError, Fault, Role};
use schur_runtime::array::Array;
use schur_runtime::bind::CallError;
use schur_runtime::init::draws;
use schur_runtime::nearest::Nearest;
use schur_runtime::rotation::Rotation;
use schur_runtime::view::{ArrayView, Elements, ElementsMut};

use super::error::{DataFault, TrainError};
use super::loss::{COTANGENT, target_input};
use crate::error::Error;
use crate::finite::{NonFinite, Origin};
use crate::model::Model;

/// What data a model is trained on: its inputs, and one of its outputs as the target.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// The output.
    pub target: String,
    /// The output's type.
    pub target_type: Type,
    /// The type of every input.
    pub inputs: IndexMap<String, Type>,
    /// The symbol of the rows.
    pub rows: Symbol,
}

impl Layout {
    /// The layout for an output of a model.
    pub fn new(model: &Model, target: &str) -> Result<Self, Error> {
        let mut types = model.types(Mode::Infer)?;
        let outputs = || model.spec().outputs.iter().map(|output| output.value.as_str());
        let found = outputs().find(|output| *output == target).and_then(|name| types.get(name).cloned());
        let target_type = found.ok_or_else(|| TrainError::no_output(target, outputs()))?;
        types.retain(|name, _| model.spec().inputs.contains_key(name));
        let unfit = |why: String| TrainError::NoBatches { target: target.to_owned(), why };
        let Some(rows) = target_type.dims.first().and_then(|dim| dim.symbols().next().filter(|s| is(dim, s))) else {
            return Err(unfit("its first axis is not a symbol".into()).into());
        };
        let rows = rows.clone();
        let dims = types.iter().flat_map(|(name, ty)| ty.dims.iter().enumerate().map(move |at| (name.as_str(), at)));
        let later = target_type.dims.iter().enumerate().map(|at| (target, at));
        let mut dims = dims.chain(later);
        let cut = |(at, dim): (usize, &Dim)| dim.symbols().any(|s| *s == rows) && (at > 0 || !is(dim, &rows));
        if let Some((name, _)) = dims.find(|(_, at)| cut(*at)) {
            return Err(unfit(format!("`{rows}` is not the first axis of `{name}` alone")).into());
        }
        if target_type.width() == 0 || !target_type.dtype.is_float() {
            return Err(unfit("it has no numbers".into()).into());
        }
        if let Some(taken) = [target_input(target), COTANGENT.to_owned()].iter().find(|name| types.contains_key(*name))
        {
            return Err(unfit(format!("the name of the input `{taken}` is needed")).into());
        }
        Ok(Layout { target: target.to_owned(), target_type, inputs: types, rows })
    }

    /// True where an input has one row for every row of the target.
    fn is_cut(&self, input: &str) -> bool {
        self.inputs[input].dims.first().is_some_and(|dim| is(dim, &self.rows))
    }
}

fn is(dim: &Dim, symbol: &Symbol) -> bool {
    let mut terms = dim.terms();
    matches!((terms.next(), terms.next()), (Some((1, [only])), None) if only == symbol)
}

/// Rows to train on, or to test with.
#[derive(Clone, Debug)]
pub struct DataSet {
    layout: Arc<Layout>,
    name: Arc<str>,
    inputs: IndexMap<String, Array>,
    target: Array,
    rows: usize,
}

impl DataSet {
    /// Takes the inputs of a model and the target, which is called `target` here, out of the arrays of a file. `name` is
    /// what messages call the set. All numbers must be finite.
    pub fn new(
        layout: &Arc<Layout>,
        name: &str,
        arrays: &IndexMap<String, Array>,
        target: &str,
    ) -> Result<Self, TrainError> {
        let fail = |fault| TrainError::Data { set: name.to_owned(), fault };
        let missing = |name: &str| {
            let nearest = Nearest::of(name, arrays.keys().map(String::as_str));
            fail(DataFault::Missing { name: name.to_owned(), nearest })
        };
        let goal = arrays.get(target).cloned().ok_or_else(|| missing(target))?;
        if let Some((given, wanted)) = other_width(&goal, &layout.target_type) {
            return Err(fail(DataFault::Width { name: target.to_owned(), given, wanted }));
        }
        let wanted = layout.target_type.dtype;
        if goal.dtype() != wanted {
            return Err(fail(DataFault::DType { name: target.to_owned(), given: goal.dtype(), wanted }));
        }
        let rows = goal.shape().first().copied().unwrap_or(0);
        let mut inputs = IndexMap::new();
        for (input, ty) in &layout.inputs {
            let array = arrays.get(input).cloned().ok_or_else(|| missing(input))?;
            if let Some((given, wanted)) = other_width(&array, ty) {
                let (name, fault) = (input.clone(), Fault::Width { given, wanted });
                return Err(fail(CallError::from(ArgumentError { role: Role::Input, name, fault }).into()));
            }
            let given = array.shape().first().copied().unwrap_or(0);
            if layout.is_cut(input) && given != rows {
                let (name, other) = (input.clone(), target.to_owned());
                return Err(fail(DataFault::Rows { name, given, other, wanted: rows }));
            }
            require_finite(input, &array).map_err(fail)?;
            inputs.insert(input.clone(), array);
        }
        if rows == 0 {
            return Err(fail(DataFault::Empty));
        }
        require_finite(target, &goal).map_err(fail)?;
        Ok(DataSet { layout: layout.clone(), name: name.into(), inputs, target: goal, rows })
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// True where there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// What data these are.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What messages call the set.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the output is to be.
    pub fn target(&self) -> &Array {
        &self.target
    }

    /// The arrays that the model is called with.
    pub(super) fn views(&self) -> impl Iterator<Item = (&str, ArrayView<'_>)> {
        self.inputs.iter().map(|(name, array)| (name.as_str(), array.view()))
    }

    /// The set of some of the rows, in this order.
    ///
    /// # Panics
    /// Where the set has no such row.
    pub fn rows(&self, rows: &[usize]) -> Self {
        let cut = |(name, array): (&String, &Array)| {
            let array = if self.layout.is_cut(name) { gather(array, rows) } else { array.clone() };
            (name.clone(), array)
        };
        self.with(self.inputs.iter().map(cut).collect(), gather(&self.target, rows))
    }

    /// The same, written over another set of as many rows of this set.
    pub(super) fn rows_over(&self, rows: &[usize], set: &mut DataSet) {
        for ((name, from), to) in self.inputs.iter().zip(set.inputs.values_mut()) {
            if self.layout.is_cut(name) {
                gather_over(from, rows, to);
            }
        }
        gather_over(&self.target, rows, &mut set.target);
    }

    /// The set with an element of O(3) acting on every float input and on the target.
    pub fn rotated(&self, rotation: Rotation) -> Self {
        let Layout { inputs: types, target_type, .. } = &*self.layout;
        let rotate = |(name, array): (&String, &Array)| (name.clone(), rotation.rotated(&types[name].irreps, array));
        let inputs = self.inputs.iter().map(rotate).collect();
        self.with(inputs, rotation.rotated(&target_type.irreps, &self.target))
    }

    fn with(&self, inputs: IndexMap<String, Array>, target: Array) -> Self {
        let rows = target.shape().first().copied().unwrap_or(0);
        DataSet { layout: self.layout.clone(), name: self.name.clone(), inputs, target, rows }
    }

    pub(super) fn fault(&self, fault: impl Into<DataFault>) -> TrainError {
        TrainError::Data { set: self.name.to_string(), fault: fault.into() }
    }
}

/// Refuses an array that holds a NaN or an infinity, with its first place.
fn require_finite(name: &str, array: &Array) -> Result<(), DataFault> {
    match NonFinite::of(Origin::Input, name, array.view()) {
        Some(NonFinite { name, place, value, .. }) => Err(DataFault::NotFinite { name, place, value }),
        None => Ok(()),
    }
}

/// The length of a float array's last axis and the dimension of the irreps that should fill it, where they are not one.
fn other_width(array: &Array, ty: &Type) -> Option<(usize, usize)> {
    let given = array.shape().last().copied().unwrap_or(0);
    (array.dtype().is_float() && given != ty.width()).then(|| (given, ty.width()))
}

/// Some rows of an array, in this order.
fn gather(array: &Array, rows: &[usize]) -> Array {
    let shape: Vec<usize> = [rows.len()].into_iter().chain(array.shape()[1..].iter().copied()).collect();
    let mut taken = Array::zeros(shape, array.dtype()).expect("rows of an array fit in memory");
    gather_over(array, rows, &mut taken);
    taken
}

/// Writes some rows of an array, in this order, over an array of as many such rows.
fn gather_over(array: &Array, rows: &[usize], to: &mut Array) {
    let width = array.len() / array.shape()[0].max(1);
    fn take<T: Copy>(values: &[T], width: usize, rows: &[usize], to: &mut [T]) {
        for (row, to) in rows.iter().zip(to.chunks_exact_mut(width.max(1))) {
            to.copy_from_slice(&values[row * width..][..width]);
        }
    }
    match (array.view().elements(), to.view_mut().into_elements()) {
        (Elements::F32(values), ElementsMut::F32(to)) => take(values, width, rows, to),
        (Elements::F64(values), ElementsMut::F64(to)) => take(values, width, rows, to),
        (Elements::I32(values), ElementsMut::I32(to)) => take(values, width, rows, to),
        (Elements::Bool(values), ElementsMut::Bool(to)) => take(values, width, rows, to),
        (Elements::F32(_) | Elements::F64(_) | Elements::I32(_) | Elements::Bool(_), _) => {
            unreachable!("rows of an array have its element type")
        }
    }
}

/// The rows of a set in the order in which an epoch, counted from 0, goes through them: a uniform permutation that
/// depends on the seed and the epoch alone, and is the same on every machine.
///
/// # Panics
/// Where the list does not fit in memory.
pub fn order(seed: u64, epoch: u64, rows: usize) -> Vec<usize> {
    let init = Init::Uniform { low: Scalar(0.0), high: Scalar(1.0) };
    let random = Param { name: format!("order/{epoch}").into(), shape: vec![rows], init };
    let mut keyed: Vec<(f64, usize)> = draws(&random, seed).zip(0..rows).collect();
    keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
    keyed.into_iter().map(|(_, row)| row).collect()
}
