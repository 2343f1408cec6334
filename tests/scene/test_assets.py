"""The files a scene names: which attributes, at which frame, and whether they are there."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from arras_ray.scene import SceneContext, assets, frame_path
from arras_ray.scene.assets import is_there


@pytest.mark.parametrize(
    ("text", "frame", "expected"),
    [
        ("a.exr", 7, "a.exr"),
        ("a.####.exr", 7, "a.0007.exr"),
        ("a.##.exr", 12345, "a.12345.exr"),
        ("v#/a.###.exr", 12.9, "v12/a.012.exr"),
        ("a.####.exr", -3, "a.-003.exr"),
        ("a.#.exr", math.nan, "a.#.exr"),
        ("a.#.exr", math.inf, "a.#.exr"),
        ("", 1, ""),
    ],
)
def test_frame_numbers(text: str, frame: float, expected: str) -> None:
    assert frame_path(text, frame) == expected


def named(context: SceneContext) -> list[tuple[str, str, str, str, bool]]:
    return [(one.object.name, one.attribute, one.path, one.file, one.found) for one in assets(context)]


def test_files_are_looked_for_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.0004.exr").touch()
    (tmp_path / "folder.exr").mkdir()
    context = SceneContext()
    context.variables.set("frame", 4)
    for name, path in {
        "/there": "here.####.exr",
        "/absolute": str(tmp_path / "here.0004.exr"),
        "/gone": "gone.exr",
        "/folder": "folder.exr",
        "/empty": "",
    }.items():
        context.create("ImageMap", name).set("texture", path)
    context.create("ImageMap", "/unset")
    context.create("VdbGeometry", "/smoke").set("model", "smoke.vdb")
    context.create("SphereGeometry", "/ball").set("label", "label.exr")
    absolute = str(tmp_path / "here.0004.exr")
    assert named(context) == [
        ("/there", "texture", "here.####.exr", "here.0004.exr", True),
        ("/absolute", "texture", absolute, absolute, True),
        ("/gone", "texture", "gone.exr", "gone.exr", False),
        ("/folder", "texture", "folder.exr", "folder.exr", False),
        ("/smoke", "model", "smoke.vdb", "smoke.vdb", False),
    ]


@pytest.mark.parametrize(
    ("file", "found"),
    [
        ("skin[1].<UDIM>.exr", True),
        ("skin[1].<udim>.exr", True),
        ("skin[1].<UDIM>.tx", False),
        ("skin[2].<UDIM>.exr", False),
        ("*.<UDIM>.exr", False),
        ("skin[1].<UDIM>", False),
        ("folder.<UDIM>.exr", False),
    ],
)
def test_any_tile_will_do(file: str, found: bool, tmp_path: Path) -> None:
    (tmp_path / "skin[1].1012.exr").touch()
    (tmp_path / "folder.1001.exr").mkdir()
    assert is_there(f"{tmp_path}/{file}") is found


@pytest.mark.parametrize("file", ["\0", "a\0<UDIM>", "\ud800", "\ud800<UDIM>", "x" * 5000, "x" * 5000 + "<UDIM>"])
def test_names_no_file_can_have(file: str) -> None:
    assert not is_there(file)
