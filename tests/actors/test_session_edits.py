"""A render whose scene is changed while it goes on, on a real Ray: previews come first, and the newest scene counts."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pytest
from ray.exceptions import RayError
from small_scenes import SmallScene, translate
from test_session_faults import pid_of
from waiting import PATIENCE, to_its_end, until

from arras_ray.actors.cluster import Cluster
from arras_ray.client import SessionRender
from arras_ray.engine import from_context
from arras_ray.frame_receiver import FrameReceiver
from arras_ray.local_render import LocalRender
from arras_ray.messages import ProgressiveFrame, RDLMessage
from arras_ray.render_start import render_session
from arras_ray.scene import SceneContext
from arras_ray.session.definition import SessionDefinition

ENDLESS = 1 << 16
OPTIONS = {"width": 150, "height": 70, "spp": 4, "seed": 3}


@pytest.fixture
def context() -> SceneContext:
    small = SmallScene()
    small.light("RectLight", "panel", intensity=2.0, node_xform=translate(-1.0, 1.0, 3.0))
    small.put(small.wall(z=-1.5), small.matte("grey", (0.5, 0.6, 0.7)))
    small.put(small.sphere("ball", 0.7), small.matte("red", (0.8, 0.1, 0.1)))
    return small.context


def changed(context: SceneContext, radius: float) -> bytes:
    """A delta that gives the ball another radius and moves the camera."""
    context.commit()
    context["ball"].set("radius", radius)
    context["camera"].set("node_xform", translate(radius, 0.0, 5.0))
    return context.delta().to_rdlb()


def started(
    cluster: Cluster, definition: SessionDefinition, context: SceneContext, spp: int, num_mcrt: int = 2
) -> SessionRender:
    message = RDLMessage(1, context.to_bytes(), options={**OPTIONS, "spp": spp})
    return render_session(definition, message, cluster=cluster, num_mcrt=num_mcrt, interactive=True)


def alone(context: SceneContext) -> np.ndarray:
    """The picture by one process that was given the scene as it is now."""
    return LocalRender(from_context(context, OPTIONS), 1).final()


def frames(render: SessionRender) -> Iterator[ProgressiveFrame]:
    version, deadline = 0, time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        frame = render.frame(version, 1.0)
        if frame is not None:
            version = frame.version
            yield frame
    raise AssertionError("no such frame came")


def covered(render: SessionRender, sync_id: int) -> FrameReceiver:
    """A picture of this state of the scene in which every tile is seen."""
    picture = FrameReceiver(render.width, render.height)
    seen: set[int] = set()
    for frame in frames(render):
        assert frame.sync_id <= sync_id
        picture.receive(frame)
        if frame.sync_id == sync_id:
            seen.update(frame.tiles.tolist(), *(coarse.tiles.tolist() for coarse in frame.coarse))
        if len(seen) == 6:
            return picture
    raise AssertionError


def test_the_newest_scene_is_rendered_with_the_bits_of_one_loaded_so(
    ray_here: Cluster, definition: SessionDefinition, context: SceneContext
) -> None:
    with started(ray_here, definition, context, ENDLESS) as render:
        before = covered(render, 1)
        for radius in (0.4, 1.2):
            sync_id = render.edit(changed(context, radius))
        after = covered(render, sync_id)
        assert not np.array_equal(before.rgba, after.rgba)
        render.edit(b"", {"spp": OPTIONS["spp"]})
        status = to_its_end(render)
        assert (status.stage, status.samples) == ("finished", 150 * 70 * 4)
        np.testing.assert_array_equal(render.final(), alone(context))

        render.edit(b"", {"region": (64, 0, 150, 64)})
        to_its_end(render)
        picture, whole = render.final(), alone(context)
        np.testing.assert_array_equal(picture[:64, 64:], whole[:64, 64:])
        assert not picture[:, :64].any()
        assert not picture[64:].any()

        render.edit(changed(context, 0.2), {"region": None})  # after the end it goes on, too
        to_its_end(render)
        np.testing.assert_array_equal(render.final(), alone(context))


def test_it_tells_what_place_a_pixel_shows(
    ray_here: Cluster, definition: SessionDefinition, context: SceneContext
) -> None:
    with started(ray_here, definition, context, ENDLESS) as render:
        render.edit(changed(context, 0.4))
        covered(render, 2)
        place = render.locate(62.5 / 150, 0.5)  # the ball is to the left of where the camera looks
        assert place is not None
        assert np.linalg.norm(place) == pytest.approx(0.4, abs=1e-3)
        assert render.locate(-0.1, 0.5) is None


@pytest.mark.slow
def test_a_pause_outlives_the_dispatch(ray_here: Cluster, definition: SessionDefinition, context: SceneContext) -> None:
    with started(ray_here, definition, context, ENDLESS) as render:
        covered(render, 1)
        render.pause()
        pid = pid_of(render, "dispatch")
        os.kill(pid, signal.SIGKILL)

        def another() -> bool:
            with suppress(RayError):
                return pid_of(render, "dispatch") != pid
            return False

        until(another, "another dispatch")
        until(lambda: render.status().samples > 0, "it to know what was accepted")

        def stands_still() -> bool:
            before = render.status().samples
            time.sleep(1.0)
            return render.status().samples == before

        until(stands_still, "the pause")
        before = render.status().samples
        render.pause(False)
        until(lambda: render.status().samples > before, "it to go on")


def test_every_scene_can_be_stopped(ray_here: Cluster, definition: SessionDefinition, context: SceneContext) -> None:
    with started(ray_here, definition, context, ENDLESS) as render:
        for radius in (0.4, 0.6, 0.8):
            render.edit(changed(context, radius))
            render.stop()  # also where it overtakes the edit
            assert to_its_end(render).stage == "cancelled"
        render.edit(b"", {"spp": OPTIONS["spp"]})
        assert to_its_end(render).stage == "finished"
        np.testing.assert_array_equal(render.final(), alone(context))


def test_a_scene_that_cannot_be_drawn_is_told_and_the_next_one_counts(
    ray_here: Cluster, definition: SessionDefinition, context: SceneContext
) -> None:
    with started(ray_here, definition, context, OPTIONS["spp"]) as render:
        context.commit()
        context["camera"].set("focal", 0.0)
        render.edit(context.delta().to_rdlb())
        until(lambda: any("focal 0" in text for text in render.status().warnings), "the warning")
        assert to_its_end(render).stage == "cancelled"
        context.commit()
        context["camera"].set("focal", 25.0)
        render.edit(context.delta().to_rdlb())
        status = to_its_end(render)
        assert (status.stage, status.error, status.warnings) == ("finished", "", ())  # it is true no more
        np.testing.assert_array_equal(render.final(), alone(context))


@pytest.mark.parametrize(
    "victim", ["mcrt_i0", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("merge", "dispatch", "supervisor"))]
)
def test_whoever_takes_the_place_of_a_lost_one_knows_the_newest_scene(
    ray_here: Cluster, definition: SessionDefinition, context: SceneContext, victim: str
) -> None:
    with started(ray_here, definition, context, ENDLESS) as render:
        render.edit(changed(context, 0.4))
        covered(render, 2)
        pid = pid_of(render, victim)
        os.kill(pid, signal.SIGKILL)

        def another() -> bool:
            with suppress(RayError):  # the supervisor is the one
                return pid_of(render, victim) != pid
            return False

        until(another, "another one")
        context.commit()
        context["ball"].set("radius", 1.1)
        for x in (0.1, 0.2):  # the ball stays as it is when the camera moves on
            context["camera"].set("node_xform", translate(x, 0.0, 5.0))
            render.edit(context.delta().to_rdlb(), {"spp": OPTIONS["spp"]})
            context.commit()
        status = to_its_end(render)
        assert (status.stage, status.error) == ("finished", "")
        np.testing.assert_array_equal(render.final(), alone(context))
