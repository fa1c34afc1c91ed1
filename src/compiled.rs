//! A compiled model: a program, ready to be called with arrays of any batch size.

use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use schur_ir::program::Program;
use schur_runtime::array::Array;
use schur_runtime::executor::{Executor, Outputs};
use schur_runtime::input::Input;
use schur_runtime::memory;
use schur_runtime::store::ParamStore;

use crate::error::Error;

/// A model in native code, with the memory to call it.
///
/// It serves one call at a time; clones share the code and have memory of their own: one for every thread that calls.
#[derive(Clone, Debug)]
pub struct CompiledModel {
    executor: Executor,
    timings: Timings,
}

/// How long every stage took, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timings(pub Vec<(&'static str, Duration)>);

impl Timings {
    /// The sum.
    pub fn total(&self) -> Duration {
        self.0.iter().map(|(_, time)| *time).sum()
    }
}

impl CompiledModel {
    pub(crate) fn new(program: Program, timings: Timings, memory: usize) -> Result<Self, Error> {
        let mut executor = Executor::new(Arc::new(program))?;
        executor.limit_memory(memory.min(memory::total()));
        Ok(CompiledModel { executor, timings })
    }

    /// The program.
    pub fn program(&self) -> &Arc<Program> {
        self.executor.program()
    }

    /// How long compilation took.
    pub fn timings(&self) -> &Timings {
        &self.timings
    }

    /// The most threads that a call uses: at first, one a core.
    pub fn threads(&self) -> usize {
        self.executor.threads()
    }

    /// Sets the most threads that a call uses. Results have the same bits for any number; calls of some microseconds use
    /// one.
    pub fn set_threads(&mut self, threads: usize) {
        self.executor.set_threads(threads);
    }

    /// A store of these arrays, which must be all the model's parameters and nothing else: what a checkpoint holds.
    pub fn params(&self, arrays: IndexMap<String, Array>) -> Result<ParamStore, Error> {
        let program = self.program();
        Ok(ParamStore::from_arrays(program.params.iter().map(|slot| &slot.param), program.dtype, arrays)?)
    }

    /// Calls the model with its inputs by name, in any order: [`Array`]s, or arrays and views of ndarray, which are
    /// borrowed where they are row-major. [`inputs!`](crate::inputs) puts several of different types together.
    pub fn run<'a, A>(
        &mut self,
        inputs: impl IntoIterator<Item = (&'a str, A)>,
        params: &ParamStore,
    ) -> Result<Outputs, Error>
    where
        A: Into<Input<'a>>,
    {
        let inputs: Vec<(&str, Input<'a>)> = inputs.into_iter().map(|(name, array)| (name, array.into())).collect();
        let views: Vec<_> = inputs.iter().map(|(name, input)| (*name, input.view())).collect();
        Ok(self.executor.call(&views, params)?)
    }

    /// The executor, to call the model with memory of your own.
    pub fn executor(&mut self) -> &mut Executor {
        &mut self.executor
    }
}

/// The inputs of a call by name, of different element types and ranks: `inputs!["x" => &x, "species" => species.view()]`.
#[macro_export]
macro_rules! inputs {
    ($($name:expr => $array:expr),* $(,)?) => {
        [$(($name, $crate::Input::from($array))),*]
    };
}
