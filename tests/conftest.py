"""What holds for every test: a clean environment, and no Ray where a test should not need one."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import settings

# Tests that only compute have what those with Ray leave of the processors.
settings.register_profile("without a clock", deadline=None)
settings.load_profile("without a clock")

HERE = Path(__file__).parent
MAY_START_RAY = (HERE / "actors", HERE / "cli" / "ray")
"""Folders whose tests run on a real Ray. All others are unit tests."""

OURS = ("ARRAS_", "RAY_")
"""Prefixes of the variables that change what this project or Ray does."""


def pytest_configure() -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a shell; programs would inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in [name for name in os.environ if name.startswith(OURS)]:
        del os.environ[name]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs no Ray comes first: it fails sooner, and a Ray leaves threads in this process for a while."""
    items.sort(key=_starts_ray)


def _starts_ray(item: pytest.Item) -> bool:
    return any(folder in item.path.parents for folder in MAY_START_RAY)


class RefuseRay:
    """An import hook that stands before all others and lets `ray` through to nobody."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name == "ray":
            raise ImportError("a unit test imports ray: only tests/actors and tests/cli/ray may", name=name)
        return None


def refuse_to_start(*args: Any, **kwargs: Any) -> None:
    raise RuntimeError("a unit test starts Ray: only tests/actors and tests/cli/ray may")


@pytest.fixture(autouse=True)
def unit_tests_stay_units(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Outside the Ray folders: no variable of ours is set, and Ray cannot be imported or, once imported, started."""
    if _starts_ray(request.node):
        yield
        return
    for name in [name for name in os.environ if name.startswith(OURS)]:
        monkeypatch.delenv(name)
    if "ray" in sys.modules:
        monkeypatch.setattr(sys.modules["ray"], "init", refuse_to_start)
    else:
        monkeypatch.setattr(sys, "meta_path", [RefuseRay(), *sys.meta_path])
    yield
