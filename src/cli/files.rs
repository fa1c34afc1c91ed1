//! Files: parameters, what a call is given, and where results go.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use schur::checkpoint::{CheckpointFault, Contents, Format};
use schur::train::is_state;
use schur::{Array, CompiledModel, Mode, Model, Outputs, ParamStore, all_finite, checkpoint};

use super::failure::Failure;

/// Refuses a file for arrays that only safetensors can hold (flax's msgpack has parameters and statistics alone), before
/// anything is computed for it.
pub(crate) fn require_safetensors(path: &Path) -> Result<(), Failure> {
    if path.extension().is_some_and(|ending| ending == "safetensors") {
        return Ok(());
    }
    Err(Failure::CommandLine(format!("{} must end in .safetensors", path.display())))
}

/// Refuses a file for arrays whose name does not say what its format is, before anything is computed for it.
pub(crate) fn require_format(path: &Path) -> Result<(), Failure> {
    let refused = |fault| Failure::CommandLine(format!("{}: {fault}", path.display()));
    Format::of(path).map(|_| ()).map_err(refused)
}

/// A file of the command line: the option that names it, and its path.
pub(crate) type Named<'a> = (&'static str, &'a Path);

/// Refuses two results in one file, and a result in the place of a file that is `read`: something would be lost.
pub(crate) fn require_apart(written: &[Named<'_>], read: &[Named<'_>]) -> Result<(), Failure> {
    for (k, (option, path)) in written.iter().enumerate() {
        let others = written.iter().take(k).chain(read);
        if let Some((other, _)) = others.into_iter().find(|(_, other)| is_same(path, other)) {
            let message = format!("{option} and {other} are the same file: {}", path.display());
            return Err(Failure::CommandLine(message));
        }
    }
    Ok(())
}

/// True where two paths lead to one file, which need not be there. Devices hold nothing that could be lost.
fn is_same(a: &Path, b: &Path) -> bool {
    let is_special = |path: &Path| fs::metadata(path).is_ok_and(|found| !found.is_file());
    !is_special(a) && resolved(a) == resolved(b)
}

fn resolved(path: &Path) -> PathBuf {
    let in_folder = || Some(checkpoint::folder(path).canonicalize().ok()?.join(path.file_name()?));
    path.canonicalize().ok().or_else(in_folder).unwrap_or_else(|| path.to_owned())
}

/// Checks, before hours of work, that a file can be written in its folder.
pub(crate) fn require_writable(path: &Path) -> Result<(), Failure> {
    if path.is_dir() {
        return Err(Failure::user(format!("{} cannot be written: it is a folder", path.display()), None));
    }
    if !checkpoint::folder(path).is_dir() {
        return Err(Failure::user(format!("{} cannot be written: there is no such folder", path.display()), None));
    }
    checkpoint::probe(path).map_err(|error| unwritable(path, &error))
}

/// Writes a file whole, or not at all.
pub(crate) fn write_text(path: &Path, text: &str) -> Result<(), Failure> {
    checkpoint::replace(path, text.as_bytes()).map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::user(format!("cannot write {}: {error}", path.display()), None)
}

/// Reads the inputs of a model from a file, which may hold other arrays too.
pub(crate) fn read_inputs(model: &Model, path: &Path) -> Result<IndexMap<String, Array>, Failure> {
    let names = model.spec().inputs.keys().map(|name| (name.as_str(), name.as_str()));
    read(path, names, "an input of the model")
}

/// How the names of a joint model's cotangents begin.
pub(crate) const COTANGENT: &str = "cotangent/";

/// Reads the cotangents of a joint model's outputs from a file, where they have the names of the outputs.
pub(crate) fn read_cotangents(model: &CompiledModel, path: &Path) -> Result<IndexMap<String, Array>, Failure> {
    // No input of a spec has a slash in its name.
    let inputs = model.program().inputs.iter();
    let names = inputs.filter_map(|slot| Some((&*slot.name, slot.name.strip_prefix(COTANGENT)?)));
    read(path, names, "an output of the model")
}

/// How many arrays of a file are named in a message.
const LISTED: usize = 30;

/// Reads arrays by pairs of a call's name and the file's name.
fn read<'n>(
    path: &Path,
    names: impl Iterator<Item = (&'n str, &'n str)>,
    what: &str,
) -> Result<IndexMap<String, Array>, Failure> {
    let mut contents = checkpoint::read_contents(path)?;
    let found = listed(&contents);
    let take = |(to, name): (&str, &str)| {
        require_readable(path, &contents, name)?;
        let array = contents.arrays.swap_remove(name).ok_or_else(|| {
            let message = format!("{} has no array `{name}`, {what}", path.display());
            Failure::user(message, format!("it holds {}", if found.is_empty() { "nothing" } else { &found }))
        })?;
        Ok((to.to_owned(), array))
    };
    names.map(take).collect()
}

/// The names of what a file holds, in order.
fn listed(contents: &Contents) -> String {
    let mut names: Vec<&String> = contents.arrays.keys().chain(contents.foreign.keys()).collect();
    names.sort();
    let found = names.iter().take(LISTED).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(LISTED) {
        0 => found,
        more => format!("{found} and {more} more"),
    }
}

/// Refuses an array that is wanted and has an element type that no array of a call has.
pub(crate) fn require_readable(path: &Path, contents: &Contents, name: &str) -> Result<(), Failure> {
    let Some(dtype) = contents.foreign.get(name) else { return Ok(()) };
    let fault = CheckpointFault::DType { name: name.to_owned(), dtype: dtype.clone() };
    let to = if dtype.starts_with(['I', 'U']) { "int32" } else { "float32" };
    Err(Failure::user(format!("{}: {fault}", path.display()), format!("save it as {to}")))
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
    threads: Option<NonZeroUsize>,
) -> Result<(), Failure> {
    if all_finite(results) {
        return Ok(());
    }
    let views = inputs.iter().map(|(name, array)| (name.as_str(), array.view()));
    let message = match model.find_non_finite(mode, views, params, results, threads)? {
        Some(found) => found.to_string(),
        None => "the result is not finite, though the outputs of all layers are".to_owned(),
    };
    Err(Failure::user(message, None))
}

/// Arrays by name, as a call takes them.
pub(crate) fn named(arrays: &IndexMap<String, Array>) -> impl Iterator<Item = (&str, &Array)> {
    arrays.iter().map(|(name, array)| (name.as_str(), array))
}
