//! Every spec of `tests/specs`, stage by stage: one snapshot a spec and mode, to be read from top to bottom.

use schur_compiler::codegen::{Features, KernelCode, Listings, Target, generate};
use schur_compiler::loops::{LoopOptions, Loops, lower};
use schur_compiler::simplify::{SimplifyOptions, simplify};
use schur_ir::build::{Mode, build};
use schur_ir::spec::ModelSpec;

use crate::specs::specs;

fn stages(spec: &ModelSpec, mode: Mode) -> String {
    let graph = build(spec, mode).unwrap_or_else(|e| panic!("{e:?}"));
    let simplified = simplify(&graph, &SimplifyOptions::default()).unwrap_or_else(|e| panic!("{e}")).graph;
    let loops = lower(&simplified, &LoopOptions::default()).unwrap_or_else(|e| panic!("{e}"));
    format!("==== graph\n{graph}\n==== simplified\n{simplified}\n==== loops\n{loops}")
}

#[test]
fn stages_of_every_spec() {
    for (name, spec) in specs() {
        insta::assert_snapshot!(name.clone(), stages(&spec, Mode::Infer));
        if name.contains("norm") {
            insta::assert_snapshot!(format!("{name}_train"), stages(&spec, Mode::Train));
        }
    }
}

/// Every kernel's code, with and without listings.
fn code(spec: &ModelSpec, listings: Listings) -> (Loops, Vec<KernelCode>) {
    let graph = build(spec, Mode::Infer).unwrap_or_else(|e| panic!("{e:?}"));
    let loops = lower(&graph, &LoopOptions::default()).unwrap_or_else(|e| panic!("{e}"));
    let target = Target::host(Features::Native, true).unwrap_or_else(|e| panic!("{e}"));
    let code = generate(&loops, &target, listings, None).unwrap_or_else(|e| panic!("{e}"));
    (loops, code)
}

#[test]
fn listings_lead_from_machine_code_to_statements() {
    for (name, spec) in specs() {
        let (loops, listed) = code(&spec, Listings::Keep);
        let (_, silent) = code(&spec, Listings::Skip);
        for ((kernel, code), silent) in loops.kernels.iter().zip(&listed).zip(&silent) {
            assert_eq!(code.machine, silent.machine, "{name}: listings change the code");
            let listing = code.listing.as_ref().unwrap_or_else(|| panic!("{name}: a listing was asked for"));
            assert_eq!(kernel.values.len(), kernel.body.len());
            assert_eq!(listing.statements.len(), listing.clif.lines().count(), "{name}");
            // Every statement has instructions, and they have machine code.
            let mut linked = vec![0; kernel.body.len()];
            for (place, line) in &listing.places {
                assert!(place.start < place.end && place.end <= listing.instructions, "{name}: {place:?}");
                linked.iter_mut().enumerate().for_each(|(k, n)| {
                    *n += if listing.statements[*line] == Some(k) { place.len() } else { 0 };
                });
            }
            assert!(linked.iter().all(|bytes| *bytes > 0), "{name}: {linked:?}\n{kernel}{}", listing.clif);
            assert!(listing.places.windows(2).all(|pair| pair[0].0.end <= pair[1].0.start), "{name}: places overlap");
        }
    }
}
