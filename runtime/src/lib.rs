//! Schur's runtime: arrays, and the reference evaluator that defines what a graph means.

pub mod array;
pub mod reference;
pub mod rotation;
