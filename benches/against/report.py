"""The tables of a run, in markdown."""

from __future__ import annotations

import math
import statistics

import numpy as np

PREAMBLE = """# Schur beside e3nn_jax and XLA

Written by `python3 benches/against_e3nn_jax.py --out docs/benchmarks.md`, in one run: all sides take turns, on the same
arrays, after it was checked that they compute the same. Times are {statistic}s of many calls, in microseconds.

- **XLA** is e3nn_jax under `jax.jit`, warm, with its arguments on the device, until all results are ready. Its allocator is
  tuned: huge pages, and memory is never given back. *Default* is glibc's allocator as it is, where page faults take most of a large call.
- **Schur** is called with the same arrays, and writes to arrays that are reused from call to call, as `Executor::call_into` does.
  Its allocator is the default; arrays of 4 MiB and more are on huge pages, as `Array`s are.
- What depends on parameters alone, as transposed weights and batch norms that are folded into weights, Schur computes when parameters have
  changed, XLA in every call. Calls have the same parameters as the call before, as in inference and molecular dynamics; a table of its own
  has forward + backward with other parameters in every call, as steps of training have. An epoch is of such steps.
- **Forward + backward** returns the outputs too, and the gradients of all parameters and inputs; of batch norms in training,
  the updated statistics as well.
- **Forward + backward of inputs** returns the outputs and the gradients of inputs alone, which is what forces are made of.
- **Roofline**: the larger of the flops of the contractions over the machine's multiply-add peak, and the bytes of arguments
  and results over its bandwidth to a working set of that size. The last column is this over Schur's time.
- **Peaks** are measured in turn with the calls, on as many threads, and a case has the {peak} of its own, as its times are
  {statistic}s. The clock of multiply-adds goes with what else the socket does: on a Granite Rapids it moves between 3.1 and
  3.9 GHz from minute to minute, which is 196 to 249 GFLOP/s a core, so a peak at the start says little of calls minutes later.
  Bandwidths are measured once, at the start, and the best counts: memory hardly follows that clock, unlike a core's own caches.
- On a machine that does other work too, minimums say more than medians, and two threads are seldom both free.
- Calls of one row are mostly the dispatch of XLA's calls from Python.
"""

# What of the samples of a peak stands beside times.
PEAKS = {"median": "median", "minimum": "maximum"}


def microseconds(seconds: float) -> str:
    value = seconds * 1e6
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] + ["---:"] * (len(header) - 1)] + rows
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def geometric_mean(values: list[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values)) if values else math.nan


def peak_of(result: dict, threads: int, statistic: str) -> float:
    return result["peaks"][str(threads)][PEAKS[statistic]]


def roofline(result: dict, peak: float, bandwidths: dict) -> float:
    """The least time that the machine allows. Between sizes that were measured, bandwidth is linear in the logarithm of the size."""
    sizes = [math.log(int(size)) for size in bandwidths]
    bandwidth = float(np.interp(math.log(result["bytes"]), sizes, list(bandwidths.values())))
    return max(result["flops"] / peak, result["bytes"] / bandwidth)


def ratio(times: dict, key: str, other: str, statistic: str) -> float:
    return times[key][statistic] / times[other][statistic]


def case_table(run: dict, threads: int, statistic: str) -> str:
    rows, suffix = [], f" {threads}"
    for name, result in run["cases"].items():
        times = result["times"]
        ours, tuned, default = (times.get(side + suffix) for side in ("schur", "tuned", "default"))
        limit = roofline(result, peak_of(result, threads, statistic), run["bandwidths"][str(threads)])
        row = [name, microseconds(ours[statistic]), microseconds(tuned[statistic])]
        row += [microseconds(default[statistic]) if default else "-"]
        row += [f"**{tuned[statistic] / ours[statistic]:.2f}**", microseconds(limit), f"{limit / ours[statistic]:.0%}"]
        rows.append(row)
    return table(["case", "Schur", "XLA", "XLA, default", "ahead", "roofline", "of it"], rows)


def group_table(run: dict, statistic: str) -> str:
    groups = {}
    for name, result in run["cases"].items():
        groups.setdefault(result["group"], []).append(result["times"])
    rows = []
    for group, all_times in groups.items():
        for threads in run["threads"]:
            ratios = [ratio(times, f"tuned {threads}", f"schur {threads}", statistic) for times in all_times]
            rows.append([group, str(threads), f"{geometric_mean(ratios):.2f}", f"{min(ratios):.2f}"])
    return table(["cases", "threads", "ahead, geometric mean", "ahead, least"], rows)


def fusion_table(run: dict, statistic: str) -> str:
    rows, ratios = [], []
    for name, result in run["cases"].items():
        for threads in run["threads"]:
            key = f"schur {threads}"
            if f"{key} unfused" in result["times"]:
                ratios.append(ratio(result["times"], f"{key} unfused", key, statistic))
                times = [result["times"][k][statistic] for k in (key, f"{key} unfused")]
                rows.append([name, str(threads), *map(microseconds, times), f"{ratios[-1]:.2f}"])
    rows.append(["geometric mean", "", "", "", f"{geometric_mean(ratios):.2f}"])
    return table(["case", "threads", "fused", "unfused", "unfused / fused"], rows)


def changed_table(run: dict, statistic: str) -> str:
    rows = []
    for name, result in run["cases"].items():
        for threads in run["threads"]:
            same, changed = (result["times"].get(f"schur {threads}{suffix}") for suffix in ("", " changed"))
            if changed:
                theirs = result["times"][f"tuned {threads}"][statistic]
                times = [microseconds(times[statistic]) for times in (same, changed)]
                rows.append([name, str(threads), *times, f"**{theirs / changed[statistic]:.2f}**"])
    return table(["case", "threads", "the same parameters", "other parameters", "ahead with these"], rows)


def scaling_table(run: dict, statistic: str) -> str:
    first, last = min(run["threads"]), max(run["threads"])
    rows = []
    for name, result in run["cases"].items():
        pairs = [(f"{side} {first}", f"{side} {last}") for side in ("schur", "tuned")]
        rows.append([name] + [f"{ratio(result['times'], a, b, statistic):.2f}" for a, b in pairs])
    return table([f"case: {last} threads against {first}", "Schur", "XLA"], rows)


def times_table(what: str, results: dict, threads: list[int], statistic: str) -> str:
    rows = []
    for name, times in results.items():
        for count in threads:
            ours, theirs = times[f"schur {count}"][statistic], times[f"tuned {count}"][statistic]
            rows.append([name, str(count), f"{ours * 1e3:.1f}", f"{theirs * 1e3:.1f}", f"**{theirs / ours:.1f}**"])
    return table([what, "threads", "Schur, ms", "XLA, ms", "ahead"], rows)


def peak_line(run: dict, threads: int, statistic: str) -> str:
    peaks = [peak_of(result, threads, statistic) / 1e9 for result in run["cases"].values()]
    least, middle, most = min(peaks), statistics.median(peaks), max(peaks)
    return f"- threads: {threads}: peaks of cases, in GFLOP/s: least {least:.0f}, median {middle:.0f}, most {most:.0f}"


def bandwidth_line(run: dict, threads: int) -> str:
    bandwidths = ", ".join(f"{rate / 1e9:.0f} at {size(int(b))}" for b, rate in run["bandwidths"][str(threads)].items())
    return f"- threads: {threads}: copies, in GB/s read and written: {bandwidths}"


def machine_lines(run: dict, statistic: str) -> str:
    lines = [f"- {run['system']['processor']}, {run['system']['cores']} cores; {run['system']['kernel']}"]
    lines += ["- " + ", ".join(f"{name} {version}" for name, version in run["system"]["versions"].items())]
    lines += [peak_line(run, threads, statistic) for threads in run["threads"] if run["cases"]]
    lines += [bandwidth_line(run, threads) for threads in run["threads"]]
    return "\n".join(lines)


def size(count: int) -> str:
    return f"{count >> 20} MiB" if count >= 1 << 20 else f"{count >> 10} KiB"


def markdown(run: dict, statistic: str, picture: str | None) -> str:
    parts = [PREAMBLE.format(statistic=statistic, peak=PEAKS[statistic]), machine_lines(run, statistic)]
    if picture:
        parts.append(f"![How far Schur is ahead of XLA]({picture})")
    parts += ["## How far ahead", group_table(run, statistic)]
    for threads in run["threads"]:
        parts += [f"## Calls, {threads} thread{'s' if threads > 1 else ''}", case_table(run, threads, statistic)]
    if any(result["times"].get(f"schur {threads} changed") for result in run["cases"].values() for threads in run["threads"]):
        parts += ["## Other parameters in every call", changed_table(run, statistic)]
    if run["starts"]:
        parts += ["## From the spec to the first result", times_table("case", run["starts"], run["threads"], statistic)]
    if run["training"]:
        epoch = {"one epoch of `examples/forces`, batches of 256": run["training"]["times"]}
        parts += ["## Training", times_table("run", epoch, run["threads"], statistic)]
    if any(key.endswith("unfused") for result in run["cases"].values() for key in result["times"]):
        parts += ["## Fused against unfused", fusion_table(run, statistic)]
    if len(run["threads"]) > 1:
        parts += ["## Threads", scaling_table(run, statistic)]
    return "\n\n".join(part.strip() for part in parts) + "\n"
