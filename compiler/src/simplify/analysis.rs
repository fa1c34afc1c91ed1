//! The e-class analysis: the type of a value, where it comes from, and whether parameters alone decide it.
//!
//! Types of merged classes must be equal, zero flags included: a rewrite keeps the type of what it rewrites, even where
//! its own paths would show more chunks to be zero, and so never changes what readers and outputs were promised. What
//! is known to be unwritten is used through the paths themselves. Unequal types are a fault of a rule; the first such
//! merge is kept and reported after the run.

use std::sync::Arc;

use egg::{Analysis, DidMerge, EGraph, Id};
use schur_ir::graph::Op;
use schur_ir::ty::Type;

use super::language::{Enode, Interner};

/// What is known of an e-class.
#[derive(Clone, Debug)]
pub(super) struct Class {
    /// The type of the value.
    pub(super) ty: Arc<Type>,
    /// The layer of the first e-node.
    pub(super) layer: Arc<str>,
    /// True where it depends on parameters alone: it is then the same for all rows.
    pub(super) fixed: bool,
    /// True where a rule packed it for a contraction to read.
    pub(super) packed: bool,
    /// True where it is an output of the graph.
    pub(super) returned: bool,
    /// When the class was made.
    age: u32,
}

/// The analysis, with the heads of the e-nodes.
#[derive(Clone, Debug)]
pub(super) struct Types {
    pub(super) interner: Interner,
    /// The layer that new e-nodes belong to.
    pub(super) layer: Arc<str>,
    /// True while a rule adds a packed value.
    pub(super) packing: bool,
    /// The first two unequal types that were merged.
    pub(super) clash: Option<(Arc<Type>, Arc<Type>)>,
}

impl Analysis<Enode> for Types {
    type Data = Class;

    fn make(egraph: &mut EGraph<Enode, Self>, enode: &Enode, id: Id) -> Class {
        let this = &egraph.analysis;
        let head = this.interner.head(enode);
        let fixed = match &head.op {
            Op::Input(_) => false,
            Op::Param(_) => true,
            Op::Contract(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => {
                enode.children.iter().all(|child| egraph[*child].data.fixed)
            }
        };
        Class {
            ty: head.ty.clone(),
            layer: this.layer.clone(),
            fixed,
            packed: this.packing,
            returned: false,
            age: usize::from(id) as u32,
        }
    }

    fn merge(&mut self, a: &mut Class, b: Class) -> DidMerge {
        if a.ty != b.ty && self.clash.is_none() {
            self.clash = Some((a.ty.clone(), b.ty.clone()));
        }
        let (fixed, packed) = (a.fixed || b.fixed, a.packed && b.packed);
        let returned = a.returned || b.returned;
        let merged = DidMerge(fixed != a.fixed, fixed != b.fixed);
        if b.age < a.age {
            *a = b;
        }
        (a.fixed, a.packed, a.returned) = (fixed, packed, returned);
        merged
    }
}
