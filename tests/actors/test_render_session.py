"""A render driven by messages: the scene goes in, frames come out, as a client of Arras has it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from fake_engine import Stage, load, scene
from small_scenes import SmallScene
from waiting import PATIENCE, until

from arras_ray.actors.cluster import Cluster
from arras_ray.engine import from_context
from arras_ray.errors import ClusterError, DefinitionError, MessageError, SceneError, UsageError
from arras_ray.frame_receiver import FrameReceiver
from arras_ray.local_render import LocalRender
from arras_ray.messages import TILE, RDLMessage
from arras_ray.render_session import RenderSession
from arras_ray.session.definition import SessionDefinition, parse_definition
from arras_ray.session.message import GenericMessage
from arras_ray.session_start import start_render

ENGINE = "fake_engine:load"


@pytest.fixture
def session(ray_here: Cluster, definition: SessionDefinition) -> Iterator[RenderSession]:
    with start_render(ray_here, "live", definition, definition.expand(2), engine=ENGINE) as session:
        yield session.wait_ready(PATIENCE)


def test_a_scene_goes_in_and_frames_come_out(session: RenderSession) -> None:
    message = scene()
    session.send(message)
    receiver = FrameReceiver(200, 150)
    for frame in session.frames(PATIENCE):
        receiver.receive(frame)
        if frame.status == "FINISHED":
            break
    np.testing.assert_array_equal(receiver.rgba, LocalRender(load(message, threads=1), 1).final())
    assert session.render_status().samples == 200 * 150 * 40
    assert session.status().state == "finished"


def test_frames_that_are_not_handled_are_not_followed_by_more_than_the_window(
    session: RenderSession, stage: Stage
) -> None:
    """Newer states come in their place: nothing queues up behind a client that does not look."""
    session.send(scene(stages=str(stage.folder), hold_from=40))
    frames = session.frames(PATIENCE)
    first = next(frames)
    stage.reached()
    until(lambda: session._under_way._value == 0, "the window to be used up")
    stage.open()
    until(lambda: session.render_status().stage == "finished", "the end of the render")
    kept = [next(frames) for _ in range(2)]
    assert first.version < kept[0].version < kept[1].version
    assert kept[1].status == "FINISHED"


def test_a_session_has_one_scene(session: RenderSession) -> None:
    session.send(scene())
    with pytest.raises(MessageError, match="has its scene"):
        session.send(scene(sync_id=2))


def test_a_change_of_no_scene_is_refused(session: RenderSession) -> None:
    with pytest.raises(MessageError, match="has no scene yet"):
        session.send(RDLMessage(1, b"", delta=True))


def test_deltas_change_the_scene_before_and_while_it_renders(ray_here: Cluster, definition: SessionDefinition) -> None:
    small = SmallScene()
    small.light("EnvLight")
    small.put(small.sphere("ball"), small.matte("grey", 0.5))
    context, options = small.context, {"width": 100, "height": 70, "spp": 4, "seed": 3, "region": (0, 0, 60, 70)}
    with start_render(ray_here, "edited", definition, definition.expand(1)) as session:
        session.wait_ready(PATIENCE)
        session.send(RDLMessage(1, context.to_bytes(), options=options))
        frames = session.frames(PATIENCE)
        for sync_id, radius in ((5, 0.5), (9, 1.5)):
            context.commit()
            context["ball"].set("radius", radius)
            session.send(RDLMessage(sync_id, context.delta().to_rdlb(), delta=True))
            receiver = FrameReceiver(100, 70)
            for frame in frames:
                receiver.receive(frame)
                if (frame.sync_id, frame.status) == (sync_id, "FINISHED"):
                    break
            expected = LocalRender(from_context(context, options), 1).final()
            np.testing.assert_array_equal(receiver.rgba[:, :TILE], expected[:, :TILE])
            assert not receiver.rgba[:, TILE:].any()  # no tile of the region


def test_what_a_render_cannot_use_is_told(session: RenderSession) -> None:
    told: list[str] = []
    session.listen(log=lambda line: told.append(f"{line.computation}: {line.text}"))
    session.send(GenericMessage("faster"))
    until(lambda: "dispatch: does not know what to do with a GenericMessage from the client" in told, "the line")


def test_a_scene_that_cannot_be_rendered_ends_the_session_with_its_reason(session: RenderSession) -> None:
    session.send(scene(error="the scene has no camera"))
    with pytest.raises(SceneError, match="no camera"):
        next(session.frames(PATIENCE))


def test_what_a_render_is_not_for_is_refused(ray_here: Cluster, session: RenderSession) -> None:
    for refused in (session.pause, session.resume, session.disconnect):
        with pytest.raises(UsageError):
            refused()
    lonely = parse_definition('{"computations": {"mcrt": {"dso": "libcomputation_progmcrt.so"}}}', "lonely")
    with pytest.raises(DefinitionError, match="no dispatch"):
        start_render(ray_here, "lonely", lonely, lonely.expand())
    whole = parse_definition(session_text(), "whole")
    with pytest.raises(ClusterError, match="runs already"):
        start_render(ray_here, "live", whole, whole.expand(), engine=ENGINE)


def session_text() -> str:
    """A definition of one of each."""
    blocks = {"dispatch": "_dispatch", "mcrt": "", "merge": "_merge"}
    rows = [f'"{name}": {{"dso": "libcomputation_progmcrt{suffix}.so"}}' for name, suffix in blocks.items()]
    return f'{{"computations": {{{", ".join(rows)}}}}}'
