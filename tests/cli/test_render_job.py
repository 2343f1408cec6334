"""What the command makes of renders that do not go well: an engine with known numbers stands in for the real one."""

from __future__ import annotations

import json
import shlex
import sys
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
from arras_ray.cli.main import run
from arras_ray.image import read_exr
from arras_ray.messages import BadSample, RDLMessage

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
    assert capsys.readouterr().err.startswith("arras-ray: the render failed: RuntimeError: the engine broke\n")
    assert (tmp_path / "out.exr").read_bytes() == b"what was here before"


def test_options_of_ray_are_told_to_have_no_meaning(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install(CountingEngine())
    assert run([*RENDER, "--num-mcrt", "4", "--address", "local"]) == 0
    assert "--num-mcrt, --address: without meaning for --engine local" in capsys.readouterr().err
