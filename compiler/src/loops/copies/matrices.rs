//! Matrices that rows have of their own, exchanged so that vectors run along their columns.
//!
//! External weights are mixed to a matrix `m[u, v]` for every row of a tile. A layer multiplies rows by it, its gradient by its
//! exchange: `Σ_v m[u, v] y[v]`, where vectors run along `u`, whose elements lie apart.

#![expect(clippy::indexing_slicing, reason = "places are of a verified graph, and of lists made for it")]

use schur_ir::dim::Dim;
use schur_ir::expr::Scalar;
use schur_ir::graph::{Axis, Contract, Factor, Graph, Op, Operand, Path, RowMap, Segment, ValueId};
use schur_ir::irreps::Irreps;
use schur_ir::ty::{DType, Type};
use smallvec::smallvec;

use super::{Known, Packed, reading_copies};
use crate::loops::columns::{WIDE, are_columns};
use crate::loops::reads::{is_own_row, writes_own_row};
use crate::loops::schedule::Schedule;
use crate::loops::storage::Storage;

/// The graph with a copy of every such matrix; `None` where there is none. Kernels share their copies.
pub(in crate::loops) fn exchange(graph: &Graph, schedule: &Schedule, _: &Storage) -> Option<Packed> {
    let mut known = Known::new();
    reading_copies(graph, |rebuild, (value, node), (old, new)| {
        if !writes_own_row(node) {
            return;
        }
        let kernel = schedule.kernel_of[value.index()];
        for (k, path) in old.paths.iter().enumerate() {
            let Some(read) = Read::of(graph, old, path) else { continue };
            let copy = *known.entry((kernel, read.matrix.clone())).or_insert_with(|| {
                let (copy, ty) = read.matrix.exchanged(rebuild.moved(read.matrix.value), &old.rows, node.ty.dtype);
                rebuild.copy_of_rows(Op::Contract(copy), ty, node)
            });
            read.replace(new, k, copy);
        }
    })
}

/// A matrix in every row of a value.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Matrix {
    value: ValueId,
    offset: usize,
    rows: usize,
    columns: usize,
}

impl Matrix {
    /// The copy of its rows and columns exchanged.
    fn exchanged(&self, value: ValueId, rows: &[Dim], dtype: DType) -> (Contract, Type) {
        let segment = |offset, strides: [usize; 2]| Segment { offset, strides: smallvec![strides[0], strides[1]] };
        let path = Path {
            coefficient: Scalar(1.0),
            axes: smallvec![Axis { letter: 'u', size: self.rows }, Axis { letter: 'v', size: self.columns }],
            factors: smallvec![Factor { operand: 0, segment: segment(self.offset, [self.columns, 1]) }],
            out: segment(0, [1, self.rows]),
        };
        let identity = RowMap::identity(rows.len());
        let ty = Type::new(rows.to_vec(), Irreps::scalars(self.rows * self.columns), dtype);
        let operands = vec![Operand { value, map: identity.clone() }];
        (Contract { rows: rows.to_vec(), operands, out: identity, divisor: Dim::one(), paths: vec![path] }, ty)
    }
}

/// A path's factor that is a matrix, whose rows are the columns of the product.
struct Read {
    matrix: Matrix,
    factor: usize,
    /// The axis of its rows, and that of its columns.
    axes: [usize; 2],
}

impl Read {
    /// Where both factors are of the row, so that no copy of a matrix serves several, and vectors can run along nothing else.
    fn of(graph: &Graph, contract: &Contract, path: &Path) -> Option<Read> {
        let own = |f: &Factor| is_own_row(graph, &contract.rows, &contract.operands[f.operand]);
        if contract.rows.is_empty() || path.factors.len() != 2 || !path.factors.iter().all(own) {
            return None;
        }
        let has_columns = [[0, 1], [1, 0]].into_iter().any(|[a, b]| {
            let [a, b] = [a, b].map(|k| &path.factors[k].segment.strides);
            let size = |k: usize| path.axes[k].size;
            let fits =
                |k: usize| size(k) >= WIDE && b[k] == 1 && are_columns(size(k), [path.out.strides[k], a[k], b[k]]);
            (0..path.axes.len()).any(fits)
        });
        if has_columns {
            return None;
        }
        [[0, 1], [1, 0]].into_iter().find_map(|[factor, other]| Self::of_factor(contract, path, factor, other))
    }

    fn of_factor(contract: &Contract, path: &Path, factor: usize, other: usize) -> Option<Read> {
        let Factor { operand, segment } = &path.factors[factor];
        let strides = &path.factors[other].segment.strides;
        let column =
            (0..path.axes.len()).find(|&k| segment.strides[k] == 1 && strides[k] > 0 && path.out.strides[k] == 0)?;
        let columns = path.axes[column].size;
        let is_row = |k: &usize| {
            segment.strides[*k] == columns && strides[*k] == 0 && path.out.strides[*k] > 0 && path.axes[*k].size >= WIDE
        };
        let row = (0..path.axes.len()).find(is_row)?;
        let is_whole = (0..path.axes.len()).all(|k| k == row || k == column || segment.strides[k] == 0);
        let value = contract.operands[*operand].value;
        let matrix = Matrix { value, offset: segment.offset, rows: path.axes[row].size, columns };
        (columns >= WIDE && is_whole).then_some(Read { matrix, factor, axes: [row, column] })
    }

    /// Makes path `k` read the copy.
    fn replace(&self, contract: &mut Contract, k: usize, copy: ValueId) {
        let operand = contract.operands.len();
        contract.operands.push(Operand { value: copy, map: RowMap::identity(contract.rows.len()) });
        let Factor { operand: of, segment } = &mut contract.paths[k].factors[self.factor];
        let [row, column] = self.axes;
        (*of, segment.offset) = (operand, 0);
        (segment.strides[row], segment.strides[column]) = (1, self.matrix.rows);
    }
}

#[cfg(test)]
mod tests {
    use crate::loops::lowered;

    /// Products by a matrix of every row, and by its exchange.
    const PRODUCTS: &str = r#"graph "products"

%0: f32[N] 3x0e = input "e"
%1: f32[] 1440x0e = param "params/w" [3, 24, 20] normal(0, 1)
%2: f32[N] 24x0e = input "x"
%3: f32[N] 20x0e = input "y"
%4: f32[N] 480x0e = contract %0[0], %1[] over [N]
    x0@0(d) x1@0(d v) -> @0(v) for v=480 d=3
%5: f32[N] 20x0e = contract %4[0], %2[0] over [N]
    x0@0(u v) x1@0(u) -> @0(v) for v=20 u=24
%6: f32[N] 24x0e = contract %4[0], %3[0] over [N]
    x0@0(u v) x1@0(v) -> @0(u) for u=24 v=20

output "there" = %5
output "back" = %6
"#;

    #[test]
    fn a_matrix_is_exchanged_where_vectors_run_along_its_rows() {
        let loops = lowered(PRODUCTS);
        let text = loops.to_string();
        let exchanged = "t1[row][u + 24v] = t0[row][20u + v]  for u<24 v<20  by micro-kernel";
        let [there, back] = ["t0[row][v + 20u]", "t1[row][u + 24v]"];
        assert!([exchanged, there, back].iter().all(|part| text.contains(part)), "{text}");
        assert_eq!(loops.kernels.iter().flat_map(|kernel| &kernel.body).count(), 4, "{text}");
    }

    #[test]
    fn components_are_too_few_for_vectors() {
        let vectors =
            PRODUCTS.replace("20x0e = input", "20x1o = input").replace("%6: f32[N] 24x0e", "%6: f32[N] 24x1o");
        let vectors = vectors.replace("x1@0(v) -> @0(u) for u=24 v=20", "x1@0(v i) -> @0(u i) for u=24 v=20 i=3");
        let text = lowered(&vectors).to_string();
        assert!(text.contains("t1[row][u + 24v] = t0[row][20u + v]"), "{text}");
    }

    #[test]
    fn matrices_that_rows_share_stay() {
        let shared =
            PRODUCTS.replace("f32[N] 3x0e", "f32[] 3x0e").replace("%0[0], %1[] over [N]", "%0[], %1[] over []");
        let shared = shared.replace("%4: f32[N]", "%4: f32[]").replace("%4[0]", "%4[]");
        let text = lowered(&shared).to_string();
        assert!(!text.contains("[row][u + 24v]"), "{text}");
    }
}
