//! Contractions: how operands and output lie in the rows, and what is summed, scattered and divided by.

use rand::seq::SliceRandom;
use schur_ir::dim::Dim;
use schur_ir::graph::{Contract, Operand, Path, RowIndex, RowMap};

use super::contract::Body;
use super::{Index, Known, LIMIT, Maker};

/// An operand, with what picks its first axis and that axis' size.
struct Placed {
    value: Known,
    index: Option<(Index, usize)>,
}

/// Axes of the graph's rows as axes of some of them.
fn in_rows(axes: &[Option<usize>], rows: &[usize]) -> Vec<Option<usize>> {
    axes.iter().map(|a| a.map(|a| rows.iter().position(|r| *r == a).expect("an axis of the rows"))).collect()
}

fn row_map(index: Option<&(Index, usize)>, axes: &[Option<usize>], rows: &[usize]) -> RowMap {
    let index = index.map(|(index, size)| RowIndex {
        value: index.id,
        size: Dim::from(*size as i64),
        axes: in_rows(&index.axes, rows),
    });
    RowMap { index, axes: in_rows(axes, rows) }
}

impl Maker {
    /// Chooses the rows, then appends the contraction.
    pub(super) fn place(&mut self, mut body: Body) {
        let operands: Vec<Placed> = std::mem::take(&mut body.operands).into_iter().map(|v| self.placed(v)).collect();
        let rows = self.some_rows(&operands);
        let place = |o: &Placed| Operand { value: o.value.id, map: row_map(o.index.as_ref(), &o.value.axes, &rows) };
        let placed = operands.iter().map(place).collect();

        let scatter = self.some_scatter(&rows);
        let axes = self.some_kept(&rows, scatter.is_some());
        let summed: Vec<Dim> =
            rows.iter().filter(|a| !axes.contains(&Some(**a))).map(|a| self.rows[*a].clone()).collect();
        let mean = !summed.is_empty() && self.chance(0.5);
        if mean {
            self.not_empty(&summed);
        }
        let count: f64 = summed.iter().map(|dim| dim.constant().map_or(16.0, |n| n as f64)).product();
        let times = if mean { 1.0 } else { count } * if scatter.is_some() { 16.0 } else { 1.0 };
        let bound = tame(&mut body.paths, &operands, times);
        // Sums of a few leaves are exact; quotients and products are not.
        let copies = body.paths.iter().all(|path| path.coefficient.0 == 1.0 && path.factors.len() == 1);
        let exact = copies && times == 1.0 && !mean && operands.iter().all(|o| o.value.exact);

        let contract = Contract {
            out: row_map(scatter.as_ref(), &axes, &rows),
            rows: rows.iter().map(|axis| self.rows[*axis].clone()).collect(),
            operands: placed,
            divisor: if mean { Dim::product(&summed) } else { Dim::one() },
            paths: body.paths,
        };
        let layer = self.layer.clone();
        let id = self.graph.contract(contract, body.irreps, self.dtype, &layer);
        self.values.push(Known { id, lead: scatter.map(|(_, size)| size), axes, bound, exact });
    }

    fn placed(&mut self, value: Known) -> Placed {
        let index = value.lead.map(|size| {
            let fitting: Vec<_> = self.indices.iter().filter(|index| index.bound <= size).cloned().collect();
            (self.pick(&fitting), size)
        });
        Placed { value, index }
    }

    /// The axes that operands need, sometimes more, sometimes in another order.
    fn some_rows(&mut self, operands: &[Placed]) -> Vec<usize> {
        let index_axes = |o: &Placed| o.index.iter().flat_map(|(index, _)| index.axes.clone()).collect::<Vec<_>>();
        let axes = operands.iter().flat_map(|o| [o.value.axes.clone(), index_axes(o)].concat());
        let mut rows: Vec<usize> = axes.flatten().collect();
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

    /// An index to scatter by, whose axes are among the rows, and the size of the axis that it makes.
    fn some_scatter(&mut self, rows: &[usize]) -> Option<(Index, usize)> {
        let index = self.indices.last().filter(|index| index.axes.iter().flatten().all(|a| rows.contains(a)))?;
        let scatter = (index.clone(), index.bound);
        self.chance(0.3).then_some(scatter)
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

/// Scales coefficients by a power of two so that the sum over `times` rows stays below the limit; gives its bound.
fn tame(paths: &mut [Path], operands: &[Placed], times: f64) -> f64 {
    let bound = times * paths.iter().map(|path| path_bound(path, operands)).sum::<f64>();
    let scale = if bound > LIMIT { (LIMIT / bound).log2().floor().exp2() } else { 1.0 };
    paths.iter_mut().for_each(|path| path.coefficient.0 *= scale);
    bound * scale
}

/// A bound of what one row of a path adds to any element.
fn path_bound(path: &Path, operands: &[Placed]) -> f64 {
    let summed = path.axes.iter().zip(&path.out.strides).filter(|(_, stride)| **stride == 0);
    let summed: f64 = summed.map(|(axis, _)| axis.size as f64).product();
    let factors: f64 = path.factors.iter().map(|factor| operands[factor.operand].value.bound).product();
    path.coefficient.0.abs() * summed * factors
}
