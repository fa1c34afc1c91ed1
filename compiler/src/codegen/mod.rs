//! The `clif` and `asm` stages: Cranelift IR, one function a kernel, and machine code.
//!
//! Generated code is complete and portable: 128-bit vectors, fused multiply-add where the machine has it. Every load and
//! store is at `base + row × width + segment`, places that [`crate::loops`] keeps inside their arrays.

mod address;
mod ahead;
mod cache;
mod control;
mod groups;
mod kernel;
mod listing;
mod map;
mod math;
mod native;
mod nest;
mod plan;
mod rows;
mod scope;
mod target;
mod together;

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::ExternalName;
use cranelift_codegen::{CodegenError as ClifError, CompiledCode, Context, FinalizedMachReloc, FinalizedRelocTarget};
use cranelift_frontend::FunctionBuilderContext;
use schur_ir::dim::{Dim, Symbol};
use schur_ir::program;

use crate::loops::{Kernel, Loops};

use cache::{Key, Keys, Stored};
use scope::Scope;

pub use cache::{Cache, CacheError};
pub use listing::Listing;
pub use native::NativeCode;
pub use target::{Features, Target};

/// Why no code came out.
#[derive(Debug, thiserror::Error)]
pub enum CodegenError {
    /// This machine, or these features of it, are not supported.
    #[error("no code can be generated for this machine: {0}")]
    Target(String),
    /// Cranelift refused a function: a bug of ours, or a kernel beyond its limits.
    #[error("kernel `{kernel}` does not compile: {reason}")]
    Kernel {
        /// The kernel.
        kernel: String,
        /// What Cranelift says.
        reason: String,
    },
    /// No executable memory.
    #[error("no memory for code: {0}")]
    Memory(String),
}

/// A compiled kernel, before it is placed in memory.
#[derive(Clone, Debug, Default)]
pub struct KernelCode {
    /// The kernel's name.
    pub name: String,
    /// The code as text, where [`Listings`] were asked for.
    pub listing: Option<Listing>,
    /// The machine code.
    pub machine: MachineCode,
    /// True where it was found in a [`Cache`].
    pub was_cached: bool,
    /// Of a kernel of many statements, the functions that compute some of them each; the code above goes over tiles alone.
    pub sections: Vec<KernelCode>,
}

/// The machine code of a function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineCode {
    /// Instructions, and the constants after them.
    pub bytes: Vec<u8>,
    /// The alignment that the code needs.
    pub align: u64,
    /// Where it calls its sections.
    pub calls: Vec<Call>,
}

impl KernelCode {
    /// Bytes of machine code, sections included.
    pub fn size(&self) -> usize {
        self.sections.iter().map(KernelCode::size).fold(self.machine.bytes.len(), usize::saturating_add)
    }

    /// The functions of the kernel: this one and its sections.
    pub fn functions(&self) -> impl Iterator<Item = &KernelCode> {
        std::iter::once(self).chain(&self.sections)
    }
}

/// A place in a kernel's code that the address of a section belongs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    section: u32,
    offset: u32,
    kind: Reloc,
    addend: i64,
}

/// Whether to keep readable listings of what is generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listings {
    /// Keep them: for `inspect`.
    Keep,
    /// Skip them.
    Skip,
}

/// The symbols whose sizes kernels are given, sorted.
pub fn symbols(loops: &Loops) -> Vec<Symbol> {
    let dims = loops.buffers.iter().flat_map(|b| &b.dims).chain(loops.kernels.iter().flat_map(|k| &k.rows));
    let mut symbols: Vec<Symbol> = dims.flat_map(Dim::symbols).cloned().collect();
    symbols.sort();
    symbols.dedup();
    symbols
}

/// Generates the code of every kernel, on as many threads as there are cores: functions do not know of each other, so the
/// code is the same for any number. Functions that are in the cache are taken from there, where no listings are kept.
pub fn generate(
    loops: &Loops,
    target: &Target,
    listings: Listings,
    cache: Option<&Cache>,
) -> Result<Vec<KernelCode>, CodegenError> {
    let symbols = symbols(loops);
    let stored = cache.filter(|_| listings == Listings::Skip).map(|cache| cache.of_program(loops, target));
    let kernels = loops.kernels.iter();
    let scopes = kernels.flat_map(|k| Scope::of_kernel(k.body.len()).into_iter().map(move |scope| (k, scope)));
    let functions: Vec<(&Kernel, Scope)> = scopes.collect();
    let generator = || {
        let stored = stored.as_ref().map(|stored| (stored, Keys::new(target)));
        let (context, builder) = (Context::new(), FunctionBuilderContext::new());
        Generator { loops, symbols: &symbols, target, listings, stored, context, builder }
    };
    let codes = on_threads(&functions, generator)?;
    if let Some(stored) = stored.filter(|_| codes.iter().any(|(code, _)| !code.was_cached)) {
        let functions: Vec<_> = codes.iter().filter_map(|(code, key)| Some(((*key)?, &code.machine))).collect();
        stored.keep(&functions);
    }
    let mut kernels: Vec<KernelCode> = Vec::with_capacity(loops.kernels.len());
    for ((_, scope), (code, _)) in functions.iter().zip(codes) {
        match kernels.last_mut().filter(|_| !scope.goes_over_tiles()) {
            Some(kernel) => kernel.sections.push(code),
            None => kernels.push(code),
        }
    }
    Ok(kernels)
}

/// The code of a function, and the key that it is found by where there is a cache.
type Generated = (KernelCode, Option<Key>);

/// Generates functions in order, on threads that share them.
fn on_threads<'a>(
    functions: &[(&Kernel, Scope)],
    generator: impl Fn() -> Generator<'a> + Sync,
) -> Result<Vec<Generated>, CodegenError> {
    let next = AtomicUsize::new(0);
    let share = || {
        let mut generator = generator();
        let mut codes = Vec::new();
        loop {
            let k = next.fetch_add(1, Ordering::Relaxed);
            let Some((kernel, scope)) = functions.get(k) else { break codes };
            codes.push((k, generator.function(kernel, scope)));
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(functions.len());
    let mut codes = thread::scope(|scope| {
        // Where no thread can be had, those that are there do it all.
        let helpers = (1..threads).map_while(|_| thread::Builder::new().spawn_scoped(scope, share).ok());
        let helpers: Vec<_> = helpers.collect();
        let mut codes = share();
        for helper in helpers {
            codes.extend(helper.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        codes
    });
    codes.sort_by_key(|(k, _)| *k);
    codes.into_iter().map(|(_, code)| code).collect()
}

/// What generates the code of functions, one after the other.
struct Generator<'a> {
    loops: &'a Loops,
    symbols: &'a [Symbol],
    target: &'a Target,
    listings: Listings,
    stored: Option<(&'a Stored<'a>, Keys)>,
    context: Context,
    builder: FunctionBuilderContext,
}

impl Generator<'_> {
    fn function(&mut self, k: &Kernel, scope: &Scope) -> Result<Generated, CodegenError> {
        let Generator { loops, symbols, target, listings, stored, context, builder } = self;
        context.clear();
        kernel::build(loops, (k, scope), symbols, target, &mut context.func, builder);
        let sections: Vec<u32> = context.func.params.user_named_funcs().values().map(|name| name.index).collect();
        let mut code = KernelCode { name: k.name.clone(), ..KernelCode::default() };
        match listings {
            Listings::Keep => code.listing = Some(Listing::of(&mut context.func)),
            Listings::Skip => context.func.srclocs.clear(),
        }
        let place = stored.as_mut().map(|(stored, keys)| (&*stored, keys.of(&context.func)));
        let key = place.map(|(_, key)| key);
        if let Some(machine) = place.and_then(|(stored, key)| stored.find(key, sections.len())) {
            return Ok((KernelCode { machine, was_cached: true, ..code }, key));
        }
        context.set_disasm(code.listing.is_some());
        let compiled = context.compile(target.isa(), &mut ControlPlane::default());
        let compiled = compiled.map_err(|e| refused(&k.name, &e.inner))?;
        code.listing.iter_mut().for_each(|listing| listing.compiled(compiled));
        code.machine = MachineCode::of(compiled, &sections).ok_or_else(|| foreign(&k.name))?;
        Ok((code, key))
    }
}

impl MachineCode {
    /// What was compiled of a function that calls these sections; none where it calls something else.
    fn of(compiled: &CompiledCode, sections: &[u32]) -> Option<Self> {
        let calls: Option<Vec<Call>> = compiled.buffer.relocs().iter().map(|reloc| call(reloc, sections)).collect();
        let (bytes, align) = (compiled.code_buffer().to_vec(), compiled.buffer.alignment.into());
        Some(MachineCode { bytes, align, calls: calls? })
    }
}

/// The call of one of the sections, which the code lacks an address for; `None` where it lacks another one.
fn call(reloc: &FinalizedMachReloc, sections: &[u32]) -> Option<Call> {
    let FinalizedRelocTarget::ExternalName(ExternalName::User(name)) = reloc.target else { return None };
    let section = *sections.get(name.as_u32() as usize)?;
    Some(Call { section, offset: reloc.offset, kind: reloc.kind, addend: reloc.addend })
}

fn foreign(kernel: &str) -> CodegenError {
    CodegenError::Kernel { kernel: kernel.into(), reason: "it calls what is no section of it".into() }
}

fn refused(kernel: &str, error: &ClifError) -> CodegenError {
    CodegenError::Kernel { kernel: kernel.into(), reason: error.to_string() }
}

/// Places generated code in executable memory and makes the program.
#[allow(unsafe_code, reason = "code becomes part of a program")]
pub(crate) fn assemble(loops: Loops, code: &[KernelCode], target: &Target) -> Result<program::Program, CodegenError> {
    let native = NativeCode::place(code, target)?;
    let size = loops.dtype.size();
    let kernel = |k: &Kernel| program::Kernel {
        name: k.name.clone(),
        rows: Dim::product(&k.rows),
        tile: k.tile,
        chunk: k.chunk,
        scratch: k.scratch_width().saturating_mul(k.tile).saturating_mul(size),
        serial: k.serial,
    };
    let parts = program::Parts {
        symbols: symbols(&loops),
        kernels: loops.kernels.iter().map(kernel).collect(),
        name: loops.name,
        dtype: loops.dtype,
        buffers: loops.buffers,
        micros: loops.micros,
        steps: loops.steps,
        prologue: loops.prologue,
        requirements: loops.requirements,
        inputs: loops.inputs,
        params: loops.params,
        outputs: loops.outputs,
        code: Arc::new(native),
    };
    // SAFETY: the code was compiled from these loops, now or by the process that kept it in a folder that is trusted; it
    // touches nothing but buffers and scratch of the sizes stated here.
    Ok(unsafe { program::Program::new(parts) })
}
