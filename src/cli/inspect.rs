//! `schur inspect`: what a stage of the compiler makes of a spec, as text.

use std::fmt::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use schur::compiler::codegen::{KernelCode, Listing};
use schur::compiler::loops::Loops;
use schur::compiler::simplify::Report;
use schur::{CompileOptions, Listings, Mode, Model, Pass, Stage};

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
    /// Compile the gradients as well: for the stages after joint.
    #[arg(long)]
    gradients: bool,
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
    /// The graph with its gradients.
    Joint,
    /// The graph after equality saturation.
    Simplified,
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
            StageName::Joint => terminal.print(&model.joint(mode)?.to_string()),
            StageName::Simplified | StageName::Loops | StageName::Clif | StageName::Asm => {
                terminal.print(&self.compiled(&model, mode)?)
            }
        }
    }

    /// The text of a stage that compilation goes through.
    fn compiled(&self, model: &Model, mode: Mode) -> Result<String, Failure> {
        let options = CompileOptions { listings: Listings::Keep, ..CompileOptions::default() };
        let mut text = Ok(String::new());
        let pass = if self.gradients { Pass::Joint } else { Pass::Forward };
        model.compile_observed(pass, mode, &options, &mut |stage| match stage {
            Stage::Simplified(graph, report) if self.stage == StageName::Simplified => {
                text = Ok(format!("{graph}\n{}", rules(report)));
            }
            Stage::Loops(loops) if self.stage == StageName::Loops => text = self.loops(loops),
            Stage::Code(code) if self.stage == StageName::Clif => text = self.code(code, |listing| &listing.clif),
            Stage::Code(code) if self.stage == StageName::Asm => {
                text = self.code(code, |listing| &listing.asm).map(|asm| asm + "\n" + &sizes(code));
            }
            Stage::Simplified(..) | Stage::Loops(_) | Stage::Code(_) | Stage::Program(_) => {}
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

    fn code(&self, code: &[KernelCode], text: impl Fn(&Listing) -> &str) -> Result<String, Failure> {
        let kernels = self.chosen(code.iter().map(|kernel| (kernel.name.as_str(), kernel)))?;
        let listed = |k: &KernelCode| format!("; {}\n{}", k.name, k.listing.as_ref().map_or("", &text));
        Ok(kernels.into_iter().map(listed).collect::<Vec<_>>().join("\n"))
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

/// What was done to a graph, as comments of its text form.
fn rules(report: &Report) -> String {
    let mut text = format!(
        "; {} iterations, {} e-nodes in {} e-classes, then {:?}\n",
        report.iterations, report.e_nodes, report.e_classes, report.stop
    );
    for (rule, times) in report.rules.iter().filter(|(_, times)| *times > 0) {
        let _ = writeln!(text, "; {rule}: {times}");
    }
    text
}

/// The size of every kernel's code.
fn sizes(code: &[KernelCode]) -> String {
    let total = code.iter().map(|kernel| kernel.bytes.len()).sum();
    let rows = code.iter().map(|kernel| (kernel.name.as_str(), kernel.bytes.len())).chain([("all", total)]);
    table(["kernel", "bytes"], 1, rows.map(|(name, bytes)| [name.to_owned(), count(bytes)]))
}
