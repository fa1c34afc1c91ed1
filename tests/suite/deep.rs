//! Models of many layers: no function of the machine code grows with their number.

use std::collections::BTreeSet;

use schur_compiler::autodiff::{VjpOptions, vjp};
use schur_compiler::codegen::{Features, KernelCode, Listings, Target, generate};
use schur_compiler::loops::{Kernel, LoopOptions, lower};
use schur_compiler::simplify::{SimplifyOptions, simplify};
use schur_ir::build::{Mode, build};
use schur_ir::dim::Bindings;
use schur_ir::graph::Graph;
use schur_runtime::reference::evaluate;

use crate::levels::{distance, ways};
use crate::random_graph::random_arrays;
use crate::specs::spec;

/// So many linears and as many gates, forward and backward: one kernel.
pub(crate) fn gated(layers: usize) -> Graph {
    let of = |k: usize| if k == 0 { "x".to_owned() } else { format!("gate{}", k - 1) };
    let layer = |k: usize| {
        let input = of(k);
        format!(
            "[[layers]]\nname = \"linear{k}\"\nop = \"linear\"\ninput = \"{input}\"\nirreps_out = \"6x0e + 2x1o\"\n\
             [[layers]]\nname = \"gate{k}\"\nop = \"gate\"\ninput = \"linear{k}\"\n"
        )
    };
    let (output, layers) = (of(layers), (0..layers).map(layer).collect::<String>());
    let head = format!("name = \"gated\"\ndtype = \"f64\"\noutputs = [\"{output}\"]\n");
    let input = "[inputs.x]\nshape = [\"N\"]\nirreps = \"4x0e + 2x1o\"\n";
    let text = format!("{head}{input}{layers}");
    let graph = build(&spec(&text), Mode::Train).unwrap_or_else(|e| panic!("{e:?}"));
    vjp(&graph, &VjpOptions::new(&graph)).unwrap_or_else(|e| panic!("{e}"))
}

/// Every kernel with its statements, but for those that a micro-kernel does together with one before.
fn code(graph: &Graph) -> Vec<(KernelCode, Vec<usize>)> {
    let simplified = simplify(graph, &SimplifyOptions::default()).unwrap_or_else(|e| panic!("{e}")).graph;
    let loops = lower(&simplified, &LoopOptions::default()).unwrap_or_else(|e| panic!("{e}"));
    let target = Target::host(Features::Native, false).unwrap_or_else(|e| panic!("{e}"));
    let code = generate(&loops, &target, Listings::Keep, None).unwrap_or_else(|e| panic!("{e}"));
    let own = |kernel: &Kernel| {
        let is_own = |k: &usize| kernel.together_with(*k).is_none_or(|together| together.statements.start == *k);
        (0..kernel.body.len()).filter(is_own).collect()
    };
    code.into_iter().zip(loops.kernels.iter().map(own)).collect()
}

/// The statements that a function computes.
fn statements(code: &KernelCode) -> BTreeSet<usize> {
    code.listing.iter().flat_map(|listing| &listing.statements).flatten().copied().collect()
}

#[test]
fn kernels_of_many_statements_are_cut_into_sections() {
    for layers in [2, 60] {
        let kernels = code(&gated(layers));
        for (kernel, own) in &kernels {
            let all: Vec<usize> = kernel.functions().flat_map(statements).collect();
            assert!(all.is_sorted_by(|a, b| a < b), "a statement is in one function, in order: {all:?}");
            // What is done together is apart where a section ends between.
            assert!(own.iter().all(|k| all.contains(k)), "every statement is in a function: {all:?}");
            assert_eq!(kernel.machine.calls.len(), kernel.sections.len());
            for function in kernel.functions() {
                let (statements, bytes) = (statements(function).len(), function.machine.bytes.len());
                assert!(statements <= 192 && bytes < 64 * 1024, "{statements} statements, {bytes} bytes");
            }
        }
        let (largest, own) = kernels.iter().max_by_key(|(_, own)| own.len()).unwrap_or_else(|| panic!("no kernel"));
        let count = own.len();
        assert_eq!(largest.sections.is_empty(), layers == 2, "{count} statements");
        assert!(layers == 2 || count > 500, "{count} statements");
    }
}

#[test]
fn sections_compute_what_the_graph_says() {
    let graph = gated(30);
    // One tile, and several chunks of some tiles each.
    for rows in [1, 500] {
        let sizes = Bindings::from([("N".into(), rows)]);
        let (inputs, params) = random_arrays(&graph, &sizes, rows as u64);
        let wanted = evaluate(&graph, &inputs, &params).unwrap_or_else(|e| panic!("{e}"));
        for way in ways() {
            let found = way.run(&graph, &inputs, &params);
            for (found, wanted) in [(&found.outputs, &wanted.outputs), (&found.gradients, &wanted.gradients)] {
                let (apart, name) = distance(found, wanted);
                assert!(apart < 1e-9, "{rows} rows, {}: `{name}` is {apart:e} off", way.name);
            }
        }
    }
}
