//! Between vectors of single components and `[mul, 2l+1]`, where components are neighbours.

use super::simd::Simd;

/// The most lanes of any vector.
const MOST: usize = 16;

/// For every vector of a group of `D`: which lane its lanes come from, and from which vector.
struct Table<const D: usize, const LANES: usize>;

impl<const D: usize, const LANES: usize> Table<D, LANES> {
    /// Woven vectors: element `e` of `D × LANES` is lane `e / D` of component `e % D`.
    const WEAVE: ([[i32; MOST]; D], [[u32; D]; D]) = Self::table(true);
    /// Components: lane `u` of component `i` is element `u D + i`.
    const UNWEAVE: ([[i32; MOST]; D], [[u32; D]; D]) = Self::table(false);

    const fn table(weave: bool) -> ([[i32; MOST]; D], [[u32; D]; D]) {
        let (mut index, mut mask) = ([[0; MOST]; D], [[0; D]; D]);
        let mut out = 0;
        while out < D {
            let mut lane = 0;
            while lane < LANES {
                let (from, at) = if weave {
                    let element = out * LANES + lane;
                    (element % D, element / D)
                } else {
                    let element = lane * D + out;
                    (element / LANES, element % LANES)
                };
                index[out][lane] = at as i32;
                mask[out][from] |= 1 << lane;
                lane += 1;
            }
            out += 1;
        }
        (index, mask)
    }
}

/// The vectors that hold lane 0 of every component, then lane 1, and so on.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub(super) unsafe fn weave<S: Simd, const D: usize>(components: &[S::V; D]) -> [S::V; D] {
    // SAFETY: the caller's.
    unsafe {
        match S::LANES {
            2 => picked::<S, D>(components, &Table::<D, 2>::WEAVE),
            4 => picked::<S, D>(components, &Table::<D, 4>::WEAVE),
            8 => picked::<S, D>(components, &Table::<D, 8>::WEAVE),
            _ => picked::<S, D>(components, &Table::<D, 16>::WEAVE),
        }
    }
}

/// The components that woven vectors hold: the inverse of [`weave`].
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub(super) unsafe fn unweave<S: Simd, const D: usize>(woven: &[S::V; D]) -> [S::V; D] {
    // SAFETY: the caller's.
    unsafe {
        match S::LANES {
            2 => picked::<S, D>(woven, &Table::<D, 2>::UNWEAVE),
            4 => picked::<S, D>(woven, &Table::<D, 4>::UNWEAVE),
            8 => picked::<S, D>(woven, &Table::<D, 8>::UNWEAVE),
            _ => picked::<S, D>(woven, &Table::<D, 16>::UNWEAVE),
        }
    }
}

#[inline(always)]
unsafe fn picked<S: Simd, const D: usize>(
    from: &[S::V; D],
    (index, mask): &'static ([[i32; MOST]; D], [[u32; D]; D]),
) -> [S::V; D] {
    let mut out = *from;
    for k in 0..D {
        let mut v = from[0];
        for (j, source) in from.iter().enumerate() {
            // SAFETY: the caller's; the table has lanes of vectors alone.
            v = unsafe { S::pick(v, *source, index[k].as_ptr(), mask[k][j]) };
        }
        out[k] = v;
    }
    out
}
