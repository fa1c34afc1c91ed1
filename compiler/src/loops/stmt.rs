//! Statements: the loop nests of a kernel, each done for every row of a tile.

use std::ops::RangeInclusive;

use schur_ir::dim::Dim;
use schur_ir::expr::{Expr, Scalar};
use schur_ir::graph::Axis;
use schur_ir::path::Axes;
use schur_ir::ty::DType;

use super::{Access, RowAddress};

/// How a nest writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Write {
    /// `=`
    Set,
    /// `+=`
    Add,
}

/// A statement: done for every row of the tile.
#[derive(Clone, Debug, PartialEq)]
pub enum Stmt {
    /// `out[…] = 0` over one axis.
    Zero {
        /// Where.
        out: Access,
        /// How many elements.
        count: usize,
    },
    /// A path of a contraction.
    Nest(Nest),
    /// A scalar expression at every element.
    Map(MapStmt),
    /// `out[k] = max(out[k], value[k])` over one axis.
    Max {
        /// The operand.
        value: Access,
        /// The running maximum.
        out: Access,
        /// How many elements.
        count: usize,
    },
}

impl Stmt {
    /// True where a micro-kernel computes it.
    pub fn calls(&self) -> bool {
        match self {
            Stmt::Nest(nest) => nest.call.is_some(),
            Stmt::Map(map) => map.call.is_some(),
            Stmt::Zero { .. } | Stmt::Max { .. } => false,
        }
    }

    /// How a micro-kernel computes it, if one does.
    pub(super) fn call_mut(&mut self) -> Option<&mut MicroCall> {
        match self {
            Stmt::Nest(nest) => nest.call.as_mut(),
            Stmt::Map(map) => map.call.as_mut(),
            Stmt::Zero { .. } | Stmt::Max { .. } => None,
        }
    }

    /// True where elements of all rows are added by generated code, each a product of elements at its place.
    pub fn adds_rows(&self) -> bool {
        let Stmt::Nest(nest) = self else { return false };
        let over_rows = nest.factors.iter().any(|factor| factor.row == RowAddress::Row);
        let adds = nest.write == Write::Add && nest.out.row == RowAddress::Fixed && over_rows && nest.call.is_none();
        let follows = |access: &Access| {
            let strides = access.segment.strides.iter().zip(&nest.axes);
            strides.filter(|(_, axis)| axis.size > 1).all(|(stride, _)| *stride > 0)
        };
        adds && nest.accesses().all(follows)
    }

    /// The array that is written.
    pub fn written(&self) -> &Access {
        match self {
            Stmt::Zero { out, .. } | Stmt::Max { out, .. } => out,
            Stmt::Nest(nest) => &nest.out,
            Stmt::Map(map) => &map.out,
        }
    }

    /// The arrays that are touched, the written one first.
    pub fn accesses(&self) -> Vec<&Access> {
        match self {
            Stmt::Zero { out, .. } => vec![out],
            Stmt::Nest(nest) => nest.accesses().collect(),
            Stmt::Map(map) => map.accesses().collect(),
            Stmt::Max { value, out, .. } => vec![out, value],
        }
    }

    /// From the first to the last element of a row that one of its accesses touches.
    pub(super) fn elements(&self, access: &Access) -> Option<RangeInclusive<usize>> {
        let last = match self {
            Stmt::Nest(nest) => access.segment.last(&nest.axes),
            Stmt::Map(MapStmt { count, .. }) | Stmt::Zero { count, .. } | Stmt::Max { count, .. } => {
                access.segment.last(&[Axis { letter: 'k', size: *count }])
            }
        };
        Some(access.segment.offset..=last?)
    }

    /// The arrays that are touched, as [`Stmt::accesses`] has them, to be changed.
    pub(super) fn accesses_mut(&mut self) -> Vec<&mut Access> {
        match self {
            Stmt::Zero { out, .. } => vec![out],
            Stmt::Nest(nest) => std::iter::once(&mut nest.out).chain(&mut nest.factors).collect(),
            Stmt::Map(map) => {
                std::iter::once(&mut map.out).chain(map.operands.iter_mut().map(|(access, _)| access)).collect()
            }
            Stmt::Max { value, out, .. } => vec![out, value],
        }
    }
}

/// `out[…] (+)= coefficient / divisor · Σ factor[…] · factor[…]`, summed over the axes that `out` lacks.
#[derive(Clone, Debug, PartialEq)]
pub struct Nest {
    /// The axes besides the row.
    pub axes: Axes,
    /// Where it is written.
    pub out: Access,
    /// How it is written.
    pub write: Write,
    /// One or two factors.
    pub factors: Vec<Access>,
    /// A constant factor.
    pub coefficient: Scalar,
    /// What the sum is divided by.
    pub divisor: Dim,
    /// The micro-kernel that computes it; none where code is generated.
    pub call: Option<MicroCall>,
}

impl Nest {
    /// The arrays that are touched, the written one first.
    pub fn accesses(&self) -> impl Iterator<Item = &Access> {
        std::iter::once(&self.out).chain(&self.factors)
    }

    /// True where the first tile of a chunk of rows sets what the others add to.
    pub fn begins_sums(&self) -> bool {
        self.call.as_ref().is_some_and(|call| call.first.is_some())
    }
}

/// How a statement is computed by a micro-kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MicroCall {
    /// Its place in [`Loops::micros`](super::Loops::micros).
    pub micro: usize,
    /// The arrays that it is given: 0 for the output, 1 and 2 for the factors.
    pub arrays: Vec<usize>,
    /// The axes that are loops around the call.
    pub outer: Vec<usize>,
    /// True where every row of the tile is a call of its own.
    pub by_row: bool,
    /// The micro-kernel of the first tile of a chunk of rows, where that one sets what the others add to.
    pub first: Option<usize>,
}

/// `out[k] = expr(operand_0[k], …)` for `k` in `0..count`.
#[derive(Clone, Debug, PartialEq)]
pub struct MapStmt {
    /// What is computed.
    pub expr: Expr,
    /// What is read: the arrays over one axis, and their element types.
    pub operands: Vec<(Access, DType)>,
    /// Where it is written.
    pub out: Access,
    /// How many elements.
    pub count: usize,
    /// The micro-kernel that computes it; none where code is generated.
    pub call: Option<MicroCall>,
}

impl MapStmt {
    /// The arrays that are touched, the written one first.
    pub fn accesses(&self) -> impl Iterator<Item = &Access> {
        std::iter::once(&self.out).chain(self.operands.iter().map(|(access, _)| access))
    }
}
