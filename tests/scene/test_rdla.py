"""RDLA: objects, values, bindings, blur, arithmetic, transforms, globals."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scene_reader import Reader

from arras_ray.errors import SceneError
from arras_ray.scene import BEGIN, END, Rgb, Vec3


def test_create_or_get_and_mass_set(read: Reader) -> None:
    context = read("""
        local a = SphereGeometry("s") { ["radius"] = 2, ["zmin"] = -2 }
        assert(SphereGeometry("s") == a and SphereGeometry("s") { ["radius"] = 3 } == a)
        a["zmax"] = a["radius"] + 1
        assert(a["zmax"] == 4 and type(a) == "userdata" and tostring(a) == 'SphereGeometry("s")')
        assert(SceneClass("NoSuchClass") == nil and SceneClass("Camera") ~= nil)
        assert(SceneObject(SceneClass("SphereGeometry"), "s") == a)
    """)
    sphere = context["s"]
    assert [sphere.get(name) for name in ("radius", "zmin", "zmax")] == [3.0, -2.0, 4.0]
    assert context.warnings == []


def test_scene_variables_and_aliases(read: Reader) -> None:
    context = read("""
        SceneVariables { ["image width"] = 640, ["camera"] = Camera("c") }
        SceneVariables["image_height"] = 360
        assert(SceneVariables["image_width"] == 640)
    """)
    assert context.variables.get("image_width") == 640
    assert context.variables.get("image height") == 360
    assert repr(context["c"]) == 'PerspectiveCamera("c")'
    assert context.variables.get("camera") is context["c"]


def test_one_lua_state_for_all_files(read: Reader) -> None:
    context = read("size = 3\nfunction ball(n) return SphereGeometry(n) end", "ball('b') { ['radius'] = size }")
    assert context["b"].get("radius") == 3.0
    assert [Path(file).name for file in context.files] == ["1.rdla", "2.rdla"]


def test_values_of_every_kind(read: Reader) -> None:
    context = read(r"""
        UserData("u") {
            ["bool_values"] = {true, false},
            ["int_values"] = {1, 2.9, "3"},
            ["float_values_0"] = {1, 2.5, 3},
            ["string_values"] = {"a", 7, "\xff\x00é"},
            ["color_values_0"] = {Rgb(1, 0.5, 0)},
            ["vec2f_values_0"] = {Vec2(1, 2), Vec2(3, 4)},
            ["vec3f_values_0"] = {},
            ["mat4f_values_0"] = {translate(1, 2, 3), scale(2, 2, 2)},
            ["rate"] = "face varying",
        }
        RectLight("l") { ["color"] = Rgb(0.1, 0.2, 0.3), ["width"] = "2.5", ["on"] = false, ["label"] = 12,
                         ["temperature"] = Vec3(1, 2, 3), ["light_filters"] = {undef()} }
    """)
    assert context.warnings == []
    data = context["u"]
    assert data.get("bool_values").tolist() == [True, False]
    assert data.get("int_values").tolist() == [1, 2, 3]
    assert data.get("float_values_0").tolist() == [1, 2.5, 3]
    assert data.get("string_values") == ("a", "7", "\udcff\0é")
    assert data.get("color_values_0").tolist() == [[1, 0.5, 0]]
    assert data.get("vec2f_values_0").tolist() == [[1, 2], [3, 4]]
    assert data.get("vec3f_values_0").shape == (0, 3)
    assert data.get("mat4f_values_0")[:, 3].tolist() == [[1, 2, 3, 1], [0, 0, 0, 1]]
    assert data.get("rate") == 6
    light = context["l"]
    assert light.get("color") == tuple(float(np.float32(x)) for x in (0.1, 0.2, 0.3))
    assert light.get("width") == 2.5
    assert light.get("on") is False
    assert light.get("label") == "12"
    assert light.get("temperature") == Vec3(1, 2, 3)
    assert light.get("light_filters") == (None,)


@pytest.mark.parametrize("count", [0, 1, 79, 80, 81, 239, 240, 241, 1000])
def test_lists_of_any_length(read: Reader, count: int) -> None:
    context = read(f"""
        local points, numbers, names, colors = {{}}, {{}}, {{}}, {{}}
        for i = 1, {count} do
            points[i], numbers[i], names[i], colors[i] = Vec3(i, 2 * i, 0.5), i, "n" .. i, Rgb(i, 0, 1)
        end
        RdlMeshGeometry("m") {{ ["vertex_list_0"] = points, ["face_vertex_count"] = numbers, ["part_list"] = names }}
        UserData("u") {{ ["color_values_0"] = colors }}
    """)
    mesh = context["m"]
    i = np.arange(1, count + 1)
    expected = np.stack([i, 2 * i, np.full(count, 0.5)], axis=1)
    np.testing.assert_array_equal(mesh.get("vertex_list_0"), expected)
    np.testing.assert_array_equal(mesh.get("face_vertex_count"), i)
    assert mesh.get("part_list") == tuple(f"n{k}" for k in i)
    np.testing.assert_array_equal(context["u"].get("color_values_0")[:, 0], i)


def test_reading_attributes_back(read: Reader) -> None:
    read("""
        local m = RdlMeshGeometry("m") { ["vertex_list_0"] = {Vec3(1, 2, 3), Vec3(4, 5, 6)}, ["is_subd"] = false }
        local list = m["vertex_list_0"]
        assert(#list == 2 and list[2] == Vec3(4, 5, 6) and m["is_subd"] == false and m["label"] == "")
        assert(m["face_vertex_count"][1] == nil and #m["references"] == 0)
        local image = ImageMap("i")
        local d = DwaBaseMaterial("d") { ["albedo"] = bind(image, Rgb(1, 0, 0)) }
        DwaBaseMaterial("e") { ["albedo"] = d["albedo"] }
        SceneVariables { ["camera"] = Camera("c") { ["node_xform"] = translate(1, 2, 3) } }
        assert(SceneVariables["camera"] == Camera("c") and SceneVariables["layer"] == undef())
        Camera("copy") { ["node_xform"] = Camera("c")["node_xform"], ["focal"] = blur(1, 2) }
        Camera("again") { ["focal"] = Camera("copy")["focal"] }
        assert(UserData("u") { ["mat4f_values_0"] = {scale(2, 3, 4)} }["mat4f_values_0"][1][5] == 3)
    """)


def test_reading_gives_the_same_scene(read: Reader) -> None:
    context = read("""
        local image = ImageMap("i")
        local d = DwaBaseMaterial("d") { ["albedo"] = bind(image, Rgb(1, 0, 0)) }
        DwaBaseMaterial("e") { ["albedo"] = d["albedo"] }
        Camera("c") { ["focal"] = blur(1, 2), ["node_xform"] = blur(translate(1, 2, 3), translate(4, 5, 6)) }
        Camera("d2") { ["focal"] = Camera("c")["focal"], ["node_xform"] = Camera("c")["node_xform"] }
    """)
    assert context["e"].binding("albedo") is context["i"]
    assert context["e"].get("albedo") == Rgb(1, 0, 0)
    camera = context["d2"]
    assert (camera.get("focal", BEGIN), camera.get("focal", END)) == (1.0, 2.0)
    assert [camera.get("node_xform", step)[3, 0] for step in (BEGIN, END)] == [1, 4]


# --- bind and blur


def test_bind(read: Reader) -> None:
    context = read("""
        local map = ImageMap("map")
        local function material(name) return DwaBaseMaterial(name) end
        material("keeps value") { ["albedo"] = Rgb(1, 0, 0) } { ["albedo"] = bind(map) }
        material("sets both") { ["albedo"] = bind(map, Rgb(0, 1, 0)) }
        material("unbinds") { ["albedo"] = bind(map) } { ["albedo"] = bind(undef()) }
        material("unbinds, value") { ["albedo"] = bind(map) } { ["albedo"] = bind(undef(), Rgb(0, 0, 1)) }
        material("plain value unbinds") { ["albedo"] = bind(map) } { ["albedo"] = Rgb(0, 0, 1) }
        material("bad value unbinds") { ["albedo"] = bind(map) } { ["albedo"] = 5 }
    """)
    got = {
        item.name: (item.binding("albedo"), item.get("albedo"))
        for item in context.of_class("DwaBaseMaterial")
    }  # fmt: skip
    target, white = context["map"], Rgb(1, 1, 1)
    assert got == {
        "keeps value": (target, Rgb(1, 0, 0)),
        "sets both": (target, Rgb(0, 1, 0)),
        "unbinds": (None, white),
        "unbinds, value": (None, Rgb(0, 0, 1)),
        "plain value unbinds": (None, Rgb(0, 0, 1)),
        "bad value unbinds": (None, white),
    }
    assert [warning.object for warning in context.warnings] == ["bad value unbinds"]


def test_blur(read: Reader) -> None:
    context = read("""
        Camera("blurred") { ["focal"] = blur(10, 20) }
        Camera("plain") { ["focal"] = 30 }
        RectLight("not blurrable") { ["width"] = blur(1, 2) }
    """)
    assert context.warnings == []
    assert [context["blurred"].get("focal", step) for step in (BEGIN, END, None)] == [10.0, 20.0, 20.0]
    assert [context["plain"].get("focal", step) for step in (BEGIN, END)] == [30.0, 30.0]
    assert context["not blurrable"].get("width") == 2.0


# --- arithmetic, indexing, transforms


def test_arithmetic_and_indexing(read: Reader) -> None:
    read("""
        assert(Vec3(1, 2, 3) + Vec3(1, 1, 1) == Vec3(2, 3, 4) and Vec3(1, 2, 3) - Vec3(1, 1, 1) == Vec3(0, 1, 2))
        assert(Vec2(2, 3) * Vec2(4, 5) == Vec2(8, 15) and Vec4(2, 4, 6, 8) / Vec4(2, 2, 2, 2) == Vec4(1, 2, 3, 4))
        assert(-Rgb(1, 2, 3) == Rgb(-1, -2, -3) and Rgb(1, 2, 3) ~= Rgb(1, 2, 4))
        assert(Vec3(1, 2, 3) < Vec3(1, 3, 0) and not (Vec3(1, 2, 3) < Vec3(1, 2, 3)))
        local v = Vec4(1, 2, 3, 4)
        assert(v.x == 1 and v.w == 4 and v[0] == 1 and v[3] == 4)
        assert(Rgba(1, 2, 3, 0.5).a == 0.5 and Rgb(1, 2, 3)[2] == 3 and translate(5, 6, 7)[12] == 5)
        assert(Vec3(0.1, 0, 0).x == 0.1 and Rgb(0.1, 0, 0).r ~= 0.1 and math.abs(Rgb(0.1, 0, 0).r - 0.1) < 1e-7)
        assert(Rgb(1, 2, 3) ~= Vec3(1, 2, 3))
        assert(type(Vec2(1, 2)) == "userdata" and type({}) == "table" and type(nil) == "nil")
    """)


@pytest.mark.parametrize(
    "expression",
    [
        "Vec3(1, 2, 3) * 2",
        "Vec3(1, 2, 3) + Rgb(1, 2, 3)",
        "Rgba(1, 2, 3, 4) + Rgba(1, 2, 3, 4)",
        "translate(1, 2, 3) + translate(1, 2, 3)",
        "translate(1, 2, 3) * Vec3(1, 2, 3)",
        "Vec3(1, 2, 3).w",
        "Vec3(1, 2, 3)[3]",
        "Vec3(1, 2)",
        "Vec3(1, 2, 3, 4)",
        "Vec3(1, 2, '3')",
        "Vec2()",
        "Vec4(1, 2, 3)",
        "Rgb(1, 2)",
        "Rgb(1, 2, 3, 4)",
        "Rgba(1, 2, 3)",
        "Mat4(1, 2, 3)",
        "Mat4(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, nil)",
        "translate(1, 2)",
        "scale(1, 'a', 1)",
        "rotate(90, 0, 0)",
        "rotate(90, 0, 0, 0)",
        "blur(bind(undef()), bind(undef()))",
        "blur(blur(1, 2), blur(1, 2))",
        "blur({1}, {2})",
        "blur(1, 'a')",
        "blur(1)",
        "bind(1)",
        "bind()",
        "bind(undef(), bind(undef()))",
        "udim(3)",
        "RectLight(5)",
        "RectLight()",
        "SceneObject('RectLight', 'x')",
        "SceneClass(3)",
        "RectLight('')",
        "SceneVariables()",
        "RectLight('l')(5)",
        "#RectLight('l')",
        "RectLight('l').no_such_attribute",
        "RectLight('l')[1]",
        "pairs(RectLight('l'))",
        "pairs(Vec3(1, 2, 3))",
    ],
)
def test_misuse_ends_the_reading_with_a_line(read: Reader, expression: str) -> None:
    with pytest.raises(SceneError) as caught:
        read(f"\n\nlocal value = {expression}")
    assert caught.value.place.endswith("1.rdla:3")
    assert caught.value.message


def test_transforms_use_row_vectors(read: Reader) -> None:
    context = read("""
        Camera("trs") { ["node_xform"] = scale(2, 2, 2) * rotate(90, 0, 0, 5) * translate(10, 0, 0, 1) }
        Camera("numbers") { ["node_xform"] = Mat4(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16) }
        Camera("turned") { ["node_xform"] = rotate(30, 1, 2, 3) }
    """)
    moved = np.array([1, 0, 0, 1]) @ context["trs"].get("node_xform")
    np.testing.assert_allclose(moved, [10, 2, 0, 1], atol=1e-15)
    np.testing.assert_array_equal(context["numbers"].get("node_xform"), np.arange(1, 17).reshape(4, 4))
    turned = context["turned"].get("node_xform")[:3, :3]
    axis = np.array([1, 2, 3]) / math.sqrt(14)
    np.testing.assert_allclose(turned @ turned.T, np.eye(3), atol=1e-15)
    np.testing.assert_allclose(axis @ turned, axis, atol=1e-15)
    assert math.isclose(np.trace(turned), 1 + 2 * math.cos(math.radians(30)))
    # counter-clockwise: what is turned goes from v towards axis x v
    v = np.array([1.0, 0, 0])
    assert np.dot(np.cross(v, v @ turned), axis) > 0


def test_udim(read: Reader) -> None:
    read("""
        local keys, values = udim({[1002] = "b", [1001] = "a"})
        assert(#keys == 2 and keys[1] == 1001 and values[1] == "a" and keys[2] == 1002 and values[2] == "b")
    """)


# --- globals


def test_globals_are_strict(read: Reader) -> None:
    with pytest.raises(SceneError, match=r"'no_such' is neither a variable that was assigned before nor a scene class"):
        read("local x = no_such")
    with pytest.raises(SceneError, match=r"global variable 'y' cannot be made inside a function"):
        read("function f() y = 1 end f()")
    read("x = nil function f() x = 1 end f() assert(x == 1)")


def test_an_unknown_class_is_told_with_the_closest_one(read: Reader) -> None:
    with pytest.raises(SceneError, match="'RectLigth' is neither a variable") as caught:
        read("SphereLight('a')\nRectLigth('b') {}")
    assert caught.value.place.endswith("1.rdla:2")
    assert caught.value.hint == "did you mean RectLight?"
    with pytest.raises(SceneError, match="'Geometry' is neither"):
        read("Geometry('abstract classes have no objects')")


def test_a_name_belongs_to_one_class(read: Reader) -> None:
    with pytest.raises(SceneError, match=r'cannot make SphereLight\("x"\): the name belongs to a RectLight') as caught:
        read("RectLight('x')\n\nSphereLight('x')")
    assert caught.value.place.endswith("1.rdla:3")
    assert "names are shared" in caught.value.hint
