//! Schur compiles a model spec of E(3)-equivariant layers into fused native kernels, when the program that uses it starts.
//!
//! A [`Model`] is a spec that was read and checked. [`Model::compile`] makes native code of it, once for every batch
//! size; a [`ParamStore`] holds its parameters under the names that e3nn_jax gives them.
//!
//! ```
//! use schur::{Array, CompileOptions, Mode, Model, Source};
//!
//! let source = Source::new(
//!     "invariants.toml",
//!     r#"
//!     name = "invariants"
//!     outputs = ["energy"]
//!
//!     [inputs.x]
//!     shape = ["N"]
//!     irreps = "8x0e + 4x1o"
//!
//!     [[layers]]
//!     name = "mix"
//!     op = "linear"
//!     input = "x"
//!     irreps_out = "16x0e + 8x1o"
//!
//!     [[layers]]
//!     name = "norms"
//!     op = "norm"
//!     input = "mix"
//!
//!     [[layers]]
//!     name = "energy"
//!     op = "mlp"
//!     input = "norms"
//!     list_neurons = [32, 1]
//!     act = "silu"
//!     output_activation = false
//!     "#,
//! )?;
//! let model = Model::parse(&source)?;
//! let params = model.init(0)?;
//! let mut compiled = model.compile(Mode::Infer, &CompileOptions::default())?;
//!
//! // Five rows now, a thousand later: it is the same code.
//! let x = Array::from(ndarray::Array2::<f32>::ones((5, 8 + 4 * 3)));
//! let results = compiled.run([("x", &x)], &params)?;
//! assert_eq!(results.outputs["energy"].shape(), [5, 1]);
//! # Ok::<(), schur::Error>(())
//! ```
//!
//! What a spec may say, and how arrays are named, stands in docs/model-spec.md; how the compiler is built in
//! docs/architecture.md. [`ir`], [`compiler`] and [`runtime`] are its parts.

#![forbid(unsafe_code)]

mod compiled;
mod error;
mod model;
pub mod train;

pub use compiled::{CompiledModel, Timings};
pub use error::Error;
pub use model::{Model, Pass};

pub use schur_compiler as compiler;
pub use schur_ir as ir;
pub use schur_runtime as runtime;

pub use schur_compiler::codegen::{Features, Listings};
pub use schur_compiler::compile::{CompileOptions, Stage};
pub use schur_compiler::loops::LoopOptions;
pub use schur_ir::build::Mode;
pub use schur_ir::graph::Graph;
pub use schur_ir::irreps::{Irrep, Irreps};
pub use schur_ir::program::Program;
pub use schur_ir::spec::{ModelSpec, Source};
pub use schur_ir::ty::{DType, Type};
pub use schur_runtime::array::{Array, Data};
pub use schur_runtime::checkpoint;
pub use schur_runtime::executor::Outputs;
pub use schur_runtime::rotation::Rotation;
pub use schur_runtime::store::ParamStore;
pub use schur_runtime::view::{ArrayView, Elements};
