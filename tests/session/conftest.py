"""What tests of sessions share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from stage import Gate, Stage

from arras_ray.session import dso

HERE = Path(__file__).parent


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """Starts sessions with the computations of this folder. They are ended, and must leave nothing behind."""
    monkeypatch.setenv(dso.MODULES, "small_computations")
    before = [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), *before]))
    stage = Stage()
    yield stage
    stage.clear()


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """A gate that is shut."""
    return Gate(tmp_path / "gate")
