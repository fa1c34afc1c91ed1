//! `schur inspect`: what a stage of the compiler makes of a spec, as text.

use std::fmt::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use schur::compiler::codegen::KernelCode;
use schur::compiler::loops::Loops;
use schur::{CompileOptions, Listings, Mode, Model};

use super::failure::Failure;
use super::terminal::{Terminal, count, table};

/// Print what a stage of the compiler makes of a spec.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  schur inspect model.toml --stage graph
  schur inspect model.toml --stage loops --train
  schur inspect model.toml --stage asm --kernel mix")]
pub(crate) struct Inspect {
    /// The model spec: a .toml or .json file.
    spec: PathBuf,
    /// The stage whose result is printed.
    #[arg(long, value_enum)]
    stage: StageName,
    /// Compile for training: batch norms use the statistics of the batch.
    #[arg(long)]
    train: bool,
    /// Only the kernels whose name contains this: for the stages loops, clif and asm.
    #[arg(long, value_name = "NAME")]
    kernel: Option<String>,
}

/// A stage of the compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StageName {
    /// The spec, defaults filled in.
    Spec,
    /// The typed graph of primitive ops.
    Graph,
    /// Fused loop nests over tiles of rows.
    Loops,
    /// Cranelift IR, one function a kernel.
    Clif,
    /// Machine code, with its size.
    Asm,
}

impl Inspect {
    pub(crate) fn run(&self, terminal: &Terminal) -> Result<(), Failure> {
        let model = Model::from_file(&self.spec)?;
        let mode = if self.train { Mode::Train } else { Mode::Infer };
        match self.stage {
            StageName::Spec => terminal.print(&format!("{:#?}", model.spec())),
            StageName::Graph => terminal.print(&model.graph(mode)?.to_string()),
            StageName::Loops | StageName::Clif | StageName::Asm => terminal.print(&self.compiled(&model, mode)?),
        }
    }

    /// The text of a stage that compilation goes through.
    fn compiled(&self, model: &Model, mode: Mode) -> Result<String, Failure> {
        let options = CompileOptions { listings: Listings::Keep, ..CompileOptions::default() };
        let mut text = Ok(String::new());
        model.compile_observed(mode, &options, &mut |stage| match stage {
            schur::Stage::Loops(loops) if self.stage == StageName::Loops => text = self.loops(loops),
            schur::Stage::Code(code) if self.stage == StageName::Clif => text = self.code(code, |k| k.clif.clone()),
            schur::Stage::Code(code) if self.stage == StageName::Asm => {
                text = self.code(code, |k| format!("; {}\n{}", k.name, k.asm)).map(|asm| asm + "\n" + &sizes(code));
            }
            schur::Stage::Loops(_) | schur::Stage::Code(_) | schur::Stage::Program(_) => {}
        })?;
        text
    }

    fn loops(&self, loops: &Loops) -> Result<String, Failure> {
        if self.kernel.is_none() {
            return Ok(loops.to_string());
        }
        let kernels = self.chosen(loops.kernels.iter().map(|kernel| (kernel.name.as_str(), kernel)))?;
        Ok(kernels.iter().map(ToString::to_string).collect())
    }

    fn code(&self, code: &[KernelCode], listing: impl Fn(&KernelCode) -> String) -> Result<String, Failure> {
        let kernels = self.chosen(code.iter().map(|kernel| (kernel.name.as_str(), kernel)))?;
        Ok(kernels.into_iter().map(listing).collect::<Vec<_>>().join("\n"))
    }

    /// The kernels that were asked for.
    fn chosen<'k, K>(&self, kernels: impl Iterator<Item = (&'k str, K)>) -> Result<Vec<K>, Failure> {
        let mut names = String::new();
        let wanted = self.kernel.as_deref().unwrap_or_default();
        let found = kernels.filter(|(name, _)| {
            let _ = write!(names, "\n  {name}");
            name.contains(wanted)
        });
        let found: Vec<K> = found.map(|(_, kernel)| kernel).collect();
        if found.is_empty() && self.kernel.is_some() {
            return Err(Failure::user(format!("no kernel's name contains `{wanted}`"), format!("there are{names}")));
        }
        Ok(found)
    }
}

/// The size of every kernel's code.
fn sizes(code: &[KernelCode]) -> String {
    let total = code.iter().map(|kernel| kernel.bytes.len()).sum();
    let rows = code.iter().map(|kernel| (kernel.name.as_str(), kernel.bytes.len())).chain([("all", total)]);
    table(["kernel", "bytes"], 1, rows.map(|(name, bytes)| [name.to_owned(), count(bytes)]))
}
