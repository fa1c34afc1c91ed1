//! Which nests are computed by micro-kernels of the runtime.
//!
//! A nest of two factors is a matrix product where one factor, `b`, is contiguous along an axis `n` that the other one
//! lacks: axes of `a` and the output alone are rows of the product (`m`), axes of both factors are summed (`k`). Axes
//! beyond those that a micro-kernel takes are loops around the call, and so are rows where both factors have rows of their
//! own, as weights that are indexed or come with the rows. Where the output has no such axis, as for a head of one scalar, sums of
//! neighbours in `a` are a dot product. A copy that exchanges multiplicities and components is a transposing copy. All other
//! nests are generated code. Maps with functions such as `exp` are micro-kernels too.

#![expect(clippy::indexing_slicing, reason = "places are of the axes and accesses of one statement")]

use schur_ir::micro::{self, Along, Dot, Finish, LINE, MAX_AHEAD, MAX_DOT, Micro, Product, Transpose};
use schur_ir::program::BufferId;
use schur_ir::ty::DType;

use super::chosen::{Chosen, place};
use super::functions::functions;
use super::strides::{Extent, Loop, is_regular, loops};
use super::{Ahead, Array, Kernel, Nest, RowAddress, Stmt, Write, columns, finish};

/// Products of one row that have fewer columns, or multiply fewer numbers, are generated code.
const MIN_COLUMNS_OF_ROW: usize = 16;
const MIN_PRODUCTS_OF_ROW: usize = 256;

/// Sums of neighbours for a single column: of so many components, of no fewer elements, and of so many calls at most.
const DOT_COMPONENTS: [usize; 4] = [1, 3, 5, 7];
const MIN_DOT: usize = 32;
const MAX_DOTS: usize = 16;

/// Chooses the nests of a kernel, and lists what they call.
pub(super) fn select(kernel: &mut Kernel, dtype: DType, micros: &mut Vec<Micro>) {
    let has_rows = !kernel.rows.is_empty();
    for stmt in &mut kernel.body {
        if let Stmt::Nest(nest) = stmt {
            nest.call = choose(nest, has_rows, dtype).map(|chosen| chosen.call(micros));
        }
    }
    finish::finish_products(kernel, micros);
    functions(kernel, dtype, micros);
    kernel.calls = (kernel.body.iter().any(Stmt::calls) || !kernel.together.is_empty()) && has_rows;
    kernel.ahead = if kernel.calls { ahead(kernel, dtype, micros) } else { None };
}

/// The arrays whose rows follow the kernel's. A register tile goes through a few rows at a time, chunk by chunk, in
/// which order no machine foresees what it needs next. Products ask for lines of the next tile as they compute this one,
/// since memory takes no more at once than a few of them. Where all products are too short to ask, nobody does: a machine foresees
/// their rows of a few lines, and asks in better time.
fn ahead(kernel: &Kernel, dtype: DType, micros: &mut Vec<Micro>) -> Option<Ahead> {
    let mut buffers: Vec<(BufferId, usize)> = Vec::new();
    for access in kernel.body.iter().flat_map(Stmt::accesses) {
        let row_bytes = access.width * dtype.size();
        if let (Array::Memory(buffer), RowAddress::Row) = (access.array, &access.row)
            && row_bytes >= MIN_AHEAD
            && buffers.len() < MAX_AHEAD
            && !buffers.iter().any(|(known, _)| *known == buffer)
        {
            buffers.push((buffer, row_bytes));
        }
    }
    let together = kernel.together.iter().map(|together| asked_by(&micros[together.micro])).sum::<usize>();
    let work = together + kernel.body.iter().map(|stmt| asked_by_statement(stmt, micros)).sum::<usize>();
    if buffers.is_empty() || work == 0 {
        return None;
    }
    let lines = buffers.iter().map(|(_, row_bytes)| row_bytes.div_ceil(LINE)).sum::<usize>();
    Some(Ahead { buffers, work: (work / lines).max(1), micro: place(micros, Micro::Prefetch(dtype)) })
}

/// The multiply-adds of a statement in micro-kernels that ask for what is ahead, for every row.
fn asked_by_statement(stmt: &Stmt, micros: &[Micro]) -> usize {
    let Stmt::Nest(Nest { call: Some(call), axes, .. }) = stmt else { return 0 };
    asked_by(&micros[call.micro]) * call.outer.iter().map(|&axis| axes[axis].size).product::<usize>()
}

/// The multiply-adds of a micro-kernel that asks for what is ahead, for every row.
fn asked_by(micro: &Micro) -> usize {
    match micro {
        Micro::Product(product) if product.asks() => product.multiply_adds(),
        Micro::Product(_)
        | Micro::Dot(_)
        | Micro::Transpose(_)
        | Micro::Map(_)
        | Micro::Rows(_)
        | Micro::Prefetch(_) => 0,
    }
}

/// Rows of fewer bytes than this are not asked for.
const MIN_AHEAD: usize = 64;

fn choose(nest: &Nest, has_rows: bool, dtype: DType) -> Option<Chosen> {
    if !nest.divisor.is_one() {
        return None;
    }
    let of_tile = nest.accesses().all(is_regular).then(|| loops(nest, has_rows));
    if nest.factors.len() == 1 {
        return transpose(nest, &of_tile?, dtype);
    }
    let whole = of_tile.as_ref().and_then(|loops| nearest(as_products(nest, loops, dtype)));
    let of_row = || nearest(as_products(nest, &loops(nest, false), dtype).filter(|one| is_worth_a_call(&one.product)));
    match whole {
        Some(one) => Some(one.chosen(false)),
        None if has_rows => of_tile.and_then(|loops| dot(nest, &loops, dtype)).or_else(|| Some(of_row()?.chosen(true))),
        None => None,
    }
}

/// A nest, seen as a product.
struct AsProduct {
    product: Product,
    arrays: Vec<usize>,
    outer: Vec<usize>,
}

impl AsProduct {
    fn chosen(self, by_row: bool) -> Chosen {
        Chosen { micro: Micro::Product(self.product), arrays: self.arrays, outer: self.outer, by_row }
    }
}

/// With either factor as `b`.
fn as_products(nest: &Nest, loops: &[Loop], dtype: DType) -> impl Iterator<Item = AsProduct> {
    [[1, 2], [2, 1]].into_iter().filter_map(move |factors| product(nest, loops, dtype, factors))
}

/// The one whose columns come first.
fn nearest(all: impl Iterator<Item = AsProduct>) -> Option<AsProduct> {
    all.min_by_key(|one| columns::order(one.product.n, one.product.n_stride))
}

/// True where a product of one row is enough work. Without sums, memory takes as long as generated code does.
fn is_worth_a_call(product: &Product) -> bool {
    let size = |along: &Along| if let micro::Extent::Fixed(size) = along.extent { size } else { 1 };
    let [rows, terms] = [&product.m, &product.k].map(|pair| pair.iter().map(size).product::<usize>());
    terms > 1 && product.n >= MIN_COLUMNS_OF_ROW && product.n * rows * terms >= MIN_PRODUCTS_OF_ROW
}

/// What an axis is to a product of `a` and `b`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    M,
    K,
    Outer,
}

fn role(l: &Loop, [a, b]: [usize; 2]) -> Option<Role> {
    match (l.strides[0] > 0, l.strides[a] > 0, l.strides[b] > 0) {
        (true, true, false) => Some(Role::M),
        (false, true, true) => Some(Role::K),
        (true, _, true) | (true, false, false) => (l.axis.is_some()).then_some(Role::Outer),
        (false, _, _) => None,
    }
}

/// The nest as a product of the factors at `a` and `b`, counted with the output.
fn product(nest: &Nest, loops: &[Loop], dtype: DType, [a, b]: [usize; 2]) -> Option<AsProduct> {
    let n = columns(loops, [a, b])?;
    let Extent::Axis(count) = loops[n].extent else { return None };
    let n_stride = loops[n].strides[0];
    let rest: Vec<&Loop> = loops.iter().enumerate().filter(|(k, _)| *k != n).map(|(_, l)| l).collect();
    let roles = rest.iter().map(|l| role(l, [a, b])).collect::<Option<Vec<_>>>()?;
    let of = |wanted: Role| rest.iter().zip(&roles).filter(move |(_, r)| **r == wanted).map(|(l, _)| *l);

    let (m, mut outer) = rows(of(Role::M).collect(), n_stride);
    outer.extend(of(Role::Outer));
    let k: Vec<&Loop> = of(Role::K).collect();
    if k.len() > 2 || outer.iter().any(|l| l.axis.is_none()) {
        return None;
    }
    let along = |l: Option<&&Loop>, x: usize, y: usize| {
        l.map_or(Along::NONE, |l| Along { extent: extent(l.extent), strides: [l.strides[x], l.strides[y]] })
    };
    let product = Product {
        dtype,
        m: [along(m.first(), 0, a), along(m.get(1), 0, a)],
        k: ordered([along(k.first(), a, b), along(k.get(1), a, b)]),
        n: count,
        n_stride,
        coefficient: nest.coefficient.0,
        accumulate: nest.write == Write::Add,
        finish: Finish::Plain,
    };
    let outer = outer.iter().filter_map(|l| l.axis).collect();
    Some(AsProduct { product, arrays: vec![0, a, b], outer })
}

fn extent(extent: Extent) -> micro::Extent {
    match extent {
        Extent::Rows => micro::Extent::Rows,
        Extent::Axis(size) => micro::Extent::Fixed(size),
    }
}

/// The sums, the longer axis inside.
fn ordered([x, y]: [Along; 2]) -> [Along; 2] {
    let length = |along: Along| match along.extent {
        micro::Extent::Rows => usize::MAX,
        micro::Extent::Fixed(size) => size,
    };
    if length(x) > length(y) { [y, x] } else { [x, y] }
}

/// The loop that is the columns of `b`, which is contiguous along it.
fn columns(loops: &[Loop], [a, b]: [usize; 2]) -> Option<usize> {
    let fits = |l: &Loop| {
        let strides = [0, a, b].map(|array| l.strides[array]);
        l.extent != Extent::Rows && strides[2] == 1 && columns::are_columns(l.turns(), strides)
    };
    (0..loops.len()).filter(|&k| fits(&loops[k])).min_by_key(|&k| columns::order(loops[k].turns(), loops[k].strides[0]))
}

/// The rows of the product, at most two loops: those of the batch outside, components inside. The others go around.
fn rows(mut loops: Vec<&Loop>, n_stride: usize) -> (Vec<&Loop>, Vec<&Loop>) {
    let woven = |l: &&Loop| l.strides[0] == 1 && l.extent == Extent::Axis(n_stride);
    loops.sort_by_key(|l| (!woven(l), l.extent != Extent::Rows, std::cmp::Reverse(l.turns())));
    let outer = loops.split_off(loops.len().min(2));
    // Two loops: components are the fewer. One loop: a list.
    loops.sort_by_key(|l| (woven(l), std::cmp::Reverse(l.turns())));
    (loops, outer)
}

/// The nest as sums of neighbours for a single column of each turn of the loops around.
fn dot(nest: &Nest, loops: &[Loop], dtype: DType) -> Option<Chosen> {
    let rows = loops.iter().find(|l| l.extent == Extent::Rows)?;
    let axes: Vec<&Loop> = loops.iter().filter(|l| l.extent != Extent::Rows).collect();
    let &terms = axes.iter().find(|l| l.summed)?;
    let [a, b] = if rows.strides[1] > 0 { [1, 2] } else { [2, 1] };
    let short = terms.strides[a];
    let is_component = |l: &&Loop| l.strides[a] == 1 && l.strides[b] == 0 && l.extent == Extent::Axis(short);
    let components = axes.iter().copied().find(|l| short > 1 && !l.summed && is_component(l));
    let rest: Vec<&Loop> = axes.iter().copied().filter(|l| l.axis != terms.axis).collect();
    let outer: Vec<&Loop> = rest.into_iter().filter(|l| components.is_none_or(|i| i.axis != l.axis)).collect();
    let elements = terms.turns() * short;
    let fits = rows.strides[0] > 0
        && rows.strides[a] > 0
        && rows.strides[b] == 0
        && terms.strides[b] > 0
        && outer.iter().all(|l| !l.summed)
        && (short == 1 || components.is_some())
        && DOT_COMPONENTS.contains(&short)
        && (MIN_DOT..=MAX_DOT).contains(&elements)
        && outer.iter().map(|l| l.turns()).product::<usize>() <= MAX_DOTS;
    let dot = Dot {
        dtype,
        rows: [rows.strides[0], rows.strides[a]],
        short,
        terms: terms.turns(),
        b_stride: terms.strides[b],
        out_stride: components.map_or(0, |l| l.strides[0]),
        coefficient: nest.coefficient.0,
        accumulate: nest.write == Write::Add,
    };
    let outer = outer.iter().filter_map(|l| l.axis).collect();
    fits.then_some(Chosen { micro: Micro::Dot(dot), arrays: vec![0, a, b], outer, by_row: false })
}

/// The nest as a transposing copy: of two axes, one of which is components or as short, in loops over the others.
fn transpose(nest: &Nest, loops: &[Loop], dtype: DType) -> Option<Chosen> {
    let (rows, axes): (Vec<&Loop>, Vec<&Loop>) = loops.iter().partition(|l| l.extent == Extent::Rows);
    let pairs = axes.iter().flat_map(|short| axes.iter().map(move |long| (*short, *long)));
    let (short, long, (apart, between)) = pairs.filter_map(|(x, y)| Some((x, y, exchanged(x, y)?))).next()?;
    if nest.write != Write::Set || long.turns() < columns::MIN_COLUMNS || axes.iter().any(|l| l.summed) {
        return None;
    }
    let rows = rows.first().map_or([0, 0], |l| [l.strides[0], l.strides[1]]);
    let (short_size, long_size, coefficient) = (short.turns(), long.turns(), nest.coefficient.0);
    let transpose = Transpose { dtype, rows, short: short_size, long: long_size, apart, between, coefficient };
    let outer = axes.iter().filter(|l| l.axis != short.axis && l.axis != long.axis).filter_map(|l| l.axis).collect();
    Some(Chosen { micro: Micro::Transpose(transpose), arrays: vec![0, 1], outer, by_row: false })
}

/// Where two loops of a copy exchange their places: true where groups of `short` neighbours come apart, and how far.
fn exchanged(short: &Loop, long: &Loop) -> Option<(bool, usize)> {
    let (d, mul) = (short.turns(), long.turns());
    let fits = |apart: usize, together: usize| {
        let in_groups = short.strides[together] == 1 && long.strides[together] == d;
        in_groups && long.strides[apart] == 1 && short.strides[apart] >= mul && d <= mul
    };
    if fits(0, 1) { Some((true, short.strides[0])) } else { fits(1, 0).then_some((false, short.strides[1])) }
}

#[cfg(test)]
mod tests {
    use schur_ir::micro::Micro;

    use crate::loops::lowered;

    /// The micro-kernels of a linear layer, by their text.
    fn micros(from: &str, weights: usize, to: &str, path: &str) -> Vec<String> {
        let text = format!(
            "graph \"linear\"\n\n%0: f32[N] {from} = input \"x\"\n%1: f32[] {weights}x0e = param \"w\" [{weights}] normal(0, 1)\n\
             %2: f32[N] {to} = contract %0[0], %1[] over [N]\n    {path}\n\noutput \"y\" = %2\n"
        );
        lowered(&text).micros.iter().map(Micro::to_string).collect()
    }

    #[test]
    fn a_single_column_is_a_sum_of_neighbours() {
        let found = micros("32x1o", 32, "1x1o", "x0@0(u i) x1@0(u) -> @0(i) for i=3 u=32");
        assert_eq!(found, ["f32 dot product, rows tile x 3, sums 32"]);
        let found = micros("64x0e", 64, "1x0e", "x0@0(u) x1@0(u) -> @0() for u=64");
        assert_eq!(found, ["f32 dot product, rows tile, sums 64"]);
        // Of a matrix of weights, whose columns the layer has one of.
        let found = micros("64x0e", 128, "1x0e", "x0@0(u) x1@1(u*2) -> @0() for u=64");
        assert_eq!(found, ["f32 dot product, rows tile, sums 64"]);
    }

    #[test]
    fn short_sums_of_neighbours_are_generated_code() {
        assert!(micros("16x0e", 16, "1x0e", "x0@0(u) x1@0(u) -> @0() for u=16").is_empty());
        assert!(micros("4096x0e", 4096, "1x0e", "x0@0(u) x1@0(u) -> @0() for u=4096").is_empty());
    }

    #[test]
    fn few_columns_are_products() {
        let found = micros("3x1o", 6, "2x1o", "x0@0(u i) x1@0(u v) -> @0(v i) for v=2 i=3 u=3");
        assert_eq!(found, ["f32 product, rows tile x 3, sums 3, columns 2 at 3"]);
    }
}
