"""Gradients of a loss that contains a gradient, as training on forces has, computed by jax in f64.

    python generate_second_order.py --out second_order

For an output `energy` and an input `x` of each spec below, with F = ∂(sum of energy)/∂x, the loss is
sum(a·energy) + sum(b·F). A case is a folder:
    spec.json                  the model, in f64
    inputs.safetensors         its inputs
    params.safetensors         params/... and batch_stats/...
    cotangents.safetensors     `energy`: a; `gradient/x`: b
    outputs.safetensors        expected: `energy`, `gradient/x` (which is F)
    gradients.safetensors      expected: ∂loss/∂ every float input and every params/...
    batch_stats.safetensors    expected: batch_stats/... after a training run (absent where there are none)
"""

import argparse
import json
import pathlib
import shutil

import e3nn_jax as e3nn
import jax
import jax.numpy as jnp
import numpy as np
from safetensors.numpy import save_file

from e3nn_reference import Reference
from generate import perturbed


def layer(name, op, source, **options):
    return {"name": name, "op": op, "input": source, **options}


ROWS = 7

SPECS = {
    # Invariants of the input, and an MLP: the simplest energy.
    "norms_mlp": {
        "train": False,
        "inputs": {"x": {"shape": ["N"], "irreps": "5x0e + 3x1o + 2x2e"}},
        "layers": [
            layer("norms", "norm", "x"),
            layer("energy", "mlp", "norms", list_neurons=[9, 1], act="silu", with_bias=True, output_activation=False),
        ],
    },
    # Every weight mode of linear, a gate, and invariants that weight vectors.
    "gates_and_weights": {
        "train": False,
        "inputs": {
            "x": {"shape": ["N"], "irreps": "6x0e + 4x1o + 2x2e"},
            "species": {"shape": ["N"], "dtype": "i32"},
            "radial": {"shape": ["N"], "irreps": "3x0e"},
        },
        "layers": [
            layer("embed", "linear", "x", irreps_out="12x0e + 5x1o + 2x2e", weights="species", num_indexed_weights=3, biases=True),
            layer("hidden", "gate", "embed"),
            layer("message", "linear", "hidden", irreps_out="6x0e + 4x1o", weights="radial"),
            layer("squares", "norm", "message", squared=True),
            layer("mix", "mlp", "squares", list_neurons=[8, 10], act="tanh"),
            layer("weighted", "multiply", ["mix", "message"]),
            layer("act", "norm_activation", "weighted", acts=["tanh", "sigmoid"]),
            layer("lengths", "norm", "act", squared=True),
            layer("energy", "linear", "lengths", irreps_out="0e"),
        ],
    },
    # The statistics of the batch, through which every energy depends on every row.
    "batch_norm": {
        "train": True,
        "inputs": {"x": {"shape": ["N"], "irreps": "4x0e + 3x1o"}},
        "layers": [
            layer("up", "linear", "x", irreps_out="7x0e + 4x1o"),
            layer("norm", "batch_norm", "up"),
            layer("hidden", "gate", "norm", even_act="silu"),
            layer("squares", "norm", "hidden", squared=True),
            layer("energy", "mlp", "squares", list_neurons=[6, 1], act="silu", output_activation=False),
        ],
    },
}


def inputs_of(spec, g):
    out = {}
    for name, declared in spec["inputs"].items():
        if declared.get("dtype") == "i32":
            out[name] = g.integers(0, 3, ROWS).astype(np.int32)
        else:
            out[name] = g.standard_normal((ROWS, e3nn.Irreps(declared["irreps"]).dim))
    return out


def write(folder, name, described):
    spec = {"name": name, "dtype": "f64", "outputs": ["energy"], **described}
    train = spec["train"]
    g = np.random.default_rng(sum(map(ord, name)))
    inputs = inputs_of(spec, g)
    reference = Reference(spec)
    variables = {k: perturbed(g, k, v) for k, v in reference.init(0, inputs).items()}
    params = {k: v for k, v in variables.items() if k.startswith("params/")}
    rest = {k: v for k, v in variables.items() if k not in params}
    floats = {k: v for k, v in inputs.items() if v.dtype.kind == "f"}
    others = {k: v for k, v in inputs.items() if k not in floats}

    def energy(params, floats):
        return reference.raw({**rest, **params}, {**others, **floats}, train)[0]["energy"]

    def both(params, floats):
        along_x = jax.grad(lambda x: energy(params, {**floats, "x": x}).sum())
        return {"energy": energy(params, floats), "gradient/x": along_x(floats["x"])}

    outputs, pull = jax.vjp(both, params, floats)
    cotangents = {k: g.standard_normal(v.shape) for k, v in outputs.items()}
    d_params, d_inputs = pull({k: jnp.asarray(v) for k, v in cotangents.items()})

    case = folder / name
    case.mkdir(parents=True)
    (case / "spec.json").write_text(json.dumps(spec, indent=1) + "\n")
    files = {
        "inputs": inputs, "params": variables, "cotangents": cotangents, "outputs": outputs,
        "gradients": {**d_params, **d_inputs},
    }
    statistics = reference.raw(variables, inputs, train)[1]
    if statistics:
        files["batch_stats"] = statistics
    for file, tensors in files.items():
        save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, case / f"{file}.safetensors")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("second_order"))
    arguments = parser.parse_args()
    if arguments.out.exists():
        shutil.rmtree(arguments.out)
    for name, described in SPECS.items():
        write(arguments.out, name, described)


if __name__ == "__main__":
    main()
