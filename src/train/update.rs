//! What steps of training do to the elements of arrays: loops that are compiled for every instruction set.

use std::ops::{Add, Div, Mul, Sub};

use schur_runtime::input::Element;
use schur_runtime::view::ElementsMut;
use schur_runtime::{InstructionSet, Loop, pool};

/// The elements that a thread takes at a time; fewer than two of these are not worth another.
const PART: usize = 1 << 13;

/// An element of a parameter.
pub(super) trait Float:
    Element
    + Copy
    + Into<f64>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Send
    + Sync
{
    /// The nearest number.
    fn of(value: f64) -> Self;
    fn sqrt(self) -> Self;
    /// The elements, where they have this type.
    fn slice_mut(elements: ElementsMut<'_>) -> Option<&mut [Self]>;
}

macro_rules! float {
    ($($float:ty => $variant:ident;)*) => {$(
        impl Float for $float {
            #[inline(always)]
            fn of(value: f64) -> Self {
                value as $float
            }

            #[inline(always)]
            fn sqrt(self) -> Self {
                self.sqrt()
            }

            fn slice_mut(elements: ElementsMut<'_>) -> Option<&mut [Self]> {
                if let ElementsMut::$variant(slice) = elements { Some(slice) } else { None }
            }
        }
    )*};
}

float! {
    f32 => F32;
    f64 => F64;
}

/// Parameters, their gradients, and so many moments, all of one length.
pub(super) struct Arrays<'a, T, const N: usize> {
    pub(super) p: &'a mut [T],
    pub(super) g: &'a [T],
    pub(super) moments: [&'a mut [T]; N],
}

/// How elements change, by their gradients and their moments.
pub(super) trait Rule<T, const N: usize>: Copy + Sync {
    /// The parameter after the step; changes the moments.
    fn step(self, p: T, g: T, moments: [&mut T; N]) -> T;
}

/// Changes all elements by a rule, on up to so many threads.
pub(super) fn update<T: Float, const N: usize>(arrays: Arrays<'_, T, N>, rule: impl Rule<T, N>, threads: usize) {
    let (set, threads) = (InstructionSet::widest(), if arrays.p.len() < 2 * PART { 1 } else { threads });
    pool::each(threads, parts(arrays), |arrays| set.run(Update { arrays, rule }));
}

/// The arrays in parts of [`PART`].
fn parts<T: Float, const N: usize>(arrays: Arrays<'_, T, N>) -> impl Iterator<Item = Arrays<'_, T, N>> + Send {
    let mut moments = arrays.moments.map(|moment| moment.chunks_mut(PART));
    let parts = arrays.p.chunks_mut(PART).zip(arrays.g.chunks(PART));
    parts.map(move |(p, g)| Arrays {
        p,
        g,
        moments: moments.each_mut().map(|moment| moment.next().unwrap_or_default()),
    })
}

struct Update<'a, T, R, const N: usize> {
    arrays: Arrays<'a, T, N>,
    rule: R,
}

impl<T: Float, R: Rule<T, N>, const N: usize> Loop for Update<'_, T, R, N> {
    type Found = ();

    #[inline(always)]
    fn run(self) {
        let Arrays { p, g, moments } = self.arrays;
        let mut moments = moments.map(|moment| &mut moment[..p.len()]);
        let g = &g[..p.len()];
        for k in 0..p.len() {
            p[k] = self.rule.step(p[k], g[k], moments.each_mut().map(|moment| &mut moment[k]));
        }
    }
}

/// `trace = g + momentum · trace`; `p −= rate · trace`.
#[derive(Clone, Copy)]
pub(super) struct Sgd<T> {
    pub(super) rate: T,
    /// What every gradient is multiplied by.
    pub(super) scale: T,
    pub(super) momentum: T,
}

impl<T: Float> Rule<T, 1> for Sgd<T> {
    #[inline(always)]
    fn step(self, p: T, g: T, [trace]: [&mut T; 1]) -> T {
        *trace = self.scale * g + self.momentum * *trace;
        p - self.rate * *trace
    }
}

/// `mu = b mu + c g`, `nu = b nu + c g²`, each with constants of its own;
/// `p −= rate · (r mu / (√(r nu) + eps) + weight_decay · p)`.
#[derive(Clone, Copy)]
pub(super) struct Adam<T> {
    pub(super) rate: T,
    /// What every gradient is multiplied by.
    pub(super) scale: T,
    /// Of `mu` and `nu`.
    pub(super) b: [T; 2],
    /// `1 − b`.
    pub(super) c: [T; 2],
    /// `1 / (1 − bᵗ)`.
    pub(super) r: [T; 2],
    pub(super) eps: T,
    pub(super) weight_decay: T,
}

impl<T: Float> Rule<T, 2> for Adam<T> {
    #[inline(always)]
    fn step(self, p: T, g: T, [mu, nu]: [&mut T; 2]) -> T {
        let ([b1, b2], [c1, c2], [r1, r2]) = (self.b, self.c, self.r);
        let g = self.scale * g;
        *mu = b1 * *mu + c1 * g;
        *nu = b2 * *nu + c2 * (g * g);
        p - self.rate * (*mu * r1 / ((*nu * r2).sqrt() + self.eps) + self.weight_decay * p)
    }
}

/// The sum of the squares of all elements, in sums that do not wait for each other.
pub(super) fn sum_of_squares<T: Float>(elements: &[T]) -> f64 {
    InstructionSet::widest().run(Squares(elements))
}

struct Squares<'a, T>(&'a [T]);

impl<T: Float> Loop for Squares<'_, T> {
    type Found = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        const SUMS: usize = 32;
        let (whole, rest) = self.0.as_chunks::<SUMS>();
        let mut sums = [0.0; SUMS];
        for elements in whole {
            for k in 0..SUMS {
                let x: f64 = elements[k].into();
                sums[k] += x * x;
            }
        }
        let mut sum: f64 = sums.iter().sum();
        for x in rest {
            let x: f64 = (*x).into();
            sum += x * x;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_of_all_elements_are_summed() {
        for count in [0, 1, 31, 32, 33, 1000] {
            let elements: Vec<f32> = (0..count).map(|k| k as f32).collect();
            let wanted: f64 = (0..count).map(|k| f64::from(k * k)).sum();
            assert_eq!(sum_of_squares(&elements), wanted);
        }
    }

    /// Multiplies the moment, and adds it and the gradient.
    #[derive(Clone, Copy)]
    struct Plain;

    impl Rule<f64, 1> for Plain {
        fn step(self, p: f64, g: f64, [moment]: [&mut f64; 1]) -> f64 {
            *moment *= 2.0;
            p + g + *moment
        }
    }

    #[test]
    fn threads_change_every_element_once() {
        for (count, threads) in [(0, 1), (3, 2), (PART, 2), (5 * PART + 7, 1), (5 * PART + 7, 3)] {
            let g: Vec<f64> = (0..count).map(|k| k as f64).collect();
            let (mut p, mut moment) = (vec![1.0; count], vec![0.25; count]);
            update(Arrays { p: &mut p, g: &g, moments: [&mut moment] }, Plain, threads);
            assert!(p.iter().zip(&g).all(|(p, g)| *p == 1.5 + g), "{count}");
            assert!(moment.iter().all(|moment| *moment == 0.5), "{count}");
        }
    }
}
