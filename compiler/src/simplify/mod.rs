//! Simplification: equality saturation from graph to graph, and extraction of the graph that costs least.
//!
//! Three steps: `narrow` drops chunks that nobody reads, once `unchanged` let readers of copies read what is copied; `saturate`
//! fills an e-graph with all that the `rules` find; `extract` takes one op for every value that is needed. docs/simplify.md lists the rules with their equations.
//!
//! Invariants: the result verifies where the graph did; it has the same inputs, parameters, outputs, requirements and
//! types of outputs; limits on e-nodes and iterations end the search, never time, so one graph has one result.

mod analysis;
mod by_size;
mod candidates;
mod compose;
mod cost;
mod cycles;
mod derivation;
mod explain;
mod extract;
mod language;
mod meet;
mod narrow;
mod neighbours;
mod pack;
mod path_algebra;
mod ranges;
mod regroup;
mod rules;
mod saturate;
mod search;
mod spelling;
#[cfg(test)]
mod tests;
mod trees;
mod unchanged;
mod variants;
mod written;

use std::sync::Arc;

use schur_ir::graph::{Graph, Op, ValueId};
use schur_ir::ty::Type;
use schur_ir::verify::{VerifyError, verify};

use narrow::Narrowed;

pub use by_size::BySize;
pub use cost::Cost;
pub use explain::{Explanation, Step, explain};
pub use rules::{RULES, Rule};
pub use variants::{Variant, variants};

/// Limits, and what is assumed of sizes.
#[derive(Clone, Debug)]
pub struct SimplifyOptions {
    /// The rules that are applied, beside those of normal form, which always are.
    pub rules: Vec<&'static Rule>,
    /// Passes over the e-graph.
    pub iterations: usize,
    /// E-nodes that rules may add to those of the graph.
    pub nodes: usize,
    /// E-nodes of one e-class, beyond which it is left as it is.
    pub ops: usize,
    /// Paths of the graph and of all ops that rules may find, before these are in normal form. What else takes time counts
    /// as some of them: ops, expressions, and what rules try.
    pub paths: usize,
    /// Nodes and paths of a graph, beyond which it only loses what nobody reads; with more than twice as many it is left
    /// as it is.
    pub size: usize,
    /// The size of every symbol for which the result is to be fast.
    pub nominal: usize,
    /// Other sizes, for which another graph may be better.
    pub other_sizes: Vec<usize>,
}

impl Default for SimplifyOptions {
    fn default() -> Self {
        let other_sizes = vec![1, 32, 100_000];
        SimplifyOptions {
            rules: RULES.to_vec(),
            iterations: 12,
            nodes: 10_000,
            ops: 250,
            paths: 150_000,
            size: 75_000,
            nominal: 1000,
            other_sizes,
        }
    }
}

/// Why saturation ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stop {
    /// No rule finds anything new.
    #[default]
    Saturated,
    /// The limit of iterations.
    Iterations,
    /// The limit of e-nodes.
    Nodes,
    /// The limit of e-nodes of one e-class; all others are saturated.
    Ops,
    /// The limit of paths.
    Paths,
}

/// Where a value of the result comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The values of the graph before that it is equal to, or whose live chunks it holds.
    pub sources: Vec<ValueId>,
    /// The rules that made its op, in the order they were applied.
    pub rules: Vec<&'static str>,
}

/// What simplification did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The rules that were applied, in the order of [`RULES`], and how often.
    pub rules: Vec<(&'static str, usize)>,
    /// Passes over the e-graph.
    pub iterations: usize,
    /// E-nodes at the end.
    pub e_nodes: usize,
    /// E-classes at the end.
    pub e_classes: usize,
    /// Why it ended.
    pub stop: Stop,
    /// Where every value of the result comes from.
    pub origins: Vec<Origin>,
}

/// A simplified graph.
#[derive(Clone, Debug)]
pub struct Simplified {
    /// The graph.
    pub graph: Graph,
    /// What was done.
    pub report: Report,
    /// Graphs of the same that cost less for some other sizes: `by_size` says which to take.
    pub others: Vec<Graph>,
    /// Which graph is best for which sizes.
    pub by_size: BySize,
}

impl Simplified {
    /// A graph to which no rules are applied but those before saturation.
    fn narrowed(narrowed: Narrowed<'_>, before: &Graph, mut report: Report) -> Simplified {
        let origin = |(value, _)| {
            let mut origin = Origin { sources: vec![value], rules: Vec::new() };
            narrowed.trace(&mut origin, before);
            origin
        };
        report.origins = narrowed.graph.values().map(origin).collect();
        report.stop = Stop::Paths;
        Simplified { graph: narrowed.graph.into_owned(), report, others: Vec::new(), by_size: BySize::default() }
    }
}

/// The nodes and paths of a graph.
fn size(graph: &Graph) -> usize {
    let paths = graph.nodes.iter().map(|node| match &node.op {
        Op::Contract(contract) => contract.paths.len(),
        Op::Input(_) | Op::Param(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => 0,
    });
    paths.sum::<usize>() + graph.nodes.len()
}

/// Why a graph was not simplified.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SimplifyError {
    /// The graph given breaks a rule.
    #[error("the graph is not valid: {0}")]
    Graph(#[from] VerifyError),
    /// Values of unequal types were found equal: a fault of a rule.
    #[error("a rule merged values of the types {0} and {1}")]
    UnequalTypes(Arc<Type>, Arc<Type>),
}

/// Simplifies a graph.
pub fn simplify(graph: &Graph, options: &SimplifyOptions) -> Result<Simplified, SimplifyError> {
    verify(graph)?;
    simplify_verified(graph, options)
}

/// Simplifies a graph that verifies.
pub(crate) fn simplify_verified(graph: &Graph, options: &SimplifyOptions) -> Result<Simplified, SimplifyError> {
    let mut report = Report::default();
    let narrowed = narrow::narrow(graph, options, &mut report);
    let before = &*narrowed.graph;
    if size(before) > options.size {
        return Ok(Simplified::narrowed(narrowed, graph, report));
    }
    let saturation = saturate::saturate(before, options, &mut report)?;
    let extraction = extract::Extraction::new(&saturation, before.outputs.iter().map(|o| saturation.class(o.value)));
    let plan = extraction.plan(options.nominal);
    report.origins = extraction.origins(&plan, before);
    report.origins.iter_mut().for_each(|origin| narrowed.trace(origin, graph));
    let plans = options.other_sizes.iter().map(|size| (*size, extraction.plan(*size)));
    let plans = plans.filter(|(_, other)| *other != plan).map(|(size, plan)| (size, extraction.cost(&plan), plan));
    let (others, by_size) = BySize::of(extraction.cost(&plan), options.nominal, plans);
    let others = others.iter().map(|plan| extraction.graph(plan, before)).collect();
    let simplified = extraction.graph(&plan, before);
    Ok(Simplified { graph: simplified, report, others, by_size })
}
