//! Which kernel computes which value.
//!
//! A value joins the earliest kernel over its rows in which all that it reads is at hand: computed there row by row, or
//! complete because an earlier kernel made it. Statistics of the whole batch therefore split a chain in two. What depends
//! on parameters alone is in kernels of its own, which come first.

#![expect(clippy::indexing_slicing, reason = "places are of a verified graph, and of lists made for it")]

use schur_ir::dim::Dim;
use schur_ir::graph::{Graph, Op, ValueId};

use super::prologue::of_prologue;
use super::reads::{aligned_reads, root, writes_own_row};
use super::{LoopOptions, shared};

/// The kernels' row spaces and the kernel of every value.
pub(super) struct Schedule {
    /// The space of rows of every kernel, in order.
    pub(super) kernels: Vec<Vec<Dim>>,
    /// How many of them, the first ones, are of the prologue.
    pub(super) prologue: usize,
    /// The kernel that computes a value; none for leaves, reshapes and values that no output needs.
    pub(super) kernel_of: Vec<Option<usize>>,
    /// Bytes that the products of every kernel share between rows.
    shared: Vec<usize>,
    /// How many of these a kernel of several products has at most.
    most_shared: usize,
}

/// Products that share less than this part of what a kernel may share belong to any.
const SMALL_PART: usize = 16;

/// True where an op without rows reads nothing that is computed at a call: such ops come first, so that no kernel over
/// rows is cut in two by them.
fn is_of_leaves_alone(graph: &Graph, value: ValueId, prologue: &[bool]) -> bool {
    let op = &graph.node(value).op;
    let is_there = |v: ValueId| {
        let of = root(graph, v);
        prologue[of.index()] || matches!(graph.node(of).op, Op::Input(_) | Op::Param(_))
    };
    matches!(op, Op::Contract(_) | Op::Map(_)) && graph.rows_of(op).is_empty() && op.reads().into_iter().all(is_there)
}

/// Assigns every value that an output needs to a kernel. Where nothing is fused, each has its own. Values of `with_reader` are
/// computed in the kernel of the first value that reads them.
pub(super) fn schedule(graph: &Graph, options: &LoopOptions, with_reader: &[ValueId]) -> Schedule {
    let fuse = options.fuse;
    let with_reader = &flags(graph, with_reader);
    let live = graph.needed();
    let prologue = of_prologue(graph, &live);
    let computed = graph.values().filter(|(value, node)| {
        let is_leaf = matches!(node.op, Op::Input(_) | Op::Param(_) | Op::Reshape(_));
        live[value.index()] && !is_leaf && !with_reader[value.index()]
    });
    let (first, rest): (Vec<_>, Vec<_>) = computed.map(|(value, _)| value).partition(|value| prologue[value.index()]);
    let kernel_of = vec![None; graph.nodes.len()];
    let mut schedule =
        Schedule { kernels: Vec::new(), prologue: 0, kernel_of, shared: Vec::new(), most_shared: options.shared_bytes };
    first.into_iter().for_each(|value| schedule.place(graph, value, fuse, with_reader));
    schedule.prologue = schedule.kernels.len();
    if fuse && rest.iter().any(|&value| is_of_leaves_alone(graph, value, &prologue)) {
        schedule.open(&[]);
    }
    rest.into_iter().for_each(|value| schedule.place(graph, value, fuse, with_reader));
    if fuse {
        sink(graph, &live, &mut schedule, with_reader);
    }
    schedule
}

/// One flag a value: true for those given.
fn flags(graph: &Graph, values: &[ValueId]) -> Vec<bool> {
    let mut flags = vec![false; graph.nodes.len()];
    values.iter().for_each(|value| flags[value.index()] = true);
    flags
}

impl Schedule {
    /// The values that every kernel computes, in order.
    pub(super) fn values(&self) -> Vec<Vec<ValueId>> {
        let mut values = vec![Vec::new(); self.kernels.len()];
        for (value, kernel) in self.kernel_of.iter().enumerate() {
            if let Some(kernel) = kernel {
                values[*kernel].push(ValueId(value as u32));
            }
        }
        values
    }

    /// Puts a value, and the copies that nobody read before it, in the first kernel that can have it.
    fn place(&mut self, graph: &Graph, value: ValueId, fuse: bool, with_reader: &[bool]) {
        let op = &graph.node(value).op;
        let rows = graph.rows_of(op);
        // A copy that several values read is computed with the first of them; the others wait for it.
        let copies = self.unplaced(graph, value, with_reader);
        let reads = aligned_reads(graph, op).into_iter().filter(|(read, _)| !copies.contains(read));
        let copied = copies.iter().flat_map(|copy| aligned_reads(graph, &graph.node(*copy).op));
        let earliest = reads.chain(copied).filter_map(|(read, aligned)| {
            let kernel = self.kernel_of[root(graph, read).index()]?;
            Some(if aligned && kernel >= self.prologue { kernel } else { kernel + 1 })
        });
        let earliest = earliest.max().unwrap_or(0).max(self.prologue);
        let shared = shared::of_value(graph, value);
        let joined =
            (earliest..self.kernels.len()).find(|&k| fuse && self.kernels[k] == rows && self.has_room(k, shared));
        let kernel = joined.unwrap_or_else(|| self.open(rows));
        self.shared[kernel] = self.shared[kernel].saturating_add(shared);
        for value in copies.into_iter().chain([value]) {
            self.kernel_of[value.index()] = Some(kernel);
        }
    }

    /// Begins a kernel.
    fn open(&mut self, rows: &[Dim]) -> usize {
        self.kernels.push(rows.to_vec());
        self.shared.push(0);
        self.kernels.len() - 1
    }

    /// True where the products of a kernel and others share no more between rows than a cache holds.
    fn has_room(&self, kernel: usize, shared: usize) -> bool {
        shared <= self.most_shared / SMALL_PART || self.shared[kernel].saturating_add(shared) <= self.most_shared
    }

    /// The copies that a value reads, itself or by other copies, and that no kernel computes yet.
    fn unplaced(&self, graph: &Graph, value: ValueId, with_reader: &[bool]) -> Vec<ValueId> {
        let mut found = Vec::new();
        let mut open = vec![value];
        while let Some(value) = open.pop() {
            for read in graph.node(value).op.reads() {
                let is_unplaced = with_reader[read.index()] && self.kernel_of[read.index()].is_none();
                if is_unplaced && !found.contains(&read) {
                    found.push(read);
                    open.push(read);
                }
            }
        }
        found
    }
}

/// Moves values that only later kernels read, and that read nothing of their own kernel's scratch, to the first of these
/// kernels: what would be written to memory and read again may then be scratch.
fn sink(graph: &Graph, live: &[bool], schedule: &mut Schedule, with_reader: &[bool]) {
    // Who reads a value, with whether it reads its own row alone.
    let mut readers: Vec<Vec<(ValueId, bool)>> = vec![Vec::new(); graph.nodes.len()];
    for (value, node) in graph.values().filter(|(value, _)| live[value.index()]) {
        let aligned = aligned_reads(graph, &node.op);
        for read in node.op.reads() {
            let own_row = aligned.iter().filter(|(of, _)| *of == read).all(|(_, aligned)| *aligned);
            readers[root(graph, read).index()].push((value, own_row));
        }
    }
    for (value, node) in graph.values().collect::<Vec<_>>().into_iter().rev() {
        let Some(own) = schedule.kernel_of[value.index()].filter(|&own| own >= schedule.prologue) else { continue };
        let kernel = |v: &ValueId| schedule.kernel_of[v.index()];
        let is_alone = node.op.reads().iter().all(|&read| kernel(&root(graph, read)) != Some(own));
        let first = readers[value.index()].iter().filter_map(|(v, _)| kernel(v)).min();
        let shared = shared::of_value(graph, value);
        let is_read_by_rows =
            readers[value.index()].iter().all(|(v, own_row)| kernel(v).is_some_and(|k| *own_row || Some(k) > first));
        if let Some(later) = first
            && writes_own_row(node)
            && is_alone
            && is_read_by_rows
            && later > own
            && schedule.kernels[later] == schedule.kernels[own]
            && !with_reader[value.index()]
            && schedule.has_room(later, shared)
        {
            schedule.shared[own] = schedule.shared[own].saturating_sub(shared);
            schedule.shared[later] = schedule.shared[later].saturating_add(shared);
            schedule.kernel_of[value.index()] = Some(later);
        }
    }
}
