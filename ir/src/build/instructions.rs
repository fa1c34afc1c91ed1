//! Which chunks of a linear layer's input meet which chunks of its output, and how the terms are normalised.

use std::collections::{HashMap, HashSet};

use super::builder::Builder;
use crate::counted::Counted;
use crate::irreps::{Irrep, Irreps, MulIrrep};
use crate::spec::{Biases, Layer, Linear, Problem};

/// A term `path_weight · w · x` of a linear layer, from one chunk to one chunk.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Instruction {
    pub(super) i_in: usize,
    pub(super) i_out: usize,
    /// What the variance of the output is divided by.
    pub(super) divisor: f64,
    /// The factor in the forward pass.
    pub(super) path_weight: f64,
    /// The standard deviation with which the weight starts.
    pub(super) weight_std: f64,
}

/// What e3nn_jax's `FunctionalLinear` is made of: the irreps between which weights stand, and the terms.
#[derive(Clone, Debug)]
pub(super) struct Instructions {
    pub(super) irreps_in: Irreps,
    pub(super) irreps_out: Irreps,
    pub(super) paths: Vec<Instruction>,
    /// The chunks of the output that have a bias.
    pub(super) biases: Vec<usize>,
}

impl Instructions {
    /// The terms between irreps that are final: regrouped, filtered and multiplied by channels.
    pub(super) fn new(
        b: &Builder,
        layer: &Layer,
        options: &Linear,
        irreps_in: Irreps,
        irreps_out: Irreps,
    ) -> Result<Self, Problem> {
        let pairs = match &options.instructions {
            Some(_) => stated_pairs(layer, options, &irreps_in, &irreps_out)?,
            None => equal_pairs(b, &irreps_in, &irreps_out)?,
        };
        let paths = normalized(&pairs, &irreps_in, options.path_normalization, options.gradient_normalization);
        let biases = biases(layer, &options.biases, &irreps_out)?;
        Ok(Instructions { irreps_in, irreps_out, paths, biases })
    }

    /// The parameter of a term, without its scope.
    pub(super) fn weight_name(&self, path: &Instruction) -> String {
        let (chunk_in, chunk_out) = self.ends(path);
        format!("w[{},{}] {chunk_in},{chunk_out}", path.i_in, path.i_out)
    }

    /// The parameter of a bias, without its scope.
    pub(super) fn bias_name(&self, i_out: usize) -> String {
        format!("b[{i_out}] {}", self.irreps_out.chunks()[i_out])
    }

    /// The chunks that a term joins.
    pub(super) fn ends(&self, path: &Instruction) -> (MulIrrep, MulIrrep) {
        (self.irreps_in.chunks()[path.i_in], self.irreps_out.chunks()[path.i_out])
    }
}

/// All that Schur's lemma allows.
fn equal_pairs(b: &Builder, irreps_in: &Irreps, irreps_out: &Irreps) -> Result<Vec<[usize; 2]>, Problem> {
    let mut outs: HashMap<Irrep, Vec<usize>> = HashMap::new();
    for (o, chunk) in irreps_out.iter().enumerate() {
        outs.entry(chunk.ir).or_default().push(o);
    }
    let meets = |ir: Irrep| outs.get(&ir).map_or(&[][..], Vec::as_slice);
    let count = irreps_in.iter().map(|chunk| meets(chunk.ir).len()).fold(0, usize::saturating_add);
    b.within("paths", b.limits.paths, count, || format!("the paths of `{}`", b.layer()))?;
    Ok(irreps_in.iter().enumerate().flat_map(|(i, a)| meets(a.ir).iter().map(move |o| [i, *o])).collect())
}

fn stated_pairs(
    layer: &Layer,
    options: &Linear,
    irreps_in: &Irreps,
    irreps_out: &Irreps,
) -> Result<Vec<[usize; 2]>, Problem> {
    let (mut pairs, mut seen) = (Vec::new(), HashSet::new());
    for stated in options.instructions.iter().flatten() {
        let [i, o] = stated.value;
        let fail = |reason: String| {
            let message = format!("`{}`: instruction [{i}, {o}] {reason}", layer.name.value);
            Err(Problem::new(message, "", stated.span.clone()))
        };
        let (Some(a), Some(c)) = (irreps_in.chunks().get(i), irreps_out.chunks().get(o)) else {
            return fail(format!("names a chunk that `{irreps_in}` → `{irreps_out}` does not have"));
        };
        if a.ir != c.ir {
            return fail(format!("joins {a} to {c}: Schur's lemma allows equal irreps alone"));
        }
        if !seen.insert([i, o]) {
            return fail("is listed twice".into());
        }
        pairs.push([i, o]);
    }
    Ok(pairs)
}

/// The variance of an output is shared among the terms that add up to it: by element (`path` = 0) or by path (1). The
/// share is applied in the forward pass (`gradient` = 1) or in the initialisation (0).
fn normalized(pairs: &[[usize; 2]], irreps_in: &Irreps, path: f64, gradient: f64) -> Vec<Instruction> {
    let mul = |i: usize| irreps_in.chunks()[i].mul as f64;
    let outs = pairs.iter().map(|[_, o]| o + 1).max().unwrap_or(0);
    let mut sums = vec![0.0; outs];
    for [i, o] in pairs {
        sums[*o] += mul(*i).powf(1.0 - path);
    }
    let instruction = |&[i_in, i_out]: &[usize; 2]| {
        let divisor = mul(i_in).powf(path) * sums[i_out];
        let alpha: f64 = if divisor > 0.0 { 1.0 / divisor } else { 1.0 };
        let (path_weight, weight_std) = (alpha.sqrt().powf(gradient), alpha.sqrt().powf(1.0 - gradient));
        Instruction { i_in, i_out, divisor, path_weight, weight_std }
    };
    pairs.iter().map(instruction).collect()
}

fn biases(layer: &Layer, biases: &Biases, irreps_out: &Irreps) -> Result<Vec<usize>, Problem> {
    let scalars = || irreps_out.iter().enumerate().filter(|(_, c)| c.ir.is_scalar()).map(|(k, _)| k);
    let flags = match biases {
        Biases::Flag(false) => return Ok(Vec::new()),
        Biases::Flag(true) => return Ok(scalars().collect()),
        Biases::PerChunk(flags) => flags,
    };
    let fail = |reason: String| {
        let message = format!("`{}`: {reason}", layer.name.value);
        Err(Problem::new(message, "", layer.span_of("biases")))
    };
    if flags.len() != irreps_out.len() {
        let (found, needed) = (Counted(flags.len(), "flag"), Counted(irreps_out.len(), "chunk"));
        return fail(format!("`biases` lists {found}, `{irreps_out}` has {needed}: one each is needed"));
    }
    let biased: Vec<usize> = (0..flags.len()).filter(|&k| flags[k]).collect();
    match biased.iter().map(|&k| irreps_out.chunks()[k]).find(|c| !c.ir.is_scalar()) {
        Some(chunk) => fail(format!("{chunk} cannot have a bias: scalars (0e) alone can")),
        None => Ok(biased),
    }
}
