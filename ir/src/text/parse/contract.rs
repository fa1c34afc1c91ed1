//! Parsing of contractions: row maps, paths and segments.

use smallvec::{SmallVec, smallvec};

use super::super::token::{
    Fault, Input, Parsed, here, letter, mark, maybe, maybe_word, next_is, next_is_scalar, number, scalar,
};
use super::{dim, keyword, list, value};
use crate::dim::Dim;
use crate::expr::Scalar;
use crate::graph::{Axis, Contract, Factor, Operand, Path, RowIndex, RowMap, Segment};
use crate::path::{Axes, Strides};

pub(super) fn contract(input: &mut Input<'_>) -> Parsed<Contract> {
    let operands = if next_is(input, "%")? { operands(input)? } else { Vec::new() };
    keyword(input, "over", "the keyword `over`")?;
    let rows = list(input, dim)?;
    let out = if maybe_word(input, "into")? { row_map(input)? } else { RowMap::identity(rows.len()) };
    let divisor = if maybe(input, "/")? { dim(input)? } else { Dim::one() };
    Ok(Contract { rows, operands, out, divisor, paths: Vec::new() })
}

pub(super) fn operands(input: &mut Input<'_>) -> Parsed<Vec<Operand>> {
    let mut operands = Vec::new();
    while operands.is_empty() || maybe(input, ",")? {
        operands.push(Operand { value: value(input)?, map: row_map(input)? });
    }
    Ok(operands)
}

fn row_map(input: &mut Input<'_>) -> Parsed<RowMap> {
    let (mut index, mut first) = (None, true);
    let axes = list(input, |input| {
        if std::mem::take(&mut first) && next_is(input, "%")? {
            let (value, axes) = (value(input)?, list(input, row_axis)?);
            mark(input, "<")?;
            index = Some(RowIndex { value, size: dim(input)?, axes });
            return Ok(None);
        }
        row_axis(input).map(Some)
    })?;
    Ok(RowMap { index, axes: axes.into_iter().flatten().collect() })
}

fn row_axis(input: &mut Input<'_>) -> Parsed<Option<usize>> {
    if maybe(input, "_")? { Ok(None) } else { number(input, "an axis of the rows, or `_`").map(Some) }
}

pub(super) fn paths(input: &mut Input<'_>) -> Parsed<Vec<Path>> {
    let mut paths = Vec::new();
    while next_is(input, "x")? || next_is_scalar(input)? {
        paths.push(path(input)?);
    }
    Ok(paths)
}

fn path(input: &mut Input<'_>) -> Parsed<Path> {
    let coefficient = if next_is_scalar(input)? { scalar(input)? } else { Scalar(1.0) };
    let mut factors = Vec::new();
    while maybe(input, "x")? {
        factors.push((number(input, "the number of an operand")?, sketch(input)?));
    }
    mark(input, "->")?;
    let out = sketch(input)?;
    let axes = if maybe_word(input, "for")? { axes(input)? } else { Axes::new() };
    let factors = factors.into_iter().map(|(operand, s)| Ok(Factor { operand, segment: s.segment(&axes)? }));
    Ok(Path { coefficient, factors: factors.collect::<Parsed<_>>()?, out: out.segment(&axes)?, axes })
}

fn axes(input: &mut Input<'_>) -> Parsed<Axes> {
    let mut axes = Axes::new();
    loop {
        let letter = letter(input)?;
        mark(input, "=")?;
        axes.push(Axis { letter, size: number(input, "the size of an axis")? });
        here(input)?;
        let another = input.starts_with('\'') || input.chars().nth(1) == Some('=');
        if !another {
            return Ok(axes);
        }
    }
}

/// A segment as it is written, before the sizes of the axes are known.
struct Sketch {
    offset: usize,
    /// The place in the text, the letter and the stride, where it is written.
    axes: Vec<(usize, char, Option<usize>)>,
}

fn sketch(input: &mut Input<'_>) -> Parsed<Sketch> {
    mark(input, "@")?;
    let mut sketch = Sketch { offset: number(input, "an offset")?, axes: Vec::new() };
    if maybe(input, "(")? {
        while !maybe(input, ")")? {
            let (at, letter) = (here(input)?, letter(input)?);
            let stride = if maybe(input, "*")? { Some(number(input, "a stride")?) } else { None };
            sketch.axes.push((at, letter, stride));
        }
    }
    Ok(sketch)
}

impl Sketch {
    /// For every letter the axis that it is; each is named once.
    fn places(&self, axes: &[Axis]) -> Parsed<SmallVec<[usize; 4]>> {
        let mut named: SmallVec<[bool; 8]> = smallvec![false; axes.len()];
        let place = |(at, letter, _): &(usize, char, Option<usize>)| {
            let Some(k) = axes.iter().position(|axis| axis.letter == *letter) else {
                return Fault::wrong(*at, format!("the path has no axis `{letter}`"));
            };
            match named.get_mut(k) {
                Some(named) if !*named => *named = true,
                Some(_) | None => return Fault::wrong(*at, format!("the segment names `{letter}` twice")),
            }
            Ok(k)
        };
        self.axes.iter().map(place).collect()
    }

    /// The segment: where no stride is written, it is what the axes behind take.
    fn segment(self, axes: &[Axis]) -> Parsed<Segment> {
        let places = self.places(axes)?;
        let mut strides: Strides = smallvec![0; axes.len()];
        let mut contiguous = Some(1usize);
        for (k, (at, _, stride)) in places.into_iter().zip(self.axes).rev() {
            let Some(stride) = stride.or(contiguous) else { return Fault::wrong(at, "the segment is too large") };
            if let (Some(place), Some(axis)) = (strides.get_mut(k), axes.get(k)) {
                *place = stride;
                contiguous = stride.checked_mul(axis.size);
            }
        }
        Ok(Segment { offset: self.offset, strides })
    }
}
