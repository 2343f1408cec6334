"""A context made and changed from Python."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arras_ray.errors import SceneError
from arras_ray.scene import BEGIN, END, ConversionError, Rgb, SceneContext


def test_objects_keep_the_order_in_which_they_were_made() -> None:
    context = SceneContext()
    b = context.create("RectLight", "b")
    a = context.create("SphereGeometry", "a")
    assert context.create("RectLight", "b") is b
    assert [item.name for item in context] == ["__SceneVariables__", "b", "a"]
    assert (len(context), "a" in context, "c" in context, context["a"]) == (3, True, False, a)
    assert context.of_interface("LIGHT") == [b]
    assert context.of_class("SphereGeometry") == [a]


@pytest.mark.parametrize(
    ("class_name", "name", "message"),
    [
        ("NoClass", "x", "there is no scene class 'NoClass'"),
        ("Geometry", "x", "there is no scene class 'Geometry'"),
        ("RectLight", "", "a RectLight needs a name"),
        ("SceneVariables", "other", "one SceneVariables"),
        ("SphereLight", "taken", "belongs to a RectLight"),
    ],
)
def test_objects_that_cannot_be_made(class_name: str, name: str, message: str) -> None:
    context = SceneContext()
    context.create("RectLight", "taken")
    with pytest.raises(SceneError, match=message):
        context.create(class_name, name)


def test_camera_and_layer() -> None:
    context = SceneContext()
    assert [context.camera, context.layer] == [None, None]
    first, second = context.create("PerspectiveCamera", "z"), context.create("OrthographicCamera", "a")
    one, two = context.create("Layer", "z layer"), context.create("Layer", "a layer")
    assert [context.camera, context.layer] == [first, one]
    context.variables.set("camera", second)
    context.variables.set("layer", two)
    assert [context.camera, context.layer] == [second, two]


def test_defaults_and_changes() -> None:
    light = SceneContext().create("RectLight", "l")
    assert light.is_default("width")
    assert light.non_default_attributes() == []
    light.set("width", 2)
    light.set("color", Rgb(1, 1, 1))
    assert [attribute.name for attribute in light.non_default_attributes()] == ["width"]
    with pytest.raises(SceneError, match="no attribute named 'wdth'") as caught:
        light.get("wdth")
    assert caught.value.hint == "did you mean 'width'?"
    assert (caught.value.object, caught.value.attribute) == ("l", "wdth")


def test_a_failed_set_changes_no_value() -> None:
    light = SceneContext().create("RectLight", "l")
    light.set("width", 2)
    with pytest.raises(ConversionError) as caught:
        light.set("width", "wide")
    assert light.get("width") == 2.0
    assert (caught.value.object, caught.value.attribute) == ("l", "width")


def test_timesteps() -> None:
    camera = SceneContext().create("PerspectiveCamera", "c")
    camera.set("focal", 10, BEGIN)
    assert [camera.get("focal", step) for step in (BEGIN, END)] == [10.0, 30.0]
    camera.set("focal", 20, END)
    assert [camera.get("focal", step) for step in (BEGIN, END)] == [10.0, 20.0]
    assert not camera.is_default("focal")
    camera.set("near", 5, BEGIN)
    assert camera.get("near", END) == 5.0


@pytest.mark.parametrize(
    ("steps", "at_frame", "at_open"),
    [([-1, 0], 20.0, 17.5), ([0, 1], 10.0, 7.5), ([-0.5, 0.5], 15.0, 12.5), ([0, 0], 10.0, 10.0), ([0], 10.0, 10.0)],
)
def test_values_at_a_time(steps: list[float], at_frame: float, at_open: float) -> None:
    context = SceneContext()
    context.variables.set("motion_steps", steps)
    camera = context.create("PerspectiveCamera", "c")
    camera.set_blur("focal", 10, 20)
    assert camera.get("focal") == at_frame
    assert camera.get_at("focal", 0.0) == at_frame
    assert camera.get_at("focal", -0.25) == at_open


def test_matrices_between_timesteps() -> None:
    context = SceneContext()
    context.variables.set("motion_steps", [-1, 1])
    camera = context.create("PerspectiveCamera", "c")
    begin, end = np.eye(4), np.eye(4)
    end[3, 0] = 4
    camera.set_blur("node_xform", begin, end)
    matrix = camera.get("node_xform")
    assert matrix[3, 0] == 2
    assert not matrix.flags.writeable


@given(st.integers(0, 6), st.integers(0, 6))
def test_contexts_are_equal_by_content(a: int, b: int) -> None:
    def build(kind: int) -> SceneContext:
        context = SceneContext()
        light, image = context.create("RectLight", "l"), context.create("ImageMap", "i")
        material = context.create("DwaBaseMaterial", "m" if kind != 1 else "n")
        light.set("width", 2 if kind != 2 else 3)
        if kind != 3:
            material.bind("albedo", image)
        context.create("PerspectiveCamera", "c").set_blur("focal", 1, 2 if kind != 4 else 1)
        if kind == 5:
            context.create("ImageMap", "j")
        context.create("LightSet", "s").set("lights", [light] if kind != 6 else [])
        return context

    assert (build(a) == build(b)) == (a == b)


def test_a_context_is_no_key_and_no_other_thing() -> None:
    with pytest.raises(TypeError):
        hash(SceneContext())
    assert SceneContext() != 1


def test_the_scene_room_stands_alone_and_loads_lua_only_to_read() -> None:
    program = (
        "import sys; from arras_ray import scene; c = scene.SceneContext(); c.create('RectLight', 'l').set('width', 2);"
        "assert scene.SceneContext.from_bytes(c.to_bytes()) == c;"
        "assert not {'ray', 'numba', 'lupa', 'OpenEXR'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env=dict(os.environ))
