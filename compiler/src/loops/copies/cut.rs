//! Sums over rows, cut where some of their elements are known in an earlier pass over the rows than others.
//!
//! The statistics of a batch norm are one value: mean squares of what is there as it is, and of scalars without their mean, which
//! is known a pass later. Apart, the former are summed where the rows that they are of are made, and at hand.

#![expect(clippy::indexing_slicing, reason = "places are of a verified graph, and of lists made for it")]

use std::ops::Range;

use schur_ir::dim::Dim;
use schur_ir::graph::{Contract, Graph, Node, Op, Operand, Path, RowMap};
use schur_ir::irreps::Irreps;
use schur_ir::ty::Type;

use super::sums::Passes;
use super::{Packed, Rebuild, drop_unread};
use crate::loops::reads::{is_own_row, root};

/// The graph with such sums cut.
pub(in crate::loops) fn by_passes(graph: &Graph) -> Packed {
    let passes = Passes::new(graph);
    let mut rebuild = Rebuild::new(graph);
    for (_, node) in graph.values() {
        let parts = if let Op::Contract(contract) = &node.op { parts(graph, &passes, contract) } else { None };
        let op = node.op.map_reads(|v| rebuild.moved(v));
        let op = match (op, parts) {
            (Op::Contract(contract), Some(parts)) => joined(&mut rebuild, node, &contract, &parts),
            (op, _) => op,
        };
        rebuild.keep(op, node);
    }
    rebuild.finish(graph)
}

/// What is summed together: elements of the sum, and the places of the paths that write them.
struct Part {
    elements: Range<usize>,
    paths: Vec<usize>,
}

/// The parts of a sum over all rows by the pass in which their terms are known, where these write elements of their own and all but
/// the last are of rows that are made then; `None` where it is one part.
fn parts(graph: &Graph, passes: &Passes<'_>, contract: &Contract) -> Option<Vec<Part>> {
    if contract.rows.is_empty() || contract.out != RowMap::shared() {
        return None;
    }
    let operands = |path: &Path| path.factors.iter().map(|f| &contract.operands[f.operand]).collect::<Vec<_>>();
    let known = |path: &Path| operands(path).iter().map(|o| passes.before(o.value)).max().unwrap_or(0);
    let mut all: Vec<usize> = contract.paths.iter().map(known).collect();
    let of_path = all.clone();
    all.sort_unstable();
    all.dedup();
    let (last, earlier) = all.split_last().filter(|(_, earlier)| !earlier.is_empty())?;
    let part = |pass: &usize| {
        let paths: Vec<usize> = (0..of_path.len()).filter(|&k| of_path[k] == *pass).collect();
        let hulls = paths.iter().map(|&k| contract.paths[k].out.hull(&contract.paths[k].axes));
        let elements = hulls.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end)).unwrap_or(0..0);
        Part { elements, paths }
    };
    let is_made = |operand: &&Operand| {
        let op = &graph.node(root(graph, operand.value)).op;
        is_own_row(graph, &contract.rows, operand) && matches!(op, Op::Contract(_) | Op::Map(_))
    };
    let at_hand = |part: &Part| part.paths.iter().all(|&k| operands(&contract.paths[k]).iter().all(is_made));
    let mut parts: Vec<Part> = earlier.iter().map(part).collect();
    let fits = parts.iter().all(at_hand);
    parts.push(part(last));
    let are_apart = parts.iter().enumerate().all(|(k, a)| {
        parts[..k].iter().all(|b| a.elements.end <= b.elements.start || b.elements.end <= a.elements.start)
    });
    (fits && are_apart).then_some(parts)
}

/// The sum as a copy of its parts, which are values of their own.
fn joined(rebuild: &mut Rebuild, node: &Node, contract: &Contract, parts: &[Part]) -> Op {
    let (mut operands, mut paths) = (Vec::new(), Vec::new());
    for Part { elements, paths: of } in parts {
        let mut part = Contract { paths: of.iter().map(|&k| contract.paths[k].clone()).collect(), ..contract.clone() };
        part.paths.iter_mut().for_each(|path| path.out.offset -= elements.start);
        drop_unread(&mut part);
        let ty = Type::new(Vec::new(), Irreps::scalars(elements.len()), node.ty.dtype);
        let value = rebuild.copy(Op::Contract(part), ty, node);
        paths.push(Path::run(elements.len(), [(operands.len(), 0)], elements.start));
        operands.push(Operand { value, map: RowMap::shared() });
    }
    Op::Contract(Contract { rows: Vec::new(), operands, out: RowMap::shared(), divisor: Dim::one(), paths })
}

#[cfg(test)]
mod tests {
    use crate::loops::lowered;

    /// The statistics of a batch norm of a linear layer's output.
    const STATISTICS: &str = r#"graph "statistics"

%0: f32[N] 8x0e+8x1o = input "x"
%1: f32[] 64x0e = param "params/w" [8, 8] normal(0, 1)
%2: f32[N] 8x0e+8x1o = contract %0[0], %1[] over [N]
    x0@0(u) x1@0(u v) -> @0(v) for v=8 u=8
    x0@8(u i) x1@0(u v) -> @8(v i) for v=8 i=3 u=8
%3: f32[] 8x0e = contract %2[0] over [N] into [] / N
    x0@0(v) -> @0(v) for v=8
%4: f32[N] 8x0e = contract %2[0], %3[] over [N]
    x0@0(v) -> @0(v) for v=8
    -1 x1@0(v) -> @0(v) for v=8
%5: f32[] 16x0e = contract %2[0], %4[0] over [N] into [] / N
    x1@0(v) x1@0(v) -> @0(v) for v=8
    x0@8(v i) x0@8(v i) -> @8(v) for v=8 i=3

output "statistics" = %5
"#;

    /// The kernels over rows, as text.
    fn passes(text: &str) -> Vec<String> {
        let loops = lowered(text).to_string();
        loops.split("  kernel ").filter(|kernel| kernel.contains("rows [N]")).map(str::to_owned).collect()
    }

    #[test]
    fn what_is_known_earlier_is_summed_earlier() {
        let sums = passes(STATISTICS).iter().map(|pass| pass.matches("+=").count()).collect::<Vec<_>>();
        assert_eq!(sums, [2, 1]);
    }

    #[test]
    fn sums_of_the_callers_rows_are_one() {
        let (head, tail) = STATISTICS.split_once("%1:").expect("there are weights");
        let (_, tail) = tail.split_once("%3:").expect("there is a mean");
        let renamed = [("%2", "%0"), ("%3", "%1"), ("%4", "%2"), ("%5", "%3")];
        let text = renamed.iter().fold(format!("{head}%3:{tail}"), |text, (from, to)| text.replace(from, to));
        let sums = passes(&text).iter().map(|pass| pass.matches("+=").count()).collect::<Vec<_>>();
        assert_eq!(sums, [1, 2]);
    }
}
