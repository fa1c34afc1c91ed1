"""The processes that are measured: each obeys commands, one line of JSON for one line of JSON."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]

# glibc's allocator with huge pages, and without giving memory back: by default XLA spends most of a large call in page
# faults.
TUNED = "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=1073741824:glibc.malloc.trim_threshold=8589934592"


class Peer:
    """A process that is measured."""

    def __init__(self, name: str, command: list[str], threads: int, tuned: bool):
        self.name = name
        environment = {key: value for key, value in os.environ.items() if key != "GLIBC_TUNABLES"}
        if tuned:
            environment["GLIBC_TUNABLES"] = TUNED
        cores = sorted(os.sched_getaffinity(0))[:threads]
        if len(cores) < threads:
            raise SystemExit(f"{threads} threads are to be measured on {len(cores)} cores")
        # A process that is bound to as many cores starts no more threads that compute.
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )

    def __call__(self, command: str, **arguments):
        self.process.stdin.write(json.dumps({"command": command, **arguments}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"error": f"ended with status {self.process.wait()}"}
        if "error" in answer:
            raise SystemExit(f"{self.name}: {command} failed: {answer['error']}")
        return answer

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def build() -> str:
    """Builds Schur's side, and says where it is."""
    command = ["cargo", "build", "--release", "--bench", "worker", "--message-format", "json-render-diagnostics"]
    lines = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    messages = [json.loads(line) for line in lines]
    found = [m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "worker"]
    return found[-1]


def schur(executable: str, threads: int) -> Peer:
    return Peer("Schur", [executable], threads, tuned=False)


def e3nn_jax(threads: int, tuned: bool) -> Peer:
    allocator = "tuned" if tuned else "default"
    return Peer(f"e3nn_jax, {allocator} allocator", [sys.executable, str(HERE / "e3nn_jax_worker.py")], threads, tuned)
