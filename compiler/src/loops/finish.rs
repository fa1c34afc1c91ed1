//! Products to whose sums something else is done before they are written.
//!
//! A gate multiplies what a linear layer gives, all components of a copy by one number, and a gradient goes through the derivative of an
//! activation. A multilayer perceptron takes `x σ(x)` of what a layer gives. Where nobody else reads the layer's output, it need not be
//! written and read again: the micro-kernel of the product does so while its sums are in registers.

#![expect(clippy::indexing_slicing, reason = "places are of a kernel's statements, and of what they call")]

use std::borrow::Cow;
use std::ops::{Range, RangeInclusive};

use schur_ir::dim::Dim;
use schur_ir::expr::{Expr, Scalar};
use schur_ir::graph::Axis;
use schur_ir::micro::{Along, Extent, Finish, Micro, Product};

use super::chosen::place;
use super::{Access, Array, Kernel, MapStmt, Nest, RowAddress, Stmt, Together, Write, together};

/// Products of fewer columns have micro-kernels of their own, which are worth more.
const MIN_COLUMNS_OF_FINISHED: usize = 16;

/// Finds products that later statements of the kernel finish, moves them there, and lists what does both.
pub(super) fn finish_products(kernel: &mut Kernel, micros: &mut Vec<Micro>) {
    let mut at = 1;
    while at < kernel.body.len() {
        let found = scaled(kernel, at, micros).or_else(|| silu(kernel, at, micros));
        at = found.map_or(at + 1, |Finished { from, by, product, arrays }| {
            move_before(kernel, from, by.start);
            let (statements, micro) = (by.start - 1..by.end, place(micros, Micro::Product(product)));
            kernel.do_together(Together { statements, micro, arrays, divisor: None, beyond_caches: None });
            by.end
        });
    }
}

/// A product that other statements finish.
struct Finished {
    /// Where it is.
    from: usize,
    /// The statements that finish it.
    by: Range<usize>,
    /// What does all of it, and the arrays that it is given.
    product: Product,
    arrays: Vec<Access>,
}

/// Moves a product to where another micro-kernel computes it, just before a later statement.
fn move_before(kernel: &mut Kernel, from: usize, at: usize) {
    kernel.body[from..at].rotate_left(1);
    kernel.values[from..at].rotate_left(1);
    for Together { statements, .. } in &mut kernel.together {
        if from < statements.start && statements.end <= at {
            *statements = statements.start - 1..statements.end - 1;
        }
    }
    if let Stmt::Nest(product) = &mut kernel.body[at - 1] {
        product.call = None;
    }
}

/// The product that statement `at` multiplies by an array, where this is all that is done with it.
fn scaled(kernel: &Kernel, at: usize, micros: &[Micro]) -> Option<Finished> {
    let scaling = as_nest(&kernel.body[at])?;
    let [x, y] = &scaling.factors[..] else { return None };
    let is_plain = scaling.write == Write::Set && scaling.divisor.is_one() && scaling.call.is_none();
    if !is_plain || scaling.accesses().any(|access| access.row != RowAddress::Row) {
        return None;
    }
    [[x, y], [y, x]].into_iter().find_map(|[sums, scale]| {
        let by = at..at + 1;
        let from = only_writer(kernel, &by, sums)?;
        let (product, [a, b]) = product(kernel, from, &by, sums, micros)?;
        let product = times(product, &scaling, sums, scale)?;
        Some(Finished { from, by, product, arrays: [&scaling.out, a, b, scale].map(Clone::clone).to_vec() })
    })
}

/// A statement as a nest: a map too, where it is a constant times two operands.
fn as_nest(stmt: &Stmt) -> Option<Cow<'_, Nest>> {
    match stmt {
        Stmt::Nest(nest) => Some(Cow::Borrowed(nest)),
        Stmt::Map(map) => {
            let (coefficient, arguments) = together::product(&map.expr)?;
            let [x, y] = arguments[..] else { return None };
            let [(a, of_a), (b, of_b)] = [map.operands.get(x)?, map.operands.get(y)?];
            (x != y && of_a == of_b).then_some(())?;
            Some(Cow::Owned(Nest {
                axes: [Axis { letter: 'k', size: map.count }].into_iter().collect(),
                out: map.out.clone(),
                write: Write::Set,
                factors: vec![a.clone(), b.clone()],
                coefficient: Scalar(coefficient),
                divisor: Dim::one(),
                call: None,
            }))
        }
        Stmt::Zero { .. } | Stmt::Max { .. } => None,
    }
}

/// The product that statement `at` takes `x σ(x)` of, and the next one its derivative, where this is all that is done with it.
fn silu(kernel: &Kernel, at: usize, micros: &[Micro]) -> Option<Finished> {
    let Stmt::Map(map) = &kernel.body[at] else { return None };
    let ((factor, Expr::Arg(0)), [(sums, _)]) = (map.expr.as_silu()?, &map.operands[..]) else { return None };
    let slope = kernel.body.get(at + 1).and_then(|stmt| slope(stmt, map));
    let by = at..at + 1 + usize::from(slope.is_some());
    let from = only_writer(kernel, &by, sums)?;
    let (product, [a, b]) = product(kernel, from, &by, sums, micros)?;
    let are_neighbours = |access: &Access| access.row == RowAddress::Row && access.segment.strides[..] == [1];
    let terms = product.k.iter().map(|along| if let Extent::Fixed(size) = along.extent { size } else { usize::MAX });
    let fits = (product.m[1], product.n) == (Along::NONE, map.count)
        && product.n.is_multiple_of(Finish::WHOLE)
        && terms.fold(1, usize::saturating_mul) <= Product::DEPTH
        && product.dtype.holds(factor)
        && [sums, &map.out].into_iter().chain(slope).all(are_neighbours);
    let rows = product.m[0];
    let product = Product {
        m: [Along { strides: [map.out.width, rows.strides[1]], ..rows }, Along::NONE],
        finish: Finish::Silu { factor, slope: slope.map(|slope| [slope.width, 0]) },
        ..product.clone()
    };
    let arrays = [&map.out, a, b].into_iter().chain(slope).cloned().collect();
    fits.then_some(Finished { from, by, product, arrays })
}

/// Where a statement writes the derivative of `x σ(x)` for the operand of a map.
fn slope<'k>(stmt: &'k Stmt, of: &MapStmt) -> Option<&'k Access> {
    let Stmt::Map(map) = stmt else { return None };
    let is_slope = map.expr.as_silu_slope().is_some_and(|(x, _)| *x == Expr::Arg(0));
    (is_slope && map.operands == of.operands && map.count == of.count).then_some(&map.out)
}

/// The statement that writes what others read in scratch, each once, where nothing else touches these elements.
fn only_writer(kernel: &Kernel, by: &Range<usize>, read: &Access) -> Option<usize> {
    let wanted = kernel.body[by.start].elements(read).filter(|_| matches!(read.array, Array::Scratch(_)))?;
    let meets = |stmt: &Stmt, access: &Access| {
        let is_apart = |others: RangeInclusive<usize>| others.end() < wanted.start() || wanted.end() < others.start();
        access.array == read.array && !stmt.elements(access).is_some_and(is_apart)
    };
    let mut touching = kernel.body.iter().enumerate().flat_map(|(k, stmt)| {
        let accesses = stmt.accesses().into_iter().filter(|access| meets(stmt, access)).count();
        std::iter::repeat_n(k, accesses)
    });
    let from = touching.next().filter(|from| *from < by.start)?;
    touching.eq(by.clone()).then_some(from)
}

/// True where a product may as well be computed just before, or in, later statements.
fn is_movable(kernel: &Kernel, from: usize, by: &Range<usize>) -> bool {
    let Stmt::Nest(product) = &kernel.body[from] else { return false };
    kernel.body[from + 1..by.end].iter().all(|stmt| {
        let written = stmt.written().array;
        kernel.are_apart(&kernel.body[from], stmt) && product.factors.iter().all(|factor| factor.array != written)
    })
}

/// The product of all rows of a tile that a statement is, with its factors `a` and `b`; none where its sums do not begin where they are
/// read, or where it cannot be computed later.
fn product<'k>(
    kernel: &'k Kernel,
    from: usize,
    by: &Range<usize>,
    sums: &Access,
    micros: &'k [Micro],
) -> Option<(&'k Product, [&'k Access; 2])> {
    let Stmt::Nest(nest) = &kernel.body[from] else { return None };
    let call = nest.call.as_ref().filter(|call| !call.by_row && call.outer.is_empty())?;
    let Micro::Product(product) = &micros[call.micro] else { return None };
    let accesses: Vec<&Access> = nest.accesses().collect();
    let is_whole = nest.write == Write::Set && product.m[0].extent == Extent::Rows && product.n_stride == 1;
    let begins_there = nest.out.array == sums.array && nest.out.segment.offset == sums.segment.offset;
    let fits = is_whole && begins_there && product.n >= MIN_COLUMNS_OF_FINISHED && is_movable(kernel, from, by);
    fits.then(|| (product, [1, 2].map(|k| accesses[call.arrays[k]])))
}

/// The product, written where the scaling of its sums is; none where that is not of all its elements, each once.
fn times(product: &Product, scaling: &Nest, sums: &Access, scale: &Access) -> Option<Product> {
    let axes = scaling.axes.iter().enumerate().filter(|(_, axis)| axis.size > 1);
    let strides = |k: usize| [sums, &scaling.out, scale].map(|access| access.segment.strides[k]);
    let (columns, others): (Vec<_>, Vec<_>) = axes
        .map(|(k, axis)| (axis.size, strides(k)))
        .partition(|(size, [of_sums, ..])| (*size, *of_sums) == (product.n, product.n_stride));
    let [(_, [_, n_stride, 1])] = columns[..] else { return None };
    let [rows, items] = product.m;
    let (items, scale_stride) = match (items.extent, &others[..]) {
        (Extent::Fixed(1), []) => (items, 0),
        (Extent::Fixed(count), [(size, [of_sums, out, scale])]) if (count, items.strides[0]) == (*size, *of_sums) => {
            (Along { strides: [*out, items.strides[1]], ..items }, *scale)
        }
        (Extent::Fixed(_) | Extent::Rows, _) => return None,
    };
    let is_each_once = n_stride > 0 && (others.is_empty() || items.strides[0] > 0);
    let coefficient = product.coefficient * scaling.coefficient.0;
    (is_each_once && product.dtype.holds(coefficient)).then(|| Product {
        m: [Along { strides: [scaling.out.width, rows.strides[1]], ..rows }, items],
        n_stride,
        coefficient,
        finish: Finish::Scaled([scale.width, scale_stride]),
        ..product.clone()
    })
}

#[cfg(test)]
mod tests {
    use crate::loops::lowered;

    /// A linear layer to scalars and vectors, which the scalars gate.
    const GATE: &str = r#"graph "gate"

%0: f32[N] 8x0e+8x1o = input "x"
%1: f32[] 128x0e = param "params/w" [8, 16] normal(0, 1)
%2: f32[N] 16x0e+16x1o = contract %0[0], %1[] over [N]
    x0@0(u) x1@0(u v) -> @0(v) for v=16 u=8
    x0@8(u i) x1@0(u v) -> @16(v i) for v=16 i=3 u=8
%3: f32[N] 16x0e = contract %2[0] over [N]
    x0@0(v) -> @0(v) for v=16
%4: f32[N] 16x0e = map sigmoid(x0) of %3[0]
%5: f32[N] 16x1o = contract %2[0], %4[0] over [N]
    0.5 x0@16(v i) x1@0(v) -> @0(v i) for v=16 i=3

output "y" = %5
"#;

    /// The number of micro-kernels whose text ends so.
    fn micros(text: &str, end: &str) -> usize {
        let loops = lowered(text).to_string();
        loops.lines().filter(|line| line.starts_with("  micro-kernel") && line.ends_with(end)).count()
    }

    fn scaled_products(text: &str) -> usize {
        micros(text, ", scaled")
    }

    #[test]
    fn what_is_gated_is_multiplied_where_it_is_summed() {
        assert_eq!(scaled_products(GATE), 1);
        // Half of it is multiplied, or half of its elements twice.
        assert_eq!(
            scaled_products(
                &GATE.replace("x0@16(v i) x1@0(v) -> @0(v i) for v=16", "x0@16(v i) x1@0(v) -> @0(v i) for v=8")
            ),
            0
        );
    }

    #[test]
    fn coefficients_whose_product_is_too_small_are_not_multiplied() {
        let text = GATE.replace("0.5 x0", "1e-30 x0");
        assert_eq!(scaled_products(&text), 1);
        assert_eq!(scaled_products(&text.replace("    x0@8(u i)", "    1e-30 x0@8(u i)")), 0);
    }

    #[test]
    fn what_is_read_twice_is_written_first() {
        assert_eq!(scaled_products(&GATE.replace("x1@0(v) -> @0(v i)", "x0@16(v i) -> @0(v i)")), 0);
        let also = "    x0@16(v i) -> @0(v i) for v=16 i=3\n\noutput";
        assert_eq!(scaled_products(&GATE.replacen("\noutput", also, 1)), 0);
    }

    /// A dense layer, and what is made of its sums.
    fn dense(inputs: usize, neurons: usize, then: &str) -> String {
        let weights = inputs * neurons;
        format!(
            r#"graph "dense"

%0: f32[N] {inputs}x0e = input "x"
%1: f32[N] {neurons}x0e = input "y"
%2: f32[] {weights}x0e = param "params/w" [{inputs}, {neurons}] normal(0, 1)
%3: f32[N] {neurons}x0e = contract %0[0], %2[] over [N]
    x0@0(u) x1@0(u v) -> @0(v) for v={neurons} u={inputs}
%4: f32[N] {neurons}x0e = {then}

output "z" = %4
"#
        )
    }

    #[test]
    fn maps_multiply_sums_too() {
        assert_eq!(scaled_products(&dense(8, 32, "map mul(2, mul(x0, x1)) of %3[0], %1[0]")), 1);
        assert_eq!(scaled_products(&dense(8, 32, "map mul(x0, x0) of %3[0]")), 0);
    }

    #[test]
    fn activations_are_computed_where_their_arguments_are_summed() {
        let silu = "map mul(2, mul(x0, sigmoid(x0))) of %3[0]";
        assert_eq!(micros(&dense(8, 32, silu), ", silu"), 1);
        assert_eq!(micros(&dense(8, 32, "map tanh(x0) of %3[0]"), ", silu"), 0);
        // Parts of vectors, sums of too many terms, and sums that are read once more.
        assert_eq!(micros(&dense(8, 24, silu), ", silu"), 0);
        assert_eq!(micros(&dense(257, 32, silu), ", silu"), 0);
        assert_eq!(micros(&dense(8, 32, silu).replace("output", "output \"sums\" = %3\noutput"), ", silu"), 0);
    }

    #[test]
    fn slopes_are_computed_beside_activations() {
        let slope = "sub(sigmoid(x0), mul(x0, mul(sigmoid(x0), add(sigmoid(x0), -1))))";
        let both = format!("map mul(x0, sigmoid(x0)) of %3[0]\n%5: f32[N] 32x0e = map {slope} of %3[0]");
        let both = dense(8, 32, &both).replace("output", "output \"slope\" = %5\noutput");
        assert_eq!(micros(&both, ", silu and its slope"), 1);
    }

    #[test]
    fn what_a_layer_reads_lives_until_its_activation_is_there() {
        let layer = |read: usize, at: usize| {
            format!(
                "%{at}: f32[N] 32x0e = contract %{read}[0], %1[] over [N]\n    x0@0(u) x1@0(u v) -> @0(v) for v=32 u=32\n\
                 %{}: f32[N] 32x0e = map mul(x0, sigmoid(x0)) of %{at}[0]\n",
                at + 1
            )
        };
        let text = format!(
            "graph \"layers\"\n\n%0: f32[N] 32x0e = input \"x\"\n%1: f32[] 1024x0e = param \"w\" [32, 32] normal(0, 1)\n{}{}{}\noutput \"y\" = %7\n",
            layer(0, 2),
            layer(3, 4),
            layer(5, 6),
        );
        let loops = lowered(&text);
        assert!(loops.kernels.iter().all(|kernel| kernel.together.len() == 3), "{loops}");
    }
}
