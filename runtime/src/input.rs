//! What a call is given: arrays of ours or ndarray's, borrowed where their elements lie row-major in memory.

#![expect(clippy::expect_used, reason = "arrays of ndarray have as many elements as their shapes say")]

use crate::array::{Array, ArrayError};
pub use crate::elements::Element;
use crate::elements::Elements;
use crate::view::ArrayView;

/// An array for a call. It is borrowed, or a row-major copy where the elements lie otherwise in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Input<'a>(Kind<'a>);

#[derive(Clone, Debug, PartialEq)]
enum Kind<'a> {
    View(ArrayView<'a>),
    Shaped { shape: Vec<usize>, elements: Elements<'a> },
    Copy(Array),
}

const FILLED: &str = "arrays have as many elements as their shapes say";

impl Input<'_> {
    /// The array.
    pub fn view(&self) -> ArrayView<'_> {
        match &self.0 {
            Kind::View(view) => *view,
            Kind::Shaped { shape, elements } => ArrayView::new(shape, *elements).expect(FILLED),
            Kind::Copy(array) => array.view(),
        }
    }
}

impl<'a> From<ArrayView<'a>> for Input<'a> {
    fn from(view: ArrayView<'a>) -> Self {
        Input(Kind::View(view))
    }
}

impl<'a> From<&'a Array> for Input<'a> {
    fn from(array: &'a Array) -> Self {
        Input(Kind::View(array.view()))
    }
}

impl<'a, T: Element, D: ndarray::Dimension> From<ndarray::ArrayView<'a, T, D>> for Input<'a> {
    fn from(view: ndarray::ArrayView<'a, T, D>) -> Self {
        let shape = view.shape().to_vec();
        Input(match view.to_slice() {
            Some(slice) => Kind::Shaped { shape, elements: T::elements(slice) },
            None => Kind::Copy(Array::new(shape, T::data(view.iter().cloned().collect())).expect(FILLED)),
        })
    }
}

impl<'a, T: Element, S: ndarray::Data<Elem = T>, D: ndarray::Dimension> From<&'a ndarray::ArrayBase<S, D>>
    for Input<'a>
{
    fn from(array: &'a ndarray::ArrayBase<S, D>) -> Self {
        array.view().into()
    }
}

impl Array {
    /// The array as ndarray's, without copying it. An error where its elements have another type.
    pub fn ndarray<T: Element>(&self) -> Result<ndarray::ArrayViewD<'_, T>, ArrayError> {
        let error = || ArrayError::DType { given: self.dtype(), wanted: T::DTYPE };
        let elements = T::slice(self.data()).ok_or_else(error)?;
        Ok(ndarray::ArrayViewD::from_shape(self.shape(), elements).expect(FILLED))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{ArrayView1, array, s};

    use super::*;

    #[test]
    fn row_major_arrays_are_borrowed_and_others_copied() {
        let x = array![[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]];
        let input = Input::from(&x);
        let Elements::F32(elements) = input.view().elements() else { panic!("{input:?}") };
        assert_eq!((elements.as_ptr(), input.view().shape()), (x.as_ptr(), &[2, 3][..]));
        let input = Input::from(x.t());
        let Elements::F32(elements) = input.view().elements() else { panic!("{input:?}") };
        assert_eq!((elements, input.view().shape()), (&[1.0, 4.0, 2.0, 5.0, 3.0, 6.0][..], &[3, 2][..]));
        let input = Input::from(x.slice(s![.., ..;-2]));
        assert_eq!(input.view().elements(), Elements::F32(&[3.0, 1.0, 6.0, 4.0]));
    }

    #[test]
    fn every_type_goes_in_and_comes_out() {
        let mask = array![true, false];
        assert_eq!(Input::from(mask.view()).view().elements(), Elements::Bool(&[1, 0]));
        assert_eq!(Array::from(mask.clone()).ndarray::<bool>().unwrap(), mask.into_dyn());
        let index = ArrayView1::from(&[3, -1]);
        assert_eq!(Input::from(index).view().elements(), Elements::I32(&[3, -1]));
        let x = array![[0.5f64], [1.5]];
        assert_eq!(Input::from(&x).view().elements(), Elements::F64(&[0.5, 1.5]));
        let array = Array::from(x.clone());
        assert_eq!(array.ndarray::<f64>().unwrap(), x.into_dyn());
        assert_eq!(array.ndarray::<f32>().unwrap_err().to_string(), "the elements are f64, not f32");
        assert_eq!(Input::from(&array).view(), array.view());
        assert_eq!(Input::from(&ndarray::arr0(2i32)).view().shape(), [0usize; 0]);
    }
}
