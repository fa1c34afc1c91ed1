//! Tests of the whole: what must hold of every graph, checked on random ones.

mod activations;
mod bits;
mod cache;
mod cli;
mod concurrent;
mod conformance;
mod deep;
mod dependencies;
mod differential;
mod equivariance;
#[cfg(target_os = "linux")]
mod executable;
mod finite;
mod fuzzing;
mod gates;
mod gradients;
#[cfg(unix)]
mod guarded;
mod inspect;
mod levels;
mod numbers;
mod parameters;
mod random_graph;
mod reference;
mod simplify;
mod specs;
mod stability;
mod stacks;
mod stages;
mod sums;
mod text;
mod textbook;
mod train;
mod untrusted;
