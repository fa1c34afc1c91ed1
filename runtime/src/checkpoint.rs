//! Checkpoints: named arrays in safetensors files.
//!
//! A file is written whole or not at all: into a temporary file of the same folder, flushed to the disk, then renamed.
//! Equal arrays give equal bytes: tensors are ordered by element type, then by name. What is read is not trusted.

use std::borrow::Cow;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView, View};

use crate::array::{Array, ArrayError, Data};

/// Why a checkpoint cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}", path.display())]
pub struct CheckpointError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    #[source]
    pub fault: CheckpointFault,
}

/// What is wrong with a checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointFault {
    /// The system cannot read or write.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is no safetensors file, or it is damaged.
    #[error("not a whole safetensors file: {0}")]
    Format(#[from] SafeTensorError),
    /// A tensor has an element type that no array has.
    #[error("the tensor `{name}` is {dtype}; F32, F64, I32 and BOOL can be read")]
    DType {
        /// The tensor.
        name: String,
        /// Its element type.
        dtype: Dtype,
    },
    /// The elements of a tensor make no array.
    #[error("the tensor `{name}`: {fault}")]
    Tensor {
        /// The tensor.
        name: String,
        /// What is wrong with it.
        #[source]
        fault: ArrayError,
    },
    /// Two arrays to be written have the same name.
    #[error("the tensor `{0}` is given twice")]
    Twice(String),
}

/// Reads all arrays of a file, ordered by name.
pub fn read(path: &Path) -> Result<IndexMap<String, Array>, CheckpointError> {
    let parse = || -> Result<_, CheckpointFault> { parse(&fs::read(path)?) };
    parse().map_err(|fault| CheckpointError { path: path.to_owned(), fault })
}

/// Writes arrays to a file in the place of what was there; where that fails, the old file stays as it was.
pub fn write<'a>(path: &Path, arrays: impl IntoIterator<Item = (&'a str, &'a Array)>) -> Result<(), CheckpointError> {
    let write = || -> Result<_, CheckpointFault> { Ok(replace(path, &serialize(arrays)?)?) };
    write().map_err(|fault| CheckpointError { path: path.to_owned(), fault })
}

fn parse(bytes: &[u8]) -> Result<IndexMap<String, Array>, CheckpointFault> {
    let mut tensors = SafeTensors::deserialize(bytes)?.tensors();
    tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
    tensors.into_iter().map(|(name, tensor)| array(&name, &tensor).map(|array| (name, array))).collect()
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the element types of safetensors are an open enum")]
fn array(name: &str, tensor: &TensorView<'_>) -> Result<Array, CheckpointFault> {
    let bytes = tensor.data();
    let data = match tensor.dtype() {
        Dtype::F32 => Data::F32(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()),
        Dtype::F64 => Data::F64(bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect()),
        Dtype::I32 => Data::I32(bytes.as_chunks().0.iter().map(|b| i32::from_le_bytes(*b)).collect()),
        Dtype::BOOL => Data::Bool(bytes.to_vec()),
        dtype => return Err(CheckpointFault::DType { name: name.to_owned(), dtype }),
    };
    Array::new(tensor.shape(), data).map_err(|fault| CheckpointFault::Tensor { name: name.to_owned(), fault })
}

fn serialize<'a>(arrays: impl IntoIterator<Item = (&'a str, &'a Array)>) -> Result<Vec<u8>, CheckpointFault> {
    let mut named = IndexMap::new();
    for (name, array) in arrays {
        if named.insert(name, Tensor(array)).is_some() {
            return Err(CheckpointFault::Twice(name.to_owned()));
        }
    }
    Ok(safetensors::serialize(named, None)?)
}

/// An array as safetensors sees it: little-endian.
struct Tensor<'a>(&'a Array);

impl View for Tensor<'_> {
    fn dtype(&self) -> Dtype {
        match self.0.data() {
            Data::F32(_) => Dtype::F32,
            Data::F64(_) => Dtype::F64,
            Data::I32(_) => Dtype::I32,
            Data::Bool(_) => Dtype::BOOL,
        }
    }

    fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match self.0.data() {
            Data::F32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Data::F64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Data::I32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Data::Bool(v) => Cow::Borrowed(v),
        }
    }

    fn data_len(&self) -> usize {
        self.0.len() * self.0.dtype().size()
    }
}

/// Puts a file with these bytes at `path` in one step.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.prefix(".schur-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    // The file is there; whether the folder can be flushed as well depends on the file system.
    #[cfg(unix)]
    let _ = fs::File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn arrays() -> IndexMap<String, Array> {
        let array = |shape: &[usize], data| Array::new(shape, data).unwrap();
        IndexMap::from([
            ("params/mix/w[0,0] 8x0e,8x0e".into(), array(&[2, 1], Data::F32(vec![1.5, f32::NAN]))),
            ("a".into(), array(&[], Data::F64(vec![-0.0]))),
            ("species".into(), array(&[3], Data::I32(vec![i32::MIN, 0, 7]))),
            ("mask".into(), array(&[1, 3], Data::Bool(vec![0, 1, 1]))),
            ("empty".into(), array(&[0, 4], Data::F32(vec![]))),
        ])
    }

    fn pairs(arrays: &IndexMap<String, Array>) -> impl Iterator<Item = (&str, &Array)> {
        arrays.iter().map(|(name, array)| (name.as_str(), array))
    }

    fn bytes(arrays: &IndexMap<String, Array>) -> Vec<u8> {
        serialize(pairs(arrays)).unwrap()
    }

    /// A file of one tensor, made by the other library's own means.
    fn foreign(dtype: Dtype, shape: &[usize], data: &[u8]) -> Vec<u8> {
        safetensors::serialize([("t", TensorView::new(dtype, shape.to_vec(), data).unwrap())], None).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("params.safetensors");
        write(&path, pairs(&arrays())).unwrap();
        let back = read(&path).unwrap();
        let names: Vec<&str> = back.keys().map(String::as_str).collect();
        assert_eq!(names, ["a", "empty", "mask", "params/mix/w[0,0] 8x0e,8x0e", "species"]);
        assert_eq!(bytes(&back), fs::read(&path).unwrap());
        for (name, array) in &arrays() {
            assert_eq!(back[name].view().elements().bytes(), array.view().elements().bytes(), "{name}");
            assert_eq!(back[name].shape(), array.shape(), "{name}");
        }
    }

    #[test]
    fn no_byte_less_is_a_checkpoint() {
        let whole = bytes(&arrays());
        for end in 0..whole.len() {
            assert!(parse(&whole[..end]).is_err(), "cut at {end}");
        }
    }

    proptest! {
        #[test]
        fn no_damage_makes_reading_panic(changes in prop::collection::vec((0usize..600, any::<u8>()), 1..4)) {
            let mut damaged = bytes(&arrays());
            for (place, byte) in changes {
                let place = place % damaged.len();
                damaged[place] = byte;
            }
            let _ = parse(&damaged);
        }
    }

    #[test]
    fn foreign_files_are_refused_with_their_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let message = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            let message = read(&path).unwrap_err().to_string();
            message.strip_prefix(&format!("{}: ", path.display())).unwrap().to_owned()
        };
        assert_eq!(message(b"PK"), "not a whole safetensors file: header too small");
        assert_eq!(message(&[0xff; 64]), "not a whole safetensors file: header too large");
        assert_eq!(
            message(&foreign(Dtype::I64, &[1], &[0; 8])),
            "the tensor `t` is I64; F32, F64, I32 and BOOL can be read"
        );
        assert_eq!(
            message(&foreign(Dtype::BOOL, &[2], &[1, 2])),
            "the tensor `t`: a mask holds 2 at element 1; only 0 and 1 are allowed"
        );
        let missing = read(&folder.path().join("none")).unwrap_err();
        assert!(missing.to_string().contains("none: No such file"), "{missing}");
    }

    #[test]
    fn a_name_is_written_once() {
        let array = Array::zeros([1], schur_ir::ty::DType::F32).unwrap();
        let error = serialize([("a", &array), ("a", &array)]).unwrap_err();
        assert_eq!(error.to_string(), "the tensor `a` is given twice");
    }

    #[test]
    fn a_failed_write_leaves_everything_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        // A folder cannot be replaced by a file, whoever asks.
        let path = folder.path().join("taken");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), "old").unwrap();
        assert!(write(&path, pairs(&arrays())).is_err());
        assert_eq!(fs::read(path.join("inside")).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(write(&folder.path().join("no/such/folder"), pairs(&arrays())).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_without_permission_keeps_its_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("params.safetensors");
        fs::write(&path, "old").unwrap();
        let set = |mode| fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
        set(0o555);
        // The superuser may write anyway.
        let privileged = fs::write(folder.path().join("probe"), "").is_ok();
        let result = write(&path, pairs(&arrays()));
        set(0o755);
        assert_eq!(result.is_ok(), privileged);
        assert_eq!(fs::read(&path).unwrap() == b"old", !privileged);
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_a_checkpoint_as_any_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        fs::write(folder.path().join("plain"), "").unwrap();
        write(&folder.path().join("checkpoint"), pairs(&arrays())).unwrap();
        assert_eq!(mode("checkpoint"), mode("plain"));
    }
}
