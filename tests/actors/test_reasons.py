"""One sentence for what Ray reports, from real errors of real actors."""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.exceptions import RayError

from arras_ray.actors.cluster import Cluster
from arras_ray.actors.reasons import ended, sentence
from arras_ray.errors import ClusterError, ComputationError

PATIENCE = 60.0


class Actor:
    def pid(self) -> int:
        return os.getpid()

    def fail(self) -> None:
        raise KeyError("first line\nsecond line")

    def wait(self) -> None:
        signal.pause()


def error_of(ref: Any) -> RayError:
    with pytest.raises(RayError) as told:
        ray.get(ref, timeout=PATIENCE)
    return told.value


def test_an_exception_in_an_actor(ray_here: Cluster) -> None:
    actor: Any = ray.remote(Actor).options(num_cpus=0).remote()
    error = ended(error_of(actor.fail.remote()), "mcrt_i0 on here", "failed", computation="mcrt_i0")
    assert isinstance(error, ComputationError)
    assert str(error) == r"mcrt_i0 on here failed: KeyError: 'first line\nsecond line'"
    assert error.fields == {"how": "failed", "computation": "mcrt_i0"}


def test_a_killed_process(ray_here: Cluster) -> None:
    actor: Any = ray.remote(Actor).options(num_cpus=0).remote()
    pid = ray.get(actor.pid.remote(), timeout=PATIENCE)
    waiting = actor.wait.remote()
    os.kill(pid, signal.SIGKILL)
    text = sentence(error_of(waiting))
    assert "\n" not in text
    assert "actor_id" not in text
    assert "exit" in text


def test_a_node_without_the_package(ray_here: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "only_here.py").write_text("class Actor:\n    def ping(self): ...\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])  # of this process, too late for those of Ray
    actor: Any = ray.remote(import_module("only_here").Actor).options(num_cpus=0).remote()
    error = ended(error_of(actor.ping.remote()), "mcrt_i0 on here", "died")
    assert isinstance(error, ClusterError)
    assert error.exit_code == 7
    assert "No module named 'only_here'" in error.message
    assert error.hint == "install the same arras-ray on every node"
