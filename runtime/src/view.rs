//! Borrowed dense arrays: what a call reads and writes without copying.
//!
//! Invariant: `elements` has as many elements as `shape` says, row-major. Masks may hold any byte here; a call checks
//! them.

use schur_ir::ty::DType;

use crate::array::{Array, ArrayError, elements};
pub use crate::elements::{Elements, ElementsMut};

/// A borrowed array.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ArrayView<'a> {
    shape: &'a [usize],
    elements: Elements<'a>,
}

/// A borrowed array, to be written.
#[derive(Debug, PartialEq)]
pub struct ArrayViewMut<'a> {
    shape: &'a [usize],
    elements: ElementsMut<'a>,
}

fn check_length(shape: &[usize], given: usize) -> Result<(), ArrayError> {
    if elements(shape) == Some(given) { Ok(()) } else { Err(ArrayError::Length { shape: shape.to_vec(), given }) }
}

impl<'a> ArrayView<'a> {
    /// The array of this shape with these elements.
    pub fn new(shape: &'a [usize], elements: Elements<'a>) -> Result<Self, ArrayError> {
        check_length(shape, elements.len())?;
        Ok(ArrayView { shape, elements })
    }

    /// The shape.
    pub fn shape(self) -> &'a [usize] {
        self.shape
    }

    /// The elements.
    pub fn elements(self) -> Elements<'a> {
        self.elements
    }

    /// The element type.
    pub fn dtype(self) -> DType {
        self.elements.dtype()
    }
}

impl<'a> ArrayViewMut<'a> {
    /// The array of this shape with these elements.
    pub fn new(shape: &'a [usize], elements: ElementsMut<'a>) -> Result<Self, ArrayError> {
        check_length(shape, elements.len())?;
        Ok(ArrayViewMut { shape, elements })
    }

    /// The shape.
    pub fn shape(&self) -> &'a [usize] {
        self.shape
    }

    /// The elements, to be written.
    pub fn elements(&mut self) -> ElementsMut<'_> {
        self.elements.reborrow()
    }

    /// The same array, borrowed for a shorter time.
    pub fn reborrow(&mut self) -> ArrayViewMut<'_> {
        ArrayViewMut { shape: self.shape, elements: self.elements.reborrow() }
    }

    /// The same array, to be read.
    pub fn borrowed(&self) -> ArrayView<'_> {
        let elements = match &self.elements {
            ElementsMut::F32(v) => Elements::F32(v),
            ElementsMut::F64(v) => Elements::F64(v),
            ElementsMut::I32(v) => Elements::I32(v),
            ElementsMut::Bool(v) => Elements::Bool(v),
        };
        ArrayView { shape: self.shape, elements }
    }

    /// The elements, to be written, as long as the array is borrowed.
    pub fn into_elements(self) -> ElementsMut<'a> {
        self.elements
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.elements.dtype()
    }
}

impl<'a> From<&'a Array> for ArrayView<'a> {
    fn from(array: &'a Array) -> Self {
        array.view()
    }
}

impl Array {
    /// Borrows the array.
    pub fn view(&self) -> ArrayView<'_> {
        ArrayView { shape: self.shape(), elements: self.elements() }
    }

    /// Borrows the array to write its elements; shape and element type stay.
    pub fn view_mut(&mut self) -> ArrayViewMut<'_> {
        let (shape, elements) = self.parts_mut();
        ArrayViewMut { shape, elements }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_have_as_many_elements_as_their_shape_says() {
        assert!(ArrayView::new(&[2, 2], Elements::F32(&[0.0; 4])).is_ok());
        assert!(ArrayView::new(&[usize::MAX, 2, 0], Elements::F32(&[])).is_ok());
        let error = ArrayView::new(&[2, 2], Elements::I32(&[0; 3])).unwrap_err();
        assert_eq!(error.to_string(), "the shape [2, 2] is not filled by 3 elements");
        assert!(ArrayViewMut::new(&[usize::MAX, 2], ElementsMut::Bool(&mut [])).is_err());
    }

    #[test]
    fn what_is_written_through_a_view_is_in_the_array() {
        let mut array = Array::zeros([2], DType::F64).unwrap();
        if let ElementsMut::F64(slice) = array.view_mut().into_elements() {
            slice[1] = 3.0;
        }
        assert_eq!(array.view().elements(), Elements::F64(&[0.0, 3.0]));
    }
}
