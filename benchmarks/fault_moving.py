"""How soon a render moves again after the loss of a node, and what is rendered twice for the loss of an mcrt."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from fault_cluster import Actor, FaultCluster, kill, surroundings, wait_for
from fault_kills import NODES, message_of
from fault_plans import definition
from harness import say
from logged_engine import VARIABLE, LoggedLease, leases

from arras_ray.client import SessionRender
from arras_ray.messages import RDLMessage
from arras_ray.render_start import render_session
from arras_ray.unit_plan import UnitPlan

ENGINE = "logged_engine:load"
LAYOUT = "apart"

SETTLED_SECONDS = 6.0
"""A render that has gone on for so long has keepers on all nodes, and its film was saved."""

LIMITS = {"kill": 5.0, "freeze": 6.0}
"""Seconds from a node's loss to the next lease."""

ENDLESS_SPP = 1 << 14


@contextmanager
def logging_cluster() -> Iterator[tuple[FaultCluster, Path]]:
    """A cluster, and the folder where the leases of its mcrts are written down."""
    with surroundings() as folder:
        log = folder / "leases"
        log.mkdir()
        os.environ[VARIABLE] = str(log)
        with FaultCluster(folder, NODES) as cluster:
            yield cluster, log


def settled(cluster: FaultCluster, message: RDLMessage, name: str) -> SessionRender:
    """A render that has gone on for some seconds, with leases that are as long as they are to be."""
    render = render_session(definition(LAYOUT), message, cluster=cluster.connected, name=name, engine=ENGINE)
    wait_for(lambda: render.status().seconds > SETTLED_SECONDS, "a render that goes on")
    return render


def lost_node(cluster: FaultCluster, session: str, kind: str) -> str:
    """The node with the computation of that kind; for an mcrt one that has nothing else."""
    actors = [actor for actor in cluster.actors(session) if actor.kind in ("mcrt", "merge", "dispatch")]
    others = {actor.node_id for actor in actors if actor.kind != "mcrt"}
    nodes = [a.node_id for a in actors if a.kind == kind and (kind != "mcrt" or a.node_id not in others)]
    return nodes[0]


def leased_again(log: Path, lost: set[int], since: float) -> LoggedLease | None:
    """The first lease elsewhere of units that were begun before a loss."""
    everything = leases(log)
    before = frozenset().union(*(lease.units for lease in everything if lease.began < since))
    after = [lease for lease in everything if lease.began >= since and lease.pid not in lost]
    return next((lease for lease in after if lease.units & before), None)


def seconds_to_move(cluster: FaultCluster, log: Path, message: RDLMessage, how: str, kind: str) -> float:
    """From the loss of the node with a `kind` until what was lost with it renders elsewhere."""
    for file in log.iterdir():
        file.unlink()
    with settled(cluster, message, f"moving-{time.monotonic_ns()}") as render:
        node = lost_node(cluster, render.name, kind)
        lost_at = time.monotonic()
        processes = cluster.freeze_node(node)
        if how == "kill":
            cluster.bury(processes)
        lost = {process.pid for process in processes}
        try:
            again: LoggedLease = wait_for(lambda: leased_again(log, lost, lost_at), "the next lease")
        except TimeoutError:
            say(f"{how} a node with {kind}: {cluster.actors(render.name)}, {render.status()}")
            raise
        render.stop()
    cluster.bury(processes)
    cluster.add_node()
    if left := cluster.until_nothing_is_left():
        raise SystemExit(f"left behind: {left}")
    return again.began - lost_at


def moving(runs: int) -> dict[str, Any]:
    """Seconds from the loss of a node, killed or frozen, to the moment when a lost unit begins to render elsewhere:
    for a node with an mcrt only, one with a merge as well, and one with the dispatch as well."""
    message = message_of(256, 256, ENDLESS_SPP)
    seconds: dict[str, list[float]] = {}
    with logging_cluster() as (cluster, log):
        for how in LIMITS:
            for kind in ("mcrt", "merge", "dispatch"):
                case = seconds[f"{how} {kind}"] = []
                for _ in range(runs):
                    case.append(round(seconds_to_move(cluster, log, message, how, kind), 2))
                    say(f"{how} a node with {kind}: {case[-1]:.2f} s")
    return {
        "seconds": seconds,
        "median": {case: statistics.median(values) for case, values in seconds.items()},
        "longest": {how: max(max(v) for case, v in seconds.items() if case.startswith(how)) for how in LIMITS},
        "limits": LIMITS,
    }


def rework(kills: int) -> dict[str, Any]:
    """Units rendered twice for each mcrt killed: they must be of leases that were open."""
    message = message_of(256, 256, ENDLESS_SPP)
    plan = UnitPlan(256, 256, ENDLESS_SPP)
    again_samples, open_samples, within = [], [], []
    with logging_cluster() as (cluster, log), settled(cluster, message, "rework") as render:
        for number in range(kills):
            victim = wait_for(lambda: _rendering_mcrt(cluster, render), "an mcrt that renders")
            # Frozen, it can be asked about without its going on; so short a silence is nobody's death.
            os.kill(victim.pid, signal.SIGSTOP)
            n_open = next(row.open_leases for row in render.status().mcrts if row.name == victim.name)
            kill(victim.pid)
            time.sleep(SETTLED_SECONDS)  # what was lost is at the front of the queue: it has begun again by then
            everything = leases(log)
            own = [lease for lease in everything if lease.pid == victim.pid]
            others = frozenset().union(*(lease.units for lease in everything if lease.pid != victim.pid))
            again = frozenset().union(*(lease.units for lease in own)) & others
            held = frozenset().union(*(lease.units for lease in own[-n_open:])) if n_open else frozenset()
            again_samples.append(_samples(plan, again))
            open_samples.append(_samples(plan, held))
            within.append(again <= held)
            say(f"kill {number}: {n_open} open leases of {open_samples[-1]:,} samples, {again_samples[-1]:,} again")
        render.stop()
    return {"rendered_again": again_samples, "of_open_leases": open_samples, "within": all(within)}


def _rendering_mcrt(cluster: FaultCluster, render: SessionRender) -> Actor | None:
    rates = {row.name: row.rate for row in render.status().mcrts if row.state == "rendering"}
    return next((a for a in cluster.actors(render.name) if a.kind == "mcrt" and rates.get(a.name)), None)


def _samples(plan: UnitPlan, units: frozenset[int]) -> int:
    return int(plan.samples(np.array(sorted(units), "i8")).sum())
