//! Losses that contain ∂energy/∂x, as forces are: what jax computes, at every level.

use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;
use ndarray::ArrayD;
use schur_compiler::autodiff::{VjpOptions, vjp};
use schur_ir::graph::OutputKind;
use schur_runtime::array::Array;
use schur_runtime::reference::Evaluated;

use super::{Call, Case, Folder, check_all, folders, of_the_tree};

/// A case of `generate_second_order.py`: the forward graph differentiated with respect to x, then once more with respect
/// to everything.
fn case(path: &Path) -> Case {
    let folder = Folder::open(path);
    let energy = (OutputKind::Output, Arc::from("energy"));
    let first = VjpOptions { outputs: vec![energy.clone()], wrt: vec!["x".into()] };
    let first = vjp(&folder.graph, &first).unwrap_or_else(|e| panic!("{}: {e}", folder.name));
    let second =
        VjpOptions { outputs: vec![energy, (OutputKind::Gradient, "x".into())], ..VjpOptions::new(&folder.graph) };
    let second = vjp(&first, &second).unwrap_or_else(|e| panic!("{}: {e}", folder.name));

    let mut inputs = folder.arrays("inputs");
    let cotangents = folder.arrays("cotangents");
    let ones = ArrayD::ones(cotangents["energy"].shape());
    inputs.insert("cotangent/energy".into(), Array::from_f64(&ones, folder.spec.dtype));
    let mut second_inputs = inputs.clone();
    second_inputs.insert("cotangent/cotangent/energy".into(), cotangents["energy"].clone());
    second_inputs.insert("cotangent/x".into(), cotangents["gradient/x"].clone());

    let (outputs, statistics) = (folder.wanted("outputs"), folder.wanted("batch_stats"));
    let only = |name: &str, renamed: &str| IndexMap::from([(renamed.to_owned(), outputs[name].clone())]);
    let once = Evaluated {
        outputs: only("energy", "energy"),
        statistics: statistics.clone(),
        gradients: only("gradient/x", "x"),
    };
    let twice = Evaluated { gradients: folder.wanted("gradients"), outputs, statistics };
    Case {
        params: folder.arrays("params"),
        tolerances: folder.tolerances(),
        calls: vec![
            Call { graph: first, inputs, wanted: once },
            Call { graph: second, inputs: second_inputs, wanted: twice },
        ],
        name: folder.name,
    }
}

#[test]
fn gradients_of_losses_with_gradients_agree_with_jax() {
    let folders = folders(&of_the_tree("second_order"));
    assert_eq!(folders.len(), 3);
    let cases = || folders.iter().map(|folder| case(folder));
    check_all(cases(), Case::check_reference);
    check_all(cases(), Case::check_interpreted);
    check_all(cases(), Case::check_compiled);
}
