//! Packing: what a contraction reads of parameters is multiplied, summed and laid out once a call, for all rows.
//!
//! Terms of one moving factor get a block of the packed value each, and terms that differ in their weights alone share
//! one, so that sums of products become one product. Blocks of terms that differ in where they read and write are laid
//! out as one matrix, a row an element read and a column an element written: neighbours in the array are neighbours
//! there, and join in normal form. Terms that read parameters alone are summed as the output lies.

#![expect(clippy::indexing_slicing, reason = "places are of a verified op, and of lists made for it")]

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;
use schur_ir::dim::Dim;
use schur_ir::expr::Scalar;
use schur_ir::graph::{Axis, Contract, Factor, Operand, Path, RowMap, Segment};
use schur_ir::path::Strides;
use smallvec::smallvec;

use super::path_algebra::sort_path;
use super::ranges::Ranges;

/// A contraction that reads packed parameters.
pub(super) struct Packed {
    /// The contraction, without the operand for the packed value.
    pub(super) main: Contract,
    /// How the packed value is made.
    pub(super) value: Contract,
    /// How the packed value's leading axes lie in the rows of the contraction.
    pub(super) map: RowMap,
    /// The elements of a row of the packed value.
    pub(super) width: usize,
    /// True where arrays become one, products one, or biases are summed.
    pub(super) merges: bool,
}

/// Packs the terms that `take` asks for. Operands that are `fixed` are those of parameters; `dims` are their leading
/// sizes. A term may have three factors, if that one is taken; at most one factor of a taken term is not fixed. The main
/// contraction reads the packed value as an operand behind all others. `None` where the row maps of fixed operands do
/// not fit together.
pub(super) fn pack(
    contract: &Contract,
    fixed: &[bool],
    dims: &[&[Dim]],
    take: impl Fn(&Path) -> bool,
) -> Option<Packed> {
    let (taken, mut paths): (Vec<Path>, Vec<Path>) = contract.paths.iter().cloned().partition(take);
    let rows = Rows::of(contract, fixed, dims, &taken)?;
    let mut packing = Packing {
        fixed,
        at: contract.operands.len(),
        width: 0,
        merges: false,
        value: Vec::with_capacity(taken.len()),
        main: Vec::with_capacity(taken.len()),
    };
    let (moving, still): (Vec<&Path>, Vec<&Path>) =
        taken.iter().partition(|path| path.factors.iter().any(|f| !fixed[f.operand]));
    packing.weights(moving.into_iter().map(|path| Term::new(path, fixed)).collect::<Option<_>>()?);
    packing.main.sort_unstable();
    packing.main.dedup();
    packing.biases(&still);
    paths.append(&mut packing.main);
    let operands = contract.operands.iter().zip(dims).map(|(o, dims)| rows.operand(o, dims));
    let value = Contract {
        out: RowMap::identity(rows.dims.len()),
        operands: operands.collect(),
        divisor: Dim::one(),
        paths: packing.value,
        rows: rows.dims,
    };
    Some(Packed {
        main: Contract { paths, ..contract.clone() },
        value,
        map: rows.map,
        width: packing.width,
        merges: packing.merges,
    })
}

/// The rows of a packed value.
struct Rows {
    dims: Vec<Dim>,
    map: RowMap,
}

fn is_plain(map: &RowMap) -> bool {
    map.index.is_none() && map.axes.iter().all(Option::is_none)
}

impl Rows {
    /// Those of the fixed operands that have any; they must all be read alike.
    fn of(contract: &Contract, fixed: &[bool], dims: &[&[Dim]], taken: &[Path]) -> Option<Rows> {
        let mut rows: Option<Rows> = None;
        for factor in taken.iter().flat_map(|path| &path.factors).filter(|f| fixed[f.operand]) {
            let map = &contract.operands[factor.operand].map;
            match &rows {
                _ if is_plain(map) => {}
                Some(rows) if rows.map == *map && rows.dims == dims[factor.operand] => {}
                Some(_) => return None,
                None => rows = Some(Rows { dims: dims[factor.operand].to_vec(), map: map.clone() }),
            }
        }
        Some(rows.unwrap_or(Rows { dims: Vec::new(), map: RowMap::shared() }))
    }

    /// How an operand of the contraction is read where the packed value is made.
    fn operand(&self, operand: &Operand, dims: &[Dim]) -> Operand {
        let map = if is_plain(&operand.map) {
            RowMap { index: None, axes: vec![None; dims.len()] }
        } else {
            RowMap::identity(dims.len())
        };
        Operand { value: operand.value, map }
    }
}

/// What an axis of a term is to its weights, its moving factor and its output.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    /// Weights are summed over it among themselves.
    Inner,
    /// Weights and the moving factor have it: a row of a matrix.
    Row,
    /// Weights and the output have it: a column.
    Column,
    /// All have it.
    Both,
    /// Weights do not have it.
    Outer,
}

/// A term with one moving factor.
struct Term {
    coefficient: Scalar,
    axes: Vec<(Role, Axis)>,
    moving: Factor,
    weights: Vec<Factor>,
    out: Segment,
}

/// What terms that lie in one matrix have in common: the operand, the outer axes, and the strides of row and column.
type Family = (usize, Vec<[usize; 3]>, [Option<usize>; 2]);

/// A block: the place and the length of the row axis in the moving factor, and of the column axis in the output.
type Block = [(usize, usize); 2];

impl Term {
    fn new(path: &Path, fixed: &[bool]) -> Option<Term> {
        let (weights, moving): (Vec<Factor>, Vec<Factor>) =
            path.factors.iter().cloned().partition(|f| fixed[f.operand]);
        let [moving] = <[Factor; 1]>::try_from(moving).ok()?;
        let role = |k: usize| {
            let has = |segment: &Segment| segment.strides[k] > 0;
            match (weights.iter().any(|f| has(&f.segment)), has(&moving.segment), has(&path.out)) {
                (false, ..) => Role::Outer,
                (true, false, false) => Role::Inner,
                (true, true, false) => Role::Row,
                (true, false, true) => Role::Column,
                (true, true, true) => Role::Both,
            }
        };
        let axes = path.axes.iter().enumerate().map(|(k, axis)| (role(k), *axis)).collect();
        Some(Term { coefficient: path.coefficient, axes, moving, weights, out: path.out.clone() })
    }

    fn with(&self, role: Role) -> impl Iterator<Item = usize> + '_ {
        (0..self.axes.len()).filter(move |k| self.axes[*k].0 == role)
    }

    /// The axis of a role, its size, and its stride in the segment that has it.
    fn axis(&self, role: Role, segment: &Segment) -> Option<[usize; 2]> {
        self.with(role).next().map(|k| [self.axes[k].1.size, segment.strides[k]])
    }

    /// The family of a term that is a matrix.
    fn family(&self) -> Option<Family> {
        if self.with(Role::Row).count() > 1 || self.with(Role::Column).count() > 1 || self.with(Role::Both).count() > 0
        {
            return None;
        }
        let outer = |k: usize| [self.axes[k].1.size, self.moving.segment.strides[k], self.out.strides[k]];
        let mut axes: Vec<_> = self.with(Role::Outer).map(outer).collect();
        axes.sort_unstable();
        let strides = [(Role::Row, &self.moving.segment), (Role::Column, &self.out)];
        Some((self.moving.operand, axes, strides.map(|(role, segment)| self.axis(role, segment).map(|a| a[1]))))
    }

    fn block(&self) -> Block {
        let range = |role, segment: &Segment| (segment.offset, self.axis(role, segment).map_or(1, |a| a[0]));
        [range(Role::Row, &self.moving.segment), range(Role::Column, &self.out)]
    }

    /// The strides of the packed value over the term's axes, dense in the order row, column, both.
    fn dense(&self) -> (Strides, usize) {
        let mut kept: Vec<usize> =
            [Role::Row, Role::Column, Role::Both].into_iter().flat_map(|role| self.with(role)).collect();
        let key = |k: &usize| (self.axes[*k].0, self.out.strides[*k], self.moving.segment.strides[*k]);
        kept.sort_by(|a, b| key(a).0.cmp(&key(b).0).then_with(|| key(b).cmp(&key(a))));
        let (mut strides, mut size): (Strides, usize) = (smallvec![0; self.axes.len()], 1);
        for k in kept.into_iter().rev() {
            strides[k] = size;
            size *= self.axes[k].1.size;
        }
        (strides, size)
    }

    /// The strides of a matrix with rows of this length.
    fn strides(&self, columns: usize) -> Strides {
        let stride = |role: &Role| match role {
            Role::Row => columns,
            Role::Column => 1,
            Role::Inner | Role::Both | Role::Outer => 0,
        };
        self.axes.iter().map(|(role, _)| stride(role)).collect()
    }
}

/// Terms of one family by the matrix that they are parts of: those that read or write the same elements are of one, as
/// chunks of one irrep are in a linear layer.
fn connected(terms: Vec<Term>) -> Vec<Vec<Term>> {
    fn root(roots: &mut [usize], mut k: usize) -> usize {
        while roots[k] != k {
            roots[k] = roots[roots[k]];
            k = roots[k];
        }
        k
    }
    let mut roots: Vec<usize> = (0..terms.len()).collect();
    let mut first: FxHashMap<(usize, (usize, usize)), usize> = FxHashMap::default();
    for (k, term) in terms.iter().enumerate() {
        for range in term.block().into_iter().enumerate() {
            let other = *first.entry(range).or_insert(k);
            let [a, b] = [other, k].map(|k| root(&mut roots, k));
            roots[a.max(b)] = a.min(b);
        }
    }
    let mut matrices: BTreeMap<usize, Vec<Term>> = BTreeMap::new();
    for (k, term) in terms.into_iter().enumerate() {
        matrices.entry(root(&mut roots, k)).or_default().push(term);
    }
    matrices.into_values().collect()
}

struct Packing<'f> {
    fixed: &'f [bool],
    /// The place of the packed value among the operands.
    at: usize,
    width: usize,
    merges: bool,
    value: Vec<Path>,
    /// Terms that read the packed value; those of one block are equal.
    main: Vec<Path>,
}

impl Packing<'_> {
    fn weights(&mut self, terms: Vec<Term>) {
        let mut families: BTreeMap<Family, Vec<Term>> = BTreeMap::new();
        let mut single = Vec::new();
        for term in terms {
            match term.family() {
                Some(family) => families.entry(family).or_default().push(term),
                None => single.push(term),
            }
        }
        for terms in families.into_values().flat_map(connected) {
            single.extend(self.matrix(terms));
        }
        self.blocks(single);
    }

    /// Lays out terms as a matrix; gives them back where most of it would stay empty.
    fn matrix(&mut self, terms: Vec<Term>) -> Vec<Term> {
        let blocks: BTreeSet<Block> = terms.iter().map(Term::block).collect();
        let filled: usize = blocks.iter().map(|[rows, columns]| rows.1 * columns.1).sum();
        let places = [0, 1].map(|side| {
            let ranges: BTreeSet<(usize, usize)> = blocks.iter().map(|block| block[side]).collect();
            let mut end = 0;
            let place = |range: (usize, usize)| {
                end += range.1;
                (range, end - range.1)
            };
            let places: BTreeMap<(usize, usize), usize> = ranges.into_iter().map(place).collect();
            (places, end)
        });
        let [(rows, height), (columns, width)] = places;
        if height * width > 2 * filled {
            return terms;
        }
        for term in &terms {
            let [row, column] = term.block();
            let offset = self.width + rows[&row] * width + columns[&column];
            self.emit(term, Segment { offset, strides: term.strides(width) });
        }
        self.width += height * width;
        let operands: BTreeSet<usize> = terms.iter().flat_map(|term| &term.weights).map(|f| f.operand).collect();
        self.merges |= blocks.len() < terms.len() || operands.len() > 1;
        Vec::new()
    }

    /// Gives every term a block, and terms that differ in their weights alone one.
    fn blocks(&mut self, terms: Vec<Term>) {
        let mut places: BTreeMap<Path, usize> = BTreeMap::new();
        for term in terms {
            let (strides, size) = term.dense();
            let key = self.reading(&term, Segment { offset: 0, strides: strides.clone() });
            let offset = *places.entry(key).or_insert_with(|| {
                self.width += size;
                self.width - size
            });
            self.emit(&term, Segment { offset, strides });
        }
    }

    /// The main path that reads a term's weights at a segment of the packed value.
    fn reading(&self, term: &Term, packed: Segment) -> Path {
        let kept: Vec<usize> = (0..term.axes.len()).filter(|k| term.axes[*k].0 != Role::Inner).collect();
        let pick = |segment: &Segment| Segment {
            offset: segment.offset,
            strides: kept.iter().map(|k| segment.strides[*k]).collect(),
        };
        let moving = Factor { operand: term.moving.operand, segment: pick(&term.moving.segment) };
        let mut path = Path {
            coefficient: Scalar(1.0),
            axes: kept.iter().map(|k| term.axes[*k].1).collect(),
            factors: smallvec![moving, Factor { operand: self.at, segment: pick(&packed) }],
            out: pick(&term.out),
        };
        sort_path(&mut path);
        path
    }

    /// Adds a term's weights at a segment of the packed value, and a path that reads it.
    fn emit(&mut self, term: &Term, packed: Segment) {
        self.main.push(self.reading(term, packed.clone()));
        let kept: Vec<usize> = (0..term.axes.len()).filter(|k| term.axes[*k].0 != Role::Outer).collect();
        let pick = |segment: &Segment| Segment {
            offset: segment.offset,
            strides: kept.iter().map(|k| segment.strides[*k]).collect(),
        };
        let weight = |f: &Factor| Factor { operand: f.operand, segment: pick(&f.segment) };
        self.value.push(Path {
            coefficient: term.coefficient,
            axes: kept.iter().map(|k| term.axes[*k].1).collect(),
            factors: term.weights.iter().map(weight).collect(),
            out: pick(&packed),
        });
    }

    /// Sums terms that read parameters alone, and adds the sum. Terms that leave gaps stay as they are: a copy of the whole
    /// would write what is known to be zero.
    fn biases(&mut self, terms: &[&Path]) {
        debug_assert!(terms.iter().all(|path| path.factors.iter().all(|f| self.fixed[f.operand])));
        let (mut written, mut elements) = (Ranges::default(), Ranges::default());
        let mut known = true;
        for path in terms {
            written.insert(path.out.hull(&path.axes));
            known &= elements.insert_segment(&path.out, &path.axes);
        }
        if !known || elements != written {
            self.main.extend(terms.iter().map(|path| (*path).clone()));
            return;
        }
        self.merges |= !terms.is_empty();
        for path in terms {
            let mut path = (*path).clone();
            path.out.offset = self.width + written.place(path.out.offset);
            self.value.push(path);
        }
        for run in written.runs() {
            self.main.push(Path::run(run.len(), [(self.at, self.width + written.place(run.start))], run.start));
        }
        self.width += written.count();
    }
}
