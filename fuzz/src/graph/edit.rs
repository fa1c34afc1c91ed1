//! Graphs made of graphs, which stay valid mostly: sums and products as sizes, numbers of all magnitudes, chains of scales,
//! products of values. Changes of bytes seldom make any of these.

use schur::ir::dim::{Dim, Symbol};
use schur::ir::expr::{Binary, Expr, Scalar};
use schur::ir::graph::{Contract, Graph, Op, Operand, Output, OutputKind, Path, Requirement, RowMap, ValueId};
use schur::ir::irreps::Irreps;
use schur::ir::ty::Type;

use super::super::Random;

/// Another graph, where the text is one.
pub fn edited(text: &[u8], seed: u64) -> Option<String> {
    let mut graph = Graph::parse_within(str::from_utf8(text).ok()?, &super::limits()).ok()?;
    let mut random = Random::new(seed);
    for _ in 0..1 + random.below(3) {
        match random.below(6) {
            0 => sizes(&mut graph, &mut random),
            1 | 2 => coefficient(&mut graph, &mut random),
            3 => chain(&mut graph, &mut random),
            4 => product(&mut graph, &mut random),
            _ => scaled_map(&mut graph, &mut random),
        }
    }
    let fits = graph.check_limits(&super::limits()).is_ok();
    fits.then(|| graph.to_string())
}

/// Numbers at the ends of types and just inside of them, powers, and any of few digits.
fn number(random: &mut Random) -> f64 {
    const ENDS: [f64; 18] = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        1e15,
        1e-15,
        1e30,
        1e-30,
        f32::MAX as f64,
        f32::MIN_POSITIVE as f64,
        1e-40,
        1e-45,
        2e38,
        f64::MAX,
        f64::MIN_POSITIVE,
        5e-324,
        1e200,
        1e-200,
    ];
    let sign = random.one_of(&[1.0, 1.0, -1.0]);
    match random.below(3) {
        0 => sign * random.one_of(&ENDS),
        1 => sign * 2f64.powi(random.below(300) as i32 - 150),
        _ => sign * (1.0 + random.below(1000) as f64) / 128.0,
    }
}

/// Puts a polynomial in the place of a symbol, wherever it stands, and adds inputs from which its symbols are known.
fn sizes(graph: &mut Graph, random: &mut Random) {
    let symbols: Vec<Symbol> = graph.nodes.iter().flat_map(|n| &n.ty.dims).flat_map(Dim::symbols).cloned().collect();
    if symbols.is_empty() {
        return;
    }
    let of = random.one_of(&symbols);
    let (a, b) = (Dim::symbol(of.clone()), Dim::symbol(random.one_of(&["M", "N", "K"])));
    let number = Dim::from(random.one_of(&[1, 2, 3, 7, 0, -1, 1 << 31, 1 << 62, i64::MAX - 1]));
    let by = match random.below(8) {
        0 => a.plus(&b),
        1 => a.times(&b),
        2 => a.times(&number),
        3 => a.plus(&number),
        4 => a.times(&a).plus(&b.times(&number)),
        5 => a.plus(&b).times(&a.plus(&number)),
        6 => b,
        _ => number,
    };
    let dims = graph.nodes.iter_mut().flat_map(|node| {
        let in_op: Vec<&mut Dim> = match &mut node.op {
            Op::Contract(contract) => {
                let maps = contract.operands.iter_mut().map(|o| &mut o.map).chain([&mut contract.out]);
                let picked = maps.filter_map(|map: &mut RowMap| Some(&mut map.index.as_mut()?.size));
                contract.rows.iter_mut().chain([&mut contract.divisor]).chain(picked).collect()
            }
            Op::Map(map) => {
                let picked = map.operands.iter_mut().filter_map(|o| Some(&mut o.map.index.as_mut()?.size));
                map.rows.iter_mut().chain(picked).collect()
            }
            Op::Input(_) | Op::Param(_) | Op::Max(_) | Op::Reshape(_) => Vec::new(),
        };
        node.ty.dims.iter_mut().chain(in_op)
    });
    let required = graph.requirements.iter_mut().flat_map(|requirement| match requirement {
        Requirement::NotEmpty { dims, .. } => dims.as_mut_slice(),
        Requirement::IndexBelow { .. } | Requirement::AnyTrue { .. } => &mut [],
    });
    dims.chain(required).for_each(|dim| *dim = substituted(dim, &of, &by));
    if !random.chance(4) {
        bind(graph, by.symbols());
    }
}

fn substituted(dim: &Dim, of: &Symbol, by: &Dim) -> Dim {
    dim.terms().fold(Dim::default(), |sum, (coefficient, symbols)| {
        let factor = |symbol: &Symbol| if symbol == of { by.clone() } else { Dim::symbol(symbol.clone()) };
        sum.plus(&symbols.iter().fold(Dim::from(coefficient), |product, symbol| product.times(&factor(symbol))))
    })
}

fn bind<'a>(graph: &mut Graph, symbols: impl Iterator<Item = &'a Symbol>) {
    let Some(dtype) = graph.nodes.iter().map(|node| node.ty.dtype).find(|dtype| dtype.is_float()) else { return };
    for symbol in symbols {
        let size = Dim::symbol(symbol.clone());
        let is_bound = |op: &Op, ty: &Type| matches!(op, Op::Input(_)) && ty.dims.contains(&size);
        if !graph.nodes.iter().any(|node| is_bound(&node.op, &node.ty)) {
            let name = format!("size {symbol}");
            graph.input(&name, Type::new(vec![size], Irreps::scalars(1), dtype));
        }
    }
}

fn contracts(graph: &mut Graph) -> Vec<&mut Contract> {
    let contracts = graph.nodes.iter_mut().filter_map(|node| match &mut node.op {
        Op::Contract(contract) if !contract.paths.is_empty() => Some(contract),
        Op::Input(_) | Op::Param(_) | Op::Contract(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => None,
    });
    contracts.collect()
}

/// Gives a path another coefficient, perhaps beside the path as it was.
fn coefficient(graph: &mut Graph, random: &mut Random) {
    let mut all = contracts(graph);
    if all.is_empty() {
        return;
    }
    let paths = &mut all.swap_remove(random.below(all.len())).paths;
    let at = random.below(paths.len());
    if random.chance(3) {
        paths.insert(at, paths[at].clone());
    }
    let was = if random.chance(3) { paths[at].coefficient.0 } else { 1.0 };
    paths[at].coefficient = Scalar(was * number(random));
}

/// A float value with elements, perhaps the last.
fn value(graph: &Graph, random: &mut Random) -> Option<ValueId> {
    let usable = |ty: &Type| ty.dtype.is_float() && ty.width() > 0;
    let values: Vec<ValueId> = graph.values().filter(|(_, node)| usable(&node.ty)).map(|(id, _)| id).collect();
    let last = *values.last()?;
    Some(if random.chance(2) { last } else { random.one_of(&values) })
}

fn output(graph: &mut Graph, value: ValueId) {
    let name = format!("edited {}", graph.nodes.len()).into();
    graph.outputs.push(Output { name, kind: OutputKind::Output, value, shape: None });
}

/// Adds a chain of scales behind a value.
fn chain(graph: &mut Graph, random: &mut Random) {
    let Some(mut at) = value(graph, random) else { return };
    let (count, same) = (random.one_of(&[1, 2, 3, 5, 11, 130]), number(random));
    let other = if random.chance(3) { number(random) } else { same };
    for k in 0..count {
        at = product_of(graph, &[at], if k % 2 == 0 { same } else { other });
    }
    output(graph, at);
}

/// Adds the product of two values of one type.
fn product(graph: &mut Graph, random: &mut Random) {
    let Some(a) = value(graph, random) else { return };
    let ty = graph.ty(a).clone();
    let like = |b: &Type| (b.dtype, &b.dims, b.width()) == (ty.dtype, &ty.dims, ty.width());
    let others: Vec<ValueId> = graph.values().filter(|(_, node)| like(&node.ty)).map(|(id, _)| id).collect();
    let b = random.one_of(&others);
    let made = product_of(graph, &[a, b], number(random));
    output(graph, made);
}

fn product_of(graph: &mut Graph, factors: &[ValueId], coefficient: f64) -> ValueId {
    let ty = graph.ty(factors[0]).clone();
    let map = RowMap::identity(ty.dims.len());
    let operands = factors.iter().map(|&value| Operand { value, map: map.clone() }).collect();
    let mut path = Path::run(ty.width(), (0..factors.len()).map(|k| (k, 0)), 0);
    path.coefficient = Scalar(coefficient);
    let contract = Contract { rows: ty.dims, operands, out: map, divisor: Dim::one(), paths: vec![path] };
    graph.contract(contract, ty.irreps, ty.dtype, &"".into())
}

/// Multiplies, divides or compares what a map computes.
fn scaled_map(graph: &mut Graph, random: &mut Random) {
    let maps = graph.nodes.iter_mut().filter_map(|node| match &mut node.op {
        Op::Map(map) if !node.ty.zero.contains(&true) => Some(map),
        Op::Input(_) | Op::Param(_) | Op::Contract(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => None,
    });
    let mut maps: Vec<_> = maps.collect();
    if maps.is_empty() {
        return;
    }
    let map = maps.swap_remove(random.below(maps.len()));
    let by = Expr::constant(number(random));
    let (a, b) = if random.chance(2) { (by, map.expr.clone()) } else { (map.expr.clone(), by) };
    map.expr = Expr::binary(random.one_of(&Binary::ALL), a, b);
}
