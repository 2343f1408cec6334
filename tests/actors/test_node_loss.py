"""Whole nodes that die or freeze, on a cluster of several on this machine with Ray's own slow health checks."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import ray
from fake_engine import Stage, load, scene
from ray.cluster_utils import Cluster as Nodes
from waiting import PATIENCE, to_its_end

from arras_ray.actors import cluster
from arras_ray.actors.cluster import Cluster
from arras_ray.actors.names import NAMESPACE
from arras_ray.local_render import LocalRender
from arras_ray.render_start import render_session
from arras_ray.session.definition import parse_definition

pytestmark = pytest.mark.slow

MB = 1 << 20
STORE = 100 * MB

DEFINITION = """{"computations": {
    "dispatch": {"dso": "libcomputation_progmcrt_dispatch.so",
        "requirements": {"resources": {"cores": 0, "memoryMB": 60}}},
    "mcrt": {"dso": "libcomputation_progmcrt.so", "arrayExpand": 3,
        "requirements": {"resources": {"cores": 1, "memoryMB": 500}}},
    "merge": {"dso": "libcomputation_progmcrt_merge.so",
        "requirements": {"resources": {"cores": 0, "memoryMB": 700}}}
}}"""
"""On nodes of NODES: merge with an mcrt on the first, an mcrt on each other, no room besides but for dispatch."""

HEAD = 100 * MB
NODES = (1270 * MB, 580 * MB, 580 * MB)


class Farm:
    """The cluster, and the processes of its nodes."""

    def __init__(self, nodes: Nodes, machines: list[Any], connected: Cluster) -> None:
        self.nodes = nodes
        self.machines = machines
        self.connected = connected
        self.stopped: list[psutil.Process] = []

    def send(self, node_id: str, number: int) -> None:
        """Send a signal to everything on a node."""
        (machine,) = [m for m in self.machines if m.node_id == node_id]
        for started in machine.all_processes.values():
            for info in started:
                with suppress(psutil.Error):
                    raylet = psutil.Process(info.process.pid)
                    family = [raylet, *raylet.children(recursive=True)]
                    self.stopped += family if number == signal.SIGSTOP else []
                    for process in family:
                        with suppress(psutil.Error):
                            process.send_signal(number)

    def thaw(self) -> None:
        for process in self.stopped:
            with suppress(psutil.Error):
                process.send_signal(signal.SIGCONT)


@pytest.fixture
def farm(first_ray: None, home: Path, ray_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Farm]:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    head = {"num_cpus": 0, "memory": HEAD, "object_store_memory": STORE, "include_dashboard": False}
    nodes = Nodes(initialize_head=True, head_node_args=head)
    machines = [nodes.add_node(num_cpus=1, memory=memory, object_store_memory=STORE) for memory in NODES]
    with cluster.connect(nodes.address) as connected:
        farm = Farm(nodes, machines, connected)
        yield farm
        farm.thaw()
    nodes.shutdown()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
def test_a_lost_node_with_the_merge_costs_no_bits(farm: Farm, stage: Stage, number: int) -> None:
    """There is no room for another merge: it takes the place of an mcrt."""
    message = scene(stages=str(stage.folder), hold_from=30)
    definition = parse_definition(DEFINITION, "farm")
    with render_session(definition, message, cluster=farm.connected, engine="fake_engine:load") as render:
        where = {row["computation"]: row["node_id"] for row in render.where()}
        stage.reached()
        assert len({where["merge"], *(where[f"mcrt_i{i}"] for i in range(3))}) == 3
        farm.send(where["merge"], number)
        stage.open()
        status = to_its_end(render)
        picture = render.final()
        log = render.log()
    assert status.stage == "finished"
    assert sorted(log.tolist()) == list(range(len(log)))
    np.testing.assert_array_equal(picture, LocalRender(load(scene(), 1), 1).final())
    assert any(text.startswith("merge takes the place of mcrt_i") for text in status.warnings)
    there = [name for name, node_id in where.items() if node_id == where["merge"]]
    assert sum("lost with its node" in text for text in status.warnings) == len(there)


def test_a_supervisor_that_was_stopped_raises_no_false_alarm(farm: Farm, stage: Stage) -> None:
    """Whoever was away for longer than others may be silent has not heard them, which is not their fault."""
    message = scene(stages=str(stage.folder), hold_from=15)
    definition = parse_definition(DEFINITION, "farm")
    with render_session(definition, message, cluster=farm.connected, engine="fake_engine:load") as render:
        stage.reached()
        supervisor: Any = ray.get_actor(f"{render.name}/supervisor", NAMESPACE)
        _, _, rows = ray.get(supervisor.report.remote(), timeout=PATIENCE)
        (pid,) = [row.pid for row in rows if row.name == "supervisor"]
        os.kill(pid, signal.SIGSTOP)
        time.sleep(6.0)  # the time itself is what is tried
        os.kill(pid, signal.SIGCONT)
        before = {row["pid"] for row in render.where()}
        stage.open()
        status = to_its_end(render)
        after = {row["pid"] for row in render.where()}
    assert (status.stage, status.warnings) == ("finished", ())
    assert before == after
