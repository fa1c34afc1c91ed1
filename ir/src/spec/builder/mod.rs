//! A spec built in Rust: the same names and options as in a file, and the same checks.
//!
//! A builder keeps what it is told as a tree, writes it as TOML ([`text`]) and reads the tree as that of a file is read.
//! So there is one set of defaults, checks and diagnostics; a diagnostic shows the text, and names the call in the user's
//! program that stands behind the marked place.

mod layers;
mod literal;
mod text;

use std::fmt::Display;
use std::panic::Location;

pub use layers::*;
pub use literal::{Normalization, Shape, Size};

use super::{IrrepNormalization, ModelSpec, Source, SpecError};
use crate::limits::Limits;
use crate::ty::DType;
use literal::Literal;
use text::Writer;

/// A key, its value, and the call that gave it.
#[derive(Clone, Debug)]
struct Setting {
    key: &'static str,
    value: Literal,
    call: &'static Location<'static>,
}

/// A table of a spec in the making.
#[derive(Clone, Debug)]
struct Table {
    settings: Vec<Setting>,
    /// The call that began it.
    call: &'static Location<'static>,
}

impl Table {
    #[track_caller]
    fn new() -> Self {
        Table { settings: Vec::new(), call: Location::caller() }
    }

    /// Sets a key; the last value counts.
    #[track_caller]
    fn set(&mut self, key: &'static str, value: impl Into<Literal>) {
        let setting = Setting { key, value: value.into(), call: Location::caller() };
        match self.settings.iter_mut().find(|other| other.key == key) {
            Some(other) => *other = setting,
            None => self.settings.push(setting),
        }
    }
}

/// A model spec in the making: inputs, then layers in the order in which they run.
///
/// ```
/// use schur_ir::spec::{SpecBuilder, filter, gate, linear, mlp};
///
/// let spec = SpecBuilder::new("block")
///     .input("x", ["N"], "64x0e + 32x1o + 16x2e")
///     .layer("mix", linear("x", "112x0e + 32x1o + 16x2e"))
///     .layer("hidden", gate("mix"))
///     .layer("scalars", filter("hidden").keep(["0e"]))
///     .layer("energy", mlp("scalars", [64, 1]).output_activation(false))
///     .outputs(["energy", "hidden"]);
/// let (spec, source) = spec.finish()?;
/// assert_eq!(spec.layers.len(), 4);
/// assert!(source.text().contains("irreps_out = \"112x0e + 32x1o + 16x2e\""));
/// # Ok::<(), schur_ir::spec::SpecError>(())
/// ```
#[derive(Clone, Debug)]
pub struct SpecBuilder {
    name: String,
    top: Table,
    config: Table,
    inputs: Vec<(String, Table)>,
    layers: Vec<Table>,
}

impl SpecBuilder {
    /// A model of this name, with nothing in it.
    #[track_caller]
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        let mut top = Table::new();
        top.set("name", name.clone());
        SpecBuilder { name, top, config: Table::new(), inputs: Vec::new(), layers: Vec::new() }
    }

    /// The element type of features and parameters. Default [`DType::F32`].
    #[track_caller]
    pub fn dtype(mut self, dtype: DType) -> Self {
        self.top.set("dtype", dtype);
        self
    }

    /// The default of `path_normalization` in all layers, also in those that were added before. Default `element`.
    #[track_caller]
    pub fn path_normalization(mut self, normalization: impl Into<Normalization>) -> Self {
        self.config.set("path_normalization", normalization.into());
        self
    }

    /// The default of `gradient_normalization` in all layers, also in those that were added before. Default `path`.
    #[track_caller]
    pub fn gradient_normalization(mut self, normalization: impl Into<Normalization>) -> Self {
        self.config.set("gradient_normalization", normalization.into());
        self
    }

    /// How batch norms measure an irrep, also those that were added before. Default `component`.
    #[track_caller]
    pub fn irrep_normalization(mut self, normalization: IrrepNormalization) -> Self {
        self.config.set("irrep_normalization", normalization);
        self
    }

    /// Adds an input of features: floats whose last axis has these irreps.
    #[track_caller]
    pub fn input(mut self, name: impl Into<String>, shape: impl Into<Shape>, irreps: impl Display) -> Self {
        let mut table = Table::new();
        table.set("shape", shape.into());
        table.set("irreps", irreps.to_string());
        self.inputs.push((name.into(), table));
        self
    }

    /// Adds an input of `i32` indices, without an axis of irreps.
    #[track_caller]
    pub fn index(self, name: impl Into<String>, shape: impl Into<Shape>) -> Self {
        self.plain_input(name.into(), shape.into(), DType::I32)
    }

    /// Adds an input of `bool`, without an axis of irreps.
    #[track_caller]
    pub fn mask(self, name: impl Into<String>, shape: impl Into<Shape>) -> Self {
        self.plain_input(name.into(), shape.into(), DType::Bool)
    }

    #[track_caller]
    fn plain_input(mut self, name: String, shape: Shape, dtype: DType) -> Self {
        let mut table = Table::new();
        table.set("shape", shape);
        table.set("dtype", dtype);
        self.inputs.push((name, table));
        self
    }

    /// Adds a layer, whose name is that of its value and of the scope of its parameters.
    #[track_caller]
    pub fn layer(mut self, name: impl Into<String>, layer: impl Into<LayerBuilder>) -> Self {
        let mut table = Table::new();
        table.set("name", name.into());
        table.settings.append(&mut layer.into().0.settings);
        self.layers.push(table);
        self
    }

    /// The names of the inputs or layers that are returned.
    #[track_caller]
    pub fn outputs(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        self.top.set("outputs", names);
        self
    }

    /// Checks all that can be checked without types. The error holds every problem that was found.
    ///
    /// The source is the spec as TOML: what a file would say, and what later diagnostics point into.
    pub fn finish(self) -> Result<(ModelSpec, Source), SpecError> {
        self.finish_within(&Limits::default())
    }

    /// The same with other limits, such as [`Limits::NONE`].
    pub fn finish_within(self, limits: &Limits) -> Result<(ModelSpec, Source), SpecError> {
        let mut writer = Writer::default();
        let root = writer.model(&self);
        let (source, problems) = writer.finish(&self.name);
        if problems.is_empty() {
            let spec = ModelSpec::read(&source, &root, limits)?;
            Ok((spec, source))
        } else {
            Err(SpecError::new(&source, problems))
        }
    }
}
