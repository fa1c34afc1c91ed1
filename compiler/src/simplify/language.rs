//! The e-graph's language: an op whose reads are e-classes.
//!
//! An e-node is a head, interned, and its children in the order of [`Op::reads`]. In a head, and nowhere else, a
//! [`ValueId`] is the place of a child; in a resolved op it is the id of an e-class.

use std::sync::Arc;

use egg::{Id, Language};
use indexmap::IndexSet;
use rustc_hash::FxBuildHasher;
use schur_ir::graph::{Op, ValueId};
use schur_ir::ty::Type;

/// An interned head, numbered in order of first use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct HeadId(u32);

/// An op without its reads, with the type of its result.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Head {
    pub(super) op: Op,
    pub(super) ty: Arc<Type>,
}

/// A node of the e-graph.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Enode {
    pub(super) head: HeadId,
    pub(super) children: Box<[Id]>,
}

impl Language for Enode {
    type Discriminant = HeadId;

    fn discriminant(&self) -> HeadId {
        self.head
    }

    fn matches(&self, other: &Self) -> bool {
        self.head == other.head && self.children.len() == other.children.len()
    }

    fn children(&self) -> &[Id] {
        &self.children
    }

    fn children_mut(&mut self) -> &mut [Id] {
        &mut self.children
    }
}

/// The heads in use.
#[derive(Clone, Debug, Default)]
pub(super) struct Interner(IndexSet<Head, FxBuildHasher>);

impl Interner {
    /// The e-node of a resolved op.
    pub(super) fn enode(&mut self, op: &Op, ty: Arc<Type>) -> Enode {
        let mut children = Vec::new();
        let op = op.map_reads(|value| {
            children.push(id_of(value));
            ValueId(children.len() as u32 - 1)
        });
        let (head, _) = self.0.insert_full(Head { op, ty });
        Enode { head: HeadId(head as u32), children: children.into() }
    }

    /// The head of an e-node.
    #[allow(clippy::indexing_slicing, reason = "e-nodes are made above, of heads that stay")]
    pub(super) fn head(&self, enode: &Enode) -> &Head {
        &self.0[enode.head.0 as usize]
    }

    /// The resolved op of an e-node.
    #[allow(clippy::indexing_slicing, reason = "a head names the children that it was made with")]
    pub(super) fn resolve(&self, enode: &Enode) -> Op {
        self.head(enode).op.map_reads(|place| value_of(enode.children[place.index()]))
    }
}

/// The e-class that a value of a resolved op is.
pub(super) fn id_of(value: ValueId) -> Id {
    Id::from(value.index())
}

/// The value that stands for an e-class in a resolved op.
pub(super) fn value_of(id: Id) -> ValueId {
    ValueId(usize::from(id) as u32)
}
