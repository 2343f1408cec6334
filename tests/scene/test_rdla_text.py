"""RDLA as bytes: encodings, line ends, strange and huge texts; and variables that are set from outside."""

from __future__ import annotations

from pathlib import Path

import pytest
from scene_reader import Reader

from arras_ray.errors import SceneError
from arras_ray.scene import Limits, SceneContext, read_scene, write_scene
from arras_ray.scene.rdla import RdlaReader


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("start", ["", "\ufeff", "#!/usr/bin/env lua@", "\ufeff#!lua@", "#@"])
def test_line_ends_mark_and_first_line(read: Reader, newline: str, start: str) -> None:
    source = (start + "@RectLight('x')@['bad'] = 1").replace("@", newline)
    context = read(source.encode())
    assert context.warnings[0].line == 3 + ("@" in start)


def test_a_first_line_alone(read: Reader) -> None:
    for source in (b"", b"#", b"#!lua", b"\xef\xbb\xbf", b"\n", b"-- nothing"):
        assert len(read(source)) == 1


def test_bytes_that_are_no_utf8(read: Reader) -> None:
    context = read(b"local x = RectLight('\xff\xfe') { ['label'] = '\x80\\0\x00z' } assert(x.label == '\x80\\0\\0z')")
    (light,) = context.of_class("RectLight")
    assert light.name.encode("utf-8", "surrogateescape") == b"\xff\xfe"
    assert light.get("label").encode("utf-8", "surrogateescape") == b"\x80\0\0z"
    assert SceneContext.from_bytes(context.to_bytes()) == context
    for source in (b"RectLight('\xff') SphereLight('\xff')", b"error('\xff')", b"_G['\xff']()", b"\xff = 1"):
        with pytest.raises(SceneError) as caught:
            read(source)
        assert caught.value.line == 1
    with pytest.raises(SceneError, match="no attribute named"):
        read(b"RectLight('x')['\xff'] = 1", strict=True)


@pytest.mark.parametrize("source", [b"\0", b"RectLight('x')\0", b"local x\0 = 1", b"-- \0\n\0"])
def test_zero_bytes_outside_of_strings(read: Reader, source: bytes) -> None:
    with pytest.raises(SceneError, match="Lua syntax error") as caught:
        read(source)
    assert caught.value.line == 1 + source.count(b"\n")


def test_zero_bytes_in_comments_and_names(read: Reader) -> None:
    context = read(b"-- \0\nRectLight('a\0b') RectLight('a')")
    assert [item.name for item in context][1:] == ["a\0b", "a"]


def test_a_string_of_a_hundred_megabytes() -> None:
    context = SceneContext()
    source = b"RectLight('x') { ['label'] = '" + b"\xc3\xa9" * 50_000_000 + b"' }"
    RdlaReader(context, Limits()).run(source, "x.rdla")
    assert len(context["x"].get("label")) == 50_000_000


def test_a_string_beyond_the_limit(read: Reader) -> None:
    with pytest.raises(SceneError, match="needs more than 500 MB of memory"):
        read("RectLight('x')['label'] = ('x'):rep(1 << 30)", limits=Limits(memory=500 << 20))
    with pytest.raises(SceneError, match="needs more than 1 MB of memory"):
        read("RectLight('x')['label'] = '" + "x" * (2 << 20) + "'", limits=Limits(memory=1 << 20))


def test_bindings_and_references_in_a_circle(read: Reader, tmp_path: Path) -> None:
    context = read("""
        local a, b = ColorCorrectMap("a"), ColorCorrectMap("b")
        a { ["input"] = bind(b, Rgb(1, 0, 0)) }
        b { ["input"] = bind(a) }
        a["input"] = a["input"]
        local own = ColorCorrectMap("own")
        own["input"] = bind(own)
        local g = RdlInstancerGeometry("g")
        g["references"] = {g}
        assert(g["references"][1] == g)
    """)
    assert context.warnings == []
    assert context["a"].binding("input") is context["b"]
    assert context["b"].binding("input") is context["a"]
    assert context["own"].binding("input") is context["own"]
    assert SceneContext.from_bytes(context.to_bytes()) == context
    assert read_scene(write_scene(context, tmp_path / "again.rdla")) == context


# --- variables


def test_variables_are_set_before_the_first_program(read: Reader) -> None:
    context = read(
        "RectLight('l') { ['width'] = size, ['color'] = color, ['label'] = name .. list[2] }",
        variables={"size": "2 * 3 -- a comment", "color": "Rgb(1, 0, 0)", "name": "'x; y'", "list": "{1, size}"},
    )
    assert context["l"].get("width") == 6.0
    assert context["l"].get("label") == "x; y6"


@pytest.mark.parametrize(
    "name", ["", "a b", "a.b", "a[1]", "1a", "é", "a; os", "a, b", "local a", "end", "nil", "function", "a\n", "a -- "]
)
def test_a_name_that_is_none(read: Reader, name: str) -> None:
    with pytest.raises(SceneError, match="cannot be the name of a Lua variable") as caught:
        read("", variables={name: "1"})
    assert "letters, digits and _" in caught.value.hint


@pytest.mark.parametrize(
    "expression",
    ["1; os.exit()", "1) os.exit() x = (2", "1) end os.exit() do (", "", " ", "1 --[[", "x = 1", "return 1", "1 2"]
    + ["1); os.exit(", "'unfinished", "1 --\nos.exit()", "local x = 1", "1\0", "]]", "1;"],
)
def test_an_expression_that_is_none(read: Reader, expression: str) -> None:
    with pytest.raises(SceneError, match="is not one Lua expression") as caught:
        read("", variables={"x": expression})
    assert caught.value.file == "the value of x"


def test_an_expression_that_fails(read: Reader) -> None:
    with pytest.raises(SceneError, match="attempt to index a nil value") as caught:
        read("", variables={"x": "os.x.y"})
    assert caught.value.file == "the value of x"
    with pytest.raises(SceneError, match="did not end within"):
        read("", variables={"x": "(function() while true do end end)()"}, limits=Limits(instructions=1_000_000))
