//! Gates: products that are multiplied before they are written, inside a kernel and into the caller's rows.

use schur::spec::{SpecBuilder, gate, linear};
use schur::{Mode, Model};
use schur_ir::ty::DType;

use crate::levels::check_every_level;
use crate::random_graph::random_arrays;

/// Whole vectors and tails; the outputs are a gate, and a linear layer on another one.
fn model(dtype: DType) -> Model {
    let irreps = "67x0e + 17x1o + 32x2e";
    let spec = SpecBuilder::new("gates").dtype(dtype).input("x", ["N"], "20x0e + 20x1o + 5x2e");
    let spec = spec.layer("a", linear("x", irreps)).layer("y", gate("a"));
    let spec =
        spec.layer("b", linear("x", irreps)).layer("c", gate("b")).layer("z", linear("c", "3x0e + 16x1o + 2x2e"));
    Model::new(spec.outputs(["y", "z"])).unwrap()
}

#[test]
fn gated_products_agree_at_every_level_for_any_number_of_tiles() {
    for (dtype, tolerance) in [(DType::F32, 1e-5), (DType::F64, 1e-13)] {
        let model = model(dtype);
        for graph in [model.graph(Mode::Infer).unwrap(), model.joint(Mode::Infer).unwrap()] {
            for rows in [0, 1, 23, 97, 400] {
                let arrays = random_arrays(&graph, &[("N".into(), rows)].into(), 11);
                let case = format!("{dtype}, {rows} rows");
                check_every_level(&case, &graph, &arrays, tolerance);
            }
        }
    }
}

/// What a micro-kernel does with a product is not done again with what follows: a gate of 16 copies, then of 8.
#[test]
fn wide_gates_before_narrow_ones_agree_at_every_level() {
    let spec = SpecBuilder::new("narrow").dtype(DType::F64).input("x", ["N"], "16x0e + 16x1o + 16x2e + 16x3o");
    let spec = spec.layer("a", linear("x", "120x0e + 32x1o + 16x2e + 8x3o")).layer("b", gate("a"));
    let model = Model::new(spec.layer("y", linear("b", "1x0e + 1x1o + 1x2e + 2x3o")).outputs(["y"])).unwrap();
    let graph = model.graph(Mode::Infer).unwrap();
    let arrays = random_arrays(&graph, &[("N".into(), 97)].into(), 11);
    check_every_level("wide, then narrow", &graph, &arrays, 1e-12);
}
