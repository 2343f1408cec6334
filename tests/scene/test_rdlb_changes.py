"""Whatever is changed in a scene: its delta as RDLB, put on top of what it was, makes what it is."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from arras_ray.scene import Delta, SceneContext, rdlb

GEOMETRIES = [f"geometry {number}" for number in range(4)]
LIGHTS = [f"light {number}" for number in range(4)]
MAPS = ["map 0", "map 1"]

numbers = st.floats(width=32) | st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf])
strings = st.text(max_size=5) | st.binary(max_size=5).map(lambda data: data.decode("utf-8", "surrogateescape"))


def some(names: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(names), max_size=5)


CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "focal": st.tuples(numbers, numbers),
    "radius": numbers,
    "camera": st.sampled_from(["camera 0", "camera 1", None]),
    "label": strings,
    "strings": st.lists(strings, max_size=4),
    "floats": st.lists(numbers, max_size=4),
    "ints": st.lists(st.integers(-(1 << 31), (1 << 31) - 1), max_size=20),
    "xform": st.lists(numbers, min_size=16, max_size=16),
    "albedo": st.tuples(numbers, numbers, numbers),
    "bind": st.tuples(st.sampled_from(["albedo", "roughness"]), st.sampled_from([*MAPS, None])),
    "geometries": some(GEOMETRIES),
    "lights": some(LIGHTS),
    "receivers": some(GEOMETRIES),
    "trace": st.lists(st.tuples(st.sampled_from(GEOMETRIES), strings), max_size=4),
    "layer": st.tuples(st.sampled_from(GEOMETRIES), strings, st.booleans(), st.booleans()),
    "metadata": st.lists(st.tuples(strings, st.sampled_from(["int", "string"]), strings), max_size=3),
    "new": st.integers(0, 3),
}

changes = st.lists(st.one_of([st.tuples(st.just(what), values) for what, values in CHANGES.items()]), max_size=12)


def small_scene() -> SceneContext:
    context = SceneContext()
    context.create("PerspectiveCamera", "camera 0")
    context.create("PerspectiveCamera", "camera 1")
    for name in GEOMETRIES:
        context.create("SphereGeometry", name)
    for name in LIGHTS:
        context.create("SphereLight", name)
    for name in MAPS:
        context.create("ImageMap", name)
    for class_name in (
        "DwaBaseMaterial", "GeometrySet", "LightSet", "ShadowReceiverSet", "TraceSet", "Layer", "Metadata", "UserData",
        "RdlMeshGeometry",
    ):  # fmt: skip
        context.create(class_name, class_name)
    return context


def change(context: SceneContext, what: str, value: Any) -> None:
    """One of CHANGES."""

    def objects(names: list[str]) -> list[Any]:
        return [context[name] for name in names]

    def assign(geometry: str, part: str, material: bool, lights: bool) -> None:
        assigned = ["DwaBaseMaterial"] * material + ["LightSet"] * lights
        context["Layer"].assign(context[geometry], part, objects(assigned))

    def trace(rows: list[tuple[str, str]]) -> None:
        context["TraceSet"].set("geometries", objects([name for name, _ in rows]))
        context["TraceSet"].set("parts", [part for _, part in rows])

    def bind(name: str, target: str | None) -> None:
        context["DwaBaseMaterial"].bind(name, None if target is None else context[target])

    setters: dict[str, Callable[[], object]] = {
        "focal": lambda: context["camera 0"].set_blur("focal", *value),
        "radius": lambda: context[GEOMETRIES[0]].set("radius", value),
        "camera": lambda: context.variables.set("camera", value and context[value]),
        "label": lambda: context[GEOMETRIES[1]].set("label", value),
        "strings": lambda: context["UserData"].set("string_values", value),
        "floats": lambda: context["UserData"].set("float_values_0", np.array(value, "f4")),
        "ints": lambda: context["RdlMeshGeometry"].set("vertices_by_index", np.array(value, "i4")),
        "xform": lambda: context["RdlMeshGeometry"].set_blur("node_xform", np.reshape(value, (4, 4)), np.eye(4)),
        "albedo": lambda: context["DwaBaseMaterial"].set("albedo", value),
        "bind": lambda: bind(*value),
        "geometries": lambda: context["GeometrySet"].set("geometries", objects(value)),
        "lights": lambda: context["LightSet"].set("lights", objects(value)),
        "receivers": lambda: context["ShadowReceiverSet"].set("geometries", objects(value)),
        "trace": lambda: trace(value),
        "layer": lambda: assign(*value),
        "metadata": lambda: context["Metadata"].replace(value),
        "new": lambda: context.create("BoxGeometry", f"new {value}"),
    }
    setters[what]()


@settings(deadline=None, max_examples=25)
@given(changes, changes)
def test_a_delta_makes_what_was_changed(before: list[tuple[str, Any]], after: list[tuple[str, Any]]) -> None:
    context = small_scene()
    for what, value in before:
        change(context, what, value)
    context.commit()
    whole = context.to_bytes()
    for what, value in after:
        change(context, what, value)
    assert rdlb.decode(context.to_bytes()) == context
    base = rdlb.decode(whole)
    assert rdlb.decode(context.delta().to_rdlb(), base) == context
    assert base.warnings == []
    between = Delta.between(rdlb.decode(whole), context)
    assert not between.lost
    assert rdlb.decode(between.to_rdlb(), rdlb.decode(whole)) == context
    assert bool(between) == (rdlb.decode(whole) != context)


def test_a_scene_that_goes_back_to_its_first_camera_loses_nothing() -> None:
    before, after = small_scene(), small_scene()
    before.variables.set("camera", before["camera 1"])
    delta = Delta.between(before, after)
    assert not delta.lost
    assert rdlb.decode(delta.to_rdlb(), before) == after
    assert after.camera is after["camera 0"]
