"""The installed command as a real process, and a scene for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

COMMAND = Path(sys.executable).parent / "arras-ray"

Run = Callable[..., "subprocess.CompletedProcess[str]"]

SCENE = """\
SceneVariables { ["camera"] = PerspectiveCamera("/cam"), ["layer"] = Layer("/layer"),
                 ["image_width"] = 48, ["image_height"] = 32, ["pixel_samples"] = 2 }
PerspectiveCamera("/cam") { ["node_xform"] = translate(0, 0, 6) }
SphereLight("/light") { ["node_xform"] = translate(2, 3, 4), ["radius"] = 0.5, ["intensity"] = 20 }
LightSet("/lights") { SphereLight("/light") }
Layer("/layer") {
    {SphereGeometry("/ball") { ["radius"] = 1 }, "", DwaBaseMaterial("/grey"), LightSet("/lights")},
}
"""


def environment(tmp_path: Path) -> dict[str, str]:
    """The test's own environment, with a folder of its own for temporary files."""
    temporary = tmp_path / "tmp"
    temporary.mkdir(exist_ok=True)
    return {**os.environ, "TMPDIR": str(temporary), "COLUMNS": "100"}


def assert_nothing_left(tmp_path: Path) -> None:
    """No process below this one, no temporary file."""
    assert psutil.Process().children(recursive=True) == []
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A grey ball under a light, 48x32 pixels, 4 spp."""
    path = tmp_path / "ball.rdla"
    path.write_text(SCENE, encoding="utf-8")
    return path


@pytest.fixture
def arras_ray(tmp_path: Path) -> Run:
    """Runs `arras-ray ARGUMENTS...` in tmp_path and waits for its end; checks that nothing is left of it."""

    def run(*arguments: object, cwd: Path = tmp_path, **variables: str) -> subprocess.CompletedProcess[str]:
        result = subprocess.run(
            [str(COMMAND), *map(str, arguments)],
            cwd=cwd,
            env=environment(tmp_path) | variables,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert_nothing_left(tmp_path)
        return result

    return run


class Running:
    """A command under way whose events are read one by one."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.events: list[dict[str, Any]] = []

    def wait_for(self, event: str, **fields: Any) -> dict[str, Any]:
        """Read events until this one."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            found = json.loads(line)
            self.events.append(found)
            if found["event"] == event and all(found[name] == value for name, value in fields.items()):
                return found
        raise AssertionError(
            f"no {event} {fields}; exit {self.process.wait()}: {self.process.stderr and self.process.stderr.read()}"
        )

    def end(self) -> int:
        """Read on to the end, return the exit code."""
        assert self.process.stdout is not None
        self.events += [json.loads(line) for line in self.process.stdout]
        return self.process.wait(60)


@pytest.fixture
def start_arras_ray(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts `arras-ray ARGUMENTS... --json`; what still runs at the end of the test is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object) -> Running:
        process = subprocess.Popen(
            [str(COMMAND), *map(str, arguments), "--json"],
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return Running(process)

    yield start
    for process in started:
        process.kill()
        process.communicate()
