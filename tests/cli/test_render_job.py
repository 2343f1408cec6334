"""What the command makes of renders that do not go well: an engine with known numbers stands in for the real one."""

from __future__ import annotations

import json
import shlex
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
from counting_engine import HEIGHT, SPP, WIDTH, CountingEngine, expected

import arras_ray
from arras_ray import __version__
from arras_ray.cli.engines import Wishes
from arras_ray.cli.handle import failure_of
from arras_ray.cli.keeping import Keeping
from arras_ray.cli.main import run
from arras_ray.cli.render_job import RenderJob
from arras_ray.errors import ComputationError, RenderError
from arras_ray.image import read_exr
from arras_ray.messages import BadSample, FailedPixels, RDLMessage, RenderStatus
from arras_ray.scene import SceneContext

Install = Callable[..., ModuleType]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Install:
    """Puts a counting engine in the engine's place and a scene in the current folder."""

    def put(engine: CountingEngine, compiles: bool = False) -> ModuleType:
        room: Any = ModuleType("arras_ray.engine")
        room.messages = []

        def load(message: RDLMessage, threads: int) -> CountingEngine:
            room.messages.append((message, threads))
            return engine

        room.load = load
        room.warm = lambda report: report("compiling") if compiles else None
        monkeypatch.setitem(sys.modules, "arras_ray.engine", room)
        monkeypatch.setattr(arras_ray, "engine", room, raising=False)
        return room

    (tmp_path / "my scene.rdla").write_text(SCENE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return put


RENDER = ["render", "my scene.rdla", "--engine", "local", "-o", "out.exr"]


def test_what_was_asked_reaches_the_engine(install: Install) -> None:
    engine = CountingEngine()
    room = install(engine)
    assert run([*RENDER, "--size", "7", "5", "--spp", "3", "--seed", "9", "--threads", "2", "--quiet"]) == 0
    ((message, threads),) = room.messages
    assert message.options == {"width": 7, "height": 5, "spp": 3, "seed": 9}
    assert threads == 2
    assert engine.closed


def test_the_scene_is_rendered_as_the_command_line_changes_it(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the command that shows a bad sample changes it in the same way."""
    room = install(CountingEngine(bad=BadSample(1, 2, 3)))
    Path("small.rdla").write_text('SphereGeometry("/ball") { ["radius"] = 0.25 }', encoding="utf-8")
    line = "--strict --rdla-set n 1 --delta small.rdla --attr-set /grey albedo '1, 0, 0' --scene-var frame 7"
    changes = shlex.split(line)
    assert run([*RENDER, *changes, "--quiet"]) == 0
    ((message, _),) = room.messages
    rendered = SceneContext.from_bytes(message.payload)
    assert rendered["/ball"].get("radius") == 0.25
    assert rendered["/grey"].get("albedo") == (1, 0, 0)
    assert rendered.variables.get("frame") == 7
    command = shlex.split(capsys.readouterr().err.splitlines()[0].partition("): ")[2])
    assert command[:3] == ["arras-ray", "debug-pixel", "my scene.rdla"]
    assert command[-len(changes) :] == changes


def test_the_picture_and_its_metadata(install: Install) -> None:
    install(CountingEngine())
    assert run([*RENDER, "--quiet"]) == 0
    pixels, metadata = read_exr("out.exr")
    np.testing.assert_array_equal(pixels, expected())
    assert metadata["scene"] == "my scene.rdla"
    assert metadata["spp"] == SPP
    assert metadata["sync_id"] == 1
    assert metadata["mcrts"] == 1
    assert metadata["seconds"] >= 0
    assert json.loads(metadata["versions"])["arras-ray"] == __version__
    assert len(metadata["chromaticities"]) == 8


def test_compiling_is_announced(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install(CountingEngine(), compiles=True)
    assert run(RENDER) == 0
    assert "\ncompiling kernels for the first time\n" in capsys.readouterr().out


def test_stand_ins_are_warnings(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    engine = CountingEngine()
    engine.warnings = ("3 DwaSkinMaterial as grey",)
    install(engine)
    assert run(RENDER) == 0
    assert capsys.readouterr().err == "warning: 3 DwaSkinMaterial as grey\n"


def test_a_bad_sample_names_the_command_that_shows_it(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install(CountingEngine(bad=BadSample(12, 34, 5)))
    assert run([*RENDER, "--size", str(WIDTH), str(HEIGHT), "--seed", "4"]) == 0
    err = capsys.readouterr().err
    assert err.startswith("warning: 1 sample was not finite and left out; the first is sample 5 of pixel (12, 34)")
    command = shlex.split(err.rpartition(": ")[2])
    assert command == [
        *("arras-ray", "debug-pixel", "my scene.rdla", "12", "34", "--sample", "5"),
        *("--size", str(WIDTH), str(HEIGHT), "--seed", "4"),
    ]


def test_a_failed_render_keeps_its_samples(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install(CountingEngine(fail_after=2))
    assert run(RENDER) == 1
    err = capsys.readouterr().err
    assert err.startswith(
        "arras-ray: the render failed: RuntimeError: the engine broke; wrote the samples so far to out.exr"
    )
    assert "Traceback" not in err
    assert read_exr("out.exr")[0][0, 0, 3] == 1


def test_a_render_that_fails_before_a_sample_writes_nothing(
    install: Install, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "out.exr").write_bytes(b"what was here before")
    install(CountingEngine(fail_after=0))
    assert run(RENDER) == 1
    told = capsys.readouterr().err
    assert told == "arras-ray: the render failed: RuntimeError: the engine broke; nothing was written\n"
    assert (tmp_path / "out.exr").read_bytes() == b"what was here before"


class Breaks(CountingEngine):
    """Raises this error in the third call."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def render(self, units: np.ndarray, cancel: np.ndarray) -> tuple[np.ndarray, np.ndarray, int, int, Any]:
        if self.calls == 2:
            raise self.error
        return super().render(units, cancel)


def test_a_failed_render_keeps_the_class_hint_and_code_of_its_error(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install(Breaks(ComputationError("merge died", hint="look at its node", computation="merge")))
    assert run([*RENDER, "--json"]) == 6
    out, err = capsys.readouterr()
    assert err == "arras-ray: merge died; wrote the samples so far to out.exr\n  hint: look at its node\n"
    last = json.loads(out.splitlines()[-1])
    assert (last["event"], last["kind"], last["fields"]) == ("error", "ComputationError", {"computation": "merge"})
    assert read_exr("out.exr")[0][0, 0, 3] == 1


class Lost:
    """A session of which only dispatch's words are known."""

    width, height, spp = WIDTH, HEIGHT, SPP
    error = None

    def status(self) -> RenderStatus:
        return RenderStatus("failed", 0, 100, 1.0, 0.0, error="no mcrt is left")

    def stop(self) -> None:
        """Nothing runs."""

    def final(self) -> np.ndarray:
        raise ComputationError("who had the pixels is gone")

    def where(self) -> list[dict[str, Any]]:
        return []


def test_a_session_that_lost_its_computations_is_exit_6(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arras_ray.cli.handle.HEARD_SECONDS", 0.0)
    error = failure_of(Lost(), Lost().status())
    assert (type(error), error.exit_code, str(error)) == (ComputationError, 6, "no mcrt is left")


def test_time_that_is_up_before_a_sample_is_an_error(
    install: Install, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    install(Slow())
    assert run([*RENDER, "--time", "0.05"]) == 1
    message, hint = capsys.readouterr().err.splitlines()
    assert message == "arras-ray: no sample was finished in time; nothing was written"
    assert hint.startswith("  hint: ")
    assert not (tmp_path / "out.exr").exists()


class Slow(CountingEngine):
    """Finishes nothing until it is cancelled."""

    def render(self, units: np.ndarray, cancel: np.ndarray) -> tuple[np.ndarray, np.ndarray, int, int, Any]:
        while not cancel[0]:
            threading.Event().wait(0.005)
        return super().render(units[:0], cancel)


class Interrupts(Slow):
    """Presses Ctrl-C, then finishes nothing."""

    def render(self, units: np.ndarray, cancel: np.ndarray) -> tuple[np.ndarray, np.ndarray, int, int, Any]:
        signal.raise_signal(signal.SIGTERM)
        return super().render(units, cancel)


def test_an_interrupt_before_a_sample_says_that_nothing_was_written(
    install: Install, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    install(Interrupts())
    assert run(RENDER) == 130
    assert "nothing was written" in capsys.readouterr().err
    assert not (tmp_path / "out.exr").exists()


class Blocks(CountingEngine):
    """Makes a folder in the place of one of the pictures while it renders."""

    def render(self, units: np.ndarray, cancel: np.ndarray) -> tuple[np.ndarray, np.ndarray, int, int, Any]:
        Path("out.exr").mkdir(exist_ok=True)
        return super().render(units, cancel)


def test_one_picture_that_cannot_be_written_does_not_keep_the_others(
    install: Install, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    install(Blocks(bad=BadSample(1, 2, 3)))
    assert run([*RENDER, "-o", "other.exr"]) == 8
    warning, message, hint = capsys.readouterr().err.splitlines()
    assert warning.startswith("warning: 1 sample was not finite")
    assert message == "arras-ray: out.exr is a folder; wrote the samples so far to other.exr"
    assert hint.startswith("  hint: ")
    assert read_exr("other.exr")[0].shape == (HEIGHT, WIDTH, 4)


def test_a_picture_that_cannot_be_written_does_not_hide_why_the_render_failed(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install(Blocks(fail_after=2))
    assert run([*RENDER]) == 1
    warning, message = capsys.readouterr().err.splitlines()
    assert warning == "warning: out.exr is a folder"
    assert message == "arras-ray: the render failed: RuntimeError: the engine broke; nothing was written"


def test_a_bug_ends_the_events_with_an_error(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    room: Any = install(CountingEngine())

    def load(message: RDLMessage, threads: int) -> CountingEngine:
        raise KeyError("x")

    room.load = load
    assert run([*RENDER, "--json"]) == 1
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["event"], last["kind"], last["message"]) == ("error", "ArrasRayError", "internal error: KeyError: 'x'")


def test_options_of_ray_are_told_to_have_no_meaning(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install(CountingEngine())
    assert run([*RENDER, "--num-mcrt", "4", "--address", "local"]) == 0
    assert "--num-mcrt, --address: without meaning for --engine local" in capsys.readouterr().err


def test_pixels_that_no_mcrt_can_render_are_told_with_the_command_that_shows_one() -> None:
    job = RenderJob(("my scene.rdla",), (), False, {"spp": 9, "width": 70, "height": 65}, "ray", Wishes(), Keeping())
    failed = FailedPixels(64, 0, 69, 63, 4, 9)
    status = RenderStatus("failed", 10, 100, 1.0, 10.0, error="pixels (64, 0) to (69, 63) failed", failed=failed)
    handle: Any = None  # nobody is asked: the status says it all
    error = job._failure(handle, status)
    assert (type(error), error.exit_code, error.pixel) == (RenderError, 1, (64, 0))
    assert "pixels (64, 0) to (69, 63)" in error.message
    command = "arras-ray debug-pixel 'my scene.rdla' 64 0 --sample 4 --size 70 65 --spp 9"
    assert error.hint == f"look at one of them: {command}"
