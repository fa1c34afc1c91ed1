//! Elementwise values that are only added to others are added where these are computed.
//!
//! `t = x s` and `y = t + z r` go through `t`'s memory; as `y = x s + z r` they do not.

#![expect(clippy::indexing_slicing, reason = "places are of a verified graph, and of lists made for it")]

use schur_ir::expr::Scalar;
use schur_ir::graph::{Contract, Graph, Node, Op, Operand, Path, ValueId};
use schur_ir::ty::DType;

use super::sums::within;
use super::{Packed, Rebuild, drop_unread};
use crate::loops::reads::{is_own_row, outputs, writes_own_row};
use crate::loops::schedule::Schedule;
use crate::loops::storage::Storage;

/// A value that more readers than this have is computed once.
const MAX_READERS: usize = 2;

/// The graph in which sums read through elementwise values of their own kernel that nobody needs otherwise; `None` where
/// there is none.
pub(in crate::loops) fn read_through(graph: &Graph, schedule: &Schedule, _: &Storage) -> Option<Packed> {
    let (readers, outputs) = (readers(graph), outputs(graph));
    let is_inlined = |(value, _): (ValueId, &Node)| {
        !outputs[value.index()] && is_inlined(graph, schedule, value, &readers[value.index()])
    };
    let inlined: Vec<bool> = graph.values().map(is_inlined).collect();
    if !inlined.contains(&true) {
        return None;
    }
    let mut ops: Vec<Op> = graph.nodes.iter().map(|node| node.op.clone()).collect();
    let mut rebuild = Rebuild::new(graph);
    for (value, node) in graph.values() {
        if let Op::Contract(contract) = &ops[value.index()] {
            let mut contract = contract.clone();
            for operand in 0..contract.operands.len() {
                let of = contract.operands[operand].value;
                // What was put into it before may have axes that this one's reads cut.
                if let (true, Op::Contract(written)) = (inlined[of.index()], &ops[of.index()])
                    && is_added(graph, &contract, of, written)
                    && holds_products(&contract, operand, written, node.ty.dtype)
                {
                    add_terms(&mut contract, operand, written);
                }
            }
            drop_unread(&mut contract);
            ops[value.index()] = Op::Contract(contract);
        }
        let op = ops[value.index()].map_reads(|v| rebuild.moved(v));
        rebuild.keep(op, node);
    }
    Some(rebuild.finish(graph))
}

/// For every value, those that read it.
fn readers(graph: &Graph) -> Vec<Vec<ValueId>> {
    let mut readers: Vec<Vec<ValueId>> = vec![Vec::new(); graph.nodes.len()];
    for (reader, node) in graph.values() {
        for read in node.op.reads() {
            let of = &mut readers[read.index()];
            if of.last() != Some(&reader) {
                of.push(reader);
            }
        }
    }
    readers
}

/// True for a value that few sums of its kernel read, and nobody else.
fn is_inlined(graph: &Graph, schedule: &Schedule, value: ValueId, readers: &[ValueId]) -> bool {
    let node = graph.node(value);
    let Op::Contract(written) = &node.op else { return false };
    let kernel = schedule.kernel_of[value.index()];
    if kernel.is_none() || written.rows.is_empty() || !written.divisor.is_one() || !writes_own_row(node) {
        return false;
    }
    let adds = |reader: &ValueId| {
        let node = graph.node(*reader);
        let Op::Contract(contract) = &node.op else { return false };
        let rows = contract.rows == written.rows && contract.divisor.is_one() && writes_own_row(node);
        rows && schedule.kernel_of[reader.index()] == kernel && is_added(graph, contract, value, written)
    };
    let few = !readers.is_empty() && readers.len() <= MAX_READERS;
    few && !written.paths.iter().any(|path| path.out.sums(&path.axes)) && readers.iter().all(adds)
}

/// True where a contraction reads a value in runs of neighbours alone, and no run cuts what a term of
/// the value writes, unless that is a run too.
fn is_added(graph: &Graph, contract: &Contract, value: ValueId, written: &Contract) -> bool {
    let reads = |path: &Path| path.factors.iter().any(|f| contract.operands[f.operand].value == value);
    let is_own = |operand: &Operand| operand.value != value || is_own_row(graph, &contract.rows, operand);
    let fits = |path: &Path| {
        let is_run = path.factors.len() == 1 && path.axes.len() == 1;
        is_run && path.factors[0].segment.strides[..] == [1] && path.out.strides[..] == [1] && {
            let read = path.factors[0].segment.hull(&path.axes);
            written.paths.iter().all(|term| {
                let hull = term.out.hull(&term.axes);
                let is_inside = read.start <= hull.start && hull.end <= read.end;
                is_inside || hull.end <= read.start || read.end <= hull.start || term.out.strides[..] == [1]
            })
        }
    };
    contract.operands.iter().all(is_own) && contract.paths.iter().filter(|path| reads(path)).all(fits)
}

/// True where the type holds the coefficients that terms get which are put in the place of the paths that read them.
fn holds_products(contract: &Contract, operand: usize, written: &Contract, dtype: DType) -> bool {
    let mut reading = contract.paths.iter().filter(|path| path.factors[0].operand == operand);
    reading.all(|path| written.paths.iter().all(|term| dtype.holds(term.coefficient.0 * path.coefficient.0)))
}

/// Puts the terms that make an operand in the place of the paths that read it.
fn add_terms(contract: &mut Contract, operand: usize, written: &Contract) {
    let base = contract.operands.len();
    contract.operands.extend(written.operands.iter().cloned());
    let (reading, mut paths): (Vec<Path>, Vec<Path>) =
        std::mem::take(&mut contract.paths).into_iter().partition(|path| path.factors[0].operand == operand);
    for path in reading {
        let read = path.factors[0].segment.hull(&path.axes);
        for mut term in written.paths.iter().filter_map(|term| within(term, &read)) {
            term.coefficient = Scalar(term.coefficient.0 * path.coefficient.0);
            term.out.offset = term.out.offset - read.start + path.out.offset;
            term.factors.iter_mut().for_each(|factor| factor.operand += base);
            paths.push(term);
        }
    }
    contract.paths = paths;
}

#[cfg(test)]
mod tests {
    use crate::loops::lowered;

    /// `y = c x + z` row by row, with `c` divided by the number of rows; half of `c x` is added again elsewhere.
    const SUMS: &str = r#"graph "sums"

%0: f32[N] 8x0e = input "x"
%1: f32[N] 8x0e = input "z"
%2: f32[] 8x0e = param "params/c" [8] constant(1)
%3: f32[N] 8x0e = contract %0[0], %2[] over [N] / N
    x0@0(v) x1@0(v) -> @0(v) for v=4
    x0@4(v) x1@4(v) -> @4(v) for v=4
%4: f32[N] 8x0e = contract %3[0], %1[0] over [N]
    x0@0(v) -> @0(v) for v=8
    x1@0(v) -> @0(v) for v=8
%5: f32[N] 4x0e = contract %3[0], %1[0] over [N]
    2 x0@0(v) -> @0(v) for v=4
    x1@4(v) -> @0(v) for v=4

output "y" = %4
output "w" = %5
"#;

    #[test]
    fn what_is_only_added_has_no_memory() {
        let loops = lowered(SUMS);
        assert!(loops.kernels.iter().all(|kernel| kernel.scratch.is_empty()), "{loops}");
        assert_eq!(loops.kernels.iter().filter(|kernel| !kernel.rows.is_empty()).count(), 1, "{loops}");
    }

    #[test]
    fn what_is_multiplied_is_computed_once() {
        let text = SUMS.replace("2 x0@0(v) -> @0", "2 x0@0(v) x1@0(v) -> @0");
        let loops = lowered(&text);
        assert!(loops.kernels.iter().any(|kernel| !kernel.scratch.is_empty()), "{loops}");
    }
}
