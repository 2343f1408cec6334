"""RDLB that is broken or speaks of what is not there: where it is told, and what it may not cost."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import pytest

from arras_ray.errors import SceneError
from arras_ray.scene import SceneContext, rdlb, read_scene
from arras_ray.scene.values import TYPES_BY_CODE
from arras_ray.scene.varints import signed, unsigned

HUGE = 1 << 60


def text(value: str) -> bytes:
    return unsigned(len(value)) + value.encode()


def container(body: bytes, size: int | None = None) -> bytes:
    return struct.pack("<Q", len(body) + 8 if size is None else size) + body


def file_of(payload: bytes, sizes: list[int], count: int | None = None) -> bytes:
    manifest = unsigned(len(sizes) if count is None else count) + b"".join(b"\2" + unsigned(size) for size in sizes)
    manifest = container(manifest)
    return struct.pack(">QQ", len(manifest), len(payload)) + manifest + payload


def one_record(class_name: str, name: str, body: bytes) -> bytes:
    record = container(text(class_name) + text(name) + body)
    return file_of(record, [len(record)])


def small_scene() -> bytes:
    """A value of most kinds, a binding, a layer."""
    context = SceneContext()
    mesh = context.create("RdlMeshGeometry", "mesh")
    mesh.set("vertices_by_index", [1, 70, -300])
    mesh.set("vertex_list_0", [(1, 2, 3)])
    mesh.set("part_list", ["a", "b"])
    material = context.create("DwaBaseMaterial", "m")
    material.bind("albedo", context.create("ImageMap", "i"))
    context.create("Layer", "layer").assign(mesh, "a", [material])
    return context.to_bytes()


def read_bytes(data: bytes) -> SceneError | None:
    """The error that reading gives, if any. Nothing else may be raised, and no memory worth a word be taken."""
    tracemalloc.start()
    try:
        SceneContext.from_bytes(data)
    except SceneError as error:
        return error
    finally:
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most < 5_000_000
    return None


def test_every_cut_and_every_flipped_bit_is_an_error_or_another_scene() -> None:
    data = small_scene()
    assert read_bytes(data) is None
    for length in range(len(data)):
        error = read_bytes(data[:length])
        assert error is not None
        assert 0 <= error.offset <= length
    errors = 0
    for index in range(len(data)):
        for flipped in (0x01, 0x80):
            changed = bytearray(data)
            changed[index] ^= flipped
            errors += read_bytes(bytes(changed)) is not None
    assert errors > len(data) // 2


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">QQ", HUGE, 0),
        struct.pack(">QQ", 0, HUGE),
        struct.pack(">QQ", (1 << 64) - 1, (1 << 64) - 1) + b"\0" * 50,
        file_of(b"", [], HUGE),
        file_of(container(b"\0\0"), [HUGE]),
        file_of(container(text("SphereGeometry") + text("s") + b"\0\0", HUGE), [27]),
        file_of(container(text("SphereGeometry") + text("s") + b"\0\0", 26), [27]),
        file_of(container(text("SphereGeometry") + text("s") + b"\0\0"), [26]),
        file_of(b"\0" * 7, [7]),
        file_of(container(b""), [8]),
        one_record("", "", b"\0\0"),
        one_record("SphereGeometry", "", b"\0\0"),
        one_record("SceneVariables", "other", b"\0\0"),
        one_record("SphereGeometry", "s", unsigned(HUGE)),
        one_record("SphereGeometry", "s", b"\x0b\0" + unsigned(HUGE)),
        one_record("SphereGeometry", "s", b"\x0b\0" + text("label") + b"\0\0" + unsigned(HUGE)),
        one_record("SphereGeometry", "s", b"\x0b\2" + text("label") + b"\0\0" + text("x") + b"\0\0"),
        one_record("SphereGeometry", "s", b"\x0b\0" + text("label") + b"\2\0" + text("x") + b"\0\0"),
        one_record("SphereGeometry", "s", b"\x21\0" + text("dicing_camera") + b"\0\0" + unsigned(HUGE) + b"\1x"),
        one_record("SphereGeometry", "s", b"\0\1\1" + signed(HUGE)),
        one_record("SphereGeometry", "s", b"\0\1\0" + text("radius") + unsigned(HUGE)),
    ],
)
def test_sizes_that_lie(data: bytes) -> None:
    error = read_bytes(data)
    assert error is not None
    assert error.offset <= len(data)


@pytest.mark.parametrize("code", sorted(TYPES_BY_CODE))
@pytest.mark.parametrize("known", [True, False])
def test_a_count_that_lies_in_a_value_of_any_type(code: int, known: bool) -> None:
    name = "label" if known else "no such"
    for count in (100, HUGE, (1 << 64) - 1):
        body = unsigned(code) + b"\0" + text(name) + b"\0\0" + unsigned(count) + b"\xff"
        error = read_bytes(one_record("SphereGeometry", "s", body))
        assert error is not None
        assert error.object == "s"


def test_an_error_names_file_object_attribute_and_offset(tmp_path: Path) -> None:
    file = tmp_path / "bad.rdlb"
    data = one_record("SphereGeometry", "s", b"\7\0" + text("radius") + b"\0\0\1\2")
    file.write_bytes(data)
    with pytest.raises(SceneError, match=r"bad\.rdlb: broken binary scene: 4 bytes expected, 2 left") as caught:
        read_scene([file])
    error = caught.value
    assert error.fields == {"file": str(file), "object": "s", "attribute": "radius", "offset": len(data) - 2}
    # an attribute that was read well is not blamed for what comes after it
    file.write_bytes(one_record("SphereGeometry", "s", b"\7\0" + text("radius") + b"\0\0" + b"\0" * 5 + b"more"))
    with pytest.raises(SceneError, match="begins with 109") as caught:
        read_scene([file])
    assert "attribute" not in caught.value.fields


def test_a_row_that_no_layer_can_have_is_told_with_its_place() -> None:
    columns = b"\x23\0" + text("geometries") + b"\0\0\1" + b"\x0e\1SphereGeometryg"
    columns += b"\x22\0" + text("lightsets") + b"\0\0\1" + b"\x0e\1SphereGeometryh"
    with pytest.raises(SceneError, match="cannot be assigned by a layer") as caught:
        rdlb.decode(one_record("Layer", "l", columns + b"\0\0"), file="x.rdlb")
    assert caught.value.fields.keys() == {"file", "object", "offset"}


def test_a_name_of_two_classes_is_told_with_its_place() -> None:
    reference = b"\x21\0" + text("dicing_camera") + b"\0\0\x0a\1ThinCamerax"
    assert read_bytes(one_record("SphereGeometry", "x", reference + b"\0\0")) is None  # no such class: a warning
    reference = b"\x21\0" + text("dicing_camera") + b"\0\0\x0d\1FisheyeCamerax"
    with pytest.raises(SceneError, match="the name belongs to a SphereGeometry") as caught:
        rdlb.decode(one_record("SphereGeometry", "x", reference + b"\0\0"), file="x.rdlb")
    assert caught.value.file == "x.rdlb"
    assert caught.value.offset > 0


def test_warnings_name_the_file() -> None:
    body = b"\7\0" + text("no_such") + b"\0\0" + b"\0" * 4
    body += b"\3\0" + text("mesh_resolution") + b"\0\0" + signed(1 << 40) + b"\0\0"
    context = rdlb.decode(one_record("SphereGeometry", "s", body), file="a.rdlb")
    rdlb.decode(one_record("NoClass", "n", b"anything"), context, "b.rdlb")
    assert [(warning.file, warning.object, warning.attribute) for warning in context.warnings] == [
        ("a.rdlb", "s", "no_such"),
        ("a.rdlb", "s", "mesh_resolution"),
        ("b.rdlb", "n", ""),
    ]


def test_integers_that_fit_in_no_int_are_a_warning_and_the_rest_is_read() -> None:
    body = b"\4\0" + text("face_vertex_count") + b"\0\0\2" + signed(3) + signed(1 << 40)
    body += b"\4\0" + text("vertices_by_index") + b"\0\0\2" + signed(3) + signed(4) + b"\0\0"
    context = SceneContext.from_bytes(one_record("RdlMeshGeometry", "m", body))
    assert [str(warning) for warning in context.warnings] == [
        "m.face_vertex_count: bad element #2 in table: 1099511627776 does not fit in 32 bits"
    ]
    assert context["m"].get("face_vertex_count").tolist() == []
    assert context["m"].get("vertices_by_index").tolist() == [3, 4]


def test_a_binding_to_an_object_of_no_known_class_leaves_the_one_there_is() -> None:
    context = SceneContext()
    material, image = context.create("DwaBaseMaterial", "m"), context.create("ImageMap", "i")
    material.bind("albedo", image)
    body = b"\0\1\0" + text("albedo") + text("NoMap") + text("n") + b"\0"
    rdlb.decode(one_record("DwaBaseMaterial", "m", body), context)
    assert material.binding("albedo") is image
    assert [warning.object for warning in context.warnings] == ["n"]


def test_nothing_of_a_scene_refers_to_the_bytes_it_was_read_from() -> None:
    source = bytearray(small_scene())
    context = rdlb.decode(memoryview(source))
    before = context.to_bytes()
    source[:] = bytes(len(source))
    assert context.to_bytes() == before
    assert not context["mesh"].get("vertex_list_0").flags.writeable
    assert not context["mesh"].get("vertices_by_index").flags.writeable
