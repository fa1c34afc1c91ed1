//! What the stages of the compiler make of a spec, and their text.

use std::fmt::Write;

use clap::ValueEnum;
use schur::compiler::loops::Loops;
use schur::compiler::simplify::{Report, SimplifyOptions};
use schur::{CompileOptions, Graph, Listings, Mode, Model, Pass, Stage};

use super::kernels::{KernelText, kernels};
use super::toml::toml;
use crate::cli::failure::Failure;
use crate::cli::terminal::{count, counted, table};

/// The size of every symbol for which a program is compiled first.
pub(super) fn nominal() -> usize {
    SimplifyOptions::default().nominal
}

/// A stage of the compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum StageName {
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

impl StageName {
    /// The name on the command line.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// True for what is made of the graph that is compiled.
    pub(super) fn is_compiled(self) -> bool {
        self == StageName::Simplified || self.has_kernels()
    }

    /// True for what kernels are made of.
    pub(super) fn has_kernels(self) -> bool {
        match self {
            StageName::Loops | StageName::Clif | StageName::Asm => true,
            StageName::Spec | StageName::Graph | StageName::Joint | StageName::Simplified => false,
        }
    }
}

/// A model and what of it is looked at.
pub(super) struct Inspected<'m> {
    pub(super) model: &'m Model,
    pub(super) mode: Mode,
    pub(super) pass: Pass,
    /// Part of the names of the kernels that are shown.
    pub(super) kernel: Option<&'m str>,
    /// The names of the rules that are applied; all where there is none.
    pub(super) rules: &'m [String],
    /// The size of every symbol for which the graph is simplified.
    pub(super) size: usize,
}

/// All that compilation makes of a model.
pub(super) struct Compiled {
    /// The graph that was compiled: the joint graph where there are gradients.
    pub(super) graph: Graph,
    pub(super) simplified: Graph,
    pub(super) report: Report,
    pub(super) loops: Loops,
    pub(super) kernels: Vec<KernelText>,
}

impl Inspected<'_> {
    /// The graph that is compiled.
    pub(super) fn graph(&self) -> Result<Graph, Failure> {
        Ok(self.model.graph_of(&self.pass, self.mode)?)
    }

    /// All stages.
    pub(super) fn compiled(&self) -> Result<Compiled, Failure> {
        let mut options = CompileOptions { listings: Listings::Keep, ..CompileOptions::default() };
        if let Some(simplify) = &mut options.simplify {
            simplify.nominal = self.size;
            simplify.rules.retain(|rule| self.rules.is_empty() || self.rules.iter().any(|name| name == rule.name));
        }
        let (mut simplified, mut all_loops, mut code) = (None, None, None);
        self.model.compile_observed(&self.pass, self.mode, &options, &mut |stage| match stage {
            Stage::Simplified(graph, report) => simplified = Some((graph.clone(), report.clone())),
            Stage::Loops(loops) => all_loops = Some(loops.clone()),
            Stage::Code(kernels) => code = Some(kernels.to_vec()),
            Stage::Program(_) => {}
        })?;
        let (Some((simplified, report)), Some(loops), Some(code)) = (simplified, all_loops, code) else {
            return Err(Failure::Bug("compilation passed over a stage".into()));
        };
        let kernels = kernels(&loops, &code);
        Ok(Compiled { graph: self.graph()?, simplified, report, loops, kernels })
    }

    /// The text of a stage.
    pub(super) fn text(&self, stage: StageName) -> Result<String, Failure> {
        Ok(match stage {
            StageName::Spec => toml(self.model.spec()),
            StageName::Graph => self.model.graph(self.mode)?.to_string(),
            StageName::Joint => self.graph()?.to_string(),
            StageName::Simplified => {
                let compiled = self.compiled()?;
                format!("{}\n{}", compiled.simplified, rules(&compiled.report))
            }
            StageName::Loops => self.loops(&self.compiled()?.loops)?,
            StageName::Clif => self.code(&self.compiled()?, KernelText::clif_text)?,
            StageName::Asm => {
                let compiled = self.compiled()?;
                self.code(&compiled, KernelText::asm_text)? + "\n" + &sizes(&compiled.kernels)
            }
        })
    }

    fn loops(&self, loops: &Loops) -> Result<String, Failure> {
        if self.kernel.is_none() {
            return Ok(loops.to_string());
        }
        let kernels = self.chosen(loops.kernels.iter().map(|kernel| (kernel.name.as_str(), kernel)))?;
        Ok(kernels.iter().map(ToString::to_string).collect())
    }

    fn code(&self, compiled: &Compiled, text: impl Fn(&KernelText) -> String) -> Result<String, Failure> {
        let kernels = self.chosen(compiled.kernels.iter().map(|kernel| (kernel.name.as_str(), kernel)))?;
        Ok(kernels.into_iter().map(text).collect::<Vec<_>>().join("\n"))
    }

    /// The kernels that were asked for.
    fn chosen<'k, K>(&self, kernels: impl Iterator<Item = (&'k str, K)>) -> Result<Vec<K>, Failure> {
        let mut names = String::new();
        let wanted = self.kernel.unwrap_or_default();
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
        "; {}, {} e-nodes in {} e-classes, then {:?}\n",
        counted(report.iterations, "iteration"),
        report.e_nodes,
        report.e_classes,
        report.stop
    );
    for (rule, times) in report.rules.iter().filter(|(_, times)| *times > 0) {
        let _ = writeln!(text, "; {rule}: {times}");
    }
    text
}

/// The size of every kernel's code.
fn sizes(kernels: &[KernelText]) -> String {
    let total = kernels.iter().map(|kernel| kernel.size).sum();
    let rows = kernels.iter().map(|kernel| (kernel.name.as_str(), kernel.size)).chain([("all", total)]);
    table(["kernel", "bytes"], 1, rows.map(|(name, bytes)| [name.to_owned(), count(bytes)]))
}
