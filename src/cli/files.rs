//! Files of arrays: parameters, and what a call is given.

use std::path::Path;

use indexmap::IndexMap;
use schur::train::is_state;
use schur::{Array, CompiledModel, Mode, Model, Outputs, ParamStore, all_finite, checkpoint};

use super::failure::Failure;

/// Refuses a file for arrays that only safetensors can hold (flax's msgpack has parameters and statistics alone), before
/// anything is computed for it.
pub(crate) fn require_safetensors(path: &Path) -> Result<(), Failure> {
    if path.extension().is_some_and(|ending| ending == "safetensors") {
        return Ok(());
    }
    Err(Failure::user(format!("{} must end in .safetensors", path.display()), None))
}

/// Reads the inputs of a model from a file, which may hold other arrays too.
pub(crate) fn read_inputs(model: &Model, path: &Path) -> Result<IndexMap<String, Array>, Failure> {
    let names = model.spec().inputs.keys().map(|name| (name.as_str(), name.as_str()));
    read(path, names, "an input of the model")
}

/// Reads the cotangents of a joint model's outputs from a file, where they have the names of the outputs.
pub(crate) fn read_cotangents(model: &CompiledModel, path: &Path) -> Result<IndexMap<String, Array>, Failure> {
    // No input of a spec has a slash in its name.
    let inputs = model.program().inputs.iter();
    let names = inputs.filter_map(|slot| Some((&*slot.name, slot.name.strip_prefix("cotangent/")?)));
    read(path, names, "an output of the model")
}

/// Reads arrays by pairs of a call's name and the file's name.
fn read<'n>(
    path: &Path,
    names: impl Iterator<Item = (&'n str, &'n str)>,
    what: &str,
) -> Result<IndexMap<String, Array>, Failure> {
    let mut arrays = checkpoint::read(path)?;
    let found = arrays.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let take = |(to, name): (&str, &str)| {
        let array = arrays.swap_remove(name).ok_or_else(|| {
            let message = format!("{} has no array `{name}`, {what}", path.display());
            Failure::user(message, format!("it holds {}", if found.is_empty() { "nothing" } else { &found }))
        })?;
        Ok((to.to_owned(), array))
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

/// Fails where anything that a call returned is NaN or infinite, and says where it comes from.
pub(crate) fn check_finite(
    model: &Model,
    mode: Mode,
    inputs: &IndexMap<String, Array>,
    params: &ParamStore,
    results: &Outputs,
) -> Result<(), Failure> {
    if all_finite(results) {
        return Ok(());
    }
    let views = inputs.iter().map(|(name, array)| (name.as_str(), array.view()));
    let message = match model.find_non_finite(mode, views, params, results)? {
        Some(found) => found.to_string(),
        None => "the result is not finite, though the outputs of all layers are".to_owned(),
    };
    Err(Failure::user(message, None))
}

/// Arrays by name, as a call takes them.
pub(crate) fn named(arrays: &IndexMap<String, Array>) -> impl Iterator<Item = (&str, &Array)> {
    arrays.iter().map(|(name, array)| (name.as_str(), array))
}
