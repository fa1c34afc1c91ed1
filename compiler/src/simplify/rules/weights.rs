//! Rules on weights: what parameters alone decide is computed once a call, for all rows.

use schur_ir::dim::Dim;
use schur_ir::graph::{Contract, Factor, Op, Operand, Path};
use schur_ir::irreps::Irreps;
use schur_ir::ty::Type;

use super::paths::tidy_paths;
use super::{Action, BUILT, Built, Found, Rule, Site};
use crate::simplify::compose::{MAX_FACTORS, Reading, is_sum, read_through};
use crate::simplify::cost::contract_flops;
use crate::simplify::pack::pack;
use crate::simplify::regroup::Regrouping;
use crate::simplify::written::Writer;

/// `(x A) B = x (A B)`, and `(x A + b) s = x (A s) + b s`: linears of linears, batch norms and biases meet in one product
/// where that is less to do in every row.
pub(super) static MULTIPLY_WEIGHTS: Rule =
    Rule { name: "multiply-weights", exact: false, action: Action::Once(multiply_weights) };

/// `x A + x B = x (A + B)`, `[x A, x B] = x [A, B]`, `[x, y] [A; B]`: weights that are added or lie side by side are one
/// array, and biases are one sum.
pub(super) static PACK_WEIGHTS: Rule =
    Rule { name: "pack-weights", exact: false, action: Action::Rewrite(pack_weights) };

/// A path that is tidied takes about as long as so many that are tried.
const PER_TIDY: usize = 4;

fn multiply_weights(site: &Site<'_>) -> Vec<Found> {
    let Op::Contract(reader) = site.op else { return Vec::new() };
    if reader.reduces() || (site.fixed)(site.class) {
        return Vec::new();
    }
    let mut out: Option<(Contract, Merged)> = None;
    for (k, operand) in reader.operands.iter().enumerate() {
        if (site.fixed)(operand.value) || !scaled(reader, k, site) {
            continue;
        }
        let read = site.writers(operand.value, false).find_map(|writer| {
            let reader = out.as_ref().map_or(reader, |(read, _)| read);
            if !may_multiply(reader, k, &writer, site) {
                return None;
            }
            let read = read_product(reader, k, &writer, site)?;
            let merged = packed(&read, site, many_weights)?;
            let less = contract_flops(&merged.main) < contract_flops(reader) + contract_flops(writer.contract);
            less.then_some((read, merged))
        });
        out = read.or(out);
    }
    out.map(|(_, merged)| merged.into_found()).into_iter().collect()
}

/// False where a term would be a product of more than one factor that is not fixed, or none would be one of several that
/// are: before anything is copied.
fn may_multiply(reader: &Contract, k: usize, writer: &Writer<'_>, site: &Site<'_>) -> bool {
    let fixed = |contract: &Contract| contract.operands.iter().map(|o| (site.fixed)(o.value)).collect::<Vec<_>>();
    let [of_reader, of_writer] = [fixed(reader), fixed(writer.contract)];
    let count = |path: &Path, fixed: &[bool]| {
        let still = path.factors.iter().filter(|f| fixed[f.operand]).count();
        [still, path.factors.len() - still]
    };
    let mut found = false;
    for path in &reader.paths {
        let Some(read) = path.factors.iter().find(|f| f.operand == k) else { continue };
        let [still, moving] = count(path, &of_reader);
        for written in writer.meeting(&read.segment.hull(&path.axes)) {
            site.tried.set(site.tried.get() + 1);
            let [more_still, more_moving] = count(written, &of_writer);
            // The factor that is read is not fixed itself.
            let (still, moving) = (still + more_still, moving - 1 + more_moving);
            if still + moving > MAX_FACTORS && moving != 1 {
                return false;
            }
            found |= still > 1 && moving == 1;
        }
    }
    found
}

/// `reader` with `writer` in place of its operand `k`.
fn read_product(reader: &Contract, k: usize, writer: &Writer<'_>, site: &Site<'_>) -> Option<Contract> {
    let value = reader.operands[k].value;
    let regrouped = Regrouping::of(value, site.ty(value)).and_then(|order| {
        let mut reader = order.read(reader, k, site.tried)?;
        tidy_paths(&mut reader, site.ty);
        let mut writer = order.written(writer.contract, site.tried)?;
        tidy_paths(&mut writer, order.ty());
        site.tried.set(site.tried.get() + PER_TIDY * (reader.paths.len() + writer.paths.len()));
        Some((reader, writer))
    });
    match &regrouped {
        Some((reader, writer)) => {
            let last = reader.operands.len() - 1;
            read_through(reader, last, &Writer::new(writer), Reading::Fixed(site.fixed), site.tried)
        }
        None => read_through(reader, k, writer, Reading::Fixed(site.fixed), site.tried),
    }
}

/// True where an operand is multiplied by a fixed one.
fn scaled(contract: &Contract, k: usize, site: &Site<'_>) -> bool {
    contract.paths.iter().any(|path| {
        let mut others = path.factors.iter().filter(|f| f.operand != k);
        path.factors.iter().any(|f| f.operand == k)
            && others.next().is_some_and(|f| (site.fixed)(contract.operands[f.operand].value))
    })
}

fn pack_weights(site: &Site<'_>) -> Vec<Found> {
    let Op::Contract(reader) = site.op else { return Vec::new() };
    if reader.reduces() || reader.paths.len() < 2 || (site.fixed)(site.class) {
        return Vec::new();
    }
    let found = packed(reader, site, any_weights).filter(|found| found.merges);
    found.map(Merged::into_found).into_iter().collect()
}

/// A contraction whose weights were packed, and how they are.
struct Merged {
    main: Contract,
    value: Contract,
    ty: Type,
    merges: bool,
}

impl Merged {
    fn into_found(self) -> Found {
        let (value, op) = (Op::Contract(self.value), Op::Contract(self.main));
        Found::Built(Box::new(Built { value, ty: self.ty, op, packed: true }))
    }
}

/// Of a path the fixed factors, the moving ones, and whether a fixed axis runs along moving factor and output at once.
struct Weights {
    fixed: usize,
    moving: usize,
    diagonal: bool,
}

fn many_weights(weights: &Weights) -> bool {
    weights.moving == 1 && weights.fixed > 1
}

fn any_weights(weights: &Weights) -> bool {
    weights.moving == 1 && weights.fixed > 0 && !weights.diagonal
}

/// The contraction with the terms of `take` packed, and biases where that saves something; and what it reads.
fn packed(contract: &Contract, site: &Site<'_>, take: fn(&Weights) -> bool) -> Option<Merged> {
    let fixed: Vec<bool> = contract.operands.iter().map(|o| (site.fixed)(o.value)).collect();
    let dims: Vec<&[Dim]> = contract.operands.iter().map(|o| site.ty(o.value).dims.as_slice()).collect();
    let still = |path: &Path| path.factors.iter().all(|f| fixed[f.operand]);
    let biases: Vec<&Path> = contract.paths.iter().filter(|path| still(path)).collect();
    let sums = is_sum(&biases) || biases.iter().any(|path| path.factors.len() > 1);
    let taken = |path: &Path| if still(path) { sums } else { take(&weights(path, &fixed)) };
    if !contract.paths.iter().any(taken) {
        return None;
    }
    site.tried.set(site.tried.get() + contract.paths.len());
    let packed = pack(contract, &fixed, &dims, taken)?;
    let mut main = packed.main;
    main.operands.push(Operand { value: BUILT, map: packed.map });
    let ty = Type::new(packed.value.rows.clone(), Irreps::scalars(packed.width), site.ty.dtype);
    Some(Merged { main, value: packed.value, ty, merges: packed.merges })
}

fn weights(path: &Path, fixed: &[bool]) -> Weights {
    let (still, moving): (Vec<_>, Vec<_>) = path.factors.iter().partition(|f| fixed[f.operand]);
    let along = |k: usize| {
        let has = |f: &&Factor| f.segment.strides[k] > 0;
        path.out.strides[k] > 0 && still.iter().any(has) && moving.iter().any(has)
    };
    Weights { fixed: still.len(), moving: moving.len(), diagonal: (0..path.axes.len()).any(along) }
}
