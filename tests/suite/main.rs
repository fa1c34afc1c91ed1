//! Tests of the whole: what must hold of every graph, checked on random ones.

mod conformance;
mod differential;
mod gradients;
mod levels;
mod random_graph;
mod reference;
mod text;
