//! Elements of arrays, row-major, of the four types: owned and borrowed.

use schur_ir::ty::DType;

use crate::aligned::Aligned;

macro_rules! for_all_types {
    ($of:expr, $type:ident, $slice:ident => $result:expr) => {
        match $of {
            $type::F32($slice) => $result,
            $type::F64($slice) => $result,
            $type::I32($slice) => $result,
            $type::Bool($slice) => $result,
        }
    };
}

/// The elements of an [`crate::array::Array`], row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Single precision.
    F32(Aligned<f32>),
    /// Double precision.
    F64(Aligned<f64>),
    /// Indices.
    I32(Aligned<i32>),
    /// A mask: 0 or 1.
    Bool(Aligned<u8>),
}

/// Elements of an array, row-major.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Elements<'a> {
    /// Single precision.
    F32(&'a [f32]),
    /// Double precision.
    F64(&'a [f64]),
    /// Indices.
    I32(&'a [i32]),
    /// A mask: 0 or 1.
    Bool(&'a [u8]),
}

/// Elements of an array, row-major, to be written.
#[derive(Debug, PartialEq)]
pub enum ElementsMut<'a> {
    /// Single precision.
    F32(&'a mut [f32]),
    /// Double precision.
    F64(&'a mut [f64]),
    /// Indices.
    I32(&'a mut [i32]),
    /// A mask: 0 or 1.
    Bool(&'a mut [u8]),
}

/// A type that elements of arrays can have.
pub trait Element: Clone {
    /// Its name in specs.
    const DTYPE: DType;

    /// Borrowed elements.
    fn elements(slice: &[Self]) -> Elements<'_>;

    /// Owned elements.
    fn data(elements: Vec<Self>) -> Data;

    /// The elements, where they have this type.
    fn slice(data: &Data) -> Option<&[Self]>;
}

macro_rules! element {
    ($($element:ty => $variant:ident;)*) => {$(
        impl Element for $element {
            const DTYPE: DType = DType::$variant;

            fn elements(slice: &[Self]) -> Elements<'_> {
                Elements::$variant(slice)
            }

            fn data(elements: Vec<Self>) -> Data {
                Data::$variant(elements.into())
            }

            fn slice(data: &Data) -> Option<&[Self]> {
                if let Data::$variant(elements) = data { Some(elements) } else { None }
            }
        }
    )*};
}

element! {
    f32 => F32;
    f64 => F64;
    i32 => I32;
}

impl Element for bool {
    const DTYPE: DType = DType::Bool;

    fn elements(slice: &[Self]) -> Elements<'_> {
        Elements::Bool(bytemuck::cast_slice(slice))
    }

    fn data(elements: Vec<Self>) -> Data {
        Data::Bool(elements.into_iter().map(u8::from).collect())
    }

    fn slice(data: &Data) -> Option<&[Self]> {
        if let Data::Bool(bytes) = data { bytemuck::checked::try_cast_slice(bytes).ok() } else { None }
    }
}

impl Data {
    /// The number of elements.
    pub fn len(&self) -> usize {
        match self {
            Data::F32(v) => v.len(),
            Data::F64(v) => v.len(),
            Data::I32(v) => v.len(),
            Data::Bool(v) => v.len(),
        }
    }

    /// True where there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        match self {
            Data::F32(_) => DType::F32,
            Data::F64(_) => DType::F64,
            Data::I32(_) => DType::I32,
            Data::Bool(_) => DType::Bool,
        }
    }
}

impl<'a> Elements<'a> {
    /// The element type.
    pub fn dtype(self) -> DType {
        match self {
            Elements::F32(_) => DType::F32,
            Elements::F64(_) => DType::F64,
            Elements::I32(_) => DType::I32,
            Elements::Bool(_) => DType::Bool,
        }
    }

    /// The number of elements.
    pub fn len(self) -> usize {
        for_all_types!(self, Elements, slice => slice.len())
    }

    /// True where there is no element.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Their bytes, in the order of this machine.
    pub fn bytes(self) -> &'a [u8] {
        for_all_types!(self, Elements, slice => bytemuck::cast_slice(slice))
    }
}

impl<'a> ElementsMut<'a> {
    /// The element type.
    pub fn dtype(&self) -> DType {
        match self {
            ElementsMut::F32(_) => DType::F32,
            ElementsMut::F64(_) => DType::F64,
            ElementsMut::I32(_) => DType::I32,
            ElementsMut::Bool(_) => DType::Bool,
        }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        for_all_types!(self, ElementsMut, slice => slice.len())
    }

    /// True where there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same elements, for a shorter time.
    pub fn reborrow(&mut self) -> ElementsMut<'_> {
        match self {
            ElementsMut::F32(v) => ElementsMut::F32(v),
            ElementsMut::F64(v) => ElementsMut::F64(v),
            ElementsMut::I32(v) => ElementsMut::I32(v),
            ElementsMut::Bool(v) => ElementsMut::Bool(v),
        }
    }

    pub(crate) fn bytes(self) -> &'a mut [u8] {
        for_all_types!(self, ElementsMut, slice => bytemuck::cast_slice_mut(slice))
    }
}
