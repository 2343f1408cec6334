"""Fixtures that run the installed command."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import COMMAND, SCENE, Run, Running, Start, assert_nothing_left, children, environment


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
        before = children()
        result = subprocess.run(
            [str(COMMAND), *map(str, arguments)],
            cwd=cwd,
            env=environment(tmp_path) | variables,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert_nothing_left(tmp_path, before)
        return result

    return run


@pytest.fixture
def start_arras_ray(tmp_path: Path) -> Iterator[Start]:
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
            start_new_session=True,
        )
        started.append(process)
        return Running(process)

    yield start
    for process in started:
        process.kill()
        process.communicate()
