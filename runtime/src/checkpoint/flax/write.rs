//! From names to dictionaries, with the keys of each in order.

use std::collections::BTreeMap;

use super::super::msgpack::Writer;
use super::super::{CheckpointFault, bytes};
use super::{CHUNKED, COLLECTIONS, FlaxFault, MAX_KEYS, MAX_NAME, NDARRAY, numpy_name};
use crate::array::Array;

type Dictionary<'a> = BTreeMap<&'a str, Node<'a>>;

enum Node<'a> {
    Dictionary(Dictionary<'a>),
    Array(&'a Array),
}

/// The bytes of a file; arrays of more than `max_chunk` bytes are cut in chunks of at most as many.
pub(in super::super) fn serialize<'a>(
    arrays: impl IntoIterator<Item = (&'a str, &'a Array)>,
    max_chunk: usize,
) -> Result<Vec<u8>, CheckpointFault> {
    let mut top = Dictionary::new();
    for (name, array) in arrays {
        insert(&mut top, name, array)?;
    }
    let mut writer = Writer::default();
    dictionary(&mut writer, &top, max_chunk);
    Ok(writer.into_bytes())
}

fn insert<'a>(top: &mut Dictionary<'a>, name: &'a str, array: &'a Array) -> Result<(), CheckpointFault> {
    let mut keys = name.split('/');
    if name.len() > MAX_NAME || keys.clone().count() > MAX_KEYS {
        return Err(FlaxFault::Long(name.to_owned()).into());
    }
    if !keys.clone().next().is_some_and(|first| COLLECTIONS.contains(&first)) {
        return Err(FlaxFault::Elsewhere(name.to_owned()).into());
    }
    let last = keys.next_back().unwrap_or_default();
    let mut scope = top;
    for key in keys {
        scope = match scope.entry(key).or_insert_with(|| Node::Dictionary(Dictionary::new())) {
            Node::Dictionary(inner) => inner,
            Node::Array(_) => return Err(FlaxFault::Inside(name.to_owned()).into()),
        };
    }
    match scope.insert(last, Node::Array(array)) {
        None => Ok(()),
        Some(Node::Array(_)) => Err(CheckpointFault::Twice(name.to_owned())),
        Some(Node::Dictionary(_)) => Err(FlaxFault::Inside(name.to_owned()).into()),
    }
}

fn dictionary(writer: &mut Writer, dictionary: &Dictionary<'_>, max_chunk: usize) {
    writer.map(dictionary.len());
    for (key, node) in dictionary {
        writer.text(key);
        match node {
            Node::Dictionary(inner) => self::dictionary(writer, inner, max_chunk),
            Node::Array(array) => whole(writer, array, max_chunk),
        }
    }
}

/// An array, in chunks where it is large.
fn whole(writer: &mut Writer, array: &Array, max_chunk: usize) {
    let (dtype, bytes) = (numpy_name(array.dtype()), bytes(array));
    if bytes.len() <= max_chunk {
        return ndarray(writer, array.shape(), dtype, &bytes);
    }
    writer.map(3);
    writer.text(CHUNKED);
    writer.truth();
    writer.text("shape");
    writer.map(array.shape().len());
    for (axis, size) in array.shape().iter().enumerate() {
        writer.text(&axis.to_string());
        writer.unsigned(*size as u64);
    }
    let size = array.dtype().size();
    let chunks = bytes.chunks(max_chunk.checked_div(size).unwrap_or(0).max(1).saturating_mul(size));
    writer.text("chunks");
    writer.map(chunks.len());
    for (place, chunk) in chunks.enumerate() {
        writer.text(&place.to_string());
        ndarray(writer, &[chunk.len().checked_div(size).unwrap_or(0)], dtype, chunk);
    }
}

/// An array's extension: a list of its shape, its element type and its bytes.
pub(super) fn ndarray(writer: &mut Writer, shape: &[usize], dtype: &str, bytes: &[u8]) {
    let mut fields = Writer::default();
    fields.list(3);
    fields.list(shape.len());
    for size in shape {
        fields.unsigned(*size as u64);
    }
    fields.text(dtype);
    fields.bytes(bytes.len());
    let fields = fields.into_bytes();
    writer.extension(NDARRAY, fields.len().saturating_add(bytes.len()));
    writer.raw(&fields);
    writer.raw(bytes);
}
