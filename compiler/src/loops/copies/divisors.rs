//! Divisors of products with what all rows share.
//!
//! `x[row] s / n` is `x[row] (s / n)`, and `s / n` is computed once.

use std::collections::HashMap;

use schur_ir::dim::Dim;
use schur_ir::graph::{Contract, Factor, Graph, Node, Op, Operand, Path, RowMap, ValueId};

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
            divide(&mut rebuild, node, contract);
        }
        rebuild.keep(op, node);
    }
    rebuild.finish(graph)
}

/// The first factor that all rows share.
fn shared_factor(contract: &Contract, path: &Path) -> Option<usize> {
    let is_shared = |f: &Factor| contract.operands[f.operand].map == RowMap::shared();
    path.factors.iter().position(is_shared)
}

/// Lets every term read its shared factor divided.
fn divide(rebuild: &mut Rebuild, node: &Node, contract: &mut Contract) {
    let divisor = std::mem::replace(&mut contract.divisor, Dim::one());
    let mut quotients: HashMap<usize, usize> = HashMap::new();
    for k in 0..contract.paths.len() {
        let Some(at) = shared_factor(contract, &contract.paths[k]) else { continue };
        let shared = contract.paths[k].factors[at].operand;
        let quotient = *quotients.entry(shared).or_insert_with(|| {
            let value = rebuild.over(contract.operands[shared].value, &divisor, node);
            contract.operands.push(Operand { value, map: RowMap::shared() });
            contract.operands.len() - 1
        });
        contract.paths[k].factors[at].operand = quotient;
    }
    drop_unread(contract);
}

impl Rebuild {
    /// Adds a value without rows over a divisor.
    fn over(&mut self, value: ValueId, divisor: &Dim, node: &Node) -> ValueId {
        let ty = self.packed.graph.ty(value).clone();
        let over = Contract {
            rows: Vec::new(),
            operands: vec![Operand { value, map: RowMap::shared() }],
            out: RowMap::shared(),
            divisor: divisor.clone(),
            paths: vec![Path::run(ty.width(), [(0, 0)], 0)],
        };
        self.copy(Op::Contract(over), ty, node)
    }
}
