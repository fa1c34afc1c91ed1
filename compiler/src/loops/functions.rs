//! Maps with functions that take many instructions, which micro-kernels compute.

#![expect(clippy::indexing_slicing, reason = "places are of the statements of a kernel")]

use schur_ir::expr::{Expr, Unary};
use schur_ir::micro::{self, MAX_MAP_ARRAYS, MAX_MAP_PARTS, Micro};
use schur_ir::ty::DType;

use super::chosen::place;
use super::strides::is_regular;
use super::{Access, Kernel, MapStmt, MicroCall, RowAddress, Stmt, Together};

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

/// Chooses the maps of a kernel, of those that no other micro-kernel does: by themselves, or several that follow each other and
/// compute functions of the same operands, which share what these are made of.
pub(super) fn functions(kernel: &mut Kernel, dtype: DType, micros: &mut Vec<Micro>) {
    let mut start = 0;
    while start < kernel.body.len() {
        let (count, found) = longest(kernel, start, dtype);
        if let Some((micro, arrays)) = found {
            let micro = place(micros, micro);
            if count == 1
                && let Stmt::Map(map) = &mut kernel.body[start]
            {
                let arrays = (0..=map.operands.len()).collect();
                map.call = Some(MicroCall { micro, arrays, outer: Vec::new(), by_row: false, first: None });
            } else {
                let statements = start..start + count;
                kernel.do_together(Together { statements, micro, arrays, divisor: None, beyond_caches: None });
            }
        }
        start += count;
    }
}

/// From a statement on, as many maps as one micro-kernel computes, and that one; one statement where it computes none.
fn longest(kernel: &Kernel, start: usize, dtype: DType) -> (usize, Option<(Micro, Vec<Access>)>) {
    let mut maps: Vec<&MapStmt> = Vec::new();
    let mut found = (1, None);
    for (k, stmt) in kernel.body.iter().enumerate().skip(start) {
        let Stmt::Map(map) = stmt else { break };
        let is_like = |first: &&MapStmt| first.operands == map.operands && first.count == map.count;
        maps.push(map);
        let is_free = maps.first().is_some_and(is_like) && kernel.together_with(k).is_none();
        match function_of(&maps, dtype).filter(|_| is_free) {
            Some(of) => found = (maps.len(), Some(of)),
            None => break,
        }
    }
    found
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
