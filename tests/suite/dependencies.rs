//! Every package that one of ours names has its line in docs/dependencies.md, and no package of ours has a build script.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const MANIFESTS: [&str; 5] = ["", "ir", "compiler", "runtime", "fuzz"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The packages in the tables of dependencies of a manifest, ours left out.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut inside = false;
    let mut names = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.trim_end().ends_with("dependencies]");
        } else if inside && line.starts_with(|c: char| c.is_ascii_alphabetic()) {
            let name = line.split(['.', ' ', '=']).next().unwrap();
            if name.split('-').next() != Some("schur") {
                names.insert(name.to_owned());
            }
        }
    }
    names
}

/// The packages in the first column of the table; `-frontend` after `cranelift-codegen` is `cranelift-frontend`.
fn documented() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("docs/dependencies.md")).unwrap();
    let cells = text.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let mut names = BTreeSet::new();
    for cell in cells {
        let quoted: Vec<&str> = cell.trim_end_matches('`').split("`, `").collect();
        let family = quoted[0].split('-').next().unwrap();
        names.extend(quoted.iter().map(|name| match name.strip_prefix('-') {
            Some(rest) => format!("{family}-{rest}"),
            None => (*name).to_owned(),
        }));
    }
    names
}

#[test]
fn every_dependency_has_its_line() {
    let read = |folder: &str| fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
    let used: BTreeSet<String> = MANIFESTS.iter().flat_map(|folder| dependencies(&read(folder))).collect();
    assert!(used.contains("egg") && used.contains("criterion") && used.contains("libfuzzer-sys"));
    let documented = documented();
    let missing: Vec<_> = used.difference(&documented).collect();
    let idle: Vec<_> = documented.difference(&used).collect();
    assert!(missing.is_empty() && idle.is_empty(), "not in docs/dependencies.md: {missing:?}; there alone: {idle:?}");
}

#[test]
fn no_package_has_a_build_script() {
    for folder in MANIFESTS {
        let folder = root().join(folder);
        assert!(!folder.join("build.rs").exists());
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        assert!(!manifest.lines().any(|line| line.starts_with("build =")), "{}", folder.display());
    }
}
