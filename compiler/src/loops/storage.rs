//! Where every value lives: a buffer in memory, or scratch of one tile, and in which layout.
//!
//! A value is scratch where only its own kernel reads it, row by row. Scratch and temporary buffers are laid out component
//! by component where every statement that touches them can say so, since vectors then run over multiplicities.

#![expect(
    clippy::indexing_slicing,
    clippy::unreachable,
    reason = "places are of a verified graph, and of lists made for it"
)]

use std::collections::HashSet;

use schur_ir::dim::{Dim, Symbol};
use schur_ir::expr::Scalar;
use schur_ir::graph::{
    Axis, Contract, Factor, Graph, Op, Operand, Output, OutputKind, Path, Requirement, RowMap, Segment, ValueId,
};
use schur_ir::micro::LINE;
use schur_ir::program::{Buffer, BufferId, BufferKind, InputSlot, OutputSlot, ParamSlot, Step};
use schur_ir::ty::{DType, Type};
use smallvec::smallvec;

use super::layout::{Users, layout_of};
use super::reads::{aligned_reads, root, writes_own_row};
use super::room::Room;
use super::schedule::Schedule;
use super::{Array, Layout, LoopsError, Scratch, ScratchId};

/// Where a value lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) array: Array,
    pub(super) layout: Layout,
}

/// The places of all values, and the buffers and slots of the program.
pub(super) struct Storage {
    /// The place of every value that a kernel computes or reads; of a reshape, its root's.
    pub(super) places: Vec<Option<Place>>,
    /// Partial sums and the buffers that they are combined into, by the values whose they are, which are in order.
    pub(super) combines: Vec<(ValueId, BufferId, BufferId)>,
    pub(super) buffers: Vec<Buffer>,
    /// The scratch of every kernel.
    pub(super) scratch: Vec<Vec<Scratch>>,
    pub(super) inputs: Vec<InputSlot>,
    pub(super) params: Vec<ParamSlot>,
    pub(super) outputs: Vec<OutputSlot>,
}

/// The whole shape of an output whose elements are not `[dims…, width]`. Indices and masks have no axis but `dims`.
fn fixed_shape(graph: &Graph, output: &Output) -> Option<Vec<usize>> {
    let ty = graph.ty(output.value);
    let beyond = output.shape.as_ref().filter(|_| ty.dtype.is_float())?;
    let leading = ty.dims.iter().map(|dim| usize::try_from(dim.constant()?).ok());
    leading.chain(beyond.iter().map(|&size| Some(size))).collect()
}

/// The graph with a copy wherever an output is a leaf, or the same array as another output.
pub(super) fn separate_outputs(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    let mut claimed = vec![false; graph.nodes.len()];
    for k in 0..graph.outputs.len() {
        let value = graph.outputs[k].value;
        let of = root(&graph, value);
        let is_leaf = matches!(graph.node(of).op, Op::Input(_) | Op::Param(_));
        if is_leaf || std::mem::replace(&mut claimed[of.index()], true) {
            graph.outputs[k].value = copy(&mut graph, value);
        }
    }
    graph
}

fn copy(graph: &mut Graph, value: ValueId) -> ValueId {
    let node = graph.node(value).clone();
    let rank = node.ty.dims.len();
    let segment = Segment::run(0);
    let contract = Contract {
        rows: node.ty.dims.clone(),
        operands: vec![Operand { value, map: RowMap::identity(rank) }],
        out: RowMap::identity(rank),
        divisor: Dim::one(),
        paths: vec![Path {
            coefficient: Scalar(1.0),
            axes: smallvec![Axis { letter: 'u', size: node.ty.width() }],
            factors: smallvec![Factor { operand: 0, segment: segment.clone() }],
            out: segment,
        }],
    };
    graph.push(Op::Contract(contract), node.ty, &node.layer)
}

/// The one float type of a graph; `f32` where there is no float at all.
pub(super) fn float_type(graph: &Graph) -> Result<DType, LoopsError> {
    let mut found = None;
    for (value, node) in graph.values().filter(|(_, node)| node.ty.dtype.is_float()) {
        let dtype = *found.get_or_insert(node.ty.dtype);
        if node.ty.dtype != dtype {
            return Err(LoopsError::MixedTypes(value, dtype));
        }
    }
    Ok(found.unwrap_or(DType::F32))
}

/// Checks that all sizes can be found in the shapes of inputs: every symbol is an axis of one.
pub(super) fn check_sizes(graph: &Graph) -> Result<(), LoopsError> {
    let inputs = graph.nodes.iter().filter(|node| matches!(node.op, Op::Input(_)));
    let known: HashSet<&Symbol> = inputs.flat_map(|node| &node.ty.dims).filter_map(Dim::as_symbol).collect();
    for (value, node) in graph.values() {
        let of_op: Vec<&Dim> = match &node.op {
            Op::Contract(contract) => contract.rows.iter().chain([&contract.divisor]).collect(),
            Op::Map(map) => map.rows.iter().collect(),
            Op::Input(_) | Op::Param(_) | Op::Max(_) | Op::Reshape(_) => Vec::new(),
        };
        let mut symbols = node.ty.dims.iter().chain(of_op).flat_map(Dim::symbols);
        if let Some(unknown) = symbols.find(|symbol| !known.contains(symbol)) {
            return Err(LoopsError::UnknownSize(value, unknown.clone()));
        }
    }
    let required = graph.requirements.iter().flat_map(|requirement| match requirement {
        Requirement::NotEmpty { dims, .. } => dims.as_slice(),
        Requirement::IndexBelow { .. } | Requirement::AnyTrue { .. } => &[],
    });
    let mut required = required.flat_map(Dim::symbols);
    let unknown = required.find(|symbol| !known.contains(symbol));
    unknown.map_or(Ok(()), |symbol| Err(LoopsError::UnknownRequired(symbol.clone())))
}

/// Assigns a place to every value.
pub(super) fn assign(graph: &Graph, schedule: &Schedule) -> Result<Storage, LoopsError> {
    let mut storage = Storage {
        places: vec![None; graph.nodes.len()],
        combines: Vec::new(),
        buffers: Vec::new(),
        scratch: vec![Vec::new(); schedule.kernels.len()],
        inputs: Vec::new(),
        params: Vec::new(),
        outputs: Vec::new(),
    };
    storage.leaves(graph);
    storage.output_buffers(graph);
    let (private, users) = (private_values(graph, schedule), Users::new(graph, schedule));
    for (value, node) in graph.values() {
        match (&node.op, schedule.kernel_of[value.index()]) {
            (Op::Reshape(of), _) => storage.places[value.index()] = storage.places[of.index()],
            (_, Some(kernel)) if private[value.index()] => storage.new_scratch(graph, &users, value, kernel),
            (_, Some(kernel)) => storage.new_buffer(graph, &users, value, kernel < schedule.prologue),
            (_, None) => {}
        }
        check_indices(graph, value, &node.op)?;
    }
    place_scratch(graph, schedule, &mut storage);
    Ok(storage)
}

fn check_indices(graph: &Graph, value: ValueId, op: &Op) -> Result<(), LoopsError> {
    let is_input = |v: ValueId| matches!(graph.node(root(graph, v)).op, Op::Input(_));
    let indices = op.reads().into_iter().filter(|&v| graph.ty(v).dtype == DType::I32);
    if matches!(op, Op::Reshape(_)) {
        return Ok(());
    }
    if indices.into_iter().any(|v| !is_input(v)) {
        return Err(LoopsError::ComputedIndex(value));
    }
    let symbolic = op.indices().find(|index| index.size.constant().is_none());
    symbolic.map_or(Ok(()), |index| Err(LoopsError::SymbolicIndex(value, index.size.clone())))
}

/// One flag a value: true where only its own kernel reads it, row by row, and no output is it.
fn private_values(graph: &Graph, schedule: &Schedule) -> Vec<bool> {
    let mut private: Vec<bool> = graph.nodes.iter().map(writes_own_row).collect();
    for output in &graph.outputs {
        private[root(graph, output.value).index()] = false;
    }
    for (value, node) in graph.values() {
        let Some(kernel) = schedule.kernel_of[value.index()] else { continue };
        for (read, aligned) in aligned_reads(graph, &node.op) {
            let of = root(graph, read).index();
            private[of] &= aligned && schedule.kernel_of[of] == Some(kernel);
        }
    }
    private
}

impl Storage {
    fn push_buffer(&mut self, label: String, ty: &Type, kind: BufferKind) -> BufferId {
        let (dims, width, dtype) = (ty.dims.clone(), ty.width(), ty.dtype);
        self.buffers.push(Buffer { label, dims, width, dtype, kind });
        BufferId(self.buffers.len() as u32 - 1)
    }

    fn place_in_memory(&mut self, value: ValueId, buffer: BufferId) {
        self.places[value.index()] = Some(Place { array: Array::Memory(buffer), layout: Layout::Irreps });
    }

    fn leaves(&mut self, graph: &Graph) {
        for (value, node) in graph.values() {
            match &node.op {
                Op::Input(name) => {
                    let buffer = self.push_buffer(name.to_string(), &node.ty, BufferKind::Input);
                    self.inputs.push(InputSlot { name: name.clone(), buffer });
                    self.place_in_memory(value, buffer);
                }
                Op::Param(param) => {
                    let buffer = self.push_buffer(param.name.to_string(), &node.ty, BufferKind::Param);
                    self.params.push(ParamSlot { param: param.clone(), buffer });
                    self.place_in_memory(value, buffer);
                }
                Op::Contract(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => {}
            }
        }
    }

    fn output_buffers(&mut self, graph: &Graph) {
        for output in &graph.outputs {
            let label = match output.kind {
                OutputKind::Output | OutputKind::Statistic => output.name.to_string(),
                OutputKind::Gradient => format!("d {}", output.name),
            };
            let buffer = self.push_buffer(label, graph.ty(output.value), BufferKind::Output);
            let (name, kind, shape) = (output.name.clone(), output.kind, fixed_shape(graph, output));
            self.outputs.push(OutputSlot { name, kind, buffer, shape });
            self.place_in_memory(root(graph, output.value), buffer);
        }
    }

    /// A buffer for a value that is not scratch: its output's, or a temporary one. Sums over rows whose size is known
    /// go to partial sums first.
    fn new_buffer(&mut self, graph: &Graph, users: &Users, value: ValueId, is_prepared: bool) {
        let node = graph.node(value);
        let label = format!("{value} {}", node.layer);
        let own = if is_prepared { BufferKind::Prepared } else { BufferKind::Temporary };
        let whole = match self.places[value.index()] {
            Some(Place { array: Array::Memory(buffer), .. }) => buffer,
            _ => self.push_buffer(label.clone(), &node.ty, own),
        };
        self.place_in_memory(value, whole);
        if self.buffers[whole.index()].kind == own && !has_partial_sums(graph, value) {
            let layout = layout_of(graph, users, value);
            self.places[value.index()] = Some(Place { array: Array::Memory(whole), layout });
        }
        if has_partial_sums(graph, value) {
            let partial = Buffer { label, kind: BufferKind::Partial, ..self.buffers[whole.index()].clone() };
            self.buffers.push(partial);
            self.combines.push((value, BufferId(self.buffers.len() as u32 - 1), whole));
        }
    }

    fn new_scratch(&mut self, graph: &Graph, users: &Users, value: ValueId, kernel: usize) {
        let node = graph.node(value);
        let layout = layout_of(graph, users, value);
        let scratch = &mut self.scratch[kernel];
        let width = scratch_width(&node.ty);
        scratch.push(Scratch { label: format!("{value} {}", node.layer), width, offset: 0, layout });
        let array = Array::Scratch(ScratchId(scratch.len() as u32 - 1));
        self.places[value.index()] = Some(Place { array, layout });
    }

    /// The partial sums of a value, and what they are combined into.
    fn combine(&self, value: ValueId) -> Option<(BufferId, BufferId)> {
        let found = self.combines.binary_search_by_key(&value, |(value, ..)| *value).ok()?;
        let (_, from, into) = self.combines[found];
        Some((from, into))
    }

    /// Where a kernel writes a value: its partial sums where it has them, else its place.
    pub(super) fn written(&self, value: ValueId) -> Place {
        match (self.combine(value), self.places[value.index()]) {
            (Some((partial, _)), _) => Place { array: Array::Memory(partial), layout: Layout::Irreps },
            (None, Some(place)) => place,
            (None, None) => unreachable!("{value} is computed, so it has a place"),
        }
    }

    /// The buffer of an index, which is an input.
    pub(super) fn index_buffer(&self, value: ValueId) -> BufferId {
        match self.places[value.index()] {
            Some(Place { array: Array::Memory(buffer), .. }) => buffer,
            Some(Place { array: Array::Scratch(_), .. }) | None => unreachable!("index {value} is an input"),
        }
    }

    /// What to do, in order, and how many of these steps are the prologue: fill what is accumulated into, but for the partial
    /// sums that kernels begin themselves, run the kernel, combine its partial sums.
    pub(super) fn steps(&self, graph: &Graph, schedule: &Schedule, begun: &[BufferId]) -> (Vec<Step>, usize) {
        let (mut steps, mut prologue) = (Vec::new(), 0);
        let begun: HashSet<&BufferId> = begun.iter().collect();
        for (kernel, values) in schedule.values().into_iter().enumerate() {
            if kernel == schedule.prologue {
                prologue = steps.len();
            }
            for &value in &values {
                let start = start_value(&graph.node(value).op);
                if let (Some(start), Array::Memory(buffer)) = (start, self.written(value).array) {
                    let is_begun = begun.contains(&buffer);
                    steps.push(if is_begun { Step::Begin(buffer) } else { Step::Fill(buffer, start) });
                }
            }
            steps.push(Step::Run(kernel));
            let combines = values.iter().filter_map(|value| self.combine(*value));
            steps.extend(combines.map(|(from, into)| Step::Combine { from, into }));
        }
        if schedule.prologue == schedule.kernels.len() {
            prologue = steps.len();
        }
        (steps, prologue)
    }
}

/// What an array that rows are accumulated into starts from; none where every row is written once.
fn start_value(op: &Op) -> Option<f64> {
    match op {
        Op::Contract(c) => c.reduces().then_some(0.0),
        Op::Max(_) => Some(f64::NEG_INFINITY),
        Op::Input(_) | Op::Param(_) | Op::Map(_) | Op::Reshape(_) => None,
    }
}

/// True where rows are summed into an array whose size does not grow with the batch.
pub(super) fn has_partial_sums(graph: &Graph, value: ValueId) -> bool {
    let node = graph.node(value);
    matches!(&node.op, Op::Contract(c) if c.reduces()) && node.ty.rows().constant().is_some()
}

/// True where rows are accumulated into an array that has no partial sums, so that they must come in order.
pub(super) fn is_serial(graph: &Graph, value: ValueId) -> bool {
    start_value(&graph.node(value).op).is_some() && !has_partial_sums(graph, value)
}

/// Rows so many lines apart, or a multiple of it, meet in few places of a first cache, which keeps 8 to 12 lines at each.
const CROWDED: usize = 8;

/// Elements from one row to the next in scratch: those of a row, and a line more where rows would crowd. A product that sums over
/// rows goes down a column of them for every tile of its output.
pub(super) fn scratch_width(ty: &Type) -> usize {
    let (width, line) = (ty.width(), LINE / ty.dtype.size());
    if width > 0 && width.is_multiple_of(CROWDED * line) { width + line } else { width }
}

/// Gives every scratch array its offset: first fit among the arrays that are alive at the same time.
fn place_scratch(graph: &Graph, schedule: &Schedule, storage: &mut Storage) {
    let lives = lives(graph, schedule);
    let mut rooms: Vec<Room> = schedule.kernels.iter().map(|_| Room::default()).collect();
    for (value, _) in graph.values() {
        if let (Some(kernel), Some(Place { array: Array::Scratch(id), .. })) =
            (schedule.kernel_of[value.index()], storage.places[value.index()])
        {
            let scratch = &mut storage.scratch[kernel][id.0 as usize];
            scratch.offset = rooms[kernel].take(scratch.width, value.index(), lives[value.index()]);
        }
    }
}

/// The last value that reads each value, by place in the graph. What a product reads lives until the maps of it that follow are made:
/// one micro-kernel may compute all of these.
fn lives(graph: &Graph, schedule: &Schedule) -> Vec<usize> {
    let mut last: Vec<usize> = (0..graph.nodes.len()).collect();
    for (value, node) in graph.values().filter(|(v, _)| schedule.kernel_of[v.index()].is_some()) {
        let until = if matches!(node.op, Op::Contract(_)) { last_map_of(graph, value) } else { value };
        for read in node.op.reads() {
            let last = &mut last[root(graph, read).index()];
            *last = until.index().max(*last);
        }
    }
    last
}

/// The last of the maps of a value that follow it, or the value itself.
fn last_map_of(graph: &Graph, value: ValueId) -> ValueId {
    let following = &graph.nodes[value.index() + 1..];
    let maps = following.iter().take_while(|node| matches!(node.op, Op::Map(_)) && node.op.reads() == [value]).count();
    ValueId(value.0 + maps as u32)
}
