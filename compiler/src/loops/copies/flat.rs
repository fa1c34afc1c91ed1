//! Elementwise products of whole irreps on arrays as they are, components between multiplicities.
//!
//! `x[u, i] s[u]` has no axis along which all is contiguous. With `s` written once a call for every component,
//! `s'[u, i] = c s[u]`, it is a product of neighbours, for all chunks together. The other way round, a sum over rows and
//! components, `Σ_row Σ_i x[u, i] y[u, i]`, is one over rows of products of neighbours, whose components are added at the end.

use schur_ir::dim::Dim;
use schur_ir::graph::{Axis, Contract, Factor, Graph, Node, Op, Operand, Path, RowMap, Segment, ValueId};
use schur_ir::irreps::Irreps;
use schur_ir::ty::Type;
use smallvec::smallvec;

use super::{Packed, Rebuild, drop_unread};
use crate::loops::Layout;
use crate::loops::reads::{is_own_row, root};
use crate::loops::schedule::Schedule;
use crate::loops::storage::Storage;

/// The graph with flat products where components are neighbours in all that is touched; `None` where there are none.
pub(in crate::loops) fn flatten(graph: &Graph, _: &Schedule, storage: &Storage) -> Option<Packed> {
    let mut rebuild = Rebuild::new(graph);
    let mut changed = false;
    for (value, node) in graph.values() {
        let mut op = node.op.map_reads(|v| rebuild.moved(v));
        if let (Op::Contract(old), Op::Contract(contract)) = (&node.op, &mut op) {
            let places = Places { graph, storage, contract: old, value };
            changed |= spread(&mut rebuild, node, contract, &places) || fold(&mut rebuild, node, contract, &places);
        }
        rebuild.keep(op, node);
    }
    changed.then(|| rebuild.finish(graph))
}

/// Where the arrays of a contraction lie.
struct Places<'a> {
    graph: &'a Graph,
    storage: &'a Storage,
    contract: &'a Contract,
    value: ValueId,
}

impl Places<'_> {
    fn is_flat(&self, value: ValueId) -> bool {
        let place = self.storage.places[root(self.graph, value).index()];
        place.is_some_and(|place| place.layout == Layout::Irreps)
    }

    /// True where the output has a row for every row, components between multiplicities.
    fn writes_rows(&self) -> bool {
        let rank = self.contract.rows.len();
        rank > 0 && self.contract.out.is_identity(rank) && self.is_flat(self.value)
    }

    /// True for an operand with a row for every row, components between multiplicities.
    fn is_row(&self, operand: usize) -> bool {
        let Some(operand) = self.contract.operands.get(operand) else { return false };
        let rows = &self.contract.rows;
        !rows.is_empty() && is_own_row(self.graph, rows, operand) && self.is_flat(operand.value)
    }

    /// True for an operand that is the same for all rows.
    fn is_shared(&self, operand: usize) -> bool {
        let shared = |o: &Operand| o.map == RowMap::shared();
        self.contract.operands.get(operand).is_some_and(shared) && !self.contract.rows.is_empty()
    }
}

/// How many elements the axes run over, where they are neighbours, in the same order, in all segments; `None` for no
/// elements.
fn run(axes: &[Axis], segments: &[&Segment]) -> Option<usize> {
    let [first, rest @ ..] = segments else { return None };
    if axes.iter().any(|axis| axis.size == 0) {
        return None;
    }
    let mut steps: Vec<(usize, usize)> = Vec::new();
    for (k, axis) in axes.iter().enumerate().filter(|(_, axis)| axis.size > 1) {
        let stride = first.strides[k];
        rest.iter().all(|s| s.strides[k] == stride).then(|| steps.push((stride, axis.size)))?;
    }
    steps.sort_unstable();
    steps.into_iter().try_fold(1, |length, (stride, size)| (stride == length).then_some(length * size))
}

/// Adds a flat path, or makes the last one longer.
fn push(paths: &mut Vec<Path>, next: Path) {
    let length = next.axes[0].size;
    if let Some(last) = paths.last_mut() {
        let size = last.axes[0].size;
        let mut pairs = last.factors.iter().zip(&next.factors);
        let as_many = last.factors.len() == next.factors.len();
        let follows =
            as_many && pairs.all(|(a, b)| a.operand == b.operand && a.segment.offset + size == b.segment.offset);
        if follows && last.out.offset + size == next.out.offset {
            last.axes[0].size += length;
            return;
        }
    }
    paths.push(next);
}

/// What is made for a contraction, without rows.
struct Side {
    paths: Vec<Path>,
    width: usize,
}

impl Side {
    fn new() -> Self {
        Side { paths: Vec::new(), width: 0 }
    }

    fn ty(&self, node: &Node) -> Type {
        Type::new(Vec::new(), Irreps::scalars(self.width), node.ty.dtype)
    }
}

/// Lets products with what is shared by all rows read it written out for every component.
fn spread(rebuild: &mut Rebuild, node: &Node, contract: &mut Contract, places: &Places<'_>) -> bool {
    let shared = (0..contract.operands.len()).filter(|&k| places.writes_rows() && places.is_shared(k));
    let repeated: Vec<usize> =
        shared.filter(|&k| contract.paths.iter().any(|path| is_repeated(path, k, places))).collect();
    for &operand in &repeated {
        let (mut products, others): (Vec<Path>, Vec<Path>) =
            std::mem::take(&mut contract.paths).into_iter().partition(|path| product(path, operand, places).is_some());
        products.sort_by_key(|path| path.out.offset);
        let mut copy = Side::new();
        for path in products {
            let Some((shared, row, length)) = product(&path, operand, places) else { continue };
            let factors = [(row.operand, row.segment.offset), (contract.operands.len(), copy.width)];
            push(&mut contract.paths, Path::run(length, factors, path.out.offset));
            let out = Segment { offset: copy.width, ..path.out.clone() };
            copy.paths.push(Path { factors: smallvec![Factor { operand: 0, ..shared.clone() }], out, ..path });
            copy.width += length;
        }
        // Where all is written out, the division is too.
        let divisor = if others.is_empty() { std::mem::replace(&mut contract.divisor, Dim::one()) } else { Dim::one() };
        contract.paths.extend(others);
        let (ty, operands) = (copy.ty(node), vec![contract.operands[operand].clone()]);
        let copy = Contract { rows: Vec::new(), operands, out: RowMap::shared(), divisor, paths: copy.paths };
        let value = rebuild.copy(Op::Contract(copy), ty, node);
        contract.operands.push(Operand { value, map: RowMap::shared() });
    }
    drop_unread(contract);
    !repeated.is_empty()
}

/// The factors of a product of a shared operand and a row, over neighbours of the row and the output, and how many.
fn product<'p>(path: &'p Path, shared: usize, places: &Places<'_>) -> Option<(&'p Factor, &'p Factor, usize)> {
    let [x, y] = &path.factors[..] else { return None };
    let (own, row) = if x.operand == shared { (x, y) } else { (y, x) };
    let length = run(&path.axes, &[&path.out, &row.segment])?;
    (own.operand == shared && places.is_row(row.operand)).then_some((own, row, length))
}

/// True for such a product whose shared factor lacks the axis of neighbours, or has its elements in another order.
fn is_repeated(path: &Path, shared: usize, places: &Places<'_>) -> bool {
    let Some((own, ..)) = product(path, shared, places) else { return false };
    let is_neighbours = |axis: &usize| path.out.strides[*axis] == 1 && path.axes[*axis].size > 1;
    let axis = (0..path.axes.len()).find(is_neighbours);
    axis.is_some_and(|axis| own.segment.strides[axis] != 1)
}

/// Lets a sum over all rows leave the sum over components for the end.
fn fold(rebuild: &mut Rebuild, node: &Node, contract: &mut Contract, places: &Places<'_>) -> bool {
    let sums_rows = contract.out == RowMap::shared() && !contract.rows.is_empty();
    let lengths: Option<Vec<usize>> = contract.paths.iter().map(|path| length(path, places)).collect();
    let Some(lengths) = lengths.filter(|_| sums_rows && contract.paths.iter().any(|path| path.out.sums(&path.axes)))
    else {
        return false;
    };
    let mut sums = Side::new();
    let mut paths = Vec::new();
    for (path, length) in std::mem::take(&mut contract.paths).into_iter().zip(lengths) {
        push(
            &mut sums.paths,
            Path::run(length, path.factors.iter().map(|f| (f.operand, f.segment.offset)), sums.width),
        );
        let segment = Segment { offset: sums.width, ..path.factors[0].segment.clone() };
        paths.push(Path { factors: smallvec![Factor { operand: 0, segment }], ..path });
        sums.width += length;
    }
    let ty = sums.ty(node);
    let divisor = std::mem::replace(&mut contract.divisor, Dim::one());
    let value = rebuild.copy(Op::Contract(Contract { paths: sums.paths, ..contract.clone() }), ty, node);
    let (operands, out) = (vec![Operand { value, map: RowMap::shared() }], RowMap::shared());
    *contract = Contract { rows: Vec::new(), operands, out, divisor, paths };
    true
}

/// Over how many neighbours of rows a path multiplies, if it does nothing else.
fn length(path: &Path, places: &Places<'_>) -> Option<usize> {
    let segments: Vec<&Segment> = path.factors.iter().map(|f| &f.segment).collect();
    run(&path.axes, &segments).filter(|_| path.factors.iter().all(|f| places.is_row(f.operand)))
}
