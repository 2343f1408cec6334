"""An interactive render in this process: edits at any time, with the bits of a scene that was loaded so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from small_scenes import translate
from view_scenes import OPTIONS, balls, shown, until

from arras_ray.engine import from_context
from arras_ray.errors import SceneError
from arras_ray.local_render import LocalRender
from arras_ray.local_view import LocalView
from arras_ray.scene import SceneContext

Start = Callable[..., LocalView]


@pytest.fixture
def context() -> SceneContext:
    return balls().context


@pytest.fixture
def start(context: SceneContext) -> Iterator[Start]:
    renders: list[LocalView] = []

    def begin(**options: Any) -> LocalView:
        chosen = OPTIONS | options
        copy = SceneContext.from_bytes(context.to_bytes())
        renders.append(LocalView(from_context(copy, chosen, 2), 2, options=chosen))
        return renders[-1]

    yield begin
    for render in renders:
        render.close()


def alone(context: SceneContext, **options: Any) -> np.ndarray:
    return LocalRender(from_context(context, OPTIONS | options), 1).final()


def finished(render: LocalView) -> np.ndarray:
    until(lambda: render.status().stage == "finished", "the end")
    return render.final()


def test_an_edited_scene_has_the_bits_of_one_loaded_so(context: SceneContext, start: Start) -> None:
    render = start(spp=1 << 16)
    shown(render, 1)
    context.commit()
    context["camera"].set("node_xform", translate(0.4, 0.0, 5.0))
    context["panel"].set("color", (1.0, 0.2, 0.1))
    assert render.edit(context.delta().to_rdlb(), {"spp": 4}) == 2
    np.testing.assert_array_equal(finished(render), alone(context, spp=4))
    assert render.status().samples == 150 * 70 * 4

    render.edit(b"", {"width": 40, "height": 30})  # and after its end
    np.testing.assert_array_equal(finished(render), alone(context, spp=4, width=40, height=30))
    assert (render.width, render.height, render.spp) == (40, 30, 4)


def test_a_motion_that_ends_is_rendered_to_its_end(context: SceneContext, start: Start) -> None:
    render = start(spp=4)
    for x in (0.2, 0.3, 0.4):
        context.commit()
        context["camera"].set("node_xform", translate(x, 0.0, 5.0))
        render.edit(context.delta().to_rdlb())
        shown(render, render.sync_id)
    np.testing.assert_array_equal(finished(render), alone(context, spp=4))


def test_frames_go_on_counting_from_scene_to_scene(context: SceneContext, start: Start) -> None:
    render = start(spp=1 << 16)
    frames = shown(render, 1)
    context.commit()
    context["camera"].set("focal", 25.0)
    render.edit(context.delta().to_rdlb())
    later = shown(render, 2, since=frames[-1].version)
    versions = [frame.version for frame in (*frames, *later)]
    assert versions == sorted(versions)


def test_a_scene_that_cannot_be_drawn_is_told_and_the_next_one_counts(context: SceneContext, start: Start) -> None:
    render = start()
    for focal in (0.0, 25.0):
        context.commit()
        context["camera"].set("focal", focal)
        render.edit(context.delta().to_rdlb())
        if not focal:
            until(lambda: any("focal 0" in text for text in render.status().warnings), "the warning")
    np.testing.assert_array_equal(finished(render), alone(context))


def test_a_pause_keeps_what_there_is_and_goes_on_to_the_same_bits(context: SceneContext, start: Start) -> None:
    render = start(spp=64)
    until(lambda: render.status().samples > 0, "samples, after the previews")
    render.pause()
    until(lambda: render.status().mcrts[0].open_leases == 0, "the lease to end")
    before = render.status().samples
    assert render.frame(render._film.version, 0.05) is None
    assert render.status().samples == before
    assert render.status().mcrts[0].state == "ready"
    render.pause(False)
    np.testing.assert_array_equal(finished(render), alone(context, spp=64))


def test_it_tells_what_place_a_pixel_shows(context: SceneContext, start: Start) -> None:
    render = start(spp=1 << 16)
    for moved, front in ((0.0, 0.7), (0.5, 1.2)):
        context.commit()
        context["ball"].set("node_xform", translate(0.0, 0.0, moved))
        render.edit(context.delta().to_rdlb())
        place = render.locate(0.5, 0.5)  # while it renders
        assert place is not None
        assert place == pytest.approx((0.0, 0.0, front), abs=0.1)
        assert np.linalg.norm(np.array(place) - (0.0, 0.0, moved)) == pytest.approx(0.7, abs=1e-3)
    assert render.locate(0.0, 1.0) is None  # above the picture
    render.stop()
    assert render.locate(0.5, 0.5) is not None
    render.edit(b"", {"spp": 1})
    np.testing.assert_array_equal(finished(render), alone(context, spp=1))
    assert render.locate(0.5, 0.5) is not None
    assert render.locate(0.02, 0.05) is not None
    context["ball"].set("radius", 0.01)
    context["wall"].set("node_xform", translate(900.0, 0.0, 0.0))
    render.edit(context.delta().to_rdlb())
    assert render.locate(0.02, 0.05) is None  # nothing is there any more
    render.close()
    assert render.locate(0.5, 0.5) is None


def test_a_stop_ends_it_until_the_next_edit(context: SceneContext, start: Start) -> None:
    render = start(spp=1 << 16)
    shown(render, 1)
    render.stop()
    until(lambda: render.status().stage == "cancelled", "the stop")
    render.edit(b"", {"spp": 2})
    np.testing.assert_array_equal(finished(render), alone(context, spp=2))


def test_only_tiles_of_the_region_are_rendered(context: SceneContext, start: Start) -> None:
    render = start()
    finished(render)
    render.edit(b"", {"region": (10, 3, 70, 20)})  # tiles 0 and 1 of 6
    picture, whole = finished(render), alone(context)
    np.testing.assert_array_equal(picture[:64, :128], whole[:64, :128])
    assert not picture[64:].any()
    assert not picture[:, 128:].any()
    assert render.status().samples == 64 * 128 * 4
    render.edit(b"", {"region": None})
    np.testing.assert_array_equal(finished(render), whole)


def test_an_edit_that_is_refused_leaves_nothing_behind(context: SceneContext, start: Start) -> None:
    render = start()
    with pytest.raises(SceneError, match="broken binary scene"):
        render.edit(b"RectLight", {"width": 40, "height": 30})
    render.edit(b"")
    np.testing.assert_array_equal(finished(render), alone(context))
