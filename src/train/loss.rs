//! The loss as part of the graph, so that one call returns it with its gradients.

use std::sync::Arc;

use schur_compiler::autodiff::{VjpOptions, vjp};
use schur_ir::dim::Dim;
use schur_ir::expr::{Binary, Expr, Scalar, Unary};
use schur_ir::graph::{Axis, Contract, Factor, Graph, Map, Op, Operand, Output, OutputKind, Path, RowMap, Segment};
use schur_ir::irreps::Irreps;
use schur_ir::ty::Type;
use smallvec::smallvec;

use super::error::TrainError;
use crate::error::Error;

/// The name of the loss among the outputs of a [`training_graph`].
pub(super) const LOSS: &str = "loss";
/// The input of a [`training_graph`] that the gradients are multiplied by: an array `[1]`.
pub(super) const COTANGENT: &str = "cotangent/loss";

/// The name of the input of a [`training_graph`] that the output `name` is compared with.
pub(super) fn target_input(name: &str) -> String {
    format!("target/{name}")
}

/// What is minimised: a mean over all elements, of rows and components alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// The square of the difference.
    Mse,
    /// Its magnitude.
    Mae,
    /// Half the square up to a magnitude of `delta`, from there on the tangent.
    Huber {
        /// Where the square ends.
        delta: f64,
    },
}

impl Loss {
    /// The loss of one element, the output being operand 0 and the target operand 1.
    fn expr(self) -> Expr {
        let difference = || Expr::Arg(0) - Expr::Arg(1);
        let magnitude = || Expr::unary(Unary::Abs, difference());
        let square = || difference() * difference();
        match self {
            Loss::Mse => square(),
            Loss::Mae => magnitude(),
            Loss::Huber { delta } => {
                let far = Expr::binary(Binary::Gt, magnitude(), Expr::constant(delta));
                let tangent = Expr::constant(delta) * (magnitude() - Expr::constant(0.5 * delta));
                Expr::select(far, tangent, Expr::constant(0.5) * square())
            }
        }
    }
}

/// The graph of a step of training, from that of a forward pass.
///
/// - Inputs: those of `graph`, `target/<output>` of the output's type, and `cotangent/loss`, which is 1.
/// - Outputs: `loss`, the updated statistics, and the gradient of every parameter.
pub fn training_graph(graph: &Graph, output: &str, loss: Loss) -> Result<Graph, Error> {
    let found = graph.output(OutputKind::Output, output);
    let value = found.ok_or_else(|| TrainError::no_output(output, graph.outputs.iter().map(|o| &*o.name)))?.value;
    let Type { dims, irreps, dtype, .. } = graph.ty(value).clone();
    let mut graph = graph.clone();
    let layer: Arc<str> = LOSS.into();
    let target = graph.input(&target_input(output), Type::new(dims.clone(), irreps.clone(), dtype));

    let every = |value| Operand { value, map: RowMap::identity(dims.len()) };
    let losses = Map { rows: dims.clone(), operands: vec![every(value), every(target)], expr: loss.expr() };
    let losses = graph.map(losses, irreps.clone(), dtype, &layer);
    let factor = Factor { operand: 0, segment: Segment::run(0) };
    let sum = Path {
        coefficient: Scalar(1.0 / irreps.dim() as f64),
        axes: smallvec![Axis { letter: 'u', size: irreps.dim() }],
        factors: smallvec![factor],
        out: Segment { offset: 0, strides: smallvec![0] },
    };
    let mean = Contract {
        rows: dims.clone(),
        operands: vec![every(losses)],
        out: RowMap { index: None, axes: Vec::new() },
        divisor: Dim::product(&dims),
        paths: vec![sum],
    };
    let value = graph.contract(mean, Irreps::scalars(1), dtype, &layer);
    graph.outputs.retain(|output| output.kind == OutputKind::Statistic);
    graph.outputs.push(Output { name: LOSS.into(), kind: OutputKind::Output, value, shape: None });

    let params = graph.nodes.iter().filter_map(|node| match &node.op {
        Op::Param(param) => param.is_trained().then(|| param.name.clone()),
        Op::Input(_) | Op::Contract(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => None,
    });
    let options = VjpOptions { outputs: vec![(OutputKind::Output, LOSS.into())], wrt: params.collect() };
    Ok(vjp(&graph, &options)?)
}
