//! From dictionaries to names. Memory stays in proportion to the file, whatever it claims.

use indexmap::IndexMap;
use indexmap::map::Entry;
use schur_ir::ty::DType;

use super::super::msgpack::{Reader, Value};
use super::super::{CheckpointFault, array};
use super::{CHUNKED, COLLECTIONS, COMPLEX, FlaxFault, MAX_KEYS, MAX_NAME, NDARRAY, SCALAR, numpy_name};
use crate::array::Array;

/// The variables in a file, ordered by name.
pub(in super::super) fn parse(bytes: &[u8]) -> Result<IndexMap<String, Array>, CheckpointFault> {
    let mut reader = Reader::new(bytes);
    let top = reader.value()?;
    let Value::Map(count) = top else { return Err(FlaxFault::Top(kind(top)).into()) };
    let mut arrays = IndexMap::new();
    let mut others = Vec::new();
    for _ in 0..count {
        let key = key(&mut reader, "/")?;
        if COLLECTIONS.contains(&key) {
            entry(&mut reader, key.to_owned(), 1, &mut arrays)?;
        } else {
            reader.skip()?;
            others.push(key.to_owned());
        }
    }
    reader.end()?;
    // The variables of a model without any are an empty dictionary.
    if count > 0 && others.len() == count {
        return Err(FlaxFault::NoCollection(others).into());
    }
    arrays.sort_unstable_keys();
    Ok(arrays)
}

/// Adds what stands under a name of so many keys.
fn entry(
    reader: &mut Reader<'_>,
    name: String,
    keys: usize,
    arrays: &mut IndexMap<String, Array>,
) -> Result<(), CheckpointFault> {
    let value = reader.value()?;
    let array = if let Value::Map(count) = value {
        let Some(array) = dictionary(reader, &name, keys, count, arrays)? else { return Ok(()) };
        array
    } else if let Value::Extension(NDARRAY | SCALAR, bytes) = value {
        let Ndarray { shape, dtype, bytes } = ndarray(&name, bytes)?;
        array(&name, shape, dtype, &[bytes])?
    } else {
        return Err(FlaxFault::Leaf { name, found: kind(value) }.into());
    };
    match arrays.entry(name) {
        Entry::Vacant(entry) => {
            entry.insert(array);
            Ok(())
        }
        Entry::Occupied(entry) => Err(CheckpointFault::Twice(entry.key().clone())),
    }
}

/// Adds what a dictionary of `count` keys holds; one that stands for an array in chunks is returned as that.
fn dictionary(
    reader: &mut Reader<'_>,
    scope: &str,
    keys: usize,
    count: usize,
    arrays: &mut IndexMap<String, Array>,
) -> Result<Option<Array>, CheckpointFault> {
    for place in 0..count {
        let key = key(reader, scope)?;
        if place == 0 && key == CHUNKED {
            return chunked(reader, scope, count).map(Some);
        }
        if key.contains('/') {
            return Err(FlaxFault::Slash { scope: scope.to_owned(), key: key.to_owned() }.into());
        }
        if keys == MAX_KEYS || scope.len().saturating_add(key.len()) >= MAX_NAME {
            return Err(FlaxFault::Long(scope.to_owned()).into());
        }
        entry(reader, format!("{scope}/{key}"), keys.saturating_add(1), arrays)?;
    }
    Ok(None)
}

fn key<'a>(reader: &mut Reader<'a>, scope: &str) -> Result<&'a str, CheckpointFault> {
    let no_text = || FlaxFault::Key(scope.to_owned());
    let Value::Text(key) = reader.value()? else { return Err(no_text().into()) };
    Ok(str::from_utf8(key).map_err(|_| no_text())?)
}

/// An array as it stands in the file.
struct Ndarray<'a> {
    shape: Vec<usize>,
    dtype: DType,
    /// Of whole elements.
    bytes: &'a [u8],
}

/// An array's extension: a list of its shape, its element type and its bytes.
fn ndarray<'a>(name: &str, bytes: &'a [u8]) -> Result<Ndarray<'a>, CheckpointFault> {
    let damaged = || FlaxFault::Damaged(name.to_owned());
    let (shape, dtype, bytes) = fields(bytes).ok_or_else(damaged)?;
    let known = [DType::F32, DType::F64, DType::I32, DType::Bool];
    let dtype = known.into_iter().find(|known| numpy_name(*known).as_bytes() == dtype).ok_or_else(|| {
        let dtype = String::from_utf8_lossy(dtype).into_owned();
        CheckpointFault::DType { name: name.to_owned(), dtype }
    })?;
    if !bytes.len().is_multiple_of(dtype.size()) {
        return Err(damaged().into());
    }
    Ok(Ndarray { shape, dtype, bytes })
}

fn fields(bytes: &[u8]) -> Option<(Vec<usize>, &[u8], &[u8])> {
    let mut reader = Reader::new(bytes);
    let mut next = || reader.value().ok();
    let (Value::List(3), Value::List(rank)) = (next()?, next()?) else { return None };
    let shape = (0..rank).map(|_| size(next()?)).collect::<Option<_>>()?;
    let (Value::Text(dtype), Value::Bytes(bytes)) = (next()?, next()?) else { return None };
    reader.end().ok()?;
    Some((shape, dtype, bytes))
}

fn size(value: Value<'_>) -> Option<usize> {
    if let Value::Unsigned(size) = value { usize::try_from(size).ok() } else { None }
}

/// An array in chunks, behind the first key of its dictionary: its shape and its flat pieces, each a dictionary with
/// the keys "0", "1", ….
fn chunked(reader: &mut Reader<'_>, name: &str, count: usize) -> Result<Array, CheckpointFault> {
    let damaged = || CheckpointFault::from(FlaxFault::Damaged(name.to_owned()));
    if count != 3 || reader.value()? != Value::Bool {
        return Err(damaged());
    }
    let (mut shape, mut chunks) = (None, None);
    for _ in 1..count {
        match key(reader, name)? {
            "shape" => shape = Some(tuple(reader, name, |value| size(value).ok_or_else(damaged))?),
            "chunks" => {
                let chunk = |value| {
                    let Value::Extension(NDARRAY, bytes) = value else { return Err(damaged()) };
                    ndarray(name, bytes)
                };
                chunks = Some(tuple(reader, name, chunk)?);
            }
            _ => return Err(damaged()),
        }
    }
    let (Some(shape), Some(chunks)) = (shape, chunks) else { return Err(damaged()) };
    let dtype = chunks.first().ok_or_else(damaged)?.dtype;
    if chunks.iter().any(|chunk| chunk.dtype != dtype) {
        return Err(damaged());
    }
    array(name, shape, dtype, &chunks.iter().map(|chunk| chunk.bytes).collect::<Vec<_>>())
}

/// A list that stands as a dictionary with the keys "0", "1", ….
fn tuple<'a, T>(
    reader: &mut Reader<'a>,
    name: &str,
    item: impl Fn(Value<'a>) -> Result<T, CheckpointFault>,
) -> Result<Vec<T>, CheckpointFault> {
    let damaged = || CheckpointFault::from(FlaxFault::Damaged(name.to_owned()));
    let Value::Map(count) = reader.value()? else { return Err(damaged()) };
    let mut items = IndexMap::new();
    for _ in 0..count {
        items.insert(key(reader, name)?, item(reader.value()?)?);
    }
    (0..count).map(|place| items.swap_remove(&*place.to_string()).ok_or_else(damaged)).collect()
}

/// What a value is, to a user of Python.
fn kind(value: Value<'_>) -> &'static str {
    match value {
        Value::Nil => "None",
        Value::Bool => "a bool",
        Value::Unsigned(_) | Value::Signed => "an integer",
        Value::Float => "a float",
        Value::Text(_) => "a string",
        Value::Bytes(_) => "bytes",
        Value::Extension(NDARRAY | SCALAR, _) => "an array",
        Value::Extension(COMPLEX, _) => "a complex number",
        Value::Extension(..) => "an unknown extension",
        Value::List(_) => "a list",
        Value::Map(_) => "a dictionary",
    }
}
