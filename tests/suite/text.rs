//! The text form of random graphs.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use schur_ir::graph::Graph;
use schur_ir::ty::DType;
use schur_runtime::reference::evaluate;

use crate::random_graph::{random_arrays, random_graph, random_sizes};

#[test]
fn what_is_printed_is_read_back() {
    for seed in 0..1000 {
        let graph = random_graph(seed, DType::F32);
        let text = graph.to_string();
        let read: Graph = text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(read, graph, "{text}");
    }
}

#[test]
fn neither_parser_nor_verifier_nor_reference_panics_on_mutated_text() {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut evaluated = 0;
    for seed in 0..2000 {
        let original = random_graph(seed % 100, DType::F32);
        let mut text: Vec<char> = original.to_string().chars().collect();
        for _ in 0..rng.random_range(1..3) {
            let mut place = || rng.random_range(0..text.len());
            let (from, to) = (place(), place());
            let length = place().min(12);
            let piece: Vec<char> = text[from..(from + length).min(text.len())].to_vec();
            match rng.random_range(0..8) {
                0 => drop(text.splice(to..(to + length).min(text.len()), piece)),
                1 => drop(text.splice(to..to, piece)),
                2 => drop(text.drain(from..(from + length).min(text.len()))),
                _ => {
                    text[to] =
                        ['0', '1', '2', '3', '0', '1', '-', 'x', '%', '[', '"', '\u{e9}'][rng.random_range(0..12)]
                }
            }
        }
        let text: String = text.into_iter().collect();
        if let Ok(graph) = text.parse::<Graph>() {
            let printed = graph.to_string();
            assert_eq!(printed.parse::<Graph>().as_ref(), Ok(&graph), "{printed}");
            let (inputs, params) = random_arrays(&original, &random_sizes(&original, seed), seed);
            evaluated += usize::from(evaluate(&graph, &inputs, &params).is_ok());
        }
    }
    assert!(evaluated > 20, "only {evaluated} of the mutated texts are graphs");
}
