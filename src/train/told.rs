//! Settings of a run as its command line spells them, and what of its spec or its rows is another.

use indexmap::IndexMap;
use schur_ir::counted::Counted;

/// The numbers that the steps of a run depend on, as a checkpoint names them.
type Numbers = IndexMap<String, f64>;

/// The name of the number of the rows.
pub(super) const DATA: &str = "data";

/// What is said where a saved run had another spec, other settings or other rows than this one, by the first that differs.
pub(super) fn difference(saved: &Numbers, own: &Numbers) -> Option<String> {
    other_part(saved, own).or_else(|| other_setting(saved, own)).or_else(|| other_rows(saved, own))
}

/// The input or the layer that one of the specs lacks; where they have the same, the first that is another.
fn other_part(saved: &Numbers, own: &Numbers) -> Option<String> {
    if part(saved, |_| true).is_none() {
        return Some("it does not tell its spec".to_owned());
    }
    if let Some(lost) = part(saved, |name| !own.contains_key(name)) {
        return Some(format!("its spec has {lost}, and this one has not"));
    }
    if let Some(new) = part(own, |name| !saved.contains_key(name)) {
        return Some(format!("its spec lacks {new}"));
    }
    Some(format!("{} is another in its spec", part(own, |name| saved.get(name) != own.get(name))?))
}

/// The first number that is of a part of a spec, and wanted: what it is of.
fn part(numbers: &Numbers, is_wanted: impl Fn(&str) -> bool) -> Option<String> {
    let kinds = [("input:", "input"), ("layer:", "layer")];
    let of = |name: &String| {
        kinds.iter().find_map(|(prefix, kind)| Some(format!("the {kind} `{}`", name.strip_prefix(prefix)?)))
    };
    numbers.keys().filter(|name| is_wanted(name)).find_map(of)
}

fn other_setting(saved: &Numbers, own: &Numbers) -> Option<String> {
    let mut names = own.keys().chain(saved.keys()).filter(|name| *name != DATA);
    let name = names.find(|name| saved.get(*name) != own.get(*name))?;
    let spelled = |numbers: &Numbers| option(name).1(numbers);
    let (then, now) = (spelled(saved), spelled(own));
    if then != now {
        return Some(format!("its {} is {then}, and {now} here", option(name).0));
    }
    let number = |numbers: &Numbers| numbers.get(name).map_or("absent".to_owned(), f64::to_string);
    Some(format!("its `{name}` is {}, and {} here", number(saved), number(own)))
}

/// Rows come last: with another target, they are others too.
fn other_rows(saved: &Numbers, own: &Numbers) -> Option<String> {
    match saved.get(DATA) {
        None => Some("it does not tell its --data".to_owned()),
        told if told == own.get(DATA) => None,
        Some(_) => Some("its --data held other numbers".to_owned()),
    }
}

/// The option that a number is of, and how its value is spelled.
fn option(name: &str) -> (&'static str, fn(&Numbers) -> String) {
    match name {
        "mse" | "mae" | "huber-delta" => ("--loss", loss),
        "momentum" | "b1" | "b2" | "eps" | "weight-decay" => ("--optimizer", optimizer),
        "cosine-epochs" => ("--schedule", schedule),
        "batch" => ("--batch", |numbers| of(numbers, "batch")),
        "rows" => ("number of rows", |numbers| of(numbers, "rows")),
        "rate" => ("--rate", |numbers| of(numbers, "rate")),
        "warmup" => ("--warmup", |numbers| of(numbers, "warmup")),
        "clip" => ("--clip", |numbers| of(numbers, "clip")),
        "seed" | "seed-high" | "seed-low" => ("--seed", seed),
        _ => ("--target", target),
    }
}

fn of(numbers: &Numbers, name: &str) -> String {
    numbers.get(name).map_or("not given".to_owned(), f64::to_string)
}

fn seed(numbers: &Numbers) -> String {
    match (numbers.get("seed-high"), numbers.get("seed-low")) {
        (Some(high), Some(low)) => ((*high as u64) << 32 | *low as u64).to_string(),
        _ => of(numbers, "seed"),
    }
}

fn loss(numbers: &Numbers) -> String {
    match numbers.get("huber-delta") {
        Some(delta) => format!("huber with --huber-delta {delta}"),
        None if numbers.contains_key("mae") => "mae".to_owned(),
        None => "mse".to_owned(),
    }
}

fn optimizer(numbers: &Numbers) -> String {
    match (numbers.get("momentum"), numbers.get("weight-decay")) {
        (Some(momentum), _) => format!("sgd with --momentum {momentum}"),
        (None, Some(decay)) if *decay != 0.0 => format!("adamw with --weight-decay {decay}"),
        (None, _) => "adam".to_owned(),
    }
}

fn schedule(numbers: &Numbers) -> String {
    match numbers.get("cosine-epochs") {
        Some(epochs) => format!("cosine over {}", Counted(*epochs as usize, "epoch")),
        None => "constant".to_owned(),
    }
}

fn target(numbers: &Numbers) -> String {
    let name = numbers.keys().find_map(|name| name.strip_prefix("target:"));
    name.unwrap_or("not told").to_owned()
}
