"""The installed command as a real process, and a scene for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Set
from pathlib import Path
from typing import Any

import psutil

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


def children() -> set[psutil.Process]:
    """Processes below this one, but for nurseries of Ray's nodes, which last as long as those, and their parents."""
    below = set(psutil.Process().children(recursive=True))
    nurseries = {process for process in below if process.name().startswith("arras-ray nurse")}
    return below - nurseries - {parent for one in nurseries if (parent := one.parent()) is not None}


def assert_nothing_left(tmp_path: Path, before: Set[psutil.Process] = frozenset()) -> None:
    """No process below this one that was not there `before`, no temporary file."""
    assert children() <= before
    assert list((tmp_path / "tmp").iterdir()) == []


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


Start = Callable[..., Running]
