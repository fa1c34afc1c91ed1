//! The executor: calls of a compiled program.
//!
//! A call checks everything first, so that an error leaves outputs as they were; then it does the program's steps.
//! Rows are cut in chunks that depend on sizes alone, and partial sums are combined in their order: equal inputs give
//! equal bits. The memory of temporaries is kept from call to call, and grows only where a call needs more.

use std::sync::Arc;

use indexmap::IndexMap;
use schur_ir::graph::OutputKind;
use schur_ir::program::{BufferId, BufferKind, OutputSlot, Program};

use crate::arena::Arena;
use crate::argument::{ArgumentError, Fault, Role};
use crate::array::Array;
use crate::bind::{CallError, bind, check_requirements};
use crate::call::{Frame, Table};
use crate::memory;
use crate::micro::InstructionSet;
use crate::plan::{Plan, ProgramError};
use crate::sizes::Sizes;
use crate::store::ParamStore;
use crate::view::{ArrayView, ArrayViewMut};

/// A program with the memory to call it.
#[derive(Debug)]
pub struct Executor {
    program: Arc<Program>,
    plan: Plan,
    sizes: Sizes,
    arena: Arena,
    table: Table,
    memory: usize,
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
    /// An executor of a program; it allocates when it is called.
    pub fn new(program: Arc<Program>) -> Result<Self, ProgramError> {
        Self::with_instruction_set(program, InstructionSet::widest())
    }

    /// An executor whose micro-kernels use these instructions, where the machine has them.
    pub fn with_instruction_set(program: Arc<Program>, set: InstructionSet) -> Result<Self, ProgramError> {
        let plan = Plan::new(&program, set)?;
        let (sizes, arena, table) = (Sizes::default(), Arena::default(), Table::default());
        Ok(Executor { program, plan, sizes, arena, table, memory: memory::total() })
    }

    /// Refuses calls that would allocate more than so many bytes; at first, more than there are.
    pub fn limit_memory(&mut self, bytes: usize) {
        self.memory = bytes;
    }

    /// The program.
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// Calls the program; inputs come by name, in any order.
    pub fn call(&mut self, inputs: &[(&str, ArrayView<'_>)], store: &ParamStore) -> Result<Outputs, CallError> {
        self.prepare(inputs, store, true)?;
        self.plan.outputs.match_in_order();
        let slots = self.program.outputs.iter();
        let mut arrays = slots.map(|slot| self.allocate(slot)).collect::<Result<Vec<_>, _>>()?;
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
        self.plan.outputs.match_all(outputs.iter().map(|(kind, name, _)| (Role::from(*kind), *name)))?;
        for ((kind, name, view), slot) in outputs.iter().zip(self.plan.outputs.matched()) {
            if let Some(fault) = self.output_fault(*slot, view)? {
                return Err(ArgumentError { role: Role::from(*kind), name: (*name).to_owned(), fault }.into());
            }
        }
        self.run(inputs, store, outputs.iter_mut().map(|(.., view)| view.reborrow()));
        Ok(())
    }

    /// Checks inputs and parameters, computes all sizes, and reserves the memory of temporaries; where `outputs` says
    /// so, the outputs will be allocated as well.
    fn prepare(
        &mut self,
        inputs: &[(&str, ArrayView<'_>)],
        store: &ParamStore,
        outputs: bool,
    ) -> Result<(), CallError> {
        let Executor { program, plan, sizes, arena, memory, .. } = self;
        plan.inputs.match_all(inputs.iter().map(|(name, _)| (Role::Input, *name)))?;
        bind(program, plan.inputs.matched(), inputs, &mut sizes.bindings)?;
        check_requirements(program, inputs, &sizes.bindings)?;
        for slot in &program.params {
            store.param(&slot.param, program.dtype)?;
        }
        sizes.evaluate(program, plan)?;
        memory::check(program, sizes, outputs, *memory)?;
        if arena.reserve(sizes.arena) {
            Ok(())
        } else {
            Err(CallError::TooLarge { what: format!("the memory of all temporaries ({} bytes)", sizes.arena) })
        }
    }

    fn allocate(&self, slot: &OutputSlot) -> Result<Array, CallError> {
        let shape = self.sizes.shape(&self.program, slot).collect::<Result<Vec<_>, _>>()?;
        let dtype = self.program.buffers[slot.buffer.index()].dtype;
        let too_large = || format!("the {} `{}` of shape {shape:?}", Role::from(slot.kind), slot.name);
        Array::zeros(shape.clone(), dtype).ok_or_else(|| CallError::TooLarge { what: too_large() })
    }

    /// What is wrong with the caller's memory for an output.
    fn output_fault(&self, slot: usize, view: &ArrayViewMut<'_>) -> Result<Option<Fault>, CallError> {
        let slot = &self.program.outputs[slot];
        let (given, wanted) = (view.dtype(), self.program.buffers[slot.buffer.index()].dtype);
        if given != wanted {
            return Ok(Some(Fault::DType { given, wanted }));
        }
        let wanted = || self.sizes.shape(&self.program, slot);
        if wanted().eq(view.shape().iter().map(|size| Ok(*size))) {
            return Ok(None);
        }
        let wanted = wanted().collect::<Result<Vec<_>, _>>()?;
        Ok(Some(Fault::Shape { given: view.shape().to_vec(), wanted: format!("{wanted:?}") }))
    }

    /// Does the program's steps; the outputs come in the order in which they were matched.
    fn run<'a>(
        &'a mut self,
        inputs: &'a [(&str, ArrayView<'a>)],
        store: &'a ParamStore,
        outputs: impl Iterator<Item = ArrayViewMut<'a>>,
    ) {
        let Executor { program, plan, sizes, arena, table, .. } = self;
        let mut frame = Frame::new(program, plan, sizes, table);
        for ((_, view), slot) in inputs.iter().zip(plan.inputs.matched()) {
            frame.read(program.inputs[*slot].buffer, view.elements().bytes());
        }
        for slot in &program.params {
            if let Ok(array) = store.get(&slot.param.name) {
                frame.read(slot.buffer, array.elements().bytes());
            }
        }
        for (view, slot) in outputs.zip(plan.outputs.matched()) {
            frame.write(program.outputs[*slot].buffer, view.into_elements().bytes());
        }
        let mut rest = arena.rest();
        for (k, buffer) in program.buffers.iter().enumerate() {
            match buffer.kind {
                BufferKind::Input | BufferKind::Param | BufferKind::Output => {}
                BufferKind::Temporary | BufferKind::Partial => {
                    frame.write(BufferId(k as u32), rest.cut(sizes.bytes[k]));
                }
            }
        }
        frame.run(rest.cut(plan.scratch));
    }
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

    /// All arrays, for [`Executor::call_into`] to write over.
    pub fn views_mut(&mut self) -> Vec<OutputView<'_>> {
        let Outputs { outputs, statistics, gradients } = self;
        let kinds =
            [(OutputKind::Output, outputs), (OutputKind::Statistic, statistics), (OutputKind::Gradient, gradients)];
        let views = kinds
            .into_iter()
            .flat_map(|(kind, arrays)| arrays.iter_mut().map(move |(name, array)| (kind, &**name, array.view_mut())));
        views.collect()
    }
}
