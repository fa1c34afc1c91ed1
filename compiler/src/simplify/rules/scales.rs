//! Rules on scales and elementwise expressions.

use std::ops::Range;

use schur_ir::dim::Dim;
use schur_ir::expr::{Binary, Expr, Scalar, Unary};
use schur_ir::graph::{Axis, Contract, Factor, Map, Op, Operand, Path, RowMap, Segment, ValueId};
use schur_ir::path::Axes;
use schur_ir::ty::Type;
use smallvec::smallvec;

use super::irreps::row_wise;
use super::{Action, BUILT, Built, Found, Rule, Site};
use crate::simplify::compose::{Fused, fuse_maps, is_sum};
use crate::simplify::path_algebra::is_run;
use crate::simplify::ranges::Ranges;
use crate::simplify::spelling::spell;

/// `(Σ c x) / n = Σ (c/n) x` for a constant n.
pub(super) static FOLD_DIVISOR: Rule =
    Rule { name: "fold-divisor", exact: false, action: Action::Contract(fold_divisor) };

/// `Σ w·x = Σ (w c) x` where all elements of an operand are the constant `w`.
pub(super) static FOLD_CONSTANT: Rule =
    Rule { name: "fold-constant", exact: false, action: Action::Rewrite(fold_constants) };

/// `f(g(x)) = (f∘g)(x)`, also where `g` is an elementwise contraction.
pub(super) static FUSE_MAPS: Rule = Rule { name: "fuse-maps", exact: false, action: Action::Rewrite(fuse) };

/// `c x y + d z`, at every element, is a map where it reads a map.
pub(super) static CONTRACT_AS_MAP: Rule =
    Rule { name: "contract-as-map", exact: false, action: Action::Rewrite(contract_as_map) };

/// A map of `c x y + d z` is a contraction.
pub(super) static MAP_AS_CONTRACT: Rule =
    Rule { name: "map-as-contract", exact: false, action: Action::Rewrite(map_as_contract) };

/// `c f(x)` is a copy, scaled by c, of `f(x)`: readers fold the scale into what they multiply by.
pub(super) static SCALE_OUT_OF_MAP: Rule =
    Rule { name: "scale-out-of-map", exact: false, action: Action::Rewrite(scale_out_of_map) };

/// `c x y` is a copy, scaled by c, of `x y`.
pub(super) static SCALE_OUT_OF_PRODUCT: Rule =
    Rule { name: "scale-out-of-product", exact: false, action: Action::Rewrite(scale_out_of_product) };

/// `−(−1 · x y) = y x`: an expression is spelled in one way, apart from how sums and products are grouped.
pub(super) static SPELL_MAPS: Rule = Rule { name: "spell-maps", exact: false, action: Action::Map(spell_map) };

/// Expressions are fused up to this size.
const MAX_EXPR: usize = 96;

/// Terms of a map that is read as a contraction.
const MAX_TERMS: usize = 4;

fn fold_divisor(contract: &mut Contract, ty: &Type) -> bool {
    let Some(n) = contract.divisor.constant().filter(|n| !matches!(n, 0 | 1)) else { return false };
    let divided = |path: &Path| path.coefficient.0 / n as f64;
    let holds = |path: &Path| ty.dtype.holds(divided(path)) && (divided(path) != 0.0 || path.coefficient.0 == 0.0);
    if !contract.paths.iter().all(holds) {
        return false;
    }
    contract.paths.iter_mut().for_each(|path| path.coefficient = Scalar(divided(path)));
    contract.divisor = Dim::one();
    true
}

fn spell_map(map: &mut Map) -> bool {
    let spelled = spell(&map.expr);
    // Signs that move can make an expression deeper.
    let changed = spelled != map.expr && spelled.is_small();
    if changed {
        map.expr = spelled;
    }
    changed
}

fn constant(op: &Op) -> Option<f64> {
    match op {
        Op::Map(map) => map.expr.as_constant().filter(|c| c.is_finite()),
        Op::Input(_) | Op::Param(_) | Op::Contract(_) | Op::Max(_) | Op::Reshape(_) => None,
    }
}

fn fold_constants(site: &Site<'_>) -> Vec<Found> {
    let Op::Contract(c) = site.op else { return Vec::new() };
    let constants: Vec<Option<f64>> = c.operands.iter().map(|o| site.newest(o.value, constant)).collect();
    let mut out = c.clone();
    let mut changed = false;
    for path in &mut out.paths {
        while path.factors.len() == 2
            && let Some((k, value)) =
                path.factors.iter().enumerate().find_map(|(k, f)| Some((k, constants[f.operand]?)))
        {
            path.factors.remove(k);
            path.coefficient = Scalar(path.coefficient.0 * value);
            changed = true;
        }
    }
    if changed { vec![Found::Op(Op::Contract(out))] } else { Vec::new() }
}

fn fuse(site: &Site<'_>) -> Vec<Found> {
    let Op::Map(reader) = site.op else { return Vec::new() };
    // The slope of a maximum is where a value equals it: computed twice, in two ways, it would not.
    if reader.expr.compares_equal() {
        return Vec::new();
    }
    let map = |op: &Op| match op {
        Op::Map(map) => Some(map.clone()),
        Op::Input(_) | Op::Param(_) | Op::Contract(_) | Op::Max(_) | Op::Reshape(_) => None,
    };
    let newest = |value: ValueId| {
        let elementwise = |op| elementwise(site, op, site.ty(value));
        site.newest(value, map).or_else(|| site.newest(value, elementwise))
    };
    // The newest map has more fused into it, the oldest leaves scales to the weights before it.
    let all = fuse_maps(reader, MAX_EXPR, newest);
    let own = |value| newest(value).filter(|_| site.is_exclusive(value));
    let shares = site.shares() && !matches!(all, Fused::Nothing);
    let own = if shares { fuse_maps(reader, MAX_EXPR, own) } else { Fused::Nothing };
    let first = fuse_maps(reader, MAX_EXPR, |value| site.oldest(value, map));
    let found = |fused| match fused {
        Fused::Map(map) => Some(Found::Op(Op::Map(map))),
        Fused::TooLarge => {
            site.tried.set(site.tried.get() + reader.expr.size());
            None
        }
        Fused::Nothing => None,
    };
    [all, own, first].into_iter().filter_map(found).collect()
}

fn contract_as_map(site: &Site<'_>) -> Vec<Found> {
    let reads_map = site.inner.iter().any(|i| i.ops.iter().any(|op| matches!(op.op, Op::Map(_))));
    let map = if reads_map { elementwise(site, site.op, site.ty) } else { None };
    map.map(|map| Found::Op(Op::Map(map))).into_iter().collect()
}

/// A contraction whose every path covers the whole width, in order, for every factor, as a map.
fn elementwise(site: &Site<'_>, op: &Op, ty: &Type) -> Option<Map> {
    let c = match op {
        Op::Contract(c) => c,
        Op::Input(_) | Op::Param(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => return None,
    };
    let plain = |o: &Operand| o.map.index.is_none() && site.ty(o.value).width() == ty.width();
    if c.reduces() || !c.divisor.is_one() || !c.operands.iter().all(plain) {
        return None;
    }
    let place =
        |axis: &Option<usize>| axis.map_or(Some(None), |a| c.out.axes.iter().position(|o| *o == Some(a)).map(Some));
    let operands = c.operands.iter().map(|o| {
        let axes = o.map.axes.iter().map(place).collect::<Option<_>>()?;
        Some(Operand { value: o.value, map: RowMap { index: None, axes } })
    });
    let mut sum = Expr::constant(0.0);
    for path in &c.paths {
        if !is_run(path, ty.width()) || path.out.offset != 0 || path.factors.iter().any(|f| f.segment != path.out) {
            return None;
        }
        let product = path.factors.iter().fold(Expr::Const(path.coefficient), |e, f| e * Expr::Arg(f.operand));
        sum = sum + product;
    }
    sum.is_small().then_some(())?;
    Some(Map { rows: ty.dims.clone(), operands: operands.collect::<Option<_>>()?, expr: sum })
}

fn map_as_contract(site: &Site<'_>) -> Vec<Found> {
    let Op::Map(map) = site.op else { return Vec::new() };
    let floats = map.operands.iter().all(|o| site.ty(o.value).dtype == site.ty.dtype);
    let (Some(terms), true) = (polynomial(&map.expr), floats && site.ty.width() > 0) else { return Vec::new() };
    let segments = not_zero(site.ty);
    let paths = |(coefficient, args): (f64, Vec<usize>)| {
        let path = move |(axes, out): &(Axes, Segment)| Path {
            coefficient: Scalar(coefficient),
            axes: axes.clone(),
            factors: args.iter().map(|&operand| Factor { operand, segment: out.clone() }).collect(),
            out: out.clone(),
        };
        segments.iter().map(path)
    };
    vec![Found::Op(Op::Contract(Contract {
        rows: map.rows.clone(),
        operands: map.operands.clone(),
        out: RowMap::identity(map.rows.len()),
        divisor: Dim::one(),
        paths: terms.into_iter().flat_map(paths).collect(),
    }))]
}

/// The expression as a sum of one or two operands times a finite constant, without a constant term.
fn polynomial(expr: &Expr) -> Option<Vec<(f64, Vec<usize>)>> {
    let scaled =
        |terms: Vec<(f64, Vec<usize>)>, by: f64| terms.into_iter().map(|(c, a)| (c * by, a)).collect::<Vec<_>>();
    let terms = match expr {
        Expr::Arg(k) => vec![(1.0, vec![*k])],
        Expr::Const(c) if c.0 == 0.0 => Vec::new(),
        Expr::Const(_) | Expr::Select(..) => return None,
        Expr::Unary(Unary::Neg, x) => scaled(polynomial(x)?, -1.0),
        Expr::Unary(..) => return None,
        Expr::Binary(Binary::Add, a, b) => [polynomial(a)?, polynomial(b)?].concat(),
        Expr::Binary(Binary::Sub, a, b) => [polynomial(a)?, scaled(polynomial(b)?, -1.0)].concat(),
        Expr::Binary(Binary::Mul, a, b) => match (a.as_constant(), b.as_constant()) {
            (Some(c), _) => scaled(polynomial(b)?, c),
            (_, Some(c)) => scaled(polynomial(a)?, c),
            (None, None) => match (polynomial(a)?.as_slice(), polynomial(b)?.as_slice()) {
                ([(c, x)], [(d, y)]) => vec![(c * d, [x.clone(), y.clone()].concat())],
                ([..], [..]) => return None,
            },
        },
        Expr::Binary(Binary::Div, a, b) => scaled(polynomial(a)?, 1.0 / b.as_constant()?),
        Expr::Binary(Binary::Max | Binary::Gt | Binary::Eq, ..) => return None,
    };
    let fits = terms.len() <= MAX_TERMS && terms.iter().all(|(c, args)| c.is_finite() && args.len() <= 2);
    fits.then_some(terms)
}

/// The expression as a constant and the rest.
fn scale(expr: &Expr) -> (f64, Expr) {
    match expr {
        Expr::Const(c) => (c.0, Expr::constant(1.0)),
        Expr::Unary(Unary::Neg, x) => {
            let (c, rest) = scale(x);
            (-c, rest)
        }
        Expr::Binary(op @ (Binary::Mul | Binary::Div), a, b) => {
            let ((c, a), (d, b)) = (scale(a), scale(b));
            (if *op == Binary::Mul { c * d } else { c / d }, Expr::binary(*op, a, b))
        }
        Expr::Arg(_)
        | Expr::Select(..)
        | Expr::Unary(..)
        | Expr::Binary(Binary::Add | Binary::Sub | Binary::Max | Binary::Gt | Binary::Eq, ..) => (1.0, expr.clone()),
    }
}

/// The segments of a row that are not known to be zero, with their axes: one where nothing is.
fn not_zero(ty: &Type) -> Vec<(Axes, Segment)> {
    let mut elements = Ranges::default();
    let chunks = ty.irreps.iter().zip(ty.irreps.offsets()).zip(&ty.zero);
    chunks.filter(|(_, zero)| !**zero).for_each(|((chunk, at), _)| elements.insert(at..at + chunk.dim()));
    let segment = |run: &Range<usize>| {
        let axes = if run.len() == 1 { Axes::new() } else { smallvec![Axis { letter: 'v', size: run.len() }] };
        let strides = smallvec![1; axes.len()];
        (axes, Segment { offset: run.start, strides })
    };
    elements.runs().iter().map(segment).collect()
}

fn scale_out_of_map(site: &Site<'_>) -> Vec<Found> {
    let Op::Map(map) = site.op else { return Vec::new() };
    let (by, rest) = scale(&map.expr);
    let usable = by != 0.0 && by != 1.0 && by.is_finite() && (1.0 / by).is_finite();
    if site.copies || !usable || polynomial(&rest).is_some() || site.ty.width() == 0 {
        return Vec::new();
    }
    let path = |(axes, out): (Axes, Segment)| {
        let factors = smallvec![Factor { operand: 0, segment: out.clone() }];
        Path { coefficient: Scalar(by), axes, factors, out }
    };
    let value = Op::Map(Map { expr: rest, ..map.clone() });
    let op = scaled_copy(map.rows.clone(), not_zero(site.ty).into_iter().map(path).collect());
    vec![Found::Built(Box::new(Built { value, ty: site.ty.clone(), op, packed: false }))]
}

/// A copy of what a rule makes.
fn scaled_copy(rows: Vec<Dim>, paths: Vec<Path>) -> Op {
    let map = RowMap::identity(rows.len());
    let operands = vec![Operand { value: BUILT, map: map.clone() }];
    Op::Contract(Contract { operands, out: map, divisor: Dim::one(), paths, rows })
}

fn scale_out_of_product(site: &Site<'_>) -> Vec<Found> {
    let Op::Contract(c) = site.op else { return Vec::new() };
    let scaled = |p: &Path| p.coefficient.0 != 1.0 && p.factors.len() > 1;
    let all: Vec<&Path> = c.paths.iter().collect();
    if site.copies || !row_wise(c) || !c.out.is_identity(c.rows.len()) || !c.paths.iter().any(scaled) || is_sum(&all) {
        return Vec::new();
    }
    let mut value = c.clone();
    value.paths.iter_mut().for_each(|path| path.coefficient = Scalar(1.0));
    let copy = |p: &Path| Path { factors: smallvec![Factor { operand: 0, segment: p.out.clone() }], ..p.clone() };
    let op = scaled_copy(c.rows.clone(), c.paths.iter().map(copy).collect());
    vec![Found::Built(Box::new(Built { value: Op::Contract(value), ty: site.ty.clone(), op, packed: false }))]
}
