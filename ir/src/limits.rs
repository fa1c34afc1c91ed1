//! Limits on what is accepted from files that nobody vouches for. Every stage checks them before it does the work, and says
//! which one a spec is above; a program that trusts its files can raise them.
//!
//! Time and memory grow in proportion to what is accepted: up to the limits, and beyond them for who raises them.

use crate::graph::{Graph, Op};

/// The largest spec, graph and program that are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a spec's or a graph's text: 8 MiB.
    pub text: usize,
    /// Inputs of a spec: 1,000.
    pub inputs: usize,
    /// Layers of a spec: 10,000.
    pub layers: usize,
    /// Leading axes of a value: 32.
    pub axes: usize,
    /// The degree l of an irrep: 128.
    pub degree: u32,
    /// The multiplicity of a chunk: 2^24.
    pub multiplicity: usize,
    /// Chunks of a value: 10,000.
    pub chunks: usize,
    /// Elements in a row of a value: 2^28.
    pub width: usize,
    /// Nodes of a graph: 100,000.
    pub nodes: usize,
    /// Paths of all contractions of a graph: 200,000.
    pub paths: usize,
    /// Bytes of a program's machine code: 256 MiB.
    pub code: usize,
    /// Bytes of the arrays of a file, of all parameters, and of what a call allocates: half of the address space.
    pub memory: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            text: 8 << 20,
            inputs: 1_000,
            layers: 10_000,
            axes: 32,
            degree: 128,
            multiplicity: 1 << 24,
            chunks: 10_000,
            width: 1 << 28,
            nodes: 100_000,
            paths: 200_000,
            code: 256 << 20,
            memory: isize::MAX as usize,
        }
    }
}

impl Limits {
    /// No limits but those of the representation: for specs that a program made itself.
    pub const NONE: Limits = Limits {
        text: usize::MAX,
        inputs: usize::MAX,
        layers: usize::MAX,
        axes: usize::MAX,
        degree: u32::MAX,
        multiplicity: usize::MAX,
        chunks: usize::MAX,
        width: usize::MAX,
        nodes: usize::MAX,
        paths: usize::MAX,
        code: usize::MAX,
        memory: usize::MAX,
    };
}

/// Something is larger than is accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {found}, where the limit `{limit}` is {allowed}")]
pub struct LimitError {
    /// What is too large: `the spec's layers`.
    pub what: String,
    /// The field of [`Limits`].
    pub limit: &'static str,
    /// How much there is.
    pub found: usize,
    /// How much is allowed.
    pub allowed: usize,
}

impl LimitError {
    /// An error where `found` is above `allowed`.
    pub fn check(
        limit: &'static str,
        allowed: usize,
        found: usize,
        what: impl FnOnce() -> String,
    ) -> Result<(), LimitError> {
        if found <= allowed { Ok(()) } else { Err(LimitError { what: what(), limit, found, allowed }) }
    }
}

impl Graph {
    /// Checks the size of a graph: nodes, paths, and the leading axes, width and chunks of every value.
    pub fn check_limits(&self, limits: &Limits) -> Result<(), LimitError> {
        LimitError::check("nodes", limits.nodes, self.nodes.len(), || "the graph's nodes".into())?;
        let mut paths = 0usize;
        for (value, node) in self.values() {
            let of = |what: &str| format!("the {what} of {value} in the layer `{}`", node.layer);
            let axes = node.ty.dims.len().max(rows(&node.op));
            LimitError::check("axes", limits.axes, axes, || of("leading axes"))?;
            LimitError::check("chunks", limits.chunks, node.ty.irreps.len(), || of("chunks"))?;
            LimitError::check("width", limits.width, node.ty.width(), || of("width"))?;
            if let Op::Contract(contract) = &node.op {
                paths = paths.saturating_add(contract.paths.len());
                LimitError::check("paths", limits.paths, paths, || "the graph's paths".into())?;
            }
        }
        Ok(())
    }
}

/// The number of axes that an op iterates over.
fn rows(op: &Op) -> usize {
    match op {
        Op::Contract(contract) => contract.rows.len(),
        Op::Map(map) => map.rows.len(),
        Op::Input(_) | Op::Param(_) | Op::Max(_) | Op::Reshape(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_limit() {
        let check = |found| LimitError::check("layers", 3, found, || "the spec's layers".into());
        assert_eq!(check(3), Ok(()));
        assert_eq!(check(4).unwrap_err().to_string(), "the spec's layers: 4, where the limit `layers` is 3");
    }
}
