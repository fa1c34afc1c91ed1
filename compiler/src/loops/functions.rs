//! Maps with functions that take many instructions, which micro-kernels compute.

#![expect(clippy::indexing_slicing, reason = "places are of the statements of a kernel")]

use schur_ir::expr::{Expr, Unary};
use schur_ir::micro::{self, MAX_MAP_ARRAYS, MAX_MAP_PARTS, Micro};
use schur_ir::ty::DType;

use super::chosen::{Chosen, place};
use super::strides::is_regular;
use super::{Access, MapStmt, RowAddress, Stmt, Together};

/// The map by a micro-kernel, where it computes functions that take many instructions.
pub(super) fn function(map: &MapStmt, dtype: DType) -> Option<Chosen> {
    let (micro, _) = function_of(&[map], dtype)?;
    Some(Chosen { micro, arrays: (0..=map.operands.len()).collect(), outer: Vec::new(), by_row: false })
}

/// The micro-kernel that computes functions of the same operands, and its arrays.
fn function_of(maps: &[&MapStmt], dtype: DType) -> Option<(Micro, Vec<Access>)> {
    let first = maps.first()?;
    let floats = first.operands.iter().all(|(_, of)| *of == dtype);
    let exprs: Vec<Expr> = maps.iter().map(|map| map.expr.clone()).collect();
    let arrays = maps.iter().map(|map| &map.out).chain(first.operands.iter().map(|(access, _)| access));
    let arrays: Vec<Access> = arrays.cloned().collect();
    let is_small = arrays.len() <= MAX_MAP_ARRAYS && micro::Map::parts(&exprs) <= MAX_MAP_PARTS;
    if !floats || !is_small || !exprs.iter().all(is_costly) || !arrays.iter().all(is_regular) {
        return None;
    }
    let rows = arrays.iter().map(|a| if a.row == RowAddress::Row { a.width } else { 0 }).collect();
    Some((Micro::Map(micro::Map { dtype, exprs, rows, count: first.count }), arrays))
}

/// Maps that follow each other and compute functions of the same operands, which share what these are made of.
pub(super) fn functions(body: &[Stmt], dtype: DType, micros: &mut Vec<Micro>) -> Vec<Together> {
    let mut all = Vec::new();
    let mut start = 0;
    while start < body.len() {
        let mut maps: Vec<&MapStmt> = Vec::new();
        let mut found = None;
        for stmt in &body[start..] {
            let Stmt::Map(map) = stmt else { break };
            let is_like = |first: &&MapStmt| first.operands == map.operands && first.count == map.count;
            maps.push(map);
            match function_of(&maps, dtype).filter(|_| maps.first().is_some_and(is_like)) {
                Some(of) => found = Some((maps.len(), of)),
                None => break,
            }
        }
        let done = found.filter(|(count, _)| *count > 1).map_or(1, |(count, (micro, arrays))| {
            let statements = start..start + count;
            all.push(Together { statements, micro: place(micros, micro), arrays, divisor: None, beyond_caches: None });
            count
        });
        start += done;
    }
    all
}

/// True where an expression has a function that is a polynomial in machine code.
pub(super) fn is_costly(expr: &Expr) -> bool {
    match expr {
        Expr::Arg(_) | Expr::Const(_) => false,
        Expr::Unary(Unary::Exp | Unary::Tanh | Unary::Sigmoid | Unary::Softplus, _) => true,
        Expr::Unary(Unary::Neg | Unary::Abs | Unary::Sqrt, x) => is_costly(x),
        Expr::Binary(_, x, y) => is_costly(x) || is_costly(y),
        Expr::Select(c, x, y) => is_costly(c) || is_costly(x) || is_costly(y),
    }
}
