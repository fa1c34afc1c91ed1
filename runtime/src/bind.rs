//! What a call's inputs must be, checked before anything is computed or written: element types, shapes, one size for
//! every symbol, masks of 0 and 1, and the program's requirements.

use std::fmt::Write;
use std::sync::Arc;

use schur_ir::dim::{Bindings, Dim, DimError, Symbol};
use schur_ir::graph::Requirement;
use schur_ir::program::{Buffer, Program};

use crate::argument::{ArgumentError, Fault, Role};
use crate::array::with_rank;
use crate::store::StoreError;
use crate::view::{ArrayView, Elements};

/// Why a program cannot be called so.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CallError {
    /// One array is wrong.
    #[error(transparent)]
    Argument(#[from] ArgumentError),
    /// A symbol has two sizes.
    #[error("`{symbol}` is {size} in `{name}` but {other_size} in `{other}`")]
    Symbol {
        /// The symbol.
        symbol: Symbol,
        /// An input.
        name: String,
        /// The size there.
        size: usize,
        /// An input that comes later, or the same.
        other: String,
        /// The size there.
        other_size: usize,
    },
    /// A requirement does not hold.
    #[error(transparent)]
    Requirement(#[from] RequirementError),
    /// The store is not the program's.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A size has no value.
    #[error(transparent)]
    Dim(#[from] DimError),
    /// There is no memory for an array.
    #[error("{what} does not fit in memory")]
    TooLarge {
        /// The array.
        what: String,
    },
}

/// Which requirement of a program does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequirementError {
    /// An index is out of range.
    #[error("the index {value} at {place:?} of `{input}` is not in 0..{bound} (layer `{layer}`)")]
    IndexBelow {
        /// The input.
        input: Arc<str>,
        /// Where the index is.
        place: Vec<usize>,
        /// The index.
        value: i32,
        /// The first index that is too large.
        bound: usize,
        /// The layer that asks for it.
        layer: Arc<str>,
    },
    /// There is no row.
    #[error("`{dim}` is 0, and statistics of no rows do not exist (layer `{layer}`)")]
    NotEmpty {
        /// The size that is zero.
        dim: Dim,
        /// The layer that asks for it.
        layer: Arc<str>,
    },
    /// A mask has no element that is true.
    #[error("no element of the mask `{input}` is true (layer `{layer}`)")]
    AnyTrue {
        /// The mask.
        input: Arc<str>,
        /// The layer that asks for it.
        layer: Arc<str>,
    },
}

/// Named arrays of a call.
pub(crate) type Inputs<'a> = [(&'a str, ArrayView<'a>)];

/// Checks the types and shapes of the inputs, where `slots` gives the slot of each, and binds the symbols.
pub(crate) fn bind(
    program: &Program,
    slots: &[usize],
    inputs: &Inputs<'_>,
    bindings: &mut Bindings,
) -> Result<(), CallError> {
    bindings.clear();
    let each = || {
        #[allow(clippy::indexing_slicing, reason = "places are of a program that the plan has checked")]
        let buffers = slots.iter().map(|slot| &program.buffers[program.inputs[*slot].buffer.index()]);
        inputs.iter().zip(buffers).map(|((name, view), buffer)| (*name, *view, buffer))
    };
    for (name, view, buffer) in each() {
        check_array(view, buffer).map_err(|fault| argument(name, fault))?;
    }
    for (name, view, buffer) in each() {
        for (dim, &size) in buffer.dims.iter().zip(view.shape()) {
            let Some(symbol) = dim.as_symbol() else { continue };
            let bound = *bindings.entry(symbol.clone()).or_insert(size);
            if bound != size {
                let first = each().find(|(.., buffer)| buffer.dims.iter().any(|dim| dim.as_symbol() == Some(symbol)));
                let first = first.map_or(name, |(first, ..)| first).to_owned();
                let (symbol, other) = (symbol.clone(), name.to_owned());
                return Err(CallError::Symbol { symbol, name: first, size: bound, other, other_size: size });
            }
        }
    }
    for (name, view, buffer) in each() {
        for (dim, &size) in buffer.dims.iter().zip(view.shape()) {
            if dim.evaluate(bindings)? != size {
                let wanted = wanted(buffer, bindings);
                return Err(argument(name, Fault::Shape { given: view.shape().to_vec(), wanted }).into());
            }
        }
    }
    Ok(())
}

fn argument(name: &str, fault: Fault) -> ArgumentError {
    ArgumentError { role: Role::Input, name: name.to_owned(), fault }
}

/// What can be checked of one array before symbols are bound.
fn check_array(view: ArrayView<'_>, buffer: &Buffer) -> Result<(), Fault> {
    if view.dtype() != buffer.dtype {
        return Err(Fault::DType { given: view.dtype(), wanted: buffer.dtype });
    }
    let width = buffer.width_axis();
    let rank = buffer.dims.len().saturating_add(usize::from(width.is_some()));
    if with_rank(view.shape(), rank).len() != rank {
        return Err(Fault::Shape { given: view.shape().to_vec(), wanted: wanted(buffer, &Bindings::new()) });
    }
    if let (Some(wanted), Some(&given)) = (width, view.shape().last())
        && given != wanted
    {
        return Err(Fault::Width { given, wanted });
    }
    Ok(())
}

/// Checks that every mask holds 0 and 1.
pub(crate) fn check_masks(inputs: &Inputs<'_>) -> Result<(), ArgumentError> {
    for (name, view) in inputs {
        let Elements::Bool(bytes) = view.elements() else { continue };
        // One pass without a branch; a second one finds the place.
        if bytes.iter().fold(0, |all, byte| all | byte) > 1
            && let Some(at) = bytes.iter().position(|byte| *byte > 1)
        {
            return Err(argument(
                name,
                Fault::NotBool { value: bytes.get(at).copied().unwrap_or_default(), place: unravel(at, view.shape()) },
            ));
        }
    }
    Ok(())
}

/// The shape that a buffer's array has, with the values of sizes that are more than a symbol: `[N, 2*N = 8, 3]`.
fn wanted(buffer: &Buffer, bindings: &Bindings) -> String {
    let mut parts: Vec<String> = Vec::new();
    for dim in &buffer.dims {
        let mut part = dim.to_string();
        if dim.constant().is_none()
            && dim.as_symbol().is_none()
            && let Ok(value) = dim.evaluate(bindings)
        {
            let _ = write!(part, " = {value}");
        }
        parts.push(part);
    }
    parts.extend(buffer.width_axis().map(|width| width.to_string()));
    format!("[{}]", parts.join(", "))
}

/// The place of an element by its number.
#[allow(clippy::arithmetic_side_effects, reason = "no axis of an array with an element has size 0")]
fn unravel(mut at: usize, shape: &[usize]) -> Vec<usize> {
    let mut place = vec![0; shape.len()];
    for (index, &size) in place.iter_mut().zip(shape).rev() {
        (*index, at) = (at % size, at / size);
    }
    place
}

/// Checks the program's requirements of inputs that [`bind`] has accepted.
pub(crate) fn check_requirements(program: &Program, inputs: &Inputs<'_>, bindings: &Bindings) -> Result<(), CallError> {
    let find = |name: &Arc<str>| inputs.iter().find(|(given, _)| **given == **name).map(|(_, view)| *view);
    for requirement in &program.requirements {
        match requirement {
            Requirement::IndexBelow { input, bound, layer } => {
                let Some(view) = find(input) else { continue };
                let Elements::I32(indices) = view.elements() else { continue };
                // Negative indices are large ones without their sign.
                let first = u32::try_from(*bound).unwrap_or(u32::MAX).min(1 << 31);
                let outside = |index: &i32| *index as u32 >= first;
                // One pass without a branch; a second one finds the place.
                if indices.iter().fold(false, |any, index| any | outside(index))
                    && let Some(at) = indices.iter().position(outside)
                {
                    let (input, layer, bound) = (input.clone(), layer.clone(), *bound);
                    let (place, value) = (unravel(at, view.shape()), indices.get(at).copied().unwrap_or_default());
                    return Err(RequirementError::IndexBelow { input, place, value, bound, layer }.into());
                }
            }
            Requirement::NotEmpty { dims, layer } => {
                for dim in dims {
                    if dim.evaluate(bindings)? == 0 {
                        return Err(RequirementError::NotEmpty { dim: dim.clone(), layer: layer.clone() }.into());
                    }
                }
            }
            Requirement::AnyTrue { input, layer } => {
                let Some(view) = find(input) else { continue };
                if !matches!(view.elements(), Elements::Bool(mask) if mask.contains(&1)) {
                    let (input, layer) = (input.clone(), layer.clone());
                    return Err(RequirementError::AnyTrue { input, layer }.into());
                }
            }
        }
    }
    Ok(())
}
