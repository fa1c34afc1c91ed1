//! One graph at every level: the reference, the loop interpreter, compiled code.

use std::sync::Arc;

use indexmap::IndexMap;
use ndarray::{ArrayD, IxDyn};
use schur_compiler::codegen::Features;
use schur_compiler::compile::{CompileOptions, compile};
use schur_compiler::loops::{LoopOptions, Loops, interpret, lower};
use schur_ir::graph::{Graph, OutputKind};
use schur_ir::program::{BufferId, Program};
use schur_runtime::InstructionSet;
use schur_runtime::array::Array;
use schur_runtime::executor::Executor;
use schur_runtime::reference::{Evaluated, bind, evaluate};
use schur_runtime::store::ParamStore;
use schur_runtime::view::ArrayView;

/// Arrays by name.
pub(crate) type Arrays = IndexMap<String, Array>;

/// What the loop interpreter makes of a graph.
pub(crate) fn interpreted(graph: &Graph, inputs: &Arrays, params: &Arrays, fuse: bool) -> Evaluated {
    let loops =
        lower(graph, &LoopOptions { fuse, ..LoopOptions::default() }).unwrap_or_else(|e| panic!("{e}\n{graph}"));
    let bindings = bind(graph, inputs).unwrap_or_else(|e| panic!("{e}\n{graph}"));
    let flat = |array: &Array| array.to_f64().iter().copied().collect::<Vec<f64>>();
    let mut given: IndexMap<BufferId, Vec<f64>> = IndexMap::new();
    given.extend(loops.inputs.iter().map(|slot| (slot.buffer, flat(&inputs[&*slot.name]))));
    given.extend(loops.params.iter().map(|slot| (slot.buffer, flat(&params[&*slot.param.name]))));
    let buffers = interpret(&loops, &bindings, &given).unwrap_or_else(|e| panic!("{e}\n{loops}"));
    collect(&loops, |slot| {
        let buffer = &loops.buffers[slot.index()];
        let dims = buffer.dims.iter().map(|d| d.evaluate(&bindings).unwrap_or(0));
        let shape: Vec<usize> = dims.chain([buffer.width]).collect();
        (shape, buffers[slot.index()].clone())
    })
}

/// Checks that a graph gives what the reference gives, whoever computes it; `case` is for people.
pub(crate) fn check_every_level(case: &str, graph: &Graph, arrays: &(Arrays, Arrays), tolerance: f64) {
    check_levels(case, &ways(), graph, arrays, tolerance);
}

/// The same, of compiled code in some ways alone.
pub(crate) fn check_levels(
    case: &str,
    ways: &[Way],
    graph: &Graph,
    (inputs, params): &(Arrays, Arrays),
    tolerance: f64,
) {
    let wanted = evaluate(graph, inputs, params).unwrap();
    let check = |level: &str, found: &Evaluated| {
        for (found, wanted) in [
            (&found.outputs, &wanted.outputs),
            (&found.statistics, &wanted.statistics),
            (&found.gradients, &wanted.gradients),
        ] {
            let (apart, of) = distance(found, wanted);
            assert!(apart < tolerance, "{case}, {level}: `{of}` is {apart:e} off");
        }
    };
    for fuse in [true, false] {
        check("interpreted", &interpreted(graph, inputs, params, fuse));
    }
    for way in ways {
        check(&way.name, &way.run(graph, inputs, params));
    }
}

/// A way to compile a graph and to run it.
pub(crate) struct Way {
    pub(crate) name: String,
    options: CompileOptions,
    set: InstructionSet,
}

impl Way {
    /// What the compiled code makes of a graph.
    pub(crate) fn run(&self, graph: &Graph, inputs: &Arrays, params: &Arrays) -> Evaluated {
        self.call(self.program(graph), inputs, params)
    }

    /// True where the graph is rewritten first.
    pub(crate) fn is_simplified(&self) -> bool {
        self.options.simplify.is_some()
    }

    /// The compiled graph.
    pub(crate) fn program(&self, graph: &Graph) -> Program {
        compile(graph, &self.options, &mut |_, _| {}).unwrap_or_else(|e| panic!("{e}\n{graph}"))
    }

    /// What a call of a program returns.
    pub(crate) fn call(&self, program: Program, inputs: &Arrays, params: &Arrays) -> Evaluated {
        let name = program.name.clone();
        called(program, inputs, params, self.set).unwrap_or_else(|e| panic!("`{name}`, {}: {e}", self.name))
    }
}

/// The ways that a graph is compiled in tests: optimised, plain, each part of it left out, and with the micro-kernels of
/// every instruction set. Sets that the machine lacks are those that it has.
pub(crate) fn ways() -> [Way; 7] {
    let optimised = CompileOptions::default();
    let fused = LoopOptions::default();
    let unfused = LoopOptions { fuse: false, ..fused };
    let generated = LoopOptions { micro_kernels: false, ..fused };
    let apart = LoopOptions { shared_bytes: 0, ..fused };
    let beyond_caches = |loops| LoopOptions { cache_bytes: 0, ..loops };
    let way = |name: &str, simplify: bool, loops, features, set| {
        let simplify = if simplify { optimised.simplify.clone() } else { None };
        Way { name: name.into(), options: CompileOptions { simplify, loops, features, ..optimised.clone() }, set }
    };
    let (native, baseline) = (Features::Native, Features::Baseline);
    [
        way("optimised", true, fused, native, InstructionSet::widest()),
        way("not simplified, AVX2", false, fused, native, InstructionSet::Avx2),
        way("not fused, baseline, portable", true, unfused, baseline, InstructionSet::Portable),
        way(
            "no micro-kernels, larger than the caches",
            true,
            beyond_caches(generated),
            native,
            InstructionSet::Portable,
        ),
        way("optimised, AVX2, larger than the caches", true, beyond_caches(fused), native, InstructionSet::Avx2),
        way("optimised, portable, a kernel a product", true, apart, native, InstructionSet::Portable),
        way("plain", false, LoopOptions { fuse: false, ..generated }, baseline, InstructionSet::Portable),
    ]
}

/// Some of the ways that there are: options and instruction sets that a seed picks, whatever they are together.
pub(crate) fn any_way(seed: u64) -> Way {
    let number = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let flag = |bit: u32| number >> bit & 1 == 1;
    let or = |bit, this, that| if flag(bit) { this } else { that };
    let default = LoopOptions::default();
    let loops = LoopOptions {
        fuse: !(flag(0) && flag(1)),
        micro_kernels: !(flag(2) && flag(3)),
        cache_bytes: or(4, 0, default.cache_bytes),
        shared_bytes: or(5, 0, default.shared_bytes),
        tile_bytes: or(6, or(7, 1, 4096), default.tile_bytes),
    };
    let optimised = CompileOptions::default();
    let options = CompileOptions {
        simplify: if flag(8) { None } else { optimised.simplify.clone() },
        features: if flag(9) { Features::Native } else { Features::Baseline },
        loops,
        ..optimised
    };
    let set = InstructionSet::ALL[(number >> 10) as usize % InstructionSet::ALL.len()];
    Way { name: format!("way of {seed}"), options, set }
}

/// What compiled code makes of a graph, with the widest instructions of the machine.
pub(crate) fn compiled(graph: &Graph, inputs: &Arrays, params: &Arrays) -> Evaluated {
    ways()[0].run(graph, inputs, params)
}

/// What a call of a program returns.
fn called(program: Program, inputs: &Arrays, params: &Arrays, set: InstructionSet) -> Result<Evaluated, String> {
    let leaves = program.params.iter().map(|slot| &slot.param);
    let store = ParamStore::from_arrays(leaves, program.dtype, params.clone()).map_err(|e| e.to_string())?;
    let mut executor = Executor::with_instruction_set(Arc::new(program), set).map_err(|e| e.to_string())?;
    let views: Vec<(&str, ArrayView<'_>)> = inputs.iter().map(|(name, array)| (name.as_str(), array.view())).collect();
    let mut found = executor.call(&views, &store).map_err(|e| e.to_string())?;
    // What was computed from the parameters is kept; a call that computes nothing but the rest must give the same.
    executor.call_over(&views, &store, &mut found).map_err(|e| e.to_string())?;
    let floats = |arrays: IndexMap<Arc<str>, Array>| arrays.iter().map(|(n, a)| (n.to_string(), a.to_f64())).collect();
    Ok(Evaluated {
        outputs: floats(found.outputs),
        statistics: floats(found.statistics),
        gradients: floats(found.gradients),
    })
}

fn collect(loops: &Loops, array: impl Fn(BufferId) -> (Vec<usize>, Vec<f64>)) -> Evaluated {
    let mut out = Evaluated::default();
    for slot in &loops.outputs {
        let (shape, values) = array(slot.buffer);
        let shape = slot.shape.clone().unwrap_or(shape);
        let kind = match slot.kind {
            OutputKind::Output => &mut out.outputs,
            OutputKind::Statistic => &mut out.statistics,
            OutputKind::Gradient => &mut out.gradients,
        };
        let array = ArrayD::from_shape_vec(IxDyn(&shape), values).unwrap_or_else(|e| panic!("{}: {e}", slot.name));
        kind.insert(slot.name.to_string(), array);
    }
    out
}

/// How far two numbers are apart: infinitely where one of them alone is NaN.
pub(crate) fn apart(a: f64, b: f64) -> f64 {
    match (a == b || (a.is_nan() && b.is_nan()), (a - b).abs()) {
        (true, _) => 0.0,
        (false, apart) if apart.is_nan() => f64::INFINITY,
        (false, apart) => apart,
    }
}

/// How far arrays of one kind are apart: the largest difference of an element, relative to the largest magnitude of its
/// array, or to a hundredth of the largest magnitude of all where that is more.
pub(crate) fn distance(found: &IndexMap<String, ArrayD<f64>>, wanted: &IndexMap<String, ArrayD<f64>>) -> (f64, String) {
    let magnitude = |array: &ArrayD<f64>| array.iter().fold(0.0f64, |a, b| a.max(b.abs()));
    let overall = wanted.values().map(magnitude).fold(0.0, f64::max);
    let mut worst = (0.0, String::new());
    assert_eq!(found.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>());
    for (name, wanted) in wanted {
        let found = &found[name];
        assert_eq!(found.shape(), wanted.shape(), "{name}");
        let scale = magnitude(wanted).max(overall / 100.0).max(f64::MIN_POSITIVE);
        for (a, b) in found.iter().zip(wanted) {
            let apart = apart(*a, *b) / scale;
            if apart > worst.0 {
                worst = (apart, name.clone());
            }
        }
    }
    worst
}
