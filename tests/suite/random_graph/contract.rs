//! Contractions of every flavour: what happens inside a row.

use rand::RngExt;
use rand::seq::SliceRandom;
use schur_ir::expr::Scalar;
use schur_ir::graph::{Axis, Factor, Path, Segment};
use schur_ir::irreps::{Irrep, Irreps, MulIrrep};
use schur_ir::path::{Axes, Factors, Strides};
use smallvec::smallvec;

use super::{Known, Maker};

/// Wider results are not made.
const MAX_WIDTH: usize = 500;

/// The inside of a row, before its place in the rows is chosen.
pub(super) struct Body {
    pub(super) operands: Vec<Known>,
    pub(super) paths: Vec<Path>,
    pub(super) irreps: Irreps,
}

/// A chunk's place in its row.
#[derive(Clone, Copy)]
struct Chunk {
    offset: usize,
    mul: usize,
    ir: Irrep,
}

fn chunks(irreps: &Irreps) -> Vec<Chunk> {
    irreps.iter().zip(irreps.offsets()).map(|(c, offset)| Chunk { offset, mul: c.mul, ir: c.ir }).collect()
}

/// A row-major segment over the axes named by `letters`.
fn segment(axes: &[Axis], offset: usize, letters: &str) -> Segment {
    let mut strides: Strides = smallvec![0; axes.len()];
    letters.chars().rev().fold(1, |stride, letter| {
        let k = axes.iter().position(|axis| axis.letter == letter).expect("an axis of the path");
        strides[k] = stride;
        stride * axes[k].size
    });
    Segment { offset, strides }
}

/// A path: sizes of its axes, the operand, offset and axes of each factor, and offset and axes of its output.
fn path(coefficient: f64, sizes: &[(char, usize)], factors: &[(usize, usize, &str)], out: (usize, &str)) -> Path {
    let axes: Axes = sizes.iter().map(|&(letter, size)| Axis { letter, size }).collect();
    let factor = |&(operand, offset, letters): &(usize, usize, &str)| Factor {
        operand,
        segment: segment(&axes, offset, letters),
    };
    let factors = factors.iter().map(factor).collect();
    Path { coefficient: Scalar(coefficient), factors, out: segment(&axes, out.0, out.1), axes }
}

/// The same, with no axis of size 1 in any path.
fn without_unit_axes(mut body: Body) -> Body {
    for path in &mut body.paths {
        let units: Vec<bool> = path.axes.iter().map(|axis| axis.size == 1).collect();
        let drop_units = |strides: &mut Strides| {
            let mut unit = units.iter();
            strides.retain(|_| !unit.next().expect("one stride an axis"));
        };
        path.factors.iter_mut().for_each(|factor| drop_units(&mut factor.segment.strides));
        drop_units(&mut path.out.strides);
        path.axes.retain(|axis| axis.size != 1);
    }
    body
}

impl Maker {
    /// A contraction of random flavour.
    pub(super) fn contraction(&mut self) {
        let body = match self.rng.random_range(0..16) {
            0..3 => self.copies(),
            3..8 => self.linear(),
            8..10 => self.scaling(),
            10..12 => self.dot(),
            12 => self.outer(),
            13 => self.sum(),
            _ => self.anything(),
        };
        if body.irreps.dim() <= MAX_WIDTH {
            let body = if self.chance(0.5) { without_unit_axes(body) } else { body };
            self.place(body);
        }
    }

    fn coefficient(&mut self) -> f64 {
        match self.rng.random_range(0..4) {
            0 => 1.0,
            1 => self.pick(&[0.5, -1.0, 2.0]),
            _ => self.rng.random_range(-1.0..1.0),
        }
    }

    /// Selects, permutes and joins parts of chunks of one to three values; some chunks are left zero.
    fn copies(&mut self) -> Body {
        let operands: Vec<Known> = (0..self.rng.random_range(1..=3)).map(|_| self.some_value()).collect();
        let (mut out, mut paths, mut at) = (Vec::new(), Vec::new(), 0);
        for _ in 0..self.rng.random_range(1..=4) {
            let k = self.rng.random_range(0..operands.len());
            let all = chunks(&self.ty(&operands[k]).irreps);
            let Chunk { offset, mul, ir } = self.pick(&all);
            let start = if self.chance(0.3) { self.rng.random_range(0..=mul) } else { 0 };
            let (mul, from) = (mul - start, offset + start * ir.dim());
            let coefficient = if self.chance(0.7) { 1.0 } else { self.coefficient() };
            if !self.chance(0.1) {
                let axes = [('u', mul), ('i', ir.dim())];
                paths.push(path(coefficient, &axes, &[(k, from, "ui")], (at, "ui")));
            }
            out.push(MulIrrep::new(mul, ir));
            at += mul * ir.dim();
        }
        Body { operands, paths, irreps: Irreps::new(out) }
    }

    /// A linear layer: weights are parameters, shared or indexed, or a value; sometimes a bias, sometimes transposed.
    fn linear(&mut self) -> Body {
        let x = self.some_value();
        let inputs = chunks(&self.ty(&x).irreps);
        let targets: Vec<MulIrrep> = (0..self.rng.random_range(1..=3))
            .map(|_| {
                let ir = if self.chance(0.8) { self.pick(&inputs).ir } else { self.irrep() };
                MulIrrep::new(self.mul(), ir)
            })
            .collect();
        let irreps = Irreps::new(targets);
        let (mut operands, mut paths) = (vec![x], Vec::new());
        for out in chunks(&irreps) {
            for from in inputs.iter().filter(|from| from.ir == out.ir) {
                operands.push(self.weights(from.mul, out.mul));
                let weights = if self.chance(0.2) { "vu" } else { "uv" };
                let factors = [(0, from.offset, "ui"), (operands.len() - 1, 0, weights)];
                let axes = [('u', from.mul), ('v', out.mul), ('i', out.ir.dim())];
                paths.push(path(self.coefficient(), &axes, &factors, (out.offset, "vi")));
            }
            if out.ir.is_scalar() && self.chance(0.5) {
                operands.push(self.weights(1, out.mul));
                paths.push(path(1.0, &[('v', out.mul)], &[(operands.len() - 1, 0, "v")], (out.offset, "v")));
            }
        }
        Body { operands, paths, irreps }
    }

    fn weights(&mut self, rows: usize, columns: usize) -> Known {
        let external = if self.chance(0.2) { self.value_where(|width| width >= rows * columns) } else { None };
        external.unwrap_or_else(|| self.param(&[rows, columns]))
    }

    /// One scalar for every irrep, or one for all.
    fn scaling(&mut self) -> Body {
        let x = self.some_value();
        let irreps = self.ty(&x).irreps.clone();
        let n = irreps.num_irreps().max(1);
        let scalars = self.value_where(|width| width >= n).unwrap_or_else(|| self.param(&[n]));
        let same = self.chance(0.2);
        let mut at = 0;
        let mut scale = |c: &Chunk| {
            let (axes, letters) = ([('u', c.mul), ('i', c.ir.dim())], if same { "" } else { "u" });
            let place = if same { 0 } else { at };
            at += c.mul;
            path(1.0, &axes, &[(0, c.offset, "ui"), (1, place, letters)], (c.offset, "ui"))
        };
        let paths = chunks(&irreps).iter().map(&mut scale).collect();
        Body { operands: vec![x, scalars], paths, irreps }
    }

    /// One scalar for every irrep: the product of two values of equal width, or of a value with itself.
    fn dot(&mut self) -> Body {
        let x = self.some_value();
        let irreps = self.ty(&x).irreps.clone();
        let other = if self.chance(0.5) { None } else { self.value_where(|width| width == irreps.dim()) };
        let y = other.unwrap_or_else(|| x.clone());
        let mut at = 0;
        let mut dot = |c: &Chunk| {
            let factors = [(0, c.offset, "ui"), (1, c.offset, "ui")];
            at += c.mul;
            path(1.0 / c.ir.dim() as f64, &[('u', c.mul), ('i', c.ir.dim())], &factors, (at - c.mul, "u"))
        };
        let paths = chunks(&irreps).iter().map(&mut dot).collect();
        let irreps = Irreps::scalars(irreps.num_irreps());
        Body { operands: vec![x, y], paths, irreps }
    }

    /// As the gradient of weights: all products of two chunks, summed over components.
    fn outer(&mut self) -> Body {
        let (x, y) = (self.some_value(), self.some_value());
        let (a, b) = (self.pick(&chunks(&self.ty(&x).irreps)), self.pick(&chunks(&self.ty(&y).irreps)));
        let i = a.ir.dim().min(b.ir.dim());
        let (u, v) = (a.mul.min(20), b.mul.min(20));
        let axes: Axes =
            [('u', u), ('v', v), ('i', i)].map(|(letter, size)| Axis { letter, size }).into_iter().collect();
        let factors = smallvec![
            Factor { operand: 0, segment: Segment { offset: a.offset, strides: smallvec![a.ir.dim(), 0, 1] } },
            Factor { operand: 1, segment: Segment { offset: b.offset, strides: smallvec![0, b.ir.dim(), 1] } },
        ];
        let paths = vec![Path { coefficient: Scalar(1.0), factors, out: segment(&axes, 0, "uv"), axes }];
        Body { operands: vec![x, y], paths, irreps: Irreps::scalars(u * v) }
    }

    /// The sum of values of equal width.
    fn sum(&mut self) -> Body {
        let x = self.some_value();
        let irreps = self.ty(&x).irreps.clone();
        let width = irreps.dim();
        let mut operands = vec![x];
        for _ in 0..self.rng.random_range(1..3) {
            operands.extend(self.value_where(|other| other == width));
        }
        let paths = (0..operands.len()).map(|k| path(1.0, &[('k', width)], &[(k, 0, "k")], (0, "k"))).collect();
        Body { operands, paths, irreps }
    }

    /// Paths with random axes and strides: diagonals, reversed layouts, broadcasts, overlapping sums.
    fn anything(&mut self) -> Body {
        let operands = vec![self.some_value(), self.some_value()];
        let irreps = self.irreps();
        let mut paths = Vec::new();
        for _ in 0..self.rng.random_range(1..=3) {
            let letters = &"uvw"[..self.rng.random_range(0..=3)];
            let axes: Axes = letters.chars().map(|letter| Axis { letter, size: self.rng.random_range(1..6) }).collect();
            let factors: Option<Factors> = (0..self.rng.random_range(1..=2))
                .map(|_| {
                    let operand = self.rng.random_range(0..operands.len());
                    let segment = self.some_segment(&axes, self.ty(&operands[operand]).width())?;
                    Some(Factor { operand, segment })
                })
                .collect();
            let out = self.some_segment(&axes, irreps.dim());
            if let (Some(factors), Some(out)) = (factors, out) {
                paths.push(Path { coefficient: Scalar(self.coefficient()), axes, factors, out });
            }
        }
        Body { operands, paths, irreps }
    }

    /// A random segment inside a row; `None` where the row is empty.
    fn some_segment(&mut self, axes: &[Axis], width: usize) -> Option<Segment> {
        let mut left = width.checked_sub(1)?;
        let mut strides: Strides = smallvec![0; axes.len()];
        let mut order: Vec<usize> = (0..axes.len()).collect();
        order.shuffle(&mut self.rng);
        for k in order {
            let steps = axes[k].size - 1;
            let most = left.checked_div(steps).unwrap_or(left).min(12);
            if !self.chance(0.2) {
                strides[k] = self.rng.random_range(0..=most);
                left -= strides[k] * steps;
            }
        }
        Some(Segment { offset: self.rng.random_range(0..=left), strides })
    }
}
