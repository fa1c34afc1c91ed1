//! The variables of a flax model, as `flax.serialization.to_bytes` writes them: dictionaries of dictionaries of arrays,
//! in msgpack. An array's name is its keys, joined by `/`.
//!
//! Only the collections `params` and `batch_stats` are read, and written: the other keys at the top of a train state
//! (`step`, `opt_state`) are passed over. Keys are written in order, as jax sorts those of every dictionary it maps
//! over, so that the bytes are the ones that flax writes for a train state's variables.

mod read;
#[cfg(test)]
mod tests;
mod write;

use schur_ir::ty::DType;

pub(super) use self::read::parse;
pub(super) use self::write::serialize;

/// Arrays of more bytes are cut, as flax does.
pub(super) const MAX_CHUNK: usize = 1 << 30;

/// The first key of a dictionary that stands for an array in chunks.
const CHUNKED: &str = "__msgpack_chunked_array__";
const COLLECTIONS: [&str; 2] = ["batch_stats", "params"];
/// msgpack's extensions: an array, a complex number of Python, and an array without axes.
const NDARRAY: u8 = 1;
const COMPLEX: u8 = 2;
const SCALAR: u8 = 3;
/// Bounds of names, without which a small file could ask for much memory or a deep stack.
const MAX_KEYS: usize = 64;
const MAX_NAME: usize = 1024;

/// Why msgpack is not the variables of a flax model, or why arrays cannot be written as such.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlaxFault {
    /// The top level is something else than a dictionary.
    #[error("the top level is {0}, not a dictionary")]
    Top(&'static str),
    /// The top level has no collection of variables, but these keys.
    #[error("neither `params` nor `batch_stats` is at the top level, but {}", listed(.0))]
    NoCollection(Vec<String>),
    /// An array to be written is in no collection of variables.
    #[error("`{0}` is neither in `params` nor in `batch_stats`, and a .msgpack file has nothing else")]
    Elsewhere(String),
    /// A key is no text.
    #[error("a key in `{0}` is no text")]
    Key(String),
    /// A key has the character that joins keys.
    #[error("the key `{key}` in `{scope}` has a `/`, which joins the keys of a name")]
    Slash {
        /// The dictionary.
        scope: String,
        /// The key.
        key: String,
    },
    /// A name is too long, or has too many keys.
    #[error("a name in `{0}` has more than {MAX_NAME} bytes or {MAX_KEYS} keys")]
    Long(String),
    /// Something else than an array.
    #[error("`{name}` is {found}, not an array")]
    Leaf {
        /// Its name.
        name: String,
        /// What it is.
        found: &'static str,
    },
    /// An array that flax would not write.
    #[error("the array `{0}` is damaged")]
    Damaged(String),
    /// The name of one array begins with that of another.
    #[error("`{0}` cannot be an array and a dictionary of arrays")]
    Inside(String),
}

fn listed(keys: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut list = keys.iter().take(SHOWN).map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    if keys.len() > SHOWN {
        list += &format!(" and {} more", keys.len().saturating_sub(SHOWN));
    }
    list
}

/// An element type as numpy calls it.
fn numpy_name(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "float32",
        DType::F64 => "float64",
        DType::I32 => "int32",
        DType::Bool => "bool",
    }
}
