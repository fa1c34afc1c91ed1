//! How single values of a spec are read.

use std::num::NonZeroUsize;
use std::str::FromStr;

use super::error::MAX_PROBLEMS;
use super::reader::{Fields, FromNode, Item, Reader};
use super::tree::Value;
use super::{
    Activation, Biases, Distribution, Initializer, IrrepNormalization, OutputActivation, Problem, Reduce, Spanned,
};
use crate::dim::Dim;
use crate::irreps::{Irrep, Irreps, ParseIrrepsError};
use crate::ty::DType;

impl<T: FromNode> FromNode for Spanned<T> {
    fn from_node(reader: &mut Reader<'_>, item: Item<'_>) -> Option<Self> {
        Some(Spanned::new(T::from_node(reader, item)?, item.node.span.clone()))
    }
}

/// A list; every entry that cannot be read is reported, up to [`MAX_PROBLEMS`].
impl<T: FromNode> FromNode for Vec<T> {
    fn from_node(reader: &mut Reader<'_>, item: Item<'_>) -> Option<Self> {
        let Value::Array(nodes) = &item.node.value else {
            return reader.expected(item, "a list");
        };
        let (mut values, mut faults) = (Vec::new(), 0usize);
        for node in nodes {
            match T::from_node(reader, Item { node, ..item }) {
                Some(value) => values.push(value),
                None if faults == MAX_PROBLEMS => break,
                None => faults = faults.saturating_add(1),
            }
        }
        (faults == 0).then_some(values)
    }
}

impl FromNode for bool {
    fn from_node(reader: &mut Reader<'_>, item: Item<'_>) -> Option<Self> {
        let Value::Bool(flag) = &item.node.value else {
            return reader.expected(item, "true or false");
        };
        Some(*flag)
    }
}

impl FromNode for String {
    fn from_node(reader: &mut Reader<'_>, item: Item<'_>) -> Option<Self> {
        let Value::String(text) = &item.node.value else {
            return reader.expected(item, "a string");
        };
        Some(text.clone())
    }
}

/// A finite number, integer or float.
impl FromNode for f64 {
    fn from_node(reader: &mut Reader<'_>, item: Item<'_>) -> Option<Self> {
        let Some(number) = item.node.value.number() else {
            return reader.expected(item, "a number");
        };
        if !number.is_finite() {
            return reader.reject(item, "the number must be finite", "not finite");
        }
        Some(number)
    }
}

/// A size or an index: at most [`Irreps::MAX_DIM`].
impl FromNode for usize {
    fn from_node(reader: &mut Reader<'_>, item: Item<'_>) -> Option<Self> {
        let Value::Int(integer) = &item.node.value else {
            return reader.expected(item, "an integer");
        };
        match usize::try_from(*integer) {
            Ok(size) if size <= Irreps::MAX_DIM => Some(size),
            Ok(_) => reader.reject(item, &format!("{integer} is above {}", Irreps::MAX_DIM), "too large"),
            Err(_) => reader.reject(item, &format!("{integer} is negative"), "must not be negative"),
        }
    }
}

/// A degree.
impl FromNode for u32 {
    fn from_node(reader: &mut Reader<'_>, item: Item<'_>) -> Option<Self> {
        u32::try_from(usize::from_node(reader, item)?).ok()
    }
}

impl FromNode for NonZeroUsize {
    fn from_node(reader: &mut Reader<'_>, item: Item<'_>) -> Option<Self> {
        let size = usize::from_node(reader, item)?;
        NonZeroUsize::new(size).or_else(|| reader.reject(item, "must be at least 1", "at least 1"))
    }
}

/// A pair of indices.
impl FromNode for [usize; 2] {
    fn from_node(reader: &mut Reader<'_>, item: Item<'_>) -> Option<Self> {
        if !matches!(&item.node.value, Value::Array(nodes) if nodes.len() == 2) {
            return reader.expected(item, "a pair `[i_in, i_out]` of chunk numbers");
        }
        Vec::from_node(reader, item)?.try_into().ok()
    }
}

/// A leading size: a symbol or an integer.
impl FromNode for Dim {
    fn from_node(reader: &mut Reader<'_>, item: Item<'_>) -> Option<Self> {
        if let Value::Int(_) = &item.node.value {
            return usize::from_node(reader, item).map(|size| Dim::from(size as i64));
        }
        let Value::String(text) = &item.node.value else {
            return reader.expected(item, "a symbol or a non-negative integer");
        };
        if !is_symbol(text) {
            let reason = format!("`{text}` is not a symbol: letters, digits and `_`, not beginning with a digit");
            return reader.reject(item, &reason, "not a symbol");
        }
        Some(Dim::symbol(text.as_str()))
    }
}

fn is_symbol(text: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    text.starts_with(letter) && text.chars().all(|c| letter(c) || c.is_ascii_digit())
}

/// Parses the text of a string; a problem points at the very characters where the string has no escapes.
fn parse_string<T>(reader: &mut Reader<'_>, item: Item<'_>, expected: &str) -> Option<T>
where
    T: FromStr<Err = ParseIrrepsError>,
{
    let Value::String(text) = &item.node.value else {
        return reader.expected(item, expected);
    };
    let error = match text.parse() {
        Ok(value) => return Some(value),
        Err(error) => error,
    };
    let span = &item.node.span;
    let raw = reader.source.text().get(span.clone()).unwrap_or_default();
    let span = match raw.find(text.as_str()) {
        Some(at) => {
            let start = span.start.saturating_add(at);
            start.saturating_add(error.span.start)..start.saturating_add(error.span.end)
        }
        None => span.clone(),
    };
    let message = format!("`{}`: {}", item.key, error.reason);
    reader.problems.push(Problem::new(message, "here", span).with_help("irreps look like `8x0e + 4x1o + 2e`"));
    None
}

impl FromNode for Irreps {
    fn from_node(reader: &mut Reader<'_>, item: Item<'_>) -> Option<Self> {
        let irreps: Irreps = parse_string(reader, item, "irreps as a string")?;
        reader.within(item, "chunks", reader.limits.chunks, irreps.len())?;
        reader.within(item, "width", reader.limits.width, irreps.dim())?;
        let multiplicity = irreps.iter().map(|c| c.mul).max().unwrap_or(0);
        reader.within(item, "multiplicity", reader.limits.multiplicity, multiplicity)?;
        let degree = irreps.iter().map(|c| c.ir.l).max().unwrap_or(0);
        reader.within(item, "degree", reader.limits.degree as usize, degree as usize)?;
        Some(irreps)
    }
}

impl FromNode for Irrep {
    fn from_node(reader: &mut Reader<'_>, item: Item<'_>) -> Option<Self> {
        parse_string(reader, item, "an irrep as a string")
    }
}

/// Irreps without multiplicity: a list of them, or the irreps of a sum, as e3nn_jax takes both.
pub(super) struct IrrepSet(pub(super) Vec<Irrep>);

impl FromNode for IrrepSet {
    fn from_node(reader: &mut Reader<'_>, item: Item<'_>) -> Option<Self> {
        if let Value::String(_) = &item.node.value {
            let sum = Irreps::from_node(reader, item)?;
            return Some(IrrepSet(sum.iter().map(|c| c.ir).collect()));
        }
        Vec::from_node(reader, item).map(IrrepSet)
    }
}

/// A name of an input or a layer: the scope of parameters and the key of an array in a file. One that will not do is
/// reported, and kept for those who refer to it.
#[derive(Clone, Default)]
pub(super) struct Name(pub(super) Spanned<String>);

impl FromNode for Name {
    fn from_node(reader: &mut Reader<'_>, item: Item<'_>) -> Option<Self> {
        let name = Spanned::<String>::from_node(reader, item)?;
        if let Some(fault) = name_fault(&name) {
            reader.reject::<Name>(item, fault, "not a name");
        }
        Some(Name(name))
    }
}

/// The name of a model: any text that is not too long.
#[derive(Default)]
pub(super) struct Title(pub(super) String);

impl FromNode for Title {
    fn from_node(reader: &mut Reader<'_>, item: Item<'_>) -> Option<Self> {
        let title = String::from_node(reader, item)?;
        if title.len() > MAX_NAME {
            return reader.reject(item, TOO_LONG, "too long");
        }
        Some(Title(title))
    }
}

/// The longest name, in bytes.
const MAX_NAME: usize = 1000;

const TOO_LONG: &str = "a name must not be longer than 1,000 bytes";

/// Why a text cannot name an input or a layer.
pub(super) fn name_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("a name must not be empty")
    } else if name.len() > MAX_NAME {
        Some(TOO_LONG)
    } else if name.contains(char::is_control) {
        Some("a name must not contain control characters")
    } else if name.contains('/') {
        Some("a name must not contain `/`, which separates scopes in the names of parameters")
    } else if name == "__metadata__" {
        Some("the name `__metadata__` is reserved by safetensors")
    } else {
        None
    }
}

/// The element type of a model or of an input.
impl FromNode for DType {
    fn from_node(reader: &mut Reader<'_>, item: Item<'_>) -> Option<Self> {
        let words = [DType::F32, DType::F64, DType::I32, DType::Bool].map(|dtype| (dtype.name(), dtype));
        reader.word(item, "an element type", &words)
    }
}

/// The word for a normalisation of 0.
pub(super) const ELEMENT: &str = "element";

/// The word for a normalisation of 1.
pub(super) const PATH: &str = "path";

/// A normalisation between `element`, 0, and `path`, 1.
pub(super) struct Balance(pub(super) f64);

impl FromNode for Balance {
    fn from_node(reader: &mut Reader<'_>, item: Item<'_>) -> Option<Self> {
        if let Value::String(_) = &item.node.value {
            reader.word(item, "a normalization", &[(ELEMENT, 0.0), (PATH, 1.0)]).map(Balance)
        } else if item.node.value.number().is_some() {
            f64::from_node(reader, item).map(Balance)
        } else {
            reader.expected(item, "`element`, `path` or a number")
        }
    }
}

impl FromNode for IrrepNormalization {
    fn from_node(reader: &mut Reader<'_>, item: Item<'_>) -> Option<Self> {
        let words = IrrepNormalization::ALL.map(|normalization| (normalization.name(), normalization));
        reader.word(item, "a normalization of irreps", &words)
    }
}

impl FromNode for Reduce {
    fn from_node(reader: &mut Reader<'_>, item: Item<'_>) -> Option<Self> {
        reader.word(item, "a reduction", &Reduce::ALL.map(|reduce| (reduce.name(), reduce)))
    }
}

impl FromNode for Activation {
    fn from_node(reader: &mut Reader<'_>, item: Item<'_>) -> Option<Self> {
        reader.word(item, "an activation", &Activation::ALL.map(|act| (act.name(), act)))
    }
}

/// The word for no activation, which TOML needs as it has no null.
pub(super) const NONE: &str = "none";

/// An activation, or null or `none` for none.
impl FromNode for Option<Activation> {
    fn from_node(reader: &mut Reader<'_>, item: Item<'_>) -> Option<Self> {
        if matches!(&item.node.value, Value::Null) || matches!(&item.node.value, Value::String(text) if text == NONE) {
            return Some(None);
        }
        Activation::from_node(reader, item).map(Some)
    }
}

impl FromNode for OutputActivation {
    fn from_node(reader: &mut Reader<'_>, item: Item<'_>) -> Option<Self> {
        if let Value::Bool(same) = &item.node.value {
            return Some(if *same { OutputActivation::SameAsAct } else { OutputActivation::None });
        }
        let Value::String(text) = &item.node.value else {
            return reader.expected(item, "true (as `act`), false (none) or an activation");
        };
        if text == NONE {
            return Some(OutputActivation::None);
        }
        Activation::from_node(reader, item).map(OutputActivation::Given)
    }
}

impl FromNode for Biases {
    fn from_node(reader: &mut Reader<'_>, item: Item<'_>) -> Option<Self> {
        if let Value::Bool(flag) = &item.node.value {
            Some(Biases::Flag(*flag))
        } else if let Value::Array(_) = &item.node.value {
            Vec::from_node(reader, item).map(Biases::PerChunk)
        } else {
            reader.expected(item, "true, false or a list of them")
        }
    }
}

impl FromNode for Distribution {
    fn from_node(reader: &mut Reader<'_>, item: Item<'_>) -> Option<Self> {
        reader.word(item, "a distribution", &Distribution::ALL.map(|family| (family.name(), family)))
    }
}

impl FromNode for Initializer {
    fn from_node(reader: &mut Reader<'_>, item: Item<'_>) -> Option<Self> {
        let mut fields = Fields::open(reader, item, "`init`", item.node.span.clone())?;
        let default = Initializer::default();
        let init = Initializer {
            distribution: fields.required("distribution"),
            scale: fields.or("scale", default.scale),
            mean: fields.or("mean", default.mean),
        };
        fields.finish();
        if !(init.mean.abs() + init.scale.abs()).is_finite() {
            return reader.reject(item, "the sum of `mean` and `scale` must be finite", "not finite");
        }
        Some(init)
    }
}
