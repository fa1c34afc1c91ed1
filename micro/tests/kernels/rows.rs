//! Steps that are done row by row.

use proptest::prelude::*;
use schur_ir::micro::{Micro, Place, Rows, Step, Term};
use schur_ir::ty::DType;

use super::{available, called, dtypes, values};

/// The arrays after all steps, as the description says.
fn plainly(of: &Rows, mut arrays: Vec<Vec<f64>>, rows: usize) -> Vec<Vec<f64>> {
    let at = |place: &Place, row: usize, i: usize| place.offset + row * of.strides[place.array] + i * place.component;
    for row in 0..rows {
        for step in &of.steps {
            let inverse = if step.divided { of.inverse.map_or(1.0, |k| arrays[k][0]) } else { 1.0 };
            for i in 0..step.components {
                let begins = !step.accumulate && (i == 0 || step.out.component > 0);
                for u in 0..step.count {
                    let element = |place: &Place| arrays[place.array][at(place, row, i) + u];
                    let term = |term: &Term| term.coefficient * term.factors.iter().map(element).product::<f64>();
                    let value = inverse * step.terms.iter().map(term).sum::<f64>();
                    let out = &mut arrays[step.out.array][at(&step.out, row, i) + u];
                    *out = if begins { value } else { *out + value };
                }
            }
        }
    }
    arrays
}

/// Every kind of step, of `d` components of `count` neighbours each. The arrays: `a` with a gap between rows, `b`, `c` for all
/// rows, `t` that passes, elements, sums over components, three sums over rows, the inverse, elements that are written once.
fn steps(dtype: DType, d: usize, count: usize, gap: usize, beyond_caches: bool) -> (Rows, Vec<usize>) {
    let place = |array: usize, component: usize| Place { array, offset: 0, component };
    let [a, b, c, t] = [place(0, count), place(1, count), place(2, 0), place(3, count)];
    let (pairs, singles) = ([[t, c], [b, a], [c, b]], [a, b, t]);
    let term = |coefficient: f64, factors: &[Place]| Term { coefficient, factors: factors.to_vec() };
    let step =
        |out: Place, terms: Vec<Term>| Step { out, terms, components: d, count, accumulate: false, divided: false };
    let mut all = vec![step(t, vec![term(2.0, &[a, c])])];
    let mut kinds = 0;
    for (p, q) in (0..=3).flat_map(|p| (0..=3 - p).map(move |q| (p, q))).filter(|pq| *pq != (0, 0)) {
        let terms = pairs[..p].iter().map(|pair| term(0.5, pair)).chain(singles[..q].iter().map(|x| term(-1.0, &[*x])));
        let out = Place { array: 4, offset: kinds * d * count, component: count };
        let step = Step { divided: q == 1, ..step(out, terms.collect()) };
        all.push(Step { out: Place { array: 9, ..out }, ..step.clone() });
        if p + q < 3 {
            all.push(Step { divided: false, ..step.clone() });
            all.push(Step { accumulate: true, divided: false, ..step });
        } else {
            all.push(step);
        }
        kinds += 1;
    }
    let sum = |array: usize, offset: usize| Place { array, offset, component: 0 };
    all.push(step(sum(5, 0), vec![term(1.0, &[t, b])]));
    all.push(Step { accumulate: true, ..step(sum(5, 0), vec![term(-2.0, &[a, c])]) });
    all.push(Step { accumulate: true, ..step(sum(5, 0), vec![term(1.0, &[a, place(0, 0)])]) });
    all.push(step(sum(5, count), vec![term(3.0, &[a])]));
    all.push(Step { accumulate: true, divided: true, ..step(sum(6, 0), vec![term(0.5, &[t, b])]) });
    all.push(Step { accumulate: true, ..step(sum(7, 0), vec![term(1.0, &[a])]) });
    all.push(Step { accumulate: true, ..step(sum(7, 0), vec![term(1.0, &[a, a])]) });
    all.push(Step { accumulate: true, ..step(sum(7, count), vec![term(-0.5, &[b, a])]) });
    let width = d * count;
    let strides = vec![width + gap, width, 0, width, kinds * width, 2 * count, 0, 0, 0, kinds * width + gap];
    let passing = (0..strides.len()).map(|k| k == t.array).collect();
    let asked = (0..strides.len()).map(|k| k == a.array || beyond_caches && [4, 9].contains(&k)).collect();
    let mut lengths = strides.clone();
    (lengths[2], lengths[6], lengths[7], lengths[8]) = (count, count, 2 * count, 1);
    (Rows { dtype, strides, passing, asked, beyond_caches, backwards: false, steps: all, inverse: Some(8) }, lengths)
}

proptest! {
    #[test]
    fn steps_are_what_plain_loops_compute(
        dtype in dtypes(), d in 1usize..8, count in prop_oneof![1usize..70, (1usize..4).prop_map(|k| 32 * k)],
        rows in 1usize..30, gap in 0usize..3, beyond_caches: bool, backwards: bool,
    ) {
        let (mut of, lengths) = steps(dtype, d, count, gap, beyond_caches);
        if backwards {
            of.steps.retain(|step| of.strides[step.out.array] > 0);
            of.backwards = true;
        }
        let length = |(&length, &stride): (&usize, &usize)| if stride > 0 { rows * stride } else { length };
        let lengths = lengths.iter().zip(&of.strides).map(length);
        let mut given: Vec<Vec<f64>> = lengths.enumerate().map(|(k, n)| values(n, k * 100)).collect();
        given[8] = vec![0.25];
        let wanted = plainly(&of, given.clone(), rows);
        for set in available() {
            let micro = Micro::Rows(of.clone());
            let found = called(&micro, dtype, set, &given, rows);
            for (k, (found, wanted)) in found.iter().zip(&wanted).enumerate().filter(|(k, _)| !of.passing[*k]) {
                prop_assert_eq!(found, wanted, "{}: array {}, {} rows of {} x {}", set, k, rows, d, count);
            }
        }
    }
}
