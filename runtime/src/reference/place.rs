//! Where elements are: rows of arrays in a space of rows, and elements of a path in the rows of its arrays.

use schur_ir::graph::{Path, ValueId};

use super::ReferenceError;

/// Where an array's row starts: `Σ stride · coordinate`, plus what an index picks.
pub(super) struct Place<'a> {
    pub(super) strides: Vec<usize>,
    pub(super) pick: Option<Pick<'a>>,
}

/// A row picked by an index.
pub(super) struct Pick<'a> {
    pub(super) value: ValueId,
    pub(super) indices: &'a [f64],
    pub(super) strides: Vec<usize>,
    pub(super) size: usize,
    pub(super) stride: usize,
}

impl Place<'_> {
    pub(super) fn start(&self, at: &[usize]) -> Result<usize, ReferenceError> {
        let start = dot(&self.strides, at);
        let Some(pick) = &self.pick else { return Ok(start) };
        let index = pick.indices[dot(&pick.strides, at)] as i64;
        match usize::try_from(index) {
            Ok(k) if k < pick.size => Ok(start + k * pick.stride),
            _ => Err(ReferenceError::Index { index, value: pick.value, size: pick.size }),
        }
    }
}

fn dot(strides: &[usize], at: &[usize]) -> usize {
    strides.iter().zip(at).map(|(stride, k)| stride * k).sum()
}

/// The strides of a row-major array whose innermost steps are `inner` long.
pub(super) fn contiguous(shape: &[usize], inner: usize) -> Vec<usize> {
    let mut strides: Vec<usize> = vec![inner; shape.len()];
    for k in (1..shape.len()).rev() {
        strides[k - 1] = strides[k].saturating_mul(shape[k]);
    }
    strides
}

/// The strides of an array's axes, as strides of the axes of the rows; 0 for rows that the array lacks.
pub(super) fn in_rows(axes: &[Option<usize>], strides: &[usize], rows: &[usize]) -> Vec<usize> {
    let mut out = vec![0; rows.len()];
    for (axis, stride) in axes.iter().zip(strides) {
        if let Some(axis) = axis {
            out[*axis] = *stride;
        }
    }
    out
}

/// All coordinates of a space of rows, row-major.
pub(super) fn coordinates(rows: &[usize]) -> impl Iterator<Item = Vec<usize>> + '_ {
    let count = if rows.contains(&0) { 0 } else { rows.iter().fold(1usize, |n, size| n.saturating_mul(*size)) };
    (0..count).map(move |mut k| {
        let mut at = vec![0; rows.len()];
        for (coordinate, size) in at.iter_mut().zip(rows).rev() {
            (*coordinate, k) = (k % size, k / size);
        }
        at
    })
}

/// All elements of a path, axes row-major: its place in the output's row and in those of the factors.
pub(super) fn elements(path: &Path) -> Vec<[usize; 3]> {
    let sizes: Vec<usize> = path.axes.iter().map(|axis| axis.size).collect();
    let segments: Vec<_> = path.segments().collect();
    let element = |at: Vec<usize>| {
        let mut places = [0; 3];
        for (place, segment) in places.iter_mut().zip(&segments) {
            *place = segment.offset + dot(&segment.strides, &at);
        }
        places
    };
    coordinates(&sizes).map(element).collect()
}
