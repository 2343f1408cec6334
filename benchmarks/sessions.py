"""Sessions of users' computations beside bare Ray actors: starting, small messages, large ones.

Prestarted workers are those that Ray starts ahead of any need where RAY_worker_maximum_startup_concurrency allows it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from typing import Any

import numpy as np
import psutil
import ray
from harness import report, say
from session_parts import BareEcho, Block, Rally

from arras_ray.actors.cluster import Cluster, connect
from arras_ray.ray_session import RaySession
from arras_ray.session.computation_spec import ComputationSpec, Resources
from arras_ray.session.message import CLIENT, GenericMessage
from arras_ray.session.routing import EVERYTHING
from arras_ray.session_start import start_session

TARGET = "session_parts:Echo"
MB = 1 << 20
PRESTART_SECONDS = 300.0


def echoes(n: int) -> list[ComputationSpec]:
    """So many light computations."""
    return [
        ComputationSpec(
            f"echo_i{i}",
            "python",
            Resources(0, 0, 64 * MB),
            dso=f"python:{TARGET}",
            target=TARGET,
            rules={CLIENT: EVERYTHING},
            environment={},
        )
        for i in range(n)
    ]


def started(cluster: Cluster, n: int) -> RaySession:
    """A session of so many, ready."""
    specs = echoes(n)
    return start_session(cluster, "", specs, {spec.name: EVERYTHING for spec in specs}).wait_ready(120.0)


def bare_start(n: int) -> float:
    """Seconds from creating so many bare actors until all have answered."""
    began = time.perf_counter()
    actors: list[Any] = [ray.remote(BareEcho).options(num_cpus=0).remote() for _ in range(n)]
    ray.get([actor.echo.remote("") for actor in actors])
    seconds = time.perf_counter() - began
    for actor in actors:
        ray.kill(actor)
    return seconds


def starts(cluster: Cluster, sizes: list[int], runs: int) -> dict[str, Any]:
    """Seconds from creating a session to ready, by the number of its computations, and those of as many bare actors."""
    seconds: dict[str, list[float]] = {}
    ratios: dict[str, list[float]] = {}
    for n in sizes:
        for _ in range(runs):
            theirs = bare_start(n)
            began = time.perf_counter()
            session = started(cluster, n)
            ours = time.perf_counter() - began
            session.shutdown()
            seconds.setdefault(str(n), []).append(round(ours, 3))
            ratios.setdefault(str(n), []).append(round(ours / theirs, 3))
            say(f"{n} computations: ready after {ours:.2f} s, as many bare actors after {theirs:.2f} s")
    return {
        "seconds": seconds,
        "median": {n: statistics.median(all_) for n, all_ in seconds.items()},
        "ratio": {n: statistics.median(all_) for n, all_ in ratios.items()},
    }


def prestarted(sizes: list[int]) -> dict[str, Any]:
    """Seconds to ready where Ray has processes waiting, and what one of those takes while it does."""
    n_workers = sum(sizes) + len(sizes) + 4  # a session has a supervisor, and somebody may need one more
    seconds = {}
    with connect("local", cpus=n_workers, memory=8 << 30) as cluster:
        idle = wait_for_idle(n_workers)
        memory = [process.memory_full_info() for process in idle]
        started(cluster, 1).shutdown()  # the client has its own imports to make
        for n in sizes:
            began = time.perf_counter()
            session = started(cluster, n)
            seconds[str(n)] = round(time.perf_counter() - began, 3)
            session.shutdown()
            say(f"{n} computations in prestarted workers: ready after {seconds[str(n)]:.2f} s")
    return {
        "seconds": seconds,
        "workers": len(idle),
        "rss_mb": round(statistics.median(one.rss for one in memory) / MB),
        "pss_mb": round(statistics.median(one.pss for one in memory) / MB),
    }


def wait_for_idle(count: int) -> list[psutil.Process]:
    """Workers of this process's Ray that wait for work, once there are so many."""
    deadline = time.monotonic() + PRESTART_SECONDS
    while True:
        below = psutil.Process().children(recursive=True)
        idle = [process for process in below if is_idle(process)]
        if len(idle) >= count:
            return idle
        if time.monotonic() > deadline:
            raise SystemExit(f"Ray has prestarted {len(idle)} of {count} workers after {PRESTART_SECONDS:g} s")
        time.sleep(0.2)


def is_idle(process: psutil.Process) -> bool:
    """Whether a process is a worker without an actor."""
    try:
        return process.cmdline()[:1] == ["ray::IDLE"]
    except psutil.Error:
        return False


def small(cluster: Cluster, runs: int, count: int) -> dict[str, Any]:
    """A small message and its reply beside a call of a bare actor; two sends one way beside two calls."""
    bare: Any = [ray.remote(BareEcho).options(num_cpus=0).remote() for _ in range(2)]
    ray.get([actor.echo.remote("") for actor in bare])
    figures: dict[str, list[float]] = {"call": [], "send": []}
    microseconds: dict[str, list[float]] = {"call": [], "bare call": [], "send": [], "bare send": []}
    with started(cluster, 2) as session:
        text = GenericMessage("ball")
        for _ in range(100):
            session.call(text, to=("echo_i0",))
        for _ in range(runs):
            began = time.perf_counter()
            for _ in range(count):
                session.call(text, to=("echo_i0",))
            ours = time.perf_counter() - began
            began = time.perf_counter()
            for _ in range(count):
                ray.get(bare[0].echo.remote("ball"))
            theirs = time.perf_counter() - began
            figures["call"].append(ours / theirs)
            microseconds["call"].append(ours / count * 1e6)
            microseconds["bare call"].append(theirs / count * 1e6)
            ours = float(session.call(Rally("echo_i1", count), to=("echo_i0",)).content.value)
            theirs = ray.get(bare[0].rally.remote(bare[1], count))
            figures["send"].append(ours / theirs)
            microseconds["send"].append(ours / count * 1e6)
            microseconds["bare send"].append(theirs / count * 1e6)
    return {
        "ratio": {name: round(statistics.median(all_), 3) for name, all_ in figures.items()},
        "microseconds": {name: round(statistics.median(all_)) for name, all_ in microseconds.items()},
    }


def large(cluster: Cluster, runs: int, megabytes: int) -> dict[str, Any]:
    """Seconds from before a large message is sent until it is there, beside a bare put and get."""
    data = np.arange(megabytes * MB // 8, dtype="i8")
    bare: Any = ray.remote(BareEcho).options(num_cpus=0).remote()
    ray.get(bare.echo.remote(""))
    seconds: dict[str, list[float]] = {"message": [], "put and get": []}
    with started(cluster, 1) as session:
        for run in range(runs + 1):
            sent_at = time.monotonic()
            answer = session.call(Block(data, sent_at), to=("echo_i0",))
            ours, total = answer.content.value.split()
            assert int(total) == int(data[:: 1 << 20].sum())
            sent_at = time.monotonic()
            theirs = ray.get(bare.block.remote([ray.put(data)], sent_at))
            if run:  # the first touches fresh memory
                seconds["message"].append(float(ours))
                seconds["put and get"].append(theirs)
    ratios = [a / b for a, b in zip(seconds["message"], seconds["put and get"], strict=True)]
    return {
        "ratio": round(statistics.median(ratios), 3),
        "seconds": {name: round(statistics.median(all_), 4) for name, all_ in seconds.items()},
        "megabytes": megabytes,
    }


def main() -> None:
    os.environ["ARRAS_RAY_MODULES"] = "session_parts"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["all", "starts", "small", "large", "prestarted"], nargs="?", default="all")
    parser.add_argument("--sizes", type=int, nargs="+", default=[2, 8, 32])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--megabytes", type=int, default=256)
    arguments = parser.parse_args()
    wanted = ["starts", "small", "large"] if arguments.what == "all" else [arguments.what]
    from arras_ray.actors import cluster as ray_cluster

    ray_cluster.OBJECT_STORE_BYTES = 4 * arguments.megabytes * MB if "large" in wanted else 512 * MB
    figures: dict[str, Any] = {}
    if arguments.what == "prestarted":  # in a process of its own: Ray reads this once
        os.environ |= {"RAY_worker_maximum_startup_concurrency": "100"}
        report("sessions", {"prestarted": prestarted(arguments.sizes)})
        return
    with connect("local", cpus=2, memory=8 << 30) as cluster:
        if "starts" in wanted:
            figures["starts"] = starts(cluster, arguments.sizes, arguments.runs)
        if "small" in wanted:
            figures["small"] = small(cluster, max(3, arguments.runs), arguments.count)
        if "large" in wanted:
            figures["large"] = large(cluster, max(3, arguments.runs), arguments.megabytes)
    report("sessions", figures)


if __name__ == "__main__":
    main()
