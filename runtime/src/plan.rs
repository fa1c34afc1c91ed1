//! A program, checked once: that its parts fit together, so that calls need not ask.
//!
//! It checks:
//! - every kernel has code; every step names a kernel, or buffers of fitting kinds, types and sizes;
//! - a partial buffer is filled or begun before it is combined; one kernel runs between where it is begun and combined;
//! - what depends on parameters alone is of constant size: prepared buffers, and the rows of the prologue's kernels;
//!   the prologue fills and combines no buffers but prepared and partial ones, and no later step fills what is prepared;
//! - inputs, parameters and outputs each have one slot, of their kind, with a unique name; indices and masks are one
//!   element a row; the shapes of parameters and statistics hold as many elements as their buffers;
//! - requirements are of inputs of the type that they speak of;
//! - every symbol is an axis of an input.

#![expect(clippy::indexing_slicing, reason = "places are checked before they are used")]

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use schur_ir::dim::{Dim, Symbol};
use schur_ir::graph::Requirement;
use schur_ir::program::{Buffer, BufferId, BufferKind, KernelFn, Program, Step};
use schur_ir::ty::DType;
use schur_micro::{InstructionSet, Table};

use crate::argument::Role;
use crate::array::elements;
use crate::slots::Slots;

/// A program that contradicts itself: a bug of the compiler.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the program `{program}` is broken: {rule}")]
pub struct ProgramError {
    /// The model's name.
    pub program: String,
    /// The rule that is broken.
    pub rule: String,
}

/// What is derived from a program.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The code of every kernel.
    pub(crate) entries: Vec<KernelFn>,
    /// The micro-kernels that they call.
    pub(crate) micros: Table,
    /// One a step. Of a step that fills, begins or combines a partial buffer: the steps whose kernels add to it meanwhile.
    pub(crate) writers: Vec<Range<usize>>,
    /// One a step. Of a step that fills or begins a partial buffer which is combined once: into what.
    pub(crate) sums_of: Vec<Option<BufferId>>,
    /// One a kernel: whether it runs while partial sums are being added to.
    pub(crate) sums: Vec<bool>,
    /// The most scratch that a kernel needs.
    pub(crate) scratch: usize,
    /// The slots of inputs.
    pub(crate) inputs: Slots,
    /// The slots of outputs.
    pub(crate) outputs: Slots,
}

type Check<T = ()> = Result<T, String>;

fn ensure(holds: bool, rule: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(rule()) }
}

impl Plan {
    /// Checks a program; see the module's list.
    pub(crate) fn new(program: &Program, set: InstructionSet) -> Result<Self, ProgramError> {
        Self::checked(program, set).map_err(|rule| ProgramError { program: program.name.clone(), rule })
    }

    fn checked(program: &Program, set: InstructionSet) -> Check<Self> {
        let entry = |k: usize| program.code.kernel(k).ok_or_else(|| format!("kernel {k} has no code"));
        let entries = (0..program.kernels.len()).map(entry).collect::<Check<Vec<_>>>()?;
        check_slots(program)?;
        let unique = |slots: Result<Slots, Arc<str>>| slots.map_err(|name| format!("two slots are named `{name}`"));
        let inputs = unique(Slots::new(program.inputs.iter().map(|slot| (Role::Input, slot.name.clone()))))?;
        let outputs = unique(Slots::new(program.outputs.iter().map(|slot| (slot.kind.into(), slot.name.clone()))))?;
        check_requirements(program)?;
        check_symbols(program)?;
        check_prologue(program)?;
        let writers = writers(program)?;
        Ok(Plan {
            entries,
            micros: Table::new(&program.micros, set),
            sums: sums(program, &writers),
            sums_of: sums_of(program, &writers),
            writers,
            scratch: program.kernels.iter().map(|kernel| kernel.scratch).max().unwrap_or(0),
            inputs,
            outputs,
        })
    }
}

fn buffer(program: &Program, id: BufferId) -> Check<&Buffer> {
    program.buffers.get(id.index()).ok_or_else(|| format!("there is no buffer {id}"))
}

/// The number of elements in one copy, where it is constant.
fn constant(buffer: &Buffer) -> Option<usize> {
    let sizes = buffer.dims.iter().map(|dim| usize::try_from(dim.constant()?).ok());
    elements(&sizes.chain([Some(buffer.width)]).collect::<Option<Vec<_>>>()?)
}

fn check_slots(program: &Program) -> Check {
    let inputs = program.inputs.iter().map(|slot| (&slot.name, slot.buffer, BufferKind::Input, None));
    let params = program.params.iter();
    let params =
        params.map(|slot| (&slot.param.name, slot.buffer, BufferKind::Param, Some(slot.param.shape.as_slice())));
    let outputs = program.outputs.iter();
    let outputs = outputs.map(|slot| (&slot.name, slot.buffer, BufferKind::Output, slot.shape.as_deref()));
    let mut seen = HashSet::new();
    for (name, id, kind, shape) in inputs.chain(params).chain(outputs) {
        let buffer = buffer(program, id)?;
        ensure(buffer.kind == kind, || format!("`{name}` is at {id}, which is not of the kind {kind:?}"))?;
        ensure(seen.insert(id), || format!("two slots share {id}"))?;
        let fits = shape.is_none_or(|shape| elements(shape).is_some() && elements(shape) == constant(buffer));
        ensure(fits, || format!("{id} does not hold the shape {shape:?} of `{name}`"))?;
        let float = buffer.dtype.is_float();
        ensure(float || shape.is_none() && buffer.width == 1, || format!("`{name}` is {} of {id}", buffer.dtype))?;
        ensure(kind != BufferKind::Param || buffer.dtype == program.dtype, || format!("`{name}` is no float"))?;
    }
    for (k, buffer) in program.buffers.iter().enumerate() {
        let id = BufferId(k as u32);
        let own = matches!(buffer.kind, BufferKind::Temporary | BufferKind::Prepared | BufferKind::Partial);
        ensure(own || seen.contains(&id), || format!("no slot gives {id}"))?;
    }
    Ok(())
}

fn check_requirements(program: &Program) -> Check {
    let check = |name: &Arc<str>, dtype: DType| {
        let slot = program.inputs.iter().find(|slot| slot.name == *name);
        let fits = slot.is_some_and(|slot| program.buffers[slot.buffer.index()].dtype == dtype);
        ensure(fits, || format!("a requirement is of `{name}`, which is no input of type {dtype}"))
    };
    program.requirements.iter().try_for_each(|requirement| match requirement {
        Requirement::IndexBelow { input, .. } => check(input, DType::I32),
        Requirement::AnyTrue { input, .. } => check(input, DType::Bool),
        Requirement::NotEmpty { .. } => Ok(()),
    })
}

fn check_symbols(program: &Program) -> Check {
    let axes = program.inputs.iter().flat_map(|slot| &program.buffers[slot.buffer.index()].dims);
    let bound: HashSet<&Symbol> = axes.filter_map(Dim::as_symbol).collect();
    let required = program.requirements.iter().flat_map(|requirement| match requirement {
        Requirement::NotEmpty { dims, .. } => dims.as_slice(),
        Requirement::IndexBelow { .. } | Requirement::AnyTrue { .. } => &[],
    });
    let dims = program.buffers.iter().flat_map(|buffer| &buffer.dims);
    let dims = dims.chain(program.kernels.iter().map(|kernel| &kernel.rows)).chain(required);
    let mut symbols = dims.flat_map(Dim::symbols).chain(&program.symbols);
    let unbound = symbols.find(|symbol| !bound.contains(symbol));
    unbound.map_or(Ok(()), |symbol| Err(format!("the size `{symbol}` is no axis of an input")))
}

/// Checks that the prologue can be done once for many calls.
fn check_prologue(program: &Program) -> Check {
    for buffer in program.buffers.iter().filter(|buffer| buffer.kind == BufferKind::Prepared) {
        ensure(constant(buffer).is_some(), || format!("`{}` is prepared, but its size is not constant", buffer.label))?;
    }
    let (prologue, rest) =
        program.steps.split_at_checked(program.prologue).ok_or("the prologue has more steps than there are")?;
    let is_kept = |id: BufferId| Ok::<_, String>(buffer(program, id)?.kind == BufferKind::Prepared);
    let is_own = |id: BufferId| {
        let kind = buffer(program, id)?.kind;
        ensure(matches!(kind, BufferKind::Prepared | BufferKind::Partial), || format!("the prologue writes to {id}"))
    };
    for step in prologue {
        match step {
            Step::Run(kernel) => {
                let rows = program.kernels.get(*kernel).map(|kernel| kernel.rows.constant());
                ensure(rows != Some(None), || format!("kernel {kernel} of the prologue has rows of no constant size"))?;
                let again = rest.contains(step);
                ensure(!again, || format!("kernel {kernel} of the prologue runs again"))?;
            }
            Step::Fill(id, _) | Step::Begin(id) => is_own(*id)?,
            Step::Combine { into, .. } => is_own(*into)?,
        }
    }
    for step in rest {
        match step {
            Step::Run(_) | Step::Begin(_) => {}
            Step::Fill(id, _) | Step::Combine { into: id, .. } => {
                ensure(!is_kept(*id)?, || format!("{id} is prepared, but written at every call"))?;
            }
        }
    }
    Ok(())
}

/// Checks the steps, and finds those between the filling or the beginning of a partial buffer and its last combination.
fn writers(program: &Program) -> Check<Vec<Range<usize>>> {
    let mut writers = vec![0..0; program.steps.len()];
    let mut started: Vec<Option<usize>> = vec![None; program.buffers.len()];
    for (at, step) in program.steps.iter().enumerate() {
        match step {
            Step::Run(kernel) => ensure(*kernel < program.kernels.len(), || format!("there is no kernel {kernel}"))?,
            Step::Fill(id, _) => {
                let buffer = buffer(program, *id)?;
                let fits = buffer.dtype.is_float() && !matches!(buffer.kind, BufferKind::Input | BufferKind::Param);
                ensure(fits, || format!("{id} cannot be filled"))?;
                writers[at] = at..at;
                started[id.index()] = Some(at);
            }
            Step::Begin(id) => {
                ensure(buffer(program, *id)?.kind == BufferKind::Partial, || format!("{id} cannot be begun"))?;
                writers[at] = at..at;
                started[id.index()] = Some(at);
            }
            Step::Combine { from, into } => {
                let (a, b) = (buffer(program, *from)?, buffer(program, *into)?);
                let fits = a.kind == BufferKind::Partial
                    && matches!(b.kind, BufferKind::Temporary | BufferKind::Prepared | BufferKind::Output)
                    && a.dtype.is_float()
                    && (&a.dims, a.width, a.dtype) == (&b.dims, b.width, b.dtype);
                ensure(fits, || format!("{from} cannot be combined into {into}"))?;
                let start = started[from.index()].ok_or_else(|| format!("{from} is combined but not filled"))?;
                writers[start].end = at;
                writers[at] = start..at;
                let runs = program.steps[start..at].iter().filter(|step| matches!(step, Step::Run(_))).count();
                let is_set = !matches!(program.steps[start], Step::Begin(_)) || runs == 1;
                ensure(is_set, || format!("{from} is begun for one kernel, but {runs} run before it is combined"))?;
            }
        }
    }
    Ok(writers)
}

/// What partial buffers are combined into, by the steps that fill or begin them; none where that is done more than once.
fn sums_of(program: &Program, writers: &[Range<usize>]) -> Vec<Option<BufferId>> {
    let mut combined = vec![Vec::new(); program.steps.len()];
    for (step, range) in program.steps.iter().zip(writers) {
        if let Step::Combine { into, .. } = step {
            combined[range.start].push(*into);
        }
    }
    combined.into_iter().map(|into| if let [into] = into[..] { Some(into) } else { None }).collect()
}

/// The kernels that run between the filling or the beginning of a partial buffer and its last combination.
fn sums(program: &Program, writers: &[Range<usize>]) -> Vec<bool> {
    let mut sums = vec![false; program.kernels.len()];
    for step in writers.iter().flat_map(|range| &program.steps[range.clone()]) {
        match step {
            Step::Run(kernel) => sums[*kernel] = true,
            Step::Fill(..) | Step::Begin(_) | Step::Combine { .. } => {}
        }
    }
    sums
}
