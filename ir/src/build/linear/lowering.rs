//! The contractions of a linear layer whose options are resolved.

use super::{Channels, Weights};
use crate::build::builder::{Builder, init, shared};
use crate::build::contraction::{Axes, Contraction};
use crate::build::instructions::{Instruction, Instructions};
use crate::build::pieces::rechunk_zeros;
use crate::dim::Dim;
use crate::graph::{Op, Operand, Requirement, RowIndex, RowMap, ValueId};
use crate::irreps::Irreps;
use crate::spec::{Layer, Linear, Problem};

/// What a linear layer joins.
pub(super) struct Sides {
    pub(super) x: ValueId,
    pub(super) weights: Weights,
    pub(super) channels: Channels,
    /// The irreps of one channel.
    pub(super) irreps_in: Irreps,
    /// The irreps of one channel of the output.
    pub(super) irreps_out: Irreps,
}

pub(super) struct Lowering<'s> {
    pub(super) layer: &'s Layer,
    options: &'s Linear,
    pub(super) sides: Sides,
    instructions: Instructions,
    /// The input with the channels folded into the irreps.
    pub(super) folded: ValueId,
    /// The leading sizes of the output, without channels.
    pub(super) rows: Vec<Dim>,
    /// Where the chunks of one channel of the input begin.
    pub(super) offsets_in: Vec<usize>,
    /// Where those of the output begin.
    offsets_out: Vec<usize>,
}

/// A term of the output: a product of input and weights.
pub(super) struct Term<'p> {
    pub(super) path: &'p Instruction,
    /// What is read of the input, and where its chunk begins.
    pub(super) x: (Operand, usize),
    /// The weights, and where they begin.
    pub(super) weight: (Operand, usize),
    /// The size of the axis `d` of both, where weights are mixed by summing over it.
    pub(super) d: Option<usize>,
}

impl<'s> Lowering<'s> {
    pub(super) fn new(
        b: &mut Builder,
        layer: &'s Layer,
        options: &'s Linear,
        sides: Sides,
        instructions: Instructions,
    ) -> Result<Self, Problem> {
        let ty = b.ty(sides.x).clone();
        let folded = match sides.channels.inner() {
            Some(n) => {
                let dims = ty.dims[..ty.dims.len() - 1].to_vec();
                b.reshape(sides.x, dims, ty.irreps.repeat(n), ty.zero.repeat(n))
            }
            None => sides.x,
        };
        let dims = &b.ty(folded).dims;
        let rows = match sides.weights {
            Weights::Vanilla => dims.clone(),
            Weights::Indexed { index: other, .. } | Weights::External { mixture: other, .. } => {
                b.broadcast(&[dims, &b.ty(other).dims], &layer.span_of("weights"))?
            }
        };
        let (offsets_in, offsets_out) = (sides.irreps_in.offsets(), sides.irreps_out.offsets());
        let lowering = Lowering { layer, options, sides, instructions, folded, rows, offsets_in, offsets_out };
        lowering.check_scales(b)?;
        Ok(lowering)
    }

    /// Checks that what normalises is finite, whatever numbers the options are.
    fn check_scales(&self, b: &Builder) -> Result<(), Problem> {
        let finite = |option, what, number| b.finite(self.layer, option, what, number);
        finite("gradient_normalization", "the factor of a mixture", self.mixture_factor())?;
        self.instructions.paths.iter().try_for_each(|path| {
            finite("path_normalization", "the divisor of a variance", path.divisor)?;
            finite("gradient_normalization", "the factor of a term", self.coefficient(path))?;
            finite("gradient_normalization", "the standard deviation of a weight", self.std(path))
        })
    }

    fn coefficient(&self, path: &Instruction) -> f64 {
        path.path_weight * self.mixture_factor()
    }

    /// The standard deviation with which a weight starts.
    fn std(&self, path: &Instruction) -> f64 {
        path.weight_std * self.mixture_scale(1.0 - self.options.gradient_normalization)
    }

    /// What normalises mixtures in the forward pass.
    fn mixture_factor(&self) -> f64 {
        self.mixture_scale(self.options.gradient_normalization)
    }

    /// True where a term does not start at a chunk known to be zero.
    fn is_live(&self, b: &Builder, path: &Instruction) -> bool {
        !b.ty(self.sides.x).zero[path.i_in]
    }

    /// The output, with the channels folded into the irreps.
    pub(super) fn contract(&self, b: &mut Builder) -> Result<ValueId, Problem> {
        let mut terms = self.terms(b)?;
        if let Some(mixture) = self.external() {
            self.mix(b, mixture, &mut terms)?;
        }
        let mut contraction = Contraction::over(&self.rows);
        terms.iter().for_each(|term| self.write_term(&mut contraction, term));
        for &i_out in &self.instructions.biases {
            let bias = self.bias(b, i_out)?;
            self.write_bias(b, &mut contraction, i_out, &bias);
        }
        let irreps = &self.sides.irreps_out;
        let (irreps, zero) = match self.sides.channels.outer() {
            None => (irreps.clone(), self.zero(b)),
            // Paths step over the chunks between channels; `unfolded` says which are zero.
            Some(n) => (irreps.repeat(n), vec![false; n * irreps.len()]),
        };
        Ok(b.contract(contraction, irreps, zero))
    }

    /// What no live term and no bias writes.
    fn zero(&self, b: &Builder) -> Vec<bool> {
        let mut zero = vec![true; self.sides.irreps_out.len()];
        let ends = self.instructions.paths.iter().filter(|p| self.is_live(b, p)).map(|p| p.i_out);
        ends.chain(self.instructions.biases.iter().copied()).for_each(|o| zero[o] = false);
        zero
    }

    fn external(&self) -> Option<(ValueId, usize)> {
        match self.sides.weights {
            Weights::External { mixture, d } => Some((mixture, d)),
            Weights::Vanilla | Weights::Indexed { .. } => None,
        }
    }

    /// sqrt(1/d), by which mixtures of d weights are normalised; 1 where there are none.
    fn mixture_scale(&self, power: f64) -> f64 {
        self.external().map_or(1.0, |(_, d)| (1.0 / d as f64).sqrt().powf(power))
    }

    /// The input and the weights of every instruction whose input is not known to be zero.
    fn terms(&self, b: &mut Builder) -> Result<Vec<Term<'_>>, Problem> {
        let x = b.operand(self.folded, &self.rows);
        let mut terms = Vec::new();
        for path in &self.instructions.paths {
            let weight = self.weight(b, path)?;
            if self.is_live(b, path) {
                terms.push(Term { path, x: (x.clone(), self.offsets_in[path.i_in]), weight: (weight, 0), d: None });
            }
        }
        Ok(terms)
    }

    /// A parameter with the leading axes that the kind of weights adds.
    fn param(&self, b: &mut Builder, name: &str, shape: &[usize], std: f64) -> Result<Operand, Problem> {
        let initial = init(self.options.init.as_ref(), std);
        let each = self.sides.channels.each();
        match self.sides.weights {
            Weights::Vanilla => Ok(shared(b.param("params", name, shape.to_vec(), 0, initial)?)),
            Weights::External { d, .. } => {
                let shape = [d].into_iter().chain(each).chain(shape.iter().copied()).collect();
                Ok(shared(b.param("params", name, shape, 0, initial)?))
            }
            Weights::Indexed { index, count } => {
                let shape = [count].into_iter().chain(shape.iter().copied()).collect();
                let value = b.param("params", name, shape, 1, initial)?;
                self.require_index(b, index, count);
                let axes = b.operand(index, &self.rows).map.axes;
                let index = Some(RowIndex { value: index, size: Dim::from(count as i64), axes });
                Ok(Operand { value, map: RowMap { index, axes: Vec::new() } })
            }
        }
    }

    fn require_index(&self, b: &mut Builder, index: ValueId, bound: usize) {
        let Op::Input(input) = b.graph.node(index).op.clone() else { return };
        let requirement = Requirement::IndexBelow { input, bound, layer: b.layer().clone() };
        if b.graph.requirements.last() != Some(&requirement) {
            b.graph.requirements.push(requirement);
        }
    }

    fn weight(&self, b: &mut Builder, path: &Instruction) -> Result<Operand, Problem> {
        let (chunk_in, chunk_out) = self.instructions.ends(path);
        self.param(b, &self.instructions.weight_name(path), &[chunk_in.mul, chunk_out.mul], self.std(path))
    }

    fn bias(&self, b: &mut Builder, i_out: usize) -> Result<Operand, Problem> {
        let mul = self.instructions.irreps_out.chunks()[i_out].mul;
        self.param(b, &self.instructions.bias_name(i_out), &[mul], 0.0)
    }

    fn write_term(&self, contraction: &mut Contraction, term: &Term<'_>) {
        let Sides { channels, irreps_in, irreps_out, .. } = &self.sides;
        let Term { path, x: (x, x_offset), weight: (weight, weight_offset), d } = term;
        let chunk_in = irreps_in.chunks()[path.i_in];
        let (chunk_out, out_offset) = (irreps_out.chunks()[path.i_out], self.offsets_out[path.i_out]);
        let axes = Axes::some([
            ('d', *d),
            ('c', channels.inner()),
            ('u', Some(chunk_in.mul)),
            ('k', channels.mixed_outer()),
            ('v', Some(chunk_out.mul)),
            ('i', Some(chunk_in.ir.dim())),
        ]);
        let from = match d {
            Some(_) => axes.dense(*x_offset, "dcui"),
            None => axes.strided(axes.dense(*x_offset, "ui"), 'c', irreps_in.dim()),
        };
        let to = axes.strided(axes.dense(out_offset, "vi"), channels.out_letter(), irreps_out.dim());
        contraction.path(self.coefficient(path), &axes, [(x, from), (weight, axes.dense(*weight_offset, "dcukv"))], to);
    }

    fn write_bias(&self, b: &Builder, contraction: &mut Contraction, i_out: usize, bias: &Operand) {
        let Sides { channels, irreps_out, .. } = &self.sides;
        let (chunk, offset) = (irreps_out.chunks()[i_out], self.offsets_out[i_out]);
        let external = self.external();
        let axes = Axes::some([
            ('d', external.map(|(_, d)| d)),
            ('c', channels.each()),
            ('k', channels.mixed_outer()),
            ('v', Some(chunk.mul)),
        ]);
        let to = axes.strided(axes.dense(offset, "v"), channels.out_letter(), irreps_out.dim());
        let factor = (bias, axes.dense(0, "dckv"));
        match external {
            None => contraction.path(1.0, &axes, [factor], to),
            Some((mixture, _)) => {
                let e = b.operand(mixture, &self.rows);
                contraction.path(self.mixture_factor(), &axes, [(&e, axes.dense(0, "d")), factor], to);
            }
        }
    }

    /// The output with its axis of channels, and with the chunks that `force_irreps_out` asks for.
    pub(super) fn unfolded(&self, b: &mut Builder, out: ValueId) -> ValueId {
        let dims = self.rows.iter().cloned().chain(self.sides.channels.outer().map(|n| Dim::from(n as i64))).collect();
        let irreps = &self.sides.irreps_out;
        let new = if self.options.force_irreps_out { &self.options.irreps_out.value } else { irreps };
        let zero = rechunk_zeros(irreps, &self.zero(b), new);
        b.reshape(out, dims, new.clone(), zero)
    }
}
