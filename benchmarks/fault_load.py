"""A render without faults: false alarms on a machine that has no time, and what the care for faults costs."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psutil
from fault_cluster import FaultCluster, surroundings, wait_for
from fault_kills import is_over, message_of
from fault_plans import definition
from harness import say

from arras_ray.actors.names import NAMESPACE
from arras_ray.messages import RDLMessage
from arras_ray.render_start import render_session

PING_SECONDS = 0.25
MOST_RATE = 1.5e7
"""Samples a second that this machine surely does not reach."""

SIDE = 1024
"""Pixels; large enough for an hour of samples."""

SPIN = "import os; os.nice(15)\nwhile True: pass"
"""At the priority Ray gives its workers: one above it leaves them a thirtieth of a core."""

SETTLE_SECONDS = 10.0
"""Until keepers have started, which costs a processor a second or so each, once."""

LOOK_SECONDS = 0.5
"""Looking costs something too."""


class Pings:
    """Asks all computations of a session for heartbeats, each on a thread of its own, and notes the longest answer."""

    def __init__(self, session: str, names: list[str]) -> None:
        import ray

        self.longest = dict.fromkeys(names, 0.0)
        self.counts = dict.fromkeys(names, 0)
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(name, ray.get_actor(f"{session}/{name}", NAMESPACE)))
            for name in names
        ]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Ask no more."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, name: str, actor: Any) -> None:
        import ray

        while not self._over.wait(PING_SECONDS):
            began = time.monotonic()
            with contextlib.suppress(ray.exceptions.RayError):  # it was taken for dead: `alarms` counts that
                ray.get(actor.ping.remote(), timeout=60.0)
            self.longest[name] = max(self.longest[name], time.monotonic() - began)
            self.counts[name] += 1


@contextmanager
def spinning(n: int) -> Iterator[None]:
    """So many processes that do nothing, as fast as they can."""
    processes = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(n)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def alarms(minutes: float) -> dict[str, Any]:
    """A render on all cores beside as many processes that spin: how many computations were taken for dead."""
    n_cores = psutil.cpu_count()
    spp = int(minutes * 60 * MOST_RATE / SIDE**2) + 1
    with surroundings() as folder, FaultCluster(folder, n_cores) as cluster, spinning(n_cores):
        render = render_session(
            definition("together", n_cores),
            message_of(SIDE, SIDE, spp),
            cluster=cluster.connected,
            time_limit=minutes * 60,
        )
        with render:
            began_with = wait_for(lambda: cluster.lives(render.name), "the first lives")
            wait_for(lambda: render.status().seconds > 6.0 or is_over(render.status()), "keepers")
            pings = Pings(render.name, [a.name for a in cluster.actors(render.name) if a.kind != "supervisor"])
            told = time.monotonic()
            while not is_over(render.status()):
                time.sleep(1.0)
                if time.monotonic() - told > 60.0:
                    told = time.monotonic()
                    status = render.status()
                    say(f"{status.seconds / 60:.0f} min, {status.rate / 1e6:.2f} M samples/s, {status.warnings}")
            pings.end()
            status = render.status()
            alarms = cluster.lives(render.name) - began_with
    return {
        "minutes": round(status.seconds / 60, 2),
        "stage": status.stage,
        "false_alarms": alarms.total(),
        "who": dict(alarms),
        "warnings": list(status.warnings),
        "longest_heartbeat_ms": {name: round(seconds * 1e3) for name, seconds in pings.longest.items()},
        "heartbeats": sum(pings.counts.values()),
    }


@dataclass(frozen=True)
class Speed:
    """How fast a render by 2 mcrts was. samples: a second, from the first lease to the end. kernel: seconds of
    processor time a second that the threads which run kernels got, once everything had started; it does not change
    with the speed of a processor that others use too.
    """

    samples: float
    kernel: float


def speed(cluster: FaultCluster, message: RDLMessage, careful: bool) -> Speed:
    """The speed of a render with or without care for faults."""
    from quiet_order import QuietOrder

    from arras_ray.actors import orders

    original = orders.Order
    orders.Order = original if careful else QuietOrder  # type: ignore[misc]
    try:
        render = render_session(definition("together", 2), message, cluster=cluster.connected)
    finally:
        orders.Order = original  # type: ignore[misc]
    with render:
        wait_for(lambda: render.status().rate, "samples", 120.0)
        time.sleep(SETTLE_SECONDS)
        mcrts = [actor.pid for actor in cluster.actors(render.name) if actor.kind == "mcrt"]
        first = latest = {pid: thread_seconds(pid) for pid in mcrts}
        began = looked = time.monotonic()
        while not is_over(status := render.status()):
            with suppress(psutil.Error):  # the render may be over by now
                latest = {pid: thread_seconds(pid) for pid in mcrts}
                looked = time.monotonic()
            time.sleep(LOOK_SECONDS)
    if status.stage != "finished" or status.warnings:
        raise SystemExit(f"a render without faults has {status}")
    kernel = sum(max(latest[pid][id_] - first[pid].get(id_, 0.0) for id_ in latest[pid]) for pid in mcrts)
    return Speed(status.samples / status.seconds, kernel / (looked - began))


def thread_seconds(pid: int) -> dict[int, float]:
    """Processor time so far of each thread of a process, by its id."""
    return {thread.id: thread.user_time + thread.system_time for thread in psutil.Process(pid).threads()}


def cost(pairs: int, spp: int) -> dict[str, Any]:
    """Speed with heartbeats, saves, keepers and parent processes beside a session without them."""
    message = message_of(960, 540, spp)
    figures: dict[str, list[float]] = {"samples": [], "kernel": []}
    with surroundings() as folder, FaultCluster(folder, 2) as cluster:
        speed(cluster, message, careful=True)  # the first workers of a node take longer
        for pair in range(pairs):
            order = (True, False) if pair % 2 else (False, True)
            speeds = {careful: speed(cluster, message, careful) for careful in order}
            for name, ratios in figures.items():
                ratios.append(getattr(speeds[True], name) / getattr(speeds[False], name))
            say(f"pair {pair}: {speeds[True]} and {speeds[False]}")
    return {
        "cost": {name: round(1.0 - statistics.median(ratios), 4) for name, ratios in figures.items()},
        "ratios": {name: [round(ratio, 4) for ratio in ratios] for name, ratios in figures.items()},
    }
