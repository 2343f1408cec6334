"""Values as text: every kind of attribute, what is refused, and that nothing but a ConversionError comes out."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arras_ray.errors import SceneError
from arras_ray.scene import (
    BEGIN,
    END,
    Attribute,
    ConversionError,
    Rgb,
    Rgba,
    SceneContext,
    Vec2,
    Vec3,
    Vec4,
    bind_from_text,
    set_from_text,
    value_from_text,
)
from arras_ray.scene.values import TYPES, same

KEY = "/lights/key.1:a"
LABELS = {"off": 0, "force on": 1, "3": 7}


@pytest.fixture(scope="module")
def context() -> SceneContext:
    context = SceneContext()
    context.create("SphereLight", KEY)
    context.create("SphereLight", "a, (b")
    context.create("DwaBaseMaterial", "undef")
    return context


def attribute(type_name: str, labels: dict[str, int] | None = None) -> Attribute:
    """One that holds values of a type."""
    return replace(SceneContext().variables.attribute("image_width"), type=TYPES[type_name], labels=labels or {})


def value(text: str, type_name: str, context: SceneContext | None = None, **more: Any) -> Any:
    return value_from_text(text, attribute(type_name, **more), context or SceneContext())


@pytest.mark.parametrize("text", ["1", "true", "on", "yes", "TRUE", " On ", '"yes"'])
def test_words_for_true(text: str) -> None:
    assert value(text, "bool") is True


@pytest.mark.parametrize("text", ["0", "false", "off", "no", "No"])
def test_words_for_false(text: str) -> None:
    assert value(text, "bool") is False


@pytest.mark.parametrize(
    ("text", "type_name", "expected"),
    [
        ("3", "int", 3),
        (" -7 ", "int", -7),
        ("0x10", "int", 16),
        ("3.9", "int", 3),
        ("'4'", "int", 4),
        ("2147483647", "int", 2147483647),
        ("9007199254740993", "long", 9007199254740993),
        ("-9223372036854775808", "long", -(1 << 63)),
        ("0.5", "float", 0.5),
        (".5", "float", 0.5),
        ("0.1", "float", float(np.float32(0.1))),
        ("0.1", "double", 0.1),
        ("1e3", "double", 1000.0),
        ("1e400", "double", math.inf),
        ("9" * 500, "double", math.inf),
        ("-inf", "float", -math.inf),
        ("0" * 5000 + "7", "float", 7.0),
        ("plain text", "string", "plain text"),
        ("  kept ", "string", "  kept "),
        ("", "string", ""),
        ('"in quotes "', "string", "in quotes "),
        ("'it\\'s'", "string", "it's"),
        (r'"C:\new \"x\" \\"', "string", r'C:\new "x" \\'.replace("\\\\", "\\")),
        ('"a" and "b"', "string", '"a" and "b"'),
        ("(1,2,3)", "Rgb", Rgb(1, 2, 3)),
        ("1,2,3", "Rgb", Rgb(1, 2, 3)),
        ("[ 1 , 2 , 3 ]", "Rgb", Rgb(1, 2, 3)),
        ("1 2 3", "Rgb", Rgb(1, 2, 3)),
        ("Rgb(1, 2, 3)", "Rgb", Rgb(1, 2, 3)),
        ('"1,2,3"', "Rgb", Rgb(1, 2, 3)),
        ("1,2,3,4", "Rgba", Rgba(1, 2, 3, 4)),
        ("1,2", "Vec2f", Vec2(1, 2)),
        ("-1.5,2e1,0", "Vec3d", Vec3(-1.5, 20, 0)),
        ("(1,2,3,4)", "Vec4d", Vec4(1, 2, 3, 4)),
    ],
)
def test_single_values(text: str, type_name: str, expected: object) -> None:
    found = value(text, type_name)
    assert found == expected
    assert type(found) is type(expected)


def test_a_number_that_is_none() -> None:
    assert math.isnan(value("nan", "float"))


MATRIX = np.arange(16.0).reshape(4, 4)


@pytest.mark.parametrize(
    "text",
    [
        ",".join(map(str, range(16))),
        "(" + ", ".join(map(str, range(16))) + ")",
        "Mat4(" + ", ".join(map(str, range(16))) + ")",
        " ".join(map(str, range(16))),
        "((0,1,2,3),(4,5,6,7),(8,9,10,11),(12,13,14,15))",
        "[0 1 2 3, 4 5 6 7, 8 9 10 11, 12 13 14 15]",
    ],
)
@pytest.mark.parametrize("type_name", ["Mat4f", "Mat4d"])
def test_matrices(text: str, type_name: str) -> None:
    found = value(text, type_name)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, MATRIX)


@pytest.mark.parametrize(
    ("text", "type_name", "expected"),
    [
        ("", "intVector", []),
        ("[]", "intVector", []),
        ("1,2,3", "intVector", [1, 2, 3]),
        ("[1, 2, 3,]", "intVector", [1, 2, 3]),
        ("{1 2}", "intVector", [1, 2]),
        ("5", "longVector", [5]),
        ("0.5,inf", "floatVector", [0.5, math.inf]),
        ("on,off", "boolVector", [True, False]),
        ("(1,2,3),(4,5,6)", "Vec3fVector", [[1, 2, 3], [4, 5, 6]]),
        ("[(1,2,3), (4,5,6)]", "Vec3fVector", [[1, 2, 3], [4, 5, 6]]),
        ("Vec3(1,2,3), Vec3(4,5,6)", "Vec3fVector", [[1, 2, 3], [4, 5, 6]]),
        ("[Vec3(1,2,3)]", "Vec3dVector", [[1, 2, 3]]),
        ("1,2,3,4,5,6", "RgbVector", [[1, 2, 3], [4, 5, 6]]),
        ("(1,2,3)", "RgbVector", [[1, 2, 3]]),
        (",".join(["1"] * 32), "Mat4fVector", np.ones((2, 4, 4))),
    ],
)
def test_vectors_of_numbers(text: str, type_name: str, expected: Any) -> None:
    found = value(text, type_name)
    kind = TYPES[type_name]
    assert found.dtype == kind.dtype
    np.testing.assert_array_equal(found, np.array(expected).reshape(-1, *kind.shape))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("[]", ()),
        ("a", ("a",)),
        ("a, b c ,d", ("a", "b c", "d")),
        ("[\"a, b\", 'c]', d(1,2)]", ("a, b", "c]", "d(1,2)")),
        ('a,"",b', ("a", "", "b")),
        (r'["a\", b", "c\\", d]', ('a", b', "c\\", "d")),
        ("it's,ok", ("it's", "ok")),
    ],
)
def test_vectors_of_strings(text: str, expected: tuple[str, ...]) -> None:
    assert value(text, "stringVector") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("force on", 1), ('"force on"', 1), (" off ", 0), ("3", 7), ("1", 1), ("99", 99), ("-1", -1)],
)
def test_enums(text: str, expected: int) -> None:
    assert value(text, "int", labels=LABELS) == expected


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (KEY, KEY),
        (f" {KEY} ", KEY),
        (f'"{KEY}"', KEY),
        (f'SphereLight("{KEY}")', KEY),
        (f"SphereLight( '{KEY}' )", KEY),
        ("a, (b", "a, (b"),
        ("undef", "undef"),
        ("", None),
        ('""', None),
        ("undef()", None),
    ],
)
def test_objects(text: str, name: str | None, context: SceneContext) -> None:
    assert value(text, "SceneObject", context) is (None if name is None else context[name])


@pytest.mark.parametrize("text", [f'[{KEY}, "a, (b"]', f'SphereLight("{KEY}"), SphereLight("a, (b")'])
def test_vectors_of_objects(text: str, context: SceneContext) -> None:
    assert value(text, "SceneObjectVector", context) == (context[KEY], context["a, (b"])


def test_a_vector_without_objects(context: SceneContext) -> None:
    assert value("", "SceneObjectVector", context) == ()


@pytest.mark.parametrize(
    ("text", "type_name", "told"),
    [
        ("maybe", "bool", "'maybe' is none of 1, true, on"),
        ("", "bool", "'' is none of"),
        ("one", "int", "'one' is no number"),
        ("", "float", "'' is no number"),
        ("1_000", "int", "'1_000' is no number"),
        ("\u0661", "int", "is no number"),
        ("inf", "int", "expected a whole number, got inf"),
        ("2147483648", "int", "does not fit in 32 bits"),
        ("1,2", "Rgb", "expected 3 numbers for one Rgb, got 2"),
        ("1,,3", "Rgb", "'' is no number"),
        ("", "Vec3f", "expected 3 numbers for one Vec3, got 0"),
        ("Vec3(1,2,3)", "Rgb", "is no number"),
        ("Rgba(1,2,3)", "Rgb", "is no number"),
        ("(1,2,3", "Rgb", "has no partner"),
        ("1,2,3]", "Rgb", "has no partner"),
        ("1,2,3,4", "Vec3fVector", "expected 3 numbers for each Vec3, got 4"),
        ("(1,2,3),(4,5)", "Vec3fVector", "expected 3 numbers for one Vec3, got 2"),
        ("1,x", "floatVector", "'x' is no number"),
        ('"a,b', "stringVector", "has no partner"),
        ("[a(b, c]", "stringVector", "has no partner"),
        (",".join("1" * 15), "Mat4d", "expected 16 numbers for one Mat4, got 15"),
        ("/lights/ky.1:a", "SceneObject", "the scene has no object named '/lights/ky.1:a'"),
        (f'RectLight("{KEY}")', "SceneObject", f"'{KEY}' is a SphereLight, not a RectLight"),
    ],
)
def test_what_is_refused(text: str, type_name: str, told: str, context: SceneContext) -> None:
    with pytest.raises(ConversionError) as caught:
        value(text, type_name, context)
    assert told in caught.value.message


def test_an_unknown_label_is_told_with_those_there_are() -> None:
    with pytest.raises(ConversionError, match="'on' is none of the labels 'off', 'force on', '3'"):
        value("on", "int", labels=LABELS)


def test_an_unknown_object_comes_with_a_hint(context: SceneContext) -> None:
    with pytest.raises(ConversionError) as caught:
        value("/lights/ky.1:a", "SceneObject", context)
    assert caught.value.hint == f"did you mean '{KEY}'?"


def test_set_and_bind() -> None:
    context = SceneContext()
    material = context.create("DwaBaseMaterial", "/m")
    texture = context.create("ImageMap", "/t")
    bind_from_text(context, "/m", "albedo", 'ImageMap("/t")')
    assert material.binding("albedo") is texture
    set_from_text(context, "/m", "albedo", "1,0,0")
    assert material.get("albedo") == Rgb(1, 0, 0)
    assert material.binding("albedo") is None
    bind_from_text(context, "/m", "albedo", "/t")
    bind_from_text(context, "/m", "albedo", "")
    assert material.binding("albedo") is None
    assert material.get("albedo") == Rgb(1, 0, 0)


def test_what_moves_is_set_at_both_timesteps() -> None:
    context = SceneContext()
    ball = context.create("SphereGeometry", "/ball")
    ball.set_blur("node_xform", np.eye(4), 2 * np.eye(4))
    set_from_text(context, "/ball", "node xform", ",".join(map(str, range(16))))
    for step in (BEGIN, END):
        np.testing.assert_array_equal(ball.get("node_xform", step), MATRIX)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("/n", "albedo", "1,0,0"), "the scene has no object named '/n'"),
        (("", "albedo", "1,0,0"), "no object is named"),
        (("/m", "albdo", "1,0,0"), "no attribute named 'albdo' on class DwaBaseMaterial"),
        (("/m", "albedo", "red"), "'red' is no number"),
        (("/m", "input_normal", "/m"), 'DwaBaseMaterial("/m") is no normalmap'),
        (("/layer", "parts", "a"), "a layer is changed row by row"),
    ],
)
def test_setting_refuses(words: tuple[str, str, str], told: str) -> None:
    context = SceneContext()
    context.create("DwaBaseMaterial", "/m")
    context.create("Layer", "/layer")
    with pytest.raises(SceneError) as caught:
        set_from_text(context, *words)
    assert told in caught.value.message
    if words[0] == "/m":
        assert caught.value.fields == {"object": "/m", "attribute": words[1]}


def test_binding_refuses_what_cannot_be_bound() -> None:
    context = SceneContext()
    context.create("SphereGeometry", "/ball")
    context.create("ImageMap", "/t")
    with pytest.raises(ConversionError, match="cannot be bound"):
        bind_from_text(context, "/ball", "radius", "/t")


NUMBERS = st.floats(allow_nan=False, width=32)


@settings(deadline=None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS)), st.sampled_from(["[{}]", "({})", "{}"]))
def test_vectors_survive_their_text(vectors: list[tuple[float, float, float]], form: str) -> None:
    text = form.format(", ".join(f"({x!r}, {y!r}, {z!r})" for x, y, z in vectors))
    assert same(value(text, "Vec3fVector"), np.array(vectors, "<f4").reshape(-1, 3))


@settings(deadline=None)
@given(st.lists(st.text()))
def test_strings_in_quotes_survive(texts: list[str]) -> None:
    escaped = ('"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for text in texts)
    assert value(f"[{','.join(escaped)}]", "stringVector") == tuple(texts)


@settings(deadline=None)
@given(
    st.text(st.sampled_from("([{}])\"'\\, 1-.e+xinfab\n\0é\udcff"), max_size=30) | st.text(max_size=8),
    st.sampled_from(sorted(TYPES)),
)
def test_any_text_is_a_value_or_a_conversion_error(text: str, type_name: str) -> None:
    with suppress(ConversionError):
        value(text, type_name, labels=LABELS if type_name == "int" else None)
