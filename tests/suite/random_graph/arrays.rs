//! Sizes and arrays for a graph.

use std::collections::HashMap;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use schur_ir::dim::{Bindings, Symbol};
use schur_ir::graph::{Graph, Init, Op, Requirement, RowMap};
use schur_ir::ty::DType;
use schur_runtime::array::{Array, Data};
use schur_runtime::reference::Arrays;

/// Sizes of all symbols of the inputs: 0, 1, small primes and, rarely and for one of them, more rows than one chunk.
pub(crate) fn random_sizes(graph: &Graph, seed: u64) -> Bindings {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let inputs = graph.nodes.iter().filter(|node| matches!(node.op, Op::Input(_)));
    let symbols = inputs.flat_map(|node| &node.ty.dims).flat_map(|dim| dim.symbols());
    let mut sizes = Bindings::new();
    for symbol in symbols {
        let rows: usize = sizes.values().product();
        let may_be_empty = !must_not_be_empty(graph, symbol);
        let choices: &[usize] = match rng.random_range(0..16) {
            0..4 if may_be_empty => &[0],
            4 if rows <= 1 => &[257],
            5 if rows <= 1 => &[131],
            _ if rows > 100 => &[1, 2],
            _ => &[1, 2, 3, 5, 7, 13, 31],
        };
        sizes.entry(symbol.clone()).or_insert(choices[rng.random_range(0..choices.len())]);
    }
    sizes
}

fn must_not_be_empty(graph: &Graph, symbol: &Symbol) -> bool {
    graph.requirements.iter().any(|requirement| match requirement {
        Requirement::NotEmpty { dims, .. } => dims.iter().any(|dim| dim.symbols().any(|s| s == symbol)),
        Requirement::AnyTrue { input, .. } => graph.nodes.iter().any(|node| match &node.op {
            Op::Input(name) => name == input && node.ty.dims.iter().any(|dim| dim.symbols().any(|s| s == symbol)),
            Op::Param(_) | Op::Contract(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => false,
        }),
        Requirement::IndexBelow { .. } => false,
    })
}

/// Arrays for all inputs and all parameters: floats in −1..1 and away from 0 (around its value, where a parameter's
/// initialisation is a constant), indices below everything that they index, masks with something true in them.
///
/// # Panics
/// Where `sizes` lacks a symbol of an input.
pub(crate) fn random_arrays(graph: &Graph, sizes: &Bindings, seed: u64) -> (Arrays, Arrays) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let bounds = index_bounds(graph, sizes);
    let (mut inputs, mut params) = (Arrays::new(), Arrays::new());
    for (value, node) in graph.values() {
        match &node.op {
            Op::Input(name) => {
                let mut shape: Vec<usize> = node.ty.dims.iter().map(|d| d.evaluate(sizes).unwrap()).collect();
                shape.extend(node.ty.dtype.is_float().then_some(node.ty.width()));
                let bound = bounds.get(&value.index()).copied().unwrap_or(1);
                inputs.insert(name.to_string(), random_array(&mut rng, shape, node.ty.dtype, 0.0, bound));
            }
            Op::Param(param) => {
                let around = match param.init {
                    Init::Constant(value) => value.0,
                    Init::Normal { .. } | Init::Uniform { .. } | Init::TruncatedNormal { .. } => 0.0,
                };
                let array = random_array(&mut rng, param.shape.clone(), node.ty.dtype, around, 1);
                params.insert(param.name.to_string(), array);
            }
            Op::Contract(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => {}
        }
    }
    (inputs, params)
}

fn random_array(rng: &mut ChaCha8Rng, shape: Vec<usize>, dtype: DType, around: f64, bound: usize) -> Array {
    let elements: usize = shape.iter().product();
    // Multiples of 1/512, exact in f32 around any constant of moderate size.
    let mut float = || {
        let magnitude = f64::from(rng.random_range(8..=512)) / 512.0;
        let near = if around == 0.0 { magnitude } else { magnitude / 2.0 };
        if rng.random_bool(0.5) { around + near } else { around - near }
    };
    let data = match dtype {
        DType::F32 => Data::F32((0..elements).map(|_| float() as f32).collect()),
        DType::F64 => Data::F64((0..elements).map(|_| float()).collect()),
        DType::I32 => Data::I32((0..elements).map(|_| rng.random_range(0..bound as i32)).collect()),
        DType::Bool => {
            let mut mask: Vec<u8> = (0..elements).map(|_| rng.random_range(0..=1)).collect();
            mask.first_mut().into_iter().for_each(|first| *first = 1);
            Data::Bool(mask.into())
        }
    };
    Array::new(shape, data).expect("as many elements as the shape says")
}

/// For every index, by its place: the length of the shortest axis that it picks from.
fn index_bounds(graph: &Graph, sizes: &Bindings) -> HashMap<usize, usize> {
    let mut bounds = HashMap::new();
    let mut lower = |place: usize, bound: usize| {
        let entry = bounds.entry(place).or_insert(bound);
        *entry = bound.min(*entry);
    };
    for (value, node) in graph.values() {
        match &node.op {
            Op::Contract(contract) => {
                let maps = contract.operands.iter().map(|o| &o.map).chain([&contract.out]);
                for index in maps.filter_map(|map: &RowMap| map.index.as_ref()) {
                    lower(index.value.index(), index.size.evaluate(sizes).unwrap());
                }
            }
            Op::Input(name) => {
                for requirement in &graph.requirements {
                    match requirement {
                        Requirement::IndexBelow { input, bound, .. } if input == name => lower(value.index(), *bound),
                        Requirement::IndexBelow { .. } | Requirement::NotEmpty { .. } | Requirement::AnyTrue { .. } => {
                        }
                    }
                }
            }
            Op::Param(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => {}
        }
    }
    bounds
}
