"""Measures Schur beside e3nn_jax + XLA, in one run.

    python3 benches/against_e3nn_jax.py                      # all cases, to standard output
    python3 benches/against_e3nn_jax.py --out docs/benchmarks.md
    python3 benches/against_e3nn_jax.py --quick --threads 1 --cases "M = 32, N = 1000"

It needs cargo, and Python from 3.11 on; the packages of against/requirements.txt are installed in an environment of its own
under target/, unless --python names an interpreter that has them.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
REQUIREMENTS = HERE / "against" / "requirements.txt"
INSIDE = "SCHUR_BENCH_ENVIRONMENT"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default="", metavar="PATTERN", help="only cases whose name this regular expression finds")
    parser.add_argument("--threads", default="1,2", help="numbers of threads (default: 1,2)")
    parser.add_argument("--quick", action="store_true", help="fewer repeats, and XLA with the tuned allocator alone")
    parser.add_argument("--rounds", type=int, metavar="N", help="turns of every side (default: 12, or 3 with --quick)")
    parser.add_argument("--calls-only", action="store_true", help="neither training nor the time to the first result")
    parser.add_argument("--statistic", choices=("median", "minimum"), default="median", help="what tables show")
    parser.add_argument("--list", action="store_true", help="print the names of the cases")
    parser.add_argument("--python", help="an interpreter that has the packages of requirements.txt")
    parser.add_argument("--out", type=pathlib.Path, metavar="FILE", help="write the page here, and a picture beside it")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write all numbers here")
    return parser.parse_args()


def enter_environment(python: str | None) -> None:
    """Goes on inside an environment that has the packages, which is made where it does not exist."""
    if os.environ.get(INSIDE):
        return
    if python is None:
        digest = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:12]
        folder = ROOT / "target" / "against_e3nn_jax" / digest
        python = str(folder / "bin" / "python")
        if not (folder / "complete").exists():
            print(f"making an environment in {folder}", file=sys.stderr)
            subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", REQUIREMENTS], check=True)
            (folder / "complete").touch()
    os.execve(python, [python, *sys.argv], {**os.environ, INSIDE: "1"})


def system() -> dict:
    processor = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    rust = subprocess.run(["rustc", "--version"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout
    packages = ("e3nn-jax", "flax", "jax", "jaxlib", "numpy")
    versions = {"schur": commit.strip() or "unknown", "rustc": rust.split()[1], "python": platform.python_version()}
    return {
        "processor": processor[1] if processor else platform.processor(),
        "cores": os.cpu_count(),
        "kernel": f"{platform.system()} {platform.release()}",
        "versions": {**versions, **{name: importlib.metadata.version(name) for name in packages}},
    }


def measure_all(options: argparse.Namespace, chosen: list, folder: pathlib.Path) -> dict:
    import measure
    import peers

    threads = [int(count) for count in options.threads.split(",")]
    executable, rounds = peers.build(), options.rounds or (3 if options.quick else 12)
    sides = {}
    for count in threads:
        sides[f"schur {count}"] = peers.schur(executable, count)
        sides[f"tuned {count}"] = peers.e3nn_jax(count, tuned=True)
        if not options.quick:
            sides[f"default {count}"] = peers.e3nn_jax(count, tuned=False)
    main_sides = {key: peer for key, peer in sides.items() if not key.startswith("default")}
    run = {"system": system(), "threads": threads, "bandwidths": {}, "cases": {}, "starts": {}, "training": None}
    sizes = [1 << k for k in range(14, 30)]
    for count in threads:
        found = sides[f"schur {count}"]("bandwidths", bytes=sizes)["bandwidths"]
        run["bandwidths"][str(count)] = dict(zip(map(str, sizes), found))
    for case in chosen:
        print(case.name, file=sys.stderr, flush=True)
        arrays = folder / "case.safetensors"
        data = str(case.data) if case.data else None
        command = case.command(pathlib.Path()) | {"arrays": data}
        sides[f"tuned {threads[0]}"]("initialise", case=command, seed=0, rows=case.rows, path=str(arrays))
        result = measure.calls(case, sides, arrays, rounds, folder)
        run["cases"][case.name] = {"group": case.group, **result}
        if case.start and not options.calls_only:
            run["starts"][case.name] = measure.starts(case, main_sides, arrays, 2 if options.quick else 5)
    if not options.calls_only and re.search(options.cases, "forces, one epoch"):
        print("forces, one epoch", file=sys.stderr, flush=True)
        run["training"] = measure.training(main_sides, 3 if options.quick else 6, folder)
    for peer in sides.values():
        peer.close()
    return run


def main() -> None:
    options = arguments()
    enter_environment(options.python)
    sys.path.insert(0, str(HERE / "against"))
    import cases
    import picture
    import report

    chosen = [case for case in cases.all_cases() if re.search(options.cases, case.name)]
    if options.list:
        print("\n".join(case.name for case in chosen))
        return
    with tempfile.TemporaryDirectory() as folder:
        run = measure_all(options, chosen, pathlib.Path(folder))
    if options.json:
        options.json.write_text(json.dumps(run, indent=1))
    if options.out:
        drawing = options.out.with_suffix(".svg")
        drawing.write_text(picture.svg(run, options.statistic))
        options.out.write_text(report.markdown(run, options.statistic, drawing.name))
    else:
        print(report.markdown(run, options.statistic, None))


if __name__ == "__main__":
    main()
