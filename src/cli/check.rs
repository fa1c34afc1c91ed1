//! `schur check`: what a spec means, or what is wrong with it.

use std::path::PathBuf;

use clap::Args;
use schur::compiler::compile::CompileError;
use schur::compiler::simplify::{Simplified, SimplifyOptions, simplify};
use schur::compiler::validate::{Validation, validate};
use schur::ir::dim::Dim;
use schur::ir::graph::Param;
use schur::{Mode, Model, Type};
use serde_json::{Value, json};

use super::failure::Failure;
use super::terminal::{Terminal, count, counted, table};

/// Check a spec, and print the type and the parameters of every layer.
///
/// Every problem is shown with its place in the file; the exit status is then 1.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  schur check model.toml\n  schur check model.toml --validate\n  schur check model.toml --json"
)]
pub(crate) struct Check {
    /// The model spec: a .toml or .json file.
    spec: PathBuf,
    /// Evaluate the simplified graphs beside the graphs on random arrays: forward and gradients, inference and training.
    #[arg(long)]
    validate: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Whether gradients change what a layer holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Trained,
    Statistic,
}

/// A line of the table.
struct Row {
    name: String,
    op: &'static str,
    ty: Type,
    params: Vec<Param>,
    returned: bool,
}

impl Row {
    /// The numbers in the parameters that are trained, or in the running statistics.
    fn numbers(&self, kind: Kind) -> usize {
        let of_kind = self.params.iter().filter(|param| param.is_trained() == (kind == Kind::Trained));
        of_kind.map(|param| param.shape.iter().product::<usize>()).sum()
    }

    fn to_json(&self) -> Value {
        let param = |param: &Param| json!({ "name": *param.name, "shape": param.shape });
        let dims = self.ty.dims.iter().map(Dim::to_string);
        json!({
            "name": self.name,
            "op": self.op,
            "dtype": self.ty.dtype.name(),
            "shape": dims.collect::<Vec<_>>(),
            "irreps": self.ty.dtype.is_float().then(|| self.ty.irreps.to_string()),
            "output": self.returned,
            "parameters": self.params.iter().map(param).collect::<Vec<_>>(),
        })
    }
}

impl Check {
    pub(crate) fn run(&self, terminal: &Terminal) -> Result<(), Failure> {
        let model = Model::from_file(&self.spec)?;
        let rows = rows(&model)?;
        let total = |kind| rows.iter().map(|row| row.numbers(kind)).sum::<usize>();
        let (parameters, statistics) = (total(Kind::Trained), total(Kind::Statistic));
        let validation = if self.validate { Some(validation(&model)?) } else { None };
        if self.json {
            let spec = model.spec();
            return terminal.json(&json!({
                "name": spec.name,
                "dtype": spec.dtype.name(),
                "layers": rows.iter().map(Row::to_json).collect::<Vec<_>>(),
                "parameters": parameters,
                "statistics": statistics,
                "validation": validation.map(|v| json!({ "elements": v.elements, "error": v.error })),
            }));
        }
        let numbers = |row: &Row, kind| match row.numbers(kind) {
            0 => String::new(),
            n => count(n),
        };
        let mark = |row: &Row| if row.returned { "output".to_owned() } else { String::new() };
        let lines = rows.iter().map(|row| {
            let ty = if row.ty.dtype.is_float() {
                row.ty.to_string()
            } else {
                format!("{}{}", row.ty.dtype, schur::ir::ty::DisplayDims(&row.ty.dims))
            };
            [
                row.name.clone(),
                row.op.to_owned(),
                ty,
                mark(row),
                numbers(row, Kind::Trained),
                numbers(row, Kind::Statistic),
            ]
        });
        let table = table(["name", "op", "type", "", "parameters", "statistics"], 4, lines);
        let (parameters, statistics) = (counted(parameters, "parameter"), counted(statistics, "running statistic"));
        let summary = format!("{}: {parameters}, {statistics}", model.spec().name);
        let validated = validation.map_or_else(String::new, |Validation { elements, error }| {
            format!("\n validated: {} elements are equal but for rounding, {error:.1e} at most", count(elements))
        });
        terminal.print(&format!("{table}{}\n {summary}{validated}", parameters_of(&rows)))
    }
}

/// The names and shapes of all parameters and statistics, a line each.
fn parameters_of(rows: &[Row]) -> String {
    let lines = rows.iter().flat_map(|row| &row.params);
    let mut lines = lines.map(|param| [param.name.to_string(), format!("{:?}", param.shape)]).peekable();
    if lines.peek().is_none() {
        return String::new();
    }
    format!("\n{}", table(["parameter", "shape"], 2, lines))
}

/// How many sets of random arrays a spec is validated on.
const SEEDS: u64 = 4;

/// Validates what is made of a spec: forward and with gradients, for both modes, and for all ranges of sizes.
fn validation(model: &Model) -> Result<Validation, Failure> {
    let bug = |error: &dyn std::fmt::Display| Failure::Bug(error.to_string());
    let mut all = Validation::default();
    for mode in [Mode::Infer, Mode::Train] {
        for graph in [model.graph(mode)?, model.joint(mode)?] {
            let Simplified { graph: simplified, others, .. } =
                simplify(&graph, &SimplifyOptions::default()).map_err(|e| bug(&e))?;
            for after in others.iter().chain([&simplified]) {
                for seed in 0..SEEDS {
                    let found = validate(&graph, after, seed).map_err(CompileError::from)?;
                    all.elements += found.elements;
                    all.error = all.error.max(found.error);
                }
            }
        }
    }
    Ok(all)
}

fn rows(model: &Model) -> Result<Vec<Row>, Failure> {
    let spec = model.spec();
    // Both modes must mean something.
    let mut types = model.types(Mode::Infer)?;
    model.types(Mode::Train)?;
    let params = model.params()?;
    let inputs = spec.inputs.keys().map(|name| (name, "input"));
    let layers = spec.layers.iter().map(|layer| (&layer.name.value, layer.op.name()));
    let row = |(name, op): (&String, &'static str)| {
        let ty = types.swap_remove(name).ok_or_else(|| Failure::Bug(format!("`{name}` has no type")))?;
        let params = params.iter().filter(|(layer, _)| layer == name).map(|(_, param)| param.clone());
        let returned = spec.outputs.iter().any(|output| output.value == *name);
        Ok(Row { name: name.clone(), op, ty, params: params.collect(), returned })
    };
    inputs.chain(layers).map(row).collect()
}
