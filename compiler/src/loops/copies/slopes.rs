//! Functions of what an earlier map of the kernel has a function of are computed with it.
//!
//! The gradient of an activation is `g σ'(x)`, and `σ'(x)` is made of what `σ(x)` is. Computed beside it, what both are
//! made of is computed once (`loops/functions.rs`), and what is left to do with `g` is a product.

#![expect(clippy::indexing_slicing, reason = "places are of a verified graph, and of lists made for it")]

use std::collections::{HashMap, HashSet};

use schur_ir::expr::Expr;
use schur_ir::graph::{Graph, Map, Node, Op, Operand, RowMap, ValueId};

use super::{Packed, Rebuild};
use crate::loops::functions::is_costly;
use crate::loops::schedule::Schedule;
use crate::loops::storage::Storage;

/// The graph in which maps that are products with such a function are cut in two; `None` where there is none.
pub(in crate::loops) fn beside_functions(graph: &Graph, schedule: &Schedule, _: &Storage) -> Option<Packed> {
    let cuts: HashMap<ValueId, Cut> =
        graph.values().filter_map(|(value, _)| Some((value, Cut::new(graph, schedule, value)?))).collect();
    if cuts.is_empty() {
        return None;
    }
    let mut beside: HashMap<ValueId, Vec<ValueId>> = HashMap::new();
    for (value, _) in graph.values() {
        cuts.get(&value).iter().for_each(|cut| beside.entry(cut.beside).or_default().push(value));
    }
    let mut rebuild = Rebuild::new(graph);
    let mut functions: HashMap<ValueId, ValueId> = HashMap::new();
    for (value, node) in graph.values() {
        let mut op = node.op.map_reads(|v| rebuild.moved(v));
        if let (Op::Map(map), Some(cut)) = (&mut op, cuts.get(&value)) {
            let function = Operand { value: functions[&value], map: RowMap::identity(map.rows.len()) };
            map.operands = vec![map.operands[cut.factor].clone(), function];
            map.expr = Expr::Arg(0) * Expr::Arg(1);
        }
        let operands = if let Op::Map(map) = &op { map.operands.clone() } else { Vec::new() };
        rebuild.keep(op, node);
        for reader in beside.get(&value).into_iter().flatten() {
            let of = graph.node(*reader);
            let map = Map { rows: of.ty.dims.clone(), operands: operands.clone(), expr: cuts[reader].function.clone() };
            functions.insert(*reader, rebuild.copy(Op::Map(map), of.ty.clone(), node));
        }
    }
    Some(rebuild.finish(graph))
}

/// A map that is a product of an operand and a function of another.
struct Cut {
    /// Which operand.
    factor: usize,
    /// Of the only operand of `beside`.
    function: Expr,
    /// A map before it in the same kernel.
    beside: ValueId,
}

impl Cut {
    fn new(graph: &Graph, schedule: &Schedule, value: ValueId) -> Option<Cut> {
        let Op::Map(map) = &graph.node(value).op else { return None };
        let kernel = schedule.kernel_of[value.index()]?;
        let [_, _] = map.operands[..] else { return None };
        let (factor, function) = (0..2).find_map(|factor| Some((factor, without(&map.expr, factor)?)))?;
        let argument = &map.operands[1 - factor];
        let function = function.substitute(&|_| Expr::Arg(0));
        let shares = |(other, node): &(ValueId, &Node)| {
            let Op::Map(of) = &node.op else { return false };
            let is_there = schedule.kernel_of[other.index()] == Some(kernel) && of.rows == map.rows;
            is_there && of.operands == [argument.clone()] && has_common(&of.expr, &function)
        };
        let (beside, _) = graph.values().take(value.index()).find(shares)?;
        Some(Cut { factor, function, beside })
    }
}

/// The other factors of a product that has an operand as a factor, and nowhere else.
fn without(expr: &Expr, operand: usize) -> Option<Expr> {
    let mut factors = expr.factors();
    let at = factors.iter().position(|factor| **factor == Expr::Arg(operand))?;
    factors.remove(at);
    let rest = factors.into_iter().cloned().reduce(|a, b| a * b)?;
    (!rest.reads(operand)).then_some(rest)
}

/// True where two expressions have a function in common that takes many instructions.
fn has_common(a: &Expr, b: &Expr) -> bool {
    let [of_a, of_b] = [a, b].map(|expr| {
        let mut parts = HashSet::new();
        expr.add_parts(&mut parts);
        parts
    });
    of_a.intersection(&of_b).any(|part| is_costly(part))
}

#[cfg(test)]
mod tests {
    use schur_ir::micro::Micro;

    use crate::loops::lowered;

    #[test]
    fn a_slope_is_computed_with_its_function() {
        let text = r#"graph "slopes"

%0: f32[N] 32x0e = input "x"
%1: f32[N] 32x0e = input "g"
%2: f32[N] 32x0e = map mul(x0, sigmoid(x0)) of %0[0]
%3: f32[N] 32x0e = map mul(x1, mul(sigmoid(x0), add(sigmoid(x0), -1))) of %0[0], %1[0]

output "y" = %2
output "d x" = %3
"#;
        let loops = lowered(text);
        let maps: Vec<usize> = loops
            .micros
            .iter()
            .filter_map(|m| if let Micro::Map(m) = m { Some(m.exprs.len()) } else { None })
            .collect();
        assert_eq!(maps, [2], "{loops}");
    }
}
