"""Cases at the edges of what e3nn_jax does, each for one reason, which its name says.

    python generate_edges.py --out edges

A case is a folder as `generate.py` makes them, in f64.
"""

import argparse
import pathlib
import shutil

import e3nn_jax as e3nn
import numpy as np

from generate import evaluate

SIZES = {"N": 5, "M": 3, "K": 2}


def layer(name, op, source, **options):
    return {"name": name, "op": op, "input": source, **options}


def features(irreps, *shape):
    return {"shape": list(shape), "irreps": irreps}


def index(*shape):
    return {"shape": list(shape), "dtype": "i32"}


def mask(*shape):
    return {"shape": list(shape), "dtype": "bool"}


def linear(irreps_out, source="x", name="y", **options):
    return layer(name, "linear", source, irreps_out=irreps_out, **options)


X = {"x": features("2x0e+2x1o+0e", "N")}

# name: (inputs, layers, outputs, in training)
EDGES = {
    # Irreps of nothing, and sizes of zero.
    "empty_input": ({"x": features("", "N")}, [linear("2x0e+1o", force_irreps_out=True, biases=True)], ["y"], True),
    "empty_output": (X, [linear("")], ["y"], True),
    "no_copies": ({"x": features("0x0e+2x1o+0x2e", "N")}, [linear("0e+0x1o+1o+2e", simplify_irreps_internally=False, force_irreps_out=True, biases=True)], ["y"], True),
    "no_width_at_the_end": ({"x": features("3x0e", "N")}, [layer("y", "mlp", "x", list_neurons=[4, 0], act="silu")], ["y"], True),
    "no_dense_layer": ({"x": features("3x0e", "N")}, [layer("y", "mlp", "x", list_neurons=[], act="silu")], ["y"], True),
    # Shapes that broadcast.
    "external_outer": ({"x": features("2x0e+2x1o+0e", 1, "M"), "e": features("3x0e+0e", "N", 1)}, [linear("2x0e+1o+1x0e", weights="e", biases=True)], ["y"], True),
    "external_more_axes": ({"x": features("2x0e+2x1o+0e", "M"), "e": features("3x0e+0e", "K", "N", "M")}, [linear("2x0e+1o", weights="e")], ["y"], True),
    "external_fewer_axes": ({"x": features("2x0e+2x1o+0e", "N", "M"), "e": features("4x0e", "M")}, [linear("2x0e+1o", weights="e")], ["y"], True),
    "indexed_outer": ({"x": features("2x0e+1o", "N", 1), "i": index(1, "M")}, [linear("2x0e+1o", weights="i", num_indexed_weights=3, biases=True)], ["y"], True),
    "indexed_more_axes": ({"x": features("2x0e+1o"), "i": index("N", "M")}, [linear("2x0e+1o", weights="i", num_indexed_weights=3)], ["y"], True),
    "per_channel_broadcast": ({"x": features("2x0e+2x1o", 1, "M", 3), "e": features("3x0e", "N", 1)}, [linear("2x0e+1o+2e", weights="e", weights_per_channel=True, force_irreps_out=True, biases=True)], ["y"], True),
    "per_channel_no_rows": ({"x": features("2x0e+2x1o", 4), "e": features("2x0e", "N")}, [linear("2x0e+1o", weights="e", weights_per_channel=True)], ["y"], True),
    "multiply_broadcast": ({"x": features("3x0e", "M"), "z": features("1o+2x2e", "N", "M")}, [layer("y", "multiply", ["x", "z"])], ["y"], True),
    "add_broadcast": ({"x": features("2x0e+1o", "N", 1), "z": features("2x0e+1o", "M")}, [layer("y", "add", ["x", "z"])], ["y"], True),
    # Options of linear together.
    "channels_indexed": ({"x": features("2x0e+1o", "N", 3), "i": index("N")}, [linear("2x0e+1o", channel_out=4, weights="i", num_indexed_weights=3, biases=True)], ["y"], True),
    "channels_external": ({"x": features("2x0e+1o", "N", 3), "e": features("2x0e", "N")}, [linear("2x0e+1o", channel_out=4, weights="e", biases=True)], ["y"], True),
    "channels_irreps_in": ({"x": features("2x0e+1o", "N", 3)}, [linear("2x0e+1o+0e", channel_out=1, irreps_in="6x0e+3x1o")], ["y"], True),
    "biases_listed": (X, [linear("2x0e+1o+3x0e", biases=[False, False, True], simplify_irreps_internally=False)], ["y"], True),
    "biases_of_joined_irreps": (X, [linear("2x0e+3x0e+1o", biases=[True, False])], ["y"], True),
    "instructions_none": (X, [linear("2x0e+1o", irreps_in="2x0e+2x1o+0e", instructions=[], simplify_irreps_internally=False, force_irreps_out=True)], ["y"], True),
    "instructions_unordered": (X, [linear("2x0e+3x1o+0e", irreps_in="2x0e+2x1o+0e", instructions=[[2, 2], [1, 1], [0, 2], [2, 0]], simplify_irreps_internally=False, path_normalization="path")], ["y"], True),
    "path_normalization_beyond": ({"x": features("2x0e+1o+5x0e+3x1o", "N")}, [linear("2x0e+1o+0e", path_normalization=-0.5, gradient_normalization=2.0, simplify_irreps_internally=False)], ["y"], True),
    "weights_of_itself": ({"x": features("4x0e", "N")}, [linear("2x0e", weights="x")], ["y"], True),
    "high_degree": ({"x": features("2x11o+15e+3x8e+2x0e", "N")}, [linear("3x11o+2x15e+4x0e+2x8e", name="a"), layer("b", "batch_norm", "a"), layer("y", "norm", "b")], ["y", "b"], True),
    # Batch norm.
    "mask_with_three_axes": ({"x": features("2x0e+2x1o+0o+2x0e", "N", "M", "K"), "m": mask("N")}, [layer("y", "batch_norm", "x", mask="m", reduce="max")], ["y"], True),
    "mask_with_running_average": ({"x": features("2x0e+2x1o", "N", "M"), "m": mask("N")}, [layer("y", "batch_norm", "x", mask="m", use_running_average=True, momentum=0.3)], ["y"], True),
    "instance_max": ({"x": features("3x0e+2x1o+0o+2e", "N", "M", "K")}, [layer("y", "batch_norm", "x", instance=True, reduce="max", normalization="norm")], ["y"], True),
    "instance_without_inner_axes": (X, [layer("y", "batch_norm", "x", instance=True, affine=False)], ["y"], True),
    "no_eps": (X, [layer("y", "batch_norm", "x", eps=0.0, momentum=0.0)], ["y"], True),
    "one_row": ({"x": features("3x0e+2x1o", 1)}, [layer("y", "batch_norm", "x")], ["y"], True),
    # Activations.
    "odd_by_even": ({"x": features("2x0o+0e+1o", "N")}, [layer("y", "scalar_activation", "x", acts=["abs", "identity", None])], ["y"], True),
    "odd_gates": ({"x": features("2x0e+3x0o+3x1o+2e", "N")}, [layer("y", "gate", "x")], ["y"], True),
    "split_gates": ({"x": features("2x0e+2x0e+0o+0o+1o+1e+2x1o", "N")}, [layer("y", "gate", "x", even_act="relu", even_gate_act="tanh", odd_act="tanh", odd_gate_act="soft_odd")], ["y"], True),
    "norm_of_zeros": ({"x": features("2x0e+2x1o+0o", "N")}, [layer("y", "norm", "x"), layer("z", "norm_activation", "x", acts=["silu", "tanh", None])], ["y", "z"], True),
}

# A linear layer with chunks that are known to be zero, before every op.
FORCED = linear("2x0e+2x1o+0o+3e+2e+0e", name="f", force_irreps_out=True, simplify_irreps_internally=False)
ZEROS = {
    "batch_norm": [layer("a", "batch_norm", "f", affine=False), layer("y", "batch_norm", "a", reduce="max", normalization="norm")],
    "instance_norm": [layer("y", "batch_norm", "f", instance=True)],
    "running_average": [layer("y", "batch_norm", "f", use_running_average=True)],
    "regroup": [layer("a", "regroup", "f"), layer("y", "batch_norm", "a")],
    "norm": [layer("a", "norm", "f"), layer("b", "norm", "f", squared=True), layer("c", "concatenate", ["a", "b"]), layer("y", "batch_norm", "c")],
    "scalar_activation": [layer("a", "scalar_activation", "f", acts=["tanh", None, "abs", None, None, "soft_odd"]), layer("y", "batch_norm", "a")],
    "norm_activation": [layer("a", "norm_activation", "f", acts=["tanh", "silu", None, "sigmoid", "softplus", "gelu"]), layer("y", "batch_norm", "a")],
    "add": [layer("g", "regroup", "z"), layer("a", "add", ["f", "z"]), layer("b", "add", ["f", "f"]), layer("c", "batch_norm", "b"), layer("y", "concatenate", ["a", "c"])],
    "filter": [layer("a", "filter", "f", keep=["0e", "1o"]), layer("y", "batch_norm", "a")],
    "mlp": [layer("s", "filter", "f", keep=["0e"]), layer("y", "mlp", "s", list_neurons=[4, 2], act="silu", with_bias=True)],
    "multiply": [layer("s", "filter", "f", keep=["0e"]), layer("v", "filter", "z", keep=["3e"]), layer("w", "filter", "x", keep=["1o"]), layer("u", "concatenate", ["v", "w"]), layer("a", "multiply", ["s", "u"]), layer("y", "batch_norm", "a")],
    "linear": [linear("2x0e+1o+0o+3e", source="f", force_irreps_out=True, biases=True)],
    "linear_as_it_is": [linear("2x0e+1o+0o+3e+2e", source="f", simplify_irreps_internally=False, path_normalization="path", biases=True)],
    "external_weights": [layer("s", "filter", "f", keep=["0e"]), linear("1o+2e", weights="s")],
    "indexed": [linear("1o+2e+0e", source="f", weights="i", num_indexed_weights=3)],
}
for name, layers in ZEROS.items():
    given = {"x": features("2x1o+2e", "N"), "z": features("2x0e+2x1o+0o+3e+2e+0e", "N"), "i": index("N")}
    read = {source for l in layers for source in ([l["input"]] if isinstance(l["input"], str) else l["input"])}
    read |= {l["weights"] for l in layers if "weights" in l} | {"x"}
    EDGES[f"zero_before_{name}"] = ({k: v for k, v in given.items() if k in read}, [FORCED, *layers], ["y"], True)
    if any("norm" in l["op"] for l in layers):
        EDGES[f"zero_before_{name}_inference"] = (*EDGES[f"zero_before_{name}"][:3], False)

# Mixtures of more weights than irreps have components, or of fewer rows than the input. Cases have their seed by their place, so these come last.
EDGES |= {
    "external_many": ({"x": features("5x0e+6x1o+5x2e", "N"), "e": features("12x0e", "N")}, [linear("6x0e+17x1o+4x2e", weights="e", biases=True)], ["y"], True),
    "external_many_broadcast": ({"x": features("4x0e+5x1o", "N", "M"), "e": features("9x0e", "N", 1)}, [linear("6x0e+17x1o", weights="e", biases=True)], ["y"], True),
    "external_many_channels": ({"x": features("2x0e+4x1o", "N", 3), "e": features("9x0e", "N")}, [linear("2x0e+5x1o", channel_out=4, weights="e")], ["y"], True),
    "external_many_per_channel": ({"x": features("2x0e+4x1o", "N", 3), "e": features("9x0e", "N")}, [linear("2x0e+5x1o", weights="e", weights_per_channel=True)], ["y"], True),
    "external_no_rows": ({"x": features("4x0e+5x1o", "N"), "e": features("3x0e")}, [linear("6x0e+8x1o", weights="e", biases=True)], ["y"], True),
    "external_before_norm": ({"x": features("3x0e+4x1o", "N"), "e": features("3x0e", "N")}, [layer("s", "mlp", "e", list_neurons=[10], act="silu"), linear("5x0e+8x1o", weights="s", name="l"), layer("y", "batch_norm", "l")], ["y"], True),
}


def arrays(inputs, g, zero_rows):
    out = {}
    for name, declared in inputs.items():
        shape = tuple(SIZES.get(size, size) for size in declared["shape"])
        if declared.get("dtype") == "i32":
            out[name] = np.asarray(g.integers(0, 3, shape), np.int32)
        elif declared.get("dtype") == "bool":
            out[name] = np.arange(shape[0]) % 3 != 1
        else:
            out[name] = g.standard_normal((*shape, e3nn.Irreps(declared["irreps"]).dim))
            out[name][:zero_rows] = 0
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("edges"))
    arguments = parser.parse_args()
    if arguments.out.exists():
        shutil.rmtree(arguments.out)
    for seed, (name, (inputs, layers, outputs, train)) in enumerate(EDGES.items()):
        g = np.random.default_rng(seed)
        spec = {"name": name, "dtype": "f64", "inputs": inputs, "layers": layers, "outputs": outputs}
        given = arrays(inputs, g, 2 if name == "norm_of_zeros" else 0)
        assert evaluate(arguments.out, spec, given, train, g), name
    print(f"{len(EDGES)} cases")


if __name__ == "__main__":
    main()
