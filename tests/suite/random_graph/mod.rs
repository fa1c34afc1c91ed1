//! Random graphs that the verifier accepts, with all ops, and arrays to evaluate them on.
//!
//! - [`random_graph`] and [`random_smooth_graph`] make a graph from a seed;
//! - [`random_sizes`] chooses the size of every symbol, with 0, 1 and primes;
//! - [`random_arrays`] fills inputs and parameters. Both work for any graph.
//!
//! Magnitudes stay tame (values around 1, no root of a negative number, no division by nearly zero, no large
//! exponential), so that `f32` results are comparable with the reference. Every symbol that a mean or a maximum divides
//! or reduces over is required not to be empty, and [`random_sizes`] heeds requirements.

use std::sync::Arc;

use rand::rngs::ChaCha8Rng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use schur_ir::dim::Dim;
use schur_ir::expr::Scalar;
use schur_ir::graph::{Graph, Init, Node, Op, Output, OutputKind, Param, Requirement, ValueId};
use schur_ir::irreps::{Irrep, Irreps, MulIrrep, Parity};
use schur_ir::ty::{DType, Type};

mod arrays;
mod contract;
mod pointwise;
mod rows;

pub(crate) use arrays::{random_arrays, random_sizes};

/// A random graph whose float values have this element type.
pub(crate) fn random_graph(seed: u64, dtype: DType) -> Graph {
    Maker::new(seed, dtype, false).graph()
}

/// A random graph without kinks or steps but at values that are exact in any precision (leaves and copies of them), so
/// that gradients of `f32` and of the reference go to the same side.
pub(crate) fn random_smooth_graph(seed: u64, dtype: DType) -> Graph {
    Maker::new(seed, dtype, true).graph()
}

/// What the generator knows of a float value.
#[derive(Clone)]
struct Known {
    id: ValueId,
    /// Where present, the first leading axis has this size and must be picked by an index.
    lead: Option<usize>,
    /// For every other leading axis: the axis of the graph's space of rows that it is, or `None` for a size of 1.
    axes: Vec<Option<usize>>,
    /// No element is larger in magnitude, where symbols are about 16.
    bound: f64,
    /// True where the elements are those of leaves, so that they have no rounding error.
    exact: bool,
}

/// An index: an `i32` input.
#[derive(Clone)]
struct Index {
    id: ValueId,
    axes: Vec<Option<usize>>,
    bound: usize,
}

/// Values whose bound is larger are scaled down.
const LIMIT: f64 = 8.0;

struct Maker {
    rng: ChaCha8Rng,
    graph: Graph,
    dtype: DType,
    smooth: bool,
    /// The graph's space of rows; every value's leading sizes are some of these.
    rows: Vec<Dim>,
    values: Vec<Known>,
    indices: Vec<Index>,
    masks: Vec<Known>,
    layer: Arc<str>,
}

impl Maker {
    fn new(seed: u64, dtype: DType, smooth: bool) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (n, m) = (Dim::symbol("N"), Dim::symbol("M"));
        let spaces =
            [vec![], vec![n.clone()], vec![n.clone(), Dim::from(3)], vec![Dim::from(2), n.clone()], vec![n, m]];
        let rows = spaces[[0, 1, 1, 1, 1, 1, 2, 2, 3, 4][rng.random_range(0..10)]].clone();
        let graph = Graph { name: format!("random {seed}"), ..Graph::default() };
        let (values, indices, masks) = Default::default();
        Maker { rng, graph, dtype, smooth, rows, values, indices, masks, layer: "".into() }
    }

    fn graph(mut self) -> Graph {
        self.leaves();
        for step in 0..self.rng.random_range(3..12) {
            self.layer = format!("layer{step}").into();
            match self.rng.random_range(0..20) {
                0..12 => self.contraction(),
                12..17 => self.map(),
                17 => self.max(),
                18 => self.reshape(),
                _ => self.input_like(),
            }
        }
        self.outputs();
        self.graph
    }

    fn chance(&mut self, p: f64) -> bool {
        self.rng.random_bool(p)
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of.choose(&mut self.rng).expect("there is something to pick").clone()
    }

    fn ty(&self, value: &Known) -> &Type {
        self.graph.ty(value.id)
    }

    fn mul(&mut self) -> usize {
        match self.rng.random_range(0..20) {
            0 => self.rng.random_range(33..=70),
            1..8 => self.pick(&[1, 2, 4, 8, 16]),
            _ => self.rng.random_range(1..=20),
        }
    }

    fn irrep(&mut self) -> Irrep {
        let l = self.pick(&[0, 0, 0, 1, 1, 2, 3]);
        let p = if self.chance(0.8) { Parity::natural(l) } else { Parity::natural(l + 1) };
        Irrep::new(l, p)
    }

    fn irreps(&mut self) -> Irreps {
        let chunks = (0..self.rng.random_range(1..=4)).map(|_| {
            let mul = if self.chance(0.05) { 0 } else { self.mul() };
            MulIrrep::new(mul, self.irrep())
        });
        Irreps::new(chunks.collect::<Vec<_>>())
    }

    /// The sizes of a value with these axes.
    fn dims(&self, lead: Option<usize>, axes: &[Option<usize>]) -> Vec<Dim> {
        let lead = lead.map(|size| Dim::from(size as i64));
        lead.into_iter().chain(axes.iter().map(|a| a.map_or(Dim::one(), |a| self.rows[a].clone()))).collect()
    }

    /// All the rows' axes, or some of them as numpy would broadcast them.
    fn leaf_axes(&mut self) -> Vec<Option<usize>> {
        let all: Vec<_> = (0..self.rows.len()).map(Some).collect();
        if self.chance(0.7) {
            return all;
        }
        let lacking = self.rng.random_range(0..=all.len());
        all[lacking..].iter().map(|axis| axis.filter(|_| self.rng.random_bool(0.7))).collect()
    }

    fn leaves(&mut self) {
        // The first input has all sizes, so that every symbol is bound.
        let all: Vec<_> = (0..self.rows.len()).map(Some).collect();
        let irreps = self.irreps().concat(&Irreps::scalars(1));
        self.float_input(None, all, irreps);
        for _ in 0..self.rng.random_range(0..3) {
            self.input_like();
        }
        if self.chance(0.4) {
            let axes = self.leaf_axes();
            let bound = self.rng.random_range(1..6);
            let name = format!("index{}", self.graph.nodes.len());
            let id = self.graph.input(&name, Type::new(self.dims(None, &axes), Irreps::scalars(1), DType::I32));
            let layer = self.layer.clone();
            self.graph.requirements.push(Requirement::IndexBelow { input: name.into(), bound, layer });
            self.indices.push(Index { id, axes, bound });
        }
        if self.chance(0.3) {
            let axes = self.leaf_axes();
            let ty = Type::new(self.dims(None, &axes), Irreps::scalars(1), DType::Bool);
            let id = self.graph.input("mask", ty);
            self.masks.push(Known { id, lead: None, axes, bound: 1.0, exact: true });
        }
    }

    fn float_input(&mut self, lead: Option<usize>, axes: Vec<Option<usize>>, irreps: Irreps) {
        let name = format!("x{}", self.graph.nodes.len());
        let ty = Type::new(self.dims(lead, &axes), irreps, self.dtype);
        let id = self.graph.input(&name, ty);
        self.values.push(Known { id, lead, axes, bound: 1.0, exact: true });
    }

    /// An input, often with the irreps of a value that is there.
    fn input_like(&mut self) {
        let irreps = if !self.values.is_empty() && self.chance(0.6) {
            let value = self.some_value();
            self.ty(&value).irreps.clone()
        } else {
            self.irreps()
        };
        let lead = self.indices.last().map(|index| index.bound).filter(|_| self.rng.random_bool(0.3));
        let axes = self.leaf_axes();
        self.float_input(lead, axes, irreps);
    }

    /// A parameter of this shape, indexed where there is an index.
    fn param(&mut self, shape: &[usize]) -> Known {
        let index = self.indices.last().filter(|_| self.rng.random_bool(0.4));
        let lead = index.map(|index| index.bound + usize::from(self.rng.random_bool(0.3)));
        let shape: Vec<usize> = lead.into_iter().chain(shape.iter().copied()).collect();
        let name = format!("params/{}/w{}", self.layer, self.graph.nodes.len()).into();
        let init = Init::Normal { mean: Scalar(0.0), std: Scalar(1.0) };
        let layer = self.layer.clone();
        let id = self.graph.param(Param { name, shape, init }, usize::from(lead.is_some()), self.dtype, &layer);
        let known = Known { id, lead, axes: vec![], bound: 1.0, exact: true };
        self.values.push(known.clone());
        known
    }

    /// True where no axis must be picked, or there is an index that can.
    fn is_usable(&self, value: &Known) -> bool {
        value.lead.is_none_or(|size| self.indices.iter().any(|index| index.bound <= size))
    }

    /// A value that a contraction can read; recent ones are likelier.
    fn some_value(&mut self) -> Known {
        let empty_too = self.chance(0.05);
        let wanted = |v: &&Known| self.is_usable(v) && (empty_too || self.ty(v).width() > 0);
        let usable: Vec<Known> = self.values.iter().filter(wanted).cloned().collect();
        let (a, b) = (self.rng.random_range(0..usable.len()), self.rng.random_range(0..usable.len()));
        usable[a.max(b)].clone()
    }

    /// A value whose width satisfies `fits`, where there is one.
    fn value_where(&mut self, fits: impl Fn(usize) -> bool) -> Option<Known> {
        let usable = self.values.iter().filter(|v| self.is_usable(v) && fits(self.ty(v).width()));
        let usable: Vec<Known> = usable.cloned().collect();
        usable.choose(&mut self.rng).cloned()
    }

    fn not_empty(&mut self, dims: &[Dim]) {
        if dims.iter().any(|dim| dim.constant().is_none()) {
            let layer = self.layer.clone();
            self.graph.requirements.push(Requirement::NotEmpty { dims: dims.to_vec(), layer });
        }
    }

    /// All values that nothing reads, and sometimes others.
    fn outputs(&mut self) {
        let mut read = vec![false; self.graph.nodes.len()];
        self.graph.nodes.iter().flat_map(|node: &Node| node.op.reads()).for_each(|value| read[value.index()] = true);
        for value in self.values.clone() {
            let leaf = matches!(self.graph.node(value.id).op, Op::Input(_) | Op::Param(_));
            let wanted = if leaf || read[value.id.index()] { self.chance(0.05) } else { true };
            if wanted {
                self.output(value.id);
            }
        }
        if self.graph.outputs.is_empty() {
            self.output(self.values[0].id);
        }
    }

    fn output(&mut self, value: ValueId) {
        let ty = self.graph.ty(value);
        let (statistic, width) = (ty.dims.is_empty() && self.rng.random_bool(0.5), ty.width());
        let name = format!("y{}", self.graph.outputs.len()).into();
        let kind = if statistic { OutputKind::Statistic } else { OutputKind::Output };
        self.graph.outputs.push(Output { name, kind, value, shape: statistic.then(|| vec![width, 1]) });
    }
}
