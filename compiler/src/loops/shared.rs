//! What all rows of a kernel share: weights, and sums over rows.
//!
//! Every tile goes through all of it again. Where that is more than the second cache holds, it comes from the third one
//! time after time, and takes longer than the arithmetic.

use std::collections::HashSet;

use schur_ir::cut::CHUNK_ROWS;
use schur_ir::dim::Dim;
use schur_ir::graph::{Contract, Graph, Op, ValueId};
use schur_ir::program::{Buffer, BufferKind};

use super::{Array, Kernel, Nest, Stmt};

/// Bytes that the products of a value share between their rows; none for a value that is no sum of products over rows.
pub(super) fn of_value(graph: &Graph, value: ValueId) -> usize {
    let Op::Contract(contract) = &graph.node(value).op else { return 0 };
    if contract.rows.is_empty() || !has_products(contract) {
        return 0;
    }
    let bytes = |value: ValueId| {
        let ty = graph.ty(value);
        if is_one_row(&ty.dims) { ty.irreps.dim().saturating_mul(ty.dtype.size()) } else { 0 }
    };
    let factors = contract.operands.iter().map(|operand| operand.value);
    factors.chain([value]).map(bytes).fold(0, usize::saturating_add)
}

/// True where two factors are multiplied.
fn has_products(contract: &Contract) -> bool {
    contract.paths.iter().any(|path| path.factors.len() > 1)
}

fn is_one_row(dims: &[Dim]) -> bool {
    dims.iter().all(|dim| dim.constant() == Some(1))
}

/// Bytes of all arrays in memory that the rows of a kernel share.
pub(super) fn of_kernel(kernel: &Kernel, buffers: &[Buffer]) -> usize {
    bytes(kernel, buffers, |_| true)
}

/// About how many rows a chunk has at least: few where they are work enough for a thread, and more where sums are large.
/// Adding partial sums takes as long as computing some dozens of rows where they come from the third cache, and less where
/// they stay in the second, as two of `HELD` bytes do.
pub(super) fn chunk(kernel: &Kernel, buffers: &[Buffer]) -> usize {
    const BYTES_A_ROW: usize = 4096;
    const HELD: usize = 512 * 1024;
    const MOST: usize = 480;
    const LEAST: usize = 32;
    // Some microseconds.
    const WORK: usize = 1 << 19;
    let sums = bytes(kernel, buffers, |buffer| buffer.kind == BufferKind::Partial);
    if sums == 0 {
        return CHUNK_ROWS;
    }
    let work = WORK.div_ceil(multiply_adds_a_row(kernel).max(1));
    let large = sums / if sums > HELD { BYTES_A_ROW } else { BYTES_A_ROW * 3 / 2 };
    large.max(work.clamp(LEAST, CHUNK_ROWS)).min(MOST)
}

/// The multiply-adds of all products for every row.
fn multiply_adds_a_row(kernel: &Kernel) -> usize {
    let nests = kernel.body.iter().filter_map(|stmt| match stmt {
        Stmt::Nest(nest) if nest.factors.len() > 1 => Some(nest),
        Stmt::Zero { .. } | Stmt::Nest(_) | Stmt::Map(_) | Stmt::Max { .. } => None,
    });
    let size = |nest: &Nest| nest.axes.iter().map(|axis| axis.size).fold(1, usize::saturating_mul);
    nests.map(size).fold(0, usize::saturating_add)
}

/// Bytes of such arrays of one row.
fn bytes(kernel: &Kernel, buffers: &[Buffer], counts: impl Fn(&Buffer) -> bool) -> usize {
    let arrays = kernel.body.iter().flat_map(Stmt::accesses).map(|access| access.array);
    let memory: HashSet<_> = arrays.filter_map(Array::memory).collect();
    let shared = memory.iter().filter_map(|buffer| buffers.get(buffer.index()));
    let shared = shared.filter(|buffer| is_one_row(&buffer.dims) && counts(buffer));
    shared.map(|buffer| buffer.width.saturating_mul(buffer.dtype.size())).fold(0, usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use crate::loops::lowered;

    /// A layer of so many scalars and the gradients of its input and of its weights.
    fn layer(width: usize) -> String {
        let size = width * width;
        format!(
            r#"graph "wide"

%0: f32[N] {width}x0e = input "x"
%1: f32[N] {width}x0e = input "dy"
%2: f32[] {size}x0e = param "params/w" [{width}, {width}] normal(0, 1)
%3: f32[N] {width}x0e = contract %0[0], %2[] over [N]
    x0@0(u) x1@0(u v) -> @0(v) for u={width} v={width}
%4: f32[] {size}x0e = contract %0[0], %1[0] over [N] into []
    x0@0(u) x1@0(v) -> @0(u v) for u={width} v={width}
%5: f32[N] {width}x0e = contract %1[0], %2[] over [N]
    x0@0(v) x1@0(u v) -> @0(u) for u={width} v={width}

output "y" = %3
output "dw" = %4
output "dx" = %5
"#
        )
    }

    /// The tiles of all kernels over rows, and the least rows of their chunks.
    fn kernels(text: &str) -> Vec<(usize, usize)> {
        let loops = lowered(text);
        loops.kernels.iter().filter(|k| !k.rows.is_empty()).map(|k| (k.tile, k.chunk)).collect()
    }

    #[test]
    fn products_share_a_kernel_where_a_cache_holds_what_their_rows_share() {
        assert_eq!(kernels(&layer(128)), [(96, 32)]);
        // One megabyte each.
        assert_eq!(kernels(&layer(512)).len(), 3);
    }

    #[test]
    fn chunks_have_fewer_rows_where_rows_are_much_work() {
        let chunks = |width: usize| kernels(&layer(width)).first().map(|&(_, chunk)| chunk);
        assert_eq!([16, 64, 128, 256].map(chunks), [Some(96), Some(43), Some(32), Some(42)]);
    }

    #[test]
    fn tiles_are_larger_where_no_cache_holds_it() {
        assert_eq!(kernels(&layer(512)), [(60, 96), (60, 256), (60, 96)]);
        assert_eq!(kernels(&layer(1024)), [(96, 96), (96, 480), (96, 96)]);
    }
}
