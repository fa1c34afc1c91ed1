//! The textbook of `tests/textbook`: small inputs, a comment at their top that says what to look at, and beside them what
//! the compiler makes of them.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use schur_compiler::autodiff::{VjpOptions, vjp};
use schur_compiler::codegen::{Features, Listings, Target, generate};
use schur_compiler::loops::{LoopOptions, lower};
use schur_compiler::simplify::{RULES, Rule, SimplifyOptions, simplify, variants};
use schur_ir::build::{Mode, build};
use schur_ir::graph::{Graph, ValueId};
use schur_ir::spec::LayerOp;
use schur_ir::verify::verify;

use crate::specs::{self, spec};

/// The inputs of a chapter, by name.
fn chapter(name: &str) -> Vec<(String, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/textbook").join(name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let inputs = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml" || e == "graph"));
    let stem = |path: PathBuf| (path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), path);
    let mut inputs: Vec<(String, PathBuf)> = inputs.map(stem).collect();
    inputs.sort();
    inputs
}

/// An input, and the comment at its top.
fn read(path: &Path) -> (String, String) {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let first = text.lines().next().and_then(|line| line.strip_prefix("# "));
    let comment = first.unwrap_or_else(|| panic!("{} begins with what to look at", path.display())).to_owned();
    (text, comment)
}

/// Compares what was made of an input with what stands beside it.
fn assert_beside(chapter: &str, name: &str, comment: &str, made: &str) {
    insta::with_settings!({
        snapshot_path => Path::new("../textbook").join(chapter),
        prepend_module_to_snapshot => false,
        omit_expression => true,
        description => comment,
    }, {
        insta::assert_snapshot!(name, made);
    });
}

/// The graph of a spec; a name that ends in `train` asks for the training mode.
fn spec_graph(name: &str, text: &str) -> Graph {
    let mode = if name.ends_with("train") { Mode::Train } else { Mode::Infer };
    build(&spec(text), mode).unwrap_or_else(|e| panic!("{name}: {e:?}"))
}

/// Every rule, with its comment and its graph.
pub(crate) fn rule_pages() -> Vec<(&'static Rule, String, Graph)> {
    let page = |(name, path): (String, PathBuf)| {
        let rule = RULES.into_iter().find(|rule| rule.name == name).unwrap_or_else(|| panic!("{name} is no rule"));
        let (text, comment) = read(&path);
        let graph: Graph = text.parse().unwrap_or_else(|e| panic!("{name}: {e}"));
        verify(&graph).unwrap_or_else(|e| panic!("{name}: {e}"));
        (rule, comment, graph)
    };
    chapter("rules").into_iter().map(page).collect()
}

/// One rule on one graph: what it finds, and what becomes of the graph by it alone.
fn check_rule(rule: &'static Rule, comment: &str, graph: &Graph) {
    let options = SimplifyOptions { rules: vec![rule], ..SimplifyOptions::default() };
    let simplified = simplify(graph, &options).unwrap_or_else(|e| panic!("{}: {e}", rule.name));
    let applied = simplified.report.rules.iter().any(|(name, _)| *name == rule.name);
    assert!(applied, "{} does not apply to its own graph: {:?}", rule.name, simplified.report.rules);
    let mut made = format!("{graph}\n==== by {}\n\n", rule.name);
    let (all, pairs) = variants(graph, &options).unwrap_or_else(|e| panic!("{}: {e}", rule.name));
    let value = |output: &str| all.outputs.iter().find(|o| *o.name == *output).map_or(ValueId(0), |o| o.value);
    for pair in pairs.iter().filter(|pair| pair.rule == rule.name) {
        let (before, after) = (value(&pair.before), all.node(value(&pair.after)));
        let _ = writeln!(made, "{before} is also {after}");
        for read in after.op.reads().into_iter().filter(|read| read.index() >= graph.nodes.len()) {
            let _ = writeln!(made, "  where {read} is {}", all.node(read));
        }
        made.push('\n');
    }
    assert_beside("rules", rule.name, comment, &(made + &simplified.graph.to_string()));
}

/// The ops of the layers of a spec.
fn ops(path: &Path) -> Vec<&'static str> {
    specs::read(path).layers.iter().map(|layer| layer.op.name()).collect()
}

/// The joint graph of one layer, cut where the forward pass ends.
fn check_layer(name: &str, path: &Path) {
    let (text, comment) = read(path);
    let graph = spec_graph(name, &text);
    let joint = vjp(&graph, &VjpOptions::new(&graph)).unwrap_or_else(|e| panic!("{name}: {e}"));
    verify(&joint).unwrap_or_else(|e| panic!("{name}: {e}"));
    let backward = format!("\n%{}: ", graph.nodes.len());
    let made = joint.to_string().replacen(&backward, &format!("\n\n==== backward\n{backward}"), 1);
    assert_beside("layers", name, &comment, &made);
}

/// The loops of one spec, and the Cranelift IR of its first kernel.
fn check_kernel(name: &str, path: &Path) {
    let (text, comment) = read(path);
    let simplified = simplify(&spec_graph(name, &text), &SimplifyOptions::default());
    let loops = lower(&simplified.unwrap_or_else(|e| panic!("{name}: {e}")).graph, &LoopOptions::default());
    let mut loops = loops.unwrap_or_else(|e| panic!("{name}: {e}"));
    let mut made = loops.to_string();
    if name.starts_with("clif") {
        loops.kernels.truncate(1);
        let target = Target::host(Features::Baseline, true).unwrap_or_else(|e| panic!("{e}"));
        let code = generate(&loops, &target, Listings::Keep, None).unwrap_or_else(|e| panic!("{name}: {e}"));
        let listing = code[0].listing.as_ref().unwrap_or_else(|| panic!("a listing was asked for"));
        made += &format!("\n==== clif\n\n{}", listing.clif);
    }
    assert_beside("kernels", name, &comment, &made);
}

#[test]
fn every_rule_has_a_page() {
    let pages = rule_pages();
    for rule in RULES {
        assert!(pages.iter().any(|(of, ..)| of.name == rule.name), "no page is about `{}`", rule.name);
    }
    pages.iter().for_each(|(rule, comment, graph)| check_rule(rule, comment, graph));
}

#[test]
fn every_layer_has_a_page() {
    let inputs = chapter("layers");
    for op in LayerOp::names() {
        assert!(inputs.iter().any(|(_, path)| ops(path).contains(&op)), "no page is about `{op}`");
    }
    inputs.iter().for_each(|(name, path)| check_layer(name, path));
}

#[test]
fn kernels_have_their_pages() {
    chapter("kernels").iter().for_each(|(name, path)| check_kernel(name, path));
}

#[test]
fn the_documentation_quotes_the_textbook() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = std::fs::read_to_string(folder.join("docs/simplify.md")).unwrap_or_else(|e| panic!("{e}"));
    let (_, walk) = docs.split_once("## Five pages of the textbook").expect("there is a walk through the textbook");
    let sections: Vec<&str> = walk.split("\n**`").skip(1).collect();
    assert_eq!(sections.len(), 5);
    for section in sections {
        let (rule, text) = section.split_once('`').expect("a section begins with a rule");
        let page = folder.join("tests/textbook/rules").join(format!("{rule}.snap"));
        let page = std::fs::read_to_string(&page).unwrap_or_else(|e| panic!("{}: {e}", page.display()));
        let quotes: Vec<&str> = text.split("```graph\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert!(quotes.len() >= 2, "{rule}");
        for line in quotes.iter().flat_map(|quote| quote.lines()) {
            assert!(page.lines().any(|of_page| of_page == line), "{rule}: the page has no line `{line}`");
        }
    }
}
