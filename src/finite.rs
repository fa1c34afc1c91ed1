//! Where a NaN or an infinity comes from: the first array, in the order in which things are computed, that holds one.

use std::fmt;
use std::num::NonZeroUsize;

use indexmap::IndexMap;
use schur_compiler::compile::{CompileOptions, compile};
use schur_ir::build::Mode;
use schur_ir::spec::{ModelSpec, Spanned};
use schur_runtime::array::{Array, Data};
use schur_runtime::executor::{Executor, Outputs};
use schur_runtime::store::ParamStore;
use schur_runtime::view::{ArrayView, Elements};

use crate::compiled::executor;
use crate::error::Error;
use crate::model::Model;

/// What holds a NaN or an infinity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An input, as it was given.
    Input,
    /// A parameter or a running statistic, as it was given.
    Parameter,
    /// The output of a layer whose inputs are finite.
    Layer,
    /// An updated statistic; the outputs of all layers are finite.
    Statistic,
    /// A gradient; the outputs of all layers are finite.
    Gradient,
}

/// The first number that is not finite.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{origin} `{name}` {} {value} at {place:?}", if *.origin == Origin::Layer { "makes" } else { "holds" })]
pub struct NonFinite {
    /// What holds it.
    pub origin: Origin,
    /// The name of the input, parameter, layer, statistic or gradient.
    pub name: String,
    /// Where in the array it is.
    pub place: Vec<usize>,
    /// What it is: NaN or an infinity.
    pub value: f64,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::Input => "the input",
            Origin::Parameter => "the parameter",
            Origin::Layer => "the layer",
            Origin::Statistic => "the statistic",
            Origin::Gradient => "the gradient",
        })
    }
}

impl NonFinite {
    /// The first number of an array that is not finite.
    pub(crate) fn of(origin: Origin, name: &str, view: ArrayView<'_>) -> Option<Self> {
        let (at, value) = match view.elements() {
            Elements::F32(v) => v.iter().position(|x| !x.is_finite()).and_then(|at| Some((at, f64::from(*v.get(at)?)))),
            Elements::F64(v) => v.iter().position(|x| !x.is_finite()).and_then(|at| Some((at, *v.get(at)?))),
            Elements::I32(_) | Elements::Bool(_) => None,
        }?;
        let mut place = Vec::with_capacity(view.shape().len());
        let mut rest = at;
        for size in view.shape().iter().rev() {
            place.push(rest.checked_rem(*size).unwrap_or(0));
            rest = rest.checked_div(*size).unwrap_or(0);
        }
        place.reverse();
        Some(NonFinite { origin, name: name.to_owned(), place, value })
    }
}

/// True where every float that a call returned is finite.
pub fn all_finite(outputs: &Outputs) -> bool {
    let arrays = outputs.outputs.values().chain(outputs.statistics.values()).chain(outputs.gradients.values());
    arrays.map(Array::data).all(|data| match data {
        Data::F32(v) => v.iter().all(|x| x.is_finite()),
        Data::F64(v) => v.iter().all(|x| x.is_finite()),
        Data::I32(_) | Data::Bool(_) => true,
    })
}

impl Model {
    /// Finds where the NaN or infinity in what a call returned comes from: computes the output of every layer again, in the
    /// model's own precision and without simplification, on so many threads at most (without, one a core). `None` where all
    /// is finite: of what the call returned as well.
    pub fn find_non_finite<'a>(
        &self,
        mode: Mode,
        inputs: impl IntoIterator<Item = (&'a str, ArrayView<'a>)>,
        params: &ParamStore,
        returned: &Outputs,
        threads: Option<NonZeroUsize>,
    ) -> Result<Option<NonFinite>, Error> {
        let names = &self.spec().inputs;
        let inputs: Vec<_> = inputs.into_iter().filter(|(name, _)| names.contains_key(*name)).collect();
        let given = inputs.iter().find_map(|(name, view)| NonFinite::of(Origin::Input, name, *view));
        let stored = || params.iter().find_map(|(name, array)| NonFinite::of(Origin::Parameter, name, array.view()));
        if let Some(found) = given.or_else(stored) {
            return Ok(Some(found));
        }
        let layers = self.layer_executor(mode, threads)?.call(&inputs, params)?;
        let of = |origin, arrays: &IndexMap<std::sync::Arc<str>, Array>| {
            arrays.iter().find_map(|(name, array)| NonFinite::of(origin, name, array.view()))
        };
        Ok(of(Origin::Layer, &layers.outputs)
            .or_else(|| of(Origin::Statistic, &returned.statistics))
            .or_else(|| of(Origin::Gradient, &returned.gradients)))
    }

    /// What computes the output of every layer, in their order.
    fn layer_executor(&self, mode: Mode, threads: Option<NonZeroUsize>) -> Result<Executor, Error> {
        let outputs: Vec<Spanned<String>> = self.spec().layers.iter().map(|layer| layer.name.clone()).collect();
        let graph = self.build(&ModelSpec { outputs, ..self.spec().clone() }, mode)?;
        let options = CompileOptions { simplify: None, ..CompileOptions::default() };
        executor(compile(&graph, &options, &mut |_, _| {})?, &options, threads)
    }
}

#[cfg(test)]
mod tests {
    use schur_ir::spec::{SpecBuilder, norm};

    use super::*;

    #[test]
    fn the_search_runs_on_no_more_threads_than_it_may() {
        let spec = SpecBuilder::new("m").input("x", ["N"], "2x1o").layer("y", norm("x")).outputs(["y"]);
        let model = Model::new(spec).unwrap();
        let most = |threads| model.layer_executor(Mode::Infer, NonZeroUsize::new(threads)).unwrap().threads();
        assert_eq!([1, 2, 3].map(most), [1, 2, 3]);
    }
}
