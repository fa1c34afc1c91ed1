//! Which spec a run is of: a number for each of its inputs and layers.
//!
//! The number is a part of a hash of the graph's text, as it is built for training and for errors of the test set. So whatever
//! changes what is computed, or in which order, changes it; names of files, comments, the order of keys and defaults that are
//! spelled out do not.

use indexmap::IndexMap;
use schur_ir::build::Mode;
use schur_ir::graph::{Graph, Op};
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::model::Model;

/// The numbers by `input:<name>` and `layer:<name>`, in the order of the graph; none of layers that nothing is computed for.
pub(super) fn parts(model: &Model) -> Result<IndexMap<String, f64>, Error> {
    let mut hashes = IndexMap::new();
    for mode in [Mode::Train, Mode::Infer] {
        hash(&model.graph(mode)?, &mut hashes);
    }
    Ok(hashes.into_iter().map(|(part, hash)| (part, number(hash))).collect())
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
