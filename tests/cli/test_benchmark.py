"""`--benchmark` with an engine of known numbers: what is told of renders that end early or fail."""

from __future__ import annotations

import io
import json
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from command_line import SCENE
from counting_engine import CountingEngine

import arras_ray
from arras_ray.cli.benchmark import FrameTimes
from arras_ray.cli.events import JsonReport
from arras_ray.cli.main import run
from arras_ray.image import read_exr
from arras_ray.local_render import LocalRender


def reached(stream: io.StringIO) -> list[str]:
    return [json.loads(line)["reached"] for line in stream.getvalue().splitlines()]


def test_a_render_that_is_stopped_has_no_last_mark() -> None:
    stream = io.StringIO()
    engine = CountingEngine(hold_after=1)
    with LocalRender(engine, threads=1) as render:
        with FrameTimes(render, JsonReport(stream), "initial", asked_at=1.0, ready_at=3.5) as times:
            assert engine.holding.wait(60)
            render.stop()
            times.finish(render.status())
        assert 0 < render.status().samples < render.status().total_samples
    assert reached(stream)[:2] == ["ready", "first frame"]
    assert "100%" not in reached(stream)
    assert json.loads(stream.getvalue().splitlines()[0])["seconds"] == 2.5


def test_a_mark_is_told_once() -> None:
    stream = io.StringIO()
    with (
        LocalRender(CountingEngine(), threads=1) as render,
        FrameTimes(render, JsonReport(stream), "second", asked_at=0.0, ready_at=0.0, fps=100) as times,
    ):
        for _ in range(3):
            times.finish(render.status())
    assert reached(stream) == ["ready", "first frame", "1%", "10%", "100%"]


class Breaks(CountingEngine):
    """Breaks when the first unit comes a second time."""

    firsts = 0

    def render(self, units: np.ndarray, cancel: np.ndarray) -> tuple[np.ndarray, np.ndarray, int, int, Any]:
        self.firsts += int((units["id"] == 0).sum())
        if self.firsts > 1:
            self.second(cancel)
        return super().render(units, cancel)

    def second(self, cancel: np.ndarray) -> None:
        raise RuntimeError("the engine broke")


class Interrupts(Breaks):
    """Presses Ctrl-C when the first unit comes a second time, and waits until it is stopped."""

    def second(self, cancel: np.ndarray) -> None:
        if not cancel[0]:
            signal.raise_signal(signal.SIGINT)
        while not cancel[0]:
            threading.Event().wait(0.005)


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[CountingEngine], None]:
    """Puts a counting engine in the engine's place and a scene in the current folder."""

    def put(engine: CountingEngine) -> None:
        room: Any = ModuleType("arras_ray.engine")
        room.load = lambda message, threads: engine
        room.warm = lambda report: None
        monkeypatch.setitem(sys.modules, "arras_ray.engine", room)
        monkeypatch.setattr(arras_ray, "engine", room, raising=False)

    (tmp_path / "ball.rdla").write_text(SCENE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return put


Install = Callable[[CountingEngine], None]

BENCHMARK = ["render", "ball.rdla", "--engine", "local", "--benchmark", "--json", "--exr", "out.exr"]


def test_a_second_render_that_fails_says_where_the_first_is(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install(Breaks())
    assert run(BENCHMARK) == 1
    out, err = capsys.readouterr()
    message = "the second render: the render failed: RuntimeError: the engine broke; wrote the first to out.exr"
    assert err == f"arras-ray: {message}\n"
    last = json.loads(out.splitlines()[-1])
    assert (last["event"], last["message"]) == ("error", message)
    assert read_exr("out.exr")[0][0, 0, 3] == 1


def test_a_second_render_can_be_interrupted(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install(Interrupts())
    assert run(BENCHMARK) == 130
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["event"], last["result"], last["outputs"]) == ("done", "interrupted", ["out.exr"])
    assert last["samples"] == last["total_samples"]
