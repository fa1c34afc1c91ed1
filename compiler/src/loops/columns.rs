//! Which axis the columns of a product are: what vectors run along, in one factor and in the output.
//!
//! [`super::select`] takes products by it, and [`super::copies`] makes the copies that let it.

/// Fewer columns than this are not worth a call, nor a copy for one.
pub(super) const MIN_COLUMNS: usize = 2;

/// Fewer columns than this leave most of a vector empty: others are taken, where there are any.
pub(super) const WIDE: usize = 4;

/// True where an axis, of strides in the output and the factors `a` and `b`, can be the columns of `b`: the output has it, and `a` is
/// the same for all of them. Vectors run along it where `b` is contiguous.
pub(super) fn are_columns(size: usize, [out, a, b]: [usize; 3]) -> bool {
    size >= MIN_COLUMNS && out > 0 && a == 0 && b > 0
}

/// Where several axes can be columns, the least is taken: the one that is closest together in the output, unless it is short.
pub(super) fn order(size: usize, out: usize) -> (bool, usize) {
    (size < WIDE, out)
}
