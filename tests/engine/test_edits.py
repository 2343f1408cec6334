"""A scene that is edited is rendered as one that was loaded so, and only what an edit touches is made anew."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from small_scenes import SmallScene, go, picture, translate

from arras_ray.engine import from_context, load
from arras_ray.errors import SceneError
from arras_ray.flatten import Scope
from arras_ray.flatten.flatten import scope_of
from arras_ray.messages import TILE, RDLMessage, tile_grid
from arras_ray.scene import SceneContext

OPTIONS = {"width": 75, "height": 67, "spp": 4}

GEOMETRY_ARRAYS = ("geometries", "triangles", "points")
SHADING_ARRAYS = ("assignments", "materials", "maps", "lights", "light_ids", "camera_lights", "attributes")

Edit = Callable[[SceneContext], object]


@pytest.fixture
def context() -> SceneContext:
    small = SmallScene()
    small.light("RectLight", "panel", intensity=2.0, node_xform=translate(-1.0, 1.0, 3.0))
    small.light("EnvLight", "sky", intensity=0.3)
    small.put(small.wall(z=-1.5), small.matte("grey", (0.5, 0.6, 0.7)))
    small.put(small.sphere("ball", 0.7), small.matte("red", (0.8, 0.1, 0.1)))
    return small.context


def new_light(context: SceneContext) -> None:
    lamp = context.create("SphereLight", "lamp")
    lamp.set("node_xform", translate(2.0, 2.0, 2.0))
    context["lights"].set("lights", [*context["lights"].get("lights"), lamp])


EDITS: dict[str, tuple[Scope, Edit]] = {
    "camera": (Scope.CAMERA, lambda c: c["camera"].set("node_xform", translate(0.3, 0.1, 4.0))),
    "focal": (Scope.CAMERA, lambda c: c["camera"].set("focal", 22.0)),
    "light": (Scope.SHADING, lambda c: c["panel"].set("color", (1.0, 0.2, 0.2))),
    "light off": (Scope.SHADING, lambda c: c["panel"].set("on", False)),
    "new light": (Scope.SHADING, new_light),
    "material": (Scope.SHADING, lambda c: c["red"].set("albedo", (0.1, 0.9, 0.1))),
    "depth": (Scope.SHADING, lambda c: c.variables.set("max_depth", 1)),
    "geometry": (Scope.GEOMETRY, lambda c: c["ball"].set("node_xform", translate(0.5, 0.5, 0.0))),
    "mesh": (Scope.GEOMETRY, lambda c: c["wall"].set("vertex_list_0", c["wall"].get("vertex_list_0") * 0.02)),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edited_scene_is_rendered_as_one_loaded_so(context: SceneContext, name: str) -> None:
    scope, edit = EDITS[name]
    engine = load(RDLMessage(1, context.to_bytes(), options=OPTIONS))
    before, arrays = picture(engine, 2), engine.flat.scene
    context.commit()
    edit(context)
    delta = context.delta()
    assert scope_of(delta) is scope

    engine.edit([RDLMessage(2, delta.to_rdlb(), delta=True, options=OPTIONS)])

    after = picture(engine, 2)
    assert after.tobytes() == picture(from_context(context, OPTIONS), 2).tobytes()
    assert after.tobytes() != before.tobytes()
    kept = [*GEOMETRY_ARRAYS] if scope < Scope.GEOMETRY else []
    kept += ["lights", "materials"] if scope < Scope.SHADING else []
    for array in kept:
        same = getattr(engine.flat.scene, array)
        np.testing.assert_array_equal(same, getattr(arrays, array))
        assert array in SHADING_ARRAYS or same is getattr(arrays, array), array
    engine.close()


def test_the_picture_may_change_its_size(context: SceneContext) -> None:
    engine = load(RDLMessage(1, context.to_bytes(), options=OPTIONS))
    smaller = {**OPTIONS, "width": 8, "height": 5}
    engine.edit([RDLMessage(2, SceneContext().delta().to_rdlb(), delta=True, options=smaller)])
    assert (engine.width, engine.height) == (8, 5)
    assert picture(engine, 1).tobytes() == picture(from_context(context, smaller), 1).tobytes()


def test_an_edit_that_cannot_be_drawn_is_made_up_for_by_the_next(context: SceneContext) -> None:
    engine = load(RDLMessage(1, context.to_bytes(), options=OPTIONS))
    before = picture(engine, 1)
    context.commit()
    context["camera"].set("focal", 0.0)
    context["panel"].set("color", (1.0, 0.2, 0.2))
    with pytest.raises(SceneError, match="focal 0"):
        engine.edit([RDLMessage(2, context.delta().to_rdlb(), delta=True, options=OPTIONS)])
    assert picture(engine, 1).tobytes() == before.tobytes()

    context.commit()
    context["camera"].set("focal", 30.0)
    engine.edit([RDLMessage(3, context.delta().to_rdlb(), delta=True, options=OPTIONS)])
    assert picture(engine, 1).tobytes() == picture(from_context(context, OPTIONS), 1).tobytes()


@pytest.mark.parametrize("stride", [2, 4, 8])
def test_a_preview_has_the_first_sample_of_middle_pixels(context: SceneContext, stride: int) -> None:
    engine = from_context(context, OPTIONS)
    width, height = engine.width, engine.height
    across, up = tile_grid(width, height)

    tiles, pixels = engine.preview(np.arange(across * up), stride, go())

    assert tiles.tolist() == list(range(across * up))
    side = TILE // stride
    coarse = np.zeros((up * side, across * side, 4), "f4")
    for tile, block in zip(tiles, pixels, strict=True):
        y, x = tile // across * side, tile % across * side
        coarse[y : y + side, x : x + side] = block
    rows = np.minimum(np.arange(0, height, stride) + stride // 2, height - 1)
    columns = np.minimum(np.arange(0, width, stride) + stride // 2, width - 1)
    whole = picture(engine, 1)
    assert coarse[: len(rows), : len(columns)].tobytes() == whole[rows][:, columns].tobytes()
    assert not coarse[len(rows) :].any()
    assert not coarse[:, len(columns) :].any()


def test_a_preview_that_is_cancelled_has_no_tiles(context: SceneContext) -> None:
    tiles, pixels = from_context(context, OPTIONS).preview(np.arange(1), 8, np.ones(1, "u4"))
    assert (len(tiles), pixels.shape) == (0, (0, 8, 8, 4))
