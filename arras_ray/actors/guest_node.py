"""A machine that is no node of a cluster becomes one for as long as its client needs it: without CPUs and memory, so
that nothing is placed there. A Ray driver has to stand on a node, and ends its process where there is none.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from arras_ray.errors import ClusterError
from arras_ray.session.guard import Guard

START_SECONDS = 30.0
END_SECONDS = 5.0
REACH_SECONDS = 3.0
LOOK_SECONDS = 0.05

STORE_BYTES = 256 << 20
"""Scenes and frames pass through it."""

ALIVE = 0
"""In Ray's words about nodes."""

STARTED = "Ray runtime started"

PORTS = (
    "the cluster and this machine must reach each other on all ports Ray uses; where a firewall is between them, run"
    " the command on a node of the cluster"
)


def is_node(host_port: str) -> bool:
    """Whether a living node of the cluster is on this machine: has its address, and answers there."""
    import psutil

    ours = {address.address for addresses in psutil.net_if_addrs().values() for address in addresses}
    raylet: Any = import_module("ray._raylet")
    client = raylet.GcsClient(address=host_port)
    nodes = client.get_all_node_info(timeout=REACH_SECONDS).values()
    return any(
        node.node_manager_address in ours and reaches(node.node_manager_address, node.node_manager_port)
        for node in nodes
        if node.state == ALIVE
    )


class GuestNode:
    """This machine as a node of the cluster at `host_port`, until `close`. Raise ClusterError."""

    def __init__(self, host_port: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="arras-"))
        log = self._folder / "log"
        command = [str(Path(sys.executable).with_name("ray")), "start", f"--address={host_port}", "--block"]
        command += [f"--node-ip-address={address_towards(host_port)}", "--dashboard-agent-listen-port=0"]
        command += ["--num-cpus=0", "--num-gpus=0", "--memory=1", f"--object-store-memory={STORE_BYTES}"]
        command += ["--disable-usage-stats"]
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, process_group=0
            )
        self._guard = Guard()
        self._guard.add(self._process.pid)
        deadline = time.monotonic() + START_SECONDS
        while STARTED not in (told := log.read_text(errors="replace")):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.close()
                last = next((line for line in reversed(told.splitlines()) if line.strip()), "it said nothing")
                raise ClusterError(
                    f"this machine could not join the cluster at {host_port}: {last.strip()}",
                    hint=PORTS,
                    address=host_port,
                )
            time.sleep(LOOK_SECONDS)

    def close(self) -> None:
        """Leave the cluster. May be called twice."""
        import psutil

        with suppress(psutil.NoSuchProcess):
            below = psutil.Process(self._process.pid).children(recursive=True)
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(END_SECONDS)
            for process in psutil.wait_procs(below, timeout=END_SECONDS)[1]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._guard.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def address_towards(host_port: str) -> str:
    """This machine's own address on the way to another one. Nothing is sent."""
    host, _, port = host_port.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, int(port)))
        address: str = probe.getsockname()[0]
        return address


def check_reached(host_port: str) -> None:
    """Let the head connect to this machine's node. Raise ClusterError where it cannot: Ray would take the node for dead
    half a minute later."""
    import ray

    from arras_ray.actors.launch import on_head
    from arras_ray.actors.nodes import own_node

    all_nodes: Any = ray.nodes
    own = next(node for node in all_nodes() if node["NodeID"] == own_node())
    where = own["NodeManagerAddress"], own["NodeManagerPort"]
    try:
        reached = ray.get(on_head(reaches, *where), timeout=START_SECONDS)
    except ray.exceptions.RayError:
        reached = False
    if not reached:
        raise ClusterError(
            f"the cluster at {host_port} cannot reach this machine at {where[0]}:{where[1]}",
            hint=PORTS,
            address=host_port,
        )


def reaches(host: str, port: int) -> bool:
    """Whether a connection can be made; runs on the head."""
    try:
        with socket.create_connection((host, port), REACH_SECONDS):
            return True
    except OSError:
        return False
