//! The kernels of a model as lines of text: loops, Cranelift IR and machine code, each with what it comes from.

use std::ops::Range;

use schur::DType;
use schur::compiler::codegen::{KernelCode, Listing};
use schur::compiler::loops::{Kernel, Loops};
use schur::ir::graph::ValueId;

use super::machine_code;

/// A kernel as text.
#[derive(Clone, Debug)]
pub(super) struct KernelText {
    pub(super) name: String,
    /// Bytes of machine code.
    pub(super) size: usize,
    /// What stands above the body: rows, tile and scratch.
    pub(super) head: Vec<String>,
    /// What the arrays of a tile hold.
    pub(super) scratch: Vec<String>,
    /// The statements, each with the value that it computes, and the statement that its code is marked with: of those that one
    /// micro-kernel does together, the first.
    pub(super) loops: Vec<(String, ValueId, usize)>,
    /// Lines of Cranelift IR, each with its statement.
    pub(super) clif: Vec<(String, Option<usize>)>,
    pub(super) asm: Vec<AsmLine>,
}

/// A line of machine code.
#[derive(Clone, Debug)]
pub(super) struct AsmLine {
    pub(super) text: String,
    /// The line of Cranelift IR that it was made for.
    pub(super) line: Option<usize>,
    /// The statement that it is part of.
    pub(super) statement: Option<usize>,
}

impl AsmLine {
    /// The same where so many lines of Cranelift IR come before those of its function.
    fn after(self, lines: usize) -> Self {
        AsmLine { line: self.line.map(|line| line + lines), ..self }
    }
}

/// The kernels as text.
pub(super) fn kernels(loops: &Loops, code: &[KernelCode]) -> Vec<KernelText> {
    loops.kernels.iter().zip(code).map(|(kernel, code)| kernel_text(kernel, code, loops.dtype)).collect()
}

fn kernel_text(kernel: &Kernel, code: &KernelCode, dtype: DType) -> KernelText {
    let text = kernel.to_string();
    let head = text.lines().take(1 + kernel.scratch.len()).map(|line| line.trim_start().to_owned());
    let (mut ir, mut assembly) = (Vec::new(), Vec::new());
    for (k, function) in std::iter::once(code).chain(&code.sections).enumerate() {
        let listing = function.listing.clone().unwrap_or_default();
        assembly.extend((k > 0).then(|| AsmLine { text: format!("; section {}", k - 1), line: None, statement: None }));
        assembly.extend(asm(function, &listing, dtype).into_iter().map(|line| line.after(ir.len())));
        ir.extend(clif(&listing));
    }
    KernelText {
        name: kernel.name.clone(),
        size: code.size(),
        head: head.collect(),
        scratch: kernel.scratch.iter().map(|scratch| scratch.label.clone()).collect(),
        loops: kernel
            .values
            .iter()
            .enumerate()
            .map(|(k, value)| (kernel.line(k), *value, code_of(kernel, k)))
            .collect(),
        clif: ir,
        asm: assembly,
    }
}

/// The statement that the code of a statement is marked with.
fn code_of(kernel: &Kernel, statement: usize) -> usize {
    kernel.together_with(statement).map_or(statement, |together| together.statements.start)
}

/// The names of blocks are of the statement of the instruction that follows.
fn clif(listing: &Listing) -> Vec<(String, Option<usize>)> {
    let mut next = None;
    let mut lines: Vec<(String, Option<usize>)> = Vec::new();
    let all: Vec<&str> = listing.clif.lines().collect();
    for (line, statement) in all.iter().zip(&listing.statements).rev() {
        let is_between = line.is_empty() || line.starts_with("block");
        next = if is_between { next } else { *statement };
        lines.push(((*line).to_owned(), next));
    }
    lines.reverse();
    lines
}

/// What optimisation made has no line; between lines of one statement, it is of that statement.
fn asm(code: &KernelCode, listing: &Listing, dtype: DType) -> Vec<AsmLine> {
    let of = |place: &Range<usize>| {
        let k = listing.places.partition_point(|(range, _)| range.end <= place.start);
        listing.places.get(k).filter(|(range, _)| range.contains(&place.start)).map(|(_, line)| *line)
    };
    let line = |line: machine_code::CodeLine| {
        let of = line.place.as_ref().and_then(of);
        AsmLine { text: line.text, line: of, statement: of.and_then(|line| listing.statements[line]) }
    };
    let mut lines: Vec<AsmLine> = machine_code::lines(code, listing, dtype).into_iter().map(line).collect();
    let known: Vec<usize> = (0..lines.len()).filter(|&k| lines[k].line.is_some()).collect();
    for pair in known.windows(2) {
        let statement = lines[pair[0]].statement.filter(|s| lines[pair[1]].statement == Some(*s));
        lines[pair[0] + 1..pair[1]].iter_mut().for_each(|line| line.statement = statement);
    }
    lines
}

impl KernelText {
    /// The machine code with its name above.
    pub(super) fn asm_text(&self) -> String {
        let lines = self.asm.iter().map(|line| format!("{}\n", line.text));
        std::iter::once(format!("; {}\n", self.name)).chain(lines).collect()
    }

    /// The Cranelift IR with its name above.
    pub(super) fn clif_text(&self) -> String {
        let lines = self.clif.iter().map(|(line, _)| format!("{line}\n"));
        std::iter::once(format!("; {}\n", self.name)).chain(lines).collect()
    }
}
