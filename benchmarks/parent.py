"""What it costs that every computation has a parent process which sees how it ends.

Three Rays in turn, each new: none of its workers has a parent; all have one (Ray starts them so, also those it starts
in advance); an actor asks for one (its `runtime_env`, on clusters that others started). In each: the start of an
actor that finds a worker ready, of one that does not, of six at once, and a call there and back, in seconds; and the
processor time until one of the six is there, its parent's included, which a busy machine hardly changes. Ratios are
medians of each round's. Of a parent: its memory (what it does not share, and its part of what it shares) and its
processor time while its worker lives.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from harness import report, say

from arras_ray.actors import cluster, ends

MODES = ("none", "all", "asks")
READY = 2
"""Workers an embedded Ray starts in advance, as many as this machine has cores, at most the CPUs it declares."""


class Actor:
    def pid(self) -> int:
        return os.getpid()


@contextmanager
def parents(mode: str) -> Iterator[dict[str, Any]]:
    """An embedded Ray; the options of its actors."""
    original = ends.worker_options
    if mode != "all":
        ends.worker_options = dict
    try:
        with cluster.connect("local", cpus=READY, memory=4 << 30):
            yield {"runtime_env": ends.runtime_env()} if mode == "asks" else {}
    finally:
        ends.worker_options = original


def start(n: int, options: dict[str, Any]) -> tuple[float, list[Any], list[int]]:
    """Seconds until n actors have answered, the actors, and their processes."""
    import ray

    remote: Any = ray.remote(Actor)
    began = time.perf_counter()
    actors = [remote.options(num_cpus=0, **options).remote() for _ in range(n)]
    pids = ray.get([actor.pid.remote() for actor in actors])
    return time.perf_counter() - began, actors, pids


def one_round(mode: str, calls: int) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds of each kind in a new Ray of this mode, and what a parent takes."""
    import ray

    with parents(mode) as options:
        time.sleep(1.0)  # the workers started in advance are there
        ready, first, _ = start(1, options)
        _, others, _ = start(READY - 1, options)
        new, second, _ = start(1, options)
        six, third, pids = start(6, options)
        both = pids if mode == "none" else pids + [parent_of(pid) for pid in pids]
        spent = sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in both) / len(pids)
        began = time.perf_counter()
        for _ in range(calls):
            ray.get(third[0].pid.remote())
        call = (time.perf_counter() - began) / calls
        costs = {} if mode == "none" else cost_of([parent_of(pid) for pid in pids])
        for actor in [*first, *others, *second, *third]:
            ray.kill(actor)
    return {"ready worker": ready, "new worker": new, "six at once": six, "processor": spent, "call": call}, costs


def parent_of(pid: int) -> int:
    stat = Path(f"/proc/{pid}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[1])


def cost_of(pids: list[int], seconds: float = 10.0) -> dict[str, float]:
    """PSS in MB and milliseconds of processor time a minute, means of these processes."""
    before = [processor_seconds(pid) for pid in pids]
    time.sleep(seconds)
    spent = [processor_seconds(pid) - was for pid, was in zip(pids, before, strict=True)]
    return {
        "pss_mb": statistics.mean(pss(pid) for pid in pids) / (1 << 20),
        "cpu_ms_a_minute": statistics.mean(spent) * 60 / seconds * 1e3,
    }


def processor_seconds(pid: int) -> float:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def pss(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) << 10
    raise ValueError(f"no PSS of process {pid}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=300)
    arguments = parser.parse_args()
    seconds: dict[str, list[dict[str, float]]] = {mode: [] for mode in MODES}
    costs: dict[str, list[dict[str, float]]] = {mode: [] for mode in MODES}
    for number in range(arguments.rounds):
        for mode in MODES:
            found, cost = one_round(mode, arguments.calls)
            seconds[mode].append(found)
            costs[mode].append(cost)
            say(f"round {number}, {mode:4}: {', '.join(f'{k} {1e3 * v:.1f} ms' for k, v in found.items())}")
    figures: dict[str, Any] = {}
    for mode in MODES:
        figures[mode] = {
            kind: {
                "median_ms": round(1e3 * statistics.median(r[kind] for r in seconds[mode]), 2),
                "ratio": round(
                    statistics.median(r[kind] / n[kind] for r, n in zip(seconds[mode], seconds["none"], strict=True)), 3
                ),
            }
            for kind in seconds[mode][0]
        }
        for kind in costs[mode][0]:
            figures[mode][kind] = round(statistics.median(cost[kind] for cost in costs[mode]), 2)
    report("parent", figures)


if __name__ == "__main__":
    main()
