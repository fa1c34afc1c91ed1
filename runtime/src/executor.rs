//! The executor: calls of a compiled program.
//!
//! A call checks everything first, so that an error leaves outputs as they were; then it does the program's steps.
//! Rows that are summed are cut in chunks that depend on sizes alone, and partial sums are combined in their order; what is computed row by
//! row has the same bits for any cut: equal inputs give equal bits, on any number of threads. The memory of temporaries is kept from call to call, and grows only where a call
//! needs more; so is what was found out about names, sizes and parameters, and holds as long as these are the same. What the
//! program's prologue makes of the parameters is kept in memory of its own, with the version of the store that it was made
//! of.
//!
//! An executor serves one call at a time. Its clones share the program and have memory of their own: one for every thread
//! that calls. A call borrows the parameters as a whole, so they do not change while it runs.

#![expect(clippy::indexing_slicing, reason = "places are of a checked program")]

use std::sync::Arc;

use indexmap::IndexMap;
use schur_ir::graph::OutputKind;
use schur_ir::program::{BufferId, BufferKind, OutputSlot, Program};
use schur_micro::InstructionSet;

use crate::arena::Arena;
use crate::argument::{ArgumentError, Fault, Role};
use crate::array::Array;
use crate::bind::{CallError, Inputs, bind, check_masks, check_requirements};
use crate::call::{Frame, Scratch, Table};
use crate::memory;
use crate::pace::Pace;
use crate::plan::{Plan, ProgramError};
use crate::pool::MAX_THREADS;
use crate::sizes::Sizes;
use crate::slots::Matched;
use crate::store::{Layout, ParamStore, Version};
use crate::view::{ArrayView, ArrayViewMut};

/// A program with the memory to call it.
#[derive(Debug)]
pub struct Executor {
    program: Arc<Program>,
    plan: Arc<Plan>,
    threads: usize,
    known: Known,
    sizes: Sizes,
    arena: Arena,
    /// The memory of prepared buffers.
    prepared: Arena,
    table: Table,
    paces: Vec<Pace>,
    /// The most bytes that a call may allocate.
    memory: usize,
}

/// What was found out in earlier calls.
#[derive(Debug, Default)]
struct Known {
    inputs: Matched,
    outputs: Matched,
    /// The element types and shapes of the inputs that all sizes are of; empty where no sizes are known.
    shapes: Vec<usize>,
    /// The layout of the stores that have the parameters at `places`.
    layout: Option<Layout>,
    places: Vec<usize>,
    /// The version of the store that buffers are prepared for.
    version: Option<Version>,
}

/// What a call returns: arrays by name, in the program's order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// The outputs of the spec.
    pub outputs: IndexMap<Arc<str>, Array>,
    /// The updated statistics, for [`ParamStore::apply`].
    pub statistics: IndexMap<Arc<str>, Array>,
    /// The gradients, by the name of what they are the gradient of.
    pub gradients: IndexMap<Arc<str>, Array>,
}

/// An array that a call writes: what it is, its name, its memory.
pub type OutputView<'a> = (OutputKind, &'a str, ArrayViewMut<'a>);

impl Executor {
    /// An executor of a program, which uses all cores; it allocates when it is called.
    pub fn new(program: Arc<Program>) -> Result<Self, ProgramError> {
        Self::with_instruction_set(program, InstructionSet::widest())
    }

    /// An executor whose micro-kernels use these instructions, where the machine has them.
    pub fn with_instruction_set(program: Arc<Program>, set: InstructionSet) -> Result<Self, ProgramError> {
        let plan = Arc::new(Plan::new(&program, set)?);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Executor::of(program, plan, threads.min(MAX_THREADS), memory::total()))
    }

    /// Refuses calls that would allocate more than so many bytes; at first, more than there are.
    pub fn limit_memory(&mut self, bytes: usize) {
        self.memory = bytes;
        self.known.shapes.clear();
    }

    fn of(program: Arc<Program>, plan: Arc<Plan>, threads: usize, memory: usize) -> Self {
        let paces = vec![Pace::default(); program.kernels.len()];
        Executor {
            program,
            plan,
            threads,
            known: Known::default(),
            sizes: Sizes::default(),
            arena: Arena::default(),
            prepared: Arena::default(),
            table: Table::default(),
            paces,
            memory,
        }
    }

    /// The program.
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// The most threads that a call uses; calls that take less than some 20 microseconds use one.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Sets the most threads that a call uses, from 1 to 256. Results have the same bits for any number.
    pub fn set_threads(&mut self, threads: usize) {
        let threads = threads.clamp(1, MAX_THREADS);
        if threads != self.threads {
            self.threads = threads;
            self.known.shapes.clear();
        }
    }

    /// Calls the program; inputs come by name, in any order.
    pub fn call(&mut self, inputs: &[(&str, ArrayView<'_>)], store: &ParamStore) -> Result<Outputs, CallError> {
        self.prepare(inputs, store, true)?;
        self.plan.outputs.match_in_order(&mut self.known.outputs);
        let slots = self.program.outputs.iter().enumerate();
        let mut arrays = slots.map(|(k, slot)| self.allocate(k, slot)).collect::<Result<Vec<_>, _>>()?;
        self.run(inputs, store, arrays.iter_mut().map(Array::view_mut));
        Ok(Outputs::collect(&self.program, arrays))
    }

    /// Calls the program and writes what it returns into the caller's arrays, all of which must be given, in any order.
    /// A call no larger than one before allocates nothing.
    pub fn call_into(
        &mut self,
        inputs: &[(&str, ArrayView<'_>)],
        store: &ParamStore,
        outputs: &mut [OutputView<'_>],
    ) -> Result<(), CallError> {
        self.prepare(inputs, store, false)?;
        let names = outputs.iter().map(|(kind, name, _)| (Role::from(*kind), *name));
        self.plan.outputs.match_all(names, &mut self.known.outputs)?;
        for ((kind, name, view), slot) in outputs.iter().zip(self.known.outputs.slots()) {
            if let Some(fault) = self.output_fault(*slot, view.borrowed()) {
                return Err(ArgumentError { role: Role::from(*kind), name: (*name).to_owned(), fault }.into());
            }
        }
        self.run(inputs, store, outputs.iter_mut().map(|(.., view)| view.reborrow()));
        Ok(())
    }

    /// Calls the program and writes over what another call of the same sizes returned; allocates nothing.
    pub fn call_over(
        &mut self,
        inputs: &[(&str, ArrayView<'_>)],
        store: &ParamStore,
        results: &mut Outputs,
    ) -> Result<(), CallError> {
        self.prepare(inputs, store, false)?;
        let names = results.iter().map(|(kind, name, _)| (Role::from(kind), name));
        self.plan.outputs.match_all(names, &mut self.known.outputs)?;
        for ((kind, name, array), slot) in results.iter().zip(self.known.outputs.slots()) {
            if let Some(fault) = self.output_fault(*slot, array.view()) {
                return Err(ArgumentError { role: Role::from(kind), name: name.to_owned(), fault }.into());
            }
        }
        self.run(inputs, store, results.iter_mut().map(|(.., view)| view));
        Ok(())
    }

    /// Checks inputs and parameters, computes all sizes, and reserves the memory of temporaries; where `outputs` says
    /// so, the outputs will be allocated as well.
    fn prepare(&mut self, inputs: &Inputs<'_>, store: &ParamStore, outputs: bool) -> Result<(), CallError> {
        let Executor { program, plan, known, sizes, .. } = self;
        let names = inputs.iter().map(|(name, _)| (Role::Input, *name));
        let same = plan.inputs.match_all(names, &mut known.inputs)?;
        if !same || !known.shapes.iter().copied().eq(signature(inputs)) {
            known.shapes.clear();
            bind(program, known.inputs.slots(), inputs, &mut sizes.bindings)?;
            sizes.evaluate(program, plan, self.threads)?;
            memory::check(program, sizes, outputs, self.memory)?;
            if !self.prepared.is_enough(sizes.prepared) {
                known.version = None;
            }
            if !self.arena.reserve(sizes.arena) || !self.prepared.reserve(sizes.prepared) {
                let bytes = sizes.arena.saturating_add(sizes.prepared);
                let what = format!("the memory of all temporaries ({bytes} bytes)");
                return Err(CallError::TooLarge { what });
            }
            known.shapes.extend(signature(inputs));
        } else if outputs {
            memory::check(program, sizes, outputs, self.memory)?;
        }
        check_masks(inputs)?;
        check_requirements(program, inputs, &sizes.bindings)?;
        if known.layout != Some(store.layout()) {
            known.layout = None;
            known.places.clear();
            for slot in &program.params {
                known.places.push(store.place(&slot.param, program.dtype)?);
            }
            known.layout = Some(store.layout());
        }
        Ok(())
    }

    fn allocate(&self, output: usize, slot: &OutputSlot) -> Result<Array, CallError> {
        let shape = self.sizes.shape(output);
        let dtype = self.program.buffers[slot.buffer.index()].dtype;
        let too_large = || format!("the {} `{}` of shape {shape:?}", Role::from(slot.kind), slot.name);
        Array::zeros(shape, dtype).ok_or_else(|| CallError::TooLarge { what: too_large() })
    }

    /// What is wrong with the caller's memory for an output.
    fn output_fault(&self, slot: usize, view: ArrayView<'_>) -> Option<Fault> {
        let buffer = self.program.outputs[slot].buffer;
        let (given, wanted) = (view.dtype(), self.program.buffers[buffer.index()].dtype);
        if given != wanted {
            return Some(Fault::DType { given, wanted });
        }
        let wanted = self.sizes.shape(slot);
        let shape = || Fault::Shape { given: view.shape().to_vec(), wanted: format!("{wanted:?}") };
        (wanted != view.shape()).then(shape)
    }

    /// Does the program's steps, without the prologue where it was done for these parameters; the outputs come in the order
    /// in which they were matched.
    fn run<'a>(
        &'a mut self,
        inputs: &'a Inputs<'a>,
        store: &'a ParamStore,
        outputs: impl Iterator<Item = ArrayViewMut<'a>>,
    ) {
        let Executor { program, plan, threads, known, sizes, arena, prepared, table, paces, .. } = self;
        let mut frame = Frame::new(program, plan, sizes, table);
        for ((_, view), slot) in inputs.iter().zip(known.inputs.slots()) {
            frame.read(program.inputs[*slot].buffer, view.elements().bytes());
        }
        for (slot, place) in program.params.iter().zip(&known.places) {
            frame.read(slot.buffer, store.at(*place).elements().bytes());
        }
        for (view, slot) in outputs.zip(known.outputs.slots()) {
            frame.write(program.outputs[*slot].buffer, view.into_elements().bytes());
        }
        let (mut rest, mut kept) = (arena.rest(), prepared.rest());
        for (k, buffer) in program.buffers.iter().enumerate() {
            match buffer.kind {
                BufferKind::Input | BufferKind::Param | BufferKind::Output => {}
                BufferKind::Temporary | BufferKind::Partial => {
                    frame.write(BufferId(k as u32), rest.cut(sizes.bytes[k]));
                }
                BufferKind::Prepared => frame.write(BufferId(k as u32), kept.cut(sizes.bytes[k])),
            }
        }
        let is_prepared = known.version == Some(store.version());
        // Until the prologue is done, what is prepared is of no version.
        known.version = None;
        let from = if is_prepared { program.prologue } else { 0 };
        frame.run(from, Scratch::new(rest.cut(sizes.scratch), *threads), paces);
        known.version = Some(store.version());
    }
}

impl Clone for Executor {
    /// An executor of the same program, with memory of its own.
    fn clone(&self) -> Self {
        Executor::of(self.program.clone(), self.plan.clone(), self.threads, self.memory)
    }
}

/// What the sizes of a call depend on, its names being given: element types, ranks and shapes of its inputs.
fn signature<'a>(inputs: &'a Inputs<'_>) -> impl Iterator<Item = usize> + 'a {
    let each = inputs.iter().flat_map(|(_, view)| {
        let shape = view.shape();
        [view.dtype() as usize, shape.len()].into_iter().chain(shape.iter().copied())
    });
    std::iter::once(inputs.len()).chain(each)
}

impl Outputs {
    fn collect(program: &Program, arrays: Vec<Array>) -> Self {
        let mut outputs = Outputs::default();
        for (slot, array) in program.outputs.iter().zip(arrays) {
            outputs.of_mut(slot.kind).insert(slot.name.clone(), array);
        }
        outputs
    }

    fn of_mut(&mut self, kind: OutputKind) -> &mut IndexMap<Arc<str>, Array> {
        match kind {
            OutputKind::Output => &mut self.outputs,
            OutputKind::Statistic => &mut self.statistics,
            OutputKind::Gradient => &mut self.gradients,
        }
    }

    /// All arrays, with their names.
    fn iter(&self) -> impl Iterator<Item = (OutputKind, &str, &Array)> + Clone {
        let kinds = [
            (OutputKind::Output, &self.outputs),
            (OutputKind::Statistic, &self.statistics),
            (OutputKind::Gradient, &self.gradients),
        ];
        kinds.into_iter().flat_map(|(kind, arrays)| arrays.iter().map(move |(name, array)| (kind, &**name, array)))
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = OutputView<'_>> {
        let kinds = [
            (OutputKind::Output, &mut self.outputs),
            (OutputKind::Statistic, &mut self.statistics),
            (OutputKind::Gradient, &mut self.gradients),
        ];
        kinds
            .into_iter()
            .flat_map(|(kind, arrays)| arrays.iter_mut().map(move |(name, array)| (kind, &**name, array.view_mut())))
    }

    /// All arrays, for [`Executor::call_into`] to write over.
    pub fn views_mut(&mut self) -> Vec<OutputView<'_>> {
        self.iter_mut().collect()
    }
}
