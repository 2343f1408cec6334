"""What stands in an RDLB file: all or what is no default, long vectors only, attributes by number, changes."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from scene_reader import Reader

from arras_ray.errors import SceneError
from arras_ray.scene import (
    ConversionError,
    Delta,
    SceneContext,
    Schema,
    Style,
    load_schema,
    rdlb,
    read_scene,
    write_scene,
)
from arras_ray.scene.lua_sandbox import Limits
from arras_ray.scene.rdla import RdlaReader
from arras_ray.scene.rdla_writer import encode as encode_rdla

SCENE = r"""
    local image = ImageMap("image")
    RdlMeshGeometry("mesh") {
        ["vertex_list_0"] = {Vec3(1, 2, 3), Vec3(4, 5, 6)}, ["part_list"] = {"a", "b"},
        ["node_xform"] = blur(scale(1, 1, 1), scale(2, 2, 2)),
        ["face_vertex_count"] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12},
        ["vertices_by_index"] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13},
    }
    local row, all = {}, {}
    for i = 1, 20 do
        all[i] = SphereGeometry("sphere " .. i)
        row[i] = {all[i], "p" .. i, DwaBaseMaterial("m"), LightSet("lights")}
    end
    GeometrySet("geometry")(all)
    Layer("layer")(row)
    TraceSet("trace") { {all[1], "p"} }
    ShadowReceiverSet("receivers") { ["geometries"] = all }
    RdlMeshGeometry("instances") { ["references"] = all }
    UserData("floats") { ["float_values_0"] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0/0, -1/0} }
    UserData("strings") { ["string_values"] = {"", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "\xff"} }
    DwaBaseMaterial("m") { ["albedo"] = bind(image, Rgb(0.1, 0.2, 0.3)), ["roughness"] = bind(image) }
    PerspectiveCamera("first") { ["focal"] = blur(1, 2) }
    PerspectiveCamera("second")
    Metadata("header") { {"a", "string", "b"} }
"""

LONG = {
    "mesh": ["vertices_by_index"],
    "instances": ["references"],
    "receivers": ["geometries"],
    "floats": ["float_values_0"],
    "strings": ["string_values"],
}
"""Vectors of 13 and more elements, by object."""


def attributes_of(data: bytes) -> dict[str, list[str]]:
    """The names of all attributes with a value in a file whose values are no defaults, by object."""
    context = rdlb.decode(data)
    return {item.name: [part.name for part in item.non_default_attributes()] for item in context}


def test_pieces_are_the_whole_and_the_scene_s_own_arrays() -> None:
    context = SceneContext()
    points = np.random.default_rng(1).random((10_000, 3), "f4")
    mesh = context.create("RdlMeshGeometry", "mesh")
    mesh.set("vertex_list_0", points)
    pieces = list(rdlb.pieces(context))
    assert b"".join(pieces) == rdlb.encode(context)
    own = [np.frombuffer(piece, "u1") for piece in pieces if len(piece) == points.nbytes]
    assert [np.shares_memory(piece, mesh.get("vertex_list_0")) for piece in own] == [True]
    assert len(pieces) < 10


def test_an_array_in_any_order_in_memory() -> None:
    context = SceneContext()
    points = np.asfortranarray(np.arange(6, dtype="f4").reshape(2, 3))
    context.create("RdlMeshGeometry", "mesh").set("vertex_list_0", points)
    assert np.array_equal(rdlb.decode(rdlb.encode(context))["mesh"].get("vertex_list_0"), points)


def test_with_defaults_every_attribute_has_a_value_and_a_binding_entry(read: Reader) -> None:
    context = read(SCENE)
    data = rdlb.encode(context, style=Style(skip_defaults=False))
    assert rdlb.decode(data) == context
    # on top of a scene where everything is another, it makes everything what it was
    other = read(SCENE)
    material, camera = other["m"], other["first"]
    material.bind("metallic", other["image"])
    material.set("roughness", 0.125)
    material.set("show_clearcoat", True)
    camera.set_blur("near", 3, 4)
    assert rdlb.decode(data, other) == context
    # by name, a binding entry is its 1, a 0, the name, and two empty strings
    for name in ("show_clearcoat", "metallic"):
        assert b"\1\0" + bytes([len(name)]) + name.encode() + b"\0\0" in data


def test_without_defaults_only_what_is_said_is_written() -> None:
    context = SceneContext()
    context.create("RectLight", "l").set("width", 2)
    data = rdlb.encode(context)
    assert b"width" in data
    assert b"height" not in data


def test_attributes_by_number(read: Reader) -> None:
    context = read(SCENE)
    data = rdlb.encode(context, style=Style(transient=True))
    for name in (b"albedo", b"roughness", b"vertex_list_0", b"surface_shaders"):
        assert name not in data
    assert rdlb.decode(data) == context
    change = rdlb.encode(context, {"m": ["albedo"]}, Style(transient=True))
    assert rdlb.decode(change, read('ImageMap("image")'))["m"].binding("albedo").name == "image"


def test_vectors_that_are_too_long_are_left_out(read: Reader) -> None:
    back = rdlb.decode(rdlb.encode(read(SCENE), style=Style(longest_vector=12)))
    mesh = back["mesh"]
    assert len(mesh.get("vertices_by_index")) == 0
    assert len(mesh.get("face_vertex_count")) == 12
    # rows are no vectors
    assert len(back["geometry"].get("geometries")) == len(back["layer"].get("geometries")) == 20


def test_only_long_vectors_of_what_is_no_set(read: Reader) -> None:
    data = rdlb.encode(read(SCENE), style=Style(shortest_vector=13))
    named = {name: parts for name, parts in attributes_of(data).items() if parts}
    assert named == LONG
    assert not {"geometry", "layer", "trace", "header", "image", "m"} & set(attributes_of(data))


def test_a_split_scene_comes_back_in_either_order(read: Reader, tmp_path: Path) -> None:
    context = read(SCENE)
    for style in (Style(), Style(skip_defaults=False), Style(transient=True)):
        files = write_scene(context, tmp_path / "scene", style=style)
        assert [file.name for file in files] == ["scene.rdla", "scene.rdlb"]
        for order in (files, files[::-1]):
            back = read_scene(order)
            assert back.warnings == []
            assert back == context


def test_the_first_camera_stays_first_where_a_long_vector_names_others_before(tmp_path: Path) -> None:
    context = SceneContext()
    cameras = [context.create("PerspectiveCamera", f"c{number:02}") for number in range(14)]
    context.create("RdlMeshGeometry", "mesh")
    schema = load_schema()
    refers = next(
        (name, part.name)
        for name in schema
        if (found := schema.find(name)) is not None and not found.abstract
        for part in found.attributes.values()
        if part.type.vector and part.type.family == "object" and part.object_type in ("", "GENERIC")
    )
    context.create(refers[0], "refers").set(refers[1], cameras[::-1])
    back = read_scene(write_scene(context, tmp_path / "scene")[::-1])
    assert back.camera is back["c00"]
    assert back == context


@pytest.mark.parametrize("binary_first", [True, False])
def test_a_bound_vector_in_a_split_scene(binary_first: bool) -> None:
    # no class of MoonRay's has a vector that can be bound
    schema = Schema({
        "SceneVariables": ["variables", [], [], [["camera", "SceneObject", None], ["layer", "SceneObject", None]]],
        "Map": ["map", ["MAP"], [], [["values", "floatVector", [], "b"]]],
    })  # fmt: skip
    context = SceneContext(schema)
    item, target = context.create("Map", "item"), context.create("Map", "target")
    item.set("values", np.arange(20))
    item.bind("values", target)
    text = encode_rdla(context, style=Style(longest_vector=12))
    binary = rdlb.encode(context, style=Style(shortest_vector=13))
    back = SceneContext(schema)
    if binary_first:
        rdlb.decode(binary, back)
    RdlaReader(back, Limits(), print).run(text, "scene.rdla")
    if not binary_first:
        rdlb.decode(binary, back)
    assert back["item"].binding("values") is back["target"]
    assert back == context


# --- changes


def test_a_change_tells_of_bindings_that_ended_and_members_that_left(read: Reader) -> None:
    base, context = read(SCENE), read(SCENE)
    context["m"].bind("roughness", None)
    context["geometry"].set("geometries", [context["mesh"]])
    context["layer"].assign(context["sphere 3"], "p3", [context["lights"]])
    context.create("SphereLight", "new")
    delta = context.delta()
    assert set(delta.attributes) == {"m", "geometry", "layer", "new"}
    back = rdlb.decode(delta.to_rdlb(), base)
    assert back.warnings == []
    assert back == context
    assert back["m"].binding("albedo") is back["image"]


def test_a_change_of_one_column_leaves_the_layer_s_other_rows(read: Reader) -> None:
    base, context = read(SCENE), read(SCENE)
    row = context["layer"].get("geometries")[0]
    context["layer"].assign(row, "p1", [context.create("BaseMaterial", "new"), context["lights"]])
    # what differs is the column of the materials alone
    delta = Delta.between(base, context)
    assert delta.attributes["layer"] == ("surface_shaders",)
    assert rdlb.decode(delta.to_rdlb(), base) == context


# --- strings and memory


def test_a_string_that_no_bytes_stand_for_is_an_error_with_its_place() -> None:
    context = SceneContext()
    context.create("SphereGeometry", "s").set("label", "a\ud800")
    with pytest.raises(SceneError, match="half of a surrogate pair") as caught:
        rdlb.encode(context)
    assert not isinstance(caught.value, ConversionError)
    assert (caught.value.object, caught.value.attribute) == ("s", "label")


def test_a_big_mesh_takes_little_memory_beyond_itself(tmp_path: Path) -> None:
    count = 100_000
    context = SceneContext()
    mesh = context.create("RdlMeshGeometry", "mesh")
    mesh.set("vertex_list_0", np.random.default_rng(1).random((count, 3), "f4"))
    mesh.set("vertices_by_index", np.arange(4 * count) // 4)
    file = tmp_path / "mesh.rdlb"
    write_scene(context, file)
    for work in (lambda: write_scene(context, file), lambda: read_scene([file])):
        work()
        tracemalloc.start()
        kept = work()
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        del kept
        assert most <= 2.5 * file.stat().st_size + 2_000_000  # blocks of integers on their way
