//! Checkpoints: named arrays in a file, as safetensors or as flax's msgpack; the file's ending says which.
//!
//! A file is written whole or not at all: into a temporary file of the same folder, flushed to the disk, then renamed.
//! Equal arrays give equal bytes, in whatever order they are given. What is read is not trusted.

mod flax;
mod msgpack;
mod replace;
mod safetensors;

use std::borrow::Cow;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ::safetensors::SafeTensorError;
use bytemuck::Pod;
use indexmap::IndexMap;
use schur_ir::limits::{LimitError, Limits};
use schur_ir::ty::DType;

pub use self::flax::FlaxFault;
pub use self::msgpack::MsgpackFault;
pub use self::replace::{folder, probe, replace};
use crate::aligned::Aligned;
use crate::array::{Array, ArrayError, Data};
use crate::memory;

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
    /// It is larger than is accepted.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The file's name does not say what its format is.
    #[error("a file of arrays is named .safetensors or .msgpack (flax's format)")]
    Ending,
    /// It is no safetensors file, or it is damaged.
    #[error("not a whole safetensors file: {0}")]
    Safetensors(#[from] SafeTensorError),
    /// It is no msgpack file, or it is damaged.
    #[error("not a whole msgpack file: {0}")]
    Msgpack(#[from] MsgpackFault),
    /// It is msgpack, but not the variables of a flax model; or they cannot become that.
    #[error(transparent)]
    Flax(#[from] FlaxFault),
    /// A tensor has an element type that no array has.
    #[error("the tensor `{name}` is {dtype}; f32, f64, i32 and bool can be read")]
    DType {
        /// The tensor.
        name: String,
        /// Its element type, as the file calls it.
        dtype: String,
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
    /// Two arrays have the same name.
    #[error("the tensor `{0}` is given twice")]
    Twice(String),
}

/// How arrays are put in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// safetensors.
    Safetensors,
    /// The msgpack of flax's serialisation.
    Msgpack,
}

impl Format {
    /// The format that a file's ending says.
    pub fn of(path: &Path) -> Result<Self, CheckpointFault> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("safetensors") => Ok(Format::Safetensors),
            Some("msgpack") => Ok(Format::Msgpack),
            Some(_) | None => Err(CheckpointFault::Ending),
        }
    }
}

/// What a file of arrays holds.
#[derive(Debug, Default)]
pub struct Contents {
    /// The arrays, ordered by name.
    pub arrays: IndexMap<String, Array>,
    /// The tensors of element types that no array has, ordered by name: their types, as the file calls them.
    pub foreign: IndexMap<String, String>,
}

impl Contents {
    /// The arrays, where there is nothing else.
    fn only_arrays(self) -> Result<IndexMap<String, Array>, CheckpointFault> {
        match self.foreign.into_iter().next() {
            Some((name, dtype)) => Err(CheckpointFault::DType { name, dtype }),
            None => Ok(self.arrays),
        }
    }
}

/// Reads all arrays of a file, ordered by name.
pub fn read(path: &Path) -> Result<IndexMap<String, Array>, CheckpointError> {
    read_within(path, &Limits::default())
}

/// The same, of a file within the limits on memory: the file and the arrays are both held for a moment.
pub fn read_within(path: &Path, limits: &Limits) -> Result<IndexMap<String, Array>, CheckpointError> {
    parsed(path, limits, parse_bytes)
}

/// Reads what is in a file of which not all may be wanted, as a data set: tensors of any element type are passed over.
pub fn read_contents(path: &Path) -> Result<Contents, CheckpointError> {
    parsed(path, &Limits::default(), parse_contents)
}

fn parsed<T>(
    path: &Path,
    limits: &Limits,
    parse: impl Fn(Format, &[u8]) -> Result<T, CheckpointFault>,
) -> Result<T, CheckpointError> {
    let read = || -> Result<T, CheckpointFault> {
        let format = Format::of(path)?;
        let bytes = read_bytes(path, limits.memory.min(memory::total()) / 2)?;
        parse(format, &bytes)
    };
    read().map_err(|fault| CheckpointError { path: path.to_owned(), fault })
}

/// The arrays in the bytes of a file, ordered by name.
pub fn parse_bytes(format: Format, bytes: &[u8]) -> Result<IndexMap<String, Array>, CheckpointFault> {
    parse_contents(format, bytes)?.only_arrays()
}

/// What is in the bytes of a file. Parameters are all wanted, and flax's files hold nothing else.
fn parse_contents(format: Format, bytes: &[u8]) -> Result<Contents, CheckpointFault> {
    match format {
        Format::Safetensors => safetensors::parse(bytes),
        Format::Msgpack => Ok(Contents { arrays: flax::parse(bytes)?, ..Contents::default() }),
    }
}

/// The bytes of a file; of one that is too long, or has no end, no more is read than tells so.
fn read_bytes(path: &Path, limit: usize) -> Result<Vec<u8>, CheckpointFault> {
    let file = fs::File::open(path)?;
    let size = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    let within = |found| LimitError::check("memory", limit, found, || "the bytes of a file of arrays".into());
    within(size)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(size).map_err(io::Error::from)?;
    file.take((limit as u64).saturating_add(1)).read_to_end(&mut bytes)?;
    within(bytes.len())?;
    Ok(bytes)
}

/// Writes arrays to a file in the place of what was there; where that fails, the old file stays as it was.
pub fn write<'a>(path: &Path, arrays: impl IntoIterator<Item = (&'a str, &'a Array)>) -> Result<(), CheckpointError> {
    let write = || -> Result<_, CheckpointFault> {
        let bytes = match Format::of(path)? {
            Format::Safetensors => safetensors::serialize(arrays)?,
            Format::Msgpack => flax::serialize(arrays, flax::MAX_CHUNK)?,
        };
        Ok(replace(path, &bytes)?)
    };
    write().map_err(|fault| CheckpointError { path: path.to_owned(), fault })
}

/// The array whose little-endian elements are these pieces one after the other, each of whole elements.
fn array(name: &str, shape: Vec<usize>, dtype: DType, pieces: &[&[u8]]) -> Result<Array, CheckpointFault> {
    let data = match dtype {
        DType::F32 => Data::F32(elements(pieces, f32::from_le_bytes)?),
        DType::F64 => Data::F64(elements(pieces, f64::from_le_bytes)?),
        DType::I32 => Data::I32(elements(pieces, i32::from_le_bytes)?),
        DType::Bool => Data::Bool(elements(pieces, u8::from_le_bytes)?),
    };
    Array::new(shape, data).map_err(|fault| CheckpointFault::Tensor { name: name.to_owned(), fault })
}

fn elements<const SIZE: usize, T: Copy + Pod>(
    pieces: &[&[u8]],
    element: impl Fn([u8; SIZE]) -> T,
) -> io::Result<Aligned<T>> {
    let chunks = || pieces.iter().flat_map(|piece| piece.as_chunks::<SIZE>().0);
    let elements = chunks().map(|bytes| element(*bytes));
    Ok(Aligned::first_of(chunks().count(), elements).ok_or(io::ErrorKind::OutOfMemory)?)
}

/// The elements of an array, little-endian.
fn bytes(array: &Array) -> Cow<'_, [u8]> {
    match array.data() {
        Data::F32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Data::F64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Data::I32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Data::Bool(v) => Cow::Borrowed(v),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDINGS: [&str; 2] = ["safetensors", "msgpack"];

    fn arrays() -> IndexMap<String, Array> {
        let array = |shape: &[usize], data| Array::new(shape, data).unwrap();
        IndexMap::from([
            ("params/mix/w[0,0] 8x0e,8x0e".into(), array(&[2, 1], Data::F32(vec![1.5, f32::NAN].into()))),
            ("params/mix 2".into(), array(&[], Data::F64(vec![-0.0].into()))),
            ("batch_stats/species".into(), array(&[3], Data::I32(vec![i32::MIN, 0, 7].into()))),
            ("params/mask".into(), array(&[1, 3], Data::Bool(vec![0, 1, 1].into()))),
            ("params/empty".into(), array(&[0, 4], Data::F32(vec![].into()))),
        ])
    }

    fn pairs(arrays: &IndexMap<String, Array>) -> impl Iterator<Item = (&str, &Array)> {
        arrays.iter().map(|(name, array)| (name.as_str(), array))
    }

    #[test]
    fn what_is_written_is_read_in_the_order_of_names() {
        let folder = tempfile::tempdir().unwrap();
        let mut sorted = arrays();
        sorted.sort_unstable_keys();
        for ending in ENDINGS {
            let [path, again] = ["a", "b"].map(|stem| folder.path().join(stem).with_extension(ending));
            write(&path, pairs(&arrays())).unwrap();
            let back = read(&path).unwrap();
            assert!(back.keys().eq(sorted.keys()), "{ending}");
            for (name, array) in &sorted {
                assert_eq!(back[name].view().elements().bytes(), array.view().elements().bytes(), "{name}");
                assert_eq!(back[name].shape(), array.shape(), "{name}");
            }
            write(&again, pairs(&back)).unwrap();
            assert_eq!(fs::read(&again).unwrap(), fs::read(&path).unwrap(), "{ending}: other order, other bytes");
            write(&path, []).unwrap();
            assert!(read(&path).unwrap().is_empty());
        }
    }

    #[test]
    fn the_ending_is_one_of_two() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["params.npz", "params", "safetensors", ".msgpack"] {
            let path = folder.path().join(name);
            for error in [write(&path, pairs(&arrays())).unwrap_err(), read(&path).unwrap_err()] {
                let message = "a file of arrays is named .safetensors or .msgpack (flax's format)";
                assert_eq!(error.to_string(), format!("{}: {message}", path.display()));
            }
            assert!(!path.exists());
        }
        for ending in ENDINGS {
            let missing = read(&folder.path().join("none").with_extension(ending)).unwrap_err();
            assert!(missing.to_string().contains(&format!("none.{ending}: No such file")), "{missing}");
        }
    }

    #[test]
    fn a_failed_write_leaves_everything_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        // A folder cannot be replaced by a file, whoever asks.
        let path = folder.path().join("taken.safetensors");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), "old").unwrap();
        assert!(write(&path, pairs(&arrays())).is_err());
        assert_eq!(fs::read(path.join("inside")).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(write(&folder.path().join("no/such/folder.safetensors"), pairs(&arrays())).is_err());
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
        write(&folder.path().join("checkpoint.msgpack"), pairs(&arrays())).unwrap();
        assert_eq!(mode("checkpoint.msgpack"), mode("plain"));
    }
}
