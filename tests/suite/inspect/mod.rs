//! `schur inspect`: texts, differences, drawings, and the page.

mod browser;
mod page;

use crate::cli::{Folder, printed, refused, schur, text};
use crate::specs::FORCES;

/// A small spec whose names try to leave their places.
pub(crate) const NASTY: &str = r#"
name = '</script><b title="x">&amp;{{data}}'
outputs = ['<script><!--<i>"&']
inputs.x = { shape = ["N"], irreps = "4x0e + 2x1o" }

[[layers]]
name = '<script><!--<i>"&'
op = "linear"
input = "x"
irreps_out = "4x0e + 2x1o"
"#;

#[test]
fn the_spec_stage_is_the_spec_with_its_defaults() {
    let folder = Folder::new();
    let nasty = folder.write("nasty.toml", NASTY);
    let given = crate::specs::entries("tests/specs").into_iter().chain(crate::specs::cases().step_by(5));
    for path in given.chain([nasty.into(), FORCES.into()]) {
        let said = printed(&["inspect", &path.to_string_lossy(), "--stage", "spec"]);
        let source = schur_ir::spec::Source::new("again.toml", &*said).unwrap();
        let again = schur_ir::spec::ModelSpec::parse(&source).unwrap_or_else(|e| panic!("{said}\n{e:?}"));
        assert_eq!(again, crate::specs::read(&path), "{said}");
    }
    let said = printed(&["inspect", "tests/specs/batch_norm.toml", "--stage", "spec"]);
    assert!(said.contains("\neps = 0.0001\n") && said.contains("\nreduce = \"mean\"\n"), "{said}");
}

#[test]
fn differences_between_stages_are_those_of_values() {
    let folder = Folder::new();
    let spec = folder.write(
        "model.toml",
        r#"
name = "m"
outputs = ["y"]
inputs.x = { shape = ["N"], irreps = "8x0e + 4x1o" }
layers = [
    { name = "mix", op = "linear", input = "x", irreps_out = "8x0e + 4x1o" },
    { name = "y", op = "filter", input = "mix", keep = ["1o"] },
]
"#,
    );
    insta::assert_snapshot!(printed(&["inspect", &spec, "--diff", "graph", "simplified"]));
    let alone = |rule: &str| printed(&["inspect", &spec, "--diff", "graph", "simplified", "--rule", rule]);
    assert!(
        alone("narrow").contains("f32[N] 4x1o = contract %0[0]")
            && !alone("fuse-maps").contains("f32[N] 4x1o = contract %0")
    );
    assert!(refused(2, &["inspect", &spec, "--stage", "graph", "--rule", "fuse-map"]).contains("fuse-maps"));
    let joint = printed(&["inspect", &spec, "--diff", "graph", "joint"]);
    assert!(joint.contains("\n+gradient \"params/mix/w[1,1] 4x1o,4x1o\"") && !joint.contains("\n-%"), "{joint}");
    let same = schur(&["inspect", &spec, "--diff", "asm", "asm"]);
    assert_eq!((text(&same.stdout), text(&same.stderr)), (String::new(), "asm and asm are the same\n".into()));
    assert!(refused(2, &["inspect", &spec, "--diff", "graph"]).contains("2 values required"));
}

#[test]
fn graphs_are_drawn_by_graphviz() {
    let folder = Folder::new();
    let spec = folder.write("model.toml", NASTY);
    insta::assert_snapshot!(printed(&["inspect", &spec, "--dot", "--stage", "graph"]));
    let joint = printed(&["inspect", FORCES, "--dot", "--stage", "joint", "--train"]);
    assert!(
        joint.contains("gradient params/forces/w[0,0]") && joint.contains("label=\"f32[N] 64x0e+32x1o\""),
        "{joint}"
    );
    assert_ne!(joint, printed(&["inspect", FORCES, "--dot", "--gradients", "--train"]));
    assert!(refused(2, &["inspect", FORCES, "--dot", "--stage", "asm"]).contains("`asm` is no graph"));
    assert!(refused(2, &["inspect", FORCES]).contains("--stage <STAGE>"));
}

#[test]
fn what_is_compiled_depends_on_the_size() {
    let folder = Folder::new();
    let linear = |name: &str, input: &str| {
        format!(r#"{{ name = "{name}", op = "linear", input = "{input}", irreps_out = "64x0e" }}"#)
    };
    let layers = [linear("a", "x"), linear("y", "a")].join(", ");
    let inputs = r#"inputs.x = { shape = ["N"], irreps = "64x0e" }"#;
    let spec = format!("name = \"m\"\noutputs = [\"y\"]\n{inputs}\nlayers = [{layers}]\n");
    let spec = folder.write("model.toml", &spec);
    let graph = |size: &str| {
        let text = printed(&["inspect", &spec, "--stage", "simplified", "--size", size]);
        text.lines().filter(|line| line.contains("contract")).map(|line| line.contains("[N]")).collect::<Vec<_>>()
    };
    // Two products of rows; a product of weights, and one of rows.
    assert_eq!((graph("1"), graph("100000")), (vec![true, true], vec![false, true]));
}
