//! The compiler: from a graph to a program.

pub mod simplify;
