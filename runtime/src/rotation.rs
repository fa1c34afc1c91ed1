//! Rotations and inversion acting on features: the real Wigner matrices of e3nn, for any degree.
//!
//! An element of O(3) is the rotation `exp(Σ ω_a L_a)`, with or without the inversion, which multiplies an irrep by the
//! sign of its parity. Matrices are computed in `f64`, by scaling and squaring, and are orthogonal to rounding.

use ndarray::{Array2, ArrayD, Axis, Ix2, Slice};
use schur_ir::irreps::{Irrep, Irreps};
use schur_ir::ty::DType;

use crate::array::Array;

/// An element of O(3).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rotation {
    /// The axis of rotation, as long as the angle in radians, in e3nn's order of a vector's components.
    pub log_coordinates: [f64; 3],
    /// Whether the inversion is applied as well.
    pub inversion: bool,
}

impl Rotation {
    /// The rotation of a quaternion `[w, x, y, z]` of any length but zero. Normal quaternions give uniform rotations.
    pub fn from_quaternion([w, x, y, z]: [f64; 4]) -> Self {
        let sine = (x * x + y * y + z * z).sqrt();
        let factor = if sine > 0.0 { 2.0 * sine.atan2(w) / sine } else { 0.0 };
        Rotation { log_coordinates: [x * factor, y * factor, z * factor], inversion: false }
    }

    /// The same rotation with the inversion.
    pub fn inverted(self) -> Self {
        Rotation { inversion: !self.inversion, ..self }
    }

    /// The matrix of this element in an irrep; NaN where coordinates are too large to be turned by.
    ///
    /// # Panics
    /// Where a matrix of that degree does not fit in memory.
    pub fn matrix(&self, ir: Irrep) -> Array2<f64> {
        let mut generator = Array2::zeros((ir.dim(), ir.dim()));
        for (axis, coordinate) in Axes::ALL.into_iter().zip(self.log_coordinates) {
            add_generator(&mut generator, ir.l as usize, axis, coordinate);
        }
        let sign = if self.inversion { f64::from(ir.p.sign()) } else { 1.0 };
        exponential(generator) * sign
    }

    /// Features after this element has acted on them: every irrep of the last axis is multiplied by its matrix.
    ///
    /// # Panics
    /// Where the last axis is not as long as the dimension of `irreps`.
    #[allow(clippy::expect_used, reason = "a chunk is whole irreps")]
    pub fn apply(&self, irreps: &Irreps, features: &ArrayD<f64>) -> ArrayD<f64> {
        let last = Axis(features.ndim() - 1);
        assert_eq!(features.len_of(last), irreps.dim(), "the last axis holds the irreps");
        let mut out = features.clone();
        for (chunk, start) in irreps.iter().zip(irreps.offsets()).filter(|(chunk, _)| chunk.mul > 0) {
            let mut part = out.slice_axis_mut(last, Slice::from(start..start + chunk.dim()));
            let vectors = part.to_owned().into_raw_vec_and_offset().0;
            let shape = Ix2(vectors.len() / chunk.ir.dim(), chunk.ir.dim());
            let vectors = Array2::from_shape_vec(shape, vectors).expect("a chunk is whole irreps");
            let rotated = vectors.dot(&self.matrix(chunk.ir).t());
            part.iter_mut().zip(rotated).for_each(|(to, from)| *to = from);
        }
        out
    }

    /// An array after this element has acted on it: floats by their irreps; indices and masks stay as they are.
    ///
    /// # Panics
    /// Where the last axis of floats is not as long as the dimension of `irreps`.
    pub fn rotated(&self, irreps: &Irreps, array: &Array) -> Array {
        match array.dtype() {
            DType::F32 | DType::F64 => Array::from_f64(&self.apply(irreps, &array.to_f64()), array.dtype()),
            DType::I32 | DType::Bool => array.clone(),
        }
    }
}

/// The axes of log coordinates, in their order.
#[derive(Clone, Copy)]
enum Axes {
    First,
    Second,
    Third,
}

impl Axes {
    const ALL: [Axes; 3] = [Axes::First, Axes::Second, Axes::Third];
}

/// Adds `factor` times a generator of degree `l`. Components are ordered by m = −l … l; the middle axis turns m into −m,
/// the others couple neighbours in |m|.
fn add_generator(out: &mut Array2<f64>, l: usize, axis: Axes, factor: f64) {
    let mut couple = |i: usize, j: usize, value: f64| {
        out[[i, j]] += factor * value;
        out[[j, i]] -= factor * value;
    };
    let half = |m: usize| 0.5 * ((l * (l + 1) - m * (m + 1)) as f64).sqrt();
    let ladder = |m: usize| if m == 0 { half(0) * std::f64::consts::SQRT_2 } else { half(m) };
    match axis {
        Axes::First => {
            (0..l).for_each(|m| couple(l + m, l + m + 1, -ladder(m)));
            (1..l).for_each(|m| couple(l - m - 1, l - m, ladder(m)));
        }
        Axes::Second => (1..=l).for_each(|m| couple(l - m, l + m, m as f64)),
        Axes::Third => {
            (0..l).for_each(|m| couple(l - m - 1, l + m, -ladder(m)));
            (1..l).for_each(|m| couple(l - m, l + m + 1, -ladder(m)));
        }
    }
}

/// The exponential of a matrix: Taylor's series of a small power of two of it, squared back.
fn exponential(matrix: Array2<f64>) -> Array2<f64> {
    let norm = matrix.rows().into_iter().map(|row| row.iter().map(|x| x.abs()).sum::<f64>()).fold(0.0, f64::max);
    if !norm.is_finite() {
        return matrix * f64::NAN;
    }
    let squarings = (norm * 4.0).max(1.0).log2().ceil() as i32;
    let small = matrix * 0.5f64.powi(squarings);
    let mut term = Array2::eye(small.nrows());
    let mut sum = term.clone();
    // 0.25^13 / 13! is below the rounding of 1.
    for k in 1..13 {
        term = term.dot(&small) / f64::from(k);
        sum += &term;
    }
    (0..squarings).fold(sum, |power, _| power.dot(&power))
}

#[cfg(test)]
mod tests {
    use ndarray::{arr2, array};
    use schur_ir::irreps::Parity;

    use super::*;

    const ROTATION: Rotation = Rotation { log_coordinates: [0.3, -1.1, 0.7], inversion: false };

    fn far(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
        (a - b).iter().fold(0.0, |m, x| x.abs().max(m))
    }

    fn even(l: u32) -> Irrep {
        Irrep::new(l, Parity::Even)
    }

    #[test]
    fn floats_are_rotated_in_their_type_and_indices_stay() {
        let (irreps, vector): (Irreps, _) = ("1o".parse().unwrap(), array![[1.0, 2.0, 3.0]]);
        let single = Array::from(vector.mapv(|x| x as f32));
        let rotated = ROTATION.rotated(&irreps, &single);
        let wanted = ROTATION.apply(&irreps, &vector.into_dyn());
        assert!(rotated == Array::from_f64(&wanted, DType::F32) && rotated != single);
        let species = Array::from(array![1i32, 0]);
        assert_eq!(ROTATION.rotated(&Irreps::default(), &species), species);
    }

    #[test]
    fn matrices_are_e3nn_jaxs() {
        let vector = arr2(&[
            [0.269463503028, -0.650890186163, -0.709740365269],
            [0.367270134398, 0.750758136327, -0.549067271942],
            [0.890225852756, -0.112712848844, 0.441354443492],
        ]);
        assert!(far(&ROTATION.matrix(even(1)), &vector) < 1e-11);
        let second = arr2(&[
            [-0.512900307486, -0.609811270114, 0.127069633604, -0.207276417379, -0.553130440707],
            [-0.408620029835, -0.036750608809, -0.846385858283, -0.175460855055, 0.290729309173],
            [-0.349278456287, 0.477580173326, 0.345456668892, -0.713980305890, 0.144269022106],
            [-0.326697574607, 0.626948238982, -0.146566292343, 0.393237375884, -0.569286648834],
            [0.584154260891, 0.075051257671, -0.355896472280, -0.511709355154, -0.514414565376],
        ]);
        assert!(far(&ROTATION.matrix(even(2)), &second) < 1e-11);
        let third = ROTATION.matrix(even(3)).row(6).to_owned();
        let expected = array![
            -0.2075518259,
            -0.489510277041,
            -0.392506928077,
            0.112121073958,
            -0.074785339677,
            -0.369929343771,
            -0.638927646928
        ];
        assert!((third - expected).iter().all(|x| x.abs() < 1e-11));
        let eleventh = ROTATION.matrix(even(11));
        for (column, expected) in [(0, 0.229801814941), (11, -0.001879867838), (22, -0.026199357584)] {
            assert!((eleventh[[0, column]] - expected).abs() < 1e-11);
        }
    }

    #[test]
    fn coordinates_that_are_no_numbers_make_matrices_that_are_none() {
        for coordinate in [f64::INFINITY, f64::NAN, f64::MAX] {
            let rotation = Rotation { log_coordinates: [coordinate, 0.0, 0.0], inversion: false };
            assert!(rotation.matrix(even(3)).iter().all(|x| x.is_nan() || x.abs() <= 2.0), "{coordinate}");
        }
        let infinite = Rotation { log_coordinates: [f64::INFINITY, 0.0, 0.0], inversion: false };
        assert!(infinite.matrix(even(3)).iter().all(|x| x.is_nan()));
    }

    #[test]
    fn matrices_are_orthogonal_and_follow_the_group() {
        for l in 0..=12 {
            let matrix = |turns: f64| {
                let log_coordinates = ROTATION.log_coordinates.map(|x| x * turns);
                Rotation { log_coordinates, ..ROTATION }.matrix(even(l))
            };
            let one = Array2::eye(2 * l as usize + 1);
            assert!(far(&matrix(1.0).dot(&matrix(1.0).t()), &one) < 1e-13, "l = {l}");
            assert!(far(&matrix(0.4).dot(&matrix(1.7)), &matrix(2.1)) < 1e-13, "l = {l}");
            assert!(far(&matrix(0.0), &one) == 0.0, "l = {l}");
        }
    }

    #[test]
    fn a_quaternion_turns_about_its_axis_by_twice_its_angle() {
        let quaternion = |angle: f64| Rotation::from_quaternion([2.0 * angle.cos(), 0.0, 0.0, 2.0 * angle.sin()]);
        assert!((quaternion(0.3).log_coordinates[2] - 0.6).abs() < 1e-15);
        // (3, 4, 0)/5, half a turn: the axis stays, what is orthogonal to it changes sign.
        let half = Rotation::from_quaternion([0.0, 0.6, 0.8, 0.0]).matrix(even(1));
        assert!(far(&half, &arr2(&[[-0.28, 0.96, 0.0], [0.96, 0.28, 0.0], [0.0, 0.0, -1.0]])) < 1e-14);
        assert_eq!(Rotation::from_quaternion([1.0, 0.0, 0.0, 0.0]).log_coordinates, [0.0; 3]);
    }

    #[test]
    fn every_irrep_of_the_last_axis_is_turned() {
        let irreps: Irreps = "2x1o + 0x2e + 0o + 1e".parse().unwrap();
        let features = ArrayD::from_shape_fn(vec![2, 3, 10], |at| (at[0] * 30 + at[1] * 10 + at[2]) as f64);
        let out = ROTATION.inverted().apply(&irreps, &features);
        let matrix = ROTATION.matrix(even(1));
        for (value, sign, start) in [(0, -1.0, 0), (1, -1.0, 3), (2, 1.0, 7)] {
            for row in 0..6 {
                let at = |array: &ArrayD<f64>, i: usize| array[[row / 3, row % 3, start + i]];
                for i in 0..3 {
                    let expected = sign * (0..3).map(|j| matrix[[i, j]] * at(&features, j)).sum::<f64>();
                    assert!((at(&out, i) - expected).abs() < 1e-12, "vector {value}");
                }
            }
        }
        assert_eq!(out[[1, 2, 6]], -features[[1, 2, 6]]);
    }
}
