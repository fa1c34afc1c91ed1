//! External weights: mixtures `Σ_d e[d] w[d, u, v]`, one for every row of `e`.
//!
//! `Σ_du e[d] w[d, u, v] x[u, i]` is made of two products in either order. `z[d, u, i] = e[d] x[u, i]` takes a few operations an element,
//! and its product with the weights, which all rows share, has `d` times as many terms as without mixtures. The mixture
//! `m[u, v] = Σ_d e[d] w[d, u, v]` takes as many operations as that product for one component, and another product follows, of
//! every row with weights of its own.

use std::collections::BTreeSet;

use super::lowering::{Lowering, Term};
use super::problem;
use crate::build::builder::{Builder, leading};
use crate::build::contraction::{Axes, Contraction};
use crate::graph::ValueId;
use crate::irreps::{Irreps, MulIrrep};
use crate::spec::Problem;

/// An operation of a product of rows with weights of their own takes as long as so many of a product with shared weights.
const OWN_WEIGHTS: usize = 4;

impl Lowering<'_> {
    /// Multiplies the input or the weights of every term by the mixture, whose size is `d`.
    pub(super) fn mix(
        &self,
        b: &mut Builder,
        (mixture, d): (ValueId, usize),
        terms: &mut [Term<'_>],
    ) -> Result<(), Problem> {
        let is_of_fewer_rows = b.ty(mixture).dims != self.rows;
        let of_weights = |term: &&mut Term<'_>| {
            let components = self.sides.irreps_in.chunks()[term.path.i_in].ir.dim();
            is_of_fewer_rows || d + OWN_WEIGHTS * components < d * components
        };
        let (weights, inputs): (Vec<_>, Vec<_>) = terms.iter_mut().partition(of_weights);
        self.mix_weights(b, (mixture, d), weights)?;
        self.mix_inputs(b, (mixture, d), inputs)
    }

    /// `m[u, v] = Σ_d e[d] w[d, u, v]`.
    fn mix_weights(
        &self,
        b: &mut Builder,
        (mixture, d): (ValueId, usize),
        mut terms: Vec<&mut Term<'_>>,
    ) -> Result<(), Problem> {
        if terms.is_empty() {
            return Ok(());
        }
        let (rows, channels) = (b.ty(mixture).dims.clone(), self.sides.channels);
        let (e, mut contraction, mut width) = (leading(mixture, rows.len()), Contraction::over(&rows), 0usize);
        for term in &mut terms {
            let [from, to] =
                [&self.sides.irreps_in.chunks()[term.path.i_in], &self.sides.irreps_out.chunks()[term.path.i_out]];
            let sizes = [channels.inner(), Some(from.mul), channels.mixed_outer(), Some(to.mul)];
            let [c, u, k, v] = sizes;
            let axes = Axes::some([('d', Some(d)), ('c', c), ('u', u), ('k', k), ('v', v)]);
            let weight = (&term.weight.0, axes.dense(0, "dcukv"));
            contraction.path(1.0, &axes, [(&e, axes.dense(0, "d")), weight], axes.dense(width, "cukv"));
            term.weight.1 = width;
            width = sizes.into_iter().flatten().fold(1, usize::saturating_mul).saturating_add(width);
        }
        self.check_width(width, "mixtures of `weights` have")?;
        let mixed = b.contract_scalars(contraction, width);
        let mixed = b.operand(mixed, &self.rows);
        terms.into_iter().for_each(|term| term.weight.0 = mixed.clone());
        Ok(())
    }

    /// `z[d, u, i] = e[d] x[u, i]`.
    fn mix_inputs(
        &self,
        b: &mut Builder,
        (mixture, d): (ValueId, usize),
        terms: Vec<&mut Term<'_>>,
    ) -> Result<(), Problem> {
        if terms.is_empty() {
            return Ok(());
        }
        let (x, e) = (b.operand(self.folded, &self.rows), b.operand(mixture, &self.rows));
        let (irreps, inner) = (&self.sides.irreps_in, self.sides.channels.inner());
        let copies = d.saturating_mul(inner.unwrap_or(1));
        self.check_width(copies.saturating_mul(irreps.dim()), "`weights` times input has")?;
        let mut outer = Contraction::over(&self.rows);
        let (mut chunks, mut offsets, mut at) = (Vec::new(), vec![0; irreps.len()], 0);
        for k in terms.iter().map(|term| term.path.i_in).collect::<BTreeSet<usize>>() {
            let (chunk, offset) = (irreps.chunks()[k], self.offsets_in[k]);
            let axes = Axes::some([('d', Some(d)), ('c', inner), ('u', Some(chunk.mul)), ('i', Some(chunk.ir.dim()))]);
            let from = axes.strided(axes.dense(offset, "ui"), 'c', irreps.dim());
            outer.path(1.0, &axes, [(&e, axes.dense(0, "d")), (&x, from)], axes.dense(at, "dcui"));
            offsets[k] = at;
            chunks.push(MulIrrep::new(copies * chunk.mul, chunk.ir));
            at += copies * chunk.dim();
        }
        let zero = vec![false; chunks.len()];
        let z = leading(b.contract(outer, Irreps::new(chunks), zero), self.rows.len());
        for term in terms {
            (term.x, term.d) = ((z.clone(), offsets[term.path.i_in]), Some(d));
        }
        Ok(())
    }

    fn check_width(&self, width: usize, what: &str) -> Result<(), Problem> {
        if width <= Irreps::MAX_DIM {
            return Ok(());
        }
        let reason = format!("{what} more than {} features", Irreps::MAX_DIM);
        Err(problem(self.layer, "weights", reason))
    }
}
