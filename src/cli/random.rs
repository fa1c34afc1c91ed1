//! Random arrays and rotations, the same on every machine.

use indexmap::IndexMap;
use schur::ir::dim::{Bindings, DimError};
use schur::ir::expr::Scalar;
use schur::ir::graph::{Graph, Init, Op, Param};
use schur::ir::memory;
use schur::runtime::init::draws;
use schur::{Array, DType, Data, Rotation};

use super::failure::Failure;

/// The largest array that is made up.
const MAX_ELEMENTS: usize = 1 << 31;
const NORMAL: Init = Init::Normal { mean: Scalar(0.0), std: Scalar(1.0) };

fn numbers<T: FromIterator<E>, E>(name: &str, init: Init, n: usize, of: impl Fn(f64) -> E) -> T {
    draws(&Param { name: name.into(), shape: vec![n], init }, 0).take(n).map(of).collect()
}

/// Random inputs of a graph, with the same size for every symbol: normal features, indices in range, masks of true.
pub(crate) fn inputs(graph: &Graph, size: usize) -> Result<IndexMap<String, Array>, Failure> {
    let leaves = graph.nodes.iter().filter_map(|node| match &node.op {
        Op::Input(name) => Some((name, &node.ty)),
        Op::Param(_) | Op::Contract(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => None,
    });
    let leaves: Vec<_> = leaves.collect();
    let symbols = leaves.iter().flat_map(|(_, ty)| &ty.dims).flat_map(|dim| dim.symbols());
    let sizes: Bindings = symbols.map(|symbol| (symbol.clone(), size)).collect();
    let (mut arrays, mut bytes) = (IndexMap::new(), 0usize);
    for (name, ty) in leaves {
        let dims = ty.dims.iter().map(|dim| dim.evaluate(&sizes));
        let mut shape = dims.collect::<Result<Vec<_>, DimError>>().map_err(|e| Failure::user(e.to_string(), None))?;
        shape.extend(ty.dtype.is_float().then(|| ty.width()));
        let n = shape.iter().try_fold(1usize, |n, size| n.checked_mul(*size)).filter(|n| *n <= MAX_ELEMENTS);
        let too_large = || Failure::user(format!("`{name}` of shape {shape:?} is too large"), None);
        let n = n.ok_or_else(too_large)?;
        bytes = bytes.saturating_add(n.saturating_mul(ty.dtype.size()));
        memory::check(bytes).map_err(|_| too_large())?;
        let index = Init::Uniform { low: Scalar(0.0), high: Scalar(graph.index_bound(name).unwrap_or(1) as f64) };
        let data = match ty.dtype {
            DType::F32 => Data::F32(numbers(name, NORMAL, n, |x| x as f32)),
            DType::F64 => Data::F64(numbers(name, NORMAL, n, |x| x)),
            DType::I32 => Data::I32(numbers(name, index, n, |x| x as i32)),
            DType::Bool => Data::Bool(vec![1; n].into()),
        };
        arrays.insert(name.to_string(), Array::new(shape, data)?);
    }
    Ok(arrays)
}

/// Uniform rotations.
pub(crate) fn rotations(count: usize) -> Vec<Rotation> {
    let numbers: Vec<f64> = numbers("rotations", NORMAL, 4 * count, |x| x);
    numbers.as_chunks().0.iter().map(|quaternion| Rotation::from_quaternion(*quaternion)).collect()
}
