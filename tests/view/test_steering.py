"""Steering over the socket: what viewers and saved files change, what is refused, and what everybody is told of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_scenes import translate
from view_pages import opened, run
from view_scenes import balls, finished

from arras_ray.local_view import LocalView
from arras_ray.scene import SceneContext, read_scene, write_scene
from arras_ray.view import ViewServer
from arras_ray.view.live_files import LiveFiles


def with_file(render: LocalView, context: SceneContext, path: Path) -> ViewServer:
    """A view of a scene that is in this file."""
    write_scene(context, path)
    return ViewServer(render, context, files=LiveFiles([path], context.to_bytes(), lambda: read_scene([path])))


def test_a_viewer_moves_the_camera_and_all_see_it(server: ViewServer, context: SceneContext) -> None:
    async def test() -> None:
        async with opened(server) as page, opened(server, server.watch_link) as watcher:
            await page.whole()
            moved = balls().context
            moved["camera"].set("node_xform", translate(0.5, 0.2, 4.0))
            await page.say(type="camera", matrix=translate(0.5, 0.2, 4.0).ravel().tolist())
            for who in (page, watcher):
                await who.becomes(finished(moved))
            await page.until(lambda: page.status["latency_ms"] is not None)

    run(test)


def test_where_the_camera_rests_is_told_everybody(server: ViewServer) -> None:
    """Who steers in a second page goes on from there; who watches can print it."""

    async def test() -> None:
        async with opened(server) as page, opened(server, server.watch_link) as watcher:
            for x in np.linspace(0.0, 0.5, 11):
                await page.say(type="camera", matrix=translate(x, 0.2, 4.0).ravel().tolist(), number=int(x * 20))
            for who in (page, watcher):
                await who.until(lambda who=who: any(x["camera"]["matrix"][12] == 0.5 for x in who.scenes))
            assert page.scenes[-1]["heard"] == 10

    run(test)


def test_a_light_gets_another_colour(server: ViewServer) -> None:
    async def test() -> None:
        async with opened(server) as page:
            await page.whole()
            await page.say(type="set", object="panel", attribute="color", value=[1.0, 0.0, 0.0])
            await page.until(lambda: len(page.scenes) == 2)
            assert page.scenes[1]["lights"] == [{"name": "panel", "color": [1.0, 0.0, 0.0]}]
            red = balls().context
            red["panel"].set("color", (1.0, 0.0, 0.0))
            await page.becomes(finished(red))

    run(test)


def test_a_saved_file_makes_the_picture_another_size(render: LocalView, context: SceneContext, tmp_path: Path) -> None:
    path = tmp_path / "scene.rdla"

    async def test() -> None:
        with with_file(render, context, path) as server:
            async with opened(server) as page:
                await page.whole()
                await page.say(type="scale", divisor=2)
                await page.until(lambda: page.rgba.shape == (35, 75, 4))
                larger = SceneContext.from_bytes(context.to_bytes())
                larger.variables.set("image_width", 200)
                larger.variables.set("image_height", 100)
                write_scene(larger, path)
                await page.until(lambda: page.rgba.shape == (50, 100, 4))
                assert (page.scenes[-1]["width"], page.scenes[-1]["height"]) == (200, 100)
                await page.say(type="scale", divisor=1)
                await page.becomes(finished(context, width=200, height=100))

    run(test)


def test_a_saved_file_may_choose_another_camera(render: LocalView, context: SceneContext, tmp_path: Path) -> None:
    path = tmp_path / "scene.rdla"
    other = context.create("PerspectiveCamera", "other")
    other.set("node_xform", translate(0.3, 0.0, 6.0))

    async def test() -> None:
        with with_file(render, context, path) as server:
            async with opened(server) as page:
                await page.whole()
                saved = SceneContext.from_bytes(context.to_bytes())
                saved.variables.set("camera", saved["other"])
                write_scene(saved, path)
                await page.until(lambda: page.scenes[-1]["camera"]["name"] == "other")
                assert page.scenes[-1]["initial"] == translate(0.3, 0.0, 6.0).ravel().tolist()
                await page.say(type="camera", matrix=translate(0.5, 0.2, 4.0).ravel().tolist())
                saved["other"].set("node_xform", translate(0.5, 0.2, 4.0))
                await page.becomes(finished(saved))

    run(test)


def test_a_change_that_could_not_be_made_is_made_with_the_next(render: LocalView, context: SceneContext) -> None:
    class Stubborn:
        """A render that cannot be reached at first."""

        def __getattr__(self, name: str) -> Any:
            return getattr(render, name)

        tries = 0

        def edit(self, *arguments: Any) -> int:
            self.tries += 1
            if self.tries == 1:
                raise ConnectionError("gone")
            return render.edit(*arguments)

    async def test() -> None:
        with ViewServer(Stubborn(), context) as server:
            async with opened(server) as page:
                await page.whole()
                await page.say(type="set", object="panel", attribute="color", value=[1.0, 0.0, 0.0])
                await page.until(lambda: any("could not be changed" in text for text in page.status["warnings"]))
                await page.say(type="camera", matrix=translate(0.5, 0.2, 4.0).ravel().tolist())
                changed = balls().context
                changed["panel"].set("color", (1.0, 0.0, 0.0))
                changed["camera"].set("node_xform", translate(0.5, 0.2, 4.0))
                await page.becomes(finished(changed))
                await page.until(lambda: page.status["warnings"] == [])

    run(test)


def test_what_is_wrong_with_a_scene_is_told_as_long_as_it_is(server: ViewServer) -> None:
    async def test() -> None:
        async with opened(server) as page:
            await page.whole()
            await page.say(type="set", object="camera", attribute="focal", value=0.0)
            await page.until(lambda: any("focal 0" in text for text in page.status["warnings"]))
            await page.say(type="set", object="camera", attribute="focal", value=30.0)
            await page.until(lambda: page.status["warnings"] == [])
            await page.becomes(finished(balls().context))

    run(test)


def test_the_picture_gets_smaller_and_stops_and_goes_on(server: ViewServer, render: LocalView) -> None:
    async def test() -> None:
        async with opened(server) as page:
            await page.whole()
            await page.say(type="scale", divisor=2)
            await page.whole(2)
            assert page.rgba.shape == (35, 75, 4)
            await page.say(type="play", state="stopped")
            await page.until(lambda: page.status["playing"] == "stopped")
            await page.say(type="play", state="paused")  # which it is, and more
            await page.say(type="play", state="rendering")
            await page.whole(3)
            await page.say(type="play", state="paused")
            await page.until(lambda: page.status["playing"] == "paused")

    run(test)


def test_who_steers_hears_what_place_a_pixel_shows(server: ViewServer) -> None:
    async def test() -> None:
        async with opened(server) as page:
            await page.whole()
            for at in ([0.5, 0.5], [0.999, 0.999]):
                await page.say(type="locate", at=at)
                await page.until(lambda: bool(page.places))
                place = np.array(page.places.pop())
                if at[0] == 0.5:
                    assert np.linalg.norm(place) == pytest.approx(0.7, abs=1e-3)  # the ball's front
                    assert place[2] > 0.69
                else:
                    assert place[2] == pytest.approx(-1.5, abs=1e-3)  # the wall

    run(test)


def test_numbers_that_are_none_end_nothing(server: ViewServer, context: SceneContext) -> None:
    """As files may have them."""
    context["panel"].set("color", (float("inf"), float("nan"), 1.0))
    context["camera"].set("focal", float("inf"))
    context["ball"].set("node_xform", translate(1e200, 0.0, 0.0))

    async def test() -> None:
        async with opened(server) as page:
            await page.say(type="set", object="panel", attribute="width", value=2.0)
            await page.until(lambda: len(page.scenes) > 1)
            told = page.scenes[-1]
            assert told["lights"] == [{"name": "panel", "color": [pytest.approx(3e38), 0.0, 1.0]}]
            assert told["camera"]["focal"] == pytest.approx(3e38)
            assert told["radius"] < 1e100

    run(test)


def test_an_edit_after_a_pause_goes_on(server: ViewServer) -> None:
    async def test() -> None:
        async with opened(server) as page:
            await page.whole()
            moved = balls().context
            moved["camera"].set("node_xform", translate(0.5, 0.2, 4.0))
            for state in ("paused", "stopped"):  # with what comes before it, all in one
                await page.say(type="camera", matrix=translate(0.0, 0.0, 4.5).ravel().tolist())
                await page.say(type="play", state=state)
                await page.say(type="camera", matrix=translate(0.5, 0.2, 4.0).ravel().tolist())
                await page.becomes(finished(moved))

    run(test)


def test_a_scene_says_what_of_a_page_it_has_heard(server: ViewServer) -> None:
    async def test() -> None:
        async with opened(server) as page, opened(server, server.watch_link) as watcher:
            for who in (page, watcher):
                await who.until(lambda who=who: bool(who.scenes))  # type: ignore[misc]
            await page.say(type="set", object="panel", attribute="width", value=2.0, number=7)
            for who, heard in ((page, 7), (watcher, 0)):
                await who.until(lambda who=who: len(who.scenes) > 1)  # type: ignore[misc]
                assert [scene["heard"] for scene in who.scenes] == [0, heard]

    run(test)


@pytest.mark.parametrize(
    "wish",
    [
        {"type": "camera"},
        {"type": "camera", "matrix": [0.0] * 16},
        {"type": "camera", "matrix": [float("nan")] * 16},
        {"type": "camera", "matrix": "1"},
        {"type": "set", "object": "ball", "attribute": "radius", "value": 1.0},
        {"type": "set", "object": "panel", "attribute": "texture", "value": "/etc/passwd"},
        {"type": "set", "object": "panel", "attribute": "color", "value": [1.0, 2.0]},
        {"type": "set", "object": "panel", "attribute": "width", "value": 10**400},
        {"type": "set", "object": "panel", "attribute": "color", "value": [1e300, 0.0, 0.0]},
        {"type": "set", "object": "panel", "attribute": "color", "value": {"r": 1}},
        {"type": "set", "object": ["panel"], "attribute": "color", "value": 1},
        {"type": "play", "state": "backwards"},
        {"type": "locate"},
        {"type": "locate", "at": [0.5, 1.0]},
        {"type": "locate", "at": [float("nan"), 0.5]},
        {"type": "locate", "at": "ab"},
        {"type": "scale", "divisor": 0},
        {"type": "scale", "divisor": [2]},
        {"type": "render", "file": "/tmp/x"},
        {},
    ],
    ids=lambda wish: json.dumps(wish)[:50],
)
def test_wishes_without_sense_are_refused_and_change_nothing(server: ViewServer, wish: dict[str, Any]) -> None:
    async def test() -> None:
        async with opened(server) as page:
            await page.whole()
            await page.say(**wish)
            await page.until(lambda: bool(page.refusals))
            await page.say(type="scale", divisor=2)
            await page.whole(2)
            assert page.sync_id == 2  # it was the first edit

    run(test)


def test_watchers_cannot_steer(server: ViewServer, render: LocalView) -> None:
    async def test() -> None:
        async with opened(server, server.watch_link) as page:
            await page.whole()
            assert page.scenes[0]["steer"] is False
            await page.say(type="camera", matrix=translate(0.5, 0.2, 4.0).ravel().tolist())
            await page.until(lambda: bool(page.refusals))
        assert page.refusals == ["watchers cannot steer"]
        assert render.sync_id == 1

    run(test)
