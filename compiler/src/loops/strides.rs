//! The loops of a nest: the rows of the tile and the axes, with the strides of everything that it touches.

#![expect(clippy::indexing_slicing, reason = "places are of the axes and accesses of one statement")]

use super::{Access, Nest, RowAddress};

/// How far a loop runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Over the rows of the tile.
    Rows,
    /// Over an axis of this size.
    Axis(usize),
}

/// A loop of a nest, with the strides of the output and the factors along it, in elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Loop {
    pub(crate) extent: Extent,
    /// The output's stride, then the factors'.
    pub(crate) strides: Vec<usize>,
    /// True where the output is summed along it.
    pub(crate) summed: bool,
    /// The axis of the nest; none for rows.
    pub(crate) axis: Option<usize>,
}

impl Loop {
    /// How often it runs; without bound where it goes over rows.
    pub(crate) fn turns(&self) -> usize {
        match self.extent {
            Extent::Rows => usize::MAX,
            Extent::Axis(size) => size,
        }
    }
}

/// The loops of a nest. Rows are a loop only where every access moves by a constant from row to row.
pub(crate) fn loops(nest: &Nest, rows: bool) -> Vec<Loop> {
    let accesses: Vec<&Access> = nest.accesses().collect();
    let mut loops = Vec::new();
    if rows {
        let strides: Vec<usize> = accesses.iter().map(|a| if a.row == RowAddress::Row { a.width } else { 0 }).collect();
        loops.push(Loop { extent: Extent::Rows, summed: strides[0] == 0, strides, axis: None });
    }
    for (k, axis) in nest.axes.iter().enumerate().filter(|(_, axis)| axis.size > 1) {
        let strides: Vec<usize> = accesses.iter().map(|a| a.segment.strides[k]).collect();
        loops.push(Loop { extent: Extent::Axis(axis.size), summed: strides[0] == 0, strides, axis: Some(k) });
    }
    loops
}

/// True where the array's place moves by a constant from row to row.
pub(crate) fn is_regular(access: &Access) -> bool {
    match access.row {
        RowAddress::Fixed | RowAddress::Row => true,
        RowAddress::Computed(_) => false,
    }
}
