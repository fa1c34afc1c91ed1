//! How parameters begin: random arrays that are the same bits for a seed and a name, on every machine.
//!
//! Every array has a ChaCha8 generator of its own, whose key is the seed and whose stream is the FNV-1a hash of the
//! array's name, so no array depends on the others. Draws are made in `f64` with functions of `libm` alone, then rounded.

use chacha20::ChaCha8Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use schur_ir::graph::{Init, Param};

/// The elements of an array at the start, before they are rounded to its element type; endless.
pub fn draws(param: &Param, seed: u64) -> impl Iterator<Item = f64> {
    let mut random = generator(&param.name, seed);
    let init = param.init;
    std::iter::repeat_with(move || match init {
        Init::Constant(value) => value.0,
        Init::Normal { mean, std } => mean.0 + std.0 * normal(&mut random),
        Init::Uniform { low, high } => low.0 + (high.0 - low.0) * uniform(&mut random),
        Init::TruncatedNormal { mean, std } => mean.0 + std.0 * truncated_normal(&mut random),
    })
}

fn generator(name: &str, seed: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    let mut random = ChaCha8Rng::from_seed(key);
    random.set_stream(fnv1a(name));
    random
}

fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Uniform in [0, 1), a multiple of 2⁻⁵³.
fn uniform(random: &mut ChaCha8Rng) -> f64 {
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// Standard normal, by Box and Muller.
fn normal(random: &mut ChaCha8Rng) -> f64 {
    let radius = libm::sqrt(-2.0 * libm::log(1.0 - uniform(random)));
    radius * libm::cos(std::f64::consts::TAU * uniform(random))
}

/// Standard normal cut at two standard deviations, by rejection.
fn truncated_normal(random: &mut ChaCha8Rng) -> f64 {
    loop {
        let x = normal(random);
        if x.abs() <= 2.0 {
            return x;
        }
    }
}

#[cfg(test)]
mod tests {
    use schur_ir::expr::Scalar;

    use super::*;

    fn sample(init: Init, seed: u64) -> Vec<f64> {
        let param = Param { name: "params/mix/w".into(), shape: vec![], init };
        draws(&param, seed).take(100_000).collect()
    }

    fn moments(sample: &[f64]) -> (f64, f64) {
        let n = sample.len() as f64;
        let mean = sample.iter().sum::<f64>() / n;
        (mean, (sample.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt())
    }

    fn near(got: (f64, f64), want: (f64, f64)) {
        assert!((got.0 - want.0).abs() < 0.02 && (got.1 - want.1).abs() < 0.02, "{got:?} is not {want:?}");
    }

    #[test]
    fn distributions_have_their_moments_and_bounds() {
        let (mean, std) = (Scalar(0.5), Scalar(2.0));
        near(moments(&sample(Init::Normal { mean, std }, 0)), (0.5, 2.0));
        let cut = sample(Init::TruncatedNormal { mean, std }, 0);
        near(moments(&cut), (0.5, 2.0 * 0.8796256610342398));
        assert!(cut.iter().all(|x| (x - 0.5).abs() <= 4.0) && cut.iter().any(|x| (x - 0.5).abs() > 3.9));
        let flat = sample(Init::Uniform { low: Scalar(-1.0), high: Scalar(2.0) }, 0);
        near(moments(&flat), (0.5, 3.0 / 12f64.sqrt()));
        assert!(flat.iter().all(|x| (-1.0..2.0).contains(x)));
        assert!(sample(Init::Constant(Scalar(0.25)), 0).iter().all(|x| *x == 0.25));
    }

    #[test]
    fn a_normal_sample_has_the_tails_of_a_normal_distribution() {
        let normals = sample(Init::Normal { mean: Scalar(0.0), std: Scalar(1.0) }, 1);
        let beyond = |x: f64| normals.iter().filter(|z| z.abs() > x).count() as f64 / normals.len() as f64;
        assert!((beyond(1.0) - 0.3173).abs() < 0.005);
        assert!((beyond(2.0) - 0.0455).abs() < 0.002);
        assert!((beyond(3.0) - 0.0027).abs() < 0.0006);
    }

    #[test]
    fn seeds_and_names_give_unlike_arrays() {
        let first = |name: &str, seed| generator(name, seed).next_u64();
        assert_ne!(first("a", 0), first("b", 0));
        assert_ne!(first("a", 0), first("a", 1));
        assert_eq!(first("a", 7), first("a", 7));
    }
}
