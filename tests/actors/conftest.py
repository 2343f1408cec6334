"""A real Ray for the tests of actors: embedded, one for each module, with a home of its own that must stay empty."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fake_engine import Stage
from size_of_ray import CPUS, MEMORY, STORE

from arras_ray.actors import cluster
from arras_ray.session.definition import SessionDefinition, load_definition, parse_definition

if TYPE_CHECKING:
    from session_parts import Gate
    from session_stage import Stage as SessionStage

HERE = Path(__file__).parent

TWO_MERGES = """{"computations": {
    "dispatch": {"dso": "libcomputation_progmcrt_dispatch.so",
        "requirements": {"resources": {"cores": 0, "memoryMB": 64}}},
    "mcrt": {"dso": "libcomputation_progmcrt.so", "arrayExpand": 2,
        "requirements": {"resources": {"cores": 1, "memoryMB": 64}}},
    "merge": {"dso": "libcomputation_progmcrt_merge.so", "arrayExpand": 2,
        "requirements": {"resources": {"cores": 0, "memoryMB": 64}}}
}}"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty home folder. Processes that start from now on find the modules of this folder, and compiled kernels."""
    folder = tmp_path_factory.mktemp("home")
    kernels = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder))
        patch.setenv("XDG_CACHE_HOME", kernels)
        patch.setenv("PYTHONPATH", f"{HERE}:{HERE.parent.parent}")
        yield folder


@pytest.fixture
def ray_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where nodes that start from now on write, gone at the end; its name is short, as those of sockets have to be."""
    with tempfile.TemporaryDirectory(prefix="ar-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        monkeypatch.setenv("RAY_TMPDIR", folder)
        yield Path(folder)


_embedded: list[str] = []


@pytest.fixture
def first_ray() -> None:
    """This process has had no Ray yet. One that had an embedded Ray keeps some of its settings, and cannot make a
    cluster of several nodes."""
    if _embedded:
        pytest.skip("wants a process of its own: make test-all gives it one")


@pytest.fixture(scope="module")
def ray_here(home: Path) -> Iterator[cluster.Cluster]:
    """An embedded Ray for a module's tests. Two queues of a session that are full fit into its store."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "OBJECT_STORE_BYTES", STORE)
        with cluster.connect("local", cpus=CPUS, memory=MEMORY) as connected:
            _embedded.append(connected.address)
            yield connected


@pytest.fixture
def definition() -> SessionDefinition:
    return load_definition("mcrt_progressive_n")


@pytest.fixture
def two_merges() -> SessionDefinition:
    return parse_definition(TWO_MERGES, "two_merges")


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A gate for an mcrt; open at the end, whatever happened."""
    gate = Stage(tmp_path)
    yield gate
    gate.open()


@pytest.fixture(scope="module")
def parts() -> Iterator[None]:
    """Computations of session_parts may run on a Ray that starts now."""
    from session_stage import parts_may_be_named  # imports Ray, which some modules here want to do in their own way

    with parts_may_be_named():
        yield


@pytest.fixture
def start(ray_here: cluster.Cluster) -> Iterator[SessionStage]:
    """Starts sessions of computations; nothing is left of them at the end."""
    from session_stage import staging

    with staging(ray_here) as stage:
        yield stage


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """For a computation; shut, and open at the end, whatever happened."""
    from session_parts import Gate

    gate = Gate(tmp_path)
    yield gate
    gate.open()
