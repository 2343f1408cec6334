"""Clients that wait in line for machines, and renders that make room for each other."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import ray
from fake_engine import scene
from session_stage import Stage, parts_may_be_named, spec, staging
from size_of_ray import CPUS
from waiting import PATIENCE, until

from arras_ray import overview
from arras_ray.actors import launch, names
from arras_ray.actors.cluster import Cluster
from arras_ray.client import SessionRender
from arras_ray.errors import ClusterError, Interrupted, ResourcesError
from arras_ray.ray_session import RaySession
from arras_ray.render_start import render_session
from arras_ray.session.definition import SessionDefinition, parse_definition
from arras_ray.session.waiting_line import Queue, Waiting
from arras_ray.session_client import Client
from arras_ray.session_start import start_render

ENGINE = "fake_engine:load"
FULL = "second: no node has as many cores"


@pytest.fixture(scope="module", autouse=True)
def modules() -> Iterator[None]:
    with parts_may_be_named():
        yield


@pytest.fixture
def stage(ray_here: Cluster) -> Iterator[Stage]:
    with staging(ray_here) as stage:
        try:
            yield stage
        finally:
            end_registry()


def end_registry() -> None:
    """End it as somebody with `ray` in his hand does; the next one who waits makes another."""
    if registry := names.find_registry():
        ray.kill(registry)
    until(lambda: names.find_registry() is None, "the registry to be gone")


class Waiter:
    """A client that waits on a thread of its own. heard: what it was told."""

    def __init__(self, pool: ThreadPoolExecutor, start: Callable[[Queue], RaySession]) -> None:
        self.heard: list[Waiting] = []
        self.queue = Queue(self.heard.append)
        self.session: Future[RaySession] = pool.submit(start, self.queue)

    def hears(self, waiting: Waiting) -> None:
        until(lambda: self.heard and self.heard[-1] == waiting, f"{waiting}; heard was {self.heard}")


@pytest.fixture
def wait(stage: Stage) -> Iterator[Callable[[str], Waiter]]:
    """Lets a client wait for a session of this name, whose one computation is `second` and wants all cores."""
    waiters: list[Waiter] = []
    with ThreadPoolExecutor() as pool:

        def wait(name: str) -> Waiter:
            waiter = Waiter(pool, lambda queue: stage(spec("second", cores=CPUS), name=name, queue=queue))
            waiters.append(waiter)
            return waiter

        yield wait
        for waiter in waiters:
            waiter.queue.given_up.set()


@pytest.mark.slow
def test_who_waits_is_told_why_and_is_placed_when_there_is_room(stage: Stage, wait: Callable[[str], Waiter]) -> None:
    first = stage(spec("first", cores=1)).wait_ready(PATIENCE)
    early = wait("early")
    early.hears(Waiting(1, 1, FULL))
    late = wait("late")
    late.hears(Waiting(2, 2, FULL))
    early.hears(Waiting(1, 2, FULL))
    assert names.sessions() == [first.name]
    assert overview.Sessions(stage.cluster).names() == [first.name]
    first.shutdown()
    placed = early.session.result(PATIENCE)
    assert placed.wait_ready(PATIENCE).status().state == "ready"
    late.hears(Waiting(1, 1, FULL))
    placed.shutdown()
    assert late.session.result(PATIENCE).wait_ready(PATIENCE).name == "late"


@pytest.mark.slow
def test_who_gives_up_leaves_the_line(stage: Stage, wait: Callable[[str], Waiter]) -> None:
    stage(spec("first", cores=1)).wait_ready(PATIENCE)
    early = wait("early")
    early.hears(Waiting(1, 1, FULL))
    late = wait("late")
    late.hears(Waiting(2, 2, FULL))
    early.queue.given_up.set()
    with pytest.raises(Interrupted, match="nothing was started"):
        early.session.result(PATIENCE)
    late.hears(Waiting(1, 1, FULL))


@pytest.mark.slow
@pytest.mark.parametrize("for_good", [False, True])
def test_the_order_outlives_the_registry(stage: Stage, wait: Callable[[str], Waiter], for_good: bool) -> None:
    first = stage(spec("first", cores=1)).wait_ready(PATIENCE)
    early = wait("early")
    early.hears(Waiting(1, 1, FULL))
    late = wait("late")
    late.hears(Waiting(2, 2, FULL))
    ray.kill(names.find_registry(), no_restart=for_good)
    first.shutdown()
    assert early.session.result(PATIENCE).wait_ready(PATIENCE).name == "early"
    late.hears(Waiting(1, 1, FULL))


def test_what_never_fits_fails_at_once(stage: Stage) -> None:
    with pytest.raises(ResourcesError, match="the whole cluster is too small") as raised:
        stage(spec("huge", cores=CPUS + 1), queue=Queue())
    (row,) = raised.value.table
    assert (row.computation, row.reason) == ("huge", "no node has as many cores")
    assert f"{CPUS} cores" in row.free
    assert names.find_registry() is None


def test_a_name_that_is_taken_is_told_before_the_wait(stage: Stage) -> None:
    stage(spec("first"), name="shot").wait_ready(PATIENCE)
    with pytest.raises(ClusterError, match="runs already"):
        stage(spec("first"), name="shot", queue=Queue())


def test_a_registry_that_nobody_asks_leaves(stage: Stage) -> None:
    registry = launch.registry(0.2)
    ray.get(registry.leave.remote("nobody"), timeout=PATIENCE)
    until(lambda: names.find_registry() is None, "it to leave")


SESSION = """{"computations": {"second": {"dso": "python:session_parts:Script",
    "requirements": {"resources": {"cores": CORES, "memoryMB": 64}}, "messages": {"(client)": "*"}}}}"""

BALL = """
SceneVariables { ["camera"] = PerspectiveCamera("/c") }
"""


@pytest.mark.slow
@pytest.mark.parametrize("command", ["session run", "render"])
def test_an_interrupted_command_leaves_the_line(
    stage: Stage, wait: Callable[[str], Waiter], tmp_path: Path, command: str
) -> None:
    stage(spec("first", cores=CPUS)).wait_ready(PATIENCE)
    file = tmp_path / ("second.sessiondef" if command == "session run" else "ball.rdla")
    text = SESSION.replace("CORES", str(CPUS)) if command == "session run" else BALL
    file.write_text(text, encoding="utf-8")
    line = [str(Path(sys.executable).with_name("arras-ray")), *command.split(), str(file)]
    line += ["--queue", "--json", "--address", stage.cluster.address]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdout is not None
        told = [json.loads(process.stdout.readline())]
        while told[-1]["event"] != "waiting":
            told.append(json.loads(process.stdout.readline()))
        late = wait("late")
        late.hears(Waiting(2, 2, FULL))
        process.send_signal(signal.SIGINT)
        told += [json.loads(row) for row in process.stdout]
    assert process.returncode == Interrupted.exit_code
    waiting, *_, error = (event for event in told if event["event"] in ("waiting", "error"))
    assert (waiting["place"], waiting["length"]) == (1, 1)
    assert waiting["reason"].endswith(": no node has as many cores")
    assert error["kind"] == "Interrupted"
    late.hears(Waiting(1, 1, FULL))


def test_with_nobody_to_wait_for_it_is_said_once() -> None:
    definition = parse_definition(SESSION.replace("CORES", "1"), "alone")
    with Client("local:") as client:
        told = [client.create(definition, queue=True).warnings for _ in range(2)]
    assert told == [["there is nobody to wait for (queue): this machine is the session's alone"], []]


def n_mcrts(render: SessionRender) -> int:
    return sum(row["computation"].startswith("mcrt") for row in render.where())


@pytest.mark.slow
def test_renders_share_the_cluster(ray_here: Cluster, definition: SessionDefinition, stage: Stage) -> None:
    """The first has all cores until another one comes, and again when that has gone."""
    endless = scene(pause=0.1, spp=40_000)
    options: dict[str, Any] = {"cluster": ray_here, "num_mcrt": CPUS, "num_cores": 1, "engine": ENGINE}
    with render_session(definition, endless, **options) as first:
        until(lambda: n_mcrts(first) == CPUS, "all mcrts of the first")
        heard: list[Waiting] = []
        with render_session(definition, endless, queue=Queue(heard.append), **options) as second:
            until(lambda: (n_mcrts(first), n_mcrts(second)) == (CPUS / 2, CPUS / 2), "equal shares")
        assert heard[0] == Waiting(1, 1, "mcrt_i0: no node has as many cores")
        until(lambda: n_mcrts(first) == CPUS, "the first to have all again")
        assert any("other sessions have a share" in text for text in first.status().warnings)


@pytest.mark.slow
def test_a_render_that_waited_begins_with_what_there_is(
    ray_here: Cluster, definition: SessionDefinition, stage: Stage
) -> None:
    holds = stage(spec("first", cores=CPUS - 2)).wait_ready(PATIENCE)
    with start_render(ray_here, "live", definition, definition.expand(CPUS), engine=ENGINE, queue=Queue()) as session:
        session.wait_ready(PATIENCE)
        assert sum(row.name.startswith("mcrt") for row in session.status().computations) <= 2
        holds.shutdown()
