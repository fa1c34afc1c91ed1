//! Irreps behave as e3nn_jax's: its documentation's examples, a table that it made, and laws on random sums.

use proptest::prelude::*;
use schur_ir::irreps::{Irrep, Irreps, MulIrrep, Parity};

fn irreps(text: &str) -> Irreps {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn irrep(text: &str) -> Irrep {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[track_caller]
fn same(ours: impl ToString, e3nn: &str) {
    assert_eq!(ours.to_string(), e3nn);
}

#[test]
fn single_irreps_are_as_in_the_documentation_of_e3nn() {
    assert_eq!(irrep("0e"), Irrep::SCALAR);
    same(irrep("1y"), "1o");
    assert_eq!(irrep("2o").dim(), 5);
    let mut all: Vec<Irrep> = ["2o", "1e", "0o", "2e", "3o", "0e", "1o"].map(irrep).to_vec();
    all.sort();
    assert_eq!(all, ["0e", "0o", "1o", "1e", "2e", "2o", "3o"].map(irrep));
    assert!(irrep("0e").is_scalar() && !irrep("0o").is_scalar());
}

#[test]
fn sums_are_as_in_the_documentation_of_e3nn() {
    assert_eq!(irreps("100x0e + 50x1e").dim(), 250);
    same(irreps("100x0e + 50x1e + 0x2e"), "100x0e+50x1e+0x2e");
    assert_eq!(irreps("100x0e + 50x1e + 0x2e").lmax(), Some(1));
    assert_eq!(irreps("").lmax(), None);
    assert!(irreps("0e + 2e").contains(irrep("2e")) && !irreps("0e + 2e").contains(irrep("2o")));
    assert_eq!(Irreps::default(), irreps(""));
    assert_eq!(irreps("2x0e + 1e").offsets(), [0, 2]);
    assert_eq!(irreps("2x0e + 3x1o").count(irrep("1o")), 3);
    assert!(!irreps("2x0e + 3x1o").is_scalar());
    assert!(irreps("2x0e + 2x0e").is_scalar());
    assert!(!irreps("0o").is_scalar() && !irreps("").is_scalar());
    same(irreps("0e + 1e").scale_mul(2), "2x0e+2x1e");
    same(irreps("0e + 1e").repeat(2), "1x0e+1x1e+1x0e+1x1e");
    assert_eq!((irreps("3x0e + 2x1e").dim(), irreps("3x0e + 2x1e").num_irreps()), (9, 5));
}

#[test]
fn chunks_are_joined_sorted_and_dropped_as_in_the_documentation_of_e3nn() {
    same(irreps("0e + 1e").unify(), "1x0e+1x1e");
    same(irreps("0e + 1e + 1e").unify(), "1x0e+2x1e");
    same(irreps("0e + 0x1e + 0e").unify(), "1x0e+0x1e+1x0e");
    same(irreps("4x0e + 0x1o + 2x3e").remove_zero_multiplicities(), "4x0e+2x3e");
    same(irreps("1e + 1e + 0e").simplify(), "2x1e+1x0e");
    same(irreps("1e + 1e + 0e + 1e").simplify(), "2x1e+1x0e+1x1e");
    same(irreps("1e + 0x0e + 1e").simplify(), "2x1e");
    same(irreps("1e + 0e + 1e").sort().irreps, "1x0e+1x1e+1x1e");
    assert_eq!(irreps("2o + 1e + 0e + 1e").sort().permutation, [3, 1, 0, 2]);
    assert_eq!(irreps("2o + 1e + 0e + 1e").sort().inverse, [2, 1, 3, 0]);
    same(irreps("1e + 0e + 1e + 0x2e").regroup(), "1x0e+2x1e");
    let keep = ["0e", "1e"].map(irrep);
    same(irreps("1e + 2e + 0e").filter(|c| keep.contains(&c.ir)), "1x1e+1x0e");
    same(irreps("1e + 2e + 0e").filter(|c| !irreps("2e + 2x1e").contains(c.ir)), "1x0e");
    same(irreps("1e + 2e + 0e").filter(|c| c.ir.l <= 1), "1x1e+1x0e");
}

#[test]
fn the_table_made_by_e3nn_holds() {
    let words = |list: &[usize]| list.iter().map(usize::to_string).collect::<Vec<_>>().join(" ");
    for line in include_str!("irreps/e3nn.txt").lines().skip(1) {
        let text = line.split(" | ").next().unwrap();
        let (sum, sorted) = (irreps(text), irreps(text).sort());
        let ours = [
            text.to_string(),
            sum.to_string(),
            sum.dim().to_string(),
            sum.num_irreps().to_string(),
            sum.lmax().map_or("-".into(), |l| l.to_string()),
            sum.simplify().to_string(),
            sorted.irreps.to_string(),
            words(&sorted.permutation),
            words(&sorted.inverse),
            sum.regroup().to_string(),
        ];
        assert_eq!(ours.join(" | "), line);
    }
}

#[test]
fn faults_name_their_part_of_the_text() {
    let fault = |text: &str| {
        let error = text.parse::<Irreps>().expect_err(text);
        (text[error.span.clone()].to_string(), error.reason)
    };
    assert_eq!(fault("8x0e + 4x1a").0, "1a");
    assert_eq!(fault("8x0e + -4x1o").0, "-4");
    assert_eq!(fault("8x0e + 4x 1.5o ").0, "1.5");
    assert_eq!(fault("8x0e + ").1, "an irrep is missing here: write its degree and parity, as in `1o`");
    assert_eq!(fault("99999999999999999999x0e").1, "the multiplicity `99999999999999999999` is too large");
    assert_eq!(fault("1x0e+4000000000x0e").0, "4000000000x0e");
    for text in ["x0e", "0", "e", "1x", "1x1x0e", "+", "0e++1o", "٣x0e", "0é", "1_x0e", "_1x0e", "1__0x0e"] {
        assert!(text.parse::<Irreps>().is_err(), "{text}");
    }
}

fn any_irrep() -> impl Strategy<Value = Irrep> {
    (0u32..12, any::<bool>()).prop_map(|(l, even)| Irrep::new(l, if even { Parity::Even } else { Parity::Odd }))
}

fn any_irreps() -> impl Strategy<Value = Irreps> {
    let chunk = (0usize..40, any_irrep()).prop_map(|(mul, ir)| MulIrrep::new(mul, ir));
    proptest::collection::vec(chunk, 0..8).prop_map(Irreps::new)
}

proptest! {
    #[test]
    fn what_is_printed_is_read_back(sum in any_irreps()) {
        prop_assert_eq!(sum.to_string().parse::<Irreps>().unwrap(), sum);
    }

    #[test]
    fn no_text_panics(text in "[0-9xeoy+ _é]{0,12}") {
        if let Ok(sum) = text.parse::<Irreps>() {
            prop_assert_eq!(irreps(&sum.to_string()), sum);
        }
    }

    #[test]
    fn sorting_is_a_stable_permutation(sum in any_irreps()) {
        let sorted = sum.sort();
        for (old, &new) in sorted.permutation.iter().enumerate() {
            prop_assert_eq!(sorted.inverse[new], old);
            prop_assert_eq!(sorted.irreps.chunks()[new], sum.chunks()[old]);
        }
        for (k, pair) in sorted.irreps.chunks().windows(2).enumerate() {
            let in_order = pair[0].ir < pair[1].ir || (pair[0].ir == pair[1].ir && sorted.inverse[k] < sorted.inverse[k + 1]);
            prop_assert!(in_order);
        }
    }

    #[test]
    fn regrouping_and_simplifying_keep_every_count_and_are_idempotent(sum in any_irreps(), ir in any_irrep()) {
        for other in [sum.regroup(), sum.simplify(), sum.unify(), sum.sort().irreps, sum.remove_zero_multiplicities()] {
            prop_assert_eq!(other.count(ir), sum.count(ir));
            prop_assert_eq!((other.dim(), other.num_irreps(), other.lmax()), (sum.dim(), sum.num_irreps(), sum.lmax()));
        }
        prop_assert_eq!(sum.regroup().regroup(), sum.regroup());
        prop_assert_eq!(sum.simplify().simplify(), sum.simplify());
        prop_assert!(sum.regroup().chunks().windows(2).all(|pair| pair[0].ir < pair[1].ir));
    }

    #[test]
    fn offsets_and_dimensions_add_up(a in any_irreps(), b in any_irreps(), n in 0usize..4) {
        let both = a.concat(&b);
        prop_assert_eq!(both.dim(), a.dim() + b.dim());
        prop_assert_eq!(both.offsets().get(a.len()).copied().unwrap_or(a.dim()), a.dim());
        prop_assert_eq!(a.repeat(n).dim(), n * a.dim());
        prop_assert_eq!(a.scale_mul(n).dim(), n * a.dim());
    }
}
