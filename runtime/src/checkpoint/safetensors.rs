//! Arrays in safetensors files: under any names, ordered by element type, then by name.

use std::borrow::Cow;

use ::safetensors::tensor::{Dtype, SafeTensors, View};
use indexmap::IndexMap;
use schur_ir::ty::DType;

use super::{CheckpointFault, Contents};
use crate::array::Array;

/// What a file holds.
pub(super) fn parse(bytes: &[u8]) -> Result<Contents, CheckpointFault> {
    let mut contents = Contents::default();
    for (name, tensor) in SafeTensors::deserialize(bytes)?.tensors() {
        match element_type(tensor.dtype()) {
            Some(dtype) => {
                let array = super::array(&name, tensor.shape().to_vec(), dtype, &[tensor.data()])?;
                contents.arrays.insert(name, array);
            }
            None => drop(contents.foreign.insert(name, tensor.dtype().to_string())),
        }
    }
    contents.arrays.sort_unstable_keys();
    contents.foreign.sort_unstable_keys();
    Ok(contents)
}

/// The element type, where an array can have it.
#[expect(clippy::wildcard_enum_match_arm, reason = "the element types of safetensors are an open enum")]
fn element_type(dtype: Dtype) -> Option<DType> {
    match dtype {
        Dtype::F32 => Some(DType::F32),
        Dtype::F64 => Some(DType::F64),
        Dtype::I32 => Some(DType::I32),
        Dtype::BOOL => Some(DType::Bool),
        _ => None,
    }
}

/// The bytes of a file.
pub(super) fn serialize<'a>(
    arrays: impl IntoIterator<Item = (&'a str, &'a Array)>,
) -> Result<Vec<u8>, CheckpointFault> {
    let mut named = IndexMap::new();
    for (name, array) in arrays {
        if named.insert(name, Tensor(array)).is_some() {
            return Err(CheckpointFault::Twice(name.to_owned()));
        }
    }
    Ok(::safetensors::serialize(named, None)?)
}

/// An array as safetensors sees it.
struct Tensor<'a>(&'a Array);

impl View for Tensor<'_> {
    fn dtype(&self) -> Dtype {
        match self.0.dtype() {
            DType::F32 => Dtype::F32,
            DType::F64 => Dtype::F64,
            DType::I32 => Dtype::I32,
            DType::Bool => Dtype::BOOL,
        }
    }

    fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    fn data(&self) -> Cow<'_, [u8]> {
        super::bytes(self.0)
    }

    fn data_len(&self) -> usize {
        self.0.len().saturating_mul(self.0.dtype().size())
    }
}

#[cfg(test)]
mod tests {
    use ::safetensors::tensor::TensorView;
    use proptest::prelude::*;

    use super::*;
    use crate::array::Data;

    fn file() -> Vec<u8> {
        let array = |shape: &[usize], data| Array::new(shape, data).unwrap();
        let arrays = [
            ("params/mix/w[0,0] 8x0e,8x0e", array(&[2, 1], Data::F32(vec![1.5, f32::NAN].into()))),
            ("a", array(&[], Data::F64(vec![-0.0].into()))),
            ("species", array(&[3], Data::I32(vec![i32::MIN, 0, 7].into()))),
            ("mask", array(&[1, 3], Data::Bool(vec![0, 1, 1].into()))),
            ("empty", array(&[0, 4], Data::F32(vec![].into()))),
        ];
        serialize(arrays.iter().map(|(name, array)| (*name, array))).unwrap()
    }

    #[test]
    fn no_byte_less_is_a_checkpoint() {
        let whole = file();
        assert_eq!(parse(&whole).unwrap().arrays.len(), 5);
        for end in 0..whole.len() {
            assert!(parse(&whole[..end]).is_err(), "cut at {end}");
        }
    }

    proptest! {
        #[test]
        fn no_damage_makes_reading_panic(changes in prop::collection::vec((0usize..600, any::<u8>()), 1..4)) {
            let mut damaged = file();
            for (place, byte) in changes {
                let place = place % damaged.len();
                damaged[place] = byte;
            }
            let _ = parse(&damaged);
        }
    }

    #[test]
    fn foreign_files_are_refused_with_their_name() {
        let message = |bytes: &[u8]| parse(bytes).and_then(Contents::only_arrays).unwrap_err().to_string();
        let foreign = |dtype, shape: &[usize], data: &[u8]| {
            let tensor = TensorView::new(dtype, shape.to_vec(), data).unwrap();
            message(&::safetensors::serialize([("t", tensor)], None).unwrap())
        };
        assert_eq!(message(b"PK"), "not a whole safetensors file: header too small");
        assert_eq!(message(&[0xff; 64]), "not a whole safetensors file: header too large");
        assert_eq!(foreign(Dtype::I64, &[1], &[0; 8]), "the tensor `t` is I64; f32, f64, i32 and bool can be read");
        assert_eq!(
            foreign(Dtype::BOOL, &[2], &[1, 2]),
            "the tensor `t`: a mask holds 2 at element 1; only 0 and 1 are allowed"
        );
    }

    #[test]
    fn tensors_of_other_types_are_told_beside_the_arrays() {
        let tensor = |dtype, data| TensorView::new(dtype, vec![1], data).unwrap();
        let tensors =
            [("x", tensor(Dtype::F32, &[0; 4])), ("b", tensor(Dtype::U8, &[7])), ("a", tensor(Dtype::I64, &[0; 8]))];
        let contents = parse(&::safetensors::serialize(tensors, None).unwrap()).unwrap();
        assert!(contents.arrays.keys().eq(["x"]), "{contents:?}");
        assert!(contents.foreign.iter().eq([(&"a".to_owned(), &"I64".to_owned()), (&"b".into(), &"U8".into())]));
    }

    #[test]
    fn a_name_is_written_once() {
        let array = Array::zeros([1], DType::F32).unwrap();
        let error = serialize([("a", &array), ("a", &array)]).unwrap_err();
        assert_eq!(error.to_string(), "the tensor `a` is given twice");
    }
}
