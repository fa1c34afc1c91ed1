//! Files of arrays: parameters, and what a call is given.

use std::path::Path;

use indexmap::IndexMap;
use schur::train::is_state;
use schur::{Array, Model, ParamStore, checkpoint};

use super::failure::Failure;

/// Reads the inputs of a model from a file, which may hold other arrays too.
pub(crate) fn read_inputs(model: &Model, path: &Path) -> Result<IndexMap<String, Array>, Failure> {
    take(path, model.spec().inputs.keys().map(String::as_str), "an input")
}

/// Reads the cotangents of a model's outputs from a file, named as the inputs of the joint program are.
pub(crate) fn read_cotangents(model: &Model, path: &Path) -> Result<IndexMap<String, Array>, Failure> {
    let outputs = model.spec().outputs.iter().map(|name| name.value.as_str());
    let arrays = take(path, outputs, "the cotangent of an output")?;
    Ok(arrays.into_iter().map(|(output, array)| (format!("cotangent/{output}"), array)).collect())
}

/// Reads these arrays from a file that may hold others too.
fn take<'n>(path: &Path, names: impl Iterator<Item = &'n str>, what: &str) -> Result<IndexMap<String, Array>, Failure> {
    let mut arrays = checkpoint::read(path)?;
    let found = arrays.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let take = |name: &str| {
        let array = arrays.swap_remove(name).ok_or_else(|| {
            let message = format!("{} has no array `{name}`, {what} of the model", path.display());
            Failure::user(message, format!("it holds {}", if found.is_empty() { "nothing" } else { &found }))
        })?;
        Ok((name.to_owned(), array))
    };
    names.map(take).collect()
}

/// Reads the parameters of a model from a file, which holds them and, where it is a checkpoint of training, the state of
/// the run.
pub(crate) fn read_params(model: &Model, path: &Path) -> Result<ParamStore, Failure> {
    let mut arrays = checkpoint::read(path)?;
    arrays.retain(|name, _| !is_state(name));
    let params = model.params()?;
    ParamStore::from_arrays(params.iter().map(|(_, param)| param), model.spec().dtype, arrays).map_err(|error| {
        Failure::user(
            format!("{}: {error}", path.display()),
            "`schur check` lists the parameters of a spec, `schur init` makes them".to_owned(),
        )
    })
}

/// Arrays by name, as a call takes them.
pub(crate) fn named(arrays: &IndexMap<String, Array>) -> impl Iterator<Item = (&str, &Array)> {
    arrays.iter().map(|(name, array)| (name.as_str(), array))
}
