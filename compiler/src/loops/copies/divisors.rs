//! Divisors of products with what all rows share.
//!
//! `x[row] s / n` is `x[row] (s / n)`, and `s / n` is computed once.

use schur_ir::dim::Dim;
use schur_ir::expr::Scalar;
use schur_ir::graph::{Axis, Contract, Factor, Graph, Node, Op, Operand, Path, RowMap, Segment, ValueId};

use super::{Packed, Rebuild, drop_unread};

/// The graph in which values over rows whose every term has a factor that all rows share have no divisor.
pub(in crate::loops) fn divide_once(graph: &Graph) -> Packed {
    let mut rebuild = Rebuild::new(graph);
    for (_, node) in graph.values() {
        let mut op = node.op.map_reads(|v| rebuild.moved(v));
        if let Op::Contract(contract) = &mut op
            && !contract.divisor.is_one()
            && !contract.rows.is_empty()
            && contract.out.is_identity(contract.rows.len())
            && contract.paths.iter().all(|path| shared_factor(contract, path).is_some())
        {
            divide(&mut rebuild, graph, node, contract);
        }
        rebuild.keep(op, node);
    }
    rebuild.finish(graph)
}

/// The first factor that all rows share.
fn shared_factor(contract: &Contract, path: &Path) -> Option<usize> {
    let is_shared = |f: &Factor| contract.operands.get(f.operand).is_some_and(|o| o.map == RowMap::shared());
    path.factors.iter().position(is_shared)
}

/// Lets every term read its shared factor divided.
fn divide(rebuild: &mut Rebuild, graph: &Graph, node: &Node, contract: &mut Contract) {
    let Op::Contract(before) = &node.op else { return };
    let divisor = std::mem::replace(&mut contract.divisor, Dim::one());
    let mut quotients: Vec<Option<usize>> = vec![None; before.operands.len()];
    for (old, at) in before.paths.iter().enumerate().filter_map(|(k, path)| Some((k, shared_factor(before, path)?))) {
        let Some(factor) = contract.paths.get_mut(old).and_then(|path| path.factors.get_mut(at)) else { continue };
        let (Some(operand), Some(quotient)) = (before.operands.get(factor.operand), quotients.get_mut(factor.operand))
        else {
            continue;
        };
        factor.operand = *quotient.get_or_insert_with(|| {
            let ty = graph.ty(operand.value).clone();
            let op = over(rebuild.moved(operand.value), ty.width(), &divisor);
            let value = rebuild.copy(Op::Contract(op), ty, node);
            contract.operands.push(Operand { value, map: RowMap::shared() });
            contract.operands.len() - 1
        });
    }
    drop_unread(contract);
}

/// A value without rows over a divisor.
fn over(value: ValueId, width: usize, divisor: &Dim) -> Contract {
    let segment = Segment { offset: 0, strides: vec![1] };
    let path = Path {
        coefficient: Scalar(1.0),
        axes: vec![Axis { letter: 'v', size: width }],
        factors: vec![Factor { operand: 0, segment: segment.clone() }],
        out: segment,
    };
    let operands = vec![Operand { value, map: RowMap::shared() }];
    Contract { rows: Vec::new(), operands, out: RowMap::shared(), divisor: divisor.clone(), paths: vec![path] }
}
