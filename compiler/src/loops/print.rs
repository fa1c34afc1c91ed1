//! The text form of the `loops` stage, for people.

use std::fmt;

use schur_ir::cut::CHUNK_ROWS;
use schur_ir::dim::Dim;
use schur_ir::graph::Axis;
use schur_ir::program::{BufferKind, Step};
use schur_ir::ty::DisplayDims;

use super::{Access, Array, Kernel, Layout, Loops, MicroCall, Nest, Pick, RowAddress, RowTerm, Stmt, Write};

impl fmt::Display for Loops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "loops {:?} {}", self.name, self.dtype)?;
        for (k, b) in self.buffers.iter().enumerate() {
            let kind = match b.kind {
                BufferKind::Input => "input",
                BufferKind::Param => "param",
                BufferKind::Output => "output",
                BufferKind::Temporary => "temporary",
                BufferKind::Prepared => "prepared",
                BufferKind::Partial => "partial",
            };
            writeln!(f, "  m{k}: {}{} x {} {kind} {:?}", b.dtype, DisplayDims(&b.dims), b.width, b.label)?;
        }
        for (k, micro) in self.micros.iter().enumerate() {
            writeln!(f, "  micro-kernel {k}: {micro}")?;
        }
        for (at, step) in self.steps.iter().enumerate() {
            if self.prologue > 0 && (at == 0 || at == self.prologue) {
                writeln!(f, "  {}", if at == 0 { "once parameters changed:" } else { "at every call:" })?;
            }
            match step {
                Step::Fill(buffer, value) => writeln!(f, "  fill {buffer} = {value}")?,
                Step::Begin(buffer) => writeln!(f, "  begin {buffer}")?,
                Step::Combine { from, into } => writeln!(f, "  {into} = sum of the partial sums {from}")?,
                Step::Run(k) => self.kernels.get(*k).map_or(Ok(()), |kernel| write!(f, "{kernel}"))?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = match (self.serial, self.chunk) {
            (true, _) => ", in order".into(),
            (false, CHUNK_ROWS) => String::new(),
            (false, chunk) => format!(", chunks of {chunk} or more"),
        };
        writeln!(f, "  kernel {} rows {} tile {}{order}", self.name, DisplayDims(&self.rows), self.tile)?;
        for (k, s) in self.scratch.iter().enumerate() {
            let layout = match s.layout {
                Layout::Irreps => "",
                Layout::Components => " by component",
            };
            writeln!(f, "    t{k}: tile x {} at {}{layout} {:?}", s.width, s.offset, s.label)?;
        }
        if let Some(ahead) = &self.ahead {
            let buffers: Vec<String> = ahead.buffers.iter().map(|(buffer, _)| buffer.to_string()).collect();
            write!(f, "    next rows of {}: a line every {} multiply-adds", buffers.join(", "), ahead.work)?;
            writeln!(f, ", the rest by micro-kernel {}", ahead.micro)?;
        }
        match (self.by_row_above, self.streamed().and_then(|all| all.beyond_caches)) {
            (Some(rows), Some(micro)) => writeln!(f, "    above {rows} rows: all by micro-kernel {micro}")?,
            (Some(rows), None) => writeln!(f, "    above {rows} rows: sums over rows row by row")?,
            (None, _) => {}
        }
        (0..self.body.len()).try_for_each(|k| writeln!(f, "    {}", self.line(k)))
    }
}

impl Kernel {
    /// The `k`-th statement as text, with the micro-kernel that does it together with others.
    pub fn line(&self, k: usize) -> String {
        let stmt = self.body.get(k).map(Stmt::to_string).unwrap_or_default();
        let within = self.together_with(k).map(|together| format!("  in micro-kernel {}", together.micro));
        stmt + &within.unwrap_or_default()
    }
}

impl fmt::Display for Stmt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stmt::Zero { out, count } => write!(f, "{} = 0", Show(out, &[Axis { letter: 'k', size: *count }])),
            Stmt::Nest(nest) => write!(f, "{nest}"),
            Stmt::Map(map) => {
                let axes = [Axis { letter: 'k', size: map.count }];
                write!(f, "{} = {}", Show(&map.out, &axes), map.expr)?;
                for (k, (operand, _)) in map.operands.iter().enumerate() {
                    write!(f, "{} x{k} = {}", if k == 0 { " where" } else { "," }, Show(operand, &axes))?;
                }
                by(f, &map.call)
            }
            Stmt::Max { value, out, count } => {
                let axes = [Axis { letter: 'k', size: *count }];
                write!(f, "{} max= {}", Show(out, &axes), Show(value, &axes))
            }
        }
    }
}

fn by(f: &mut fmt::Formatter<'_>, call: &Option<MicroCall>) -> fmt::Result {
    let Some(call) = call else { return Ok(()) };
    write!(f, "  by micro-kernel {}{}", call.micro, if call.by_row { ", row by row" } else { "" })?;
    call.first.map_or(Ok(()), |first| write!(f, ", which {first} sets in the first tile"))
}

impl fmt::Display for Nest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.write {
            Write::Set => "=",
            Write::Add => "+=",
        };
        write!(f, "{} {sign} ", Show(&self.out, &self.axes))?;
        let summed = self.axes.iter().zip(&self.out.segment.strides).filter(|(a, s)| **s == 0 && a.size > 1);
        let letters: String = summed.map(|(a, _)| a.letter).collect();
        if !letters.is_empty() {
            write!(f, "sum {letters}: ")?;
        }
        let mut join = "";
        if self.coefficient.0 != 1.0 {
            write!(f, "{}", self.coefficient)?;
            join = " * ";
        }
        for factor in &self.factors {
            write!(f, "{join}{}", Show(factor, &self.axes))?;
            join = " * ";
        }
        if !self.divisor.is_one() {
            write!(f, " / ({})", self.divisor)?;
        }
        f.write_str("  for")?;
        self.axes.iter().try_for_each(|a| write!(f, " {}<{}", a.letter, a.size))?;
        by(f, &self.call)
    }
}

/// An access with the letters of its statement's axes: `m2[row][8 + 3u + i]`.
struct Show<'a>(&'a Access, &'a [Axis]);

impl fmt::Display for Show<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Show(access, axes) = self;
        match access.array {
            Array::Memory(buffer) => write!(f, "{buffer}")?,
            Array::Scratch(scratch) => write!(f, "{scratch}")?,
        }
        match &access.row {
            RowAddress::Fixed => {}
            RowAddress::Row => f.write_str("[row]")?,
            RowAddress::Computed(terms) => write!(f, "[{}]", Terms(terms))?,
        }
        let mut terms: Vec<String> = Vec::new();
        if access.segment.offset > 0 {
            terms.push(access.segment.offset.to_string());
        }
        for (axis, stride) in axes.iter().zip(&access.segment.strides).filter(|(_, s)| **s > 0) {
            terms.push(if *stride == 1 { axis.letter.to_string() } else { format!("{stride}{}", axis.letter) });
        }
        write!(f, "[{}]", if terms.is_empty() { "0".into() } else { terms.join(" + ") })
    }
}

struct Terms<'a>(&'a [RowTerm]);

impl fmt::Display for Terms<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (k, term) in self.0.iter().enumerate() {
            f.write_str(if k > 0 { " + " } else { "" })?;
            match &term.pick {
                Pick::Coordinate(axis) => write!(f, "r{axis}")?,
                Pick::Index(buffer, terms) => write!(f, "{buffer}[{}]", Terms(terms))?,
            }
            if term.stride != Dim::one() {
                write!(f, "*({})", term.stride)?;
            }
        }
        Ok(())
    }
}
