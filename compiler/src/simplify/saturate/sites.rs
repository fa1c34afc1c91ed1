//! What the rules see of an e-node and find there.

#![expect(clippy::indexing_slicing, reason = "e-classes are those of the e-graph that the lists were made for")]

use egg::Id;
use schur_ir::graph::{Op, ValueId};
use schur_ir::ty::Type;

use super::super::language::{Enode, id_of, value_of};
use super::super::rules::{Action, Found, Inner, Site, is_copy};
use super::Saturation;

impl Saturation {
    pub(super) fn matches(
        &mut self,
        class: Id,
        enode: &Enode,
        op: &Op,
        ty: &Type,
        inner: &[Inner],
    ) -> Vec<(usize, Found)> {
        let types = |value: ValueId| &*self.egraph[id_of(value)].data.ty;
        let fixed = |value: ValueId| {
            let data = &self.egraph[id_of(value)].data;
            data.fixed && data.ty.dims.iter().all(|dim| dim.constant().is_some())
        };
        let packed = |value: ValueId| self.egraph[id_of(value)].data.packed;
        let mut heads = self.egraph[class].nodes.iter().map(|enode| self.egraph.analysis.interner.head(enode));
        let copies = heads.any(|head| is_copy(&head.op));
        let site = Site {
            op,
            class: value_of(class),
            copies,
            ty,
            inner,
            types: &types,
            fixed: &fixed,
            packed: &packed,
            tried: &self.tried,
        };
        let mut found: Vec<(usize, Found)> = Vec::new();
        let packs = |(_, found): &(usize, Found)| matches!(found, Found::Built(built) if built.packed);
        for (k, rule) in self.rules.iter().enumerate() {
            match rule.action {
                Action::Rewrite(rewrite) => found.extend(rewrite(&site).into_iter().map(|f| (k, f))),
                Action::Once(rewrite) if !found.iter().any(packs) && !self.done.contains(&(k, enode.clone())) => {
                    found.extend(rewrite(&site).into_iter().map(|f| (k, f)));
                }
                Action::Once(_) => {}
                Action::Graph(_) | Action::Contract(_) | Action::Map(_) => {}
            }
        }
        let once = found.iter().filter(|(k, _)| matches!(self.rules[*k].action, Action::Once(_)));
        let once: Vec<_> = once.map(|(k, _)| (*k, enode.clone())).collect();
        self.done.extend(once);
        found
    }

    pub(super) fn inner(&mut self, class: Id, enode: &Enode) -> Vec<Inner> {
        let mut children = enode.children.to_vec();
        children.sort_unstable();
        children.dedup();
        let mut inner = Vec::with_capacity(children.len());
        for child in children {
            let nodes = self.egraph[child].nodes.iter().map(|n| self.canonical(n));
            let nodes: Vec<Enode> =
                nodes.filter(|n| !n.children.iter().any(|read| *read == child || *read == class)).collect();
            let ops = nodes.iter().map(|n| self.resolved(n)).collect();
            let apart = |parent: Id| self.egraph.find(parent) != class;
            let of = &self.egraph[child];
            inner.push(Inner { value: value_of(child), ops, exclusive: !of.data.returned && !of.parents().any(apart) });
        }
        inner
    }
}
