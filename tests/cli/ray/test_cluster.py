"""`arras-ray render` on a cluster made with `ray start`: one node with two cores, and a token."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from command_line import Run

from arras_ray.image import read_exr

PATIENCE = 60.0


class Head:
    """A head that runs. environment: what a user of it sets."""

    def __init__(self, address: str, token: Path) -> None:
        self.address = address
        self.environment = {"RAY_AUTH_TOKEN_PATH": str(token)}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    folder = Path(tempfile.mkdtemp(prefix="ar-", dir="/tmp"))
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text("0123456789abcdef" * 4, encoding="ascii")
    port = free_port()
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", f"--port={port}"]
    command += ["--num-cpus=2", "--object-store-memory=100000000", "--include-dashboard=false"]
    command += ["--disable-usage-stats", "--dashboard-agent-listen-port=0", f"--temp-dir={folder / 'ray'}"]
    command += ["--min-worker-port=0", "--max-worker-port=0", f"--ray-client-server-port={free_port()}"]
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    with (folder / "log").open("wb") as log:
        process = psutil.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + PATIENCE
        while b"Ray runtime started" not in (folder / "log").read_bytes():
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.05)
        yield Head(f"127.0.0.1:{port}", token)
    finally:
        below = process.children(recursive=True)
        process.terminate()
        process.wait(PATIENCE)
        psutil.wait_procs(below, timeout=PATIENCE)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def on_cluster(head: Head, arras_ray: Run, scene: Path) -> Run:
    """Runs `arras-ray render SCENE --address HEAD ...`."""

    def run(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        return arras_ray("render", scene, "--address", head.address, *arguments, **(head.environment | variables))

    return run


def test_the_same_bits_on_a_cluster(head: Head, on_cluster: Run, arras_ray: Run, scene: Path, tmp_path: Path) -> None:
    result = on_cluster("--num-mcrt", 2, "-o", "ray.exr")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[0] == f"Ray cluster at {head.address}"
    assert arras_ray("render", scene, "--engine", "local", "--quiet", "-o", "local.exr").returncode == 0
    np.testing.assert_array_equal(read_exr(tmp_path / "ray.exr")[0], read_exr(tmp_path / "local.exr")[0])


def test_one_mcrt_a_node_without_a_number(on_cluster: Run) -> None:
    result = on_cluster()
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("mcrt") == 1


def test_a_session_that_does_not_fit_is_told_as_a_table(on_cluster: Run, tmp_path: Path) -> None:
    result = on_cluster("--num-mcrt", 3, "--num-cores", 1, "-o", "out.exr")
    assert result.returncode == 4
    message, *table, hint = result.stderr.splitlines()
    assert "the session asks for more than there is" in message
    assert table[0].split() == ["computation", "asked", "free"]
    assert [row.split()[0] for row in table[1:]] == ["dispatch", "mcrt_i0", "mcrt_i1", "mcrt_i2", "merge"]
    assert hint.startswith("  hint: ")
    assert not (tmp_path / "out.exr").exists()


def test_a_wrong_token_is_told_before_the_scene_is_read(on_cluster: Run, head: Head, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("f" * 64, encoding="ascii")
    result = on_cluster(RAY_AUTH_TOKEN_PATH=str(tmp_path / "wrong"))
    assert result.returncode == 7
    message, hint = result.stderr.splitlines()
    assert message == f"arras-ray: the cluster at {head.address} refused the token"
    assert hint.startswith("  hint: ")
    assert result.stdout == ""
