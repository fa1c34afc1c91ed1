//! Steps of rows, and their loops: sums of products of neighbours, over components, rows or nothing.
//!
//! Where components follow each other in whole blocks, a block of all of them is straight code: parts of vectors are left to
//! the functions of any number of components, whose many cases would take the registers of the others.

#![allow(clippy::needless_range_loop, reason = "loops over registers count in several arrays at once")]

use schur_ir::micro::{MAX_ROWS_ARRAYS, MAX_TERMS};

use super::prefetch::ask;
use super::simd::Simd;

/// Vectors that are computed at once.
pub(super) const BLOCK: usize = 2;

/// The most places that steps of one component ask for ahead.
pub(super) const MAX_ASKED: usize = 2;

/// Where the arrays are in the first of some rows.
pub(super) type Arrays<T> = [*mut T; MAX_ROWS_ARRAYS];

/// Elements of an array: neighbours from `offset` on.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Place {
    pub(super) array: usize,
    pub(super) offset: usize,
    /// The stride from row to row.
    pub(super) row: usize,
    pub(super) component: usize,
    /// How far ahead elements are asked for; 0 where they are not.
    pub(super) ahead: usize,
}

/// A step, ready to be done.
pub(super) struct Step<T: 'static> {
    pub(super) run: StepFn<T>,
    pub(super) out: Place,
    /// Of [`BOTH`] alone: where the sums of products are, whose constant is the second one.
    pub(super) second: Place,
    /// The factors of terms of two, then those of one.
    pub(super) factors: [Place; 2 * MAX_TERMS],
    /// The constants of the terms in that order.
    pub(super) coefficients: [T; MAX_TERMS],
    pub(super) components: usize,
    pub(super) count: usize,
    /// Of sums alone: what is there is a term of other steps.
    pub(super) accumulate: bool,
    /// What is asked for ahead: the first of these, as many as the [shape](Shape::asks) says.
    pub(super) asked: [Place; MAX_ASKED],
    /// Whether factors are of the array that is written.
    pub(super) in_place: bool,
    /// The array of one element that terms are multiplied by.
    pub(super) inverse: Option<usize>,
}

/// Does a step for some rows.
pub(super) type StepFn<T> = unsafe fn(&Step<T>, &Arrays<T>, usize);

/// What the loops of a step depend on.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    /// Terms of two factors, and of one.
    pub(super) terms: [usize; 2],
    /// Whether rows are summed (true) or components alone; none where nothing is.
    pub(super) sums_rows: Option<bool>,
    /// The number of components where they follow each other in whole blocks of vectors, and where of every two factors the second
    /// has none (of sums: where both have); 0 for all else.
    pub(super) components: usize,
    /// Which sums over rows of one component in whole blocks, if they are.
    pub(super) columns: Option<usize>,
    /// The number of places that are asked for ahead.
    pub(super) asks: usize,
    /// Whether elements are written past the caches, which those of one component in whole blocks are.
    pub(super) past_caches: bool,
}

/// The constants of terms in all lanes.
#[inline(always)]
pub(super) unsafe fn constants<S: Simd>(step: &Step<S::T>, arrays: &Arrays<S::T>) -> [S::V; MAX_TERMS] {
    // SAFETY: the caller's.
    unsafe {
        let mut all = [S::zero(); MAX_TERMS];
        for k in 0..MAX_TERMS {
            all[k] = S::splat(step.coefficients[k]);
        }
        if let Some(inverse) = step.inverse {
            let inverse = S::splat(**arrays.get_unchecked(inverse));
            for k in 0..MAX_TERMS {
                all[k] = S::multiply(all[k], inverse);
            }
        }
        all
    }
}

/// `N` vectors, or a part of one.
#[inline(always)]
pub(super) unsafe fn load<S: Simd, const N: usize>(from: *const S::T, mask: Option<S::Mask>) -> [S::V; N] {
    // SAFETY: the caller's.
    unsafe {
        let mut all = [S::zero(); N];
        for k in 0..N {
            let at = from.add(k * S::LANES);
            all[k] = if let Some(mask) = mask { S::load_first(at, mask) } else { S::load(at) };
        }
        all
    }
}

/// `N` vectors, or a part of one.
#[inline(always)]
unsafe fn store<S: Simd, const N: usize>(to: *mut S::T, v: [S::V; N], mask: Option<S::Mask>) {
    // SAFETY: the caller's.
    unsafe {
        for k in 0..N {
            let at = to.add(k * S::LANES);
            if let Some(mask) = mask { S::store_first(at, v[k], mask) } else { S::store(at, v[k]) }
        }
    }
}

/// `N` vectors, or a part of one, of a factor; asks for as many further on where steps stream.
#[inline(always)]
unsafe fn factor<S: Simd, const N: usize, const STREAMS: bool>(
    of: &Place,
    from: *const S::T,
    mask: Option<S::Mask>,
) -> [S::V; N] {
    if STREAMS && of.ahead > 0 {
        for k in 0..N {
            ask(from.wrapping_add(of.ahead + k * S::LANES).cast());
        }
    }
    // SAFETY: the caller's.
    unsafe { load::<S, N>(from, mask) }
}

/// Where the output and the factors of a step are, of `P` terms of two and `Q` of one.
#[derive(Clone, Copy)]
pub(super) struct Places<T, const P: usize, const Q: usize> {
    pub(super) out: *mut T,
    pub(super) pairs: [[*const T; 2]; P],
    pub(super) singles: [*const T; Q],
}

impl<T, const P: usize, const Q: usize> Places<T, P, Q> {
    /// In the first row.
    #[inline(always)]
    pub(super) unsafe fn first(step: &Step<T>, arrays: &Arrays<T>) -> Self {
        // SAFETY: the caller's.
        let at = |place: &Place| unsafe { arrays.get_unchecked(place.array).add(place.offset) };
        let out = at(&step.out);
        let mut places = Places { out, pairs: [[out.cast_const(); 2]; P], singles: [out.cast_const(); Q] };
        places.each(step, |factor, place| *factor = at(place));
        places
    }

    /// Does something to where each factor is. By loops: of `from_fn`, each length and closure is several functions to compile.
    #[inline(always)]
    fn each(&mut self, step: &Step<T>, act: impl Fn(&mut *const T, &Place)) {
        for k in 0..P {
            for f in 0..2 {
                act(&mut self.pairs[k][f], &step.factors[2 * k + f]);
            }
        }
        for k in 0..Q {
            act(&mut self.singles[k], &step.factors[2 * P + k]);
        }
    }

    /// Both factors of a pair: `N` vectors, or a part of one. That of a square is loaded once.
    #[inline(always)]
    unsafe fn pair<S: Simd<T = T>, const N: usize, const STREAMS: bool>(
        &self,
        step: &Step<T>,
        k: usize,
        is_square: bool,
        mask: Option<S::Mask>,
    ) -> [[S::V; N]; 2] {
        let [x, y] = self.pairs[k];
        // SAFETY: the caller's.
        unsafe {
            let first = factor::<S, N, STREAMS>(&step.factors[2 * k], x, mask);
            [first, if is_square { first } else { factor::<S, N, STREAMS>(&step.factors[2 * k + 1], y, mask) }]
        }
    }

    /// The factor of a term of one: `N` vectors, or a part of one.
    #[inline(always)]
    unsafe fn single<S: Simd<T = T>, const N: usize, const STREAMS: bool>(
        &self,
        step: &Step<T>,
        k: usize,
        mask: Option<S::Mask>,
    ) -> [S::V; N] {
        // SAFETY: the caller's.
        unsafe { factor::<S, N, STREAMS>(&step.factors[2 * P + k], self.singles[k], mask) }
    }

    /// The sums of terms, each times its constant: `N` vectors, or a part of one.
    #[inline(always)]
    pub(super) unsafe fn elements<S: Simd<T = T>, const N: usize>(
        &self,
        constants: &[S::V; MAX_TERMS],
        mask: Option<S::Mask>,
    ) -> [S::V; N] {
        // SAFETY: the caller's.
        unsafe {
            let mut sum = [S::zero(); N];
            for k in 0..P {
                let [x, y] = self.pairs[k];
                let (x, y) = (load::<S, N>(x, mask), load::<S, N>(y, mask));
                for v in 0..N {
                    let x = S::multiply(x[v], constants[k]);
                    sum[v] = if k == 0 { S::multiply(x, y[v]) } else { S::multiply_add(x, y[v], sum[v]) };
                }
            }
            for k in 0..Q {
                let (x, c) = (load::<S, N>(self.singles[k], mask), constants[P + k]);
                for v in 0..N {
                    sum[v] = if P + k == 0 { S::multiply(x[v], c) } else { S::multiply_add(x[v], c, sum[v]) };
                }
            }
            sum
        }
    }

    /// The `i`-th component. Where `D` is not 0, components follow each other after `count` elements, and the second factors of
    /// pairs have none if `SHARED`.
    #[inline(always)]
    fn component<const D: usize, const SHARED: bool>(mut self, step: &Step<T>, i: usize) -> Self {
        if D == 0 {
            return self.moved(step, |place| place.component * i);
        }
        let skip = step.count * i;
        self.out = self.out.wrapping_add(skip);
        for k in 0..P {
            for f in 0..if SHARED { 1 } else { 2 } {
                self.pairs[k][f] = self.pairs[k][f].wrapping_add(skip);
            }
        }
        for k in 0..Q {
            self.singles[k] = self.singles[k].wrapping_add(skip);
        }
        self
    }

    /// Further on, by as many elements as `by` has of every place.
    #[inline(always)]
    pub(super) fn moved(mut self, step: &Step<T>, by: impl Fn(&Place) -> usize) -> Self {
        self.out = self.out.wrapping_add(by(&step.out));
        self.each(step, |factor, place| *factor = factor.wrapping_add(by(place)));
        self
    }
}

/// A step each of whose elements is a sum of `P` terms of two factors and `Q` of one; of `D` components, or of any number where `D`
/// is 0.
///
/// # Safety
/// As for [`Simd`]; the arrays hold so many rows.
#[inline(always)]
pub(super) unsafe fn elements<S: Simd, const P: usize, const Q: usize, const D: usize>(
    step: &Step<S::T>,
    arrays: &Arrays<S::T>,
    rows: usize,
) {
    // SAFETY: the caller's.
    unsafe {
        let constants = constants::<S>(step, arrays);
        let mut places = Places::<S::T, P, Q>::first(step, arrays);
        for _ in 0..rows {
            let mut u = 0;
            while u + BLOCK * S::LANES <= step.count {
                block::<S, P, Q, D, BLOCK>(step, places.moved(step, |_| u), &constants, None);
                u += BLOCK * S::LANES;
            }
            while D == 0 && u < step.count {
                let mask = S::first(S::LANES.min(step.count - u));
                block::<S, P, Q, 0, 1>(step, places.moved(step, |_| u), &constants, Some(mask));
                u += S::LANES;
            }
            places = places.moved(step, |place| place.row);
        }
    }
}

/// `N` vectors of all components of a row, or a part of one vector.
#[inline(always)]
unsafe fn block<S: Simd, const P: usize, const Q: usize, const D: usize, const N: usize>(
    step: &Step<S::T>,
    at: Places<S::T, P, Q>,
    constants: &[S::V; MAX_TERMS],
    mask: Option<S::Mask>,
) {
    // SAFETY: the caller's.
    unsafe {
        for i in 0..if D > 0 { D } else { step.components } {
            let at = at.component::<D, true>(step, i);
            store::<S, N>(at.out, at.elements::<S, N>(constants, mask), mask);
        }
    }
}

/// A step whose elements are sums over rows, or `D` components or any number where `D` is 0, or both, of products of two factors
/// where `P` is 1, else of one factor.
///
/// # Safety
/// As for [`Simd`]; the arrays hold so many rows.
#[inline(always)]
pub(super) unsafe fn sums<
    S: Simd,
    const P: usize,
    const Q: usize,
    const D: usize,
    const ACROSS: bool,
    const STREAMS: bool,
>(
    step: &Step<S::T>,
    arrays: &Arrays<S::T>,
    rows: usize,
) {
    // SAFETY: the caller's.
    unsafe {
        let [constant, ..] = constants::<S>(step, arrays);
        let mut places = Places::<S::T, P, Q>::first(step, arrays);
        let (outer, inner) = if ACROSS { (1, rows) } else { (rows, 1) };
        for _ in 0..outer {
            let mut u = 0;
            while u + BLOCK * S::LANES <= step.count {
                sum::<S, P, Q, D, BLOCK, STREAMS>(step, places.moved(step, |_| u), constant, None, inner);
                u += BLOCK * S::LANES;
            }
            while D == 0 && u < step.count {
                let mask = S::first(S::LANES.min(step.count - u));
                sum::<S, P, Q, 0, 1, STREAMS>(step, places.moved(step, |_| u), constant, Some(mask), inner);
                u += S::LANES;
            }
            places = places.moved(step, |place| place.row);
        }
    }
}

/// `N` vectors, or a part of one, of sums over components and so many rows.
#[inline(always)]
unsafe fn sum<S: Simd, const P: usize, const Q: usize, const D: usize, const N: usize, const STREAMS: bool>(
    step: &Step<S::T>,
    mut places: Places<S::T, P, Q>,
    constant: S::V,
    mask: Option<S::Mask>,
    rows: usize,
) {
    // SAFETY: the caller's.
    unsafe {
        let out = places.out;
        let is_square = P == 1 && step.factors[0] == step.factors[1];
        let mut sum = [S::zero(); N];
        for _ in 0..rows {
            for i in 0..if D > 0 { D } else { step.components } {
                let at = places.component::<D, false>(step, i);
                for k in 0..P {
                    let [x, y] = at.pair::<S, N, STREAMS>(step, k, is_square, mask);
                    for v in 0..N {
                        sum[v] = S::multiply_add(x[v], y[v], sum[v]);
                    }
                }
                for k in 0..Q {
                    let x = at.single::<S, N, STREAMS>(step, k, mask);
                    for v in 0..N {
                        sum[v] = S::add(sum[v], x[v]);
                    }
                }
            }
            places = places.moved(step, |place| place.row);
        }
        if step.accumulate {
            let old = load::<S, N>(out, mask);
            for v in 0..N {
                sum[v] = S::multiply_add(sum[v], constant, old[v]);
            }
        } else {
            for v in 0..N {
                sum[v] = S::multiply(sum[v], constant);
            }
        }
        store::<S, N>(out, sum, mask);
    }
}
