//! Simplifying a spec of a hundred layers stays inside its limits, whatever it is made of: passes, e-nodes, and the memory
//! that is held at once. How long it takes follows from these; `cargo bench --bench simplify` measures it.

#[path = "../benches/simplify/hard_specs.rs"]
mod hard_specs;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use schur::ir::build::{Mode, build};
use schur::ir::graph::Graph;
use schur::ir::spec::{ModelSpec, Source};
use schur_compiler::autodiff::{VjpOptions, vjp};
use schur_compiler::simplify::{Cost, SimplifyOptions, Stop, simplify};

/// Counts the bytes that a thread holds.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.set(HELD.get() + layout.size() as isize);
        PEAK.set(PEAK.get().max(HELD.get()));
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.set(HELD.get() - layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// What a body gives, the bytes that it held at once, and how often it allocated.
fn measured<T>(body: impl FnOnce() -> T) -> (T, usize, usize) {
    let (held, allocations) = (HELD.get(), ALLOCATIONS.get());
    PEAK.set(held);
    let made = body();
    (made, (PEAK.get() - held) as usize, ALLOCATIONS.get() - allocations)
}

fn check(name: &str, graph: &Graph) {
    let options = SimplifyOptions::default();
    let (simplified, bytes, allocations) = measured(|| simplify(graph, &options).unwrap_or_else(|e| panic!("{e}")));
    let report = &simplified.report;
    let found = report.e_nodes.saturating_sub(graph.nodes.len());
    println!(
        "{name}: {} passes, {found} e-nodes found, {} MB, {allocations} allocations, {:?}",
        report.iterations,
        bytes >> 20,
        report.stop
    );
    // Of a hundred layers of many chunks, rules find more than the limit of paths lets them.
    let limited = name.contains("chunks") && report.stop == Stop::Paths;
    assert!(limited || report.stop == Stop::Saturated, "{name}: {:?}", report.stop);
    assert!(report.iterations <= 4 && found < 4000, "{name}: {} passes, {found} e-nodes found", report.iterations);
    assert!(bytes < 200 << 20, "{name}: {bytes} bytes at once");
    // About as many as a second has time for.
    assert!(allocations < 16_000_000, "{name}: {allocations} allocations");
    let [before, after] = [graph, &simplified.graph].map(|graph| Cost::of_graph(graph).nanoseconds(1000));
    assert!(after <= before, "{name}: {before} became {after}");
}

#[test]
fn hard_specs_stay_inside_the_limits() {
    for spec in hard_specs::hard_specs() {
        let source = Source::new("spec.toml", spec.text).unwrap_or_else(|e| panic!("{e}"));
        let parsed = ModelSpec::parse(&source).unwrap_or_else(|e| panic!("{}: {e:?}", spec.name));
        let graph = |mode| build(&parsed, mode).unwrap_or_else(|e| panic!("{}: {e:?}", spec.name));
        check(spec.name, &graph(Mode::Infer));
        let graph = graph(Mode::Train);
        let joint = vjp(&graph, &VjpOptions::new(&graph)).unwrap_or_else(|e| panic!("{}: {e}", spec.name));
        check(&format!("{}, joint", spec.name), &joint);
    }
}
