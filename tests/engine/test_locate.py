"""What place of the scene is seen at a place of the picture."""

from __future__ import annotations

import numpy as np
import pytest
from small_scenes import SmallScene, translate, turn_x

from arras_ray.engine import Engine, from_context

SIZE = {"width": 64, "height": 48, "spp": 1}
MIDDLE = (0.5, 0.5)


def engine(small: SmallScene) -> Engine:
    return from_context(small.context, SIZE)


def with_ball() -> SmallScene:
    small = SmallScene()
    small.light("RectLight", "panel", width=0.5, height=0.5, node_xform=translate(0.0, 2.0, 0.0))
    small.put(small.sphere("ball", 0.7), small.matte("red", (0.8, 0.1, 0.1)))
    return small


def test_the_place_is_on_the_surface_that_is_seen() -> None:
    place = engine(with_ball()).locate(*MIDDLE)
    assert place is not None
    assert np.linalg.norm(place) == pytest.approx(0.7, abs=1e-3)
    assert place[2] > 0.69  # its front


@pytest.mark.parametrize(
    "at", [(0.0, 0.0), (-0.01, 0.5), (1.0, 0.5), (0.5, 1.0)], ids=["nothing", "left", "right", "above"]
)
def test_there_is_none_beside_the_scene_and_beside_the_picture(at: tuple[float, float]) -> None:
    assert engine(with_ball()).locate(*at) is None


@pytest.mark.parametrize("alone", [False, True], ids=["before the ball", "alone"])
def test_a_light_is_seen_too_the_nearest_first(alone: bool) -> None:
    small = SmallScene() if alone else with_ball()
    small.context.variables.set("lights_visible_in_camera", True)
    for z in (1.0, 2.0, 1.5):
        facing = turn_x(180.0) @ translate(0.0, 0.0, z)
        small.light("RectLight", f"panel{z}", width=1.0, height=1.0, node_xform=facing)
    if alone:
        small.put(small.sphere("ball", 0.1, node_xform=translate(0.0, 9.0, 0.0)), small.matte("red", (0.8, 0.1, 0.1)))
    place = engine(small).locate(*MIDDLE)
    assert place == pytest.approx((0.0, 0.0, 2.0), abs=0.1)


def test_a_sky_is_nowhere() -> None:
    small = with_ball()
    small.light("EnvLight", "sky")
    assert engine(small).locate(0.0, 0.0) is None
