//! Of which spec and which data a run is: a number for each input and layer, and one for the rows that it is trained on.
//!
//! The number of a part of the spec is a part of a hash of the graph's text, as it is built for training and for errors of the test set.
//! So whatever changes what is computed, or in which order, changes it; names of files, comments, the order of keys and defaults that are
//! spelled out do not. That of the rows is one of their bytes, wherever they were read from.

use indexmap::IndexMap;
use schur_ir::graph::{Graph, Op};
use sha2::{Digest, Sha256};

use super::batches::DataSet;

/// The numbers of a spec's parts by `input:<name>` and `layer:<name>`, in the order of the graphs; none of layers that nothing is
/// computed for.
pub(super) fn parts(graphs: [&Graph; 2]) -> IndexMap<String, f64> {
    let mut hashes = IndexMap::new();
    graphs.into_iter().for_each(|graph| hash(graph, &mut hashes));
    hashes.into_iter().map(|(part, hash)| (part, number(hash))).collect()
}

/// The number of a set's rows, inputs and target.
pub(super) fn rows(set: &DataSet) -> f64 {
    let mut hash = Sha256::new();
    set.views().for_each(|(_, view)| hash.update(view.elements().bytes()));
    hash.update(set.target().view().elements().bytes());
    number(hash)
}

/// Hashes the lines of every part of a graph.
fn hash(graph: &Graph, hashes: &mut IndexMap<String, Sha256>) {
    for (value, node) in graph.values() {
        let part = match &node.op {
            Op::Input(name) => format!("input:{name}"),
            Op::Param(_) | Op::Contract(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => {
                format!("layer:{}", node.layer)
            }
        };
        hashes.entry(part).or_default().update(format!("{value}: {node}\n"));
    }
}

/// As many bits of a hash as an `f64` holds.
fn number(hash: Sha256) -> f64 {
    let bits = hash.finalize().iter().take(size_of::<u64>()).fold(0, |bits: u64, byte| bits << 8 | u64::from(*byte));
    (bits >> (u64::BITS - f64::MANTISSA_DIGITS)) as f64
}
