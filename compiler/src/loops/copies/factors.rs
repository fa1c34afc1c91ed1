//! Factors that components share, taken out of what is multiplied by them.
//!
//! Of `s[u, i] = x[u, i] t[u]`, `Σ_i s[u, i] y[u, i]` is `t[u] Σ_i x[u, i] y[u, i]`, and `s[u, i] z[u]` is `x[u, i] (t z)[u]`. Where
//! a kernel reads `s` in these ways alone, it has no memory; and where it has some, sums of `x y` that are there serve for
//! those of `s y`.

#![expect(clippy::indexing_slicing, reason = "places are of a verified graph, and of lists made for it")]

use std::collections::HashMap;

use schur_ir::dim::Dim;
use schur_ir::expr::Scalar;
use schur_ir::graph::{Axis, Contract, Factor, Graph, Node, Op, Operand, Path, RowMap, Segment, ValueId};
use schur_ir::irreps::Irreps;
use schur_ir::ty::Type;

use super::{Packed, Rebuild, drop_unread};
use crate::loops::reads::{is_own_row, outputs, writes_own_row};
use crate::loops::schedule::Schedule;
use crate::loops::storage::Storage;

/// The graph without such products; `None` where there is none.
pub(in crate::loops) fn take_out(graph: &Graph, schedule: &Schedule, _: &Storage) -> Option<Packed> {
    let readings = Reading::all(graph, schedule);
    let all = readings.iter().any(|reading| reading.serves_all);
    all.then(|| rebuilt(graph, &readings))
}

/// An operand's elements, by the axes of the path that reads them.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Elements {
    operand: Operand,
    segment: Segment,
}

/// A path that reads the product of `x` and what components share, as a factor.
struct Reading {
    reader: ValueId,
    path: usize,
    /// The factors of what is read, by the axes of the reader.
    x: Elements,
    shared: Elements,
    /// The constant of what is read.
    coefficient: f64,
    other: Elements,
    /// Flags for the axes that `shared` lacks.
    components: Vec<bool>,
    /// True where the reader sums over these.
    sums: bool,
    /// True where all that read the product do so in such ways.
    serves_all: bool,
}

impl Reading {
    /// All of a graph, in the order of what is read.
    fn all(graph: &Graph, schedule: &Schedule) -> Vec<Reading> {
        let outputs = outputs(graph);
        let mut readers: Vec<Vec<ValueId>> = vec![Vec::new(); graph.nodes.len()];
        for (reader, node) in graph.values().filter(|(value, _)| schedule.kernel_of[value.index()].is_some()) {
            node.op.reads().iter().for_each(|read| readers[read.index()].push(reader));
        }
        readers.iter_mut().for_each(|readers| readers.dedup());
        let mut all = Vec::new();
        for (value, node) in graph.values() {
            let Op::Contract(product) = &node.op else { continue };
            if outputs[value.index()] || product.rows.is_empty() || !product.divisor.is_one() || !writes_own_row(node) {
                continue;
            }
            for path in 0..product.paths.len() {
                all.extend(Self::of(graph, schedule, value, (product, path), &readers[value.index()]));
            }
        }
        all
    }

    /// Those of what a path writes.
    fn of(
        graph: &Graph,
        schedule: &Schedule,
        value: ValueId,
        (product, path): (&Contract, usize),
        readers: &[ValueId],
    ) -> Vec<Reading> {
        let hull = |path: &Path| path.out.hull(&path.axes);
        let written = &product.paths[path];
        let meets = |range: std::ops::Range<usize>| range.start < hull(written).end && hull(written).start < range.end;
        let others = product.paths.iter().enumerate().filter(|(k, _)| *k != path);
        let Some([x, shared]) = scaled(graph, product, written) else { return Vec::new() };
        if others.into_iter().any(|(_, other)| meets(hull(other))) {
            return Vec::new();
        }
        let (mut found, mut serves_all) = (Vec::new(), true);
        for &reader in readers {
            let Op::Contract(contract) = &graph.node(reader).op else {
                serves_all = false;
                continue;
            };
            let is_near = schedule.kernel_of[reader.index()] == schedule.kernel_of[value.index()]
                && contract.rows == product.rows
                && contract.out.index.is_none();
            for (k, path) in contract.paths.iter().enumerate() {
                let read =
                    |f: &&Factor| contract.operands[f.operand].value == value && meets(f.segment.hull(&path.axes));
                if !path.factors.iter().any(|f| read(&f)) {
                    continue;
                }
                let reading = is_near
                    .then(|| Self::new(graph, (reader, contract, k), value, (product, written), [x, shared]))
                    .flatten();
                serves_all &= reading.is_some();
                found.extend(reading);
            }
        }
        found.iter_mut().for_each(|reading| reading.serves_all = serves_all);
        found
    }

    fn new(
        graph: &Graph,
        (reader, contract, place): (ValueId, &Contract, usize),
        value: ValueId,
        (product, written): (&Contract, &Path),
        [x, shared]: [&Factor; 2],
    ) -> Option<Reading> {
        let path = &contract.paths[place];
        let is_value = |f: &Factor| contract.operands[f.operand].value == value;
        let (read, other) = match &path.factors[..] {
            [read, other] if is_value(read) && !is_value(other) => (read, other),
            [other, read] if is_value(read) && !is_value(other) => (read, other),
            _ => return None,
        };
        if !is_own_row(graph, &contract.rows, &contract.operands[read.operand])
            || read.segment.offset != written.out.offset
        {
            return None;
        }
        // Every axis of the reader is one of what is read.
        let same = |k: usize| {
            let matches = |j: &usize| {
                written.out.strides[*j] == read.segment.strides[k] && written.axes[*j].size == path.axes[k].size
            };
            (0..written.axes.len()).find(matches)
        };
        let axes = (0..path.axes.len()).map(same).collect::<Option<Vec<usize>>>()?;
        let are_all = axes.len() == written.axes.len() && (0..axes.len()).all(|j| axes.contains(&j));
        let moved = |factor: &Factor| Elements {
            operand: product.operands[factor.operand].clone(),
            segment: Segment {
                offset: factor.segment.offset,
                strides: axes.iter().map(|&j| factor.segment.strides[j]).collect(),
            },
        };
        let other = Elements { operand: contract.operands[other.operand].clone(), segment: other.segment.clone() };
        let (x, shared) = (moved(x), moved(shared));
        let components: Vec<bool> = shared.segment.strides.iter().map(|stride| *stride == 0).collect();
        let of_components = |strides: &[usize], is: fn(usize) -> bool| {
            strides.iter().zip(&components).filter(|(_, component)| **component).all(|(stride, _)| is(*stride))
        };
        let out = &path.out.strides;
        let keeps_others = out.iter().zip(&components).all(|(stride, component)| *component || *stride > 0);
        let sums = of_components(out, |s| s == 0) && of_components(&other.segment.strides, |s| s > 0);
        let multiplies = of_components(out, |s| s > 0) && of_components(&other.segment.strides, |s| s == 0);
        let coefficient = written.coefficient.0;
        let holds = graph.ty(value).dtype.holds(coefficient * path.coefficient.0);
        let fits = are_all && keeps_others && holds && (sums || multiplies && writes_own_row(graph.node(reader)));
        fits.then_some(Reading {
            reader,
            path: place,
            x,
            shared,
            coefficient,
            other,
            components,
            sums,
            serves_all: false,
        })
    }

    /// The elements that are multiplied first, by which axes: the products that are summed, or the factors without components.
    fn first(&self) -> ([Elements; 2], Vec<bool>) {
        let mut pair = [if self.sums { &self.x } else { &self.shared }, &self.other].map(Elements::clone);
        pair.sort();
        let keeps =
            if self.sums { vec![true; self.components.len()] } else { self.components.iter().map(|c| !c).collect() };
        (pair, keeps)
    }
}

/// The factor of a product with all its axes, and the one that components share.
fn scaled<'p>(graph: &Graph, product: &Contract, path: &'p Path) -> Option<[&'p Factor; 2]> {
    let [a, b] = &path.factors[..] else { return None };
    let is_whole = |segment: &Segment| segment.strides.iter().all(|stride| *stride > 0);
    let is_shared = |factor: &Factor| {
        let lacks = |k: &usize| factor.segment.strides[*k] == 0 && path.axes[*k].size > 1;
        (0..path.axes.len()).any(|k| lacks(&k)) && factor.segment.strides.iter().any(|stride| *stride > 0)
    };
    let is_of_row = |factor: &Factor| {
        let operand = &product.operands[factor.operand];
        is_own_row(graph, &product.rows, operand) || operand.map == RowMap::shared()
    };
    let [x, shared] = if is_whole(&a.segment) { [a, b] } else { [b, a] };
    let of_rows = is_own_row(graph, &product.rows, &product.operands[x.operand]) && is_of_row(shared);
    (of_rows && is_whole(&path.out) && is_whole(&x.segment) && is_shared(shared)).then_some([x, shared])
}

/// The products that were made for readers, by what they are made of.
type Known = HashMap<([Elements; 2], Vec<Axis>), (ValueId, Segment)>;

fn rebuilt(graph: &Graph, readings: &[Reading]) -> Packed {
    let mut of_reader: HashMap<ValueId, Vec<&Reading>> = HashMap::new();
    for reading in readings {
        of_reader.entry(reading.reader).or_default().push(reading);
    }
    let mut rebuild = Rebuild::new(graph);
    let mut known = Known::new();
    for (value, node) in graph.values() {
        let mut op = node.op.map_reads(|v| rebuild.moved(v));
        if let (Op::Contract(old), Op::Contract(contract)) = (&node.op, &mut op) {
            let mut done = Vec::new();
            for reading in of_reader.get(&value).into_iter().flatten() {
                let key = key(old, reading);
                if done.contains(&reading.path) || !(reading.serves_all || reading.sums && known.contains_key(&key)) {
                    continue;
                }
                done.push(reading.path);
                let first = known.entry(key).or_insert_with(|| made(&mut rebuild, node, old, reading)).clone();
                replace(&rebuild, contract, reading, first);
            }
            drop_unread(contract);
        }
        rebuild.keep(op, node);
    }
    rebuild.finish(graph)
}

fn key(contract: &Contract, reading: &Reading) -> ([Elements; 2], Vec<Axis>) {
    let axes = contract.paths[reading.path].axes.iter().map(|axis| Axis { letter: 'u', size: axis.size });
    (reading.first().0, axes.collect())
}

/// Adds what is multiplied first, and summed where the reader sums: it, and its segment by all axes of the reader.
fn made(rebuild: &mut Rebuild, node: &Node, contract: &Contract, reading: &Reading) -> (ValueId, Segment) {
    let axes = &contract.paths[reading.path].axes;
    let (pair, keeps) = reading.first();
    let (mut width, mut strides) = (1, vec![0; axes.len()]);
    for k in (0..axes.len()).rev().filter(|&k| !reading.components[k]) {
        strides[k] = width;
        width *= axes[k].size;
    }
    let kept = |of: &[usize]| of.iter().zip(&keeps).filter(|(_, keep)| **keep).map(|(stride, _)| *stride).collect();
    let mut operands: Vec<Operand> = Vec::new();
    let factors = pair.iter().map(|Elements { operand, segment }| {
        operands.push(Operand { value: rebuild.moved(operand.value), map: operand.map.clone() });
        let segment = Segment { offset: segment.offset, strides: kept(&segment.strides) };
        Factor { operand: operands.len() - 1, segment }
    });
    let path = Path {
        coefficient: Scalar(1.0),
        factors: factors.collect(),
        axes: axes.iter().zip(&keeps).filter(|(_, keep)| **keep).map(|(axis, _)| *axis).collect(),
        out: Segment { offset: 0, strides: kept(&strides) },
    };
    let rows = contract.rows.clone();
    let ty = Type::new(rows.clone(), Irreps::scalars(width), node.ty.dtype);
    let out = RowMap::identity(rows.len());
    let made = Contract { rows, operands, out, divisor: Dim::one(), paths: vec![path] };
    let value = rebuild.copy_of_rows(Op::Contract(made), ty, node);
    (value, Segment { offset: 0, strides: strides.into_iter().collect() })
}

/// Makes a path read what was multiplied first, and what is left.
fn replace(rebuild: &Rebuild, contract: &mut Contract, reading: &Reading, (value, segment): (ValueId, Segment)) {
    let rest = if reading.sums { &reading.shared } else { &reading.x };
    let first = contract.operands.len();
    contract.operands.push(Operand { value, map: RowMap::identity(contract.rows.len()) });
    contract.operands.push(Operand { value: rebuild.moved(rest.operand.value), map: rest.operand.map.clone() });
    let path = &mut contract.paths[reading.path];
    path.coefficient = Scalar(path.coefficient.0 * reading.coefficient);
    path.factors =
        [Factor { operand: first, segment }, Factor { operand: first + 1, segment: rest.segment.clone() }].into();
    if reading.sums {
        for k in (0..path.axes.len()).rev().filter(|&k| reading.components[k]) {
            path.remove_axis(k);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::loops::lowered;

    /// `s = x t`, of which a part of a product and a sum over components are computed.
    const PRODUCTS: &str = r#"graph "products"

%0: f32[N] 8x1o = input "x"
%1: f32[] 8x0e = param "params/t" [8] constant(1)
%2: f32[N] 8x1o = input "y"
%3: f32[N] 8x0e = input "z"
%4: f32[N] 8x1o = contract %0[0], %1[] over [N]
    x0@0(u i) x1@0(u) -> @0(u i) for u=8 i=3
%5: f32[N] 8x0e = contract %4[0], %2[0] over [N]
    2 x0@0(u i) x1@0(u i) -> @0(u) for u=8 i=3
%6: f32[N] 8x1o = contract %4[0], %3[0] over [N]
    x0@0(u i) x1@0(u) -> @0(u i) for u=8 i=3

output "dots" = %5
output "products" = %6
"#;

    fn loops(text: &str) -> String {
        lowered(text).to_string()
    }

    #[test]
    fn a_product_with_what_components_share_has_no_memory() {
        let loops = loops(PRODUCTS);
        let [sum, product] = ["= 2 * t2[row][u] * m1[u]  for u<8\n", "t3[row][u] = m1[u] * m3[row][u]  for u<8\n"];
        assert!(loops.contains(sum) && loops.contains(product) && !loops.contains("m6"), "{loops}");
    }

    #[test]
    fn a_product_that_is_read_otherwise_stays() {
        let (head, _) = PRODUCTS.split_once("%6:").expect("there is a product");
        let squares = "%6: f32[N] 8x1o = map mul(x0, x0) of %4[0]\n\noutput \"squares\" = %6\noutput \"dots\" = %5\n";
        let loops = loops(&format!("{head}{squares}"));
        assert!(loops.contains("t0[row][v] = m0[row][v] * m6[v]  for v<24"), "{loops}");
    }
}
