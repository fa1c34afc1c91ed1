//! The compiler from end to end: graph, simplified graph, loops, code.

use std::time::{Duration, Instant};

use schur_ir::graph::Graph;
use schur_ir::limits::{LimitError, Limits};
use schur_ir::program::Program;
use schur_ir::verify::{VerifyError, verify};

use crate::codegen::{CodegenError, Features, KernelCode, Listings, Target, assemble, generate};
use crate::loops::{LoopOptions, Loops, LoopsError, lower};
use crate::simplify::{Report, Simplified, SimplifyError, SimplifyOptions, simplify};

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
    /// Run Cranelift's verifier as well: for tests.
    pub verify_code: bool,
    /// Keep readable listings of the code: for `inspect`.
    pub listings: Listings,
}

impl Default for CompileOptions {
    fn default() -> Self {
        CompileOptions {
            simplify: Some(SimplifyOptions::default()),
            loops: LoopOptions::default(),
            limits: Limits::default(),
            features: Features::default(),
            verify_code: cfg!(debug_assertions),
            listings: Listings::Skip,
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
    /// The loops cannot say it.
    #[error(transparent)]
    Loops(#[from] LoopsError),
    /// No code came out.
    #[error(transparent)]
    Codegen(#[from] CodegenError),
}

/// Compiles a graph for this machine. `observe` is given what each stage made and how long it took.
pub fn compile(
    graph: &Graph,
    options: &CompileOptions,
    observe: &mut dyn FnMut(Stage<'_>, Duration),
) -> Result<Program, CompileError> {
    let mut clock = Instant::now();
    let mut lap = || std::mem::replace(&mut clock, Instant::now()).elapsed();
    graph.check_limits(&options.limits)?;
    verify(graph).map_err(CompileError::Graph)?;
    let simplified = match &options.simplify {
        Some(options) => simplify(graph, options)?,
        None => Simplified { graph: graph.clone(), report: Report::default() },
    };
    verify(&simplified.graph).map_err(CompileError::Simplified)?;
    observe(Stage::Simplified(&simplified.graph, &simplified.report), lap());

    let loops = lower(&simplified.graph, &options.loops)?;
    observe(Stage::Loops(&loops), lap());

    let target = Target::host(options.features, options.verify_code)?;
    let code = generate(&loops, &target, options.listings)?;
    observe(Stage::Code(&code), lap());

    let size = code.iter().map(|kernel| kernel.bytes.len()).fold(0, usize::saturating_add);
    LimitError::check("code", options.limits.code, size, || "the bytes of machine code".into())?;
    let program = assemble(loops, &code, &target)?;
    observe(Stage::Program(&program), lap());
    Ok(program)
}
