"""Measurements: the sides take turns, so that whatever else the machine does befalls all of them."""

from __future__ import annotations

import pathlib
import statistics
import time

import numpy as np
import safetensors.numpy

import cases
from peers import Peer

SAMPLE = 2e-4  # seconds that a sample takes at least: several calls where one is shorter
TURN = 0.03  # seconds that a side's turn takes, unless a single call is longer
SAMPLES_A_TURN = 40
REST = 0.02  # seconds before a turn, in which the threads of the side before fall asleep
TOLERANCE = 1e-4  # of the largest element: sums of 10000 terms in f32, in another order


def summary(seconds: list[float]) -> dict:
    return {"median": statistics.median(seconds), "minimum": min(seconds), "samples": len(seconds)}


def peak_summary(flops: list[float]) -> dict:
    return {"median": statistics.median(flops), "maximum": max(flops), "samples": len(flops)}


def in_turn(peers: dict[str, Peer], rounds: int, turn) -> dict:
    """`turn(key, peer)` gives the times of a turn."""
    seconds = {key: [] for key in peers}
    for _ in range(rounds):
        for key, peer in peers.items():
            time.sleep(REST)
            seconds[key] += turn(key, peer)
    return {key: summary(times) for key, times in seconds.items()}


def check_equal(case: cases.Case, peers: dict[str, Peer], folder: pathlib.Path) -> int:
    """Checks that all sides compute the same; gives the bytes of what they return."""
    results = {}
    for key, peer in peers.items():
        path = folder / "results.safetensors"
        peer("write", name=case.name, path=str(path))
        results[key] = safetensors.numpy.load_file(path)
    (first, wanted), *others = results.items()
    for key, found in others:
        if found.keys() != wanted.keys():
            raise SystemExit(f"{case.name}: {key} returns {sorted(found)}, {first} {sorted(wanted)}")
        for name, array in wanted.items():
            error = np.abs(found[name].reshape(array.shape) - array).max(initial=0)
            # Written so that a NaN on either side is found.
            if not error <= TOLERANCE * np.abs(array).max(initial=0):
                raise SystemExit(f"{case.name}: {key} and {first} differ by {error} in {name}")
    return sum(array.nbytes for array in wanted.values())


def bytes_read(case: cases.Case, arrays: pathlib.Path) -> int:
    skip = () if case.gradients else ("cotangent/",)
    loaded = safetensors.numpy.load_file(arrays)
    return sum(array.nbytes for name, array in loaded.items() if not name.startswith(skip or "\0"))


def calls(case: cases.Case, peers: dict[str, Peer], arrays: pathlib.Path, rounds: int, folder: pathlib.Path) -> dict:
    """Loads a case on all sides, checks that they agree, and times calls in turn; after Schur's, the machine's peak."""
    ours = {key: peer for key, peer in peers.items() if key.startswith("schur")}
    unfused = {key + " unfused": peer for key, peer in ours.items() if case.chain}
    changed = {key + " changed": peer for key, peer in ours.items() if case.gradients and not case.wrt}
    command = case.command(arrays)
    for key, peer in peers.items():
        peer("load", name=case.name, case=command)
    for peer in unfused.values():
        peer("load", name=case.name + " unfused", case={**command, "unfused": True})
    written = check_equal(case, peers, folder)
    repeats, peaks = {}, {key: [] for key in ours}

    def turn(key, peer):
        name = case.name + (" unfused" if key in unfused else "")
        if key not in repeats:
            one = min(peer("time", name=name, samples=2, calls=1)["seconds"])
            count = max(1, round(SAMPLE / one))
            repeats[key] = {"calls": count, "samples": min(SAMPLES_A_TURN, max(1, round(TURN / (one * count))))}
            repeats[key] |= {"change": True} if key in changed else {}
        seconds = peer("time", name=name, **repeats[key])["seconds"]
        if key in peaks:
            time.sleep(REST)
            peaks[key] += peer("peak")["flops"]
        return seconds

    times = in_turn({**peers, **unfused, **changed}, rounds, turn)
    for peer in peers.values():
        peer("drop", name=case.name)
    for peer in unfused.values():
        peer("drop", name=case.name + " unfused")
    peaks = {key.removeprefix("schur "): peak_summary(flops) for key, flops in peaks.items()}
    return {"bytes": bytes_read(case, arrays) + written, "flops": case.flops, "peaks": peaks, "times": times}


def starts(case: cases.Case, peers: dict[str, Peer], arrays: pathlib.Path, rounds: int) -> dict:
    command = case.command(arrays)
    return in_turn(peers, rounds, lambda _, peer: peer("start", case=command, samples=1)["seconds"])


def training(peers: dict[str, Peer], epochs: int, folder: pathlib.Path) -> dict:
    """Epochs of examples/forces, from the same parameters, in the same order of rows."""
    arrays, batch = folder / "training.safetensors", 256
    spec, data = str(cases.FORCES / "model.toml"), str(cases.FORCES / "train.safetensors")
    same = {"data": data, "target": "forces", "batch": batch, "arrays": str(arrays)}
    for key, peer in peers.items():
        if key.startswith("schur"):
            peer("train", spec=spec, epochs=epochs, **same)
    for key, peer in peers.items():
        if not key.startswith("schur"):
            peer("train", spec=cases.forces().spec, **same)
    losses = {key: [] for key in peers}

    def turn(key, peer):
        answer = peer("epoch")
        losses[key].append(answer["loss"])
        return [answer["seconds"]]

    # The first epoch warms up: jax compiles in it.
    in_turn(peers, 1, turn)
    times = in_turn(peers, epochs - 1, turn)
    (first, wanted), *others = losses.items()
    for key, found in others:
        if not np.allclose(found[:2], wanted[:2], rtol=1e-3):
            raise SystemExit(f"the losses of {key} and {first} differ: {found} and {wanted}")
    return {"times": times, "losses": losses}
