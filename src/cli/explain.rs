//! `schur explain`: by which rules the compiler simplifies a spec, and what each step saves.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use schur::compiler::simplify::{Cost, Explanation, SimplifyOptions, Step, explain, simplify};
use schur::ir::dim::Dim;
use schur::{Mode, Model};
use serde_json::{Value, json};

use super::failure::Failure;
use super::gradients::Gradients;
use super::terminal::{Terminal, counted};

/// Print the chain of rules from the graph of a spec to the simplified one, and what each step saves.
///
/// Costs are those of the whole graph; what has no symbol is done once a call.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  schur explain model.toml
  schur explain model.toml --train --gradients --json")]
pub(crate) struct Explain {
    /// The model spec: a .toml or .json file.
    spec: PathBuf,
    /// Explain the graph for training: batch norms use the statistics of the batch.
    #[arg(long)]
    train: bool,
    #[command(flatten)]
    gradients: Gradients,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Explain {
    pub(crate) fn run(&self, terminal: &Terminal) -> Result<(), Failure> {
        let model = Model::from_file(&self.spec)?;
        let mode = if self.train { Mode::Train } else { Mode::Infer };
        let graph = model.graph_of(&self.gradients.pass(), mode)?;
        let options = SimplifyOptions::default();
        let bug = |error: &dyn std::fmt::Display| Failure::Bug(error.to_string());
        let explanation = explain(&graph, &options).map_err(|e| bug(&e))?;
        let ranges = simplify(&graph, &options).map_err(|e| bug(&e))?.by_size.ranges();
        if self.json {
            terminal.json(&to_json(&explanation, &ranges))
        } else {
            terminal.print(&text(&explanation, &ranges))
        }
    }
}

/// What the cost falls by, as a polynomial.
fn saved(before: &Dim, after: &Dim) -> String {
    let saved = before.plus(&after.times(&Dim::from(-1)));
    saved.to_string().replace("+-", "-")
}

fn text(explanation: &Explanation, ranges: &[(usize, usize)]) -> String {
    let Explanation { before, steps, after } = explanation;
    let mut text = format!("before: {} flops, {} bytes\n", before.flops, before.bytes);
    let mut last = before;
    for (k, step) in steps.iter().enumerate() {
        let Step { rule, layer, before, after, cost } = step;
        let place = if layer.is_empty() { String::new() } else { format!(" in {layer}") };
        let (flops, bytes) = (saved(&last.flops, &cost.flops), saved(&last.bytes, &cost.bytes));
        let _ = writeln!(text, "\n{}. {rule}{place}: saves {flops} flops, {bytes} bytes", k + 1);
        let signed = before.iter().map(|op| ('-', op)).chain(after.iter().map(|op| ('+', op)));
        for (sign, line) in signed.flat_map(|(sign, op)| op.lines().map(move |line| (sign, line))) {
            let _ = writeln!(text, "  {sign} {line}");
        }
        last = cost;
    }
    let _ = writeln!(text, "\nafter: {} flops, {} bytes", after.flops, after.bytes);
    if let [_, others @ ..] = ranges
        && !others.is_empty()
    {
        let part = |(from, program): &(usize, usize)| format!("from {} program {program}", counted(*from, "row"));
        let _ = writeln!(text, "by size: {}", ranges.iter().map(part).collect::<Vec<_>>().join(", "));
    }
    text
}

fn to_json(explanation: &Explanation, ranges: &[(usize, usize)]) -> Value {
    let cost = |cost: &Cost| json!({ "flops": cost.flops.to_string(), "bytes": cost.bytes.to_string() });
    let step = |step: &Step| {
        json!({
            "rule": step.rule,
            "layer": step.layer,
            "before": step.before,
            "after": step.after,
            "cost": cost(&step.cost),
        })
    };
    let range = |(from, program): &(usize, usize)| json!({ "from": from, "program": program });
    json!({
        "before": cost(&explanation.before),
        "steps": explanation.steps.iter().map(step).collect::<Vec<_>>(),
        "after": cost(&explanation.after),
        "ranges": ranges.iter().map(range).collect::<Vec<_>>(),
    })
}
