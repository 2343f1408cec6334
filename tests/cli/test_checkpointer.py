"""Checkpointer against renders that lose what they had, and the installed command against kills: the same bits."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Run, Start, assert_nothing_left
from counting_engine import HEIGHT, SPP, WIDTH, CountingEngine

from arras_ray.checkpoint import Checkpoint, read_checkpoint
from arras_ray.cli.checkpointer import Checkpointer
from arras_ray.errors import ComputationError, OutputError
from arras_ray.identity import Identity
from arras_ray.image import read_exr
from arras_ray.local_render import LocalRender
from arras_ray.messages import FilmState, RenderStatus

NEVER = 1e6


class Losing(LocalRender):
    """A render whose samples can be lost, as those of a session can. saves: how often it was asked for them."""

    lost: str | None = None
    saves = 0

    def save(self) -> list[FilmState]:
        self.saves += 1
        if self.lost is None:
            return super().save()
        if self.lost:
            raise ComputationError(self.lost, hint="look at its node")
        return []


def metadata(status: RenderStatus, spp: float, seconds: float) -> dict[str, Any]:
    return {"scene": "ball.rdla", "spp": spp, "seconds": seconds}


def keeper_of(path: Path, render: LocalRender, every: float = NEVER, resume: Checkpoint | None = None) -> Checkpointer:
    return Checkpointer(path, every, render, Identity("scene"), metadata, resume)


def test_a_file_is_never_replaced_by_one_of_fewer_samples(tmp_path: Path) -> None:
    path = tmp_path / "c.exr"
    engine = CountingEngine(hold_after=2)
    with Losing(engine, threads=1) as render, keeper_of(path, render) as keeper:
        assert engine.holding.wait(60)
        assert keeper.finish() is None
        kept = read_checkpoint(path)
    before = path.read_bytes()
    held = CountingEngine(hold_after=0)
    with Losing(held, 1, resume=kept) as render, keeper_of(path, render, resume=kept) as keeper:
        assert held.holding.wait(60)
        render.lost = ""
        assert keeper.finish() is None
        assert keeper.spp == kept.spp_so_far
    assert path.read_bytes() == before


def test_the_samples_are_out_of_reach(tmp_path: Path) -> None:
    path = tmp_path / "c.exr"
    with Losing(CountingEngine(), threads=1) as render, keeper_of(path, render) as keeper:
        render.final()
        render.lost = "merge died"
        error = keeper.finish()
    assert isinstance(error, OutputError)
    assert error.message == f"cannot write {path}: merge died"
    assert (error.hint, error.exit_code) == ("look at its node", 8)
    assert not path.exists()


def test_the_same_trouble_is_told_once(tmp_path: Path) -> None:
    with Losing(CountingEngine(), threads=1) as render:
        render.final()
        render.lost = "merge died"
        with keeper_of(tmp_path / "c.exr", render, every=0.001) as keeper:
            while render.saves < 5:
                threading.Event().wait(0.001)
            assert set(keeper.hear(render.status())) == {
                f"cannot write {tmp_path / 'c.exr'}: merge died; it is tried again in 0.001 s"
            }
            render.lost = None
            while not keeper.spp:
                threading.Event().wait(0.001)
    assert read_checkpoint(tmp_path / "c.exr").spp_so_far == SPP


def test_what_is_in_the_file_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "c.exr"
    with Losing(CountingEngine(), threads=1) as render:
        render.final()
        with keeper_of(path, render, every=0.001) as keeper:
            while not keeper.spp:
                threading.Event().wait(0.001)
            first = path.stat().st_ino
            saves = render.saves
            while render.saves < saves + 3:
                threading.Event().wait(0.001)
    assert path.stat().st_ino == first


# The installed command


def one_run(arras_ray: Run, scene: Path, spp: int) -> np.ndarray:
    result = arras_ray(
        "render", scene, "--engine", "local", "--size", 320, 240, "--spp", spp, "-o", "once.exr", "--quiet"
    )
    assert result.returncode == 0, result.stderr
    return read_exr(scene.parent / "once.exr")[0]


@pytest.mark.parametrize(
    ("number", "threads"), [pytest.param(signal.SIGINT, 1, marks=pytest.mark.slow), (signal.SIGKILL, 2)]
)
def test_going_on_gives_the_bits_of_one_render(
    number: int, threads: int, start_arras_ray: Start, arras_ray: Run, scene: Path, tmp_path: Path
) -> None:
    size = ("--size", 320, 240, "--spp", 65536)
    running = start_arras_ray(
        *("render", scene, "--engine", "local", *size, "-o", "out.exr"),
        *("--checkpoint", "c.exr", "--checkpoint-every", 0.2),
    )
    while not (tmp_path / "c.exr").exists():
        running.wait_for("progress")
    running.process.send_signal(number)
    assert running.end() == (130 if number == signal.SIGINT else -signal.SIGKILL)
    for left in tmp_path.glob(".arras-ray-*.tmp"):
        assert number == signal.SIGKILL
        left.unlink()
    spp = read_checkpoint(tmp_path / "c.exr").begun[-1] + 4
    result = arras_ray(
        *("render", scene, "--engine", "local", "--resume", "c.exr", "--spp", spp),
        *("--threads", threads, "-o", "out.exr", "--checkpoint", "c.exr"),
    )
    assert result.returncode == 0, result.stderr
    assert f"checkpoint c.exr: {spp} of {spp} spp" in result.stdout.splitlines()
    assert read_exr(tmp_path / "out.exr")[0].tobytes() == one_run(arras_ray, scene, spp).tobytes()
    assert read_exr(tmp_path / "c.exr")[0].tobytes() == read_exr(tmp_path / "out.exr")[0].tobytes()
    assert_nothing_left(tmp_path)


def test_other_sources_are_refused(arras_ray: Run, scene: Path, tmp_path: Path) -> None:
    """A checkpoint of kernels that are not these ones."""
    with LocalRender(CountingEngine(), 1) as render:
        render.final()
        identity = Identity("other", {"width": WIDTH, "height": HEIGHT}, "other", {"numba": "0.1"})
        with Checkpointer(tmp_path / "c.exr", NEVER, render, identity, metadata):
            pass
    result = arras_ray("render", scene, "--engine", "local", "--resume", "c.exr")
    assert result.returncode == 3
    message, hint = result.stderr.splitlines()
    assert message.startswith("arras-ray: cannot go on from c.exr: the scene has changed; ")
    assert "; it was rendered by other kernels; " in message
    assert "; numba 0.1 there, " in message
    assert hint == "  hint: Render it from the start, without --resume."
