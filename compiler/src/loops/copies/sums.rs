//! Sums over rows of products with what all rows share.
//!
//! `Σ_row (s x[row] + t y[row]) = s Σ_row x[row] + t Σ_row y[row]`. The gradient of a mean, as batch norm has it, sums what
//! depends on sums itself: a pass over all rows that ends before the next one begins. The sums on the right are made in
//! earlier passes, beside what they are sums of, and that pass is none.

use std::ops::Range;

use schur_ir::dim::Dim;
use schur_ir::graph::{Contract, Factor, Graph, Node, Op, Operand, Path, RowMap, ValueId};
use schur_ir::irreps::Irreps;
use schur_ir::ty::Type;

use super::{Packed, Rebuild, drop_unread};
use crate::loops::reads::is_own_row;

/// The graph in which sums over rows that later rows wait for are sums of what they are linear in, where these end in an
/// earlier pass over the rows.
pub(in crate::loops) fn sum_early(graph: &Graph) -> Packed {
    let passes = Passes::new(graph);
    let mut rebuild = Rebuild::new(graph);
    for (value, node) in graph.values() {
        let op = match &node.op {
            Op::Contract(contract) if passes.ends_early(value, contract) => {
                Op::Contract(passes.of_sums(&mut rebuild, node, contract))
            }
            op @ (Op::Contract(_) | Op::Input(_) | Op::Param(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_)) => {
                op.map_reads(|v| rebuild.moved(v))
            }
        };
        rebuild.keep(op, node);
    }
    rebuild.finish(graph)
}

/// How many passes over rows must end before a value is known.
pub(super) struct Passes<'g> {
    graph: &'g Graph,
    /// Before the value itself.
    value: Vec<usize>,
    /// Before the sum of its rows, as a sum of what it is linear in where that is earlier.
    sum: Vec<usize>,
    /// True where a value over rows waits for it.
    is_awaited: Vec<bool>,
}

impl<'g> Passes<'g> {
    pub(super) fn new(graph: &'g Graph) -> Self {
        let count = graph.nodes.len();
        let mut passes = Passes { graph, value: vec![0; count], sum: vec![0; count], is_awaited: vec![false; count] };
        for (value, node) in graph.values() {
            let read = node.op.reads().iter().map(|v| passes.value[v.index()]).max().unwrap_or(0);
            passes.value[value.index()] = read + usize::from(sums_rows(&node.op));
            let plain = passes.value[value.index()] + 1;
            passes.sum[value.index()] = passes.linear(value).map_or(plain, |c| passes.of_terms(c).min(plain));
        }
        for (value, node) in graph.values().collect::<Vec<_>>().into_iter().rev() {
            let waits = !graph.rows_of(&node.op).is_empty() || passes.is_awaited[value.index()];
            node.op.reads().iter().for_each(|read| passes.is_awaited[read.index()] |= waits);
        }
        passes
    }

    /// How many passes over rows must end before a value is known.
    pub(super) fn before(&self, value: ValueId) -> usize {
        self.value[value.index()]
    }

    /// The contraction that makes a value row by row, where it is linear in operands that have a row for each.
    fn linear(&self, value: ValueId) -> Option<&'g Contract> {
        match &self.graph.node(value).op {
            Op::Contract(c) if c.out.is_identity(c.rows.len()) && self.is_linear(c) => Some(c),
            Op::Contract(_) | Op::Map(_) | Op::Max(_) | Op::Input(_) | Op::Param(_) | Op::Reshape(_) => None,
        }
    }

    /// True where every term has one factor with a row for every row, and all rows share the other.
    fn is_linear(&self, contract: &Contract) -> bool {
        let is_row = |f: &Factor| self.is_row(contract, &contract.operands[f.operand]);
        let is_shared = |f: &Factor| contract.operands[f.operand].map == RowMap::shared();
        let is_term = |path: &Path| {
            let rows = path.factors.iter().filter(|f| is_row(f)).count();
            rows == 1 && path.factors.iter().all(|f| is_row(f) || is_shared(f))
        };
        !contract.rows.is_empty() && contract.paths.iter().all(is_term)
    }

    fn is_row(&self, contract: &Contract, operand: &Operand) -> bool {
        is_own_row(self.graph, &contract.rows, operand)
    }

    /// Passes before all that the terms of a linear contraction are made of is known, its rows summed.
    fn of_terms(&self, contract: &Contract) -> usize {
        let of = |o: &Operand| if self.is_row(contract, o) { &self.sum } else { &self.value }[o.value.index()];
        contract.operands.iter().map(of).max().unwrap_or(0)
    }

    /// True for a sum over all rows that other rows wait for, and that is known earlier as a sum of sums.
    fn ends_early(&self, value: ValueId, contract: &Contract) -> bool {
        let sums_all = contract.out == RowMap::shared() && self.is_linear(contract);
        sums_all && self.is_awaited[value.index()] && self.of_terms(contract) < self.value[value.index()]
    }

    /// A linear contraction of the sums of its operands' rows.
    fn of_sums(&self, rebuild: &mut Rebuild, node: &Node, contract: &Contract) -> Contract {
        let operands = contract.operands.iter().enumerate().map(|(k, operand)| {
            let value = if self.is_row(contract, operand) {
                self.sum(rebuild, node, operand.value, elements_read(contract, k))
            } else {
                rebuild.moved(operand.value)
            };
            Operand { value, map: RowMap::shared() }
        });
        let operands = operands.collect();
        Contract { rows: Vec::new(), operands, out: RowMap::shared(), ..contract.clone() }
    }

    /// Adds the sum of a value's rows, of these elements at least.
    fn sum(&self, rebuild: &mut Rebuild, node: &Node, value: ValueId, range: Range<usize>) -> ValueId {
        let is_early = self.sum[value.index()] <= self.value[value.index()];
        let (contract, width) = match self.linear(value).filter(|_| is_early) {
            Some(contract) => {
                let paths: Vec<Path> = contract.paths.iter().filter_map(|path| within(path, &range)).collect();
                let ends = paths.iter().map(|path| path.out.hull(&path.axes).end);
                let width = ends.max().unwrap_or(0).max(range.end);
                let mut contract = Contract { paths, ..contract.clone() };
                drop_unread(&mut contract);
                (self.of_sums(rebuild, node, &contract), width)
            }
            None => (sum_of_rows(rebuild.moved(value), &self.graph.ty(value).dims, &range), range.end),
        };
        let ty = Type::new(Vec::new(), Irreps::scalars(width), node.ty.dtype);
        rebuild.copy(Op::Contract(contract), ty, node)
    }
}

/// True where an op ends a pass over its rows.
fn sums_rows(op: &Op) -> bool {
    match op {
        Op::Contract(contract) => contract.reduces(),
        Op::Max(_) => true,
        Op::Input(_) | Op::Param(_) | Op::Map(_) | Op::Reshape(_) => false,
    }
}

/// From the first to the last element that a contraction reads of an operand.
fn elements_read(contract: &Contract, operand: usize) -> Range<usize> {
    let read = contract.paths.iter().flat_map(|path| path.factors.iter().map(move |f| (f, path)));
    let hulls = read.filter(|(f, _)| f.operand == operand).map(|(f, path)| f.segment.hull(&path.axes));
    hulls.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end)).unwrap_or(0..0)
}

/// The path without elements outside the range, where it can do without them; `None` where none is inside.
pub(super) fn within(path: &Path, range: &Range<usize>) -> Option<Path> {
    let hull = path.out.hull(&path.axes);
    let common = hull.start.max(range.start)..hull.end.min(range.end);
    if common.is_empty() {
        return None;
    }
    let mut path = path.clone();
    let mut moving = (0..path.axes.len()).filter(|&k| path.out.strides[k] > 0);
    if let (Some(axis), None) = (moving.next(), moving.next())
        && path.out.strides[axis] == 1
    {
        path.restrict(axis, common.start - hull.start..common.end - hull.start);
    }
    Some(path)
}

/// `Σ_row x[row]`, of some elements.
fn sum_of_rows(value: ValueId, rows: &[Dim], range: &Range<usize>) -> Contract {
    let path = Path::run(range.len(), [(0, range.start)], range.start);
    let operands = vec![Operand { value, map: RowMap::identity(rows.len()) }];
    Contract { rows: rows.to_vec(), operands, out: RowMap::shared(), divisor: Dim::one(), paths: vec![path] }
}

#[cfg(test)]
mod tests {
    use crate::loops::lowered;

    /// `y + mean(y)` for `y = s² (x − mean(x))`, where `s` is the sum of squares of `x − mean(x)`.
    const AFTER_STATISTICS: &str = r#"graph "means"

%0: f32[N] 4x0e = input "x"
%1: f32[] 4x0e = contract %0[0] over [N] into [] / N
    x0@0(v) -> @0(v) for v=4
%2: f32[N] 4x0e = contract %0[0], %1[] over [N]
    x0@0(v) -> @0(v) for v=4
    -1 x1@0(v) -> @0(v) for v=4
%3: f32[] 4x0e = contract %2[0] over [N] into []
    x0@0(v) x0@0(v) -> @0(v) for v=4
%4: f32[] 4x0e = map mul(x0, x0) of %3[]
%5: f32[N] 4x0e = contract %2[0], %4[] over [N]
    x0@0(v) x1@0(v) -> @0(v) for v=4
%6: f32[] 4x0e = contract %5[0] over [N] into [] / N
    x0@0(v) -> @0(v) for v=4
%7: f32[N] 4x0e = contract %5[0], %6[] over [N]
    x0@0(v) -> @0(v) for v=4
    x1@0(v) -> @0(v) for v=4

output "y" = %7
"#;

    #[test]
    fn a_mean_of_what_depends_on_statistics_takes_no_pass() {
        let loops = lowered(AFTER_STATISTICS);
        let passes = loops.kernels.iter().filter(|kernel| !kernel.rows.is_empty()).count();
        assert_eq!(passes, 3, "{loops}");
    }

    #[test]
    fn a_sum_that_no_row_waits_for_stays() {
        let (text, _) = AFTER_STATISTICS.split_once("%7").expect("the graph ends with %7");
        let loops = lowered(&format!("{text}\noutput \"y\" = %5\noutput \"mean\" = %6\n")).to_string();
        assert!(loops.contains("+= m1[row][v] / (N)  for v<4"), "{loops}");
    }
}
