"""RDLA that goes wrong: what is skipped with a warning, what ends the reading, and files that are none."""

from __future__ import annotations

from pathlib import Path

import pytest
from scene_reader import Reader

from arras_ray.errors import SceneError
from arras_ray.scene import read_scene


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ('RectLight("x") { ["widht"] = 1 }', "no attribute named 'widht' on class RectLight; did you mean 'width'?"),
        ('RectLight("x")["Width"] = 1', "no attribute named 'Width'"),
        ('RectLight("x")["width"] = true', "expected a number, got a boolean"),
        ('RectLight("x")["width"] = nil', "a nil cannot be the value"),
        ('RectLight("x")["width"] = print', "a function cannot be the value"),
        ('RectLight("x")["width"] = {1}', "expected a number, got a list"),
        ('RectLight("x")["on"] = 1', "expected true or false, got a number"),
        ('RectLight("x")["color"] = Vec3(1, 2, 3)', "expected Rgb, got Vec3"),
        ('RectLight("x")["label"] = undef()', "expected a string, got nothing"),
        ('RectLight("x")["sidedness"] = "both"', "'both' is none of the labels 'regular', 'reverse', '2-sided'"),
        ('RectLight("x")["node_xform"] = 1', "expected Mat4, got a number"),
        ('RectLight("x")["width"] = bind(ImageMap("i"))', "the attribute cannot be bound"),
        ('RectLight("x")["light_filters"] = RectLight("x")', "expected a list of objects"),
        ('RectLight("x")["light_filters"] = {1}', "bad element #1 in table: expected an object, got a number"),
        ('DwaBaseMaterial("x")["input_normal"] = RectLight("r")', 'RectLight("r") is no normalmap'),
        ('VectorDisplacement("x")["vector"] = bind(RectLight("r"))', 'RectLight("r") is no map'),
        ('SceneVariables["camera"] = RectLight("r")', 'RectLight("r") is no camera'),
        ('SceneVariables["layer"] = ShadowReceiverSet("r")', 'ShadowReceiverSet("r") is no layer'),
        ('UserData("x")["float_values_0"] = {1, 2, {}}', "bad element #3 in table: a table cannot be the value"),
        ('UserData("x")["float_values_0"] = {1, "x"}', "bad element #2 in table: expected a number, got a string"),
        (
            'UserData("x")["vec3f_values_0"] = {Vec3(1, 2, 3), 1}',
            "bad element #2 in table: expected Vec3, got a number",
        ),
        ('UserData("x")["vec3f_values_0"] = {Rgb(1, 2, 3)}', "bad element #1 in table: expected Vec3, got Rgb"),
        ('UserData("x")["int_values"] = {1, 1e10}', "10000000000 does not fit in 32 bits"),
    ],
)
def test_a_wrong_value_is_skipped_with_a_warning(read: Reader, source: str, message: str) -> None:
    context = read("\n" + source)
    (warning,) = context.warnings
    assert message in warning.message
    assert (Path(warning.file).name, warning.line) == ("1.rdla", 2)
    assert warning.object in ("x", "__SceneVariables__")
    assert warning.attribute
    assert str(warning).startswith(f"{warning.file}:2: {warning.object}.{warning.attribute}: ")
    owner = context[warning.object]
    if owner.scene_class.find(warning.attribute):
        assert owner.is_default(warning.attribute)


def test_out_of_range_numbers_are_taken(read: Reader) -> None:
    context = read('RectLight("x") { ["width"] = -5, ["sidedness"] = 99 }')
    assert context.warnings == []
    assert context["x"].get("sidedness") == 99


def test_warnings_come_in_a_fixed_order(read: Reader) -> None:
    context = read('RectLight("x") { ["d"] = 1, ["b"] = 1, ["a"] = 1, ["c"] = 1 }')
    assert [warning.attribute for warning in context.warnings] == ["a", "b", "c", "d"]


def test_a_value_without_a_name_ends_the_reading(read: Reader) -> None:
    with pytest.raises(SceneError, match=r"every value needs its attribute's name"):
        read('RectLight("x") { 1 }')


def test_a_warning_inside_a_called_function_names_its_line_there(read: Reader) -> None:
    context = read("function make()\n  RectLight('x')['bad'] = 1\nend", "\n\n\nmake()")
    (warning,) = context.warnings
    assert (Path(warning.file).name, warning.line) == ("1.rdla", 2)


def test_an_error_inside_a_called_function_names_its_file(read: Reader) -> None:
    with pytest.raises(SceneError, match="attempt to index a nil value") as caught:
        read("function make(t)\n  return t.x\nend", "\n\n\nlocal x = make(nil)")
    assert caught.value.place.endswith("1.rdla:2")


@pytest.mark.parametrize("source", ["RectLight('x') {", "local x = = 1", "for", "RectLight('x') { ['a' = 1 }"])
def test_a_syntax_error_has_a_line(read: Reader, source: str) -> None:
    with pytest.raises(SceneError, match="Lua syntax error") as caught:
        read("\n\n" + source)
    assert caught.value.place.endswith("1.rdla:3")
    assert "#1" not in caught.value.message


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    missing = tmp_path / "no.rdla"
    with pytest.raises(SceneError, match="there is no such scene file") as caught:
        read_scene([missing])
    assert caught.value.place == str(missing)
    with pytest.raises(SceneError, match="there is no such scene file") as caught:
        read_scene([tmp_path / "nowhere" / "no.rdla"])
    assert "there is no folder" in caught.value.hint
    folder = tmp_path / "folder.rdla"
    folder.mkdir()
    with pytest.raises(SceneError, match="cannot be read: Is a directory"):
        read_scene([folder])
    with pytest.raises(SceneError, match=r"its name ends in '\.usd'"):
        read_scene([tmp_path / "x.usd"])
    with pytest.raises(SceneError, match="no scene file was given"):
        read_scene([])


def test_a_binary_file_with_the_name_of_a_scene(read: Reader) -> None:
    with pytest.raises(SceneError, match="Lua syntax error: attempt to load a binary chunk"):
        read(b"\x1bLua\x54\x00")


def test_byte_order_mark_upper_case_and_first_line(read: Reader, tmp_path: Path) -> None:
    context = read(b"\xef\xbb\xbf#!/usr/bin/env lua\nRectLight('x')['bad'] = 1")
    assert context.warnings[0].line == 2
    (tmp_path / "UP.RDLA").write_text("RectLight('x')")
    assert "x" in read_scene([tmp_path / "UP.RDLA"])


def test_names_that_are_no_ascii(read: Reader) -> None:
    context = read('RectLight("lumière") { ["label"] = "\xff" }'.encode("latin-1"), 'RectLight("été")')
    assert "été" in context
    latin = context.of_class("RectLight")[0]
    assert latin.name.encode("utf-8", "surrogateescape") == b"lumi\xe8re"
    assert latin.get("label").encode("utf-8", "surrogateescape") == b"\xff"
