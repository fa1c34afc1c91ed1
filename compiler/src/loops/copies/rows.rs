//! Rows taken apart into components, tile by tile.
//!
//! An array in memory whose components are neighbours is copied to scratch, where they are apart, if a weight's gradient
//! sums its products, or it is multiplied element by element.

use schur_ir::dim::Dim;
use schur_ir::expr::Scalar;
use schur_ir::graph::{Axis, Contract, Factor, Graph, Op, Operand, Path, RowMap, Segment, ValueId};
use schur_ir::irreps::{Irreps, MulIrrep};
use schur_ir::ty::Type;
use smallvec::smallvec;

use super::{Known, Packed, reading_copies};
use crate::loops::Layout;
use crate::loops::columns::{self, WIDE, are_columns};
use crate::loops::reads::{is_own_row, root};
use crate::loops::schedule::Schedule;
use crate::loops::storage::Storage;

/// The graph with a copy of every array in memory whose components are neighbours where vectors run over multiplicities;
/// `None` where there is no such array. Kernels share their copies.
pub(in crate::loops) fn take_apart(graph: &Graph, schedule: &Schedule, storage: &Storage) -> Option<Packed> {
    let mut known = Known::new();
    reading_copies(graph, |rebuild, (value, node), (old, new)| {
        let kernel = schedule.kernel_of[value.index()];
        for k in wanted_apart(graph, storage, old) {
            let from = old.operands[k].value;
            let apart = Apart::new(graph.ty(from));
            let copy = *known.entry((kernel, from)).or_insert_with(|| {
                let copy = apart.contraction(new.operands[k].value, &old.rows);
                rebuild.copy_of_rows(Op::Contract(copy), apart.ty.clone(), node)
            });
            apart.replace(new, k, copy);
        }
    })
}

/// The operands of a contraction that want to be taken apart.
fn wanted_apart(graph: &Graph, storage: &Storage, contract: &Contract) -> Vec<usize> {
    let rank = contract.rows.len();
    let in_rows = |k: &usize| {
        let operand = &contract.operands[*k];
        let place = storage.places[root(graph, operand.value).index()];
        is_own_row(graph, &contract.rows, operand) && place.is_some_and(|p| p.layout == Layout::Irreps)
    };
    let wants = |k: &usize| {
        let apart = Apart::new(graph.ty(contract.operands[*k].value));
        contract.paths.iter().any(|path| !apart.factors(path, *k).is_empty())
    };
    (0..contract.operands.len()).filter(|k| rank > 0 && in_rows(k) && wants(k)).collect()
}

/// True where components lie between the columns of factor `k` where vectors run along them: columns that the output alone shares,
/// or all three.
fn is_wanted_apart(path: &Path, k: usize) -> bool {
    let [x, y] = &path.factors[..] else { return false };
    let (mine, other) = if k == 0 { (x, y) } else { (y, x) };
    let strides = |a: usize| [path.out.strides[a], mine.segment.strides[a], other.segment.strides[a]];
    let size = |a: usize| path.axes[a].size;
    let shared_by_all =
        (0..path.axes.len()).any(|a| strides(a)[0] > 0 && strides(a)[1] > 1 && strides(a)[2] > 0 && size(a) >= WIDE);
    // Columns of either factor that are close together in the output.
    let is_column = |a: &usize| {
        let [out, mine, other] = strides(*a);
        let either = [[mine, other], [other, mine]];
        out < WIDE && either.into_iter().any(|[x, y]| are_columns(size(*a), [out, x, y]))
    };
    let column = (0..path.axes.len()).filter(is_column).min_by_key(|&a| columns::order(size(a), strides(a)[0]));
    shared_by_all || column.is_some_and(|a| strides(a)[1] > 1)
}

/// A copy of the chunks of a value that have components. Where the value is the same list of chunks several times, as channels that
/// are mixed are, all copies of a chunk are one in the copy, so that vectors run over all of them.
struct Apart {
    /// The type of the copy.
    ty: Type,
    /// How often the list of chunks comes, and how many elements it has.
    times: usize,
    width: usize,
    chunks: Vec<ApartChunk>,
}

/// A chunk of the list.
struct ApartChunk {
    chunk: MulIrrep,
    /// Where it starts the first time.
    from: usize,
    /// Where all of them start in the copy.
    to: usize,
}

impl Apart {
    fn new(of: &Type) -> Self {
        let length = period(of);
        let mut times = of.irreps.len().checked_div(length).unwrap_or(1);
        let mut list: Vec<_> = of.irreps.iter().zip(&of.zero).take(length).collect();
        // Copies of a single chunk are one chunk, which paths run through.
        if let [(chunk, _)] = &mut list[..] {
            chunk.mul *= std::mem::replace(&mut times, 1);
        }
        let (mut chunks, mut from, mut to) = (Vec::new(), 0, 0);
        for (chunk, is_zero) in list {
            if chunk.ir.l > 0 && chunk.mul > 0 && !is_zero {
                chunks.push(ApartChunk { chunk, from, to });
                to += times * chunk.dim();
            }
            from += chunk.dim();
        }
        let all = chunks.iter().map(|c| MulIrrep { mul: times * c.chunk.mul, ir: c.chunk.ir });
        let ty = Type::new(of.dims.clone(), Irreps::new(all.collect::<Vec<_>>()), of.dtype);
        Apart { ty, times, width: from, chunks }
    }

    fn contraction(&self, value: ValueId, rows: &[Dim]) -> Contract {
        let paths = self.chunks.iter().map(|&ApartChunk { chunk, from, to }| {
            let d = chunk.ir.dim();
            let mut path = Path {
                coefficient: Scalar(1.0),
                axes: smallvec![Axis { letter: 'u', size: chunk.mul }, Axis { letter: 'i', size: d }],
                factors: smallvec![Factor { operand: 0, segment: Segment { offset: from, strides: smallvec![d, 1] } }],
                out: Segment { offset: to, strides: smallvec![d, 1] },
            };
            if self.times > 1 {
                path.axes.insert(0, Axis { letter: 'v', size: self.times });
                path.factors[0].segment.strides.insert(0, self.width);
                path.out.strides.insert(0, chunk.dim());
            }
            path
        });
        let identity = RowMap::identity(rows.len());
        Contract {
            rows: rows.to_vec(),
            operands: vec![Operand { value, map: identity.clone() }],
            out: identity,
            divisor: Dim::one(),
            paths: paths.collect(),
        }
    }

    /// Which factors of a path want to read the copy, and where.
    fn factors(&self, path: &Path, operand: usize) -> Vec<(usize, Segment)> {
        let wanted = path.factors.iter().enumerate().filter(|(k, f)| f.operand == operand && is_wanted_apart(path, *k));
        wanted.filter_map(|(k, factor)| Some((k, self.segment(&factor.segment, &path.axes)?))).collect()
    }

    /// The place of a segment in the copy, where it is in one chunk, of one or several times of the list.
    fn segment(&self, segment: &Segment, axes: &[Axis]) -> Option<Segment> {
        let (first, offset) = (segment.offset.checked_div(self.width)?, segment.offset % self.width);
        let is_whole = |stride: usize| stride.is_multiple_of(self.width);
        let strides = segment.strides.iter().map(|&stride| if is_whole(stride) { 0 } else { stride }).collect();
        let last = Segment { offset, strides }.last(axes)?;
        let within = |c: &&ApartChunk| c.from <= offset && last < c.from + c.chunk.dim();
        let &ApartChunk { chunk, from, to } = self.chunks.iter().find(within)?;
        let place = |stride: &usize| if is_whole(*stride) { stride / self.width * chunk.dim() } else { *stride };
        let strides = segment.strides.iter().map(place).collect();
        Some(Segment { offset: to + first * chunk.dim() + offset - from, strides })
    }

    /// Makes the paths that want it read the copy.
    fn replace(&self, contract: &mut Contract, operand: usize, copy: ValueId) {
        let place = contract.operands.len();
        for path in &mut contract.paths {
            for (k, segment) in self.factors(path, operand) {
                path.factors[k] = Factor { operand: place, segment };
                path.merge_axes();
            }
        }
        contract.operands.push(Operand { value: copy, map: RowMap::identity(contract.rows.len()) });
    }
}

/// The length of the shortest list of chunks that the type is, as often as it comes.
fn period(ty: &Type) -> usize {
    let chunks: Vec<_> = ty.irreps.iter().zip(&ty.zero).collect();
    let is_period = |length: &usize| chunks.iter().zip(chunks.iter().cycle().skip(*length)).all(|(x, y)| x == y);
    (1..=chunks.len()).filter(|length| chunks.len().is_multiple_of(*length)).find(is_period).unwrap_or(chunks.len())
}

#[cfg(test)]
mod tests {
    use schur_ir::micro::Micro;

    use super::period;
    use crate::loops::{Loops, Stmt, lowered};

    /// The gradient of the weights of three channels that become four.
    const CHANNELS: &str = r#"graph "channels"

%0: f32[N, 3] 16x0e+16x1o = input "x"
%1: f32[N, 4] 8x0e+8x1o = input "g"
%2: f32[N] 16x0e+16x1o+16x0e+16x1o+16x0e+16x1o = reshape %0
%3: f32[N] 8x0e+8x1o+8x0e+8x1o+8x0e+8x1o+8x0e+8x1o = reshape %1
%4: f32[] 1536x0e = contract %2[0], %3[0] over [N] into []
    x0@16(v*64 i u) x1@8(j*32 k u) -> @0(v i j k) for v=3 i=16 j=4 k=8 u=3

output "dw" = %4
"#;

    fn calls(loops: &Loops) -> usize {
        loops.kernels.iter().flat_map(|kernel| &kernel.body).filter(|stmt| stmt.calls()).count()
    }

    #[test]
    fn channels_are_taken_apart_together() {
        let loops = lowered(CHANNELS);
        let columns = |micro: &Micro| matches!(micro, Micro::Product(product) if product.n == 32);
        assert!(calls(&loops) == 2 && loops.micros.iter().any(columns), "{loops}");
        let copy = loops.kernels.iter().flat_map(|kernel| &kernel.scratch).next().expect("there is scratch");
        assert_eq!(copy.width, 96, "{loops}");
    }

    #[test]
    fn few_columns_leave_it_to_the_other_factor() {
        let gradient = |out: usize| {
            lowered(&format!(
                "graph \"few\"\n\n%0: f32[N] 32x1o = input \"x\"\n%1: f32[N] {out}x1o = input \"g\"\n\
                 %2: f32[] {}x0e = contract %0[0], %1[0] over [N] into []\n    x0@0(u i) x1@0(v i) -> @0(u v) for u=32 v={out} i=3\n\n\
                 output \"dw\" = %2\n",
                32 * out
            ))
        };
        let widths = [2, 3, 4].map(|out| gradient(out).kernels[0].scratch[0].width);
        assert_eq!(widths, [96, 96, 12]);
        assert_eq!(calls(&gradient(3)), 2);
    }

    #[test]
    fn what_leaves_its_chunk_stays() {
        // Multiplicities of a channel, and half of the next chunk.
        let loops = lowered(&CHANNELS.replace("x1@8(j*32 k u)", "x1@8(j*31 k u)"));
        let sums = |stmt: &Stmt| matches!(stmt, Stmt::Nest(nest) if nest.factors.len() == 2 && nest.call.is_some());
        assert!(!loops.kernels.iter().flat_map(|kernel| &kernel.body).any(sums), "{loops}");
    }

    #[test]
    fn the_shortest_list_is_found() {
        let of = |irreps: &str| {
            let text = format!("graph \"g\"\n\n%0: f32[N] {irreps} = input \"x\"\n\noutput \"y\" = %0\n");
            period(text.parse::<schur_ir::graph::Graph>().expect("the text is a graph").ty(schur_ir::graph::ValueId(0)))
        };
        let found = ["2x0e+2x1o+2x0e+2x1o", "2x1o+2x1o+2x1o", "2x0e+2x1o+2x0e", "2x1o+3x1o"].map(of);
        assert_eq!(found, [2, 1, 3, 2]);
    }
}
