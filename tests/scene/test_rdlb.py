"""RDLB: the bytes of known values, round trips, and bytes that are broken."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scene_reader import Reader

from arras_ray.errors import SceneError
from arras_ray.scene import BEGIN, END, SceneContext, load_schema, rdlb
from arras_ray.scene.rdlb_cursor import Cursor
from arras_ray.scene.rdlb_values import value_pieces
from arras_ray.scene.values import TYPES, ValueType, convert, same
from arras_ray.scene.varints import signed, unsigned

BALL = bytes.fromhex(
    "000000000000000b 0000000000000039"
    "0b00000000000000 01 02 39"
    "3900000000000000"
    "0e 53706865726547656f6d65747279 01 73"
    "07 00 06 726164697573 00 00 00000040"
    "0b 00 05 6c6162656c 00 00 04 62616c6c"
    "00 00"
)
"""SphereGeometry("s") with radius 2 and label "ball", worked out by hand."""


def cursor(data: bytes) -> Cursor:
    return Cursor(memoryview(data), 0, len(data))


def value_bytes(value: Any, value_type: ValueType) -> bytes:
    return b"".join(value_pieces(value, value_type))


def pack(*records: bytes) -> bytes:
    """A file of these records, given without their sizes."""
    whole = [struct.pack("<Q", len(record) + 8) + record for record in records]
    manifest = unsigned(len(records)) + b"".join(b"\2" + unsigned(len(record)) for record in whole)
    manifest = struct.pack("<Q", len(manifest) + 8) + manifest
    payload = b"".join(whole)
    return struct.pack(">QQ", len(manifest), len(payload)) + manifest + payload


def text(value: str) -> bytes:
    return unsigned(len(value)) + value.encode()


# --- known bytes


def test_a_file_made_by_hand() -> None:
    context = SceneContext()
    ball = context.create("SphereGeometry", "s")
    ball.set("radius", 2)
    ball.set("label", "ball")
    assert len(BALL) == 84
    assert rdlb.encode(context, {"s": ["radius", "label"]}) == BALL
    assert SceneContext.from_bytes(BALL) == context


@pytest.mark.parametrize(
    ("value", "data"),
    [(0, "00"), (-1, "01"), (1, "02"), (-2, "03"), (63, "7e"), (64, "8001"), (-(1 << 31), "ffffffff0f")]
    + [((1 << 63) - 1, "feffffffffffffffff01"), (-(1 << 63), "ffffffffffffffffff01")],
)
def test_signed_integers(value: int, data: str) -> None:
    assert signed(value).hex() == data
    assert cursor(bytes.fromhex(data)).signed() == value


@settings(deadline=None)
@given(st.lists(st.integers(-(1 << 63), (1 << 63) - 1)))
def test_integer_vectors_are_coded_like_integers(values: list[int]) -> None:
    data = value_bytes(np.array(values, np.int64), TYPES["longVector"])
    assert data == unsigned(len(values)) + b"".join(map(signed, values))
    assert cursor(data).value(TYPES["longVector"]).tolist() == values


def raw(element: str, *values: float) -> bytes:
    return struct.pack(f"<{len(values)}{element}", *values)


SIXTEEN = [float(i) for i in range(16)]


@pytest.mark.parametrize(
    ("type_name", "value", "data"),
    [
        ("bool", True, b"\1"),
        ("boolVector", [True, False], b"\2\1\0"),
        ("int", -5, b"\x09"),
        ("intVector", [1, -1, 300], b"\3\2\1\xd8\x04"),
        ("long", 1 << 40, b"\x80\x80\x80\x80\x80\x40"),
        ("longVector", [1 << 40], b"\1\x80\x80\x80\x80\x80\x40"),
        ("float", 2.5, raw("f", 2.5)),
        ("floatVector", [1, 2], b"\2" + raw("f", 1, 2)),
        ("double", 0.1, raw("d", 0.1)),
        ("doubleVector", [0.1], b"\1" + raw("d", 0.1)),
        ("string", "aé", b"\3a\xc3\xa9"),
        ("stringVector", ["", "b"], b"\2\0\1b"),
        ("Rgb", (1, 2, 3), raw("f", 1, 2, 3)),
        ("RgbVector", [(1, 2, 3)], b"\1" + raw("f", 1, 2, 3)),
        ("Rgba", (1, 2, 3, 4), raw("f", 1, 2, 3, 4)),
        ("RgbaVector", [(1, 2, 3, 4)], b"\1" + raw("f", 1, 2, 3, 4)),
        ("Vec2f", (1, 2), raw("f", 1, 2)),
        ("Vec2fVector", [(1, 2), (3, 4)], b"\2" + raw("f", 1, 2, 3, 4)),
        ("Vec2d", (1, 2), raw("d", 1, 2)),
        ("Vec2dVector", [(1, 2)], b"\1" + raw("d", 1, 2)),
        ("Vec3f", (1, 2, 3), raw("f", 1, 2, 3)),
        ("Vec3fVector", [(1, 2, 3)], b"\1" + raw("f", 1, 2, 3)),
        ("Vec3d", (1, 2, 3), raw("d", 1, 2, 3)),
        ("Vec3dVector", [(1, 2, 3)], b"\1" + raw("d", 1, 2, 3)),
        ("Vec4f", (1, 2, 3, 4), raw("f", 1, 2, 3, 4)),
        ("Vec4fVector", [(1, 2, 3, 4)], b"\1" + raw("f", 1, 2, 3, 4)),
        ("Vec4d", (1, 2, 3, 4), raw("d", 1, 2, 3, 4)),
        ("Vec4dVector", [(1, 2, 3, 4)], b"\1" + raw("d", 1, 2, 3, 4)),
        ("Mat4f", SIXTEEN, raw("f", *SIXTEEN)),
        ("Mat4fVector", [SIXTEEN], b"\1" + raw("f", *SIXTEEN)),
        ("Mat4d", SIXTEEN, raw("d", *SIXTEEN)),
        ("Mat4dVector", [SIXTEEN], b"\1" + raw("d", *SIXTEEN)),
    ],
)
def test_every_type_that_holds_no_objects(type_name: str, value: Any, data: bytes) -> None:
    value_type = TYPES[type_name]
    stored = convert(
        np.reshape(value, (-1, 4, 4)) if type_name.startswith("Mat4") and value_type.vector else value, value_type
    )
    assert value_bytes(stored, value_type) == data
    reader = cursor(data)
    assert same(convert(reader.value(value_type), value_type), stored)
    assert reader.left == 0


def test_the_types_that_hold_objects() -> None:
    light = SceneContext().create("RectLight", "l")
    one = b"\x09\x01RectLightl"
    assert value_bytes(light, TYPES["SceneObject"]) == one
    assert value_bytes(None, TYPES["SceneObject"]) == b"\0\0"
    for type_name in ("SceneObjectVector", "SceneObjectIndexable"):
        assert value_bytes((light, None), TYPES[type_name]) == b"\2" + one + b"\0\0"
        assert cursor(b"\2" + one + b"\0\0").value(TYPES[type_name]) == [("RectLight", "l"), ("", "")]


# --- round trips

EVERYTHING = r"""
    local image = ImageMap("image") { ["texture"] = "\xff.exr" }
    Layer("layer") {
        {SphereGeometry("later"), {"a", "b"}, DwaBaseMaterial("m"), LightSet("lights")},
        {BoxGeometry("box"), "", undef(), ShadowSet("shadows"), BaseVolume("v"), ShadowReceiverSet("receivers")},
    }
    DwaBaseMaterial("m") { ["albedo"] = bind(image, Rgb(0.1, 0.2, 0.3)), ["roughness"] = bind(image) }
    LightSet("lights") { RectLight("z"), RectLight("a") }
    GeometrySet("geometry") { SphereGeometry("later"), BoxGeometry("box") }
    ShadowReceiverSet("receivers") { ["geometries"] = {BoxGeometry("box")}, ["complement"] = true }
    TraceSet("trace") { {BoxGeometry("box"), "p"} }
    Metadata("header") { {"a", "string", "b"} }
    PerspectiveCamera("first camera") { ["focal"] = blur(1, 2), ["node_xform"] = translate(0, 0, 5) }
    OrthographicCamera("second camera")
    UserData("data") {
        ["bool_values"] = {true, false}, ["int_values"] = {-5, 1000000}, ["float_values_0"] = {1, 0 / 0, 1 / 0},
        ["string_values"] = {"x", "", "\0"}, ["color_values_0"] = {Rgb(1, 2, 3)}, ["vec2f_values_0"] = {Vec2(1, 2)},
        ["vec3f_values_0"] = {Vec3(1, 2, -0.0)}, ["mat4f_values_0"] = {scale(1, 2, 3)}, ["rate"] = "part",
    }
    RdlMeshGeometry("mesh") { ["vertex_list_0"] = {}, ["face_vertex_count"] = {3, 4} }
    SceneVariables { ["camera"] = OrthographicCamera("second camera"), ["exr_header_attributes"] = Metadata("header") }
"""


def test_a_scene_with_everything_comes_back(read: Reader) -> None:
    context = read(EVERYTHING)
    assert context.warnings == []
    data = context.to_bytes()
    back = SceneContext.from_bytes(data)
    assert back == context
    assert back.warnings == []
    assert back.to_bytes() == data
    # objects stand in the order of their making, not of the first reference to them
    assert [item.name for item in back] == [item.name for item in context]
    assert back.camera is back["second camera"]
    assert back.layer is not None
    assert context.layer is not None
    assert repr(back.layer.assignments) == repr(context.layer.assignments)
    assert back["m"].binding("roughness") is back["image"]


def test_an_empty_scene_comes_back() -> None:
    assert SceneContext.from_bytes(SceneContext().to_bytes()) == SceneContext()


def test_only_what_is_no_default_is_written() -> None:
    context = SceneContext()
    light = context.create("RectLight", "l")
    before = len(context.to_bytes())
    light.set("width", 1)
    assert len(context.to_bytes()) == before
    light.set("width", 2)
    assert len(context.to_bytes()) > before


def test_every_attribute_of_every_class_at_its_default() -> None:
    context = SceneContext()
    schema = load_schema()
    only = {"__SceneVariables__": list(schema.find("SceneVariables").attributes)}  # type: ignore[union-attr]
    for name in schema:
        scene_class = schema.find(name)
        assert scene_class is not None
        if not scene_class.abstract and name != "SceneVariables":
            context.create(name, f"a {name}")
            only[f"a {name}"] = list(scene_class.attributes)
    back = SceneContext.from_bytes(rdlb.encode(context, only))
    assert back.warnings == []
    assert back == context


def test_bytes_go_on_top_of_a_scene(read: Reader) -> None:
    context = read("""
        DwaBaseMaterial("m") { ["albedo"] = bind(ImageMap("i"), Rgb(1, 0, 0)) }
        LightSet("s") { RectLight("a"), RectLight("b") }
    """)
    material = text("DwaBaseMaterial") + text("m") + b"\x0d\0" + text("albedo") + b"\0\0" + raw("f", 0, 1, 0)
    lights = text("LightSet") + text("s") + b"\x22\0" + text("lights") + b"\0\0\1\x09\1RectLightb"
    rdlb.decode(pack(material + b"\0\0", lights + b"\0\0"), context)
    # a value leaves the binding alone, and a set is replaced
    assert context["m"].get("albedo") == (0, 1, 0)
    assert context["m"].binding("albedo") is context["i"]
    assert context["s"].get("lights") == (context["b"],)
    # a binding without a target ends it
    rdlb.decode(pack(text("DwaBaseMaterial") + text("m") + b"\0\1\0" + text("albedo") + b"\0\0\0"), context)
    assert context["m"].binding("albedo") is None
    assert context["m"].get("albedo") == (0, 1, 0)


# --- what a reader must bear


def test_attributes_by_number_and_by_alias() -> None:
    sphere = load_schema().find("SphereGeometry")
    assert sphere is not None
    index = sphere.attributes["radius"].index
    record = text("SphereGeometry") + text("s")
    by_number = b"\7\1" + signed(index) + b"\0\0" + raw("f", 3)
    by_alias = b"\1\0" + text("reverse normals") + b"\0\0\1"
    context = SceneContext.from_bytes(pack(record + by_number + by_alias + b"\0\0"))
    assert context["s"].get("radius") == 3
    assert context["s"].get("reverse_normals") is True


def test_what_does_not_exist_is_left_out_with_a_warning() -> None:
    sphere = text("SphereGeometry") + text("s")
    sphere += b"\7\0" + text("no_such") + b"\0\0" + raw("f", 3)
    sphere += b"\x09\0" + text("radius") + b"\0\0" + raw("d", 3)
    sphere += b"\x21\0" + text("dicing_camera") + b"\0\0" + unsigned(7) + unsigned(1) + b"NoClassx"
    sphere += b"\7\0" + text("zmax") + b"\0\0" + raw("f", 5) + b"\0"
    sphere += b"\1\0" + text("radius") + text("ImageMap") + text("i")
    sphere += b"\1\0" + text("no_such") + text("") + text("") + b"\0"
    context = SceneContext.from_bytes(pack(text("NoClass") + text("n") + b"anything", sphere))
    assert [str(warning) for warning in context.warnings] == [
        "n: left out: there is no scene class 'NoClass'",
        "s.no_such: no attribute of this name",
        "s.radius: a double, not its type",
        "x: left out: there is no scene class 'NoClass'",
        "s.radius: the attribute cannot be bound",
    ]
    assert context["s"].get("radius") == 1.0
    assert context["s"].get("zmax") == 5.0
    assert context["s"].get("dicing_camera") is None


def test_timesteps_are_read_one_by_one() -> None:
    camera = text("PerspectiveCamera") + text("c")
    both = b"\7\0" + text("focal") + b"\1\0" + raw("f", 1) + b"\1" + raw("f", 2)
    context = SceneContext.from_bytes(pack(camera + both + b"\0\0"))
    assert [context["c"].get("focal", step) for step in (BEGIN, END)] == [1.0, 2.0]


def test_a_name_taken_by_another_class() -> None:
    data = pack(text("RectLight") + text("x") + b"\0\0", text("SphereLight") + text("x") + b"\0\0")
    with pytest.raises(SceneError, match="belongs to a RectLight"):
        SceneContext.from_bytes(data)


def test_every_cut_is_told_with_its_offset(read: Reader) -> None:
    data = read(EVERYTHING).to_bytes()
    for length in range(len(data)):
        with pytest.raises(SceneError, match=r"broken binary scene: .* at byte \d+") as caught:
            SceneContext.from_bytes(data[:length])
        assert 0 <= caught.value.offset <= length


def test_any_changed_byte_is_an_error_or_another_scene(read: Reader) -> None:
    data = read(EVERYTHING).to_bytes()
    errors = 0
    for index in range(len(data)):
        changed = bytearray(data)
        changed[index] ^= 0xFF
        try:
            SceneContext.from_bytes(bytes(changed))
        except SceneError:
            errors += 1
    assert errors > len(data) // 10


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_no_scene(data: bytes) -> None:
    with pytest.raises(SceneError):
        SceneContext.from_bytes(data)


@pytest.mark.parametrize("type_name", [name for name in TYPES if TYPES[name].vector])
@pytest.mark.parametrize("count", [100, 1 << 31, (1 << 64) - 1])
def test_a_count_that_lies_is_not_believed(type_name: str, count: int) -> None:
    with pytest.raises(SceneError, match="expected"):
        cursor(unsigned(count) + b"\1" * 20).value(TYPES[type_name])


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"\x40\0" + text("radius"), "a value of type 64"),
        (b"\7\0" + text("radius") + b"\0\5" + raw("f", 1), "a value for timestep 5"),
        (b"\7\1" + signed(1000), "attribute 1000 of a class"),
        (b"\7\1" + signed(-1), "attribute -1 of a class"),
        (b"\0\7", "a binding that begins with 7"),
        (b"\0\0more", "bytes that belong to nothing"),
        (b"\xff" * 11, "an integer is longer than 64 bits"),
        (b"\xff" * 9 + b"\x7f", "an integer is longer than 64 bits"),
        (b"\4\0" + text("x") + b"\0\0\2" + b"\xff" * 10 + b"\0\0", "an integer is longer than 64 bits"),
    ],
)
def test_records_that_make_no_sense(body: bytes, problem: str) -> None:
    with pytest.raises(SceneError, match=problem) as caught:
        SceneContext.from_bytes(pack(text("SphereGeometry") + text("s") + body))
    assert caught.value.offset > 0
    assert caught.value.hint


def test_a_record_of_another_kind_and_wrong_sizes() -> None:
    data = bytearray(BALL)
    data[16 + 9] = 1
    with pytest.raises(SceneError, match="a record of kind 1"):
        SceneContext.from_bytes(bytes(data))
    data = bytearray(BALL)
    data[16] = 12
    with pytest.raises(SceneError, match="a container says 12 bytes and has 11"):
        SceneContext.from_bytes(bytes(data))
    with pytest.raises(SceneError, match="57 bytes of objects expected, 58 found"):
        SceneContext.from_bytes(BALL + b"\0")


def test_a_layer_with_columns_of_different_lengths() -> None:
    context = SceneContext()
    g = context.create("SphereGeometry", "g")
    columns = b"\x23\0" + text("geometries") + b"\0\0" + value_bytes((g, g), TYPES["SceneObjectIndexable"])
    columns += b"\x0c\0" + text("parts") + b"\0\0" + value_bytes(("a",), TYPES["stringVector"])
    with pytest.raises(SceneError, match="1 parts for 2 geometries"):
        SceneContext.from_bytes(pack(text("Layer") + text("l") + columns + b"\0\0"))
