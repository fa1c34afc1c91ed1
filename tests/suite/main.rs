//! Tests of the whole: what must hold of every graph, checked on random ones.

mod random_graph;
mod reference;
mod simplify;
mod text;
