//! Printing.

use std::cmp::Reverse;
use std::fmt::{self, Display, Formatter};

use super::{Letter, Name, Quoted};
use crate::graph::{
    Axis, Contract, Graph, Init, Map, Node, Op, Operand, Output, OutputKind, Param, Path, Requirement, RowMap, Segment,
};
use crate::ty::DisplayDims;

impl Display for Graph {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "graph {}", Quoted(&self.name))?;
        if !self.nodes.is_empty() {
            writeln!(f)?;
        }
        for (value, node) in self.values() {
            writeln!(f, "{value}: {node}")?;
        }
        if !self.requirements.is_empty() || !self.outputs.is_empty() {
            writeln!(f)?;
        }
        self.requirements.iter().try_for_each(|requirement| writeln!(f, "{requirement}"))?;
        self.outputs.iter().try_for_each(|output| writeln!(f, "{output}"))
    }
}

impl Display for Node {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.ty, self.op)?;
        write_layer(f, &self.layer)?;
        if let Op::Contract(contract) = &self.op {
            contract.paths.iter().try_for_each(|path| write!(f, "\n    {path}"))?;
        }
        Ok(())
    }
}

fn write_layer(f: &mut Formatter<'_>, layer: &str) -> fmt::Result {
    if layer.is_empty() { Ok(()) } else { write!(f, "  ; {}", Name(layer)) }
}

/// The op on one line: a contraction without its paths.
impl Display for Op {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Op::Input(name) => write!(f, "input {}", Quoted(name)),
            Op::Param(param) => write!(f, "param {param}"),
            Op::Contract(contract) => write_contract(f, contract),
            Op::Map(map) => write_map(f, map),
            Op::Max(max) => write!(f, "max {} keep {}", max.value, max.keep),
            Op::Reshape(value) => write!(f, "reshape {value}"),
        }
    }
}

impl Display for Param {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {}", Quoted(&self.name), self.shape, self.init)
    }
}

impl Display for Init {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Init::Constant(value) => write!(f, "constant({value})"),
            Init::Normal { mean, std } => write!(f, "normal({mean}, {std})"),
            Init::Uniform { low, high } => write!(f, "uniform({low}, {high})"),
            Init::TruncatedNormal { mean, std } => write!(f, "truncated_normal({mean}, {std})"),
        }
    }
}

fn write_contract(f: &mut Formatter<'_>, contract: &Contract) -> fmt::Result {
    f.write_str("contract ")?;
    write_list(f, &contract.operands)?;
    let gap = if contract.operands.is_empty() { "" } else { " " };
    write!(f, "{gap}over {}", DisplayDims(&contract.rows))?;
    if !contract.out.is_identity(contract.rows.len()) {
        write!(f, " into {}", contract.out)?;
    }
    if contract.divisor.is_one() { Ok(()) } else { write!(f, " / {}", contract.divisor) }
}

fn write_map(f: &mut Formatter<'_>, map: &Map) -> fmt::Result {
    write!(f, "map {}", map.expr)?;
    if map.operands.is_empty() {
        return Ok(());
    }
    f.write_str(" of ")?;
    write_list(f, &map.operands)
}

fn write_list(f: &mut Formatter<'_>, list: &[impl Display]) -> fmt::Result {
    list.iter().enumerate().try_for_each(|(k, item)| write!(f, "{}{item}", if k > 0 { ", " } else { "" }))
}

/// `%2[0, _]`.
impl Display for Operand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.value, self.map)
    }
}

/// `[0, _]`: the axis of the rows of every leading axis, `_` for an axis of size 1; `[%1[0]<4, 1]` where the first axis
/// is picked by an index.
impl Display for RowMap {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        if let Some(index) = &self.index {
            let gap = if self.axes.is_empty() { "" } else { ", " };
            write!(f, "{}[", index.value)?;
            write_axes(f, &index.axes)?;
            write!(f, "]<{}{gap}", index.size)?;
        }
        write_axes(f, &self.axes)?;
        f.write_str("]")
    }
}

fn write_axes(f: &mut Formatter<'_>, axes: &[Option<usize>]) -> fmt::Result {
    axes.iter().enumerate().try_for_each(|(k, axis)| {
        f.write_str(if k > 0 { ", " } else { "" })?;
        match axis {
            Some(axis) => write!(f, "{axis}"),
            None => f.write_str("_"),
        }
    })
}

/// `0.5 x0@8(u i) x1@0(u v) -> @4(v i) for u=8 v=4 i=3`.
impl Display for Path {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let one = 1f64.to_bits();
        if self.coefficient.0.to_bits() != one {
            write!(f, "{} ", self.coefficient)?;
        }
        for factor in &self.factors {
            write!(f, "x{}", factor.operand)?;
            write_segment(f, &factor.segment, &self.axes)?;
            f.write_str(" ")?;
        }
        f.write_str("-> ")?;
        write_segment(f, &self.out, &self.axes)?;
        if !self.axes.is_empty() {
            f.write_str(" for")?;
        }
        self.axes.iter().try_for_each(|axis| write!(f, " {}={}", Letter(axis.letter), axis.size))
    }
}

/// The axes that the segment has, outermost first. A stride is shown where it is not what the axes behind it take.
fn write_segment(f: &mut Formatter<'_>, segment: &Segment, axes: &[Axis]) -> fmt::Result {
    write!(f, "@{}", segment.offset)?;
    let mut present: Vec<(&Axis, usize)> =
        axes.iter().zip(segment.strides.iter().copied()).filter(|(_, stride)| *stride != 0).collect();
    present.sort_by_key(|(axis, stride)| Reverse((*stride, axis.size)));
    if present.is_empty() {
        return Ok(());
    }
    f.write_str("(")?;
    for (k, (axis, stride)) in present.iter().enumerate() {
        write!(f, "{}{}", if k > 0 { " " } else { "" }, Letter(axis.letter))?;
        let contiguous = present.get(k.saturating_add(1)).map_or(Some(1), |(next, inner)| inner.checked_mul(next.size));
        if contiguous != Some(*stride) {
            write!(f, "*{stride}")?;
        }
    }
    f.write_str(")")
}

impl Display for Requirement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("require ")?;
        let layer = match self {
            Requirement::IndexBelow { input, bound, layer } => {
                write!(f, "index {} < {bound}", Quoted(input))?;
                layer
            }
            Requirement::NotEmpty { dims, layer } => {
                write!(f, "rows {}", DisplayDims(dims))?;
                layer
            }
            Requirement::AnyTrue { input, layer } => {
                write!(f, "any {}", Quoted(input))?;
                layer
            }
        };
        write_layer(f, layer)
    }
}

impl OutputKind {
    /// Every kind of output.
    pub const ALL: [OutputKind; 3] = [OutputKind::Output, OutputKind::Statistic, OutputKind::Gradient];

    /// The name in the text form.
    pub fn name(self) -> &'static str {
        match self {
            OutputKind::Output => "output",
            OutputKind::Statistic => "statistic",
            OutputKind::Gradient => "gradient",
        }
    }
}

impl Display for Output {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} = {}", self.kind.name(), Quoted(&self.name), self.value)?;
        self.shape.as_ref().map_or(Ok(()), |shape| write!(f, " as {shape:?}"))
    }
}
