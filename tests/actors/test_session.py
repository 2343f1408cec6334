"""Sessions on a real Ray with an engine that draws numbers: same bits however the work is shared, faults, ends."""

from __future__ import annotations

import os
import signal
from typing import Any

import numpy as np
import pytest
import ray
from fake_engine import Stage, load, scene
from size_of_ray import CPUS, MEMORY
from waiting import PATIENCE, to_its_end, until

from arras_ray import client
from arras_ray.actors import launch, names
from arras_ray.actors.cluster import Cluster
from arras_ray.actors.names import NAMESPACE
from arras_ray.actors.nodes import nodes
from arras_ray.actors.orders import Order
from arras_ray.client import SessionRender
from arras_ray.errors import ClusterError, ComputationError, ReadyTimeout, ResourcesError, SceneError
from arras_ray.film import place_tiles
from arras_ray.local_render import LocalRender
from arras_ray.messages import RDLMessage
from arras_ray.render_start import render_session
from arras_ray.session.definition import SessionDefinition
from arras_ray.versions import versions

ENGINE = "fake_engine:load"


def reference(message: RDLMessage) -> np.ndarray:
    """The picture by one process, without Ray."""
    return LocalRender(load(message, threads=1), 1).final()


def ask(render: SessionRender, computation: str, method: str) -> Any:
    """The answer of a computation to a call without arguments."""
    actor: Any = ray.get_actor(f"{render.name}/{computation}", NAMESPACE)
    return ray.get(getattr(actor, method).remote(), timeout=PATIENCE)


def nothing_is_left() -> bool:
    """No actor and no group of ours, and all cores and memory are free (Ray counts them a moment later)."""
    return not our_actors() and not groups() and [(n.cpus, n.memory) for n in nodes()] == [(CPUS, MEMORY)]


def our_actors() -> list[str]:
    return [a["name"] for a in ray.util.list_named_actors(all_namespaces=True) if a["namespace"] == NAMESPACE]


def groups() -> list[dict[str, Any]]:
    table: dict[str, dict[str, Any]] = ray.util.placement_group_table()
    return [group for group in table.values() if group["state"] != "REMOVED"]


@pytest.mark.parametrize(
    "num_mcrt", [pytest.param(1, marks=pytest.mark.slow), 2, pytest.param(5, marks=pytest.mark.slow)]
)
def test_the_bits_do_not_depend_on_how_many_mcrts_share_the_work(
    ray_here: Cluster, definition: SessionDefinition, num_mcrt: int
) -> None:
    message = scene(warnings=["2 lights were left out, first: /sky"])
    stages: list[str] = []
    with render_session(
        definition, message, cluster=ray_here, num_mcrt=num_mcrt, engine=ENGINE, report=stages.append
    ) as render:
        status = to_its_end(render)
        picture = render.final()
    np.testing.assert_array_equal(picture, reference(message))
    assert (status.stage, status.samples) == ("finished", 200 * 150 * 40)
    assert sum(row.samples for row in status.mcrts) == status.samples
    assert len(status.mcrts) == num_mcrt
    assert status.warnings == ("2 lights were left out, first: /sky",)  # said by every mcrt, told once
    assert (stages[0], stages[-1]) == ("placing", "rendering")


def test_frames_of_two_merge_shards_make_the_same_picture(ray_here: Cluster, two_merges: SessionDefinition) -> None:
    message = scene(width=500, height=300, spp=20)
    seen = np.zeros((300, 500, 4), "f4")
    version, status, progress = 0, "", [0.0]
    with render_session(two_merges, message, cluster=ray_here, engine=ENGINE) as render:
        while (frame := render.frame(version, PATIENCE)) is not None:
            assert frame.version > version
            place_tiles(seen, frame.tiles, frame.pixels)
            version, status = frame.version, frame.status
            progress.append(frame.progress)
        again: list[int] = []
        since = 0
        while (frame := render.frame(since, PATIENCE)) is not None:
            again += frame.tiles.tolist()
            since = frame.version
        picture = render.final()
    assert status == "FINISHED"
    assert progress[-1] == 1.0
    assert sorted(again) == list(range(8 * 5))
    assert progress == sorted(progress)
    np.testing.assert_array_equal(picture, reference(message))
    np.testing.assert_array_equal(seen, picture)


def test_each_computation_runs_in_its_bundle(ray_here: Cluster, definition: SessionDefinition, stage: Stage) -> None:
    message = scene(stages=str(stage.folder), hold_from=0)
    with render_session(definition, message, cluster=ray_here, num_mcrt=2, num_cores=2, engine=ENGINE) as render:
        until(lambda: len(render.where()) == 4, "all computations to join")
        where = {row["computation"]: row for row in render.where()}
        stage.open()
        common, *alone = sorted(groups(), key=lambda group: group["name"])
        actors = our_actors()
        to_its_end(render)
    (node,) = nodes()
    assert set(where) == {"dispatch", "merge", "mcrt_i0", "mcrt_i1"}
    assert {f"{render.name}/{name}" for name in [*where, "supervisor"]} == set(actors)
    for name, row in where.items():
        computes = name.startswith("mcrt")
        assert row["cpus"] == (2.0 if computes else 0.0)
        assert row["threads"] == (2 if computes else 1)
        assert row["node_id"] == node.id
        own = [group for group in alone if group["name"].startswith(f"{render.name}/{name}/")]
        assert row["group"] == (own[0] if computes else common)["placement_group_id"]
        assert row["memory"] >= 256 << 20
    assert len({row["pid"] for row in where.values()}) == 4
    assert not our_actors()
    assert not groups()
    until(nothing_is_left, "the bundles to be given back")


def test_a_killed_mcrt_costs_its_leases_and_nothing_else(
    ray_here: Cluster, definition: SessionDefinition, stage: Stage
) -> None:
    message = scene(stages=str(stage.folder), hold_from=15)
    with render_session(definition, message, cluster=ray_here, num_mcrt=3, engine=ENGINE) as render:
        pid = stage.reached()
        (victim,) = [row["computation"] for row in render.where() if row["pid"] == pid]
        held = next(row.open_leases for row in render.status().mcrts if row.name == victim)
        os.kill(pid, signal.SIGKILL)
        status = to_its_end(render)
        picture = render.final()
    assert held > 0
    assert status.stage == "finished"
    (warning,) = status.warnings
    assert warning.startswith(f"{victim} on ")
    assert warning.endswith("was killed by signal 9 (SIGKILL); what it was at is rendered again")
    assert status.samples == status.total_samples
    np.testing.assert_array_equal(picture, reference(message))


@pytest.mark.slow
def test_the_only_mcrt_is_replaced(ray_here: Cluster, definition: SessionDefinition, stage: Stage) -> None:
    message = scene(stages=str(stage.folder), hold_from=15)
    with render_session(definition, message, cluster=ray_here, num_mcrt=1, engine=ENGINE) as render:
        os.kill(stage.reached(), signal.SIGKILL)
        status = to_its_end(render)
        picture = render.final()
    assert status.stage == "finished"
    np.testing.assert_array_equal(picture, reference(message))


def test_a_supervisor_that_is_removed_ends_the_session(ray_here: Cluster, definition: SessionDefinition) -> None:
    message = scene(pause=0.05)
    with render_session(definition, message, cluster=ray_here, num_mcrt=1, engine=ENGINE) as render:
        ray.kill(ray.get_actor(f"{render.name}/supervisor", NAMESPACE))
        status = to_its_end(render)
    assert status.stage == "failed"
    assert "ended" in status.error
    assert not our_actors()
    assert not groups()


def test_a_stop_keeps_what_was_rendered(ray_here: Cluster, definition: SessionDefinition, stage: Stage) -> None:
    message = scene(stages=str(stage.folder), hold_from=15)
    with render_session(definition, message, cluster=ray_here, num_mcrt=2, engine=ENGINE) as render:
        stage.reached()
        for name in ("mcrt_i0", "mcrt_i1"):  # one of them is busy, and answers; the other may still come
            until(lambda name=name: ask(render, name, "ping").state == "ready", f"{name} to be ready")
        render.stop()
        picture = render.final()  # the gate is shut: only the cancel word can have ended that lease
        status = render.status()
    assert status.stage == "cancelled"
    assert 0 < status.samples < status.total_samples
    assert all(row.open_leases == 0 for row in status.mcrts)
    # Each unit is in the picture as a whole or not at all: its pixels are means over the samples it has.
    assert picture.any()
    assert picture.max() < 1.0


def test_the_time_limit_ends_a_render_as_finished(ray_here: Cluster, definition: SessionDefinition) -> None:
    message = scene(width=640, height=640, spp=1000, pause=0.01)
    with render_session(definition, message, cluster=ray_here, num_mcrt=1, time_limit=0.5, engine=ENGINE) as render:
        status = to_its_end(render)
    assert status.stage == "finished"
    assert 0 < status.samples < status.total_samples
    assert status.seconds >= 0.5


def test_what_does_not_fit_is_told_with_the_table_and_leaves_nothing(
    ray_here: Cluster, definition: SessionDefinition
) -> None:
    with pytest.raises(ResourcesError) as refused:
        render_session(definition, scene(), cluster=ray_here, num_mcrt=50, engine=ENGINE)
    assert {row.computation for row in refused.value.table} > {"dispatch", "merge", "mcrt_i0", "mcrt_i49"}
    assert not our_actors()
    until(nothing_is_left, "the session to be gone")


@pytest.mark.parametrize("settings", [("READY_SECONDS", "SILENT_SECONDS"), ("SILENT_SECONDS",)])
def test_a_session_that_is_not_ready_in_time_leaves_nothing(
    ray_here: Cluster,
    definition: SessionDefinition,
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
    settings: tuple[str, ...],
) -> None:
    for setting in settings:
        monkeypatch.setattr(client, setting, 0.0)
    message = scene(stages=str(stage.folder), hold_from=0)  # it never gets through loading
    with pytest.raises(ReadyTimeout, match=r"was not ready in time: it is still (placing|loading)") as late:
        render_session(definition, message, cluster=ray_here, num_mcrt=1, engine=ENGINE)
    assert late.value.exit_code == 5
    until(nothing_is_left, "the session to be gone")


def test_an_error_of_the_scene_arrives_as_it_was_raised(ray_here: Cluster, definition: SessionDefinition) -> None:
    with pytest.raises(SceneError, match="no camera") as failed:
        render_session(definition, scene(error="no camera"), cluster=ray_here, num_mcrt=1, engine=ENGINE)
    assert failed.value.place == "fake.rdla:7"
    assert not our_actors()
    assert not groups()


def test_an_engine_that_cannot_be_found_is_told(ray_here: Cluster, definition: SessionDefinition) -> None:
    with pytest.raises(ComputationError, match=r"no mcrt is left; .* mcrt_i0 on .*: .*no_such_module"):
        render_session(definition, scene(), cluster=ray_here, num_mcrt=1, engine="no_such_module:load")


def test_computations_of_other_versions_are_refused(
    ray_here: Cluster, definition: SessionDefinition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arras_ray.versions.__version__", "0.0.1")
    with pytest.raises(ClusterError, match=r"other versions: arras-ray .* there, 0\.0\.1 here"):
        render_session(definition, scene(), cluster=ray_here, num_mcrt=1, engine=ENGINE)


def test_a_name_is_taken_once(ray_here: Cluster, definition: SessionDefinition) -> None:
    message = scene(pause=0.05)
    with (
        render_session(definition, message, cluster=ray_here, num_mcrt=1, name="shot", engine=ENGINE),
        pytest.raises(ClusterError, match="shot runs already"),
    ):
        render_session(definition, message, cluster=ray_here, num_mcrt=1, name="shot", engine=ENGINE)
    assert names.sessions() == []


def test_a_session_ends_when_its_client_is_gone(ray_here: Cluster, definition: SessionDefinition) -> None:
    order = Order(definition.expand(1), scene(pause=0.05), versions(), ENGINE, client_seconds=1.0)
    supervisor = launch.supervisor("orphan", order)
    until(lambda: ray.get(supervisor.state.remote(), timeout=PATIENCE).stage != "placing", "the session to be placed")
    assert names.sessions() == ["orphan"]
    until(nothing_is_left, "a session without a client to end")


@pytest.mark.slow
def test_a_supervisor_leaves_by_itself_after_the_end(ray_here: Cluster, definition: SessionDefinition) -> None:
    """Its client may be killed between the end and the removal of the supervisor."""
    supervisor = launch.supervisor("ended", Order(definition.expand(1), scene(pause=0.05), versions(), ENGINE))
    until(lambda: ray.get(supervisor.state.remote(), timeout=PATIENCE).stage != "placing", "the session to be placed")
    ray.get(supervisor.end.remote(), timeout=PATIENCE)
    assert names.sessions() == ["ended"]
    until(nothing_is_left, "a supervisor that has ended its session to leave")


def test_the_fake_engine_draws_something() -> None:
    """Else equal pictures would prove nothing."""
    picture = reference(scene())
    assert len(np.unique(picture)) > 10_000
