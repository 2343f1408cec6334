"""Bad input, through the installed command: one sentence, a hint, an exit code, nothing left, no file damaged."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import SCENE, Run

Make = Callable[[Path], None]


def write(text: str) -> Make:
    return lambda path: path.write_text(text, encoding="utf-8") and None


def unreadable(path: Path) -> None:
    """A folder under a scene's name: root may read every file, but nobody this one."""
    path.mkdir()


SCENES: dict[str, tuple[Make, str]] = {
    "missing": (lambda path: None, "bad.rdla: there is no such scene file"),
    "unreadable": (unreadable, "bad.rdla: the scene file cannot be read"),
    "syntax error": (write('SphereGeometry("/a") {\n  ["radius" = 1\n}\n'), "bad.rdla:2: Lua syntax error"),
    "endless loop": (write("local i = 0\nwhile true do\n  i = i + 1\nend\n"), "did not end within"),
    "unknown class": (write('\n\nBallGeometry("/a") {}\n'), "bad.rdla:3: 'BallGeometry' is neither"),
    "no camera": (write(SCENE.replace("PerspectiveCamera", "UserData").replace('["camera"]', "-- ")), "has no camera"),
    "no layer": (write('PerspectiveCamera("/cam") {}\n'), "has no Layer"),
    "not Lua at all": (lambda path: path.write_bytes(bytes(range(256))) and None, "bad.rdla:1: Lua syntax error"),
}


def check_told(err: str, sentence: str) -> None:
    """One sentence with these words and a hint, and no traceback."""
    told = [line for line in err.splitlines() if not line.startswith("warning: ")]
    assert len(told) == 2, err
    assert told[0].startswith("arras-ray: ")
    assert sentence in told[0]
    assert told[1].startswith("  hint: ")
    assert "Traceback" not in err
    assert "internal error" not in err


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name == "endless loop" else ()) for name in SCENES]
)
def test_bad_scenes(name: str, arras_ray: Run, tmp_path: Path) -> None:
    make, sentence = SCENES[name]
    make(tmp_path / "bad.rdla")
    (tmp_path / "out.exr").write_bytes(b"what was here before")
    before = sorted(tmp_path.rglob("*"))
    result = arras_ray("render", "bad.rdla", "--engine", "local", "-o", "out.exr")
    assert result.returncode == 3, result.stderr
    check_told(result.stderr, sentence)
    assert (tmp_path / "out.exr").read_bytes() == b"what was here before"
    assert sorted(path for path in tmp_path.rglob("*") if path.name != "tmp") == before


def test_debug_shows_a_traceback(arras_ray: Run) -> None:
    result = arras_ray("render", "missing.rdla", "--engine", "local", "--debug")
    assert result.returncode == 3
    assert "Traceback" in result.stderr
    assert "SceneError" in result.stderr


@pytest.mark.parametrize("output", ["no/such/folder/out.exr", "file.txt/out.exr", "folder.exr"])
def test_outputs_that_cannot_be_written_are_told_before_rendering(
    output: str, arras_ray: Run, scene: Path, tmp_path: Path
) -> None:
    (tmp_path / "file.txt").write_text("a file, not a folder", encoding="utf-8")
    (tmp_path / "folder.exr").mkdir()
    result = arras_ray("render", scene, "--engine", "local", "-o", output)
    assert result.returncode == 8, result.stderr
    check_told(result.stderr, output.split("/")[0])
    assert "rendering" not in result.stdout
    assert (tmp_path / "file.txt").read_text(encoding="utf-8") == "a file, not a folder"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_permission(arras_ray: Run, scene: Path, tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    result = arras_ray("render", scene, "--engine", "local", "-o", "locked/out.exr")
    assert result.returncode == 8
    check_told(result.stderr, "locked")


def test_a_pixel_outside_the_picture(arras_ray: Run, scene: Path) -> None:
    result = arras_ray("debug-pixel", scene, 48, 0)
    assert result.returncode == 2
    check_told(result.stderr, "pixel (48, 0) is outside the picture of 48x32")
