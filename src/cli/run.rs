//! `schur run`: one call, from files to files.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use indexmap::IndexMap;
use schur::runtime::argument::ArgumentError;
use schur::runtime::bind::CallError;
use schur::{Array, Error, Mode, Model, Outputs, ParamStore, checkpoint};

use super::cache::{CacheFolder, tell_failure};
use super::failure::Failure;
use super::files::{
    COTANGENT, Named, check_finite, named, read_cotangents, read_inputs, read_params, require_apart, require_format,
    require_safetensors, require_writable,
};
use super::gradients::with_respect_to;
use super::terminal::{Terminal, duration};
use super::threads::Threads;

/// Compile a spec and call it once, from safetensors files to safetensors files.
///
/// Arrays have the names of the spec; a file of inputs may hold other arrays too. Files are written whole or not at all.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  schur run model.toml --params p.safetensors \\
      --inputs x.safetensors --outputs y.safetensors
  schur run model.toml --params p.safetensors \\
      --inputs x.safetensors --outputs y.safetensors \\
      --train --batch-stats updated.safetensors
  schur run model.toml --params p.safetensors \\
      --inputs x.safetensors --outputs y.safetensors \\
      --cotangents c.safetensors --gradients g.safetensors --wrt x")]
pub(crate) struct Run {
    /// The model spec: a .toml or .json file.
    spec: PathBuf,
    /// The parameters and running statistics, as `schur init` writes them.
    #[arg(long, value_name = "FILE")]
    params: PathBuf,
    /// The inputs, by their names in the spec.
    #[arg(long, value_name = "FILE")]
    inputs: PathBuf,
    /// Where the outputs are written, by their names in the spec.
    #[arg(long, value_name = "FILE")]
    outputs: PathBuf,
    /// Normalise by the statistics of this batch, as in training.
    #[arg(long)]
    train: bool,
    /// Where the running statistics are written: updated with --train, otherwise as they are.
    #[arg(long, value_name = "FILE")]
    batch_stats: Option<PathBuf>,
    /// The cotangents, one array an output, by its name: the gradients are their product with the Jacobian.
    #[arg(long, value_name = "FILE", requires = "gradients")]
    cotangents: Option<PathBuf>,
    /// Where the gradients are written: one array for every float input and every `params/…`, by its name.
    #[arg(long, value_name = "FILE", requires = "cotangents")]
    gradients: Option<PathBuf>,
    /// Only the gradient with respect to this input or parameter; may be given more than once.
    #[arg(long, value_name = "NAME", requires = "gradients")]
    wrt: Vec<Arc<str>>,
    /// Fail where anything that is returned is NaN or infinite, and name the first layer that makes one.
    #[arg(long)]
    check_finite: bool,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    cache: CacheFolder,
}

impl Run {
    pub(crate) fn run(&self, terminal: &Terminal) -> Result<(), Failure> {
        self.check_files()?;
        let model = Model::from_file(&self.spec)?;
        let mut inputs = read_inputs(&model, &self.inputs)?;
        let mode = if self.train { Mode::Train } else { Mode::Infer };
        let options = self.cache.options(terminal);
        let mut compiled = match &self.cotangents {
            Some(path) => {
                let compiled = model.compile_observed(&with_respect_to(&self.wrt), mode, &options, &mut |_| {})?;
                inputs.extend(read_cotangents(&compiled, path)?);
                compiled
            }
            None => model.compile(mode, &options)?,
        };
        self.threads.limit(&mut compiled);
        let params = read_params(&model, &self.params)?;
        let results = compiled.run(named(&inputs), &params);
        let mut results = results.map_err(|error| self.with_file(error))?;
        tell_failure(&options, terminal);
        if self.check_finite {
            check_finite(&model, mode, &inputs, &params, &results, self.threads.most())?;
        }
        if self.batch_stats.is_some() && mode == Mode::Infer {
            results.statistics = statistics(&model, &params)?;
        }
        self.write(&results)?;
        let (time, written) = (duration(compiled.timings().total()), self.written(&results));
        terminal.note(&format!("compiled in {time}; wrote {written}"));
        Ok(())
    }

    fn write(&self, results: &Outputs) -> Result<(), Failure> {
        let files = [
            (Some(&self.outputs), &results.outputs),
            (self.batch_stats.as_ref(), &results.statistics),
            (self.gradients.as_ref(), &results.gradients),
        ];
        for (path, arrays) in files {
            if let Some(path) = path {
                checkpoint::write(path, arrays.iter().map(|(name, array)| (&**name, array)))?;
            }
        }
        Ok(())
    }

    /// The outputs by name, statistics and gradients as such, each with its file.
    fn written(&self, results: &Outputs) -> String {
        let names = results.outputs.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let mut written = format!("{names} to {}", self.outputs.display());
        for (what, path) in [("statistics", &self.batch_stats), ("gradients", &self.gradients)] {
            if let Some(path) = path {
                written += &format!(", {what} to {}", path.display());
            }
        }
        written
    }

    /// A refused call: an array that is wrong is told with its file and its name there.
    fn with_file(&self, error: Error) -> Failure {
        let Error::Call(refused) = error else { return error.into() };
        let (array, fault) = match &refused {
            CallError::Argument(ArgumentError { name, fault, .. }) => (name, fault.to_string()),
            CallError::Symbol { symbol, name, size, other, other_size } if other.starts_with(COTANGENT) => {
                (other, format!("has {other_size} for `{symbol}`, which is {size} in `{name}`"))
            }
            CallError::Symbol { .. }
            | CallError::Requirement(_)
            | CallError::Store(_)
            | CallError::Dim(_)
            | CallError::TooLarge { .. } => return refused.into(),
        };
        let (role, name, path) = match (array.strip_prefix(COTANGENT), &self.cotangents) {
            (Some(output), Some(path)) => ("cotangent", output, path),
            (_, _) => ("input", &**array, &self.inputs),
        };
        Failure::user(format!("{}: the {role} `{name}` {fault}", path.display()), None)
    }

    /// Refuses files that results cannot be written to, before anything is computed.
    fn check_files(&self) -> Result<(), Failure> {
        [Some(&self.outputs), self.gradients.as_ref()]
            .into_iter()
            .flatten()
            .try_for_each(|f| require_safetensors(f))?;
        self.batch_stats.iter().try_for_each(|path| require_format(path))?;
        fn given<'a>(files: &[(&'static str, &'a Option<PathBuf>)]) -> Vec<Named<'a>> {
            files.iter().filter_map(|(option, file)| Some((*option, file.as_deref()?))).collect()
        }
        let mut written: Vec<Named<'_>> = vec![("--outputs", &self.outputs)];
        written.extend(given(&[("--batch-stats", &self.batch_stats), ("--gradients", &self.gradients)]));
        let mut read: Vec<Named<'_>> = vec![("--params", &self.params), ("--inputs", &self.inputs)];
        read.extend(given(&[("--cotangents", &self.cotangents)]));
        require_apart(&written, &read)?;
        written.iter().try_for_each(|(_, path)| require_writable(path))
    }
}

/// The running statistics of a model, as they are.
fn statistics(model: &Model, params: &ParamStore) -> Result<IndexMap<Arc<str>, Array>, Failure> {
    let statistics = model.params()?.into_iter().map(|(_, param)| param).filter(|param| !param.is_trained());
    statistics.map(|param| Ok((param.name.clone(), params.get(&param.name)?.clone()))).collect()
}
