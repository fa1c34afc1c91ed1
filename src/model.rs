//! A model: a spec that was read and checked, from which graphs and programs are made.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use schur_compiler::autodiff::{AutodiffError, VjpOptions, vjp};
use schur_compiler::compile::{CompileOptions, Stage, compile_by_size};
use schur_ir::build::{Mode, build_within};
use schur_ir::graph::{Graph, Op, Param};
use schur_ir::limits::{LimitError, Limits};
use schur_ir::spec::{ModelSpec, Source, Spanned, SpecBuilder};
use schur_ir::ty::Type;
use schur_runtime::memory;
use schur_runtime::store::ParamStore;

use crate::compiled::{CompiledModel, Timings};
use crate::error::Error;

/// What a call computes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Outputs and statistics.
    Forward,
    /// These, and gradients: the vector-Jacobian product of the float outputs, for an input `cotangent/<name>` an output, with respect to
    /// every float input and every `params/…`.
    Joint,
    /// The same with respect to these float inputs and parameters alone, in this order; what others would need is not computed.
    Gradients(Vec<Arc<str>>),
}

impl Pass {
    /// True where cotangents are taken and gradients returned.
    pub fn has_gradients(&self) -> bool {
        *self != Pass::Forward
    }
}

/// A spec that was read and checked.
#[derive(Clone, Debug)]
pub struct Model {
    source: Source,
    spec: ModelSpec,
    limits: Limits,
    reading: Duration,
}

impl Model {
    /// Reads a spec from a `.toml` or `.json` file.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        Model::from_file_within(path, &Limits::default())
    }

    /// The same with other limits on what is accepted.
    pub fn from_file_within(path: impl AsRef<Path>, limits: &Limits) -> Result<Self, Error> {
        let path = path.as_ref();
        let text = read_text(path, limits.text)?;
        Model::parse_within(&Source::new(path.to_string_lossy(), text)?, limits)
    }

    /// Reads a spec.
    pub fn parse(source: &Source) -> Result<Self, Error> {
        Model::parse_within(source, &Limits::default())
    }

    /// The same with other limits on what is accepted. What is compiled has limits of its own, in [`CompileOptions`].
    pub fn parse_within(source: &Source, limits: &Limits) -> Result<Self, Error> {
        let clock = Instant::now();
        let spec = ModelSpec::parse_within(source, limits)?;
        Ok(Model { source: source.clone(), spec, limits: limits.clone(), reading: clock.elapsed() })
    }

    /// The model of a spec that is built in Rust.
    pub fn new(spec: SpecBuilder) -> Result<Self, Error> {
        Model::new_within(spec, &Limits::default())
    }

    /// The same with other limits on what is accepted. What is compiled has limits of its own, in [`CompileOptions`].
    pub fn new_within(spec: SpecBuilder, limits: &Limits) -> Result<Self, Error> {
        let clock = Instant::now();
        let (spec, source) = spec.finish_within(limits)?;
        Ok(Model { source, spec, limits: limits.clone(), reading: clock.elapsed() })
    }

    /// The text of the spec: a file's, or what a file would say.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// What the spec says, defaults filled in.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// The graph of one call: [`Pass::Forward`]. Its errors point into the spec.
    pub fn graph(&self, mode: Mode) -> Result<Graph, Error> {
        self.build(&self.spec, mode)
    }

    /// The graph of one call that returns all gradients too: [`Pass::Joint`].
    pub fn joint(&self, mode: Mode) -> Result<Graph, Error> {
        self.graph_of(&Pass::Joint, mode)
    }

    /// The graph of one call.
    pub fn graph_of(&self, pass: &Pass, mode: Mode) -> Result<Graph, Error> {
        differentiated(self.graph(mode)?, pass)
    }

    /// The type of every input and of every layer's value, by name.
    pub fn types(&self, mode: Mode) -> Result<IndexMap<String, Type>, Error> {
        let inputs = self.spec.inputs.iter().map(|(name, input)| Spanned::new(name.clone(), input.span.clone()));
        let layers = self.spec.layers.iter().map(|layer| layer.name.clone());
        let outputs = inputs.chain(layers).collect();
        let graph = self.build(&ModelSpec { outputs, ..self.spec.clone() }, mode)?;
        let of = |name: &String| {
            let output = graph.outputs.iter().find(|output| *output.name == **name);
            output.map(|output| (name.clone(), graph.ty(output.value).clone()))
        };
        let layers = self.spec.layers.iter().map(|layer| &layer.name.value);
        Ok(self.spec.inputs.keys().chain(layers).filter_map(of).collect())
    }

    /// The parameters and statistics, in the order of the layers; with the layer that each belongs to.
    pub fn params(&self) -> Result<Vec<(String, Param)>, Error> {
        let nodes = self.graph(Mode::Infer)?.nodes;
        let params = nodes.into_iter().filter_map(|node| match node.op {
            Op::Param(param) => Some((node.layer.to_string(), param)),
            Op::Input(_) | Op::Contract(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => None,
        });
        Ok(params.collect())
    }

    /// Parameters as they begin: the same bits for a seed on every machine.
    pub fn init(&self, seed: u64) -> Result<ParamStore, Error> {
        let params = self.params()?;
        let elements = params.iter().flat_map(|(_, param)| param.shape.iter().copied().reduce(usize::saturating_mul));
        let bytes = elements.fold(0, usize::saturating_add).saturating_mul(self.spec.dtype.size());
        LimitError::check("memory", self.limits.memory.min(memory::total()), bytes, || {
            "the bytes of all parameters".into()
        })?;
        Ok(ParamStore::init(params.iter().map(|(_, param)| param), self.spec.dtype, seed)?)
    }

    /// Compiles for this machine.
    pub fn compile(&self, mode: Mode, options: &CompileOptions) -> Result<CompiledModel, Error> {
        self.compile_observed(&Pass::Forward, mode, options, &mut |_| {})
    }

    /// Compiles the joint graph for this machine: calls take cotangents as well, and return the gradients of all float inputs and all
    /// `params/…`.
    pub fn compile_joint(&self, mode: Mode, options: &CompileOptions) -> Result<CompiledModel, Error> {
        self.compile_observed(&Pass::Joint, mode, options, &mut |_| {})
    }

    /// The same for the gradients of these inputs and parameters alone, which cost less: forces are those of positions, and need no
    /// gradient of a weight.
    ///
    /// # Errors
    /// Also where the model has no input or parameter of a name, where one is an index or a mask, or given twice.
    pub fn compile_gradients(
        &self,
        wrt: impl IntoIterator<Item = impl Into<Arc<str>>>,
        mode: Mode,
        options: &CompileOptions,
    ) -> Result<CompiledModel, Error> {
        let wrt = wrt.into_iter().map(Into::into).collect();
        self.compile_observed(&Pass::Gradients(wrt), mode, options, &mut |_| {})
    }

    /// Compiles for this machine, and shows what every stage made.
    pub fn compile_observed(
        &self,
        pass: &Pass,
        mode: Mode,
        options: &CompileOptions,
        observe: &mut dyn FnMut(Stage<'_>),
    ) -> Result<CompiledModel, Error> {
        let clock = Instant::now();
        let mut graph = self.graph(mode)?;
        let mut timings = Timings(vec![("spec", self.reading), ("graph", clock.elapsed())]);
        if pass.has_gradients() {
            let clock = Instant::now();
            graph = differentiated(graph, pass)?;
            timings.0.push(("joint", clock.elapsed()));
        }
        let compiled = compile_by_size(&graph, options, &mut |stage, time| {
            timings.0.push((stage.name(), time));
            observe(stage);
        })?;
        CompiledModel::new(compiled, options.clone(), timings)
    }

    /// The graph of a spec that has this one's places.
    pub(crate) fn build(&self, spec: &ModelSpec, mode: Mode) -> Result<Graph, Error> {
        Ok(build_within(spec, mode, &self.limits).map_err(|error| error.located(&self.source))?)
    }
}

/// What a pass computes, of the graph of a forward pass.
fn differentiated(graph: Graph, pass: &Pass) -> Result<Graph, Error> {
    let mut options = VjpOptions::new(&graph);
    match pass {
        Pass::Forward => return Ok(graph),
        Pass::Joint => {}
        Pass::Gradients(wrt) => {
            options.wrt.clone_from(wrt);
        }
    }
    let joint = vjp(&graph, &options);
    if let Err(AutodiffError::NoLeaf(name)) = &joint {
        let leaves = graph.nodes.iter().filter_map(|node| node.op.leaf_name());
        return Err(Error::no_leaf(name, leaves.map(|leaf| &**leaf)));
    }
    Ok(joint?)
}

/// The text of a file; of one that is too long, no more is read than tells so.
fn read_text(path: &Path, limit: usize) -> Result<String, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    file.take((limit as u64).saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > limit {
        let found = usize::try_from(size).unwrap_or(usize::MAX).max(bytes.len());
        LimitError::check("text", limit, found, || format!("the bytes of {}", path.display()))?;
    }
    String::from_utf8(bytes).map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidData, error.utf8_error())))
}
