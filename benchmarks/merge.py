"""How fast merge adds, and how soon it answers meanwhile: frames and control calls while parts arrive at full rate.

A merge actor of a session gets parts of a 1920x1080 picture from Ray's object store, several calls under way at any
time, and is asked for frames and for its statistics all the while. Putting is not measured: the same objects travel
again and again, as parts of other units.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from harness import report, say

from arras_ray.actors import cluster
from arras_ray.messages import N_CHANNELS, TILE, PartialFrame
from arras_ray.unit_plan import UnitPlan

WIDTH, HEIGHT, SPP = 1920, 1080, 1 << 20
UNITS = 28
"""Of a part: 4.6 MB."""
OBJECTS = 8


def percentiles(seconds: list[float]) -> dict[str, float]:
    values = np.array(seconds) * 1000.0
    names = {"median": 50, "p95": 95, "max": 100}
    return {name: round(float(np.percentile(values, share)), 1) for name, share in names.items()}


def ask_again_and_again(call: Callable[[], Any], seconds: list[float], over: threading.Event) -> None:
    while not over.wait(0.02):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)


def measure(duration: float, calls: int) -> dict[str, Any]:
    """Add for `duration` seconds with so many calls under way."""
    import ray
    from ray.util.placement_group import placement_group

    from arras_ray.actors import launch

    bundle = {"CPU": 1.0, "memory": 1 << 28}
    group = placement_group([bundle, bundle])
    where: dict[str, Any] = {"group": group, "cores": 1.0, "memory": 1 << 28}
    merge = launch.computation("merge", "benchmark", "merge", bundle=0, **where)
    dispatch = launch.computation("dispatch", "benchmark", "dispatch", bundle=1, **where)
    ray.get(merge.begin.remote(1, WIDTH, HEIGHT, SPP, dispatch))
    objects = [ray.put(np.full((UNITS, TILE * TILE, N_CHANNELS), 0.5)) for _ in range(OBJECTS)]
    plan = UnitPlan(WIDTH, HEIGHT, SPP)

    def part(number: int) -> PartialFrame:
        units = plan.units(np.arange(number * UNITS, (number + 1) * UNITS) % plan.n_units)
        return PartialFrame(1, number, "mcrt_i0", units, [objects[number % OBJECTS]], 0.1, UNITS * TILE * TILE)

    version = 0

    def frame() -> None:
        nonlocal version
        answer = ray.get(merge.frame.remote(version, 0.0))
        version = answer.version if answer is not None else version

    quiet: dict[str, list[float]] = {"frame": [], "control": []}
    busy: dict[str, list[float]] = {"frame": [], "control": []}
    requests: dict[str, Callable[[], Any]] = {"frame": frame, "control": lambda: ray.get(merge.stats.remote())}
    sent = 0
    for seconds, loaded in ((quiet, False), (busy, True)):
        over = threading.Event()
        threads = [threading.Thread(target=ask_again_and_again, args=(requests[k], seconds[k], over)) for k in requests]
        before = ray.get(merge.stats.remote())
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        under_way: list[Any] = []
        while time.perf_counter() - began < (duration if loaded else 1.0):
            if not loaded:
                time.sleep(0.1)
                continue
            while len(under_way) < calls:
                under_way.append(merge.accept.remote([part(sent)]))
                sent += 1
            done, under_way = ray.wait(under_way, num_returns=1)
            ray.get(done)
        ray.get(under_way)
        took = time.perf_counter() - began
        over.set()
        for thread in threads:
            thread.join()
    after = ray.get(merge.stats.remote())
    return {
        "GB_per_s": round((after["bytes"] - before["bytes"]) / took / 1e9, 2),
        "parts_per_s": round((after["parts"] - before["parts"]) / took, 1),
        "MB_per_part": round(UNITS * TILE * TILE * N_CHANNELS * 8 / 1e6, 1),
        "frame_ms": percentiles(busy["frame"]),
        "control_ms": percentiles(busy["control"]),
        "quiet_frame_ms": percentiles(quiet["frame"]),
        "quiet_control_ms": percentiles(quiet["control"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--calls", type=int, default=4, help="calls under way at a time")
    arguments = parser.parse_args()
    say("starting Ray")
    with cluster.connect("local", cpus=2, memory=1 << 30):
        figures = measure(arguments.seconds, arguments.calls)
    say(f"{figures['GB_per_s']} GB/s; frames {figures['frame_ms']} ms, control {figures['control_ms']} ms")
    report("merge", figures)


if __name__ == "__main__":
    main()
