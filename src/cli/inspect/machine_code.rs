//! Machine code as text: instructions with names for the places they jump to and for the constants they read.
//!
//! x86-64 is disassembled from the bytes; on other machines the listing is the one that Cranelift prints, whose lines have
//! no places.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::Range;

use iced_x86::{Decoder, DecoderOptions, Formatter, Instruction, IntelFormatter, OpKind, SymbolResolver, SymbolResult};
use schur::DType;
use schur::compiler::codegen::{KernelCode, Listing};

/// A line of machine code.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CodeLine {
    pub(super) text: String,
    /// The bytes of an instruction.
    pub(super) place: Option<Range<usize>>,
}

/// The lines of a kernel's machine code.
pub(super) fn lines(code: &KernelCode, listing: &Listing, dtype: DType) -> Vec<CodeLine> {
    if std::env::consts::ARCH != "x86_64" {
        return listing.asm.lines().map(|line| CodeLine { text: line.to_owned(), place: None }).collect();
    }
    let instructions = decode(&code.machine.bytes[..listing.instructions]);
    let names = Names::of(&instructions, listing.instructions);
    let mut formatter = formatter(&names);
    let mut lines = Vec::new();
    for instruction in &instructions {
        if let Some(name) = names.0.get(&instruction.ip()) {
            lines.push(CodeLine { text: format!("{name}:"), place: None });
        }
        let mut text = String::from("    ");
        formatter.format(instruction, &mut text);
        let start = instruction.ip() as usize;
        lines.push(CodeLine { text, place: Some(start..start + instruction.len()) });
    }
    lines.extend(names.constants(&code.machine.bytes, listing.instructions, dtype));
    lines
}

fn decode(bytes: &[u8]) -> Vec<Instruction> {
    Decoder::new(64, bytes, DecoderOptions::NONE).into_iter().collect()
}

fn formatter(names: &Names) -> IntelFormatter {
    let mut formatter = IntelFormatter::with_options(Some(Box::new(names.clone())), None);
    let options = formatter.options_mut();
    options.set_hex_prefix("0x");
    options.set_hex_suffix("");
    options.set_first_operand_char_index(10);
    options.set_space_after_operand_separator(true);
    options.set_rip_relative_addresses(false);
    options.set_show_branch_size(false);
    options.set_signed_immediate_operands(true);
    formatter
}

/// The names of places: `.L3` of code, `.C1` of constants.
#[derive(Clone)]
struct Names(BTreeMap<u64, String>);

impl Names {
    fn of(instructions: &[Instruction], end: usize) -> Self {
        let mut places: Vec<u64> = instructions.iter().filter_map(target).collect();
        places.sort_unstable();
        places.dedup();
        let (code, constants): (Vec<u64>, Vec<u64>) = places.into_iter().partition(|place| *place < end as u64);
        let named = |letter: char| move |(k, place)| (place, format!(".{letter}{k}"));
        let code = code.into_iter().enumerate().map(named('L'));
        Names(code.chain(constants.into_iter().enumerate().map(named('C'))).collect())
    }

    /// The constants behind the code, each as many as it is long.
    fn constants(&self, bytes: &[u8], start: usize, dtype: DType) -> Vec<CodeLine> {
        let places: Vec<(&u64, &String)> = self.0.range(start as u64..bytes.len() as u64).collect();
        let line = |(k, (place, name)): (usize, &(&u64, &String))| {
            let end = places.get(k + 1).map_or(bytes.len(), |(next, _)| **next as usize);
            CodeLine { text: format!("{name}: {}", numbers(&bytes[**place as usize..end], dtype)), place: None }
        };
        places.iter().enumerate().map(line).collect()
    }
}

impl SymbolResolver for Names {
    fn symbol(&mut self, _: &Instruction, _: u32, _: Option<u32>, address: u64, _: u32) -> Option<SymbolResult<'_>> {
        self.0.get(&address).map(|name| SymbolResult::with_str(address, name))
    }
}

/// The place that an instruction jumps to or reads.
fn target(instruction: &Instruction) -> Option<u64> {
    if instruction.op0_kind() == OpKind::NearBranch64 {
        Some(instruction.near_branch_target())
    } else {
        instruction.is_ip_rel_memory_operand().then(|| instruction.ip_rel_memory_address())
    }
}

/// Bytes as numbers: `4 × 0.125`. What is very small, as integers are that are read as floats, has an exponent.
fn numbers(bytes: &[u8], dtype: DType) -> String {
    let all: Vec<String> = match dtype {
        DType::F64 => bytes.as_chunks().0.iter().map(|bytes| number(f64::from_le_bytes(*bytes))).collect(),
        DType::F32 | DType::I32 | DType::Bool => {
            bytes.as_chunks().0.iter().map(|bytes| number(f32::from_le_bytes(*bytes))).collect()
        }
    };
    let mut runs: Vec<(&str, usize)> = Vec::new();
    for number in &all {
        match runs.last_mut() {
            Some((last, count)) if last == number => *count += 1,
            _ => runs.push((number, 1)),
        }
    }
    let runs = runs.iter().map(|(number, n)| if *n > 1 { format!("{n} × {number}") } else { (*number).to_owned() });
    runs.collect::<Vec<_>>().join(", ")
}

/// `0.125`, `1`, `1e-45`.
fn number(value: impl Debug) -> String {
    let text = format!("{value:?}");
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use schur::compiler::codegen::MachineCode;

    use super::*;

    #[test]
    fn constants_are_short() {
        let bytes: Vec<u8> = [1.0, -0.125, 1e-45, 1e30].into_iter().flat_map(f32::to_le_bytes).collect();
        assert_eq!(numbers(&bytes, DType::F32), "1, -0.125, 1e-45, 1e30");
    }

    #[test]
    fn jumps_and_constants_have_names() {
        // dec rdi; jne -5; vmulps xmm0, xmm0, [rip]; the constant.
        let code = [0x48, 0xff, 0xcf, 0x75, 0xfb, 0xc5, 0xf8, 0x59, 0x05, 0, 0, 0, 0];
        let bytes: Vec<u8> = code.into_iter().chain([0.125f32; 4].into_iter().flat_map(f32::to_le_bytes)).collect();
        let machine = MachineCode { bytes, align: 16, calls: Vec::new() };
        let kernel = KernelCode { name: "k".into(), machine, ..KernelCode::default() };
        let listing = Listing { instructions: code.len(), asm: "listing".into(), ..Listing::default() };
        let lines: Vec<String> = lines(&kernel, &listing, DType::F32).into_iter().map(|line| line.text).collect();
        if std::env::consts::ARCH == "x86_64" {
            let wanted =
                [".L0:", "    dec       rdi", "    jne       .L0", "    vmulps    xmm0, xmm0, [.C0]", ".C0: 4 × 0.125"];
            assert_eq!(lines, wanted);
        } else {
            assert_eq!(lines, ["listing"]);
        }
    }
}
