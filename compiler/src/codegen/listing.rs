//! Code for people: what is generated as text, linked line by line.

use std::ops::Range;

use cranelift_codegen::CompiledCode;
use cranelift_codegen::ir::{Function, Inst, SourceLoc};

/// A kernel's code as text, and what its lines come from.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Cranelift IR before optimisation.
    pub clif: String,
    /// For every line of `clif`, the statement of the kernel's body that it is part of; none at the entry and at the loop
    /// over tiles.
    pub statements: Vec<Option<usize>>,
    /// Machine code as Cranelift prints it.
    pub asm: String,
    /// The places of instructions in the machine code, in order, each with the line of `clif` it was made for. What
    /// optimisation made of several lines has none.
    pub places: Vec<(Range<usize>, usize)>,
    /// Bytes of instructions; constants follow.
    pub instructions: usize,
}

/// Marks the code of a statement.
pub(super) fn location(statement: usize) -> SourceLoc {
    SourceLoc::new(statement as u32)
}

impl Listing {
    /// The listing of a function that is built and not compiled yet, which is marked so that [`Listing::compiled`] finds
    /// its lines again.
    pub(super) fn of(func: &mut Function) -> Self {
        let insts: Vec<Inst> = func.layout.blocks().flat_map(|block| func.layout.block_insts(block)).collect();
        let of_inst =
            |inst: &Inst| Some(func.srcloc(*inst)).filter(|loc| !loc.is_default()).map(|loc| loc.bits() as usize);
        let statements: Vec<Option<usize>> = insts.iter().map(of_inst).collect();
        func.srclocs.clear();
        let clif = func.display().to_string();
        insts.iter().enumerate().for_each(|(k, inst)| func.set_srcloc(*inst, SourceLoc::new(k as u32)));
        // The same lines with the numbers of instructions in front tell which line is which instruction.
        let numbered = func.display().to_string();
        let lines: Vec<Option<usize>> = numbered.lines().map(number).collect();
        for (line, inst) in lines.iter().enumerate().filter_map(|(line, k)| Some((line, insts.get((*k)?)?))) {
            func.set_srcloc(*inst, SourceLoc::new(line as u32));
        }
        let statements = lines.iter().map(|k| *statements.get((*k)?)?).collect();
        Listing { clif, statements, ..Listing::default() }
    }

    /// Adds the machine code.
    pub(super) fn compiled(&mut self, code: &CompiledCode) {
        self.asm = code.vcode.clone().unwrap_or_default();
        let ranges = code.buffer.get_srclocs_sorted();
        let place = |range: Range<u32>| range.start as usize..range.end as usize;
        self.instructions = ranges.iter().map(|range| range.end as usize).max().unwrap_or(0);
        let located = ranges.iter().filter(|range| !range.loc.is_default());
        self.places = located.map(|range| (place(range.start..range.end), range.loc.bits() as usize)).collect();
    }
}

/// The number of a line that begins `@001f`.
fn number(line: &str) -> Option<usize> {
    usize::from_str_radix(line.strip_prefix('@')?.split(' ').next()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_instructions_are_numbered() {
        assert_eq!(number("@001f        v3 = iadd v1, v2"), Some(31));
        assert_eq!(number("block0(v0: i64):"), None);
    }
}
