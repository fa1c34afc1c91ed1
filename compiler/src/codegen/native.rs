//! Machine code in executable memory, freed when its last owner is gone.
#![allow(unsafe_code)]

use std::sync::{Mutex, PoisonError};

use cranelift_codegen::ir::{AbiParam, Signature, types};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{FuncId, Linkage, Module, ModuleReloc, default_libcall_names};
use schur_ir::program::{Code, KernelFn};

use super::{Call, CodegenError, KernelCode, MachineCode, Target};

/// The code of a program's kernels.
pub struct NativeCode {
    entries: Vec<KernelFn>,
    size: usize,
    /// Owns the memory; taken when this is dropped.
    module: Mutex<Option<JITModule>>,
}

impl std::fmt::Debug for NativeCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NativeCode({} kernels, {} bytes)", self.entries.len(), self.size)
    }
}

impl NativeCode {
    /// Copies code into fresh memory, which is then made executable and no longer writable.
    pub(super) fn place(code: &[KernelCode], target: &Target) -> Result<Self, CodegenError> {
        let refused = |e: &dyn std::fmt::Display| CodegenError::Memory(e.to_string());
        let mut module = JITModule::new(JITBuilder::with_isa(target.shared_isa(), default_libcall_names()));
        let (entry, section) = (signature(target), section_signature(target));
        let mut define = |name: &str, code: &KernelCode, signature: &Signature, sections: &[FuncId]| {
            let id = module.declare_function(name, Linkage::Export, signature).map_err(|e| refused(&e))?;
            let MachineCode { bytes, align, calls } = &code.machine;
            let calls: Vec<ModuleReloc> = calls.iter().map(|call| placed(call, sections)).collect();
            module.define_function_bytes(id, *align, bytes, &calls).map_err(|e| refused(&e))?;
            Ok(id)
        };
        let mut functions = Vec::with_capacity(code.len());
        for (k, kernel) in code.iter().enumerate() {
            let sections = kernel.sections.iter().enumerate();
            let sections = sections.map(|(s, code)| define(&format!("kernel_{k}_section_{s}"), code, &section, &[]));
            let sections = sections.collect::<Result<Vec<FuncId>, CodegenError>>()?;
            functions.push(define(&format!("kernel_{k}"), kernel, &entry, &sections)?);
        }
        module.finalize_definitions().map_err(|e| refused(&e))?;
        let entry = |&id| {
            let address = module.get_finalized_function(id);
            // SAFETY: the address is the start of code that was compiled from a function of exactly this signature and
            // calling convention, and `module` keeps it alive as long as `self`.
            unsafe { std::mem::transmute::<*const u8, KernelFn>(address) }
        };
        let entries = functions.iter().map(entry).collect();
        let size = code.iter().map(KernelCode::size).sum();
        Ok(NativeCode { entries, size, module: Mutex::new(Some(module)) })
    }
}

/// A call of one of these sections.
#[expect(clippy::indexing_slicing, reason = "a kernel calls the sections that its statements were cut into")]
fn placed(call: &Call, sections: &[FuncId]) -> ModuleReloc {
    let name = sections[call.section as usize].into();
    ModuleReloc { offset: call.offset, kind: call.kind, name, addend: call.addend }
}

/// The signature of [`KernelFn`] on the target.
pub(super) fn signature(target: &Target) -> Signature {
    let mut signature = Signature::new(target.isa().default_call_conv());
    signature.params = vec![AbiParam::new(types::I64); 7];
    signature
}

/// The signature of a section on the target: that of a kernel, whose rows are those of one tile, and the chunk's first row.
pub(super) fn section_signature(target: &Target) -> Signature {
    let mut signature = signature(target);
    signature.params.push(AbiParam::new(types::I64));
    signature
}

/// The signature of [`MicroFn`](schur_ir::micro::MicroFn) on the target.
pub(super) fn micro_signature(target: &Target) -> Signature {
    let mut signature = Signature::new(target.isa().default_call_conv());
    signature.params = vec![AbiParam::new(types::I64); 3];
    signature
}

impl Code for NativeCode {
    fn kernel(&self, k: usize) -> Option<KernelFn> {
        self.entries.get(k).copied()
    }

    fn size(&self) -> usize {
        self.size
    }
}

impl Drop for NativeCode {
    fn drop(&mut self) {
        let module = self.module.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(module) = module {
            // SAFETY: entries are called only through a shared reference to `self` (the contract of `Code`), and this
            // is the last one, so no kernel is running and none will be called.
            unsafe { module.free_memory() };
        }
    }
}
