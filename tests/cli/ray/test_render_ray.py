"""`arras-ray render` with a Ray of its own, and what goes wrong before one is used."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from command_line import Run, Start, assert_nothing_left

from arras_ray.image import read_exr


def check_told(err: str, sentence: str) -> None:
    """One sentence with these words, and a hint."""
    told, hint = err.splitlines()
    assert told.startswith("arras-ray: ")
    assert sentence in told
    assert hint.startswith("  hint: ")


def test_two_mcrts_give_the_bits_of_one_process(arras_ray: Run, scene: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    kernels = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    elsewhere = {"HOME": str(home), "XDG_CACHE_HOME": kernels}
    result = arras_ray("render", scene, "--num-mcrt", 2, "--json", "-o", "ray.exr", **elsewhere)
    assert result.returncode == 0, result.stderr
    assert list(home.glob(".ray*")) == []
    events = [json.loads(line) for line in result.stdout.splitlines()]
    steps = [event["name"] for event in events if event["event"] == "step" and event["name"] != "compiling"]
    assert steps == ["reading", "placing", "flattening", "rendering"]
    where = events[-1]["computations"]
    assert [row["computation"] for row in where] == ["dispatch", "mcrt_i0", "mcrt_i1", "merge"]
    assert sum(row["samples"] for row in where) == events[-1]["samples"] == 48 * 32 * 4
    assert arras_ray("render", scene, "--engine", "local", "--quiet", "-o", "local.exr").returncode == 0
    on_ray, metadata = read_exr(tmp_path / "ray.exr")
    np.testing.assert_array_equal(on_ray, read_exr(tmp_path / "local.exr")[0])
    assert metadata["mcrts"] == 2


def test_ctrl_c_in_a_terminal_writes_the_samples_so_far(start_arras_ray: Start, scene: Path, tmp_path: Path) -> None:
    running = start_arras_ray("render", scene, "--num-mcrt", 2, "--size", 640, 480, "--spp", 65536, "-o", "out.exr")
    assert running.wait_for("progress")["samples"] > 0
    os.killpg(running.process.pid, signal.SIGINT)  # a terminal signals everybody in the foreground
    assert running.end() == 130
    assert (running.events[-1]["event"], running.events[-1]["result"]) == ("done", "interrupted")
    assert np.isfinite(read_exr(tmp_path / "out.exr")[0]).all()
    assert_nothing_left(tmp_path)


@pytest.mark.slow
def test_a_second_ctrl_c_leaves_nothing_either(start_arras_ray: Start, scene: Path, tmp_path: Path) -> None:
    running = start_arras_ray("render", scene, "--num-mcrt", 2, "--size", 640, 480, "--spp", 65536, "-o", "out.exr")
    running.wait_for("progress")
    os.killpg(running.process.pid, signal.SIGINT)
    os.killpg(running.process.pid, signal.SIGTERM)
    assert running.end() == 130
    assert_nothing_left(tmp_path)


def test_a_malformed_session_file(arras_ray: Run, scene: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.sessiondef").write_text('{\n  "name": "bad",\n  "computations": {,}\n}\n', encoding="utf-8")
    result = arras_ray("render", scene, "-s", "bad", ARRAS_SESSION_PATH=str(tmp_path))
    assert result.returncode == 3
    check_told(result.stderr, "bad.sessiondef:3:20: ")


def test_a_session_that_does_not_exist(arras_ray: Run, scene: Path) -> None:
    result = arras_ray("render", scene, "-s", "mcrt_progresive")
    assert result.returncode == 3
    check_told(result.stderr, "there is no session named mcrt_progresive")


def test_a_cluster_that_does_not_answer(arras_ray: Run, scene: Path) -> None:
    result = arras_ray("render", scene, "--address", "127.0.0.1:9")
    assert result.returncode == 7
    check_told(result.stderr, "no Ray cluster answers at 127.0.0.1:9")
