"""Many sessions in a row, ended in all ways there are: what is left of them in the cluster."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from fault_client import ENDLESS_SPP
from fault_cluster import FaultCluster, kill, surroundings, wait_for
from fault_kills import is_over, message_of
from fault_plans import definition
from harness import ROOT, say

from arras_ray.client import SessionRender
from arras_ray.errors import ArrasRayError
from arras_ray.render_start import render_session

ENDS = (
    "finished", "stopped", "mcrt killed", "client killed", "finished", "merge killed",
    "supervisor killed", "supervisor removed", "dispatch killed", "scene without sense",
)  # fmt: skip
FIRST_ENDS = ENDS * 2
"""Of the sessions before those that are counted: caches are filled, and Ray has the idle workers it keeps."""

CORES = 4
"""Of each of two nodes: a session whose client was killed lives on for some seconds beside the next ones."""

SETTLE_SECONDS = 60.0

A_SESSION = 0.1
"""What grows by less than so much with each session has not leaked: Ray keeps idle workers, and connections to them."""


def census(cluster: FaultCluster) -> Counter[str]:
    """What there is: actors, groups, processes, open descriptors, objects, folders."""
    import ray
    from ray._private import internal_api, state

    counts: Counter[str] = Counter()
    counts["actors"] = sum(row["State"] != "DEAD" for row in state.actors().values())
    table: dict[str, Any] = ray.util.placement_group_table()
    counts["groups"] = sum(row["state"] != "REMOVED" for row in table.values())
    own = psutil.Process()
    counts["descriptors of the driver"] = own.num_fds()
    for process in cluster.processes():
        counts["processes"] += 1
        with suppress(psutil.Error):
            name = process.name()
            if name.startswith(("raylet", "gcs_server")):
                counts[f"descriptors of {name}"] += process.num_fds()
    private_state: Any = internal_api
    reply = private_state.get_memory_info_reply(private_state.get_state_from_address(cluster.connected.address))
    counts["objects"] = reply.store_stats.num_local_objects
    folder = Path(os.environ["RAY_TMPDIR"])
    counts["folders"] = sum(path.is_dir() for path in folder.rglob("*"))
    counts["temporary files"] = sum(1 for _ in Path(os.environ["TMPDIR"]).rglob("*"))
    return counts


def settled_census(cluster: FaultCluster, wanted: Counter[str] | None = None) -> Counter[str]:
    """A census once nothing is left of any session, and nothing is more than `wanted`, or after a while anyway."""
    left = cluster.until_nothing_is_left()
    for what in left:
        say(f"    left behind: {what}")
    deadline = time.monotonic() + SETTLE_SECONDS
    while (counts := census(cluster)) and wanted is not None and counts - wanted and time.monotonic() < deadline:
        time.sleep(1.0)
    counts["left behind"] = len(left)
    return counts


def one_session(cluster: FaultCluster, number: int, end: str) -> None:
    """A session that ends in this way."""
    name = f"leaks-{number}"
    if end == "client killed":
        command = [sys.executable, str(ROOT / "benchmarks" / "fault_client.py"), cluster.connected.address, name]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
            assert client.stdout is not None
            client.stdout.readline()
            client.kill()
        return
    if end == "scene without sense":
        with suppress(ArrasRayError):
            render_session(definition("together", 1), message_of(128, 128, 1 << 40), cluster=cluster.connected)
            raise SystemExit("a scene with so many samples was accepted")
        return
    spp = 256 if end == "finished" else ENDLESS_SPP
    with render_session(
        definition("together", 2), message_of(128, 128, spp), cluster=cluster.connected, name=name
    ) as render:
        if end == "finished":
            _wait_for_end(render)
            render.final()
            return
        wait_for(lambda: render.status().samples, "the first samples")
        what, _, how = end.partition(" ")
        if how == "killed":
            victim = next(actor for actor in cluster.actors(name) if actor.kind == what)
            kill(victim.pid)
            wait_for(lambda: _is_back(cluster, name, victim.kind, victim.pid), f"another {what}")
        elif how == "removed":
            _remove_supervisor(name)
            _wait_for_end(render)
            return
        render.stop()
        render.final()


def _wait_for_end(render: SessionRender) -> None:
    wait_for(lambda: is_over(render.status()), "the end of the render")


def _is_back(cluster: FaultCluster, session: str, kind: str, pid: int) -> bool:
    return any(a.kind == kind and a.pid != pid for a in cluster.actors(session))


def _remove_supervisor(session: str) -> None:
    import ray

    from arras_ray.actors.names import NAMESPACE

    ray.kill(ray.get_actor(f"{session}/supervisor", NAMESPACE))


def run(sessions: int) -> dict[str, Any]:
    """What there is more of after so many sessions than after the first ones."""
    problems: list[str] = []
    with surroundings() as folder, FaultCluster(folder, 2, CORES) as cluster:
        for number, end in enumerate(FIRST_ENDS):
            one_session(cluster, number, end)
        before = settled_census(cluster)
        say(f"after {len(FIRST_ENDS)} sessions: {dict(before)}")
        for number in range(sessions):
            end = ENDS[number % len(ENDS)]
            began = time.monotonic()
            try:
                one_session(cluster, len(FIRST_ENDS) + number, end)
            except (ArrasRayError, TimeoutError) as error:
                problems.append(f"session {number} ({end}): {type(error).__name__}: {error}")
                say(problems[-1])
            if number % 10 == 9:
                say(f"{number + 1} sessions; the last took {time.monotonic() - began:.1f} s")
        after = settled_census(cluster, before)
    say(f"after {sessions} more: {dict(after)}")
    more = {what: after[what] - before[what] for what in after}
    leaked = [what for what, n in more.items() if n > (A_SESSION * sessions if "desc" in what else 0)]
    return {"sessions": sessions, "more": more, "leaked": leaked, "problems": problems}
