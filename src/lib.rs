//! Schur compiles a model spec of E(3)-equivariant layers into fused native kernels, when the program that uses it starts.
//!
//! A [`Model`] is a spec that was read and checked. [`Model::compile`] makes native code of it, once for every batch
//! size; a [`ParamStore`] holds its parameters under the names that e3nn_jax gives them.
//!
//! ```
//! use ndarray::Array2;
//! use schur::spec::{Activation, SpecBuilder, linear, mlp, norm};
//! use schur::{CompileOptions, Mode, Model};
//!
//! let model = Model::new(
//!     SpecBuilder::new("invariants")
//!         .input("x", ["N"], "8x0e + 4x1o")
//!         .layer("mix", linear("x", "16x0e + 8x1o"))
//!         .layer("norms", norm("mix"))
//!         .layer("energy", mlp("norms", [32, 1]).act(Activation::Silu).output_activation(false))
//!         .outputs(["energy"]),
//! )?;
//! let params = model.init(0)?;
//! let mut compiled = model.compile(Mode::Infer, &CompileOptions::default())?;
//!
//! // Five rows now, a thousand later: it is the same code.
//! let x = Array2::<f32>::ones((5, 8 + 4 * 3));
//! let results = compiled.run([("x", x.view())], &params)?;
//! assert_eq!(results.outputs["energy"].ndarray::<f32>()?.shape(), [5, 1]);
//! # Ok::<(), schur::Error>(())
//! ```
//!
//! The same spec in a file, in TOML or JSON, is read by [`Model::from_file`], one in memory by [`Model::parse`]. Problems
//! of a spec that was built in Rust name the call that is at fault.
//!
//! # Linear layers as e3nn_jax shows them
//!
//! One set of weights, where the input lacks `2e`:
//!
//! ```
//! use ndarray::array;
//! use schur::spec::{SpecBuilder, linear};
//! use schur::{CompileOptions, Mode, Model};
//!
//! let spec = SpecBuilder::new("vanilla").input("x", (), "0e + 1o").layer("y", linear("x", "2x0e + 1o + 2e"));
//! let model = Model::new(spec.outputs(["y"]))?;
//! assert_eq!(model.types(Mode::Infer)?["y"].irreps.to_string(), "2x0e+1x1o");
//!
//! let mut compiled = model.compile(Mode::Infer, &CompileOptions::default())?;
//! let x = array![1.0f32, 0.2, -0.4, 0.8];
//! let results = compiled.run([("x", &x)], &model.init(0)?)?;
//! assert_eq!(results.outputs["y"].shape(), [5]);
//! # Ok::<(), schur::Error>(())
//! ```
//!
//! Weights mixed by four numbers:
//!
//! ```
//! # use ndarray::array;
//! # use schur::spec::{SpecBuilder, linear};
//! # use schur::{CompileOptions, Mode, Model};
//! use schur::inputs;
//!
//! let spec = SpecBuilder::new("external")
//!     .input("e", (), "4x0e")
//!     .input("x", (), "0e + 1o")
//!     .layer("y", linear("x", "2x0e + 1o").weights("e"));
//! let model = Model::new(spec.outputs(["y"]))?;
//! let mut compiled = model.compile(Mode::Infer, &CompileOptions::default())?;
//! let (e, x) = (array![1.0f32, 2.0, 3.0, 4.0], array![1.0f32, 0.2, -0.4, 0.8]);
//! let results = compiled.run(inputs!["e" => &e, "x" => &x], &model.init(0)?)?;
//! assert_eq!(results.outputs["y"].shape(), [5]);
//! # Ok::<(), schur::Error>(())
//! ```
//!
//! An index into three sets of weights:
//!
//! ```
//! # use ndarray::{arr0, array};
//! # use schur::spec::{SpecBuilder, linear};
//! # use schur::{CompileOptions, Mode, Model, inputs};
//! let spec = SpecBuilder::new("indexed")
//!     .index("i", ())
//!     .input("x", (), "0e + 1o")
//!     .layer("y", linear("x", "2x0e + 1o").weights("i").num_indexed_weights(3));
//! let model = Model::new(spec.outputs(["y"]))?;
//! let mut compiled = model.compile(Mode::Infer, &CompileOptions::default())?;
//! let (i, x) = (arr0(2), array![1.0f32, 0.2, -0.4, 0.8]);
//! let results = compiled.run(inputs!["i" => &i, "x" => &x], &model.init(0)?)?;
//! assert_eq!(results.outputs["y"].shape(), [5]);
//! # Ok::<(), schur::Error>(())
//! ```
//!
//! # Gradients
//!
//! [`Model::compile_joint`] compiles the backward pass as well. A call then takes a cotangent of every output, `cotangent/<output>` of
//! its shape, and returns the gradients of all inputs and trained parameters, under their names and of their shapes.
//! [`Model::compile_gradients`] computes those alone that are named, and nothing that others would need, as for forces:
//!
//! ```
//! # use ndarray::Array2;
//! # use schur::spec::{SpecBuilder, mlp, norm};
//! # use schur::{CompileOptions, Mode, Model, inputs};
//! let spec = SpecBuilder::new("energy").input("x", ["N"], "4x1o").layer("norms", norm("x"));
//! let model = Model::new(spec.layer("energy", mlp("norms", [32, 1])).outputs(["energy"]))?;
//! let (x, ones) = (Array2::<f32>::ones((5, 12)), Array2::<f32>::ones((5, 1)));
//! let mut compiled = model.compile_joint(Mode::Infer, &CompileOptions::default())?;
//! let results = compiled.run(inputs!["x" => &x, "cotangent/energy" => &ones], &model.init(0)?)?;
//! assert_eq!(results.gradients["params/energy/Dense_0/kernel"].shape(), [4, 32]);
//!
//! let mut compiled = model.compile_gradients(["x"], Mode::Infer, &CompileOptions::default())?;
//! let results = compiled.run(inputs!["x" => &x, "cotangent/energy" => &ones], &model.init(0)?)?;
//! let forces = results.gradients["x"].ndarray::<f32>()?.mapv(|slope| -slope);
//! assert_eq!(forces.shape(), [5, 12]);
//! assert_eq!(results.gradients.len(), 1);
//! # Ok::<(), schur::Error>(())
//! ```
//!
//! [`checkpoint::read`] reads the arrays of a file, and [`CompiledModel::params`] makes parameters of them; [`train`] trains.
//!
//! What a spec may say, and how arrays are named, stands in docs/model-spec.md; how the compiler is built in
//! docs/architecture.md. [`ir`], [`compiler`] and [`runtime`] are its parts.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::todo,
        clippy::unimplemented,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

#[allow(clippy::indexing_slicing, reason = "buffers are those of the program that the slots are of")]
mod choice;
mod compiled;
mod error;
mod finite;
mod model;
#[allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::unreachable,
    reason = "rows are of sets that were checked, names of programs made here"
)]
pub mod train;

pub use compiled::{CompiledModel, Timings};
pub use error::Error;
pub use finite::{NonFinite, Origin, all_finite};
pub use model::{Model, Pass};

/// The program in README, which is compiled and run with the examples of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

// What arrays and maps of the interface are of.
pub use {indexmap, ndarray};

pub use schur_compiler as compiler;
pub use schur_ir as ir;
pub use schur_ir::spec;
pub use schur_runtime as runtime;

pub use schur_compiler::codegen::{Cache, CacheError, Features, Listings};
pub use schur_compiler::compile::{CompileOptions, Stage};
pub use schur_compiler::loops::LoopOptions;
pub use schur_ir::build::Mode;
pub use schur_ir::graph::Graph;
pub use schur_ir::irreps::{Irrep, Irreps};
pub use schur_ir::limits::{LimitError, Limits};
pub use schur_ir::program::Program;
pub use schur_ir::spec::{ModelSpec, Source, SpecBuilder};
pub use schur_ir::ty::{DType, Type};
pub use schur_runtime::aligned::Aligned;
pub use schur_runtime::array::{Array, Data};
pub use schur_runtime::checkpoint;
pub use schur_runtime::executor::Outputs;
pub use schur_runtime::input::{Element, Input};
pub use schur_runtime::rotation::Rotation;
pub use schur_runtime::store::ParamStore;
pub use schur_runtime::view::{ArrayView, Elements};
