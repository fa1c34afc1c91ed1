//! Owned dense arrays of the four element types: what calls are given, what they return, and what stores hold.
//!
//! Invariant: `data` has as many elements as `shape` says (the constructors check it), row-major; bools are 0 or 1.

use ndarray::{ArrayD, IxDyn};
use schur_ir::counted::Counted;
use schur_ir::ty::DType;

use crate::aligned::Aligned;
pub use crate::elements::Data;
use crate::elements::{Element, Elements, ElementsMut};

/// A dense array.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    shape: Vec<usize>,
    data: Data,
}

/// Why an array cannot be made or looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArrayError {
    /// The number of elements is not the shape's.
    #[error("the shape {shape:?} is not filled by {}", Counted(*.given, "element"))]
    Length {
        /// The shape asked for.
        shape: Vec<usize>,
        /// The number of elements given.
        given: usize,
    },
    /// The sizes that are not 0 are too large together, even where another one is 0.
    #[error("no array has the shape {shape:?}")]
    Shape {
        /// The shape asked for.
        shape: Vec<usize>,
    },
    /// A mask holds something else than 0 and 1.
    #[error("a mask holds {value} at element {place}; only 0 and 1 are allowed")]
    NotBool {
        /// The first byte that is neither.
        value: u8,
        /// Where it is.
        place: usize,
    },
    /// The elements have another type.
    #[error("the elements are {given}, not {wanted}")]
    DType {
        /// The type of the elements.
        given: DType,
        /// The type asked for.
        wanted: DType,
    },
}

/// The number of elements of a shape; `None` where it overflows.
pub(crate) fn elements(shape: &[usize]) -> Option<usize> {
    // An axis of size 0 makes the product 0, whatever the others are.
    if shape.contains(&0) { Some(0) } else { shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)) }
}

/// True where ndarray has arrays of this shape: the product of the sizes that are not 0 can be addressed.
fn has_ndarray(shape: &[usize]) -> bool {
    let filled = shape.iter().filter(|size| **size > 0).try_fold(1usize, |n, &d| n.checked_mul(d));
    filled.is_some_and(|filled| isize::try_from(filled).is_ok())
}

impl Array {
    /// The array of this shape with these elements.
    pub fn new(shape: impl Into<Vec<usize>>, data: Data) -> Result<Self, ArrayError> {
        let shape = shape.into();
        if elements(&shape) != Some(data.len()) {
            return Err(ArrayError::Length { shape, given: data.len() });
        }
        if !has_ndarray(&shape) {
            return Err(ArrayError::Shape { shape });
        }
        if let Data::Bool(bytes) = &data
            && let Some(place) = bytes.iter().position(|b| *b > 1)
        {
            return Err(ArrayError::NotBool { value: bytes.get(place).copied().unwrap_or_default(), place });
        }
        Ok(Array { shape, data })
    }

    /// An array of zeros; `None` where it does not fit in memory.
    pub fn zeros(shape: impl Into<Vec<usize>>, dtype: DType) -> Option<Self> {
        let shape = shape.into();
        let n = elements(&shape).filter(|_| has_ndarray(&shape))?;
        let data = match dtype {
            DType::F32 => Data::F32(Aligned::zeros(n)?),
            DType::F64 => Data::F64(Aligned::zeros(n)?),
            DType::I32 => Data::I32(Aligned::zeros(n)?),
            DType::Bool => Data::Bool(Aligned::zeros(n)?),
        };
        Some(Array { shape, data })
    }

    /// Floats rounded to `dtype`; integers and masks are not made from floats.
    ///
    /// # Panics
    /// Where `dtype` is not a float.
    #[allow(clippy::panic, reason = "as documented")]
    pub fn from_f64(values: &ArrayD<f64>, dtype: DType) -> Self {
        let data = match dtype {
            DType::F32 => Data::F32(values.iter().map(|x| *x as f32).collect()),
            DType::F64 => Data::F64(values.iter().copied().collect()),
            DType::I32 | DType::Bool => panic!("{dtype} is not a float"),
        };
        Array { shape: values.shape().to_vec(), data }
    }

    /// The shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The elements, without the shape.
    pub fn into_data(self) -> Data {
        self.data
    }

    pub(crate) fn elements(&self) -> Elements<'_> {
        match &self.data {
            Data::F32(v) => Elements::F32(v),
            Data::F64(v) => Elements::F64(v),
            Data::I32(v) => Elements::I32(v),
            Data::Bool(v) => Elements::Bool(v),
        }
    }

    /// Copies the elements of an array of the same shape and element type; false where it is another.
    pub fn copy_from(&mut self, other: &Array) -> bool {
        if self.shape != other.shape {
            return false;
        }
        match (&mut self.data, &other.data) {
            (Data::F32(to), Data::F32(from)) => to.copy_from_slice(from),
            (Data::F64(to), Data::F64(from)) => to.copy_from_slice(from),
            (Data::I32(to), Data::I32(from)) => to.copy_from_slice(from),
            (Data::Bool(to), Data::Bool(from)) => to.copy_from_slice(from),
            (Data::F32(_) | Data::F64(_) | Data::I32(_) | Data::Bool(_), _) => return false,
        }
        true
    }

    pub(crate) fn parts_mut(&mut self) -> (&[usize], ElementsMut<'_>) {
        let elements = match &mut self.data {
            Data::F32(v) => ElementsMut::F32(v),
            Data::F64(v) => ElementsMut::F64(v),
            Data::I32(v) => ElementsMut::I32(v),
            Data::Bool(v) => ElementsMut::Bool(v),
        };
        (&self.shape, elements)
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.data.dtype()
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// True where there is no element.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The elements as `f64`, in the same shape.
    #[allow(clippy::expect_used, reason = "the invariant of the type")]
    pub fn to_f64(&self) -> ArrayD<f64> {
        let values: Vec<f64> = match &self.data {
            Data::F32(v) => v.iter().map(|x| f64::from(*x)).collect(),
            Data::F64(v) => v.to_vec(),
            Data::I32(v) => v.iter().map(|x| f64::from(*x)).collect(),
            Data::Bool(v) => v.iter().map(|x| f64::from(*x)).collect(),
        };
        ArrayD::from_shape_vec(IxDyn(&self.shape), values).expect("an array has as many elements as its shape says")
    }
}

impl<T: Element, D: ndarray::Dimension> From<ndarray::Array<T, D>> for Array {
    fn from(array: ndarray::Array<T, D>) -> Self {
        let shape = array.shape().to_vec();
        Array { shape, data: T::data(array.into_iter().collect()) }
    }
}

/// A shape as an array of `rank` axes has it: `[1]` also stands for `[]`, since numpy's `ascontiguousarray`, through
/// which most safetensors files are written, has no arrays without axes.
pub(crate) fn with_rank(shape: &[usize], rank: usize) -> &[usize] {
    if rank == 0 && *shape == [1] { &[] } else { shape }
}

#[cfg(test)]
mod tests {
    use ndarray::{ShapeBuilder, array};

    use super::*;

    #[test]
    fn the_number_of_elements_is_the_shapes() {
        assert!(Array::new([2, 3], Data::F32(vec![0.0; 6].into())).is_ok());
        assert!(Array::new([], Data::I32(vec![4].into())).is_ok());
        // ndarray has no such array, and `to_f64` gives one of ndarray's.
        let beyond = Array::new([usize::MAX, 2, 0], Data::F64(vec![].into())).unwrap_err();
        assert_eq!(beyond.to_string(), "no array has the shape [18446744073709551615, 2, 0]");
        assert_eq!(Array::new([1 << 61, 2, 0], Data::F64(vec![].into())).unwrap().to_f64().len(), 0);
        assert!(matches!(Array::new([2, 3], Data::F32(vec![0.0; 5].into())), Err(ArrayError::Length { given: 5, .. })));
        assert!(Array::new([usize::MAX, 2], Data::F64(vec![].into())).is_err());
        assert_eq!(Array::new([3], Data::Bool(vec![0, 1, 2].into())), Err(ArrayError::NotBool { value: 2, place: 2 }));
        assert!(Array::zeros([usize::MAX / 2], DType::F32).is_none());
        assert_eq!(Array::zeros([2, 2], DType::Bool), Some(array![[false, false], [false, false]].into()));
    }

    #[test]
    fn arrays_of_any_layout_become_row_major() {
        let fortran = ndarray::Array::from_shape_vec((2, 2).f(), vec![1.0f32, 3.0, 2.0, 4.0]).unwrap();
        let array = Array::from(fortran);
        assert_eq!(array.data(), &Data::F32(vec![1.0, 2.0, 3.0, 4.0].into()));
        assert_eq!(array.to_f64(), array![[1.0, 2.0], [3.0, 4.0]].into_dyn());
        assert_eq!(Array::from_f64(&array.to_f64(), DType::F32), array);
    }
}
