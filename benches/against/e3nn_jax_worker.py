"""e3nn_jax's side: the same commands as benches/worker, on the same arrays, compiled by XLA."""

from __future__ import annotations

import json
import pathlib
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import safetensors.numpy

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "conformance"))
from e3nn_reference import Reference  # noqa: E402

# The reference computes its cases in f64 too; here everything is f32, as users of jax have it.
jax.config.update("jax_enable_x64", False)


def is_variable(name: str) -> bool:
    return name.startswith(("params/", "batch_stats/"))


def read(path: str) -> dict:
    return {name: jnp.asarray(array) for name, array in safetensors.numpy.load_file(path).items()}


class Case:
    """One function, compiled, with its arguments."""

    def __init__(self, case: dict):
        arrays = read(case["arrays"])
        spec = json.loads(case["spec"])
        self.reference, self.train, self.wrt = Reference(spec), case["train"], case["wrt"]
        params = {name: a for name, a in arrays.items() if name.startswith("params/")}
        statistics = {name: a for name, a in arrays.items() if name.startswith("batch_stats/")}
        floats = {name: arrays[name] for name in spec["inputs"] if arrays[name].dtype == jnp.float32}
        others = {name: arrays[name] for name in spec["inputs"] if name not in floats}
        self.arguments = (params, floats, statistics, others)
        if case["gradients"]:
            self.arguments += ({name: arrays[f"cotangent/{name}"] for name in spec["outputs"]},)
        self.function = jax.jit(self.with_gradients if case["gradients"] else self.forward)

    def forward(self, params, floats, statistics, others):
        outputs, updated = self.reference.raw({**params, **statistics}, {**floats, **others}, self.train)
        return {"output": outputs, "statistic": updated if self.train else {}}

    def with_gradients(self, params, floats, statistics, others, cotangents):
        def run(params, floats):
            results = self.forward(params, floats, statistics, others)
            return results["output"], results

        _, pull, results = jax.vjp(run, params, floats, has_aux=True)
        d_params, d_floats = pull(cotangents)
        gradients = {**d_params, **d_floats}
        return {**results, "gradient": {name: gradients[name] for name in self.wrt or gradients}}

    def call(self):
        return jax.block_until_ready(self.function(*self.arguments))

    def time(self, samples: int, calls: int) -> list[float]:
        def sample():
            clock = time.perf_counter()
            for _ in range(calls):
                self.call()
            return (time.perf_counter() - clock) / calls

        sample()
        return [sample() for _ in range(samples)]


class Run:
    """Training: a jitted step of optax's adam."""

    def __init__(self, spec: dict, data: dict, arrays: dict, target: str, batch: int):
        self.reference, self.target, self.batch = Reference(spec), target, batch
        self.inputs = {name: data[name] for name in spec["inputs"]}
        self.wanted = data[target]
        self.params = {name: a for name, a in arrays.items() if name.startswith("params/")}
        self.statistics = {name: a for name, a in arrays.items() if name.startswith("batch_stats/")}
        self.orders = [arrays[f"order/{k}"] for k in range(sum(name.startswith("order/") for name in arrays))]
        self.optimizer = optax.adam(1e-3)
        self.state = self.optimizer.init(self.params)
        self.step = jax.jit(self.one_step, donate_argnums=(0, 1, 2))

    def one_step(self, params, statistics, state, inputs, wanted, rows):
        def loss(params):
            batch = {name: array[rows] for name, array in inputs.items()}
            outputs, updated = self.reference.raw({**params, **statistics}, batch, True)
            return jnp.mean((outputs[self.target] - wanted[rows]) ** 2), updated

        (value, updated), gradients = jax.value_and_grad(loss, has_aux=True)(params)
        changes, state = self.optimizer.update(gradients, state, params)
        return optax.apply_updates(params, changes), updated, state, value

    def epoch(self) -> dict:
        batches = [rows for rows in self.orders.pop(0).reshape(-1, self.batch)]
        jax.block_until_ready(batches)
        clock, losses = time.perf_counter(), []
        for rows in batches:
            self.params, self.statistics, self.state, loss = self.step(
                self.params, self.statistics, self.state, self.inputs, self.wanted, rows
            )
            losses.append(loss)
        loss = float(np.mean([float(loss) for loss in losses]))
        return {"seconds": time.perf_counter() - clock, "loss": loss}


class Worker:
    """What commands work on."""

    def __init__(self):
        self.cases, self.run = {}, None

    def load(self, name, case):
        self.cases[name] = Case(case)
        self.cases[name].call()
        return {}

    def drop(self, name):
        del self.cases[name]
        jax.clear_caches()
        return {}

    def write(self, name, path):
        results = self.cases[name].call()
        flat = {f"{kind}/{name}": np.asarray(a) for kind, arrays in results.items() for name, a in arrays.items()}
        safetensors.numpy.save_file(flat, path)
        return {}

    def time(self, name, samples, calls):
        return {"seconds": self.cases[name].time(samples, calls)}

    def start(self, case, samples):
        """From the spec to the results of the first call: tracing, compilation, one call; arrays being at hand."""
        seconds = []
        for _ in range(samples):
            jax.clear_caches()
            fresh = Case(case)
            jax.block_until_ready(fresh.arguments)
            clock = time.perf_counter()
            fresh.call()
            seconds.append(time.perf_counter() - clock)
        return {"seconds": seconds}

    def train(self, spec, data, arrays, target, batch):
        self.run = Run(spec, read(data), read(arrays), target, batch)
        return {}

    def epoch(self):
        return self.run.epoch()

    def initialise(self, case, seed, rows, path):
        """Writes parameters and random inputs and cotangents for a case, for all sides to read."""
        spec = json.loads(case["spec"])
        random = np.random.default_rng(seed)
        data = read(case["arrays"]) if case["arrays"] else {}
        inputs = {}
        for name, declared in spec["inputs"].items():
            width = self.width(declared)
            inputs[name] = data[name] if name in data else random.standard_normal((rows, width), dtype=np.float32)
        reference = Reference(spec)
        variables = reference.init(seed, inputs)
        # Running statistics of 0 and 1 would let compilers off: these are as after some steps.
        for name, array in variables.items():
            if name.startswith("batch_stats/"):
                variables[name] = random.uniform(0.5, 1.5, array.shape).astype(np.float32)
        outputs = jax.eval_shape(lambda: reference.raw(variables, inputs, False)[0])
        cotangents = {f"cotangent/{name}": random.standard_normal(o.shape, dtype=np.float32) for name, o in outputs.items()}
        arrays = {name: np.asarray(array) for name, array in {**variables, **inputs, **cotangents}.items()}
        safetensors.numpy.save_file(arrays, path)
        return {}

    @staticmethod
    def width(declared):
        import e3nn_jax

        return e3nn_jax.Irreps(declared["irreps"]).dim if "irreps" in declared else 1


def main():
    worker = Worker()
    for line in sys.stdin:
        arguments = json.loads(line)
        try:
            answer = getattr(worker, arguments.pop("command"))(**arguments)
        except Exception as error:  # the answer says what went wrong
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
