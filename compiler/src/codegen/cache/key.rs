//! What the code of a function is found by: a hash of all that it depends on.
//!
//! That is what Cranelift is given, and its version: the function as it is built, the target, and the settings of both. So
//! there is no list of what matters that could lack something: neither the spec, nor options, nor this compiler have a part
//! in code but through them.

use std::fmt;
use std::hash::{Hash, Hasher};

use cranelift_codegen::VERSION;
use cranelift_codegen::ir::Function;
use sha2::{Digest, Sha256};

use crate::codegen::Target;
use crate::loops::Loops;

/// The hash of a function, or of what a program looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::codegen) struct Key(pub(super) [u8; 32]);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Key {
    /// What programs that look alike have in common: the target, and what their kernels and buffers are. It says where code
    /// is looked for, not which code it is.
    pub(super) fn of_program(loops: &Loops, target: &Target) -> Self {
        let mut bytes = Bytes::of(target);
        (&loops.name, loops.dtype.name()).hash(&mut bytes);
        for kernel in &loops.kernels {
            (&kernel.name, &kernel.rows, kernel.tile, kernel.chunk, kernel.body.len()).hash(&mut bytes);
        }
        for buffer in &loops.buffers {
            (&buffer.label, &buffer.dims, buffer.width, buffer.kind).hash(&mut bytes);
        }
        bytes.hashed()
    }
}

/// Makes the keys of functions for a target.
pub(in crate::codegen) struct Keys {
    bytes: Bytes,
    /// How many of the bytes are of the target.
    target: usize,
}

impl Keys {
    pub(in crate::codegen) fn new(target: &Target) -> Self {
        let bytes = Bytes::of(target);
        Keys { target: bytes.0.len(), bytes }
    }

    /// The key of a function, whose source locations were removed: they are no part of its code. Nor is its name, which is
    /// not hashed; those of the functions that it calls are.
    pub(in crate::codegen) fn of(&mut self, func: &Function) -> Key {
        self.bytes.0.truncate(self.target);
        func.stencil.hash(&mut self.bytes);
        func.params.user_named_funcs().hash(&mut self.bytes);
        self.bytes.hashed()
    }
}

/// What is hashed, one after the other.
struct Bytes(Vec<u8>);

impl Bytes {
    /// What code of a target depends on, whatever the function.
    fn of(target: &Target) -> Self {
        let isa = target.isa();
        let mut bytes = Bytes(Vec::new());
        (VERSION, isa.name(), isa.triple(), isa.flags(), isa.isa_flags_hash_key()).hash(&mut bytes);
        bytes
    }

    fn hashed(&self) -> Key {
        Key(Sha256::digest(&self.0).into())
    }
}

impl Hasher for Bytes {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Not asked for: the bytes are what is wanted.
    fn finish(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use cranelift_codegen::ir::{
        ExtFuncData, ExternalName, InstBuilder, Signature, UserExternalName, UserFuncName, types,
    };
    use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};

    use super::*;
    use crate::codegen::Features;

    fn target(features: Features, verify: bool) -> Target {
        Target::host(features, verify).unwrap()
    }

    /// A function of this name that calls section `section` after it made a number.
    fn function(name: u32, number: i64, section: u32) -> Function {
        let signature = Signature::new(target(Features::Native, false).isa().default_call_conv());
        let mut func = Function::with_name_signature(UserFuncName::user(0, name), signature.clone());
        let mut context = FunctionBuilderContext::new();
        let mut b = FunctionBuilder::new(&mut func, &mut context);
        let block = b.create_block();
        b.switch_to_block(block);
        b.ins().iconst(types::I64, number);
        let name = ExternalName::user(b.func.declare_imported_user_function(UserExternalName::new(0, section)));
        let signature = b.import_signature(signature);
        let section = b.import_function(ExtFuncData { name, signature, colocated: false, patchable: false });
        b.ins().call(section, &[]);
        b.ins().return_(&[]);
        b.seal_all_blocks();
        b.finalize(target(Features::Native, false).isa().frontend_config());
        func
    }

    #[test]
    fn keys_are_of_what_code_depends_on() {
        let mut keys = Keys::new(&target(Features::Native, false));
        let key = keys.of(&function(0, 1, 0));
        assert_eq!(key, keys.of(&function(0, 1, 0)), "keys do not depend on keys before");
        assert_eq!(key, keys.of(&function(5, 1, 0)), "names of functions are not in their code");
        assert_ne!(key, keys.of(&function(0, 2, 0)));
        assert_ne!(key, keys.of(&function(0, 1, 1)), "sections that are called have their places in the code");
        for (features, verify) in [(Features::Baseline, false), (Features::Native, true)] {
            assert_ne!(key, Keys::new(&target(features, verify)).of(&function(0, 1, 0)));
        }
        assert!(key.to_string().len() == 64 && key.to_string().bytes().all(|c| c.is_ascii_hexdigit()));
    }
}
