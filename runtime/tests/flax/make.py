"""Makes the checkpoints of this folder with flax 0.12.8, e3nn_jax 0.21.0 and optax: each as flax writes it (`.msgpack`),
and the arrays that Schur must find in it (`.safetensors`)."""

import pathlib

import e3nn_jax as e3nn
import flax.linen as nn
import jax
import numpy as np
import optax
import safetensors.numpy
from flax import serialization, traverse_util
from flax.training.train_state import TrainState

HERE = pathlib.Path(__file__).parent


def save(name, tree, chunk=2**30):
    """Writes `tree`, cutting arrays of more than `chunk` bytes, and the arrays of its variables beside it."""
    serialization.MAX_CHUNK_SIZE = chunk
    (HERE / f"{name}.msgpack").write_bytes(serialization.to_bytes(tree))
    serialization.MAX_CHUNK_SIZE = 2**30
    state = serialization.to_state_dict(tree)
    variables = {key: state[key] for key in ("params", "batch_stats") if key in state}
    arrays = {"/".join(key): np.asarray(array) for key, array in traverse_util.flatten_dict(variables).items()}
    safetensors.numpy.save_file(arrays, HERE / f"{name}.safetensors")


def normal(seed, shape, dtype="float32"):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


# Every element type and shape; the keys of each dictionary are sorted, as jax leaves them.
variables = {
    "batch_stats": {"norm": {"mean": normal(0, 4), "var": normal(1, 4) ** 2}},
    "params": {
        "mix": {
            "b[0] 4x0e": normal(2, 4, "float64"),
            "w[0,0] 4x0e,12x0e": normal(3, (4, 12)),
            "w[1,2] 4x2o,12x2o": normal(4, (3, 4, 12), "float64"),
        },
        "mix 2": {"w": normal(5, (300, 1))},
        "types": {
            "empty": np.zeros(0, "float32"),
            "flat": np.zeros((2, 0, 3), "float64"),
            "index": np.array([[-(2**31), 0, 2**31 - 1]], "int32"),
            "mask": np.array([True, False, True]),
            "none": np.array(-0.0, "float32"),
            "plain": {"deep": {"er": np.array([np.inf, -np.inf, 5e-324])}},
        },
    },
}
save("variables", variables)

# The same with every array of more than 32 bytes in chunks.
save("chunked", variables, chunk=32)

# Keys in an order of their own, and numpy's scalars, which are no arrays to flax.
save("scalars", {"params": {"z": np.float32(1.5), "a": {"y": np.float64(-2.5), "x": np.bool_(True)}, "b": np.int32(7)}})


class Model(nn.Module):
    """Of every kind of layer with parameters, one."""

    @nn.compact
    def __call__(self, x):
        x = e3nn.flax.Linear("4x0e + 2x1o", biases=True, name="mix")(x)
        x = e3nn.flax.BatchNorm(name="norm")(x, use_running_average=False)
        return e3nn.flax.MultiLayerPerceptron([4, 1], jax.nn.silu, name="energy")(x.filter("0e"))


class State(TrainState):
    """A train state with running statistics."""

    batch_stats: dict


x = e3nn.normal("3x0e + 2x1o", jax.random.key(0), (5,))
initial = Model().init(jax.random.key(1), x)
state = State.create(apply_fn=Model().apply, tx=optax.adam(1e-2), **initial)


def loss(params):
    y, updated = state.apply_fn({"params": params, "batch_stats": state.batch_stats}, x, mutable=["batch_stats"])
    return (y.array**2).sum(), updated


gradients, updated = jax.grad(loss, has_aux=True)(state.params)
save("train_state", state.apply_gradients(grads=gradients, **updated))
