//! Tests of the path algebra: paths are evaluated one by one, before and after.

use proptest::prelude::*;
use schur_ir::dim::Dim;
use schur_ir::expr::Scalar;
use schur_ir::graph::{Axis, Factor, Path, Segment};
use schur_ir::ty::DType;
use smallvec::smallvec;

use super::compose::MAX_FACTORS;
use super::cost::Cost;
use super::meet::meet;
use super::neighbours::Neighbours;
use super::path_algebra::{drop_unit_axes, join, sort_path, sum_free_axes};
use super::ranges::Ranges;

const WIDTH: usize = 400;

/// Adds a path of one or two factors to `out`.
fn add(path: &Path, operands: &[&[f64]], out: &mut [f64]) {
    let steps: usize = path.axes.iter().map(|a| a.size).product();
    for step in 0..steps {
        let mut rest = step;
        let at: Vec<usize> = path
            .axes
            .iter()
            .map(|a| {
                let value = rest % a.size;
                rest /= a.size;
                value
            })
            .collect();
        let place = |s: &Segment| s.offset + s.strides.iter().zip(&at).map(|(a, b)| a * b).sum::<usize>();
        let product: f64 = path.factors.iter().map(|f| operands[f.operand][place(&f.segment)]).product();
        out[place(&path.out)] += path.coefficient.0 * product;
    }
}

pub(super) fn value(paths: &[Path], operands: &[&[f64]]) -> Vec<f64> {
    let mut out = vec![0.0; WIDTH];
    paths.iter().for_each(|path| add(path, operands, &mut out));
    out
}

/// Integers, so that sums are exact in any order.
fn source() -> Vec<f64> {
    (0..WIDTH).map(|k| ((k * 37) % 101) as f64 - 50.0).collect()
}

/// A path over axes of these sizes, with one stride an axis for the output and each factor.
fn path(coefficient: f64, sizes: &[usize], out: (usize, &[usize]), factors: &[(usize, usize, &[usize])]) -> Path {
    let segment = |offset, strides: &[usize]| Segment { offset, strides: strides.iter().copied().collect() };
    let mut path = Path {
        coefficient: Scalar(coefficient),
        axes: sizes.iter().map(|&size| Axis { letter: '?', size }).collect(),
        factors: factors.iter().map(|&(operand, at, s)| Factor { operand, segment: segment(at, s) }).collect(),
        out: segment(out.0, out.1),
    };
    sort_path(&mut path);
    path
}

/// A segment over `n` axes: row-major over some of them in some order, or any small strides.
fn strides(sizes: Vec<usize>) -> impl Strategy<Value = (usize, Vec<usize>)> {
    let n = sizes.len();
    let nested = (Just((0..n).collect::<Vec<_>>()).prop_shuffle(), proptest::collection::vec(any::<bool>(), n))
        .prop_map(move |(order, has)| {
            let (mut strides, mut next) = (vec![0; n], 1);
            for axis in order.into_iter().filter(|k| has[*k]) {
                strides[axis] = next;
                next *= sizes[axis];
            }
            strides
        });
    (0..40usize, prop_oneof![4 => nested, 1 => proptest::collection::vec(0..12usize, n)])
}

fn any_path(factors: usize) -> impl Strategy<Value = Path> {
    proptest::collection::vec(1..6usize, 0..4).prop_flat_map(move |sizes| {
        let segments = proptest::collection::vec(strides(sizes.clone()), factors + 1);
        (Just(sizes), segments, -3..4i32).prop_map(|(sizes, segments, coefficient)| {
            let factors: Vec<(usize, usize, &[usize])> =
                segments[1..].iter().enumerate().map(|(k, (at, s))| (k, *at, s.as_slice())).collect();
            path(f64::from(coefficient), &sizes, (segments[0].0, &segments[0].1), &factors)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_path_read_through_another_keeps_its_value(reader in any_path(1), writer in any_path(1)) {
        let x = source();
        let between = value(std::slice::from_ref(&writer), &[&x]);
        if let Some(met) = meet(&reader, 0, &writer, 0, MAX_FACTORS) {
            prop_assert_eq!(value(&met, &[&x]), value(&[reader], &[&between]));
        }
    }

    #[test]
    fn normal_form_keeps_the_value(path in any_path(2)) {
        let x = source();
        let before = value(std::slice::from_ref(&path), &[&x, &x]);
        let mut path = path;
        drop_unit_axes(&mut path);
        sum_free_axes(&mut path, DType::F64);
        path.merge_axes();
        sort_path(&mut path);
        prop_assert!(!sort_path(&mut path) && !path.merge_axes());
        prop_assert_eq!(value(&[path], &[&x, &x]), before);
    }

    #[test]
    fn halves_of_a_path_join_to_it(path in any_path(1), pick in any::<prop::sample::Index>(), cut in 1..5usize) {
        let mut path = path;
        drop_unit_axes(&mut path);
        sum_free_axes(&mut path, DType::F64);
        if path.axes.is_empty() {
            return Ok(());
        }
        let axis = pick.index(path.axes.len());
        let size = path.axes[axis].size;
        let cut = cut.min(size - 1);
        let (mut low, mut high) = (path.clone(), path.clone());
        low.restrict(axis, 0..cut);
        high.restrict(axis, cut..size);
        for half in [&mut low, &mut high] {
            drop_unit_axes(half);
            sort_path(half);
        }
        let x = source();
        let joined = join(&high, &low);
        prop_assert!(joined.is_some() || cut < 2 || size - cut < 2);
        if let Some(joined) = joined {
            prop_assert_eq!(value(&[joined], &[&x]), value(&[low, high], &[&x]));
        }
    }

    /// Pieces of a path are cut at random, and mixed with others of the same operands.
    #[test]
    fn paths_that_join_are_found_by_their_keys(
        path in any_path(2),
        others in proptest::collection::vec(any_path(2), 0..30),
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 40),
    ) {
        let mut paths = vec![path];
        for (which, at) in cuts {
            let k = which.index(paths.len());
            let axis = at.index(paths[k].axes.len().max(1));
            let Some(size) = paths[k].axes.get(axis).map(|axis| axis.size).filter(|size| *size > 1) else { continue };
            let mut high = paths[k].clone();
            high.restrict(axis, size / 2..size);
            paths[k].restrict(axis, 0..size / 2);
            paths.push(high);
        }
        paths.extend(others);
        for path in &mut paths {
            path.coefficient = Scalar(1.0);
            drop_unit_axes(path);
            sort_path(path);
        }
        let neighbours = Neighbours::new(&paths);
        for i in 0..paths.len() {
            let behind = neighbours.behind(i, &paths[i]);
            for j in i + 1..paths.len() {
                prop_assert!(join(&paths[i], &paths[j]).is_none() || behind.contains(&j), "{:?}\n{:?}", paths[i], paths[j]);
            }
        }
    }

    #[test]
    fn sets_of_elements_are_those_of_flags(ranges in proptest::collection::vec((0..60usize, 0..9usize), 0..20)) {
        let (mut set, mut flags) = (Ranges::default(), [false; 80]);
        for (at, length) in ranges {
            set.insert(at..at + length);
            flags[at..at + length].fill(true);
            let runs = flags.chunk_by(|a, b| a == b).filter(|run| run[0]).count();
            prop_assert_eq!((set.runs().len(), set.count()), (runs, flags.iter().filter(|f| **f).count()));
        }
        for k in 0..70 {
            let of = &flags[k..k + 3];
            prop_assert_eq!(set.meets(&(k..k + 3)), of.contains(&true));
            prop_assert_eq!(set.covers(&(k..k + 3)), !of.contains(&false));
            prop_assert_eq!(set.place(k), flags[..k].iter().filter(|f| **f).count());
            prop_assert_eq!(set.around(&(k..k + 3)).count(), of.chunk_by(|a, b| a == b).filter(|run| run[0]).count());
        }
    }

    #[test]
    fn tiles_keep_the_value(outer in 1..5usize, inner in 1..5usize, stride in 0..6usize) {
        let x = source();
        let mut tiled = path(1.0, &[outer * inner], (3, &[2]), &[(0, 1, &[stride])]);
        let before = value(std::slice::from_ref(&tiled), &[&x]);
        tiled.tile(0, inner);
        prop_assert_eq!(tiled.axes.len(), 2);
        prop_assert_eq!(value(&[tiled], &[&x]), before);
    }
}

#[test]
fn chunks_read_as_irreps_are_found_in_a_flat_copy() {
    // Four scalars and 64 vectors, copied flat; the vectors are read with their components apart.
    let copy = path(1.0, &[196], (0, &[1]), &[(0, 7, &[1])]);
    let read = path(0.5, &[64, 3], (0, &[3, 1]), &[(0, 4, &[3, 1])]);
    let met = meet(&read, 0, &copy, 0, MAX_FACTORS).expect("aligned");
    assert_eq!(met.len(), 1);
    assert_eq!((met[0].coefficient.0, met[0].factors[0].segment.offset), (0.5, 11));
}

#[test]
fn a_reader_across_chunks_is_cut_at_their_border() {
    let [low, high] = [(0, 100), (32, 0)].map(|(out, from)| path(1.0, &[32], (out, &[1]), &[(0, from, &[1])]));
    let read = path(1.0, &[64, 8], (0, &[1, 0]), &[(0, 0, &[1, 0])]);
    let pieces: Vec<Path> =
        [low, high].iter().flat_map(|w| meet(&read, 0, w, 0, MAX_FACTORS).expect("aligned")).collect();
    assert_eq!(
        pieces.iter().map(|p| (p.out.offset, p.factors[0].segment.offset)).collect::<Vec<_>>(),
        [(0, 100), (32, 0)]
    );
}

#[test]
fn neighbouring_products_join() {
    // 32x0e + 32x0e written apart, with the halves of one weight.
    let half = |at: usize| path(0.1, &[64, 32], (32 * at, &[0, 1]), &[(0, 32 * at, &[64, 1]), (1, 0, &[1, 0])]);
    let joined = join(&half(0), &half(1)).expect("neighbours");
    let whole = path(0.1, &[64, 64], (0, &[0, 1]), &[(0, 0, &[64, 1]), (1, 0, &[1, 0])]);
    assert_eq!(joined, whole);
    // Single copies join to an axis of two.
    let one = |at: usize| path(1.0, &[3], (3 * at, &[1]), &[(0, 3 * at, &[1]), (1, at, &[0])]);
    let mut joined = join(&one(1), &one(0)).expect("neighbours");
    sort_path(&mut joined);
    assert_eq!(joined, path(1.0, &[2, 3], (0, &[3, 1]), &[(0, 0, &[3, 1]), (1, 0, &[1, 0])]));
    assert_eq!(join(&half(0), &path(0.2, &[64], (32, &[0]), &[(0, 32, &[1]), (1, 0, &[1])])), None);
}

#[test]
fn nothing_costs_less_than_nothing() {
    let rows = Dim::symbol("K").times(&Dim::from(-1));
    let cost = Cost { flops: rows.clone(), bytes: rows.clone(), loops: rows, starts: Dim::one() };
    assert_eq!(cost.nanoseconds(64), Cost { starts: Dim::one(), ..Cost::default() }.nanoseconds(64));
}

#[test]
fn sets_of_elements() {
    let mut set = Ranges::default();
    [4..6, 8..10, 6..7, 0..0].into_iter().for_each(|r| set.insert(r));
    assert_eq!(set.runs(), [4..7, 8..10]);
    assert_eq!((set.count(), set.place(8), set.place(5)), (5, 3, 1));
    assert!(set.covers(&(4..7)) && !set.covers(&(6..9)) && set.meets(&(6..9)) && !set.meets(&(7..8)));
    set.insert(7..8);
    assert_eq!(set.runs(), std::slice::from_ref(&(4..10)));
    let mut apart = Ranges::default();
    let of = path(1.0, &[2, 2, 3], (20, &[50, 3, 1]), &[]);
    assert!(apart.insert_segment(&of.out, &of.axes));
    assert_eq!(apart.runs(), [20..26, 70..76]);
    assert_eq!(
        Segment { offset: 5, strides: smallvec![10, 1] }.hull(&path(1.0, &[2, 3], (5, &[10, 1]), &[]).axes),
        5..18
    );
    let many = path(1.0, &[100_000_000], (0, &[2]), &[]);
    let before = apart.clone();
    assert!(!apart.insert_segment(&many.out, &many.axes) && apart == before, "too many parts are not listed");
}
