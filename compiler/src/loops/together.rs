//! Statements that one micro-kernel does together, row by row.
//!
//! What is elementwise, or a sum of products of neighbours over components or rows, is limited by loads and stores: it wants
//! vectors of the machine's whole width, and what one statement writes is to be in the first cache where the next one reads
//! it. Statements of that kind that follow each other become steps of one [`Rows`].
//!
//! Kernels of nothing else are one call. Memory is then what counts most, and the micro-kernel asks for it ahead; where arrays are
//! larger than the caches, another one writes past them.

#![expect(
    clippy::indexing_slicing,
    reason = "places are of a kernel's statements and arrays, and of what is made for them"
)]

use std::ops::Range;

use schur_ir::dim::Dim;
use schur_ir::expr::{Binary, Expr, Unary};
use schur_ir::graph::Segment;
use schur_ir::micro::{MAX_ROWS_ARRAYS, MAX_TERMS, Micro, Place, Rows, Step, Term};
use schur_ir::program::{Buffer, BufferKind};
use schur_ir::ty::DType;

use super::chosen::place;
use super::strides::{Extent, is_regular, loops};
use super::{Access, Array, Kernel, MapStmt, Nest, RowAddress, Stmt, Together, Write};

/// Statements of fewer elements a row are generated code: a step takes some time by itself.
const MIN_ELEMENTS: usize = 32;

/// The most statements that go together.
const MAX_STATEMENTS: usize = 32;

/// Fewer neighbours than this fill too little of a vector.
const MIN_NEIGHBOURS: usize = 8;

/// So many neighbours are whole blocks of vectors of every instruction set.
const WHOLE: usize = 32;

/// Finds the statements of a kernel that go together, and lists what they call.
pub(super) fn gather(kernel: &mut Kernel, buffers: &[Buffer], dtype: DType, micros: &mut Vec<Micro>) {
    if kernel.rows.is_empty() {
        return;
    }
    let spans = spans(kernel);
    let mut gatherings = gatherings(kernel, buffers, dtype);
    // Without products, a part by itself would leave gaps in the caller's rows, and parts of vectors take longer than generated code.
    let is_whole =
        |one: &Gathering| one.is_all(kernel) && one.steps.iter().all(|step| step.count.is_multiple_of(WHOLE));
    let on_callers = |stmt: &Stmt| is_on_callers(stmt, buffers);
    if !kernel.calls && kernel.body.iter().any(on_callers) {
        gatherings.retain(is_whole);
    }
    let finish = |one: Gathering| one.finish(kernel, buffers, &spans, dtype, micros);
    let gathered: Vec<Together> = gatherings.into_iter().map(finish).collect();
    gathered.into_iter().for_each(|together| kernel.do_together(together));
}

/// The statements that go together, in order. The caller's arrays are aligned to elements alone: between products, where all is at
/// hand, wide vectors that cross lines of the cache would cost more than they gain.
fn gatherings(kernel: &Kernel, buffers: &[Buffer], dtype: DType) -> Vec<Gathering> {
    let mut done = Vec::new();
    let mut now = Gathering::default();
    for (k, stmt) in kernel.body.iter().enumerate() {
        if kernel.together_with(k).is_some() || kernel.calls && is_on_callers(stmt, buffers) {
            done.push(std::mem::take(&mut now));
            continue;
        }
        let before = &kernel.body[now.statements.clone()];
        if before.iter().all(|before| kernel.are_apart(before, stmt)) && now.add(k, stmt, dtype).is_some() {
            continue;
        }
        done.push(std::mem::take(&mut now));
        // One that does not fit with those before may begin anew.
        if now.add(k, stmt, dtype).is_none() {
            now = Gathering::default();
        }
    }
    done.push(now);
    done.retain(|one| !one.steps.is_empty());
    done
}

/// For every array of the tile, the statements from the first to the last one that touches it.
fn spans(kernel: &Kernel) -> Vec<Range<usize>> {
    let mut spans: Vec<Range<usize>> = vec![0..0; kernel.scratch.len()];
    for (k, stmt) in kernel.body.iter().enumerate() {
        for access in stmt.accesses() {
            if let Array::Scratch(id) = access.array {
                let span = &mut spans[id.0 as usize];
                *span = if span.start == span.end { k..k + 1 } else { span.start..k + 1 };
            }
        }
    }
    spans
}

/// True for statements that touch rows of the caller's.
fn is_on_callers(stmt: &Stmt, buffers: &[Buffer]) -> bool {
    stmt.accesses().into_iter().any(|access| is_callers(access, buffers))
}

/// True for rows of the caller's.
fn is_callers(access: &Access, buffers: &[Buffer]) -> bool {
    let kind = access.array.memory().and_then(|id| buffers.get(id.index())).map(|buffer| buffer.kind);
    access.row != RowAddress::Fixed && matches!(kind, Some(BufferKind::Input | BufferKind::Output))
}

/// True for what an earlier kernel of the call computed for all rows, from the same rows as a rule: the caches hold the last of them.
fn is_computed_once(access: &Access, buffers: &[Buffer]) -> bool {
    let kind = access.array.memory().and_then(|id| buffers.get(id.index())).map(|buffer| buffer.kind);
    access.row == RowAddress::Fixed && kind == Some(BufferKind::Temporary)
}

/// Statements that go together so far.
#[derive(Clone, Default)]
struct Gathering {
    statements: Range<usize>,
    arrays: Vec<Access>,
    steps: Vec<Step>,
    divisor: Option<Dim>,
}

impl Gathering {
    /// Adds the `k`-th statement; none, and all as it was, where it does not fit.
    fn add(&mut self, k: usize, stmt: &Stmt, dtype: DType) -> Option<()> {
        let mut with = self.clone();
        if with.statements.is_empty() {
            with.statements = k..k;
        }
        let step = match stmt {
            Stmt::Nest(nest) if nest.call.is_none() => with.nest(nest)?,
            Stmt::Map(map) if map.call.is_none() => with.map(map, dtype)?,
            Stmt::Nest(_) | Stmt::Map(_) | Stmt::Zero { .. } | Stmt::Max { .. } => return None,
        };
        with.push(step);
        with.statements.end = k + 1;
        // The last array is for the divisor.
        (with.arrays.len() < MAX_ROWS_ARRAYS && with.statements.len() <= MAX_STATEMENTS).then(|| *self = with)
    }

    /// Adds a step: to an earlier one that sets the elements to which it adds, where nothing between touches what either does.
    fn push(&mut self, step: Step) {
        let strides = self.strides();
        let adds = step.accumulate && !step.divided && !step.sums(&strides);
        let sets = self.steps.iter().rposition(|earlier| {
            earlier.out == step.out && (earlier.components, earlier.count) == (step.components, step.count)
        });
        if let Some(earlier) = sets.filter(|_| adds) {
            let between = &self.steps[earlier + 1..];
            let is_free = between.iter().all(|other| !touches(other, &step) && !touches(&step, other));
            let into = &mut self.steps[earlier];
            let all = into.terms.len() + step.terms.len() + usize::from(into.accumulate);
            if is_free && !into.divided && all <= MAX_TERMS {
                return into.terms.extend(step.terms);
            }
        }
        self.steps.push(step);
    }

    fn strides(&self) -> Vec<usize> {
        self.arrays.iter().map(|access| if access.row == RowAddress::Row { access.width } else { 0 }).collect()
    }

    /// True where these are all statements of a kernel.
    fn is_all(&self, kernel: &Kernel) -> bool {
        self.statements == (0..kernel.body.len())
    }

    fn finish(
        self,
        kernel: &Kernel,
        buffers: &[Buffer],
        spans: &[Range<usize>],
        dtype: DType,
        micros: &mut Vec<Micro>,
    ) -> Together {
        let mut strides = self.strides();
        let inverse = self.divisor.is_some().then_some(strides.len());
        let passes = |access: &Access| match access.array {
            Array::Scratch(id) => {
                let span = &spans[id.0 as usize];
                self.statements.start <= span.start && span.end <= self.statements.end
            }
            Array::Memory(_) => false,
        };
        // Between products, all is at hand.
        let asks = |access: &Access| !kernel.calls && access.row == RowAddress::Row && access.array.memory().is_some();
        let passing = self.arrays.iter().map(passes).chain(inverse.map(|_| false)).collect();
        let asked = self.arrays.iter().map(asks).chain(inverse.map(|_| false)).collect();
        strides.extend(inverse.map(|_| 0));
        let is_stream = !kernel.calls && self.is_all(kernel);
        let sums_rows = self.steps.iter().any(|step| strides[step.out.array] == 0);
        let backwards = is_stream && !sums_rows && self.arrays.iter().any(|access| is_computed_once(access, buffers));
        let (beyond_caches, steps) = (false, self.steps);
        let rows = Rows { dtype, strides, passing, asked, beyond_caches, backwards: false, steps, inverse };
        let beyond_caches = is_stream.then(|| place(micros, Micro::Rows(Rows { beyond_caches: true, ..rows.clone() })));
        let micro = place(micros, Micro::Rows(Rows { backwards, ..rows }));
        Together { statements: self.statements, micro, beyond_caches, arrays: self.arrays, divisor: self.divisor }
    }

    /// The place that an access has, whose strides along components are given.
    fn place(&mut self, access: &Access, component: usize) -> Option<Place> {
        if !is_regular(access) {
            return None;
        }
        let array = Access { segment: Segment::run(0), ..access.clone() };
        let known = self.arrays.iter().position(|other| *other == array);
        let array = known.unwrap_or_else(|| {
            self.arrays.push(array);
            self.arrays.len() - 1
        });
        Some(Place { array, offset: access.segment.offset, component })
    }

    fn nest(&mut self, nest: &Nest) -> Option<Step> {
        let loops = loops(nest, false);
        let size = |k: usize| match loops[k].extent {
            Extent::Axis(size) => size,
            Extent::Rows => 1,
        };
        let of_neighbours =
            |&k: &usize| size(k) >= MIN_NEIGHBOURS && loops[k].strides.iter().all(|stride| *stride == 1);
        let along = (0..loops.len()).filter(of_neighbours).max_by_key(|&k| size(k))?;
        let mut others = (0..loops.len()).filter(|&k| k != along);
        let (of_components, None) = (others.next(), others.next()) else { return None };
        let component = |access: usize| of_components.map_or(0, |k| loops[k].strides[access]);
        let divided = !nest.divisor.is_one();
        if divided && *self.divisor.get_or_insert_with(|| nest.divisor.clone()) != nest.divisor {
            return None;
        }
        let factors = nest.factors.iter().zip(1..).map(|(factor, k)| self.place(factor, component(k)));
        let factors = factors.collect::<Option<Vec<_>>>()?;
        let term = Term { coefficient: nest.coefficient.0, factors };
        let step = Step {
            out: self.place(&nest.out, component(0))?,
            terms: vec![term],
            components: of_components.map_or(1, size),
            count: size(along),
            accumulate: nest.write == Write::Add,
            divided,
        };
        let sums = step.sums(&self.strides());
        let of_rows = nest.out.row == RowAddress::Fixed;
        let is_sum_of_rows = nest.factors.iter().any(|factor| factor.row == RowAddress::Row)
            && step.accumulate
            && (step.components == 1 || step.out.component == 0);
        let fits = (!of_rows || is_sum_of_rows) && (sums || !(divided && step.accumulate));
        (fits && step.components * step.count >= MIN_ELEMENTS).then_some(step)
    }

    fn map(&mut self, map: &MapStmt, dtype: DType) -> Option<Step> {
        let floats = map.operands.iter().all(|(_, of)| *of == dtype);
        if !floats || map.count < MIN_ELEMENTS || map.out.row != RowAddress::Row {
            return None;
        }
        let mut sum = Vec::new();
        add_terms(&map.expr, 1.0, &mut sum)?;
        let term = |(coefficient, arguments): (f64, Vec<usize>)| {
            let factors =
                arguments.iter().map(|&k| self.place(&map.operands.get(k)?.0, 0)).collect::<Option<Vec<_>>>()?;
            Some(Term { coefficient, factors })
        };
        let terms = sum.into_iter().map(term).collect::<Option<Vec<_>>>()?;
        let out = self.place(&map.out, 0)?;
        let step = Step { out, terms, components: 1, count: map.count, accumulate: false, divided: false };
        (step.terms.len() <= MAX_TERMS).then_some(step)
    }
}

/// True where one step writes what another one touches.
fn touches(writer: &Step, other: &Step) -> bool {
    let elements =
        |place: &Place, step: &Step| place.offset..place.offset + place.component * (step.components - 1) + step.count;
    let written = elements(&writer.out, writer);
    let mut touched = other.terms.iter().flat_map(|term| &term.factors).chain([&other.out]);
    touched.any(|place| {
        let read = elements(place, other);
        place.array == writer.out.array && read.start < written.end && written.start < read.end
    })
}

/// Adds the terms of an expression, times `scale`, that is a sum of constants times one or two operands.
fn add_terms(expr: &Expr, scale: f64, terms: &mut Vec<(f64, Vec<usize>)>) -> Option<()> {
    match expr {
        Expr::Binary(Binary::Add, x, y) => {
            add_terms(x, scale, terms)?;
            add_terms(y, scale, terms)
        }
        Expr::Binary(Binary::Sub, x, y) => {
            add_terms(x, scale, terms)?;
            add_terms(y, -scale, terms)
        }
        Expr::Unary(Unary::Neg, x) => add_terms(x, -scale, terms),
        Expr::Arg(_) | Expr::Const(_) | Expr::Unary(..) | Expr::Binary(..) | Expr::Select(..) => {
            let (constant, arguments) = product(expr)?;
            let fits = (1..=2).contains(&arguments.len());
            fits.then(|| terms.push((scale * constant, arguments)))
        }
    }
}

/// A constant and the operands that an expression is the product of.
pub(super) fn product(expr: &Expr) -> Option<(f64, Vec<usize>)> {
    match expr {
        Expr::Arg(k) => Some((1.0, vec![*k])),
        Expr::Const(c) => Some((c.0, Vec::new())),
        Expr::Unary(Unary::Neg, x) => product(x).map(|(constant, arguments)| (-constant, arguments)),
        Expr::Binary(Binary::Mul, x, y) => {
            let ((a, x), (b, y)) = (product(x)?, product(y)?);
            Some((a * b, [x, y].concat()))
        }
        Expr::Unary(..) | Expr::Binary(..) | Expr::Select(..) => None,
    }
}
