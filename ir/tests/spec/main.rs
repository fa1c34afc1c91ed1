//! The model spec: what is accepted, what is said about faults, and that nothing makes it panic.

mod accepted;
mod builder;
mod diagnostics;
mod limits;
mod robust;

use schur_ir::spec::{ModelSpec, Source, SpecError};

/// Parses a text as TOML.
fn toml(text: &str) -> Result<ModelSpec, SpecError> {
    ModelSpec::parse(&Source::new("model.toml", text).unwrap())
}

/// Parses a text as JSON.
fn json(text: &str) -> Result<ModelSpec, SpecError> {
    ModelSpec::parse(&Source::new("model.json", text).unwrap())
}

/// What a user sees, without colour.
fn render(error: &SpecError) -> String {
    let theme = miette::GraphicalTheme::unicode_nocolor();
    let mut out = String::new();
    let handler = miette::GraphicalReportHandler::new_themed(theme).with_width(120).with_links(false);
    handler.render_report(&mut out, error).unwrap();
    out
}
