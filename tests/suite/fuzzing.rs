//! The fuzz targets on their seeds, on what fuzzing has found, and on some thousands of mutations, at every run.

use std::path::Path;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

#[allow(unreachable_pub, reason = "these are the public functions of the fuzzing package")]
#[path = "../../fuzz/src/lib.rs"]
mod targets;

use targets::Target;

/// Bytes that matter to some format, beside any others.
const PIECES: [&[u8]; 16] = [
    b"\"",
    b"[",
    b"]",
    b"{",
    b"}",
    b"0",
    b"-1",
    b"99999999999999999999",
    b"x",
    b"%0",
    b"*N",
    b"\x81",
    b"\xdf\xff\xff\xff\xff",
    b"\x00\x00\x00\x00",
    b"\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"inf",
];

fn mutated(rng: &mut ChaCha8Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds[rng.random_range(0..seeds.len())].clone();
    for _ in 0..rng.random_range(1..6) {
        let from = rng.random_range(0..=bytes.len());
        let to = (from + rng.random_range(0..8)).min(bytes.len());
        let other = &seeds[rng.random_range(0..seeds.len())];
        let start = rng.random_range(0..=other.len());
        let piece = match rng.random_range(0..4) {
            0 => vec![rng.random::<u8>()],
            1 => other[start..(start + rng.random_range(0..32)).min(other.len())].to_vec(),
            _ => PIECES[rng.random_range(0..PIECES.len())].to_vec(),
        };
        bytes.splice(from..to, piece);
    }
    bytes
}

/// What is kept of a target, and mutations of it that follow from a seed.
fn replay(target: Target, seed: u64, count: usize) {
    let seeds = target.seeds(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    assert!(!seeds.is_empty());
    seeds.iter().for_each(|seed| target.run(seed));
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for _ in 0..count {
        let mut bytes = mutated(&mut rng, &seeds);
        if target == Target::Graph && rng.random_bool(0.2) {
            let seed = &seeds[rng.random_range(0..seeds.len())];
            bytes = targets::edited(seed, rng.random()).map_or(bytes, String::into_bytes);
        }
        // On a panic, the bytes are what is needed.
        if std::panic::catch_unwind(|| target.run(&bytes)).is_err() {
            panic!("{}: {:?}", target.name(), String::from_utf8_lossy(&bytes));
        }
    }
}

#[test]
fn specs() {
    replay(Target::Spec, 1, 3000);
}

#[test]
fn graphs() {
    replay(Target::Graph, 1, 3000);
}

#[test]
fn checkpoints() {
    replay(Target::Safetensors, 1, 5000);
    replay(Target::Msgpack, 1, 5000);
}

#[test]
fn models() {
    replay(Target::Model, 1, 300);
}

/// `SCHUR_FUZZ=seed` takes other mutations.
#[test]
#[ignore = "half a million mutations: minutes, in a release build"]
fn half_a_million_mutations() {
    let seed = std::env::var("SCHUR_FUZZ").map_or(2, |seed| seed.parse().expect("a number"));
    replay(Target::Spec, seed, 90_000);
    replay(Target::Graph, seed, 90_000);
    replay(Target::Safetensors, seed, 150_000);
    replay(Target::Msgpack, seed, 150_000);
    replay(Target::Model, seed, 9_000);
}

#[test]
fn every_target_has_a_name_of_its_own() {
    let mut names: Vec<_> = Target::ALL.iter().map(|target| target.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Target::ALL.len());
}

/// Writes what the fuzzer starts from to `fuzz/corpus/<target>/`.
#[test]
#[ignore = "is for `fuzz/run`"]
fn seeds_are_written() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for target in Target::ALL {
        let corpus = root.join("fuzz/corpus").join(target.name());
        std::fs::create_dir_all(&corpus).unwrap();
        for (k, seed) in target.seeds(root).unwrap().iter().enumerate() {
            std::fs::write(corpus.join(format!("seed-{k}")), seed).unwrap();
        }
    }
}
