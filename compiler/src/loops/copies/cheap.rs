//! What is cheap is computed again, not saved: elementwise values that other kernels read are computed there, where
//! reading what they are made of takes no more than saving them and reading them again. So are matrices that rows have of their own,
//! mixed of few weights that they share.

use std::collections::BTreeMap;

use schur_ir::graph::{Contract, Graph, Node, Op, Operand, Path, RowMap, ValueId};
use schur_ir::irreps::Irreps;
use schur_ir::ty::Type;

use super::{Packed, Rebuild, drop_unread};
use crate::loops::functions::is_costly;
use crate::loops::reads::{is_own_row, outputs, root, writes_own_row};
use crate::loops::schedule::Schedule;
use crate::loops::storage::Storage;
use crate::loops::{Array, Layout};

/// The graph with a copy of every cheap value for every kernel but its own that reads it; `None` where there is none.
pub(in crate::loops) fn compute_again(graph: &Graph, schedule: &Schedule, storage: &Storage) -> Option<Packed> {
    let plan = Plan::new(graph, schedule, storage).decide();
    if plan.again.iter().all(Vec::is_empty) {
        return None;
    }
    let mut rebuild = Rebuild::new(graph);
    let mut copies: BTreeMap<(ValueId, usize), ValueId> = BTreeMap::new();
    for (value, node) in graph.values() {
        let again = &plan.again[value.index()];
        for &kernel in again {
            let (op, ty) = plan.trimmed(value, kernel);
            let op = op.map_reads(|v| copies.get(&(v, kernel)).copied().unwrap_or_else(|| rebuild.moved(v)));
            let copy = rebuild.copy_of_rows(op, ty, node);
            copies.insert((value, kernel), copy);
        }
        let own = schedule.kernel_of[value.index()];
        let trimmed = own.filter(|_| !again.is_empty()).map(|own| plan.trimmed(value, own));
        let (op, ty) = trimmed.unwrap_or_else(|| (node.op.clone(), node.ty.clone()));
        let copy = |v| own.and_then(|own| copies.get(&(v, own)).copied());
        let op = op.map_reads(|v| copy(v).unwrap_or_else(|| rebuild.moved(v)));
        rebuild.keep(op, &Node { ty, ..node.clone() });
    }
    Some(rebuild.finish(graph))
}

/// The most terms of an element of a mixture.
const FEW_TERMS: usize = 64;

/// Rows of a mixture are so many times as wide as what it reads of a row.
const MUCH_WIDER: usize = 8;

/// Which kernels read which values.
struct Plan<'a> {
    graph: &'a Graph,
    schedule: &'a Schedule,
    storage: &'a Storage,
    /// One flag a value: true where an output is it.
    outputs: Vec<bool>,
    /// For every value the kernels that read it row by row, with how many of its first elements are read in each; none
    /// where some reader reads otherwise.
    readers: Vec<Option<BTreeMap<usize, usize>>>,
    /// The kernels in which every value is computed again.
    again: Vec<Vec<usize>>,
}

impl<'a> Plan<'a> {
    fn new(graph: &'a Graph, schedule: &'a Schedule, storage: &'a Storage) -> Self {
        let values = graph.nodes.len();
        let (readers, again) = (vec![Some(BTreeMap::new()); values], vec![Vec::new(); values]);
        let mut plan = Plan { graph, schedule, storage, outputs: outputs(graph), readers, again };
        for (value, _) in graph.values() {
            if let Some(kernel) = schedule.kernel_of[value.index()] {
                plan.read_by(value, kernel);
            }
        }
        plan
    }

    /// Notes what a value reads when it is computed in a kernel.
    fn read_by(&mut self, value: ValueId, kernel: usize) {
        for read in reads(self.graph, &self.graph.node(value).op) {
            let readers = &mut self.readers[root(self.graph, read.value).index()];
            match readers {
                Some(kernels) if read.row => {
                    let end = kernels.entry(kernel).or_default();
                    *end = (*end).max(read.end);
                }
                Some(_) => *readers = None,
                None => {}
            }
        }
    }

    /// Decides what is computed again. Later values first, since their copies are readers too.
    fn decide(mut self) -> Self {
        for (value, _) in self.graph.values().collect::<Vec<_>>().into_iter().rev() {
            if let Some(kernels) = self.kernels(value) {
                kernels.iter().for_each(|&kernel| self.read_by(value, kernel));
                self.again[value.index()] = kernels;
            }
        }
        self
    }

    /// The kernels that a value is computed again in, if it is cheap.
    fn kernels(&self, value: ValueId) -> Option<Vec<usize>> {
        let own = self.schedule.kernel_of[value.index()]?;
        let node = self.graph.node(value);
        let is_mixture = self.is_mixture(value);
        if self.outputs[value.index()]
            || !writes_own_row(node)
            || self.graph.rows_of(&node.op).is_empty()
            || !(is_mixture || is_elementwise(&node.op))
        {
            return None;
        }
        let readers = self.readers[value.index()].as_ref()?;
        let others: Vec<usize> = readers.keys().copied().filter(|&kernel| kernel != own).collect();
        let saved = node.ty.width() * (1 + others.len());
        let again = others.iter().map(|&kernel| self.elements(value, kernel, is_mixture)).sum::<Option<usize>>()?;
        (!others.is_empty() && again <= saved).then_some(others)
    }

    /// True where rows have many elements, each a sum of few products of elements of a row and others that rows share: they are computed in
    /// less time than they are written to memory and read.
    fn is_mixture(&self, value: ValueId) -> bool {
        let node = self.graph.node(value);
        let Op::Contract(contract) = &node.op else { return false };
        let terms = |path: &Path| {
            let axes = path.axes.iter().zip(&path.out.strides).filter(|(_, stride)| **stride == 0);
            axes.map(|(axis, _)| axis.size).product::<usize>()
        };
        let reads = reads(self.graph, &node.op);
        let of_row = reads.iter().filter(|read| read.row).map(|read| read.end).sum::<usize>();
        contract.paths.iter().all(|path| terms(path) <= FEW_TERMS)
            && reads.iter().any(|read| read.shared)
            && of_row.saturating_mul(MUCH_WIDER) <= node.ty.width()
    }

    /// How many elements of a row are read for a value alone when it is computed in a kernel; none where it cannot be. For a mixture,
    /// what was scratch of another kernel is saved.
    fn elements(&self, value: ValueId, kernel: usize, is_mixture: bool) -> Option<usize> {
        let mut elements = 0;
        for read in reads(self.graph, &self.graph.node(value).op) {
            let of = root(self.graph, read.value);
            let is_at_hand = match (self.storage.places[of.index()]?.array, self.schedule.kernel_of[of.index()]) {
                (Array::Memory(_), made) => made.is_none_or(|made| made <= kernel),
                (Array::Scratch(_), made) => made == Some(kernel) || is_mixture,
            };
            let is_read_anyway = self.readers[of.index()].as_ref().is_none_or(|readers| readers.contains_key(&kernel));
            if !is_at_hand || !(read.row || read.shared) {
                return None;
            }
            elements += if read.row && !is_read_anyway { read.end } else { 0 };
        }
        Some(elements)
    }

    /// A value as a kernel needs it: the first elements alone, where that drops paths.
    fn trimmed(&self, value: ValueId, kernel: usize) -> (Op, Type) {
        let node = self.graph.node(value);
        let end = self.readers[value.index()].as_ref().and_then(|readers| readers.get(&kernel)).copied();
        let is_flat = self.storage.places[value.index()].is_some_and(|place| place.layout == Layout::Irreps);
        let (Op::Contract(contract), Some(end), true) = (&node.op, end, is_flat) else {
            return (node.op.clone(), node.ty.clone());
        };
        let kept = contract.paths.iter().filter(|path| path.out.offset < end).cloned().collect();
        let mut contract = Contract { paths: kept, ..contract.clone() };
        let last = contract.paths.iter().filter_map(|path| path.out.last(&path.axes)).max();
        let width = last.map_or(end, |last| end.max(last + 1));
        if width == node.ty.width() {
            return (node.op.clone(), node.ty.clone());
        }
        drop_unread(&mut contract);
        let ty = Type::new(node.ty.dims.clone(), Irreps::scalars(width), node.ty.dtype);
        (Op::Contract(contract), ty)
    }
}

/// An operand as it is read.
struct Read {
    value: ValueId,
    /// True where every row reads its own.
    row: bool,
    /// True where all rows read the same.
    shared: bool,
    /// Up to which element.
    end: usize,
}

fn reads(graph: &Graph, op: &Op) -> Vec<Read> {
    let rows = graph.rows_of(op);
    let read = |operand: &Operand, end: usize| {
        let is_itself = root(graph, operand.value) == operand.value;
        let row = is_itself && is_own_row(graph, rows, operand);
        Read { value: operand.value, row, shared: operand.map == RowMap::shared(), end }
    };
    match op {
        Op::Contract(c) => c.operands.iter().enumerate().map(|(k, o)| read(o, elements_read(c, k))).collect(),
        Op::Map(m) => m.operands.iter().map(|o| read(o, graph.ty(o.value).width())).collect(),
        Op::Max(m) => vec![Read { value: m.value, row: false, shared: false, end: 0 }],
        Op::Input(_) | Op::Param(_) | Op::Reshape(_) => Vec::new(),
    }
}

/// Up to which element a contraction reads an operand.
fn elements_read(contract: &Contract, operand: usize) -> usize {
    let factors = contract.paths.iter().flat_map(|path| path.factors.iter().map(move |f| (f, path)));
    let ends = factors.filter(|(f, _)| f.operand == operand).filter_map(|(f, path)| f.segment.last(&path.axes));
    ends.max().map_or(0, |last| last + 1)
}

/// True where an element takes a few operations.
fn is_elementwise(op: &Op) -> bool {
    match op {
        Op::Contract(c) => !c.paths.iter().any(|path| path.out.sums(&path.axes)),
        Op::Map(map) => !is_costly(&map.expr),
        Op::Input(_) | Op::Param(_) | Op::Max(_) | Op::Reshape(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use schur_ir::program::BufferKind;

    use crate::loops::lowered;

    /// Matrices of rows, mixed of 3 weights, by which rows are multiplied before and after a sum over rows.
    const MIXED: &str = r#"graph "mixed"

%0: f32[N] 3x0e = input "e"
%1: f32[] 480x0e = param "params/w" [3, 8, 20] normal(0, 1)
%2: f32[N] 8x0e = input "x"
%3: f32[N] 160x0e = contract %0[0], %1[] over [N]
    x0@0(d) x1@0(d v) -> @0(v) for v=160 d=3
%4: f32[] 20x0e = contract %3[0], %2[0] over [N] into []
    x0@0(u v) x1@0(u) -> @0(v) for v=20 u=8
%5: f32[N] 8x0e = contract %3[0], %4[] over [N]
    x0@0(u v) x1@0(v) -> @0(u) for u=8 v=20

output "y" = %5
"#;

    #[test]
    fn matrices_of_rows_are_mixed_again() {
        let loops = lowered(MIXED);
        let mixes = loops.to_string().matches("m0[row][d] * m1[v + 160d]").count();
        assert_eq!(mixes, 2, "{loops}");
        let temporaries = loops.buffers.iter().filter(|buffer| buffer.kind == BufferKind::Temporary);
        assert!(temporaries.into_iter().all(|buffer| buffer.dims.is_empty()), "{loops}");
    }

    #[test]
    fn long_sums_are_saved() {
        let loops = lowered(
            &MIXED
                .replace("480x0e", "11200x0e")
                .replace("[3, ", "[70, ")
                .replace("3x0e = input", "70x0e = input")
                .replace("d=3", "d=70"),
        );
        assert_eq!(loops.to_string().matches("m0[row][d] * m1[v + 160d]").count(), 1, "{loops}");
    }
}
