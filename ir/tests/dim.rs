//! Symbolic sizes are a commutative ring, and their value is a homomorphism.

use proptest::prelude::*;
use schur_ir::dim::{Bindings, Dim, DimError};

const SYMBOLS: [&str; 3] = ["M", "N", "batch"];

/// Polynomials of moderate degree and coefficients, none of them negative.
fn any_dim() -> impl Strategy<Value = Dim> {
    let leaf = prop_oneof![(0i64..9).prop_map(Dim::from), proptest::sample::select(&SYMBOLS[..]).prop_map(Dim::symbol)];
    leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| a.plus(&b)),
            (inner.clone(), inner).prop_map(|(a, b)| a.times(&b)),
        ]
    })
}

fn bindings(sizes: [usize; 3]) -> Bindings {
    SYMBOLS.iter().zip(sizes).map(|(symbol, size)| ((*symbol).into(), size)).collect()
}

proptest! {
    #[test]
    fn sizes_are_a_commutative_ring(a in any_dim(), b in any_dim(), c in any_dim()) {
        prop_assert_eq!(a.plus(&b), b.plus(&a));
        prop_assert_eq!(a.times(&b), b.times(&a));
        prop_assert_eq!(a.plus(&b).plus(&c), a.plus(&b.plus(&c)));
        prop_assert_eq!(a.times(&b).times(&c), a.times(&b.times(&c)));
        prop_assert_eq!(a.times(&b.plus(&c)), a.times(&b).plus(&a.times(&c)));
        prop_assert_eq!(a.plus(&Dim::from(0)), a.clone());
        prop_assert_eq!(a.times(&Dim::one()), a.clone());
        prop_assert_eq!(a.times(&Dim::from(0)), Dim::default());
        prop_assert_eq!(a.plus(&a.times(&Dim::from(-1))), Dim::from(0));
        prop_assert_eq!(Dim::product([&a, &b, &c]), a.times(&b).times(&c));
    }

    #[test]
    fn the_value_is_a_homomorphism(a in any_dim(), b in any_dim(), sizes in any::<[u8; 3]>()) {
        let sizes = bindings(sizes.map(|n| usize::from(n) % 7));
        let value = |dim: &Dim| dim.evaluate(&sizes).unwrap();
        prop_assert_eq!(value(&a.plus(&b)), value(&a) + value(&b));
        prop_assert_eq!(value(&a.times(&b)), value(&a) * value(&b));
        if let Some(constant) = a.constant() {
            prop_assert_eq!(a.symbols().count(), 0);
            prop_assert_eq!(value(&a), constant as usize);
        }
    }
}

#[test]
fn sizes_print_as_sums_of_products() {
    let (n, m) = (Dim::symbol("N"), Dim::symbol("M"));
    let dim = n.times(&n).times(&Dim::from(4)).plus(&m.times(&n)).plus(&Dim::from(7)).plus(&m.times(&Dim::from(-1)));
    assert_eq!(dim.to_string(), "7+-1*M+M*N+4*N*N");
    assert_eq!(Dim::from(0).to_string(), "0");
    assert_eq!(Dim::symbol("number of atoms").to_string(), "\"number of atoms\"");
}

#[test]
fn what_has_no_value_is_an_error() {
    let (n, huge) = (Dim::symbol("N"), Dim::from(i64::MAX));
    assert_eq!(n.evaluate(&Bindings::new()), Err(DimError::Unbound("N".into())));
    let sizes = Bindings::from_iter([("N".into(), 2)]);
    // What was too large once does not come back into range.
    let sum = (0..1001).fold(Dim::default(), |sum, k| sum.plus(&Dim::symbol(format!("S{k}"))));
    let long = (0..1001).fold(Dim::one(), |product, _| product.times(&n));
    let back = [huge.times(&n).plus(&n.times(&Dim::from(-1))), huge.times(&n).times(&Dim::from(-1))];
    for dim in [huge.times(&n), huge.plus(&n), sum.times(&sum), long].into_iter().chain(back) {
        assert!(!dim.is_exact() && matches!(dim.evaluate(&sizes), Err(DimError::Overflow(_))), "{dim}");
    }
    assert!(matches!(Dim::from(-1).evaluate(&sizes), Err(DimError::Overflow(_))));
}
