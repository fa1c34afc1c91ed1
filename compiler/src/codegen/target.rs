//! The machine that code is generated for.

use std::sync::Arc;

use cranelift_codegen::isa::{OwnedTargetIsa, TargetIsa};
use cranelift_codegen::settings::{self, Configurable, Flags};

use super::CodegenError;

/// Which instructions of the machine may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Features {
    /// All that this machine has.
    #[default]
    Native,
    /// Only what every machine of the architecture has: no fused multiply-add on x86-64.
    Baseline,
}

/// A machine to generate code for: this one.
#[derive(Clone)]
pub struct Target {
    isa: Arc<dyn TargetIsa>,
    fused_multiply_add: bool,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Target({}, fma: {})", self.isa.triple(), self.fused_multiply_add)
    }
}

impl Target {
    /// This machine. `verify` runs Cranelift's verifier over every function: for tests, since it takes a good part of the
    /// compile time.
    pub fn host(features: Features, verify: bool) -> Result<Self, CodegenError> {
        let refused = |e: &dyn std::fmt::Display| CodegenError::Target(e.to_string());
        let mut flags = settings::builder();
        let settings = [
            ("opt_level", "speed"),
            ("enable_verifier", if verify { "true" } else { "false" }),
            ("is_pic", "false"),
            ("unwind_info", "false"),
        ];
        for (name, value) in settings {
            flags.set(name, value).map_err(|e| refused(&e))?;
        }
        let native = features == Features::Native;
        let builder = cranelift_native::builder_with_options(native).map_err(|e| refused(&e))?;
        let isa: OwnedTargetIsa = builder.finish(Flags::new(flags)).map_err(|e| refused(&e))?;
        let fma_flag = isa.isa_flags().iter().any(|flag| flag.name == "has_fma" && flag.as_bool() == Some(true));
        let fused_multiply_add = fma_flag || isa.triple().architecture.to_string() == "aarch64";
        Ok(Target { isa, fused_multiply_add })
    }

    pub(super) fn isa(&self) -> &dyn TargetIsa {
        &*self.isa
    }

    pub(super) fn shared_isa(&self) -> Arc<dyn TargetIsa> {
        self.isa.clone()
    }

    /// True where a fused multiply-add is one instruction.
    pub fn has_fused_multiply_add(&self) -> bool {
        self.fused_multiply_add
    }

    /// The architecture and the features in use, as `inspect` and caches name them.
    pub fn description(&self) -> String {
        let on = self.isa.isa_flags().into_iter().filter(|f| f.as_bool() == Some(true)).map(|f| f.name.to_string());
        let features: Vec<String> = on.collect();
        format!("{} {}", self.isa.triple(), features.join(" "))
    }
}
