//! The `joint` stage: reverse-mode differentiation, graph to graph.
//!
//! [`vjp`] appends to a graph the vector-Jacobian product: a cotangent input for every output chosen, and a gradient
//! output for every leaf chosen. `docs/autodiff.md` has the equations.
//!
//! Invariants: the forward nodes stay as they are, with their ids; an adjoint node belongs to the layer whose derivative
//! it is; what flows back to a value has that value's sizes, irreps and element type; nothing is computed for values that
//! depend on no leaf chosen. The ops are closed under differentiation, so a joint graph can be differentiated again.

mod contract;
mod map;
mod max;
mod reverse;
mod terms;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use schur_ir::graph::{Graph, Op, Output, OutputKind, ValueId};
use schur_ir::verify::{VerifyError, verify};

use reverse::Reverse;

/// What is differentiated with respect to what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VjpOptions {
    /// The outputs that are given a cotangent, of any kind; the others are constants to the derivative.
    pub outputs: Vec<(OutputKind, Arc<str>)>,
    /// The float inputs and parameters whose gradients are returned, in order.
    pub wrt: Vec<Arc<str>>,
}

impl VjpOptions {
    /// All float outputs of the spec, with respect to every float input and every `params/…`. Updated statistics are
    /// not differentiated, and running ones are constants.
    pub fn new(graph: &Graph) -> Self {
        let outputs = graph.outputs.iter().filter(|o| o.kind == OutputKind::Output);
        let outputs = outputs.filter(|o| graph.ty(o.value).dtype.is_float());
        let wrt = graph.nodes.iter().filter(|node| node.ty.dtype.is_float()).filter_map(|node| match &node.op {
            Op::Input(name) => Some(name.clone()),
            Op::Param(param) => param.is_trained().then(|| param.name.clone()),
            Op::Contract(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => None,
        });
        VjpOptions { outputs: outputs.map(|o| (o.kind, o.name.clone())).collect(), wrt: wrt.collect() }
    }
}

/// Why a graph is not differentiated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AutodiffError {
    /// The graph given breaks a rule.
    #[error("the graph is not valid: {0}")]
    Graph(#[from] VerifyError),
    /// No output is called so.
    #[error("the graph has no output `{0}` of the kind asked for")]
    NoOutput(Arc<str>),
    /// No input or parameter is called so.
    #[error("the graph has no input or parameter `{0}`")]
    NoLeaf(Arc<str>),
    /// Indices and masks have no derivative.
    #[error("`{0}` is an index or a mask: floats alone have derivatives")]
    NotFloat(Arc<str>),
    /// The derivative of a map is an expression that no graph may hold.
    #[error("the derivative of {0} is deeper than {max} or too large", max = schur_ir::expr::Expr::MAX_DEPTH)]
    Slope(ValueId),
    /// A name is given twice.
    #[error("`{0}` is given twice")]
    Repeated(Arc<str>),
}

/// The joint graph: what `graph` computes, and the vector-Jacobian product.
///
/// - Every output of `options.outputs` gets an input `cotangent/<name>` of its type.
/// - Every leaf of `options.wrt` gets an output of kind [`OutputKind::Gradient`] with its name and shape, zero where the
///   outputs do not depend on it.
/// - The other outputs stay. Gradients that `graph` itself returns become outputs `gradient/<name>`.
///
/// Where a name is taken, as when a joint graph is differentiated again, the prefix is repeated until it is free:
/// `cotangent/cotangent/<name>`. Nodes that no output needs may be among the result's.
pub fn vjp(graph: &Graph, options: &VjpOptions) -> Result<Graph, AutodiffError> {
    verify(graph)?;
    let wrt = leaves(graph, &options.wrt)?;
    let outputs = chosen_outputs(graph, &options.outputs)?;
    let mut reverse = Reverse::new(graph, &wrt);
    let mut taken = leaf_names(graph);
    for output in outputs {
        let name = free_name("cotangent", &output.name, &mut taken);
        reverse.seed(output.value, &name);
    }
    reverse.run()?;
    let gradients: Vec<ValueId> = wrt.iter().map(|leaf| reverse.gradient(*leaf)).collect();

    let mut joint = reverse.finish();
    rename_gradients(&mut joint);
    for ((leaf, name), value) in wrt.iter().zip(&options.wrt).zip(gradients) {
        let shape = user_shape(graph, *leaf);
        joint.outputs.push(Output { name: name.clone(), kind: OutputKind::Gradient, value, shape });
    }
    Ok(joint)
}

fn leaf_names(graph: &Graph) -> HashSet<Arc<str>> {
    graph.nodes.iter().filter_map(|node| node.op.leaf_name().cloned()).collect()
}

fn leaves(graph: &Graph, names: &[Arc<str>]) -> Result<Vec<ValueId>, AutodiffError> {
    let mut seen = HashSet::new();
    let leaves = graph.values().filter_map(|(value, node)| Some((node.op.leaf_name()?, value)));
    let leaves: HashMap<&Arc<str>, ValueId> = leaves.collect();
    let leaf = |name: &Arc<str>| {
        let value = *leaves.get(name).ok_or_else(|| AutodiffError::NoLeaf(name.clone()))?;
        if !graph.ty(value).dtype.is_float() {
            return Err(AutodiffError::NotFloat(name.clone()));
        }
        if seen.insert(name.clone()) { Ok(value) } else { Err(AutodiffError::Repeated(name.clone())) }
    };
    names.iter().map(leaf).collect()
}

fn chosen_outputs<'g>(graph: &'g Graph, names: &[(OutputKind, Arc<str>)]) -> Result<Vec<&'g Output>, AutodiffError> {
    let mut seen = HashSet::new();
    let output = |(kind, name): &(OutputKind, Arc<str>)| {
        let output = graph.output(*kind, name).ok_or_else(|| AutodiffError::NoOutput(name.clone()))?;
        if !graph.ty(output.value).dtype.is_float() {
            return Err(AutodiffError::NotFloat(name.clone()));
        }
        if seen.insert((*kind, name.clone())) { Ok(output) } else { Err(AutodiffError::Repeated(name.clone())) }
    };
    names.iter().map(output).collect()
}

/// `<prefix>/<name>`, with the prefix repeated until the name is free; the name is taken then.
fn free_name(prefix: &str, name: &str, taken: &mut HashSet<Arc<str>>) -> Arc<str> {
    let mut free: Arc<str> = format!("{prefix}/{name}").into();
    while !taken.insert(free.clone()) {
        free = format!("{prefix}/{free}").into();
    }
    free
}

/// Makes ordinary outputs of the gradients that the graph given returns.
fn rename_gradients(joint: &mut Graph) {
    let ordinary = joint.outputs.iter().filter(|o| o.kind == OutputKind::Output);
    let mut taken: HashSet<Arc<str>> = ordinary.map(|o| o.name.clone()).collect();
    for output in joint.outputs.iter_mut().filter(|o| o.kind == OutputKind::Gradient) {
        output.name = free_name("gradient", &output.name, &mut taken);
        output.kind = OutputKind::Output;
    }
}

/// The shape of a parameter beyond its leading sizes.
fn user_shape(graph: &Graph, leaf: ValueId) -> Option<Vec<usize>> {
    let node = graph.node(leaf);
    match &node.op {
        Op::Param(param) => Some(param.shape.iter().skip(node.ty.dims.len()).copied().collect()),
        Op::Input(_) | Op::Contract(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => None,
    }
}
