//! Chunks that nobody reads are not computed.
//!
//! That an element is dead is a fact of all readers of a value at once and no equality of values, so it is found here,
//! from graph to graph, before saturation: what is read of every value is gathered from the outputs backwards, through
//! the paths of contractions and elementwise through maps and maxima; paths that read what is never written count as
//! absent. A value of which whole copies of irreps are dead is replaced by one that holds the others alone. Readers
//! then address the packed value; maps select the elements they need, and saturation lets those selections vanish.

#![expect(clippy::indexing_slicing, reason = "places are of a verified op, and of lists made for it")]

use std::borrow::Cow;
use std::ops::Range;

use schur_ir::dim::Dim;
use schur_ir::graph::{Contract, Factor, Graph, Op, Operand, Path, RowMap, Segment, ValueId};
use schur_ir::irreps::{Irreps, MulIrrep};
use schur_ir::ty::Type;

use super::compose::MAX_FACTORS;
use super::cost::Cost;
use super::meet::meet;
use super::path_algebra::is_void;
use super::ranges::Ranges;
use super::rules::{Action, Pass, merge_map_operands, merge_operands};
use super::unchanged::read_unchanged;
use super::{Origin, Report, SimplifyOptions, size};

/// A graph without dead values and dead chunks.
pub(super) struct Narrowed<'g> {
    pub(super) graph: Cow<'g, Graph>,
    /// For every value the one it holds the chunks of; for a selection, the one it was made for.
    sources: Vec<ValueId>,
    /// The rule, where it is applied.
    rule: Option<&'static str>,
}

impl Narrowed<'_> {
    /// Turns an origin in the narrowed graph into one in the graph before.
    pub(super) fn trace(&self, origin: &mut Origin, before: &Graph) {
        let narrower = |value: &ValueId| self.graph.ty(*value) != before.ty(self.sources[value.index()]);
        if let (Some(rule), true) = (self.rule, origin.sources.iter().any(narrower)) {
            origin.rules.insert(0, rule);
        }
        origin.sources.iter_mut().for_each(|value| *value = self.sources[value.index()]);
        origin.sources.dedup();
    }
}

/// The graph without dead values and dead chunks.
pub(super) fn narrow<'g>(graph: &'g Graph, options: &SimplifyOptions, report: &mut Report) -> Narrowed<'g> {
    let sources = || graph.values().map(|(value, _)| value).collect();
    if size(graph) > 2 * options.size {
        return Narrowed { graph: Cow::Borrowed(graph), sources: sources(), rule: None };
    }
    let rule = |pass| options.rules.iter().find(|rule| matches!(rule.action, Action::Graph(p) if p == pass));
    let mut direct = Cow::Borrowed(graph);
    if let Some(rule) = rule(Pass::ReadUnchanged) {
        let count = read_unchanged(&mut direct);
        report.rules.extend((count > 0).then_some((rule.name, count)));
    }
    let Some(rule) = rule(Pass::Narrow) else {
        return Narrowed { graph: direct, sources: sources(), rule: None };
    };
    let mut demand = Demand::new(&direct);
    while !demand.sweep(options.nominal) {
        demand.sweeps += 1;
        if demand.sweeps == MAX_SWEEPS {
            demand.whole.fill(true);
        }
    }
    if demand.is_all() {
        return Narrowed { graph: direct, sources: sources(), rule: Some(rule.name) };
    }
    let (graph, sources, count) = demand.emit();
    report.rules.extend((count > 0).then_some((rule.name, count)));
    Narrowed { graph: Cow::Owned(graph), sources, rule: Some(rule.name) }
}

/// After so many sweeps, all elementwise ops stay whole.
const MAX_SWEEPS: usize = 64;

/// What is needed of every value.
struct Demand<'g> {
    graph: &'g Graph,
    sweeps: usize,
    /// Elementwise ops that do not lose chunks.
    whole: Vec<bool>,
    live: Vec<bool>,
    /// The elements that are read; those that are kept, once the value was visited.
    kept: Vec<Ranges>,
    /// The elements that are not known to be zero.
    written: Vec<Ranges>,
    /// The ops without what is dead; segments are those of the original values.
    ops: Vec<Cow<'g, Op>>,
}

impl<'g> Demand<'g> {
    fn new(graph: &'g Graph) -> Self {
        let n = graph.nodes.len();
        let (live, kept) = (vec![false; n], vec![Ranges::default(); n]);
        let (whole, written, ops) = (vec![false; n], Vec::new(), Vec::new());
        let mut this = Demand { graph, sweeps: 0, whole, live, kept, written, ops };
        for node in &graph.nodes {
            let written = this.written_by(&node.op, &node.ty);
            this.written.push(written);
        }
        this
    }

    /// Gathers what is needed of every value; false where an elementwise op turned out to stay whole after all.
    fn sweep(&mut self, nominal: usize) -> bool {
        let graph = self.graph;
        self.ops = graph.nodes.iter().map(|node| Cow::Borrowed(&node.op)).collect();
        self.live.fill(false);
        self.kept.fill(Ranges::default());
        graph.outputs.iter().for_each(|o| self.read_all(o.value));
        for k in (0..graph.nodes.len()).rev() {
            if self.live[k] {
                self.visit(k);
            }
        }
        let mut found = false;
        for k in 0..graph.nodes.len() {
            if self.live[k] && self.is_dearer(k, nominal) {
                (self.whole[k], found) = (true, true);
                self.keep_all(k);
                self.ops[k].reads().into_iter().for_each(|read| self.keep_all(read.index()));
            }
        }
        !found
    }

    /// Keeps a value whole for the readers behind it, as the next sweep will.
    fn keep_all(&mut self, k: usize) {
        self.kept[k] = Ranges::all(self.graph.nodes[k].ty.width());
    }

    /// True where an elementwise op needs selections of operands that cost more than it saves.
    fn is_dearer(&self, k: usize, nominal: usize) -> bool {
        let (op, ty) = (&*self.ops[k], &self.graph.nodes[k].ty);
        let elementwise = matches!(op, Op::Map(_) | Op::Max(_));
        if !elementwise || self.is_whole(k) {
            return false;
        }
        let kept = self.kept[k].count();
        let start = Cost { starts: Dim::one(), ..Cost::default() }.nanoseconds(nominal);
        let copy = |value: &ValueId| {
            let of = self.graph.ty(*value);
            let bytes = of.rows().times(&Dim::from((2 * kept * of.dtype.size()) as i64));
            start + Cost { bytes, ..Cost::default() }.nanoseconds(nominal)
        };
        let reads = op.reads();
        let copies: f64 = reads.iter().filter(|v| self.kept[v.index()] != self.kept[k]).map(copy).sum();
        let whole = Cost::of(op, ty, |v| self.graph.ty(v)).nanoseconds(nominal) - start;
        copies > whole * (1.0 - kept as f64 / ty.width() as f64)
    }

    /// Paths that add nothing, or read what is never written, add zero.
    fn is_dead(&self, contract: &Contract, path: &Path) -> bool {
        let unwritten = |f: &Factor| {
            let value = contract.operands[f.operand].value;
            !self.written[value.index()].meets(&f.segment.hull(&path.axes))
        };
        is_void(path) || path.factors.iter().any(unwritten)
    }

    fn written_by(&self, op: &Op, ty: &Type) -> Ranges {
        let mut written = Ranges::default();
        match op {
            Op::Contract(c) => {
                let paths = c.paths.iter().filter(|p| !self.is_dead(c, p));
                paths.for_each(|p| written.insert(p.out.hull(&p.axes)));
            }
            Op::Input(_) | Op::Param(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => {
                let chunks = ty.irreps.iter().zip(ty.irreps.offsets()).zip(&ty.zero);
                chunks.filter(|(_, zero)| !**zero).for_each(|((c, at), _)| written.insert(at..at + c.dim()));
            }
        }
        written
    }

    fn read(&mut self, value: ValueId, elements: &Ranges) {
        self.live[value.index()] = true;
        self.kept[value.index()].extend(elements);
    }

    fn read_all(&mut self, value: ValueId) {
        self.read(value, &Ranges::all(self.graph.ty(value).width()));
    }

    /// Decides what is kept of a value whose readers were all visited, and passes on what it reads.
    fn visit(&mut self, k: usize) {
        let ty = &self.graph.nodes[k].ty;
        let all = Ranges::all(ty.width());
        let wanted = whole_copies(&ty.irreps, &self.kept[k]);
        self.kept[k] = all.clone();
        let graph = self.graph;
        match &graph.nodes[k].op {
            Op::Input(_) | Op::Param(_) => {}
            Op::Contract(c) => {
                let mut op = Cow::Borrowed(c);
                if c.paths.iter().any(|path| self.is_dead(c, path)) {
                    op.to_mut().paths.retain(|path| !self.is_dead(c, path));
                }
                if wanted != all
                    && let Some(paths) = cut(&op, &wanted)
                {
                    self.kept[k] = wanted;
                    op.to_mut().paths = paths;
                }
                if matches!(op, Cow::Owned(_)) || !reads_all(c) {
                    merge_operands(op.to_mut());
                }
                self.read_by(&op);
                if let Cow::Owned(c) = op {
                    self.ops[k] = Cow::Owned(Op::Contract(c));
                }
            }
            Op::Map(map) => {
                let mut map = map.clone();
                let merged = merge_map_operands(&mut map);
                let operands: Vec<ValueId> = map.operands.iter().map(|o| o.value).collect();
                self.read_elementwise(k, &operands, wanted);
                if merged {
                    self.ops[k] = Cow::Owned(Op::Map(map));
                }
            }
            Op::Max(max) => self.read_elementwise(k, &[max.value], wanted),
            Op::Reshape(value) => self.read_all(*value),
        }
    }
}

impl Demand<'_> {
    fn read_by(&mut self, c: &Contract) {
        for operand in &c.operands {
            self.live[operand.value.index()] = true;
        }
        for path in &c.paths {
            for f in &path.factors {
                self.kept[c.operands[f.operand].value.index()].insert(f.segment.hull(&path.axes));
            }
        }
        let maps = c.operands.iter().map(|o| &o.map).chain([&c.out]);
        maps.filter_map(|map| map.index.as_ref()).for_each(|index| self.read_all(index.value));
    }

    /// Keeps what is wanted of an elementwise op, unless it has to stay whole.
    fn read_elementwise(&mut self, k: usize, operands: &[ValueId], wanted: Ranges) {
        if !self.whole[k] && operands.iter().all(|v| self.graph.ty(*v).dtype.is_float()) {
            self.kept[k] = wanted;
        }
        let kept = self.kept[k].clone();
        operands.iter().for_each(|value| self.read(*value, &kept));
    }

    /// The graph with packed values, the value that each comes from, and how many lost something.
    fn emit(self) -> (Graph, Vec<ValueId>, usize) {
        let Graph { name, outputs, requirements, .. } = self.graph;
        let (name, outputs, requirements) = (name.clone(), outputs.clone(), requirements.clone());
        let mut out = Graph { name, outputs, requirements, nodes: Vec::with_capacity(self.ops.len()) };
        let mut moved = vec![ValueId(0); self.ops.len()];
        let mut sources = Vec::with_capacity(self.ops.len());
        let mut narrowed = 0;
        for (k, node) in self.graph.nodes.iter().enumerate() {
            let leaf = matches!(node.op, Op::Input(_) | Op::Param(_));
            let kept = leaf || self.is_whole(k);
            narrowed += usize::from(!kept || !(leaf || self.live[k]));
            if !leaf && !self.live[k] {
                continue;
            }
            let op = match &*self.ops[k] {
                Op::Contract(c) => Op::Contract(self.packed_contract(k, c)).map_reads(|v| moved[v.index()]),
                op @ (Op::Map(_) | Op::Max(_)) => op.map_reads(|v| self.selected(&mut out, &moved, v, k)),
                op @ (Op::Input(_) | Op::Param(_) | Op::Reshape(_)) => op.map_reads(|v| moved[v.index()]),
            };
            let ty = if kept { node.ty.clone() } else { packed(&node.ty, &self.kept[k]) };
            moved[k] = out.push(op, ty, &node.layer);
            sources.resize(out.nodes.len(), ValueId(k as u32));
        }
        out.outputs.iter_mut().for_each(|o| o.value = moved[o.value.index()]);
        (out, sources, narrowed)
    }

    /// True where everything of every value is needed, as it is.
    fn is_all(&self) -> bool {
        let same = |k: usize| self.is_whole(k) && matches!(self.ops[k], Cow::Borrowed(_)) && self.live[k];
        (0..self.ops.len()).all(|k| self.graph.nodes[k].op.leaf_name().is_some() || same(k))
    }

    fn is_whole(&self, k: usize) -> bool {
        self.kept[k] == Ranges::all(self.graph.nodes[k].ty.width())
    }

    fn packed_contract(&self, k: usize, c: &Contract) -> Contract {
        let mut c = c.clone();
        let shift = |at: usize, segment: &mut Segment| segment.offset = self.kept[at].place(segment.offset);
        for path in &mut c.paths {
            shift(k, &mut path.out);
            path.factors.iter_mut().for_each(|f| shift(c.operands[f.operand].value.index(), &mut f.segment));
        }
        c
    }

    /// The elements of `value` that are kept of its reader `k`, which reads elementwise.
    fn selected(&self, out: &mut Graph, moved: &[ValueId], value: ValueId, k: usize) -> ValueId {
        let (source, place) = (moved[value.index()], &self.kept[value.index()]);
        if *place == self.kept[k] {
            return source;
        }
        let path =
            |run: &Range<usize>| Path::run(run.len(), [(0, place.place(run.start))], self.kept[k].place(run.start));
        let Type { dims, dtype, .. } = self.graph.ty(value).clone();
        let contract = Contract {
            rows: dims.clone(),
            operands: vec![Operand { value: source, map: RowMap::identity(dims.len()) }],
            out: RowMap::identity(dims.len()),
            divisor: Dim::one(),
            paths: self.kept[k].runs().iter().map(path).collect(),
        };
        let node = &self.graph.nodes[k];
        out.contract(contract, packed(&node.ty, &self.kept[k]).irreps, dtype, &node.layer)
    }
}

/// True where paths read every operand.
fn reads_all(contract: &Contract) -> bool {
    let mut read = vec![false; contract.operands.len()];
    contract.paths.iter().flat_map(|path| &path.factors).for_each(|f| read[f.operand] = true);
    read.into_iter().all(|read| read)
}

/// The elements with those that complete a copy of an irrep.
fn whole_copies(irreps: &Irreps, elements: &Ranges) -> Ranges {
    let mut whole = Ranges::default();
    for (chunk, at) in irreps.iter().zip(irreps.offsets()) {
        let dim = chunk.ir.dim();
        for run in elements.around(&(at..at + chunk.dim())) {
            let (start, end) = (run.start.max(at), run.end.min(at + chunk.dim()));
            whole.insert(at + (start - at) / dim * dim..at + (end - at).div_ceil(dim) * dim);
        }
    }
    whole
}

/// The type of the elements alone, which are whole copies of irreps.
fn packed(ty: &Type, elements: &Ranges) -> Type {
    let (mut chunks, mut zero) = (Vec::new(), Vec::new());
    for ((chunk, at), flag) in ty.irreps.iter().zip(ty.irreps.offsets()).zip(&ty.zero) {
        for run in elements.around(&(at..at + chunk.dim())) {
            let (start, end) = (run.start.max(at), run.end.min(at + chunk.dim()));
            if start < end {
                chunks.push(MulIrrep::new((end - start) / chunk.ir.dim(), chunk.ir));
                zero.push(*flag);
            }
        }
    }
    Type { irreps: Irreps::new(chunks), zero, ..ty.clone() }
}

/// The paths restricted to output elements that are kept; `None` where a path cannot be cut so.
fn cut(contract: &Contract, kept: &Ranges) -> Option<Vec<Path>> {
    let mut paths = Vec::new();
    for path in &contract.paths {
        let written = path.out.hull(&path.axes);
        if kept.covers(&written) {
            paths.push(path.clone());
            continue;
        }
        for run in kept.around(&written) {
            let kept = Path::run(run.len(), [(0, run.start)], run.start);
            paths.extend(meet(&kept, 0, path, 0, MAX_FACTORS)?);
        }
    }
    Some(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What makes one map stay whole makes all stay whole that read it.
    #[test]
    fn a_chain_of_maps_takes_few_sweeps() {
        let mut text = "graph \"g\"\n%0: f32[N] 6x0e+1x0o = input \"x\"\n".to_owned();
        (0..50).for_each(|k| text += &format!("%{}: f32[N] 6x0e+1x0o = map abs(x0) of %{k}[0]\n", k + 1));
        text += "%51: f32[N] 6x0e = contract %50[0] over [N]\n  x0@0(u) -> @0(u) for u=6\noutput \"y\" = %51\n";
        let graph: Graph = text.parse().expect("the text is a graph");
        let mut demand = Demand::new(&graph);
        let sweeps = (1..).find(|_| demand.sweep(1000));
        assert!(sweeps.is_some_and(|sweeps| sweeps <= 3), "{sweeps:?}");
        assert!(demand.whole[1..=50].iter().all(|whole| *whole));
    }
}
