//! How many rows a tile has, and above how many it is gone through row by row.

use std::collections::HashSet;

use schur_ir::micro::MAX_ROWS_AT_ONCE;
use schur_ir::program::Buffer;

use super::{Array, Kernel, LoopOptions, Nest, RowAddress, Stmt, shared};

/// Bytes of a tile whose rows are met one after the other: what is computed from them finds them in the first cache.
const FIRST_CACHE: usize = 24 * 1024;

/// As many as fit. Where arrays are multiplied, whole register tiles: a multiple of 12 up to 96, since weights are read
/// again for every tile, and half as many bytes as these where the second cache does not hold them; elsewhere a multiple of 8
/// up to 96, as sums over rows take them, and micro-kernels those that go through all steps at once. One for a kernel of one row.
pub(super) fn rows(kernel: &Kernel, buffers: &[Buffer], element: usize, options: &LoopOptions) -> usize {
    if kernel.rows.is_empty() {
        return 1;
    }
    let row = element * (kernel.scratch_width() + width(kernel, buffers)).max(1);
    let multiplies = |stmt: &Stmt| stmt.calls() || matches!(stmt, Stmt::Nest(nest) if is_product(nest));
    if kernel.body.iter().any(multiplies) {
        let shared = shared::of_kernel(kernel, buffers);
        let bytes =
            if shared > options.shared_bytes { options.shared_bytes.max(shared / 2) } else { options.tile_bytes };
        (bytes / row).clamp(12, 96) / 12 * 12
    } else {
        (FIRST_CACHE.min(options.tile_bytes) / row).clamp(MAX_ROWS_AT_ONCE, 96) / MAX_ROWS_AT_ONCE * MAX_ROWS_AT_ONCE
    }
}

/// The rows above which memory is met in its order: as many as the caches hold, for a kernel that does not without that, and
/// foresees nothing itself.
pub(super) fn by_row_above(
    kernel: &Kernel,
    buffers: &[Buffer],
    element: usize,
    options: &LoopOptions,
) -> Option<usize> {
    let differs = kernel.streamed().is_some() || kernel.generated().any(Stmt::adds_rows);
    let row = element * width(kernel, buffers);
    (!kernel.calls && differs && row > 0).then(|| options.cache_bytes / row)
}

/// Elements of a row in all arrays in memory that follow the kernel's rows.
fn width(kernel: &Kernel, buffers: &[Buffer]) -> usize {
    let mut known = HashSet::new();
    let mut width = 0;
    for access in kernel.body.iter().flat_map(Stmt::accesses).filter(|access| access.row == RowAddress::Row) {
        if let Array::Memory(buffer) = access.array
            && known.insert(buffer)
        {
            width += buffers.get(buffer.index()).map_or(0, |buffer| buffer.width);
        }
    }
    width
}

/// True where a row's elements are sums of products.
fn is_product(nest: &Nest) -> bool {
    nest.factors.len() > 1 && nest.out.segment.sums(&nest.axes)
}
