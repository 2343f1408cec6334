"""`arras-ray render` with --checkpoint and --resume: an engine with known numbers stands in for the real one, so that
every end can be met at a known moment."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from counting_engine import SPP, CountingEngine, expected

import arras_ray
from arras_ray.checkpoint import read_checkpoint
from arras_ray.cli.main import run
from arras_ray.image import read_exr
from arras_ray.messages import RDLMessage

Use = Callable[[CountingEngine], CountingEngine]

RENDER = ["render", "ball.rdla", "--engine", "local", "-o", "out.exr"]

KEEP = [*RENDER, "--checkpoint", "c.exr"]

GO_ON = [*RENDER, "--resume", "c.exr"]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scene: Path) -> Use:
    """Puts a counting engine, which obeys overrides, in the engine's place. The current folder has a scene."""
    monkeypatch.chdir(tmp_path)

    def put(engine: CountingEngine) -> CountingEngine:
        room: Any = ModuleType("arras_ray.engine")

        def load(message: RDLMessage, threads: int) -> CountingEngine:
            for name, value in message.options.items():
                setattr(engine, name, value)
            return engine

        room.load = load
        room.warm = lambda report: None
        monkeypatch.setitem(sys.modules, "arras_ray.engine", room)
        monkeypatch.setattr(arras_ray, "engine", room, raising=False)
        return engine

    return put


class Interrupts(CountingEngine):
    """Presses Ctrl-C in its third call, once that is to be gentle, and finishes half of what it was asked for."""

    def __init__(self) -> None:
        super().__init__(hold_after=2)

    def render(self, units: np.ndarray, cancel: np.ndarray) -> tuple[np.ndarray, np.ndarray, int, int, Any]:
        if self.calls == 2:
            while not keeping():
                threading.Event().wait(0.005)
            signal.raise_signal(signal.SIGTERM)
        return super().render(units, cancel)


def keeping() -> bool:
    """Whether a checkpoint is being kept."""
    return "checkpointer" in [thread.name for thread in threading.enumerate()]


class Waits(CountingEngine):
    """Waits in its third call until something was seen."""

    def __init__(self, seen: Callable[[], bool]) -> None:
        super().__init__()
        self.seen = seen

    def render(self, units: np.ndarray, cancel: np.ndarray) -> tuple[np.ndarray, np.ndarray, int, int, Any]:
        while self.calls == 2 and not self.seen():
            threading.Event().wait(0.005)
        return super().render(units, cancel)


def interrupted(use: Use, *more: str) -> float:
    """Leave the checkpoint of an interrupted render in c.exr; return its samples a pixel."""
    use(Interrupts())
    assert run([*KEEP, "--quiet", *more]) == 130
    return read_checkpoint("c.exr").spp_so_far


def notices(out: str) -> list[str]:
    events = [json.loads(line) for line in out.splitlines()]
    return [event["text"] for event in events if event["event"] == "notice"]


# Writing


def test_an_interrupted_render_keeps_its_samples_and_says_how_to_go_on(
    use: Use, capsys: pytest.CaptureFixture[str]
) -> None:
    use(Interrupts())
    assert run(KEEP) == 130
    kept = read_checkpoint("c.exr")
    assert 0 < kept.spp_so_far < SPP
    told = f"checkpoint c.exr: {kept.spp_so_far:.4g} of {SPP} spp; --resume c.exr goes on from there"
    assert told in capsys.readouterr().out.splitlines()
    pixels, metadata = read_exr("c.exr")
    picture, about = read_exr("out.exr")
    np.testing.assert_array_equal(pixels, picture)
    assert metadata == about
    assert metadata["spp"] == pytest.approx(kept.spp_so_far)
    assert (metadata["scene"], metadata["mcrts"]) == ("ball.rdla", 1)
    assert kept.spp == SPP


def test_a_finished_render_is_kept_and_has_nowhere_to_go(use: Use, capsys: pytest.CaptureFixture[str]) -> None:
    use(CountingEngine())
    assert run([*KEEP, "--json"]) == 0
    assert notices(capsys.readouterr().out) == [f"checkpoint c.exr: {SPP} of {SPP} spp"]
    np.testing.assert_array_equal(read_exr("c.exr")[0], expected())


def test_a_failed_render_is_kept(use: Use, capsys: pytest.CaptureFixture[str]) -> None:
    use(CountingEngine(fail_after=3))
    assert run(KEEP) == 1
    assert "the engine broke; wrote the samples so far to out.exr" in capsys.readouterr().err
    assert 0 < read_checkpoint("c.exr").spp_so_far < SPP


def test_a_render_that_ran_out_of_time_is_kept(use: Use) -> None:
    use(CountingEngine(hold_after=2))
    assert run([*KEEP, "--time", "0.5", "--quiet"]) == 0
    assert 0 < read_checkpoint("c.exr").spp_so_far < SPP


def test_a_render_without_a_sample_is_not(use: Use, capsys: pytest.CaptureFixture[str]) -> None:
    use(CountingEngine(fail_after=0))
    assert run(KEEP) == 1
    assert "checkpoint" not in capsys.readouterr().out
    assert not Path("c.exr").exists()


def test_a_render_whose_reader_has_gone_is_kept(use: Use, monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed pipe ends the command from within."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    use(Waits(lambda: True))
    with os.fdopen(write_end, "w") as pipe, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Broken(pipe))
        patch.setattr(os, "dup2", lambda *descriptors: None)
        assert run([*KEEP, "--json"]) == 1
    assert read_checkpoint("c.exr").spp_so_far > 0


class Broken:
    """Standard output whose reader goes away with the first progress."""

    def __init__(self, pipe: Any) -> None:
        self.pipe = pipe

    def write(self, text: str) -> int:
        if '"event": "progress"' in text:
            raise BrokenPipeError
        return len(text)

    def flush(self) -> None:
        """Nothing is kept back."""

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return int(self.pipe.fileno())


def test_it_is_written_while_the_render_goes_on(use: Use) -> None:
    use(Waits(lambda: Path("c.exr").exists()))
    assert run([*KEEP, "--checkpoint-every", "0.01", "--quiet"]) == 0
    assert read_checkpoint("c.exr").spp_so_far == SPP


def test_trouble_that_passes_is_a_warning(use: Use, capsys: pytest.CaptureFixture[str]) -> None:
    """The folder is away until that was told."""
    told: list[str] = []

    def seen() -> bool:
        if Path("kept").exists():
            shutil.rmtree("kept")
        told.append(capsys.readouterr().err)
        if told[-1]:
            Path("kept").mkdir()
        return bool(told[-1])

    Path("kept").mkdir()
    use(Waits(seen))
    assert run([*RENDER, "--checkpoint", "kept/c.exr", "--checkpoint-every", "0.01"]) == 0
    warning = "warning: cannot write kept/c.exr: No such file or directory; it is tried again in 0.01 s\n"
    assert "".join(told) + capsys.readouterr().err == warning
    assert read_checkpoint("kept/c.exr").spp_so_far == SPP


def test_trouble_that_stays_is_an_error(use: Use, capsys: pytest.CaptureFixture[str]) -> None:
    def seen() -> bool:
        shutil.rmtree("kept", ignore_errors=True)
        return True

    Path("kept").mkdir()
    use(Waits(seen))
    assert run([*RENDER, "--checkpoint", "kept/c.exr"]) == 8
    message, hint = capsys.readouterr().err.splitlines()
    assert message == (
        "arras-ray: cannot write kept/c.exr: No such file or directory; wrote the samples so far to out.exr"
    )
    assert hint.startswith("  hint: ")
    np.testing.assert_array_equal(read_exr("out.exr")[0], expected())


def test_what_killed_renders_have_left_goes(use: Use) -> None:
    for name, age in (("old", 4000), ("new", 0)):
        path = Path(f".arras-ray-{name}.tmp")
        path.write_bytes(b"half of a checkpoint")
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    use(CountingEngine())
    assert run([*KEEP, "--quiet"]) == 0
    assert [path.name for path in Path().glob(".arras-ray-*")] == [".arras-ray-new.tmp"]


def test_no_thread_is_left(use: Use) -> None:
    use(CountingEngine())
    assert run([*KEEP, "--quiet"]) == 0
    assert not keeping()


# Going on


@pytest.mark.parametrize("threads", ["1", "2"])
def test_going_on_gives_the_picture_of_one_render(use: Use, capsys: pytest.CaptureFixture[str], threads: str) -> None:
    so_far = interrupted(use)
    before = Path("c.exr").read_bytes()
    use(CountingEngine())
    assert run([*GO_ON, "--threads", threads, "--json"]) == 0
    assert notices(capsys.readouterr().out) == [f"going on from c.exr: {so_far:.4g} of {SPP} spp"]
    pixels, metadata = read_exr("out.exr")
    np.testing.assert_array_equal(pixels, expected())
    assert metadata["spp"] == SPP
    assert Path("c.exr").read_bytes() == before


def test_the_same_file_may_be_gone_on_from_and_kept(use: Use, capsys: pytest.CaptureFixture[str]) -> None:
    interrupted(use)
    seconds = read_checkpoint("c.exr").seconds
    use(CountingEngine())
    assert run([*GO_ON, "--checkpoint", "c.exr"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert f"checkpoint c.exr: {SPP} of {SPP} spp" in out.splitlines()
    kept = read_checkpoint("c.exr")
    assert kept.spp_so_far == SPP
    assert kept.seconds > seconds > 0
    assert kept.seconds == pytest.approx(read_exr("out.exr")[1]["seconds"])


def test_a_render_may_be_interrupted_again_and_again(use: Use) -> None:
    so_far = [interrupted(use)] + [interrupted(use, "--resume", "c.exr") for _ in range(2)]
    assert so_far == sorted(set(so_far))
    use(CountingEngine())
    assert run([*GO_ON, "--quiet"]) == 0
    np.testing.assert_array_equal(read_exr("out.exr")[0], expected())


def test_a_finished_render_is_written_once_more(use: Use) -> None:
    use(CountingEngine())
    assert run([*KEEP, "--quiet"]) == 0
    Path("out.exr").unlink()
    engine = use(CountingEngine())
    assert run([*GO_ON, "--checkpoint", "other.exr", "--quiet"]) == 0
    assert engine.calls == 0
    np.testing.assert_array_equal(read_exr("out.exr")[0], expected())
    assert read_checkpoint("other.exr").state.sums.tobytes() == read_checkpoint("c.exr").state.sums.tobytes()


def test_what_is_not_said_is_taken_from_the_checkpoint(use: Use) -> None:
    interrupted(use, "--size", "150", "70", "--spp", "30", "--seed", "9")
    engine = use(CountingEngine())
    assert run([*GO_ON, "--quiet"]) == 0
    assert (engine.width, engine.height, engine.spp) == (150, 70, 30)
    assert vars(engine)["seed"] == 9


def test_more_samples_may_be_asked_for(use: Use, capsys: pytest.CaptureFixture[str]) -> None:
    use(CountingEngine())
    assert run([*KEEP, "--quiet"]) == 0
    use(CountingEngine())
    assert run([*GO_ON, "--spp", "64", "--checkpoint", "c.exr", "--json"]) == 0
    assert notices(capsys.readouterr().out) == ["going on from c.exr: 20 of 64 spp", "checkpoint c.exr: 64 of 64 spp"]
    kept = read_checkpoint("c.exr")
    assert (kept.spp, kept.ends) == (64, (1, 4, 16, 20, 32, 48, 64))


# Refusals


def refused(arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """A command that is refused before it renders, with nothing changed: why, and the hint."""
    before = {path.name: path.stat().st_mtime_ns for path in Path().iterdir()}
    capsys.readouterr()
    assert run(arguments) == code
    assert {path.name: path.stat().st_mtime_ns for path in Path().iterdir()} == before
    message, hint = capsys.readouterr().err.splitlines()
    return message.removeprefix("arras-ray: "), hint.removeprefix("  hint: ")


def test_other_renders_are_refused(use: Use, scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    interrupted(use)
    Path("out.exr").unlink()
    option = "Leave the option out: what the command line does not say is taken from the checkpoint."
    told = refused([*GO_ON, "--size", "30", "20"], 3, capsys)
    assert told == ("cannot go on from c.exr: it was rendered at 150x70, now 30x20", option)
    told = refused([*GO_ON, "--seed", "3"], 3, capsys)
    assert told == ("cannot go on from c.exr: its seed was the scene's own, now 3", option)
    begun = read_checkpoint("c.exr").begun[-1]
    told = refused([*GO_ON, "--spp", str(begun - 1)], 3, capsys)
    assert told == (f"c.exr holds {begun} spp; fewer cannot be taken away", f"Ask for --spp {begun} or more.")
    scene.write_text(scene.read_text(encoding="utf-8").replace("0.5", "0.6"), encoding="utf-8")
    told = refused(GO_ON, 3, capsys)
    assert told == (
        "cannot go on from c.exr: the scene has changed",
        "Render it from the start, without --resume.",
    )


def test_a_scene_may_move(use: Use, scene: Path) -> None:
    """Its name and comments are not what is rendered."""
    interrupted(use)
    Path("elsewhere").mkdir()
    moved = scene.rename("elsewhere/moved.rdla")
    moved.write_text("-- moved\n" + moved.read_text(encoding="utf-8"), encoding="utf-8")
    use(CountingEngine())
    assert run(["render", str(moved), *GO_ON[2:], "--quiet"]) == 0


def test_files_that_are_no_checkpoints_are_refused(use: Use, capsys: pytest.CaptureFixture[str]) -> None:
    use(CountingEngine())
    told = refused([*RENDER, "--resume", "none.exr"], 3, capsys)
    assert told[0] == "cannot read the checkpoint none.exr: No such file or directory"
    told = refused([*RENDER, "--resume", "ball.rdla"], 3, capsys)
    assert told[0] == "ball.rdla is no checkpoint: it is not an EXR file"


def test_checkpoints_that_could_not_be_written_are_told_first(use: Use, capsys: pytest.CaptureFixture[str]) -> None:
    use(CountingEngine())
    Path("folder.exr").mkdir()
    told = refused([*RENDER, "--checkpoint", "none/c.exr"], 8, capsys)
    assert told[0] == "cannot write none/c.exr: none does not exist"
    told = refused([*RENDER, "--checkpoint", "ball.rdla/c.exr"], 8, capsys)
    assert told[0] == "cannot write ball.rdla/c.exr: ball.rdla is not a folder"
    told = refused([*RENDER, "--checkpoint", "folder.exr"], 8, capsys)
    assert told[0] == "folder.exr is a folder"


def test_wrong_words(use: Use, capsys: pytest.CaptureFixture[str]) -> None:
    interrupted(use)
    for arguments, why in (
        (["--checkpoint-every", "3"], "--checkpoint-every without --checkpoint"),
        (["--checkpoint", "c.png"], "a checkpoint is an EXR file, and the name c.png does not end in .exr"),
        (["--checkpoint", "ball.rdla"], "a checkpoint is an EXR file, and the name ball.rdla does not end in .exr"),
        (["--checkpoint", "out.exr"], "out.exr is the picture and the checkpoint"),
        (["--resume", "c.exr", "-o", "c.exr"], "c.exr is the picture and the checkpoint"),
        (["--checkpoint", "c.exr", "--checkpoint-every", "nan"], "--checkpoint-every is not a number"),
    ):
        assert refused([*RENDER, *arguments], 2, capsys)[0] == why
    for every in ("0", "-1", "inf", "soon"):
        assert "--checkpoint-every" in refused([*KEEP, "--checkpoint-every", every], 2, capsys)[0]


def test_a_checkpoint_that_will_be_lost_is_told(use: Use, capsys: pytest.CaptureFixture[str]) -> None:
    interrupted(use)
    use(CountingEngine())
    assert run(KEEP) == 0
    warning = "warning: c.exr keeps an earlier render and will be replaced; --resume would go on from it\n"
    assert capsys.readouterr().err == warning
