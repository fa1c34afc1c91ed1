//! `schur inspect`: what the stages of the compiler make of a spec, as text, as a difference, as a drawing or as a page.

mod difference;
mod dot;
mod drawing;
mod facts;
mod html;
mod kernels;
mod layout;
mod machine_code;
mod page;
mod stages;
mod svg;
mod toml;

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{ArgGroup, Args};
use schur::compiler::simplify::RULES;
use schur::{Mode, Model, Pass};

use super::failure::{Failure, require_effects};
use super::files::{require_apart, write_text};
use super::gradients::Gradients;
use super::terminal::Terminal;
use difference::{Named, difference, renumbered};
use page::page;
use stages::{Inspected, StageName, nominal};

/// Show what the stages of the compiler make of a spec.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("view").required(true).multiple(true).args(["stage", "diff", "dot", "html"]),
    after_help = "\
Examples:
  schur inspect model.toml --html model.html
  schur inspect model.toml --stage graph
  schur inspect model.toml --stage loops --train
  schur inspect model.toml --stage asm --kernel mix
  schur inspect model.toml --diff graph simplified
  schur inspect model.toml --diff graph simplified --rule fuse-maps
  schur inspect model.toml --dot --gradients | dot -Tsvg > model.svg"
)]
pub(crate) struct Inspect {
    /// The model spec: a .toml or .json file.
    spec: PathBuf,
    /// The stage whose result is printed.
    #[arg(long, value_enum)]
    stage: Option<StageName>,
    /// Print what differs between two stages.
    #[arg(long, value_enum, num_args = 2, value_names = ["STAGE", "STAGE"], conflicts_with_all = ["stage", "dot"])]
    diff: Option<Vec<StageName>>,
    /// Print the graph in Graphviz's language: simplified, or that of --stage.
    #[arg(long)]
    dot: bool,
    /// Write a page that shows the graph, before and after it is simplified, and the code of every value.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["stage", "diff", "dot", "kernel"])]
    html: Option<PathBuf>,
    /// Compile for training: batch norms use the statistics of the batch.
    #[arg(long)]
    train: bool,
    #[command(flatten)]
    gradients: Gradients,
    /// Simplify by this rule alone, beside those of normal form; may be given more than once.
    #[arg(long = "rule", value_name = "RULE", value_parser = PossibleValuesParser::new(RULES.iter().map(|rule| rule.name)))]
    #[arg(hide_possible_values = true)]
    rules: Vec<String>,
    /// Show what is compiled for calls of this size: every symbol stands for so many.
    #[arg(long, value_name = "SIZE", default_value_t = nominal(), allow_negative_numbers = true)]
    size: usize,
    /// Only the kernels whose name contains this: for the stages loops, clif and asm.
    #[arg(long, value_name = "NAME")]
    kernel: Option<String>,
}

impl Inspect {
    pub(crate) fn run(&self, terminal: &Terminal) -> Result<(), Failure> {
        self.check_options()?;
        let model = Model::from_file(&self.spec)?;
        let mode = if self.train { Mode::Train } else { Mode::Infer };
        let shows_joint = self.stage.iter().chain(self.diff.iter().flatten()).any(|stage| *stage == StageName::Joint);
        let chosen = self.gradients.pass();
        let pass = if shows_joint && !chosen.has_gradients() { Pass::Joint } else { chosen };
        let kernel = self.kernel.as_deref();
        let inspected = Inspected { model: &model, mode, pass, kernel, rules: &self.rules, size: self.size };
        if let Some(stages) = &self.diff {
            return self.print_difference(&inspected, stages, terminal);
        }
        if let Some(path) = &self.html {
            require_apart(&[("--html", path)], &[("the spec", &self.spec)])?;
            write_text(path, &page(&inspected)?)?;
            terminal.note(&format!("wrote {}", path.display()));
            return Ok(());
        }
        let stage = self.stage.unwrap_or(StageName::Simplified);
        terminal.print(&if self.dot { dot(&inspected, stage)? } else { inspected.text(stage)? })
    }

    /// Refuses options that change nothing of what is shown.
    fn check_options(&self) -> Result<(), Failure> {
        // The page, and a drawing without --stage, show the simplified graph.
        let single = [self.stage.unwrap_or(StageName::Simplified)];
        let shown = self.diff.as_deref().unwrap_or(&single);
        let is_built = shown.iter().any(|stage| *stage != StageName::Spec);
        let has_gradients = shown.iter().any(|stage| *stage == StageName::Joint || stage.is_compiled());
        let is_compiled = shown.iter().any(|stage| stage.is_compiled());
        let has_kernels = !self.dot && shown.iter().any(|stage| stage.has_kernels());
        let (compiled, kernels) = ("the stages simplified, loops, clif and asm", "the stages loops, clif and asm");
        require_effects(&[
            ("--train", self.train, is_built, "the stages after spec"),
            ("--gradients", self.gradients.gradients, is_compiled, compiled),
            ("--wrt", !self.gradients.wrt.is_empty(), has_gradients, "the stages after graph"),
            ("--rule", !self.rules.is_empty(), is_compiled, compiled),
            ("--size", self.size != nominal(), is_compiled, compiled),
            ("--kernel", self.kernel.is_some(), has_kernels, kernels),
        ])
    }

    fn print_difference(
        &self,
        inspected: &Inspected<'_>,
        stages: &[StageName],
        terminal: &Terminal,
    ) -> Result<(), Failure> {
        let named = |stage: StageName| {
            let text = match stage {
                StageName::Simplified => {
                    let compiled = inspected.compiled()?;
                    renumbered(&compiled.simplified, &compiled.report.origins, &compiled.graph)
                }
                StageName::Spec
                | StageName::Graph
                | StageName::Joint
                | StageName::Loops
                | StageName::Clif
                | StageName::Asm => inspected.text(stage)?,
            };
            Ok::<_, Failure>(Named { name: stage.name(), text })
        };
        let (before, after) = (named(stages[0])?, named(stages[1])?);
        let text = difference(&before, &after, terminal.has_colours());
        if text.is_empty() {
            terminal.note(&format!("{} and {} are the same", before.name, after.name));
            return Ok(());
        }
        terminal.print(&text)
    }
}

/// The graph of a stage in Graphviz's language.
fn dot(inspected: &Inspected<'_>, stage: StageName) -> Result<String, Failure> {
    Ok(match stage {
        StageName::Graph => dot::dot(&inspected.model.graph(inspected.mode)?),
        StageName::Joint => dot::dot(&inspected.graph()?),
        StageName::Simplified => dot::dot(&inspected.compiled()?.simplified),
        StageName::Spec | StageName::Loops | StageName::Clif | StageName::Asm => {
            let message = format!("`{}` is no graph: --dot draws graph, joint and simplified", stage.name());
            return Err(Failure::CommandLine(message));
        }
    })
}
