"""Faults of a session on a real Ray, each at a moment a gate holds: the picture has the same bits whatever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import Any

import numpy as np
import psutil
import pytest
import ray
from fake_engine import Stage, load, scene
from size_of_ray import CPUS, MEMORY
from waiting import PATIENCE, to_its_end, until

from arras_ray.actors.cluster import Cluster
from arras_ray.actors.names import NAMESPACE
from arras_ray.actors.nodes import nodes
from arras_ray.client import SessionRender
from arras_ray.errors import ArrasRayError
from arras_ray.local_render import LocalRender
from arras_ray.pace import Deadlines
from arras_ray.render_start import render_session
from arras_ray.session.definition import SessionDefinition

ENGINE = "fake_engine:load"
KILLED = "was killed by signal 9 (SIGKILL)"


def reference() -> np.ndarray:
    """The picture by one process, without Ray and without faults."""
    return LocalRender(load(scene(), threads=1), 1).final()


def pid_of(render: SessionRender, computation: str) -> int:
    """The process of a computation that lives."""
    supervisor: Any = ray.get_actor(f"{render.name}/supervisor", NAMESPACE)

    def joined() -> int:
        _, _, rows = ray.get(supervisor.report.remote(), timeout=PATIENCE)
        return next((row.pid for row in rows if row.name == computation), 0)

    found: int = until(joined, f"{computation} to join")
    return found


def proves_once(render: SessionRender) -> None:
    """Each unit is in the film, once."""
    log = render.log()
    assert sorted(log.tolist()) == list(range(len(log)))


@pytest.mark.parametrize(
    "victims",
    [
        *(pytest.param((victim,), marks=pytest.mark.slow) for victim in ("merge", "dispatch", "supervisor")),
        ("supervisor", "merge", "dispatch", "mcrt_i1"),
    ],
    ids=lambda victims: "+".join(victims),
)
def test_whatever_dies_the_picture_has_the_same_bits(
    ray_here: Cluster, definition: SessionDefinition, stage: Stage, victims: tuple[str, ...]
) -> None:
    message = scene(stages=str(stage.folder), hold_from=15)
    with render_session(definition, message, cluster=ray_here, num_mcrt=2, engine=ENGINE) as render:
        stage.reached()
        pids = [pid_of(render, victim) for victim in victims]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        stage.open()
        status = to_its_end(render)
        picture = render.final()
        proves_once(render)
    assert (status.stage, status.samples, status.error) == ("finished", status.total_samples, "")
    np.testing.assert_array_equal(picture, reference())
    told = [text for text in status.warnings if KILLED in text]
    # A supervisor that comes later does not know of those who died while it did not live.
    assert len(told) == len(victims) or "supervisor" in victims


@pytest.mark.parametrize("first", ["killed", pytest.param("stopped", marks=pytest.mark.slow)])
def test_a_stop_holds_for_the_next_dispatch(
    ray_here: Cluster, definition: SessionDefinition, stage: Stage, first: str
) -> None:
    message = scene(stages=str(stage.folder), hold_from=15)
    with render_session(definition, message, cluster=ray_here, num_mcrt=1, engine=ENGINE) as render:
        stage.reached()
        dispatch = pid_of(render, "dispatch")
        if first == "stopped":
            render.stop()
        os.kill(dispatch, signal.SIGKILL)
        if first == "killed":
            until(lambda: not psutil.pid_exists(dispatch), "the dispatch to be gone")
            render.stop()
        until(lambda: pid_of(render, "dispatch") != dispatch, "another dispatch")
        status = to_its_end(render)  # with the gate shut
    assert status.stage == "cancelled"
    assert status.samples < status.total_samples


@pytest.mark.slow
def test_a_merge_goes_on_from_what_was_saved(
    ray_here: Cluster, definition: SessionDefinition, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = scene(stages=str(stage.folder), hold_from=15)
    with render_session(definition, message, cluster=ray_here, num_mcrt=1, engine=ENGINE) as render:
        stage.reached()
        supervisor: Any = ray.get_actor(f"{render.name}/supervisor", NAMESPACE)

        def saved() -> int:
            states = ray.get(supervisor.saved.remote(), timeout=PATIENCE)
            return sum(int((state.order > 0).sum()) for state in states)

        n_saved = until(saved, "a film to be saved")
        merge = pid_of(render, "merge")
        os.kill(merge, signal.SIGKILL)
        until(lambda: pid_of(render, "merge") != merge, "another merge")

        def restored() -> bool:
            with suppress(ArrasRayError):  # it is not there yet
                return len(render.log()) >= n_saved
            return False

        until(restored, "the film to be restored")  # nothing renders: the gate is shut
        stage.open()
        status = to_its_end(render)
        picture = render.final()
    assert n_saved > 0
    assert status.stage == "finished"
    np.testing.assert_array_equal(picture, reference())


@pytest.mark.slow
def test_an_mcrt_that_is_stopped_is_ended_and_replaced(
    ray_here: Cluster, definition: SessionDefinition, stage: Stage
) -> None:
    message = scene(stages=str(stage.folder), hold_from=15)
    with render_session(definition, message, cluster=ray_here, num_mcrt=2, engine=ENGINE) as render:
        pid = stage.reached()
        os.kill(pid, signal.SIGSTOP)
        stage.open()
        until(lambda: not psutil.pid_exists(pid), "the stopped process to be ended")
        status = to_its_end(render)
        picture = render.final()
    (warning,) = status.warnings
    assert "hung" in warning
    np.testing.assert_array_equal(picture, reference())


def test_an_mcrt_that_hangs_in_a_kernel_is_ended_by_its_deadline(
    ray_here: Cluster, definition: SessionDefinition, stage: Stage
) -> None:
    message = scene(stages=str(stage.folder), hold_from=15, hangs=True)
    deadlines = Deadlines(minimum=1.0, factor=1.0, first=1.0, late=1000.0)
    with render_session(
        definition, message, cluster=ray_here, num_mcrt=2, engine=ENGINE, deadlines=deadlines
    ) as render:
        pid = stage.reached()
        until(lambda: not psutil.pid_exists(pid), "the hanging process to be ended")
        status = to_its_end(render)
        picture = render.final()
    assert any("hung" in text for text in status.warnings)
    np.testing.assert_array_equal(picture, reference())


def test_near_the_end_another_mcrt_renders_what_is_late(
    ray_here: Cluster, definition: SessionDefinition, stage: Stage
) -> None:
    message = scene(stages=str(stage.folder), hold_from=15)
    with render_session(definition, message, cluster=ray_here, num_mcrt=2, engine=ENGINE) as render:
        stage.reached()
        status = to_its_end(render)  # with the gate shut
        picture = render.final()
        stage.open()
    assert (status.stage, status.warnings) == ("finished", ())
    np.testing.assert_array_equal(picture, reference())


@pytest.mark.slow
def test_an_mcrt_that_fails_three_units_is_left_out(
    ray_here: Cluster, definition: SessionDefinition, stage: Stage
) -> None:
    message = scene(stages=str(stage.folder), bad=list(range(20, 48)), pause=0.01)
    with render_session(definition, message, cluster=ray_here, num_mcrt=2, engine=ENGINE) as render:
        status = to_its_end(render)
        picture = render.final()
    assert status.stage == "finished"
    assert [row.state for row in status.mcrts].count("left out") == 1
    assert any("is left out: three units could not be rendered there" in text for text in status.warnings)
    np.testing.assert_array_equal(picture, reference())


@pytest.mark.parametrize("num_mcrt", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_a_unit_that_fails_everywhere_ends_the_render_with_its_pixels(
    ray_here: Cluster, definition: SessionDefinition, num_mcrt: int
) -> None:
    message = scene(bad=[17])
    with render_session(definition, message, cluster=ray_here, num_mcrt=num_mcrt, engine=ENGINE) as render:
        status = to_its_end(render)
        picture = render.final()
    assert status.stage == "failed"
    assert f"could not be rendered by {num_mcrt} mcrt" in status.error
    assert "unit 17 cannot be rendered" in status.error
    assert status.failed is not None
    assert (status.failed.left % 64, status.failed.bottom % 64) == (0, 0)
    assert (status.failed.begin, status.failed.end) == (1, 4)
    assert 0 < status.samples < status.total_samples
    assert picture.any()


@pytest.mark.slow
def test_a_unit_that_crashes_every_mcrt_ends_the_render(ray_here: Cluster, definition: SessionDefinition) -> None:
    message = scene(crash=[17])
    with render_session(definition, message, cluster=ray_here, num_mcrt=3, engine=ENGINE) as render:
        status = to_its_end(render)
    assert status.stage == "failed"
    assert "SIGSEGV" in status.error


@pytest.mark.slow
def test_mcrts_come_and_go_during_a_render(ray_here: Cluster, definition: SessionDefinition, stage: Stage) -> None:
    message = scene(stages=str(stage.folder), hold_from=15)
    with render_session(definition, message, cluster=ray_here, num_mcrt=1, num_cores=1, engine=ENGINE) as render:
        held = stage.reached()
        supervisor: Any = ray.get_actor(f"{render.name}/supervisor", NAMESPACE)
        ray.get(supervisor.scale.remote(2, False), timeout=PATIENCE)
        newcomer = pid_of(render, "mcrt_i1")
        until(lambda: [r.samples for r in render.status().mcrts if r.name == "mcrt_i1"] > [0], "the new mcrt to render")
        ray.get(supervisor.scale.remote(1, True), timeout=PATIENCE)
        until(lambda: not psutil.pid_exists(newcomer), "the new mcrt to leave")
        stage.open()
        status = to_its_end(render)
        picture = render.final()
        assert pid_of(render, "mcrt_i0") == held
    assert status.stage == "finished"
    assert not [text for text in status.warnings if "lost" in text or "killed" in text]
    np.testing.assert_array_equal(picture, reference())


CLIENT = """
import os, sys
from arras_ray.actors.cluster import connect
from arras_ray.render_start import render_session
from arras_ray.session.definition import load_definition
from fake_engine import scene
import time
with connect(sys.argv[1]) as cluster:
    with render_session(load_definition("mcrt_progressive_n"), scene(pause=0.1, spp=4000), cluster=cluster, num_mcrt=1,
                        engine="fake_engine:load"):
        print("renders", flush=True)
        time.sleep(1000)
"""


@pytest.mark.slow
def test_a_client_that_is_killed_leaves_nothing(ray_here: Cluster) -> None:
    process = subprocess.Popen([sys.executable, "-c", CLIENT, ray_here.address], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "renders"
    process.kill()
    process.wait()
    process.stdout.close()

    def nothing_is_left() -> bool:
        actors = ray.util.list_named_actors(all_namespaces=True)
        groups = [g for g in ray.util.placement_group_table().values() if g["state"] != "REMOVED"]
        return not actors and not groups and [(n.cpus, n.memory) for n in nodes()] == [(CPUS, MEMORY)]

    until(nothing_is_left, "the session to end")
