//! Validation of a simplification: both graphs are run on random arrays, in f64, and must agree up to rounding.
//!
//! The loop interpreter runs them, unfused. Sizes are small, and the arrays are such that every requirement of the graph
//! holds. The same seed gives the same arrays everywhere.

use std::sync::Arc;

use indexmap::IndexMap;
use schur_ir::dim::{Bindings, Dim, DimError};
use schur_ir::graph::{Graph, Op, Requirement};
use schur_ir::program::BufferId;
use schur_ir::ty::{DType, Type};

use crate::loops::{LoopOptions, Loops, LoopsError, interpret, lower};

/// How far elements may be apart, relative to the largest of their array, or to a hundredth of the largest of all where
/// that is more: rounding of sums in another order. An array may be nothing but rounding.
const TOLERANCE: f64 = 1e-9;

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
    /// The loops cannot say it.
    #[error(transparent)]
    Loops(#[from] LoopsError),
    /// Sizes that do not fit.
    #[error(transparent)]
    Sizes(#[from] DimError),
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
    let arrays = Arrays::new(before, seed)?;
    let [wanted, found] = [before, after].map(|graph| arrays.run(graph));
    let (wanted, found) = (wanted?, found?);
    let magnitude = |array: &[f64]| array.iter().filter(|x| x.is_finite()).fold(0.0f64, |most, x| most.max(x.abs()));
    let overall = wanted.iter().map(|(_, array)| magnitude(array)).fold(f64::MIN_POSITIVE, f64::max);
    let mut validation = Validation::default();
    for ((name, wanted), (_, found)) in wanted.iter().zip(&found) {
        let scale = magnitude(wanted).max(overall / 100.0);
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

/// An array with the name of its output.
type Named = (Arc<str>, Vec<f64>);

/// Random arrays for all leaves of a graph.
struct Arrays {
    bindings: Bindings,
    leaves: IndexMap<Arc<str>, Vec<f64>>,
}

impl Arrays {
    fn new(graph: &Graph, seed: u64) -> Result<Self, DimError> {
        let mut bindings = Bindings::new();
        let mut random = Random(seed);
        for symbol in graph.nodes.iter().flat_map(|node| &node.ty.dims).flat_map(Dim::symbols) {
            bindings.entry(symbol.clone()).or_insert_with(|| 2 + random.below(4));
        }
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

    /// The outputs of a graph.
    fn run(&self, graph: &Graph) -> Result<Vec<Named>, ValidationError> {
        let loops: Loops = lower(graph, &LoopOptions { fuse: false, ..LoopOptions::default() })?;
        let inputs = loops.inputs.iter().map(|slot| (slot.buffer, &slot.name));
        let params = loops.params.iter().map(|slot| (slot.buffer, &slot.param.name));
        let given: IndexMap<BufferId, Vec<f64>> =
            inputs.chain(params).map(|(buffer, name)| (buffer, self.leaves[name].clone())).collect();
        let buffers = interpret(&loops, &self.bindings, &given)?;
        Ok(loops.outputs.iter().map(|slot| (slot.name.clone(), buffers[slot.buffer.index()].clone())).collect())
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
    ) -> Result<Vec<f64>, DimError> {
        let elements = ty.rows().evaluate(bindings)? * ty.width();
        let bounds = graph.requirements.iter().filter_map(|requirement| match requirement {
            Requirement::IndexBelow { input, bound, .. } if **input == *name => Some(*bound),
            Requirement::IndexBelow { .. } | Requirement::NotEmpty { .. } | Requirement::AnyTrue { .. } => None,
        });
        let bound = bounds.min().unwrap_or(1);
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
