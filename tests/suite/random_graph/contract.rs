//! Contractions of every flavour, over random rows.

use rand::RngExt;
use rand::seq::SliceRandom;
use schur_ir::dim::Dim;
use schur_ir::expr::Scalar;
use schur_ir::graph::{Axis, Contract, Factor, Operand, Path, RowIndex, RowMap, Segment};
use schur_ir::irreps::{Irrep, Irreps, MulIrrep};

use super::{Known, LIMIT, Maker};

/// Wider results are not made.
const MAX_WIDTH: usize = 500;

/// The inside of a row, before its place in the rows is chosen.
struct Body {
    operands: Vec<Known>,
    paths: Vec<Path>,
    irreps: Irreps,
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
    let mut strides = vec![0; axes.len()];
    letters.chars().rev().fold(1, |stride, letter| {
        let k = axes.iter().position(|axis| axis.letter == letter).expect("an axis of the path");
        strides[k] = stride;
        stride * axes[k].size
    });
    Segment { offset, strides }
}

/// A path: sizes of its axes, the operand, offset and axes of each factor, and offset and axes of its output.
fn path(coefficient: f64, sizes: &[(char, usize)], factors: &[(usize, usize, &str)], out: (usize, &str)) -> Path {
    let axes: Vec<Axis> = sizes.iter().map(|&(letter, size)| Axis { letter, size }).collect();
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
        let drop_units = |strides: &mut Vec<usize>| {
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
        let axes: Vec<Axis> = [('u', u), ('v', v), ('i', i)].map(|(letter, size)| Axis { letter, size }).to_vec();
        let factors = vec![
            Factor { operand: 0, segment: Segment { offset: a.offset, strides: vec![a.ir.dim(), 0, 1] } },
            Factor { operand: 1, segment: Segment { offset: b.offset, strides: vec![0, b.ir.dim(), 1] } },
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
            let axes: Vec<Axis> =
                letters.chars().map(|letter| Axis { letter, size: self.rng.random_range(1..6) }).collect();
            let factors: Option<Vec<Factor>> = (0..self.rng.random_range(1..=2))
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
        let mut strides = vec![0; axes.len()];
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

    /// Chooses rows, how operands and output lie in them, what is summed, scattered and divided by; then appends it.
    fn place(&mut self, mut body: Body) {
        let mut operands: Vec<(Known, Option<(super::Index, usize)>)> = Vec::new();
        for value in body.operands {
            let index = value.lead.map(|size| (self.index_below(size), size));
            operands.push((value, index));
        }
        let rows = self.some_rows(&operands);
        let in_rows = |axes: &[Option<usize>]| -> Vec<Option<usize>> {
            axes.iter().map(|a| a.map(|a| rows.iter().position(|r| *r == a).unwrap())).collect()
        };
        let row_index = |index: &super::Index, size: usize| RowIndex {
            value: index.id,
            size: Dim::from(size as i64),
            axes: in_rows(&index.axes),
        };
        let place = |(value, index): &(Known, Option<(super::Index, usize)>)| Operand {
            value: value.id,
            map: RowMap { index: index.as_ref().map(|(i, size)| row_index(i, *size)), axes: in_rows(&value.axes) },
        };
        let placed = operands.iter().map(place).collect();

        let scatter =
            self.indices.last().filter(|index| index.axes.iter().flatten().all(|a| rows.contains(a))).cloned();
        let scatter = scatter.filter(|_| self.rng.random_bool(0.3)).map(|index| (index.bound, index));
        let kept = self.some_kept(&rows, scatter.is_some());
        let dropped: Vec<usize> = rows.iter().copied().filter(|axis| !kept.contains(&Some(*axis))).collect();
        let out = RowMap { index: scatter.as_ref().map(|(size, i)| row_index(i, *size)), axes: in_rows(&kept) };
        let mean = !dropped.is_empty() && self.chance(0.5);
        let summed: Vec<Dim> = dropped.iter().map(|axis| self.rows[*axis].clone()).collect();
        if mean {
            self.not_empty(&summed);
        }
        let divisor = if mean { Dim::product(&summed) } else { Dim::one() };

        let count: f64 = summed.iter().map(|dim| dim.constant().map_or(16.0, |n| n as f64)).product();
        let times = if mean { 1.0 } else { count } * if scatter.is_some() { 16.0 } else { 1.0 };
        let bound = times * body.paths.iter().map(|path| path_bound(path, &operands)).sum::<f64>();
        let scale = if bound > LIMIT { (LIMIT / bound).log2().floor().exp2() } else { 1.0 };
        body.paths.iter_mut().for_each(|path| path.coefficient.0 *= scale);
        let copies = body.paths.iter().all(|path| path.coefficient.0 == 1.0 && path.factors.len() == 1);
        let disjoint = body.paths.iter().map(|p| p.axes.iter().map(|a| a.size).product::<usize>()).sum::<usize>();
        let exact = copies
            && times == 1.0
            && disjoint <= body.irreps.dim()
            && !mean
            && operands.iter().all(|(value, _)| value.exact);

        let rows = rows.iter().map(|axis| self.rows[*axis].clone()).collect();
        let contract = Contract { rows, operands: placed, out, divisor, paths: body.paths };
        let layer = self.layer.clone();
        let id = self.graph.contract(contract, body.irreps, self.dtype, &layer);
        let lead = scatter.map(|(size, _)| size);
        self.values.push(Known { id, lead, axes: kept, bound: bound.min(LIMIT), exact });
    }

    fn index_below(&mut self, size: usize) -> super::Index {
        let fitting: Vec<_> = self.indices.iter().filter(|index| index.bound <= size).cloned().collect();
        self.pick(&fitting)
    }

    /// The axes that operands need, sometimes more, sometimes in another order.
    fn some_rows(&mut self, operands: &[(Known, Option<(super::Index, usize)>)]) -> Vec<usize> {
        let index_axes =
            |index: &Option<(super::Index, usize)>| index.iter().flat_map(|(i, _)| i.axes.clone()).collect();
        let axes = operands.iter().flat_map(|(value, index)| {
            let of_index: Vec<Option<usize>> = index_axes(index);
            value.axes.iter().copied().chain(of_index).flatten().collect::<Vec<_>>()
        });
        let mut rows: Vec<usize> = axes.collect();
        if self.chance(0.2) {
            rows.extend(0..self.rows.len());
        }
        rows.sort_unstable();
        rows.dedup();
        if self.chance(0.15) {
            rows.shuffle(&mut self.rng);
        }
        rows
    }

    /// The output's axes: all, or fewer, sometimes permuted or with an axis of size 1.
    fn some_kept(&mut self, rows: &[usize], scattered: bool) -> Vec<Option<usize>> {
        let reduces = self.chance(if scattered { 0.8 } else { 0.3 });
        let mut kept = Vec::new();
        for axis in rows {
            if !reduces || self.chance(0.3) {
                kept.push(Some(*axis));
            } else if self.chance(0.15) {
                kept.push(None);
            }
        }
        if self.chance(0.15) {
            kept.shuffle(&mut self.rng);
        }
        kept
    }
}

/// A bound of what one row of a path adds to any element.
fn path_bound(path: &Path, operands: &[(Known, Option<(super::Index, usize)>)]) -> f64 {
    let summed = path.axes.iter().zip(&path.out.strides).filter(|(_, stride)| **stride == 0);
    let summed: f64 = summed.map(|(axis, _)| axis.size as f64).product();
    let factors: f64 = path.factors.iter().map(|factor| operands[factor.operand].0.bound).product();
    path.coefficient.0.abs() * summed * factors
}
