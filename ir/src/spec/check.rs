//! What can be checked on a spec without types: that names refer to something earlier, and that options go together.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Range;

use super::error::MAX_PROBLEMS;
use super::reader::{did_you_mean, list};
use super::{BatchNorm, Layer, LayerOp, Linear, Mlp, ModelSpec, Problem, Spanned};

/// Checks that names are unique, and that every reference is to an input or an earlier layer.
///
/// Layers whose name could not be read have an empty one, which is passed over.
pub(super) fn names(spec: &ModelSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    let index = index_layers(spec, &mut problems);
    // The first layer of the reported cycle, for every layer on one.
    let mut cycles = HashMap::new();
    for (here, layer) in spec.layers.iter().enumerate() {
        for reference in layer.references() {
            if problems.len() > MAX_PROBLEMS {
                return problems;
            }
            match index.get(reference.as_str()) {
                _ if spec.inputs.contains_key(reference.as_str()) => {}
                Some(&there) if there < here => {}
                Some(there) if cycles.contains_key(&here) && cycles.get(&here) == cycles.get(there) => {}
                Some(&there) => match path(spec, &index, there, here) {
                    Some(path) => {
                        problems.push(report_cycle(spec, layer, &path, reference));
                        cycles.extend(path.into_iter().map(|member| (member, here)));
                    }
                    None => problems.push(report_later(layer, reference)),
                },
                None => problems.push(report_unknown(spec, &format!("the layer `{}`", layer.name.value), reference)),
            }
        }
    }
    let mut returned = HashSet::new();
    for output in &spec.outputs {
        if problems.len() > MAX_PROBLEMS {
            break;
        }
        if !spec.inputs.contains_key(output.as_str()) && !index.contains_key(output.as_str()) {
            problems.push(report_unknown(spec, "`outputs`", output));
        } else if !returned.insert(output.as_str()) {
            let message = format!("the output `{}` is listed twice", output.value);
            problems.push(Problem::new(message, "listed again", output.span.clone()));
        }
    }
    problems
}

/// The number of every layer by its name; reports names that are taken.
fn index_layers<'a>(spec: &'a ModelSpec, problems: &mut Vec<Problem>) -> HashMap<&'a str, usize> {
    let mut index = HashMap::new();
    for (here, layer) in spec.layers.iter().enumerate().filter(|(_, layer)| !layer.name.is_empty()) {
        let name = layer.name.as_str();
        let taken_by = if spec.inputs.contains_key(name) {
            Some("an input")
        } else if index.contains_key(name) {
            Some("an earlier layer")
        } else {
            index.insert(name, here);
            None
        };
        if let Some(owner) = taken_by {
            let message = format!("the name `{name}` is taken by {owner}");
            let problem = Problem::new(message, "taken", layer.name.span.clone());
            problems.push(problem.with_help("inputs and layers share one set of names"));
        }
    }
    index
}

fn report_unknown(spec: &ModelSpec, who: &str, reference: &Spanned<String>) -> Problem {
    let inputs = spec.inputs.keys().map(String::as_str);
    let known: Vec<&str> = inputs.chain(spec.layers.iter().map(|layer| layer.name.as_str())).collect();
    let message = format!("{who} refers to `{}`, which is neither an input nor a layer", reference.value);
    let problem = Problem::new(message, "not defined", reference.span.clone());
    Problem { help: did_you_mean(reference, &known), ..problem }
}

fn report_later(layer: &Layer, reference: &Spanned<String>) -> Problem {
    let (name, later) = (&layer.name.value, &reference.value);
    let message = format!("the layer `{name}` uses `{later}`, which is defined later");
    let problem = Problem::new(message, "defined later", reference.span.clone());
    problem.with_help(format!("layers run in the order of the file: move `{later}` above `{name}`"))
}

#[allow(clippy::indexing_slicing, reason = "the path is of places of layers")]
/// Reports the cycle that a layer's reference closes; `path` leads from what it refers to back to the layer.
fn report_cycle(spec: &ModelSpec, layer: &Layer, path: &[usize], reference: &Spanned<String>) -> Problem {
    let here = layer.name.as_str();
    let steps: Vec<&str> = path.iter().map(|&step| spec.layers[step].name.as_str()).collect();
    let message = format!("the layer `{here}` depends on its own output");
    let problem = Problem::new(message, "closes a cycle", reference.span.clone());
    problem.with_help(format!("each uses the next: {here} -> {}", steps.join(" -> ")))
}

#[allow(clippy::indexing_slicing, reason = "places are of layers; what the search came to has an entry of where from")]
/// The shortest chain of layers from `from` to `to` in which each uses the next.
fn path(spec: &ModelSpec, index: &HashMap<&str, usize>, from: usize, to: usize) -> Option<Vec<usize>> {
    let mut used_by = HashMap::from([(from, from)]);
    let mut queue = VecDeque::from([from]);
    while let Some(layer) = queue.pop_front() {
        if layer == to {
            let mut chain = vec![to];
            while let Some(last) = chain.last().filter(|last| **last != from) {
                chain.push(used_by[last]);
            }
            chain.reverse();
            return Some(chain);
        }
        let uses = spec.layers[layer].references().filter(|name| !spec.inputs.contains_key(name.as_str()));
        for next in uses.filter_map(|name| index.get(name.as_str())) {
            used_by.entry(*next).or_insert_with(|| {
                queue.push_back(*next);
                layer
            });
        }
    }
    None
}

/// Checks that the options of one layer go together, where e3nn_jax would fail as well.
pub(super) fn options(layer: &Layer) -> Vec<Problem> {
    let mut problems: Vec<Problem> = arity(layer).into_iter().collect();
    match &layer.op {
        LayerOp::Linear(options) => problems.extend(linear(layer, options)),
        LayerOp::Mlp(options) => problems.extend(mlp(layer, options)),
        LayerOp::BatchNorm(options) => problems.extend(batch_norm(layer, options)),
        LayerOp::Add
        | LayerOp::Concatenate
        | LayerOp::Filter(_)
        | LayerOp::Regroup
        | LayerOp::Norm { .. }
        | LayerOp::Multiply
        | LayerOp::ScalarActivation(_)
        | LayerOp::NormActivation(_)
        | LayerOp::Gate(_) => {}
    }
    problems
}

fn arity(layer: &Layer) -> Option<Problem> {
    let (low, high, wanted) = match &layer.op {
        LayerOp::Add | LayerOp::Concatenate => (1, usize::MAX, "at least one input"),
        LayerOp::Multiply => (2, 2, "two inputs"),
        LayerOp::Linear(_)
        | LayerOp::Mlp(_)
        | LayerOp::BatchNorm(_)
        | LayerOp::Filter(_)
        | LayerOp::Regroup
        | LayerOp::Norm { .. }
        | LayerOp::ScalarActivation(_)
        | LayerOp::NormActivation(_)
        | LayerOp::Gate(_) => (1, 1, "one input"),
    };
    let count = layer.inputs.len();
    (!(low..=high).contains(&count)).then(|| {
        let message = format!("the layer `{}` takes {wanted}, and has {count}", layer.name.value);
        Problem::new(message, format!("expected {wanted}"), layer.span_of("input"))
    })
}

fn conflict(layer: &Layer, message: &str, label: &str, span: Range<usize>) -> Problem {
    Problem::new(format!("the layer `{}`: {message}", layer.name.value), label, span)
}

fn linear(layer: &Layer, options: &Linear) -> Vec<Problem> {
    let mut problems = Vec::new();
    if options.instructions.is_some() {
        let span = layer.span_of("instructions");
        if options.simplify_irreps_internally {
            let message = "`instructions` number the chunks as they are, without simplification";
            let help = "add `simplify_irreps_internally = false`";
            problems.push(conflict(layer, message, "needs chunks as they are", span.clone()).with_help(help));
        }
        if options.irreps_in.is_none() {
            let message = "`instructions` need `irreps_in`, which is missing";
            problems.push(conflict(layer, message, "needs `irreps_in`", span.clone()));
        }
        if options.channel_out.is_some() {
            problems.push(conflict(layer, "`instructions` exclude `channel_out`", "excludes `channel_out`", span));
        }
    }
    if options.weights_per_channel {
        let span = layer.span_of("weights_per_channel");
        let excluded = [
            ("channel_out", options.channel_out.is_some()),
            ("num_indexed_weights", options.num_indexed_weights.is_some()),
        ];
        let excluded: Vec<&str> = excluded.into_iter().filter_map(|(name, given)| given.then_some(name)).collect();
        if !excluded.is_empty() {
            let message = format!("`weights_per_channel` excludes {}", list(&excluded));
            problems.push(conflict(layer, &message, "excludes others", span.clone()));
        }
        if options.weights.is_none() {
            let message = "`weights_per_channel` needs external `weights`, which are missing";
            problems.push(conflict(layer, message, "needs `weights`", span));
        }
    }
    problems
}

fn mlp(layer: &Layer, options: &Mlp) -> Option<Problem> {
    let (_, hidden) = options.list_neurons.split_last()?;
    hidden.contains(&0).then(|| {
        let message = "only the last width in `list_neurons` may be zero";
        conflict(layer, message, "has a hidden width of zero", layer.span_of("list_neurons"))
    })
}

fn batch_norm(layer: &Layer, options: &BatchNorm) -> Option<Problem> {
    (options.instance && options.use_running_average == Some(true)).then(|| {
        let message = "`instance` has no running averages to use";
        conflict(layer, message, "excludes `instance`", layer.span_of("use_running_average"))
    })
}
