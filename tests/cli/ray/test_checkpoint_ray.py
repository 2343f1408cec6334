"""Checkpoints go from a process to a session and back."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from command_line import Run, Start, assert_nothing_left

from arras_ray.checkpoint import read_checkpoint
from arras_ray.image import read_exr


@pytest.mark.slow
def test_a_render_is_gone_on_with_on_ray_and_in_one_process(
    start_arras_ray: Start, arras_ray: Run, scene: Path, tmp_path: Path
) -> None:
    running = start_arras_ray(
        *("render", scene, "--engine", "local", "--size", 320, 240, "--spp", 65536, "-o", "out.exr"),
        *("--checkpoint", "c.exr"),
    )
    running.wait_for("progress")
    running.process.send_signal(signal.SIGINT)
    assert running.end() == 130
    first = read_checkpoint(tmp_path / "c.exr")
    spp = first.begun[-1] + 4

    on_ray = arras_ray(
        *("render", scene, "--num-mcrt", 2, "--address", "local", "-o", "out.exr"),
        *("--resume", "c.exr", "--spp", spp, "--checkpoint", "c.exr"),
    )
    assert on_ray.returncode == 0, on_ray.stderr
    assert f"going on from c.exr: {first.spp_so_far:.4g} of {spp} spp" in on_ray.stdout.splitlines()
    assert f"checkpoint c.exr: {spp} of {spp} spp" in on_ray.stdout.splitlines()
    second = read_checkpoint(tmp_path / "c.exr")
    assert sum(second.state.tally.samples.values()) == 320 * 240 * spp
    assert second.state.tally.samples["mcrt_i0"] >= first.state.tally.samples["mcrt_i0"]
    assert second.seconds >= first.seconds

    more = arras_ray(
        "render", scene, "--engine", "local", "--resume", "c.exr", "--spp", spp + 3, "-o", "more.exr", "--quiet"
    )
    assert more.returncode == 0, more.stderr
    for name, samples in (("out.exr", spp), ("more.exr", spp + 3)):
        once = arras_ray(
            *("render", scene, "--engine", "local", "--size", 320, 240),
            *("--spp", samples, "-o", "once.exr", "--quiet"),
        )
        assert once.returncode == 0, once.stderr
        assert read_exr(tmp_path / name)[0].tobytes() == read_exr(tmp_path / "once.exr")[0].tobytes()
    assert_nothing_left(tmp_path)
