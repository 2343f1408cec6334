"""`arras-ray render` on a cluster made with `ray start`: one node with two cores, and a token."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from command_line import Run
from head import Head, running_head

from arras_ray.image import read_exr


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    with running_head(cpus=2) as head:
        yield head


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


def test_the_next_render_on_a_cluster_takes_one_mcrt_a_node_without_a_number(on_cluster: Run) -> None:
    """It is another job of Ray's, whose workers the nursery forks as well."""
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
