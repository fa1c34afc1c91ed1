//! A chunk that a value holds unchanged, as `x − mean` holds what has no mean, is read where the value takes it from.
//!
//! [`super::narrow`] then drops what nobody reads any more.

#![expect(clippy::indexing_slicing, reason = "places are of a verified op, and of lists made for it")]

use std::borrow::Cow;

use rustc_hash::FxHashMap;
use schur_ir::graph::{Contract, Factor, Graph, Op, Operand, Path, ValueId};

use super::compose::{MAX_FACTORS, through};
use super::meet::meet;
use super::ranges::Ranges;
use super::rules::{merge_operands, row_wise};
use super::written::Writer;

/// Lets contractions read what their operands hold unchanged where these take it from; gives how many now do.
pub(super) fn read_unchanged(graph: &mut Cow<'_, Graph>) -> usize {
    let mut count = 0;
    let mut copied: FxHashMap<ValueId, Ranges> = FxHashMap::default();
    for value in 0..graph.nodes.len() {
        let Op::Contract(reader) = &graph.nodes[value].op else { continue };
        let mut direct: Option<Contract> = None;
        for (k, operand) in reader.operands.iter().enumerate() {
            let writer = match &graph.node(operand.value).op {
                Op::Contract(c) if row_wise(c) => c,
                Op::Input(_) | Op::Param(_) | Op::Contract(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => continue,
            };
            // Many readers of a value with many paths read nothing of it that may be unchanged.
            let copied = copied.entry(operand.value).or_insert_with(|| copied_by(writer));
            let reads = |path: &Path, f: &Factor| f.operand == k && copied.meets(&f.segment.hull(&path.axes));
            if !reader.paths.iter().any(|path| path.factors.iter().any(|f| reads(path, f))) {
                continue;
            }
            if let Some(read) = read_around(direct.as_ref().unwrap_or(reader), k, writer) {
                direct = Some(read);
                count += 1;
            }
        }
        if let Some(mut direct) = direct {
            merge_operands(&mut direct);
            graph.to_mut().nodes[value].op = Op::Contract(direct);
        }
    }
    count
}

/// Elements among which all lie that a contraction copies and adds no product to.
fn copied_by(writer: &Contract) -> Ranges {
    let (copies, products): (Vec<&Path>, Vec<&Path>) = writer.paths.iter().partition(|path| path.factors.len() == 1);
    let (mut copied, mut computed) = (Ranges::default(), Ranges::default());
    if !copies.is_empty() {
        for path in products {
            // A product that lies in too many parts is not looked at: all of it may be copied.
            let _known = computed.insert_segment(&path.out, &path.axes);
        }
    }
    let hulls = copies.iter().map(|path| path.out.hull(&path.axes));
    hulls.filter(|hull| !computed.covers(hull)).for_each(|hull| copied.insert(hull));
    copied
}

/// `reader` with every path that reads an unchanged part of its operand `k` reading that part where `writer`, which sums
/// no rows, takes it from. `None` where there is none, rows are picked by an index, or do not align.
fn read_around(reader: &Contract, k: usize, writer: &Contract) -> Option<Contract> {
    let map = &reader.operands[k].map;
    if map.index.is_some() || writer.paths.iter().all(|path| path.factors.len() > 1) {
        return None;
    }
    let base = reader.operands.len();
    let written = Writer::new(writer);
    let mut out = reader.clone();
    for operand in &writer.operands {
        out.operands.push(Operand { value: operand.value, map: through(map, &writer.out, &operand.map)? });
    }
    let mut changed = false;
    for path in &mut out.paths {
        while let Some(factor) = path.factors.iter().position(|f| f.operand == k)
            && let Some(unchanged) = unchanged(path, factor, &written, base)
        {
            *path = unchanged;
            changed = true;
        }
    }
    changed.then_some(out)
}

/// The path, reading the one factor that a copy by `writer` puts where it reads factor `factor`.
fn unchanged(path: &Path, factor: usize, writer: &Writer<'_>, base: usize) -> Option<Path> {
    let mut met = Vec::new();
    for written in writer.meeting(&path.factors[factor].segment.hull(&path.axes)) {
        met.extend(meet(path, factor, written, base, MAX_FACTORS + 1)?);
        // Of many chunks that are read at once the second one tells.
        if met.len() > 1 {
            return None;
        }
    }
    let [piece] = &mut met[..] else { return None };
    let elements = |path: &Path| path.axes.iter().map(|a| a.size).product::<usize>();
    let same = piece.coefficient == path.coefficient
        && piece.factors.len() == path.factors.len()
        && elements(piece) == elements(path);
    piece.merge_axes();
    (same && piece.axes.len() <= path.axes.len()).then(|| piece.clone())
}
