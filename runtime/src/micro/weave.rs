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

/// For blocks of vectors: the lane `distance` further down or up.
const SHIFTS: [([i32; MOST], [i32; MOST]); 4] = [shift(1), shift(2), shift(4), shift(8)];

const fn shift(distance: usize) -> ([i32; MOST], [i32; MOST]) {
    let (mut down, mut up) = ([0; MOST], [0; MOST]);
    let mut lane = 0;
    while lane < MOST {
        down[lane] = (lane & !distance) as i32;
        up[lane] = (lane | distance) as i32;
        lane += 1;
    }
    (down, up)
}

/// Exchanges rows and columns of a square of `L` vectors, `L` being the number of lanes: at every distance 1, 2, 4, …
/// the off-diagonal halves of squares of twice that size change places.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub(super) unsafe fn transpose_square<S: Simd, const L: usize>(rows: &mut [S::V; L]) {
    for (k, (down, up)) in SHIFTS.iter().enumerate() {
        let distance = 1 << k;
        if distance >= L {
            return;
        }
        // Lanes whose number has the distance's bit.
        let odd = [0xAAAA, 0xCCCC, 0xF0F0, 0xFF00][k];
        for i in (0..L).filter(|i| i & distance == 0) {
            let (a, b) = (rows[i], rows[i + distance]);
            // SAFETY: the caller's; the tables hold lanes below `L` where the masks are set.
            unsafe {
                rows[i] = S::pick(a, b, down.as_ptr(), odd);
                rows[i + distance] = S::pick(b, a, up.as_ptr(), !odd & 0xFFFF);
            }
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
