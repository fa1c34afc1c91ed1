//! Graphs: their text, read and printed; compiled; where they are small, run beside the reference.

use schur::compiler::compile::{CompileError, compile};
use schur::compiler::validate::ValidationError;
use schur::ir::verify::verify;
use schur::{CompileOptions, Graph, Program};

use super::{limits, ways};

mod beside;
mod edit;

pub use edit::edited;

pub(super) fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let Ok(graph) = Graph::parse_within(text, &limits()) else { return };
    let printed = graph.to_string();
    // Constants are folded when they are read, so that only what is printed again must be equal.
    let again: Graph = printed.parse().unwrap_or_else(|error| panic!("{error}\n{printed}"));
    assert_eq!(again, graph);
    if verify(&graph).is_err() {
        return;
    }
    // What numbers of all magnitudes do to rounding is accounted for in `beside` alone.
    let options = CompileOptions { validate: beside::is_moderate(&graph), ..ways(text.len()) };
    if let Some(program) = compiled(&graph, &options) {
        beside::compare(&graph, program);
    }
}

/// The program, where loops can say the graph and it is within the limits.
fn compiled(graph: &Graph, options: &CompileOptions) -> Option<Program> {
    match compile(graph, options, &mut |_, _| {}) {
        Ok(program) => Some(program),
        Err(CompileError::Graph(_) | CompileError::Limit(_) | CompileError::Loops(_)) => None,
        // What loops cannot say, the validation of the simplifier cannot run either; nor a graph that has no size for some
        // symbols.
        Err(CompileError::Validation(ValidationError::Loops(_) | ValidationError::Sizes(_))) => None,
        Err(CompileError::Simplified(error)) => panic!("simplified: {error}\n{graph}"),
        Err(error) => panic!("{error}\n{graph}"),
    }
}
