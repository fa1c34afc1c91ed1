//! A compiled model: a program, ready to be called with arrays of any batch size.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use schur_compiler::compile::{CompileOptions, Compiled, compile_simplified};
use schur_ir::graph::Graph;
use schur_ir::program::Program;
use schur_runtime::array::Array;
use schur_runtime::executor::{Executor, Outputs};
use schur_runtime::input::Input;
use schur_runtime::memory;
use schur_runtime::store::ParamStore;
use schur_runtime::view::ArrayView;

use crate::choice::Choice;
use crate::error::Error;
use crate::train::is_state;

/// A model in native code, with the memory to call it.
///
/// It serves one call at a time; clones share the code and have memory of their own: one for every thread that calls.
///
/// One program serves all sizes. Where another one does less for few rows, or for very many, a call of such sizes
/// compiles it when it first needs it; which is taken depends on the sizes of a call alone.
#[derive(Clone, Debug)]
pub struct CompiledModel {
    executor: Executor,
    others: Vec<Other>,
    choice: Choice,
    options: CompileOptions,
    timings: Timings,
}

/// What is compiled when a call first has sizes for which it is best.
#[derive(Clone, Debug)]
struct Other {
    graph: Graph,
    executor: Option<Executor>,
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

/// The executor of a program, within the memory that the options allow, and on so many threads at most; without, one a core.
pub(crate) fn executor(
    program: Program,
    options: &CompileOptions,
    threads: Option<NonZeroUsize>,
) -> Result<Executor, Error> {
    let mut executor = Executor::new(Arc::new(program))?;
    executor.limit_memory(options.limits.memory.min(memory::total()));
    if let Some(threads) = threads {
        executor.set_threads(threads.get());
    }
    Ok(executor)
}

impl CompiledModel {
    pub(crate) fn new(compiled: Compiled, options: CompileOptions, timings: Timings) -> Result<Self, Error> {
        let Compiled { program, others, by_size } = compiled;
        let others = others.into_iter().map(|graph| Other { graph, executor: None }).collect();
        let choice = Choice::new(&program, by_size);
        let executor = executor(program, &options, None)?;
        Ok(CompiledModel { executor, others, choice, options, timings })
    }

    /// The first size of every range of sizes that has a program of its own, where all symbols have that size, and the
    /// number of the program; 0 is [`CompiledModel::program`].
    pub fn ranges(&self) -> Vec<(usize, usize)> {
        self.choice.ranges()
    }

    /// The program for nominal sizes.
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

    /// A store of the arrays of a checkpoint: all the model's parameters, of the shapes that flax gives them, and nothing else but
    /// the state of a run of training, which is passed over.
    ///
    /// # Errors
    /// Where a parameter is missing, or an array has another name, shape or element type than a parameter.
    pub fn params(&self, arrays: impl IntoIterator<Item = (String, Array)>) -> Result<ParamStore, Error> {
        let program = self.program();
        let arrays = arrays.into_iter().filter(|(name, _)| !is_state(name)).collect();
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
        Ok(self.executor_for(&views)?.call(&views, params)?)
    }

    /// The executor for nominal sizes, which takes all others too, to call the model with memory of your own.
    pub fn executor(&mut self) -> &mut Executor {
        &mut self.executor
    }

    /// The executor that does least for the sizes of these inputs; it is compiled where these are the first such sizes.
    pub fn executor_for(&mut self, inputs: &[(&str, ArrayView<'_>)]) -> Result<&mut Executor, Error> {
        if self.others.is_empty() {
            return Ok(&mut self.executor);
        }
        let chosen = self.choice.of(inputs);
        let Some(other) = chosen.checked_sub(1).and_then(|k| self.others.get_mut(k)) else {
            return Ok(&mut self.executor);
        };
        let executor = match &mut other.executor {
            Some(executor) => executor,
            slot @ None => {
                let program = compile_simplified(&other.graph, &self.options, &mut |_, _| {})?;
                slot.insert(executor(program, &self.options, None)?)
            }
        };
        executor.set_threads(self.executor.threads());
        Ok(executor)
    }
}

/// The inputs of a call by name, of different element types and ranks: `inputs!["x" => &x, "species" => species.view()]`.
#[macro_export]
macro_rules! inputs {
    ($($name:expr => $array:expr),* $(,)?) => {
        [$(($name, $crate::Input::from($array))),*]
    };
}
