"""Finding, starting and leaving Ray: what is told and how soon, and that nothing is left."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import ray
from fake_engine import scene

from arras_ray.actors import cluster, probe
from arras_ray.actors.nodes import nodes
from arras_ray.client import OVER
from arras_ray.errors import ClusterError
from arras_ray.render_start import render_session
from arras_ray.session.definition import SessionDefinition

PATIENCE = 60.0


def free_port() -> int:
    with socket.socket() as any_port:
        any_port.bind(("", 0))
        port: int = any_port.getsockname()[1]
    return port


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def ray_variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("RAY_")}


@pytest.fixture
def no_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Nobody wrote down the address of a cluster on this machine; returns the file where Ray would."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    return tmp_path / "ray" / "ray_current_cluster"


def test_a_ray_of_its_own_leaves_nothing_behind(home: Path) -> None:
    before = ray_variables()
    with cluster.connect("local", cpus=1.5, memory=1 << 30) as own:
        folder = own.folder
        assert folder is not None
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / "token").stat().st_mode & 0o777 == 0o600
        assert own.embedded
        assert [(node.cpus, node.memory) for node in nodes()] == [(2, 1 << 30)]
        processes = [child for child in psutil.Process().children(recursive=True) if child.name() != "forkserver"]
        listening = {
            connection.laddr.ip.removeprefix("::ffff:")
            for process in processes
            for connection in process.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        }
    assert listening == {"127.0.0.1"}
    assert processes
    assert not [process for process in processes if process.is_running()]
    assert not folder.exists()
    assert ray_variables() == before
    assert files_below(home) == []


def test_a_given_address_comes_first_then_the_environment(no_cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cluster.find(None) is None
    assert cluster.find("local") is None
    monkeypatch.setenv("RAY_ADDRESS", "there:6379")
    assert cluster.find(None) == cluster.Address("there:6379", "RAY_ADDRESS")
    assert cluster.find("here:6379") == cluster.Address("here:6379", "address")
    assert cluster.find("local") is None


def test_a_cluster_that_died_on_this_machine_is_not_joined(no_cluster: Path) -> None:
    no_cluster.parent.mkdir()
    no_cluster.write_text(f"127.0.0.1:{free_port()}")
    assert cluster.find(None) is None
    with pytest.raises(ClusterError, match="no Ray cluster runs on this machine"):
        cluster.find("auto")


@pytest.mark.parametrize("address", ["nowhere", "host:port", ":6379", "ray://127.0.0.1:10001"])
def test_what_is_no_address_is_told(address: str) -> None:
    with pytest.raises(ClusterError) as refused:
        cluster.connect(address)
    assert "HOST:PORT" in refused.value.hint


def test_a_dead_address_is_told() -> None:
    with pytest.raises(ClusterError, match="no Ray cluster answers at 127") as refused:
        cluster.connect(f"127.0.0.1:{free_port()}")
    assert refused.value.exit_code == 7


def test_a_token_file_that_is_missing_or_no_text_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: Path
) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    assert probe.token() == ""
    file = tmp_path / "token"
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(file))
    with pytest.raises(ClusterError, match=r"there is no token file .*/token, which RAY_AUTH_TOKEN_PATH names"):
        probe.token()
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ClusterError, match="token cannot be read: it is not text"):
        probe.token()
    file.write_text("secret\n")
    assert probe.token() == "secret"


def test_somebody_who_never_answers_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "PROBE_SECONDS", 0.2)
    told = threading.Event()

    def connect(port: int) -> None:
        with pytest.raises(ClusterError, match="no Ray cluster answers"):
            cluster.connect(f"127.0.0.1:{port}")
        told.set()

    with socket.create_server(("127.0.0.1", 0)) as silent:
        threading.Thread(target=connect, args=(silent.getsockname()[1],), daemon=True).start()
        assert told.wait(PATIENCE)


@dataclass(frozen=True)
class TwoNodes:
    """A cluster made with `ray start`, as the README has it: a head and a second node on the same machine."""

    address: str
    token: Path


@pytest.fixture(scope="module")
def two_nodes(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoNodes]:
    """One core each. Started after this process had a Ray of its own."""
    with cluster.connect("local", cpus=1, memory=1 << 30):
        pass
    folder = Path("/tmp") / f"arras-test-{os.getpid()}"  # sockets need short paths
    folder.mkdir(mode=0o700)
    token = folder / "token"
    token.write_text("0123456789abcdef" * 4)
    token.chmod(0o600)
    port = free_port()
    environ = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    common = ["--num-cpus=1", "--object-store-memory=100000000", "--disable-usage-stats", "--block"]
    common += ["--min-worker-port=0", "--max-worker-port=0"]
    started: list[subprocess.Popen[bytes]] = []
    try:
        for where in (
            ["--head", f"--port={port}", "--include-dashboard=false", f"--ray-client-server-port={free_port()}"],
            [f"--address=127.0.0.1:{port}"],
        ):
            name = where[0].removeprefix("--")[:4]
            command = [str(Path(sys.executable).with_name("ray")), "start", *where, *common]
            command += ["--dashboard-agent-listen-port=0", f"--temp-dir={folder / name}"]
            with open(folder / f"{name}.log", "wb") as log:
                process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
            started.append(process)
            deadline = time.monotonic() + PATIENCE
            while b"Ray runtime started" not in (folder / f"{name}.log").read_bytes():
                assert time.monotonic() < deadline, (folder / f"{name}.log").read_text()
                assert process.poll() is None, (folder / f"{name}.log").read_text()
                time.sleep(0.05)
        yield TwoNodes(f"127.0.0.1:{port}", token)
    finally:
        running = [process for process in started if process.poll() is None]
        below = [child for process in running for child in psutil.Process(process.pid).children(recursive=True)]
        for process in reversed(running):
            process.terminate()
        for process in running:
            process.wait(PATIENCE)
        psutil.wait_procs(below, timeout=PATIENCE)
        shutil.rmtree(folder)


def test_without_the_token_it_is_refused(two_nodes: TwoNodes, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ClusterError, match="wants a token") as refused:
        cluster.connect(two_nodes.address)
    assert "RAY_AUTH_TOKEN_PATH" in refused.value.hint
    monkeypatch.setenv("RAY_AUTH_TOKEN", "not this one")
    with pytest.raises(ClusterError, match="refused the token") as refused:
        cluster.connect(two_nodes.address)
    assert refused.value.exit_code == 7
    assert not ray.is_initialized()


@pytest.mark.slow
def test_one_mcrt_goes_to_each_node(
    two_nodes: TwoNodes, home: Path, definition: SessionDefinition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(two_nodes.token))
    with cluster.connect(two_nodes.address) as joined:
        assert not joined.embedded
        assert two_nodes.address in joined.note
        assert cluster.nodes_with_cpus() == 2
        with render_session(definition, scene(), cluster=joined, num_mcrt=2, engine="fake_engine:load") as render:
            deadline = time.monotonic() + PATIENCE
            while render.status().stage not in OVER:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            where = {row["computation"]: row for row in render.where()}
        assert {where["mcrt_i0"]["node_id"], where["mcrt_i1"]["node_id"]} == {node.id for node in nodes()}
        assert [where[name]["cpus"] for name in ("mcrt_i0", "mcrt_i1")] == [1.0, 1.0]
    probe.check_alive(two_nodes.address, two_nodes.token.read_text())  # raises unless it goes on without us
    assert files_below(home) == []


def test_a_cluster_on_this_machine_is_found(
    two_nodes: TwoNodes, no_cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_cluster.parent.mkdir()
    no_cluster.write_text(two_nodes.address)
    assert cluster.find(None) == cluster.Address(two_nodes.address, "machine")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(two_nodes.token))
    with cluster.connect() as joined:
        assert joined.note == f"Ray cluster at {two_nodes.address}, found on this machine"


def test_a_cluster_on_this_machine_that_refuses_us_is_left_alone(two_nodes: TwoNodes, no_cluster: Path) -> None:
    no_cluster.parent.mkdir()
    no_cluster.write_text(two_nodes.address)
    with cluster.connect(cpus=1, memory=1 << 30) as own:
        assert own.embedded
        assert f"{two_nodes.address} wants a token" in own.note
