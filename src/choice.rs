//! Which of a model's programs a call takes: the one that costs least for the sizes of its inputs.

use std::sync::Arc;

use schur_compiler::simplify::BySize;
use schur_ir::dim::{Bindings, Dim, Symbol};
use schur_ir::program::Program;
use schur_runtime::view::ArrayView;

/// The choice, with what it was for the sizes of the last call.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    by_size: BySize,
    axes: Vec<SizedAxis>,
    sizes: Bindings,
    chosen: usize,
}

/// An axis of an input whose size a symbol is.
#[derive(Clone, Debug)]
struct SizedAxis {
    input: Arc<str>,
    axis: usize,
    symbol: Symbol,
}

impl Choice {
    /// The choice between programs whose inputs are this one's.
    pub(crate) fn new(program: &Program, by_size: BySize) -> Self {
        let slots = program.inputs.iter().map(|slot| (slot, program.buffers.get(slot.buffer.index())));
        let dims = slots.flat_map(|(slot, buffer)| {
            let dims = buffer.into_iter().flat_map(|buffer| buffer.dims.iter().enumerate());
            dims.map(|(axis, dim)| (slot.name.clone(), axis, dim))
        });
        let axes = dims.filter_map(|(input, axis, dim)| {
            let symbol = dim.symbols().next().filter(|symbol| *dim == Dim::symbol((*symbol).clone()))?;
            Some(SizedAxis { input, axis, symbol: symbol.clone() })
        });
        let (axes, sizes) = (axes.collect(), Bindings::new());
        let chosen = by_size.choose(&sizes);
        Choice { by_size, axes, sizes, chosen }
    }

    /// See [`BySize::ranges`].
    pub(crate) fn ranges(&self) -> Vec<(usize, usize)> {
        self.by_size.ranges()
    }

    /// The number of the program for these inputs; inputs that do not fit are for the executor to tell. Once
    /// every symbol had a size, nothing is allocated.
    pub(crate) fn of(&mut self, inputs: &[(&str, ArrayView<'_>)]) -> usize {
        let mut changed = false;
        for SizedAxis { input, axis, symbol } in &self.axes {
            let array = inputs.iter().find(|(name, _)| **name == **input);
            let Some(&size) = array.and_then(|(_, array)| array.shape().get(*axis)) else { continue };
            match self.sizes.get_mut(symbol) {
                Some(known) => changed |= std::mem::replace(known, size) != size,
                None => {
                    self.sizes.insert(symbol.clone(), size);
                    changed = true;
                }
            }
        }
        if changed {
            self.chosen = self.by_size.choose(&self.sizes);
        }
        self.chosen
    }
}
