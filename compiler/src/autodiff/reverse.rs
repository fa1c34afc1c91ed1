//! The walk from outputs to leaves.

#![expect(clippy::indexing_slicing, reason = "places are of a verified graph, and of lists made for it")]

use std::sync::Arc;

use schur_ir::dim::Dim;
use schur_ir::graph::{Graph, Node, Op, Operand, RowMap, ValueId};
use schur_ir::ty::Type;

use super::AutodiffError;
use super::terms::{Terms, copies};

/// A graph whose adjoint is being appended to it.
pub(super) struct Reverse<'g> {
    forward: &'g Graph,
    /// The forward nodes, then those of the adjoint.
    joint: Graph,
    /// One flag a forward value: true where it depends on a leaf chosen.
    active: Vec<bool>,
    /// For every forward value, the terms whose sum is its cotangent.
    terms: Vec<Vec<ValueId>>,
}

impl<'g> Reverse<'g> {
    /// The derivative of `forward` with respect to the leaves `wrt`.
    pub(super) fn new(forward: &'g Graph, wrt: &[ValueId]) -> Self {
        let mut active = vec![false; forward.nodes.len()];
        wrt.iter().for_each(|leaf| active[leaf.index()] = true);
        for (value, node) in forward.values() {
            active[value.index()] |= node.op.reads().iter().any(|read| active[read.index()]);
        }
        Reverse { forward, joint: forward.clone(), active, terms: vec![Vec::new(); forward.nodes.len()] }
    }

    /// Appends the input `name`: a cotangent of a value. No chunk of it is known to be zero.
    pub(super) fn seed(&mut self, value: ValueId, name: &str) {
        let Type { dims, irreps, dtype, .. } = self.ty(value).clone();
        let cotangent = self.joint.input(name, Type::new(dims, irreps, dtype));
        self.add(value, cotangent);
    }

    /// Walks back through all values; what arrives at leaves is summed.
    pub(super) fn run(&mut self) -> Result<(), AutodiffError> {
        let forward = self.forward;
        for value in (0..forward.nodes.len() as u32).rev().map(ValueId) {
            if !self.is_active(value) {
                continue;
            }
            let Some(cotangent) = self.cotangent(value) else { continue };
            let Node { op, layer, .. } = forward.node(value);
            match op {
                Op::Input(_) | Op::Param(_) => self.add(value, cotangent),
                Op::Contract(contract) => self.contract(contract, cotangent, layer),
                Op::Map(map) => self.map(map, cotangent, layer).ok_or(AutodiffError::Slope(value))?,
                Op::Max(max) => self.max(max, value, cotangent, layer),
                Op::Reshape(of) => {
                    let term = self.with_type_of(*of, cotangent, layer);
                    self.add(*of, term);
                }
            }
        }
        Ok(())
    }

    /// The gradient with respect to a leaf, after the walk.
    pub(super) fn gradient(&mut self, leaf: ValueId) -> ValueId {
        self.cotangent(leaf).unwrap_or_else(|| self.sum(leaf, &[]))
    }

    pub(super) fn finish(self) -> Graph {
        self.joint
    }

    pub(super) fn joint(&mut self) -> &mut Graph {
        &mut self.joint
    }

    /// The type of a forward value.
    pub(super) fn ty(&self, value: ValueId) -> &'g Type {
        self.forward.ty(value)
    }

    /// True where a forward value depends on a leaf chosen.
    pub(super) fn is_active(&self, value: ValueId) -> bool {
        self.active[value.index()]
    }

    /// Adds to the cotangent of a forward value.
    pub(super) fn add(&mut self, value: ValueId, term: ValueId) {
        self.terms[value.index()].push(term);
    }

    /// The elements of an adjoint value, as a value of the sizes and irreps of a forward one.
    pub(super) fn with_type_of(&mut self, value: ValueId, term: ValueId, layer: &Arc<str>) -> ValueId {
        let Type { dims, irreps, dtype, .. } = self.ty(value);
        let given = self.joint.ty(term);
        if given.dims == *dims && given.irreps == *irreps {
            return term;
        }
        self.joint.push(Op::Reshape(term), Type::new(dims.clone(), irreps.clone(), *dtype), layer)
    }

    /// The sum of a value's terms, which are taken; `None` where nothing flows back to it.
    fn cotangent(&mut self, value: ValueId) -> Option<ValueId> {
        match std::mem::take(&mut self.terms[value.index()]).as_slice() {
            [] => None,
            [term] => Some(*term),
            terms => Some(self.sum(value, terms)),
        }
    }

    /// One contraction that adds all terms, chunk by chunk; zeros where there is none.
    fn sum(&mut self, value: ValueId, terms: &[ValueId]) -> ValueId {
        let Node { ty: Type { dims, irreps, dtype, .. }, layer, .. } = self.forward.node(value);
        let mut sum = Terms::new(dims, &RowMap::identity(dims.len()), &Dim::one());
        for &term in terms {
            let operand = Operand { value: term, map: RowMap::identity(dims.len()) };
            for path in copies(self.joint.ty(term), 1.0) {
                sum.add(path, |_| &operand);
            }
        }
        self.joint.contract(sum.finish(), irreps.clone(), *dtype, layer)
    }
}
