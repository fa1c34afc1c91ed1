//! Ops in normal form become e-nodes.

#![expect(clippy::indexing_slicing, reason = "places of rules are those of their list")]

use std::sync::Arc;

use egg::Id;
use schur_ir::graph::Op;
use schur_ir::ty::Type;

use super::super::language::Enode;
use super::super::rules::{Action, MAX_ROUNDS};
use super::super::written::Indexed;
use super::{PARTS, Saturation};

impl Saturation {
    /// Adds an op in normal form.
    pub(super) fn add(&mut self, op: Op, ty: &Arc<Type>) -> (Id, Enode) {
        self.paths += match &op {
            Op::Contract(c) => c.paths.len(),
            Op::Map(map) => map.expr.size() / PARTS,
            Op::Input(_) | Op::Param(_) | Op::Max(_) | Op::Reshape(_) => 0,
        };
        let (op, rules) = self.normal(op, ty);
        let enode = self.egraph.analysis.interner.enode(&op, ty.clone());
        self.normalised_by.entry(enode.clone()).or_insert(rules);
        self.ops.entry(enode.clone()).or_insert_with(|| (Arc::new(Indexed::new(op)), true));
        (self.egraph.add(enode.clone()), enode)
    }

    /// Classes that were merged can leave an op with operands out of order or double.
    pub(super) fn normal_again(&mut self, class: Id, enode: &Enode, ty: &Arc<Type>) -> bool {
        let Some((op, known @ false)) = self.ops.get_mut(enode) else { return false };
        *known = true;
        let op = op.op.clone();
        let (id, _) = self.add(op, ty);
        self.egraph.union(class, id)
    }

    /// The op in normal form, and the rules that brought it there.
    fn normal(&mut self, mut op: Op, ty: &Type) -> (Op, Vec<&'static str>) {
        let mut rules = Vec::new();
        let mut unchanged = 0;
        for k in (0..self.rules.len()).cycle().take(MAX_ROUNDS * self.rules.len()) {
            let rule = self.rules[k];
            let applied = match (rule.action, &mut op) {
                (Action::Contract(rewrite), Op::Contract(c)) => rewrite(c, ty),
                (Action::Map(rewrite), Op::Map(m)) => rewrite(m),
                (Action::Graph(_) | Action::Rewrite(_) | Action::Once(_) | Action::Contract(_) | Action::Map(_), _) => {
                    false
                }
            };
            self.counts[k] += usize::from(applied);
            rules.extend(applied.then_some(rule.name));
            unchanged = if applied { 0 } else { unchanged + 1 };
            if unchanged == self.rules.len() {
                break;
            }
        }
        (op, rules)
    }

    /// The op of a canonical e-node.
    pub(super) fn resolved(&mut self, enode: &Enode) -> Arc<Indexed> {
        let interner = &self.egraph.analysis.interner;
        self.ops
            .entry(enode.clone())
            .or_insert_with(|| (Arc::new(Indexed::new(interner.resolve(enode))), false))
            .0
            .clone()
    }
}

/// True where a graph may hold the op as a value of the type: expressions are small, nothing is written that the type says
/// is zero, and every coefficient is zero or a normal number. One that is beyond would make an infinity, a NaN or a zero of
/// what is none, where the factors that it is a product of are applied one by one.
pub(super) fn is_sound(op: &Op, ty: &Type) -> bool {
    match op {
        Op::Contract(contract) => {
            contract.paths.iter().all(|path| ty.dtype.holds(path.coefficient.0)) && contract.keeps_zeros(ty)
        }
        Op::Map(map) => map.expr.is_small(),
        Op::Input(_) | Op::Param(_) | Op::Max(_) | Op::Reshape(_) => true,
    }
}
