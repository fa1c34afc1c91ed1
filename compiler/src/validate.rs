//! Validation of a simplification: both graphs are run on random arrays, in f64, and must agree up to rounding.
//!
//! The loop interpreter runs them, unfused. Sizes are small, and the arrays are such that every requirement of the graph
//! holds. The same seed gives the same arrays everywhere.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;
use schur_ir::dim::{Bindings, Dim, DimError};
use schur_ir::graph::{Graph, Node, Op, Output};
use schur_ir::memory;
use schur_ir::program::BufferId;
use schur_ir::ty::{DType, Type};

use crate::loops::{InterpretError, LoopOptions, Loops, LoopsError, interpret, interpreted_bytes, lower};

/// How far elements may be apart, relative to the largest of their array, or to a hundredth of the largest of all where
/// that is more: rounding of sums in another order. An array may be nothing but rounding, and so may all: what they are
/// computed from is about 1, and 1 counts among the largest.
const TOLERANCE: f64 = 1e-9;

/// How far they may be apart in any case, relative to the largest number that is computed on the way: where terms cancel in
/// all outputs, as do a value and its own mean, what is left is rounding of the terms.
const ROUNDING: f64 = 1e-14;

/// Why a simplification is not valid, or could not be validated.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ValidationError {
    /// An output differs.
    #[error("bug: simplification changed `{name}`: element {element} is {after}, not {before} (seed {seed})")]
    Differs {
        /// The output.
        name: Arc<str>,
        /// The element, counted over the whole array.
        element: usize,
        /// What the graph computes.
        before: f64,
        /// What the simplified one does.
        after: f64,
        /// The arrays.
        seed: u64,
    },
    /// The graphs cannot be compared: another one of their leaves, outputs or requirements.
    #[error("bug: the graphs have not the same {0}")]
    Interface(&'static str),
    /// No array holds what the graph requires of an index: it is to be below 0.
    #[error("no index is below 0, as `{0}` is required to be")]
    NoIndex(Arc<str>),
    /// The loops cannot say it.
    #[error(transparent)]
    Loops(#[from] LoopsError),
    /// Sizes that do not fit.
    #[error(transparent)]
    Sizes(#[from] DimError),
    /// The loops cannot be run.
    #[error(transparent)]
    Interpret(#[from] InterpretError),
}

impl ValidationError {
    /// True where the compiler is at fault; false where no arrays can be compared.
    pub fn is_bug(&self) -> bool {
        match self {
            ValidationError::Differs { .. } | ValidationError::Interface(_) | ValidationError::Loops(_) => true,
            ValidationError::Sizes(_) | ValidationError::Interpret(_) | ValidationError::NoIndex(_) => false,
        }
    }
}

/// What was compared.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Validation {
    /// How many elements.
    pub elements: usize,
    /// The largest difference, relative to the largest element of its array, or to a hundredth of the largest of all.
    pub error: f64,
}

/// Compares two graphs with the same inputs, parameters and outputs on the random arrays of a seed.
pub fn validate(before: &Graph, after: &Graph, seed: u64) -> Result<Validation, ValidationError> {
    let loops = |graph| lower(graph, &LoopOptions { fuse: false, ..LoopOptions::default() });
    let (before_loops, after_loops) = (loops(before)?, loops(after)?);
    same_interface(before, after)?;
    let mut random = Random(seed);
    let bindings = random.bindings(before);
    let most = interpreted_bytes(&before_loops, &bindings)?.max(interpreted_bytes(&after_loops, &bindings)?);
    // The interpreter takes a copy of the leaves, and the outputs of both are kept.
    let all = most.saturating_add(leaf_bytes(before, &bindings)?).saturating_mul(2);
    memory::check(all).map_err(InterpretError::from)?;
    let arrays = Arrays::new(before, bindings, random)?;
    let ((wanted, largest), (found, _)) = (arrays.run(&before_loops)?, arrays.run(&after_loops)?);
    let overall = wanted.iter().map(|(_, array)| magnitude(array)).fold(1.0, f64::max);
    let mut validation = Validation::default();
    for ((name, wanted), (_, found)) in wanted.iter().zip(&found) {
        let scale = magnitude(wanted).max(overall / 100.0).max(largest * (ROUNDING / TOLERANCE));
        for (element, (before, after)) in wanted.iter().zip(found).enumerate().filter(|(_, (x, _))| x.is_finite()) {
            let error = (before - after).abs() / scale;
            if error.is_nan() || error > TOLERANCE {
                let (name, before, after) = (name.clone(), *before, *after);
                return Err(ValidationError::Differs { name, element, before, after, seed });
            }
            validation.elements += 1;
            validation.error = validation.error.max(error);
        }
    }
    Ok(validation)
}

/// Checks that arrays for the one graph are arrays for the other, and give the same outputs.
fn same_interface(before: &Graph, after: &Graph) -> Result<(), ValidationError> {
    let same = |what, same: bool| if same { Ok(()) } else { Err(ValidationError::Interface(what)) };
    let leaves = before.nodes.iter().filter_map(|node| Some((node.op.leaf_name()?, node)));
    let leaves: HashMap<&Arc<str>, &Node> = leaves.collect();
    let like = |x: &Type, y: &Type| x.dims == y.dims && x.width() == y.width() && x.dtype == y.dtype;
    let known = |node: &Node| match node.op.leaf_name() {
        Some(name) => leaves.get(name).is_some_and(|known| known.op == node.op && like(&known.ty, &node.ty)),
        None => true,
    };
    same("leaves", after.nodes.iter().all(known))?;
    let output = |(a, b): (&Output, &Output)| {
        let same = (a.kind, &a.name, &a.shape) == (b.kind, &b.name, &b.shape);
        same && like(before.ty(a.value), after.ty(b.value))
    };
    let outputs = before.outputs.iter().zip(&after.outputs);
    same("outputs", before.outputs.len() == after.outputs.len() && outputs.into_iter().all(output))?;
    same("requirements", before.requirements == after.requirements)
}

/// An array with the name of its output.
type Named = (Arc<str>, Vec<f64>);

/// The largest finite number.
fn magnitude(array: &[f64]) -> f64 {
    array.iter().filter(|x| x.is_finite()).fold(0.0, |most, x| most.max(x.abs()))
}

/// The bytes of the arrays of all leaves.
fn leaf_bytes(graph: &Graph, bindings: &Bindings) -> Result<usize, DimError> {
    let leaves = graph.nodes.iter().filter(|node| node.op.leaf_name().is_some());
    leaves.map(|node| &node.ty).try_fold(0usize, |sum, ty| {
        let elements = ty.rows().evaluate(bindings)?.saturating_mul(ty.width());
        Ok(sum.saturating_add(elements.saturating_mul(size_of::<f64>())))
    })
}

/// Random arrays for all leaves of a graph.
struct Arrays {
    bindings: Bindings,
    leaves: IndexMap<Arc<str>, Vec<f64>>,
}

impl Arrays {
    fn new(graph: &Graph, bindings: Bindings, mut random: Random) -> Result<Self, ValidationError> {
        let mut leaves = IndexMap::new();
        for node in &graph.nodes {
            let (name, positive) = match &node.op {
                Op::Input(name) => (name, false),
                Op::Param(param) => (&param.name, param.name.ends_with("/var")),
                Op::Contract(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => continue,
            };
            leaves.insert(name.clone(), random.array(graph, name, &node.ty, &bindings, positive)?);
        }
        Ok(Arrays { bindings, leaves })
    }

    /// The outputs of a graph, and the largest number in any array on the way.
    #[allow(clippy::indexing_slicing, reason = "all leaves have arrays: interfaces are the same; outputs are buffers")]
    fn run(&self, loops: &Loops) -> Result<(Vec<Named>, f64), ValidationError> {
        let inputs = loops.inputs.iter().map(|slot| (slot.buffer, &slot.name));
        let params = loops.params.iter().map(|slot| (slot.buffer, &slot.param.name));
        let given: IndexMap<BufferId, Vec<f64>> =
            inputs.chain(params).map(|(buffer, name)| (buffer, self.leaves[name].clone())).collect();
        let buffers = interpret(loops, &self.bindings, &given)?;
        let largest = buffers.iter().map(|buffer| magnitude(buffer)).fold(0.0, f64::max);
        let outputs = loops.outputs.iter().map(|slot| (slot.name.clone(), buffers[slot.buffer.index()].clone()));
        Ok((outputs.collect(), largest))
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// Small sizes of all symbols.
    fn bindings(&mut self, graph: &Graph) -> Bindings {
        let mut bindings = Bindings::new();
        for symbol in graph.nodes.iter().flat_map(|node| &node.ty.dims).flat_map(Dim::symbols) {
            bindings.entry(symbol.clone()).or_insert_with(|| 2 + self.below(4));
        }
        bindings
    }

    /// Between -1 and 1.
    fn float(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    fn array(
        &mut self,
        graph: &Graph,
        name: &str,
        ty: &Type,
        bindings: &Bindings,
        positive: bool,
    ) -> Result<Vec<f64>, ValidationError> {
        let elements = ty.rows().evaluate(bindings)? * ty.width();
        let bound = graph.index_bound(name).unwrap_or(1);
        if bound == 0 && elements > 0 {
            return Err(ValidationError::NoIndex(name.into()));
        }
        let element = |k: usize| match ty.dtype {
            DType::F32 | DType::F64 if positive => 0.5 + self.float().abs(),
            DType::F32 | DType::F64 => self.float(),
            DType::I32 => self.below(bound) as f64,
            // One is true at least.
            DType::Bool => f64::from(u8::from(k == 0 || self.below(2) == 1)),
        };
        Ok((0..elements).map(element).collect())
    }
}
