//! Vectors: what micro-kernels need of an instruction set.

/// A vector of floats and the instructions on it.
///
/// # Safety
/// Methods may be called only where the instruction set is at hand; loads and stores touch the elements that they name.
pub(super) trait Simd: Copy {
    /// The element.
    type T: Copy;
    /// The vector.
    type V: Copy;
    /// The first lanes of a vector.
    type Mask: Copy;

    /// Elements of a vector.
    const LANES: usize;

    /// All lanes zero.
    unsafe fn zero() -> Self::V;
    /// All lanes `x`.
    unsafe fn splat(x: Self::T) -> Self::V;
    /// The first `count` lanes, `count <= LANES`.
    unsafe fn first(count: usize) -> Self::Mask;
    /// All lanes.
    unsafe fn load(from: *const Self::T) -> Self::V;
    /// The masked lanes; zero in the others.
    unsafe fn load_first(from: *const Self::T, mask: Self::Mask) -> Self::V;
    /// All lanes.
    unsafe fn store(to: *mut Self::T, v: Self::V);
    /// The masked lanes.
    unsafe fn store_first(to: *mut Self::T, v: Self::V, mask: Self::Mask);
    /// `a b + c`.
    unsafe fn multiply_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a b`.
    unsafe fn multiply(a: Self::V, b: Self::V) -> Self::V;
    /// `v`, but lane `k` is lane `index[k]` of `from` where bit `k` of `mask` is set. `index` has [`LANES`](Self::LANES)
    /// elements, all below it.
    unsafe fn pick(v: Self::V, from: Self::V, index: *const i32, mask: u32) -> Self::V;
}
