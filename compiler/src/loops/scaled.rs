//! Products whose sums are multiplied before they are written.
//!
//! A gate multiplies what a linear layer gives, all components of a copy by one number. Where nobody else reads the layer's output,
//! it need not be written and read again: the micro-kernel of the product multiplies its sums while they are in registers.

#![expect(clippy::indexing_slicing, reason = "places are of a kernel's statements, and of what they call")]

use std::ops::RangeInclusive;

use schur_ir::graph::Axis;
use schur_ir::micro::{Along, Extent, Micro, Product};

use super::chosen::place;
use super::{Access, Array, Kernel, MapStmt, Nest, RowAddress, Stmt, Together, Write};

/// Products of fewer columns have micro-kernels of their own, which are worth more.
const MIN_COLUMNS: usize = 16;

/// Finds products that a later statement of the kernel multiplies by an array, moves them there, and lists what does both.
pub(super) fn scale_products(kernel: &mut Kernel, micros: &mut Vec<Micro>) {
    for at in 1..kernel.body.len() {
        if let Some(Scaled { from, product, arrays }) = find(kernel, at, micros) {
            move_before(kernel, from, at);
            let (statements, micro) = (at - 1..at + 1, place(micros, Micro::Product(product)));
            kernel.together.push(Together { statements, micro, arrays, divisor: None, beyond_caches: None });
        }
    }
    kernel.together.sort_by_key(|together| together.statements.start);
}

/// A product that another statement multiplies.
struct Scaled {
    /// Where it is.
    from: usize,
    /// What does both, and the arrays that it is given.
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
fn find(kernel: &Kernel, at: usize, micros: &[Micro]) -> Option<Scaled> {
    let Stmt::Nest(scaling) = &kernel.body[at] else { return None };
    let [x, y] = &scaling.factors[..] else { return None };
    let is_plain = scaling.write == Write::Set && scaling.divisor.is_one() && scaling.call.is_none();
    if !is_plain || scaling.accesses().any(|access| access.row != RowAddress::Row) {
        return None;
    }
    [[x, y], [y, x]].into_iter().find_map(|[sums, scale]| {
        let from = only_writer(kernel, at, sums).filter(|from| is_movable(kernel, *from, at))?;
        let (nest, product, [a, b]) = product(&kernel.body[from], micros)?;
        let begins_there = nest.out.array == sums.array && nest.out.segment.offset == sums.segment.offset;
        let product = begins_there.then(|| scaled(product, scaling, sums, scale))??;
        Some(Scaled { from, product, arrays: [&scaling.out, a, b, scale].map(Clone::clone).to_vec() })
    })
}

/// The statement that writes what another one reads in scratch, where nothing else touches these elements.
fn only_writer(kernel: &Kernel, at: usize, read: &Access) -> Option<usize> {
    let wanted = elements(&kernel.body[at], read).filter(|_| matches!(read.array, Array::Scratch(_)))?;
    let meets = |stmt: &Stmt, access: &Access| {
        let is_apart = |others: RangeInclusive<usize>| others.end() < wanted.start() || wanted.end() < others.start();
        access.array == read.array && !elements(stmt, access).is_some_and(is_apart)
    };
    let touching = kernel.body.iter().enumerate().flat_map(|(k, stmt)| {
        let accesses = stmt.accesses().into_iter().filter(|access| meets(stmt, access)).count();
        std::iter::repeat_n(k, accesses)
    });
    match touching.collect::<Vec<_>>()[..] {
        [from, last] if from < at && last == at => Some(from),
        _ => None,
    }
}

/// From the first to the last element of a row that a statement touches.
fn elements(stmt: &Stmt, access: &Access) -> Option<RangeInclusive<usize>> {
    let last = match stmt {
        Stmt::Nest(nest) => access.segment.last(&nest.axes),
        Stmt::Map(MapStmt { count, .. }) | Stmt::Zero { count, .. } | Stmt::Max { count, .. } => {
            access.segment.last(&[Axis { letter: 'k', size: *count }])
        }
    };
    Some(access.segment.offset..=last?)
}

/// True where a product may as well be computed just before, or in, a later statement.
fn is_movable(kernel: &Kernel, from: usize, at: usize) -> bool {
    let Stmt::Nest(product) = &kernel.body[from] else { return false };
    kernel.body[from + 1..=at].iter().all(|stmt| {
        let written = stmt.written().array;
        kernel.are_apart(&kernel.body[from], stmt) && product.factors.iter().all(|factor| factor.array != written)
    })
}

/// The product of all rows of a tile that a statement is, with its factors `a` and `b`.
fn product<'k>(stmt: &'k Stmt, micros: &'k [Micro]) -> Option<(&'k Nest, &'k Product, [&'k Access; 2])> {
    let Stmt::Nest(nest) = stmt else { return None };
    let call = nest.call.as_ref().filter(|call| !call.by_row && call.outer.is_empty())?;
    let Micro::Product(product) = &micros[call.micro] else { return None };
    let accesses: Vec<&Access> = nest.accesses().collect();
    let is_whole = nest.write == Write::Set && product.m[0].extent == Extent::Rows && product.n_stride == 1;
    (is_whole && product.n >= MIN_COLUMNS).then(|| (nest, product, [1, 2].map(|k| accesses[call.arrays[k]])))
}

/// The product, written where the scaling of its sums is; none where that is not of all its elements, each once.
fn scaled(product: &Product, scaling: &Nest, sums: &Access, scale: &Access) -> Option<Product> {
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
        scale: Some([scale.width, scale_stride]),
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

    fn scaled_products(text: &str) -> usize {
        let loops = lowered(text).to_string();
        loops.lines().filter(|line| line.starts_with("  micro-kernel") && line.ends_with(", scaled")).count()
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
}
