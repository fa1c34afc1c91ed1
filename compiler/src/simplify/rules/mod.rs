//! The table of rules, by theme, and what a rule sees.
//!
//! A rule of normal form changes one op in place, and every op is brought to normal form before it becomes an e-node:
//! the e-graph holds no two spellings of one contraction. A rewriting rule looks at an op and at the ops of the
//! e-classes that it reads, and gives other ops of the same value, or a value that is the same.

#![expect(clippy::indexing_slicing, reason = "places are of a verified op, and of lists made for it")]

mod irreps;
mod paths;
mod scales;
mod structure;
mod weights;

pub(super) use irreps::{is_copy, row_wise};
pub(super) use structure::{merge_map_operands, merge_operands};

use std::cell::Cell;
use std::sync::Arc;

use schur_ir::graph::{Contract, Map, Op, ValueId};
use schur_ir::ty::Type;

use super::written::{Indexed, Writer};
use irreps::single;

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// Its name, in reports.
    pub name: &'static str,
    /// True where it keeps every bit of a finite result; false where it changes the order of sums and products.
    pub exact: bool,
    pub(super) action: Action,
}

/// Rounds of the rules of normal form; few are ever needed.
pub(super) const MAX_ROUNDS: usize = 64;

impl Rule {
    /// True where it is one of the normal form that every op has in the e-graph.
    pub fn is_normal_form(&self) -> bool {
        match self.action {
            Action::Contract(_) | Action::Map(_) => true,
            Action::Graph(_) | Action::Rewrite(_) | Action::Once(_) => false,
        }
    }
}

/// What a rule that is applied to a graph does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// Parts that a value holds unchanged are read where it takes them from.
    ReadUnchanged,
    /// Chunks that no reader uses are not computed.
    Narrow,
}

/// How a rule is applied.
#[derive(Clone, Copy, Debug)]
pub(super) enum Action {
    /// Once, before equality saturation, to the graph.
    Graph(Pass),
    /// To every contraction before it becomes an e-node; true where it changed something.
    Contract(fn(&mut Contract, &Type) -> bool),
    /// To every map before it becomes an e-node; true where it changed something.
    Map(fn(&mut Map) -> bool),
    /// To an e-node, adding others to its e-class.
    Rewrite(fn(&Site<'_>) -> Vec<Found>),
    /// To an e-node likewise, until it has found something there: what operands turn out to be later is left alone. Not
    /// where parameters were packed: it is applied to what reads them packed.
    Once(fn(&Site<'_>) -> Vec<Found>),
}

/// All rules. Those of normal form are applied in this order until none changes anything.
pub static RULES: [&Rule; 30] = [
    &irreps::READ_UNCHANGED,
    &irreps::NARROW,
    &irreps::READ_THROUGH_COPY,
    &irreps::INLINE_INTO_COPY,
    &irreps::WRITE_THROUGH_COPY,
    &irreps::DROP_COPY,
    &structure::DROP_UNIT_ROWS,
    &structure::MERGE_OPERANDS,
    &structure::MERGE_MAP_OPERANDS,
    &paths::DROP_VOID,
    &paths::DROP_UNIT_AXES,
    &paths::SUM_FREE_AXES,
    &paths::MERGE_AXES,
    &paths::SORT,
    &paths::ADD_EQUAL,
    &paths::JOIN_NEIGHBOURS,
    &weights::PACK_WEIGHTS,
    &weights::MULTIPLY_WEIGHTS,
    &scales::FOLD_DIVISOR,
    &scales::FOLD_CONSTANT,
    &scales::SPELL_MAPS,
    &scales::FUSE_MAPS,
    &scales::CONTRACT_AS_MAP,
    &scales::MAP_AS_CONTRACT,
    &scales::SCALE_OUT_OF_MAP,
    &scales::SCALE_OUT_OF_PRODUCT,
    &structure::RESHAPE_OF_RESHAPE,
    &structure::DROP_RESHAPE,
    &structure::RESHAPE_AS_COPY,
    &structure::RETYPE,
];

/// An op to rewrite and what it reads.
pub(super) struct Site<'a> {
    /// The op; its reads are e-classes.
    pub(super) op: &'a Op,
    /// The e-class it is in.
    pub(super) class: ValueId,
    /// True where some op of the e-class is a copy of another.
    pub(super) copies: bool,
    /// The type of its value.
    pub(super) ty: &'a Type,
    /// The e-classes it reads, in order.
    pub(super) inner: &'a [Inner],
    /// The type of any e-class.
    pub(super) types: &'a dyn Fn(ValueId) -> &'a Type,
    /// True for an e-class that parameters alone decide, and that has no symbolic sizes.
    pub(super) fixed: &'a dyn Fn(ValueId) -> bool,
    /// True for an e-class that was packed, and is not taken apart again.
    pub(super) packed: &'a dyn Fn(ValueId) -> bool,
    /// Counts the paths of all ops that are looked at, found or not.
    pub(super) tried: &'a Cell<usize>,
}

/// An e-class that is read.
pub(super) struct Inner {
    pub(super) value: ValueId,
    /// Its ops, oldest first, without those that read the class itself or the site.
    pub(super) ops: Vec<Arc<Indexed>>,
    /// True where nothing else reads it, and it is not returned.
    pub(super) exclusive: bool,
}

/// What a rewriting rule gives.
pub(super) enum Found {
    /// Another op of the same value.
    Op(Op),
    /// Another op of the same value, which reads one that is made for it.
    Built(Box<Built>),
    /// Another value that is the same.
    Same(ValueId),
}

/// An op that reads a value which is made for it.
pub(super) struct Built {
    /// How the value is made.
    pub(super) value: Op,
    /// Its type.
    pub(super) ty: Type,
    /// The op, which reads it as [`BUILT`].
    pub(super) op: Op,
    /// True where the value is packed parameters.
    pub(super) packed: bool,
}

/// What stands for the value that a rule makes, in the op that reads it.
pub(super) const BUILT: ValueId = ValueId(u32::MAX);

impl Site<'_> {
    fn inner(&self, value: ValueId) -> Option<&Inner> {
        self.inner.binary_search_by_key(&value, |inner| inner.value).ok().map(|at| &self.inner[at])
    }

    /// The ops of a class that is read, oldest first.
    fn indexed(&self, value: ValueId) -> impl DoubleEndedIterator<Item = &Indexed> {
        self.inner(value).into_iter().flat_map(|inner| &inner.ops).map(|op| &**op)
    }

    fn ops(&self, value: ValueId) -> impl DoubleEndedIterator<Item = &Op> {
        self.indexed(value).map(|indexed| &indexed.op)
    }

    /// The contractions of a class that make each row by itself, copies or products, newest first.
    fn writers(&self, value: ValueId, copies: bool) -> impl Iterator<Item = Writer<'_>> {
        let wanted = move |op: &Op| match op {
            Op::Contract(c) => row_wise(c) && single(c) == copies,
            Op::Input(_) | Op::Param(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => false,
        };
        self.indexed(value).rev().filter(move |indexed| wanted(&indexed.op)).filter_map(Indexed::writer)
    }

    fn newest<'s, T>(&'s self, value: ValueId, accept: impl Fn(&'s Op) -> Option<T>) -> Option<T> {
        self.ops(value).rev().find_map(accept)
    }

    fn oldest<'s, T>(&'s self, value: ValueId, accept: impl Fn(&'s Op) -> Option<T>) -> Option<T> {
        self.ops(value).find_map(accept)
    }

    /// True where something that is read has other readers.
    fn shares(&self) -> bool {
        self.inner.iter().any(|i| !i.exclusive)
    }

    fn is_exclusive(&self, value: ValueId) -> bool {
        self.inner(value).is_some_and(|inner| inner.exclusive)
    }

    fn ty(&self, value: ValueId) -> &Type {
        (self.types)(value)
    }
}
