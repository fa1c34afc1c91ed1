//! Types of values: leading sizes, irreps of the last axis, element type, and which chunks are known to be zero.

use std::fmt;

use crate::dim::Dim;
use crate::irreps::Irreps;

/// The type of one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// 32-bit floating point.
    F32,
    /// 64-bit floating point.
    F64,
    /// 32-bit signed integer: an index.
    I32,
    /// One byte, 0 or 1: a mask.
    Bool,
}

impl DType {
    /// The size of an element in bytes.
    pub fn size(self) -> usize {
        match self {
            DType::F32 | DType::I32 => 4,
            DType::F64 => 8,
            DType::Bool => 1,
        }
    }

    /// True for `f32` and `f64`.
    pub fn is_float(self) -> bool {
        match self {
            DType::F32 | DType::F64 => true,
            DType::I32 | DType::Bool => false,
        }
    }

    /// True for zero, and for what is neither too large nor too small for a normal number of a float type.
    pub fn holds(self, number: f64) -> bool {
        let is_normal = match self {
            DType::F32 => (number as f32).is_normal(),
            DType::F64 => number.is_normal(),
            DType::I32 | DType::Bool => false,
        };
        number == 0.0 || is_normal
    }

    /// The name in specs and in the text form.
    pub fn name(self) -> &'static str {
        match self {
            DType::F32 => "f32",
            DType::F64 => "f64",
            DType::I32 => "i32",
            DType::Bool => "bool",
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The type of a value: an array of shape `[dims…, irreps.dim()]`.
///
/// Parameters and statistics are scalars (`n x 0e`) whose user-visible shape stands at their leaf.
/// Indices and masks have irreps `1x0e`: one element a row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Type {
    /// The leading sizes.
    pub dims: Vec<Dim>,
    /// The irreps of the last axis.
    pub irreps: Irreps,
    /// The element type.
    pub dtype: DType,
    /// One flag a chunk: true where the chunk is known to be zero.
    pub zero: Vec<bool>,
}

impl Type {
    /// A type none of whose chunks is known to be zero.
    pub fn new(dims: Vec<Dim>, irreps: Irreps, dtype: DType) -> Self {
        let zero = vec![false; irreps.len()];
        Type { dims, irreps, dtype, zero }
    }

    /// The number of elements in a row.
    pub fn width(&self) -> usize {
        self.irreps.dim()
    }

    /// True where the number of elements is an exact polynomial, no part of it cut off at the end of its range, and so are
    /// the strides of the leading axes: an array for which it is not fits in no memory.
    pub fn has_exact_size(&self) -> bool {
        let width = i64::try_from(self.width()).unwrap_or(i64::MAX);
        have_exact_strides(&self.dims) && self.rows().times(&Dim::from(width)).is_exact()
    }

    /// The number of rows: the product of the leading sizes.
    pub fn rows(&self) -> Dim {
        Dim::product(&self.dims)
    }
}

/// True where the product of sizes is an exact polynomial, from whichever axis it begins.
pub(crate) fn have_exact_strides(dims: &[Dim]) -> bool {
    let mut product = Dim::one();
    dims.iter().rev().all(|dim| {
        product = dim.times(&product);
        product.is_exact()
    })
}

/// `f32[N] 8x0e+4x1o`, with `!` behind a chunk that is known to be zero.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.dtype, DisplayDims(&self.dims))?;
        for (k, (chunk, zero)) in self.irreps.iter().zip(&self.zero).enumerate() {
            let join = if k > 0 { "+" } else { " " };
            write!(f, "{join}{chunk}{}", if *zero { "!" } else { "" })?;
        }
        Ok(())
    }
}

/// Prints leading sizes as `[N, 3]`.
pub struct DisplayDims<'a>(pub &'a [Dim]);

impl fmt::Display for DisplayDims<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (k, dim) in self.0.iter().enumerate() {
            write!(f, "{}{dim}", if k > 0 { ", " } else { "" })?;
        }
        f.write_str("]")
    }
}
