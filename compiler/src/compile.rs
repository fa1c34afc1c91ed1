//! The compiler from end to end: graph, simplified graph, loops, code.

use std::time::{Duration, Instant};

use schur_ir::graph::Graph;
use schur_ir::limits::{LimitError, Limits};
use schur_ir::program::Program;
use schur_ir::verify::{VerifyError, verify};

use crate::codegen::{Cache, CodegenError, Features, KernelCode, Listings, Target, assemble, generate};
use crate::loops::{LoopOptions, Loops, LoopsError, lower_verified};
use crate::simplify::{BySize, Report, Simplified, SimplifyError, SimplifyOptions, simplify_verified};
use crate::validate::{ValidationError, validate};

/// How to compile.
#[derive(Clone, Debug)]
pub struct CompileOptions {
    /// Rewrite the graph first; none compiles it as it was built.
    pub simplify: Option<SimplifyOptions>,
    /// How loops are fused and tiled.
    pub loops: LoopOptions,
    /// The largest graph and program that are compiled.
    pub limits: Limits,
    /// Which instructions may be used.
    pub features: Features,
    /// Evaluate the simplified graph beside the graph on random arrays: for tests.
    pub validate: bool,
    /// Run Cranelift's verifier as well: for tests.
    pub verify_code: bool,
    /// Keep readable listings of the code: for `inspect`.
    pub listings: Listings,
    /// Where machine code is looked for, and kept for the next compilation; none compiles all of it. Listings are of
    /// code that is compiled: with them, nothing is looked for.
    pub cache: Option<Cache>,
}

impl Default for CompileOptions {
    fn default() -> Self {
        CompileOptions {
            simplify: Some(SimplifyOptions::default()),
            loops: LoopOptions::default(),
            limits: Limits::default(),
            features: Features::default(),
            validate: cfg!(debug_assertions),
            verify_code: cfg!(debug_assertions),
            listings: Listings::Skip,
            cache: None,
        }
    }
}

/// What a stage made, as an observer sees it.
#[derive(Clone, Copy, Debug)]
pub enum Stage<'a> {
    /// The graph after equality saturation, and what was done.
    Simplified(&'a Graph, &'a Report),
    /// The fused loops.
    Loops(&'a Loops),
    /// The code of every kernel.
    Code(&'a [KernelCode]),
    /// The program, its code in executable memory.
    Program(&'a Program),
}

impl Stage<'_> {
    /// The stage's name.
    pub fn name(&self) -> &'static str {
        match self {
            Stage::Simplified(..) => "simplified",
            Stage::Loops(_) => "loops",
            Stage::Code(_) => "code",
            Stage::Program(_) => "program",
        }
    }
}

/// Why a graph was not compiled. All but [`CodegenError::Target`] and [`CodegenError::Memory`] are faults of the graph
/// that was given, or bugs of ours.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The graph given breaks a rule.
    #[error("the graph is not valid: {0}")]
    Graph(VerifyError),
    /// The graph or its code is larger than is accepted.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// A stage made a graph that breaks a rule.
    #[error("bug: the simplified graph is not valid: {0}")]
    Simplified(VerifyError),
    /// The simplifier gave up.
    #[error(transparent)]
    Simplify(#[from] SimplifyError),
    /// The simplified graph computes something else.
    #[error(transparent)]
    Validation(#[from] ValidationError),
    /// The loops cannot say it.
    #[error(transparent)]
    Loops(#[from] LoopsError),
    /// No code came out.
    #[error(transparent)]
    Codegen(#[from] CodegenError),
}

/// A program, and what to compile for sizes for which it is not the best.
#[derive(Debug)]
pub struct Compiled {
    /// The program for nominal sizes.
    pub program: Program,
    /// Simplified graphs of the same; each is compiled with [`compile_simplified`] when a call needs it.
    pub others: Vec<Graph>,
    /// Which to take for which sizes.
    pub by_size: BySize,
}

/// Compiles a graph for this machine. `observe` is given what each stage made and how long it took.
pub fn compile(
    graph: &Graph,
    options: &CompileOptions,
    observe: &mut dyn FnMut(Stage<'_>, Duration),
) -> Result<Program, CompileError> {
    let simplify = options.simplify.as_ref().map(|o| SimplifyOptions { other_sizes: Vec::new(), ..o.clone() });
    Ok(compile_by_size(graph, &CompileOptions { simplify, ..options.clone() }, observe)?.program)
}

/// Compiles a graph for this machine, and finds the graphs that are better for other sizes.
pub fn compile_by_size(
    graph: &Graph,
    options: &CompileOptions,
    observe: &mut dyn FnMut(Stage<'_>, Duration),
) -> Result<Compiled, CompileError> {
    let clock = Instant::now();
    graph.check_limits(&options.limits)?;
    verify(graph).map_err(CompileError::Graph)?;
    let Some(simplify_options) = &options.simplify else {
        let report = Report::default();
        observe(Stage::Simplified(graph, &report), clock.elapsed());
        let program = compile_verified(graph, options, observe)?;
        return Ok(Compiled { program, others: Vec::new(), by_size: BySize::default() });
    };
    let Simplified { graph: simplified, report, others, by_size } = simplify_verified(graph, simplify_options)?;
    for graph in others.iter().chain([&simplified]) {
        verify(graph).map_err(CompileError::Simplified)?;
    }
    observe(Stage::Simplified(&simplified, &report), clock.elapsed());
    if options.validate {
        for after in others.iter().chain([&simplified]) {
            validate(graph, after, VALIDATION_SEED)?;
        }
    }
    Ok(Compiled { program: compile_verified(&simplified, options, observe)?, others, by_size })
}

/// Compiles a graph as it is.
pub fn compile_simplified(
    graph: &Graph,
    options: &CompileOptions,
    observe: &mut dyn FnMut(Stage<'_>, Duration),
) -> Result<Program, CompileError> {
    verify(graph).map_err(CompileError::Graph)?;
    compile_verified(graph, options, observe)
}

/// Compiles a graph that verifies, as it is.
fn compile_verified(
    graph: &Graph,
    options: &CompileOptions,
    observe: &mut dyn FnMut(Stage<'_>, Duration),
) -> Result<Program, CompileError> {
    let mut clock = Instant::now();
    let mut lap = || std::mem::replace(&mut clock, Instant::now()).elapsed();
    let loops = lower_verified(graph, &options.loops)?;
    observe(Stage::Loops(&loops), lap());

    let target = Target::host(options.features, options.verify_code)?;
    let code = generate(&loops, &target, options.listings, options.cache.as_ref())?;
    observe(Stage::Code(&code), lap());

    let size = code.iter().map(KernelCode::size).fold(0, usize::saturating_add);
    LimitError::check("code", options.limits.code, size, || "the bytes of machine code".into())?;
    let program = assemble(loops, &code, &target)?;
    observe(Stage::Program(&program), lap());
    Ok(program)
}

/// Which random arrays a simplification is validated on at compile time.
const VALIDATION_SEED: u64 = 0;
