//! The order of elements in scratch: whether a value can be stored component by component, and where its segments are
//! then.

#![expect(clippy::indexing_slicing, reason = "places are of a verified graph, and of lists made for it")]

use schur_ir::graph::{Axis, Contract, Factor, Graph, Node, Op, Path, Segment, ValueId};
use schur_ir::irreps::Irreps;

use super::Layout;
use super::reads::{outputs, root};
use super::schedule::Schedule;

/// What has a say in the layouts of values.
pub(super) struct Users {
    /// For every value those that a kernel computes and that touch its elements: itself, and what reads it.
    of: Vec<Vec<ValueId>>,
    /// True for values that are also read with rows that are cut otherwise, and so have other components.
    cut_otherwise: Vec<bool>,
    /// True for values that lie in the caller's arrays.
    callers: Vec<bool>,
}

impl Users {
    pub(super) fn new(graph: &Graph, schedule: &Schedule) -> Self {
        let (of, cut_otherwise) = (vec![Vec::new(); graph.nodes.len()], vec![false; graph.nodes.len()]);
        let mut users = Users { of, cut_otherwise, callers: callers(graph) };
        for (user, node) in graph.values() {
            let of = root(graph, user);
            if matches!(node.op, Op::Reshape(_)) && node.ty.dims != graph.ty(of).dims {
                users.cut_otherwise[of.index()] = true;
            }
            if schedule.kernel_of[user.index()].is_some() {
                users.of[user.index()].push(user);
                for read in node.op.reads() {
                    let of = &mut users.of[root(graph, read).index()];
                    of.extend((of.last() != Some(&user)).then_some(user));
                }
            }
        }
        users
    }
}

/// Component by component, where there are components and every statement that touches the value can say so.
pub(super) fn layout_of(graph: &Graph, users: &Users, value: ValueId) -> Layout {
    let irreps = &graph.ty(value).irreps;
    if irreps.iter().all(|c| c.ir.l == 0) {
        return Layout::Irreps;
    }
    let touches = |op: &Op, user: ValueId| match op {
        Op::Contract(c) => contract_touches(graph, users, c, user, value),
        Op::Map(_) | Op::Max(_) => false,
        Op::Input(_) | Op::Param(_) | Op::Reshape(_) => true,
    };
    if users.cut_otherwise[value.index()] {
        return Layout::Irreps;
    }
    let all = users.of[value.index()].iter().all(|&user| touches(&graph.node(user).op, user));
    if all { Layout::Components } else { Layout::Irreps }
}

/// True where every segment of `value` in a contraction can be said component by component.
fn contract_touches(graph: &Graph, users: &Users, contract: &Contract, user: ValueId, value: ValueId) -> bool {
    let irreps = &graph.ty(value).irreps;
    let touching = contract.paths.iter().filter(|path| !segments_of(graph, contract, path, user, value).is_empty());
    touching.flat_map(|path| chunk_paths(graph, &users.callers, contract, path, user)).all(|path| {
        let path = split_path(graph, contract, &path, user);
        let segments = segments_of(graph, contract, &path, user, value);
        segments.iter().all(|s| to_components(s, &path.axes, irreps).is_some())
    })
}

/// The segments of `value` in a path of the contraction that makes `user`.
fn segments_of<'p>(
    graph: &Graph,
    contract: &Contract,
    path: &'p Path,
    user: ValueId,
    value: ValueId,
) -> Vec<&'p Segment> {
    let is_value = |f: &&Factor| root(graph, contract.operands[f.operand].value) == value;
    let read = path.factors.iter().filter(is_value).map(|f| &f.segment);
    read.chain((user == value).then_some(&path.out)).collect()
}

/// One flag a value: true where its rows lie in an array of the caller's, an input or an output.
pub(super) fn callers(graph: &Graph) -> Vec<bool> {
    let values = outputs(graph).into_iter().zip(&graph.nodes);
    let is_callers =
        |(is_output, node): (bool, &Node)| (is_output || matches!(node.op, Op::Input(_))) && !node.ty.dims.is_empty();
    values.map(is_callers).collect()
}

/// A path of the contraction that makes `user`, cut so that none of its axes runs over several chunks of a value that has
/// components; whole where it touches the caller's arrays, which are as irreps are, and neighbours are neighbours there.
pub(super) fn chunk_paths(
    graph: &Graph,
    callers: &[bool],
    contract: &Contract,
    path: &Path,
    user: ValueId,
) -> Vec<Path> {
    let touched: Vec<ValueId> = path.factors.iter().map(|f| contract.operands[f.operand].value).chain([user]).collect();
    if touched.iter().any(|value| callers[root(graph, *value).index()]) {
        return vec![path.clone()];
    }
    let (mut open, mut whole) = (vec![path.clone()], Vec::new());
    while let Some(mut path) = open.pop() {
        let segments = path.factors.iter().map(|f| &f.segment).chain([&path.out]);
        let bound = segments.zip(&touched).find_map(|(segment, value)| {
            let irreps = &graph.ty(root(graph, *value)).irreps;
            first_bound(segment, &path.axes, irreps)
        });
        match bound {
            Some((axis, at)) => {
                let mut rest = path.clone();
                rest.restrict(axis, at..path.axes[axis].size);
                path.restrict(axis, 0..at);
                open.extend([rest, path]);
            }
            None => whole.push(path),
        }
    }
    whole
}

/// An axis of neighbours that runs beyond the chunk that it begins in, and how far it is to the chunk's end.
fn first_bound(segment: &Segment, axes: &[Axis], irreps: &Irreps) -> Option<(usize, usize)> {
    if irreps.iter().all(|chunk| chunk.ir.l == 0) {
        return None;
    }
    let axis = (0..axes.len()).find(|&k| segment.strides[k] == 1)?;
    let ends = irreps.iter().zip(irreps.offsets()).map(|(chunk, start)| start + chunk.dim());
    let left = ends.into_iter().find(|end| segment.offset < *end)? - segment.offset;
    (left < axes[axis].size).then_some((axis, left))
}

/// A path of the contraction that makes `user`, its axes split at components.
pub(super) fn split_path(graph: &Graph, contract: &Contract, path: &Path, user: ValueId) -> Path {
    split_axes(path, |operand| {
        let value = operand.map_or(user, |k| contract.operands[k].value);
        graph.ty(root(graph, value)).irreps.clone()
    })
}

/// The segment of a value of the given irreps when its chunks are stored component by component; `None` where the
/// segment does not keep multiplicities and components apart.
pub(super) fn to_components(segment: &Segment, axes: &[Axis], irreps: &Irreps) -> Option<Segment> {
    let last = segment.last(axes)?;
    let (chunk, start) =
        irreps.iter().zip(irreps.offsets()).find(|(c, at)| *at <= segment.offset && segment.offset < at + c.dim())?;
    if last >= start + chunk.dim() {
        return None;
    }
    let d = chunk.ir.dim();
    let (u, i) = ((segment.offset - start) / d, (segment.offset - start) % d);
    let mut component = i;
    let strides = segment.strides.iter().zip(axes).map(|(&stride, axis)| {
        if axis.size == 1 || stride % d == 0 {
            Some(if axis.size == 1 { 0 } else { stride / d })
        } else if stride < d {
            component += stride * (axis.size - 1);
            Some(stride * chunk.mul)
        } else {
            None
        }
    });
    let strides = strides.collect::<Option<_>>()?;
    (component < d).then_some(Segment { offset: start + u + i * chunk.mul, strides })
}

/// A path's axes split so that none runs over both multiplicities and components of a chunk, where sizes allow.
fn split_axes(path: &Path, irreps_of: impl Fn(Option<usize>) -> Irreps) -> Path {
    let mut path = path.clone();
    let mut k = 0;
    while k < path.axes.len() {
        match splitting_size(&path, k, &irreps_of) {
            Some(d) => path.tile(k, d),
            None => k += 1,
        }
    }
    path
}

fn splitting_size(path: &Path, k: usize, irreps_of: &impl Fn(Option<usize>) -> Irreps) -> Option<usize> {
    let size = path.axes[k].size;
    let segments = path.factors.iter().map(|f| (Some(f.operand), &f.segment)).chain([(None, &path.out)]);
    for (operand, segment) in segments.filter(|(_, s)| s.strides[k] == 1) {
        let irreps = irreps_of(operand);
        let offsets = irreps.offsets();
        let within = |c: usize| offsets[c] <= segment.offset && segment.offset < offsets[c] + irreps.chunks()[c].dim();
        let Some(chunk) = (0..irreps.len()).find(|&c| within(c)) else { continue };
        let d = irreps.chunks()[chunk].ir.dim();
        if d > 1 && size > d && size.is_multiple_of(d) && (segment.offset - offsets[chunk]).is_multiple_of(d) {
            return Some(d);
        }
    }
    None
}
