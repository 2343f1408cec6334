"""dofile: files beside the scene, in the same Lua state, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from arras_ray.errors import SceneError
from arras_ray.scene import Limits, SceneContext, number_lists, read_delta, read_scene


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file outside of it."""
    (tmp_path / "outside.rdla").write_text("RectLight('outside')")
    made = tmp_path / "scenes"
    made.mkdir()
    return made


def read(folder: Path, source: str, **files: str) -> SceneContext:
    """Reads a program as main.rdla, with other files beside it: a__b is a/b.rdla."""
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".rdla")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (folder / "main.rdla").write_text(source)
    return read_scene([folder / "main.rdla"], limits=Limits(instructions=5_000_000, memory=64 << 20))


def test_a_file_runs_in_the_same_state_and_gives_values(folder: Path) -> None:
    context = read(
        folder,
        "scale_of = 3\nlocal radius, name = dofile('parts/ball.rdla')\nSphereGeometry(name) { ['radius'] = radius }"
        "\nball('second')",
        parts__ball="function ball(name) return SphereGeometry(name) end\nreturn scale_of * 2, 'first'",
    )
    assert context["first"].get("radius") == 6.0
    assert "second" in context
    assert [Path(file).name for file in context.files] == ["main.rdla", "ball.rdla"]


def test_paths_count_from_the_folder_of_the_scene(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"parts__a": "dofile('parts/b.rdla')", "parts__b": "RectLight('b')"}
    assert "b" in read(folder, "dofile('parts/../parts/a.rdla')", **files)
    assert "b" in read(folder, f"dofile('{folder}/parts/a.rdla')")
    monkeypatch.chdir(folder.parent)
    assert "b" in read_scene(["scenes/main.rdla"])
    monkeypatch.chdir(folder)
    assert "b" in read_scene(["main.rdla"])


def test_links_inside_are_followed(folder: Path) -> None:
    (folder / "link.rdla").symlink_to(folder / "real.rdla")
    assert "x" in read(folder, "dofile('link.rdla')", real="RectLight('x')")
    alias = folder.parent / "alias"
    alias.symlink_to(folder)
    assert "x" in read_scene([alias / "main.rdla"])


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("../outside.rdla", "is outside the folder"),
        ("parts/../../outside.rdla", "is outside the folder"),
        ("link.rdla", "is outside the folder"),
        ("linked/outside.rdla", "is outside the folder"),
        ("/etc/passwd", "is outside the folder"),
        ("/dev/zero", "is outside the folder"),
        ("/proc/self/environ", "is outside the folder"),
        ("no.rdla", "there is no such file"),
        ("main.rdla/x", "cannot be read"),
        (".", "is no file"),
        ("pipe", "is no file"),
        ("circle", "cannot be read"),
        ("a\\0b", "cannot be read"),
        ("x" * 300, "cannot be read"),
    ],
)
def test_what_is_no_file_of_the_scene(folder: Path, path: str, message: str) -> None:
    (folder / "link.rdla").symlink_to(folder.parent / "outside.rdla")
    (folder / "linked").symlink_to(folder.parent)
    (folder / "circle").symlink_to(folder / "circle")
    (folder / "parts").mkdir()
    os.mkfifo(folder / "pipe")
    with pytest.raises(SceneError) as caught:
        read(folder, f"\nlocal x = dofile('{path}')")
    assert message in caught.value.message
    assert caught.value.place == f"{folder / 'main.rdla'}:2"
    assert "folder" in caught.value.hint or "paths count from" in caught.value.hint


@pytest.mark.parametrize("argument", ["", "nil", "5", "{}"])
def test_a_path_is_a_string(folder: Path, argument: str) -> None:
    with pytest.raises(SceneError, match="bad argument #1 to 'dofile'"):
        read(folder, f"dofile({argument})")


def test_errors_and_warnings_name_the_file_and_line_inside(folder: Path) -> None:
    context = read(folder, "dofile('a.rdla')", a="\n\nRectLight('x')['bad'] = 1")
    assert (Path(context.warnings[0].file).name, context.warnings[0].line) == ("a.rdla", 3)
    for text, message in [
        ("\nlocal x = nil\nlocal y = x.z", "attempt to index a nil value"),
        ("\n\nlocal x = = 1", "Lua syntax error: unexpected symbol"),
        ("\n\nRectLigth('x')", "'RectLigth' is neither"),
    ]:
        with pytest.raises(SceneError) as caught:
            read(folder, "local x\n\n\n\n\ndofile('a.rdla')", a=text)
        assert message in caught.value.message
        assert caught.value.place == f"{folder / 'a.rdla'}:3"
        assert caught.value.hint or "nil" in message
    with pytest.raises(SceneError, match="attempt to load a binary chunk"):
        read(folder, "dofile('a.rdla')", a="\x1bLua")


def test_an_error_inside_can_be_caught(folder: Path) -> None:
    source = """
        for i = 1, 100 do assert(not pcall(dofile, 'a.rdla')) end
        assert(not pcall(dofile, 'b.rdla') and not pcall(dofile, 'no.rdla'))
        assert(select('#', dofile('c.rdla')) == 0)
    """
    context = read(folder, source, a="error('x')", b="= syntax", c="")
    assert len(context.files) == 4


def test_a_file_inside_itself_ends(folder: Path) -> None:
    with pytest.raises(SceneError, match=r"is the 32th file inside another") as caught:
        read(folder, "dofile('main.rdla')")
    assert caught.value.place == f"{folder / 'main.rdla'}:1"
    with pytest.raises(SceneError, match="did not end within"):
        read(folder, "dofile('a.rdla')", a="while true do pcall(dofile, 'a.rdla') end")


def test_a_file_counts_into_the_limits(folder: Path) -> None:
    with pytest.raises(SceneError, match="did not end within 5,000,000 Lua instructions"):
        read(folder, "while true do dofile('a.rdla') end", a="")
    with pytest.raises(SceneError, match="did not end within"):
        read(folder, "dofile('a.rdla')", a="while true do end")
    with pytest.raises(SceneError, match="needs more than 64 MB of memory"):
        read(folder, "dofile('a.rdla')", a="local s = ('x'):rep(1 << 27)")
    with (folder / "large.rdla").open("wb") as file:
        file.truncate(65 << 20)
    with pytest.raises(SceneError, match="is larger than the memory that is left"):
        read(folder, "dofile('large.rdla')")


def test_lists_of_numbers_are_taken_out_there_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(number_lists, "SHORTEST", 4)
    context = read(
        folder,
        "first = {1, 2, 3}\nlocal list = dofile('a.rdla')\n"
        "UserData('u') { ['int_values'] = first, ['float_values_0'] = list }",
        a="local list = {4, 5.5}\nreturn list",
    )
    assert context["u"].get("int_values").tolist() == [1, 2, 3]
    assert context["u"].get("float_values_0").tolist() == [4, 5.5]


def test_the_first_line_and_mark_of_a_file(folder: Path) -> None:
    assert "x" in read(folder, "dofile('a.rdla')", a="\ufeff#!/usr/bin/lua\nRectLight('x')")


def test_a_delta_has_the_folder_of_its_own_file(folder: Path) -> None:
    context = read(folder, "RectLight('x')")
    other = folder.parent / "deltas"
    other.mkdir()
    (other / "part.rdla").write_text("RectLight('x')['width'] = 5")
    (other / "delta.rdla").write_text("dofile('part.rdla')")
    read_delta(context, other / "delta.rdla")
    assert context["x"].get("width") == 5.0
