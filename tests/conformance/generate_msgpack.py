"""A model trained a few steps in e3nn_jax and saved by flax, with what e3nn_jax computes from it.

    python generate_msgpack.py --out msgpack

    spec.json              the model
    params.msgpack         `flax.serialization.to_bytes` of its variables, after training
    inputs.safetensors     inputs of a call
    outputs.safetensors    expected, in inference
"""

import argparse
import json
import pathlib

import jax
import numpy as np
from flax import serialization
from safetensors.numpy import save_file

from e3nn_reference import Reference, unflatten

SPEC = {
    "name": "trained",
    "dtype": "f32",
    "inputs": {"x": {"shape": ["N"], "irreps": "6x0e + 4x1o + 2x2e"}, "species": {"shape": ["N"], "dtype": "i32"}},
    "layers": [
        {"name": "embed", "op": "linear", "input": "x", "irreps_out": "14x0e + 4x1o + 2x2e", "weights": "species",
         "num_indexed_weights": 3, "biases": True},
        {"name": "norm", "op": "batch_norm", "input": "embed"},
        {"name": "hidden", "op": "gate", "input": "norm", "even_act": "silu"},
        {"name": "norms", "op": "norm", "input": "hidden"},
        {"name": "invariants", "op": "mlp", "input": "norms", "list_neurons": [16, 5], "act": "silu", "with_bias": True},
        {"name": "y", "op": "linear", "input": "hidden", "irreps_out": "0e + 1o", "weights": "invariants"},
    ],
    "outputs": ["y"],
}


def data(g, rows):
    return {
        "x": g.standard_normal((rows, 28)).astype(np.float32),
        "species": g.integers(0, 3, rows).astype(np.int32),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("msgpack"))
    arguments = parser.parse_args()
    g = np.random.default_rng(0)
    batch, inputs = data(g, 32), data(g, 11)
    target = g.standard_normal((32, 4)).astype(np.float32)
    reference = Reference(SPEC)
    variables = reference.init(0, batch)
    params = {k: v for k, v in variables.items() if k.startswith("params/")}
    statistics = {k: v for k, v in variables.items() if k.startswith("batch_stats/")}

    def loss(params, statistics):
        outputs, updated = reference.raw({**statistics, **params}, batch, True)
        return ((outputs["y"] - target) ** 2).mean(), updated

    step = jax.jit(jax.grad(loss, has_aux=True))
    for _ in range(20):
        gradients, statistics = step(params, statistics)
        params = {k: v - 0.1 * gradients[k] for k, v in params.items()}

    variables = {**statistics, **params}
    outputs, _ = reference.raw(variables, inputs, False)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "spec.json").write_text(json.dumps(SPEC, indent=1) + "\n")
    (arguments.out / "params.msgpack").write_bytes(serialization.to_bytes(unflatten(variables)))
    save_file(inputs, arguments.out / "inputs.safetensors")
    save_file({k: np.asarray(v) for k, v in outputs.items()}, arguments.out / "outputs.safetensors")


if __name__ == "__main__":
    main()
