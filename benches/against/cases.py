"""What is measured: specs, sizes, passes, and the arithmetic that each cannot do without."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
FORCES = ROOT / "examples" / "forces"


@dataclasses.dataclass(frozen=True)
class Case:
    """One row of the table."""

    group: str  # the line of the table of targets that it belongs to
    label: str
    spec: dict
    rows: int
    train: bool  # batch norms use the statistics of the batch
    gradients: bool  # outputs and gradients; otherwise outputs alone
    multiply_adds: int  # of the contractions, forward
    data: pathlib.Path | None = None  # a file of inputs; otherwise they are random
    start: bool = False  # the time from spec to first result is measured as well
    chain: bool = False  # layers that can be fused
    wrt: tuple[str, ...] = ()  # gradients with respect to these inputs alone; otherwise all

    @property
    def name(self) -> str:
        return f"{self.group}, {self.label}, {self.pass_name}"

    @property
    def pass_name(self) -> str:
        of = " of inputs" if self.wrt else ""
        return f"forward + backward{of}" if self.gradients else "forward"

    @property
    def flops(self) -> int:
        """The backward pass has one more product of the same size for the inputs, and one for the weights."""
        return 2 * self.multiply_adds * (1 + self.gradients + (self.gradients and not self.wrt))

    def command(self, arrays: pathlib.Path) -> dict:
        passes = {"train": self.train, "gradients": self.gradients, "wrt": self.wrt}
        return {"spec": json.dumps(self.spec), **passes, "arrays": str(arrays)}


def irreps(mul: int, scalars: int | None = None) -> str:
    return f"{scalars or mul}x0e + {mul}x1o + {mul}x2e"


def spec(name: str, shape: str, layers: list[dict]) -> dict:
    values = ["x"] + [layer["name"] for layer in layers]
    layers = [{**layer, "input": source} for layer, source in zip(layers, values)]
    return {"name": name, "outputs": values[-1:], "inputs": {"x": {"shape": ["N"], "irreps": shape}}, "layers": layers}


def linear(name: str, irreps_out: str) -> dict:
    return {"name": name, "op": "linear", "irreps_out": irreps_out}


def linears() -> list[Case]:
    cases = []
    for group, sizes in [("linear", (64, 1000, 10000)), ("linear of one row", (1,))]:
        for mul in (8, 32, 128):
            model = spec("linear", irreps(mul), [linear("mix", irreps(mul))])
            for rows in sizes:
                for gradients in (False, True):
                    label, start = f"M = {mul}, N = {rows}", (mul, rows) == (32, 1000)
                    cases.append(Case(group, label, model, rows, False, gradients, rows * 9 * mul * mul, start=start))
    return cases


def mlps() -> list[Case]:
    model = spec("mlp", "8x0e", [{"name": "mlp", "op": "mlp", "list_neurons": [64, 64, 64], "act": "silu"}])
    work = 10000 * (8 * 64 + 2 * 64 * 64)
    return [
        Case("MLP", "8, 64, 64, 64, silu, N = 10000", model, 10000, False, gradients, work, start=True)
        for gradients in (False, True)
    ]


def batch_norms() -> list[Case]:
    cases = []
    for mul, rows in ((32, 1000), (128, 10000)):
        model = spec("batch_norm", irreps(mul), [{"name": "norm", "op": "batch_norm"}])
        for train in (True, False):
            for gradients in (False, True):
                label = f"M = {mul}, N = {rows}, {'training' if train else 'inference'}"
                cases.append(Case("batch norm", label, model, rows, train, gradients, 0))
    return cases


def chains() -> list[Case]:
    cases = []
    for mul in (32, 128):
        layers = [
            linear("up", irreps(mul, 3 * mul)),
            {"name": "norm", "op": "batch_norm"},
            {"name": "hidden", "op": "gate"},
            linear("down", irreps(mul)),
        ]
        model = spec("chain", irreps(mul), layers)
        for rows in (1000, 10000):
            work = rows * mul * mul * (3 + 3 + 5 + 1 + 3 + 5)
            for training in (False, True):
                label, start = f"M = {mul}, N = {rows}", rows == 1000
                cases.append(
                    Case("chain", label, model, rows, training, training, work, start=start, chain=True)
                )
    return cases


def energies() -> list[Case]:
    """An energy and its gradient with respect to the features of atoms, as molecular dynamics takes them."""
    layers = [
        linear("mix", "112x0e + 32x1o + 16x2e"),
        {"name": "hidden", "op": "gate"},
        linear("out", "64x0e + 32x1o + 16x2e"),
        {"name": "invariants", "op": "norm"},
        {"name": "energy", "op": "mlp", "list_neurons": [64, 1], "act": "silu", "output_activation": False},
    ]
    model = spec("energy", "64x0e + 32x1o + 16x2e", layers)
    work = 64 * (112 + 64) + 2 * (3 * 32 * 32 + 5 * 16 * 16) + (64 + 32 + 16 + 1) * 64
    return [
        Case("energy", f"N = {rows}", model, rows, False, True, rows * work, wrt=("x",)) for rows in (100, 10000)
    ]


def forces() -> Case:
    model = tomllib.loads((FORCES / "model.toml").read_text())
    rows = 2508
    embed, invariants = 28 * 128 + 24 * 32 * (3 + 5), 128 * 64 + 64 * 16
    message = 16 * (64 * 64 + 32 * 32) + 64 * 64 + 3 * 32 * 32  # the weights of a row, then their product
    work = embed + invariants + message + 64 * 64 + 64 * 32 + 3 * 32
    data = FORCES / "test.safetensors"
    return Case("forces", f"the test set, N = {rows}", model, rows, False, False, rows * work, data, True, True)


def all_cases() -> list[Case]:
    return linears() + mlps() + batch_norms() + chains() + energies() + [forces()]
