//! From the tree to a [`ModelSpec`]: the top of the file, its configuration and its inputs.

use indexmap::IndexMap;

use super::check;
use super::layers::read_layer;
use super::reader::{Fields, FromNode, Item, Reader};
use super::tree::{self, Node, Value};
use super::values::{Balance, Title, name_fault};
use super::{Config, Format, InputKind, InputSpec, Layer, ModelSpec, Problem, Source, Spanned, SpecError};
use crate::irreps::Irreps;
use crate::limits::{LimitError, Limits};
use crate::ty::DType;

impl ModelSpec {
    /// Reads a spec and checks all that can be checked without types. The error holds every problem that was found, but
    /// for the hundreds that follow from one.
    pub fn parse(source: &Source) -> Result<ModelSpec, SpecError> {
        ModelSpec::parse_within(source, &Limits::default())
    }

    /// The same with other limits.
    pub fn parse_within(source: &Source, limits: &Limits) -> Result<ModelSpec, SpecError> {
        LimitError::check("text", limits.text, source.text().len(), || "the bytes of the spec".into())
            .map_err(|error| SpecError::new(source, vec![Problem::new(error.to_string(), "", 0..0)]))?;
        let root = tree::parse(source).map_err(|problems| SpecError::new(source, problems))?;
        ModelSpec::read(source, &root, limits)
    }

    /// Reads a spec from the tree of its text.
    pub(super) fn read(source: &Source, root: &Node, limits: &Limits) -> Result<ModelSpec, SpecError> {
        let mut reader = Reader { source, limits, problems: Vec::new() };
        let spec = read_model(&mut reader, root);
        let mut problems = reader.problems;
        if let Some(spec) = spec.as_ref().filter(|_| declares_names(root)) {
            problems.extend(check::names(spec));
        }
        match spec {
            Some(spec) if problems.is_empty() => Ok(spec),
            Some(_) | None => {
                problems.sort_by_key(|problem| problem.span.start);
                Err(SpecError::new(source, problems))
            }
        }
    }
}

/// Whether the inputs and the layers are there, so that the names in use can be told from others.
fn declares_names(root: &Node) -> bool {
    let Value::Table(table) = &root.value else {
        return false;
    };
    let value = |key| table.get(key).map(|entry| &entry.node.value);
    matches!(value("inputs"), Some(Value::Table(_))) && matches!(value("layers"), Some(Value::Array(_)))
}

fn read_model(reader: &mut Reader<'_>, root: &Node) -> Option<ModelSpec> {
    let (item, source) = (Item { key: "spec", node: root }, reader.source);
    let mut fields = Fields::open(reader, item, "the spec", root.span.clone())?;
    if let Format::Json = source.format() {
        // The conformance cases' own.
        fields.item("train");
        fields.item("expect");
    }
    let Title(name) = fields.required("name");
    let FloatType(dtype) = fields.or("dtype", FloatType(DType::F32));
    let Outputs(outputs) = fields.required("outputs");
    let config: Config = fields.or("config", Config::default());
    let inputs = fields.required_with("inputs", |reader, item| read_inputs(reader, item, dtype));
    let layers = fields.required_with("layers", |reader, item| read_layers(reader, item, &config));
    fields.finish();
    Some(ModelSpec { name, dtype, outputs, config, inputs, layers })
}

/// The element type of a model.
struct FloatType(DType);

impl FromNode for FloatType {
    fn from_node(reader: &mut Reader<'_>, item: Item<'_>) -> Option<Self> {
        let words = [DType::F32, DType::F64].map(|dtype| (dtype.name(), dtype));
        reader.word(item, "an element type of a model", &words).map(FloatType)
    }
}

/// The names of what a model returns.
#[derive(Default)]
struct Outputs(Vec<Spanned<String>>);

impl FromNode for Outputs {
    fn from_node(reader: &mut Reader<'_>, item: Item<'_>) -> Option<Self> {
        let outputs = Vec::from_node(reader, item)?;
        if outputs.is_empty() {
            return reader.reject(item, "a model needs at least one output", "no output");
        }
        Some(Outputs(outputs))
    }
}

impl FromNode for Config {
    fn from_node(reader: &mut Reader<'_>, item: Item<'_>) -> Option<Self> {
        let mut fields = Fields::open(reader, item, "`config`", item.node.span.clone())?;
        let default = Config::default();
        let config = Config {
            path_normalization: fields.or("path_normalization", Balance(default.path_normalization)).0,
            gradient_normalization: fields.or("gradient_normalization", Balance(default.gradient_normalization)).0,
            irrep_normalization: fields.or("irrep_normalization", default.irrep_normalization),
        };
        fields.finish();
        Some(config)
    }
}

fn read_inputs(reader: &mut Reader<'_>, item: Item<'_>, dtype: DType) -> Option<IndexMap<String, InputSpec>> {
    let Value::Table(table) = &item.node.value else {
        return reader.expected(item, "a table of inputs");
    };
    reader.within(item, "inputs", reader.limits.inputs, table.len())?;
    let mut inputs = IndexMap::new();
    for (name, entry) in table {
        if let Some(fault) = name_fault(name) {
            let message = format!("the input `{name}`: {fault}");
            reader.problems.push(Problem::new(message, "not a name", entry.key_span.clone()));
        }
        let what = format!("the input `{name}`");
        let item = Item { key: name, node: &entry.node };
        let input = Fields::open(reader, item, &what, entry.key_span.clone()).map(|fields| read_input(fields, dtype));
        let unreadable = || InputSpec { shape: Vec::new(), kind: InputKind::Mask, span: entry.key_span.clone() };
        inputs.insert(name.clone(), input.unwrap_or_else(unreadable));
    }
    Some(inputs)
}

fn read_input(mut fields: Fields<'_, '_, '_>, model: DType) -> InputSpec {
    let before = fields.reader.problems.len();
    let shape: Vec<_> = fields.required("shape");
    if let Some(entry) = fields.table.get("shape") {
        let (axes, item) = (fields.reader.limits.axes, Item { key: "shape", node: &entry.node });
        fields.reader.within(item, "axes", axes, shape.len());
    }
    let irreps: Option<Irreps> = fields.optional("irreps");
    let dtype: Option<Spanned<DType>> = fields.optional("dtype");
    let kind = match (irreps, dtype) {
        (Some(irreps), None) => InputKind::Features(irreps),
        (Some(irreps), Some(dtype)) => {
            if *dtype != model {
                let message =
                    format!("an input with irreps has the model's element type, {model}, not {}", dtype.value);
                let help = "leave `dtype` out, or leave `irreps` out of an index or a mask";
                let problem = Problem::new(message, format!("not {model}"), dtype.span).with_help(help);
                fields.reader.problems.push(problem);
            }
            InputKind::Features(irreps)
        }
        (None, Some(dtype)) => match *dtype {
            DType::I32 => InputKind::Index,
            DType::Bool => InputKind::Mask,
            DType::F32 | DType::F64 => {
                let problem = Problem::new("an input of floats needs `irreps`", "floats", dtype.span);
                fields.reader.problems.push(problem.with_help("the irreps of the last axis, as in `8x0e + 4x1o`"));
                InputKind::Features(Irreps::default())
            }
        },
        (None, None) => {
            if fields.reader.problems.len() == before {
                let message = format!("{} needs `irreps` or `dtype`", fields.what());
                let problem = Problem::new(message, "features, index or mask?", fields.span());
                let help = "features have `irreps`; an index has the dtype `i32`, a mask `bool`";
                fields.reader.problems.push(problem.with_help(help));
            }
            InputKind::Mask
        }
    };
    let span = fields.span();
    fields.finish();
    InputSpec { shape, kind, span }
}

fn read_layers(reader: &mut Reader<'_>, item: Item<'_>, config: &Config) -> Option<Vec<Layer>> {
    let Value::Array(nodes) = &item.node.value else {
        return reader.expected(item, "a list of layers, in TOML each under `[[layers]]`");
    };
    reader.within(item, "layers", reader.limits.layers, nodes.len())?;
    Some(nodes.iter().filter_map(|node| read_layer(reader, Item { node, ..item }, config)).collect())
}
