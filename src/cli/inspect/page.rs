//! The page of `schur inspect SPEC --html FILE`: one file that needs nothing else.
//!
//! Drawings are SVG made here; the page's script selects values, moves the drawings and shows listings. All text of the
//! user's is escaped where it is put: as HTML in the drawings, as JSON in the data.

use schur::compiler::simplify::Cost;
use schur::{Mode, Pass};

use super::drawing::Drawing;
use super::facts::{facts, polynomial};
use super::html::{escape, fill, json};
use super::stages::{Compiled, Inspected};
use super::svg::svg;
use crate::cli::failure::Failure;
use crate::cli::terminal::count;

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str =
    concat!(include_str!("page/theme.css"), include_str!("page/page.css"), include_str!("page/drawing.css"));
const SCRIPT: &str = concat!(
    include_str!("page/canvas.js"),
    include_str!("page/details.js"),
    include_str!("page/listings.js"),
    include_str!("page/page.js"),
);

/// The page of a model.
pub(super) fn page(inspected: &Inspected<'_>) -> Result<String, Failure> {
    let compiled = inspected.compiled()?;
    let forward = inspected.model.graph(inspected.mode)?.nodes.len();
    let mut data = facts(&compiled, forward, inspected.size);
    let name = &compiled.graph.name;
    data["name"] = name.as_str().into();
    let drawings = [("before", &compiled.graph), ("after", &compiled.simplified)]
        .map(|(key, graph)| svg(key, graph, &Drawing::of(graph)));
    Ok(fill(
        PAGE,
        &[
            ("title", &escape(name)),
            ("kind", &escape(&kind(inspected, &compiled))),
            ("source", if inspected.pass.has_gradients() { "Joint" } else { "Graph" }),
            ("summary", &summary(&compiled)),
            ("style", STYLE),
            ("script", SCRIPT),
            ("before", &drawings[0]),
            ("after", &drawings[1]),
            ("data", &json(&data)),
        ],
    ))
}

/// What was compiled: `f32 · inference · forward`.
fn kind(inspected: &Inspected<'_>, compiled: &Compiled) -> String {
    let mode = match inspected.mode {
        Mode::Train => "training",
        Mode::Infer => "inference",
    };
    let pass = match inspected.pass {
        Pass::Forward => "forward",
        Pass::Joint | Pass::Gradients(_) => "forward and backward",
    };
    format!("{} · {mode} · {pass}", compiled.loops.dtype.name())
}

/// Numbers before and after.
fn summary(compiled: &Compiled) -> String {
    let bytes: usize = compiled.kernels.iter().map(|kernel| kernel.size).sum();
    let counts = [compiled.graph.nodes.len(), compiled.simplified.nodes.len()];
    let pair = |name: &str, [before, after]: [String; 2]| {
        format!(
            r#"<div class="number"><dt>{name}</dt><dd>{} <span class="arrow" aria-label="to">→</span> <b>{}</b></dd></div>"#,
            escape(&before),
            escape(&after)
        )
    };
    let single = |name: &str, value: &str| {
        format!(r#"<div class="number"><dt>{name}</dt><dd><b>{}</b></dd></div>"#, escape(value))
    };
    let mut out = pair("values", counts.map(count));
    let costs = [&compiled.graph, &compiled.simplified].map(Cost::of_graph);
    out += &pair("operations", costs.each_ref().map(|cost| polynomial(&cost.flops)));
    out += &pair("bytes", costs.each_ref().map(|cost| polynomial(&cost.bytes)));
    out += &single("kernels", &count(compiled.kernels.len()));
    out += &single("machine code", &format!("{} bytes", count(bytes)));
    out + &single("e-nodes", &count(compiled.report.e_nodes))
}
