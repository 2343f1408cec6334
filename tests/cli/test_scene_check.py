"""`arras-ray scene check`: errors, warnings, files that are missing, and what is not drawn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import SCENE, Run

from arras_ray.cli.main import run

Capture = pytest.CaptureFixture[str]

ODD = SCENE + (
    'SphereLight("/light") { ["radus"] = 1 }\n'
    'DwaMetalMaterial("/metal") { ["roughness"] = bind(ImageMap("/tex") { ["texture"] = "a.##.exr" }) }\n'
    'Layer("/layer") { {SphereGeometry("/second"), "", DwaMetalMaterial("/metal"), LightSet("/lights")} }\n'
    'SceneVariables { ["frame"] = 7 }\n'
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with two scenes in it."""
    (tmp_path / "ball.rdla").write_text(SCENE, encoding="utf-8")
    (tmp_path / "odd.rdla").write_text(ODD, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check(capsys: Capture, *arguments: str, code: int = 0) -> list[str]:
    assert run(["scene", "check", *arguments]) == code
    out, err = capsys.readouterr()
    assert err == ""
    return out.splitlines()


def findings(capsys: Capture, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
    (line,) = check(capsys, *arguments, "--json", code=code)
    told = json.loads(line)
    assert (told["schema"], told["ok"]) == (1, code == 0)
    found: list[dict[str, Any]] = told["findings"]
    return found


def test_nothing_to_say(capsys: Capture) -> None:
    assert check(capsys, "ball.rdla") == ["ball.rdla: 7 objects, ok"]


def test_everything_to_say(capsys: Capture) -> None:
    skipped, missing, undrawn, last = check(capsys, "odd.rdla")
    line = len(SCENE.splitlines()) + 1
    assert skipped.startswith(f"odd.rdla:{line}: warning: /light.radus: no attribute named 'radus'")
    assert missing == "missing: /tex.texture: there is no file a.##.exr, a.07.exr"
    assert undrawn == "undrawn: DwaMetalMaterial is not drawn yet; a grey Lambert stands in: /metal"
    assert last == "odd.rdla: 10 objects, 1 warning, 1 missing file, 1 kind of thing not drawn as asked"


def test_files_that_are_there_are_not_missing(capsys: Capture) -> None:
    Path("a.07.exr").touch()
    assert not [line for line in check(capsys, "odd.rdla") if line.startswith("missing")]


def test_strictly_warnings_are_errors(capsys: Capture) -> None:
    assert [one["level"] for one in findings(capsys, "odd.rdla")] == ["warning", "missing", "undrawn"]
    assert [one["level"] for one in findings(capsys, "odd.rdla", "--strict", code=3)] == ["error", "missing", "undrawn"]


def test_findings_for_programs(capsys: Capture) -> None:
    skipped, missing, _ = findings(capsys, "odd.rdla")
    assert {name: skipped[name] for name in ("file", "line", "object", "attribute")} == {
        "file": "odd.rdla",
        "line": len(SCENE.splitlines()) + 1,
        "object": "/light",
        "attribute": "radus",
    }
    assert (missing["object"], missing["attribute"], missing["line"]) == ("/tex", "texture", None)


def test_an_error_has_its_place(capsys: Capture) -> None:
    Path("bad.rdla").write_text('\nSphereLihgt("/a")\n', encoding="utf-8")
    error, hint, last = check(capsys, "bad.rdla", code=3)
    assert error.startswith("bad.rdla:2: error: 'SphereLihgt' is neither a variable")
    assert hint == "  hint: did you mean SphereLight?"
    assert last == "bad.rdla: 1 error"


def test_broken_binary_scenes(capsys: Capture) -> None:
    assert run(["scene", "convert", "ball.rdla", "ball.rdlb"]) == 0
    capsys.readouterr()
    assert check(capsys, "ball.rdlb") == ["ball.rdlb: 7 objects, ok"]
    data = Path("ball.rdlb").read_bytes()
    Path("ball.rdlb").write_bytes(data[:-1])
    (error,) = findings(capsys, "ball.rdlb", code=3)
    assert error["level"] == "error"
    assert isinstance(error["offset"], int)


def test_all_files_are_one_scene(capsys: Capture) -> None:
    Path("uses.rdla").write_text('SphereGeometry("/x") { ["radius"] = size }', encoding="utf-8")
    Path("sets.rdla").write_text("size = 3", encoding="utf-8")
    assert check(capsys, "ball.rdla", "sets.rdla", "uses.rdla")[-1].endswith(": 8 objects, ok")
    (error,) = findings(capsys, "ball.rdla", "uses.rdla", code=3)
    assert (error["file"], error["line"]) == ("uses.rdla", 1)


def test_a_scene_that_cannot_be_drawn_is_an_error(capsys: Capture) -> None:
    Path("part.rdla").write_text('SphereGeometry("/x")', encoding="utf-8")
    (error,) = findings(capsys, "part.rdla", code=3)
    assert (error["level"], "no Layer" in error["message"]) == ("error", True)


def test_an_edit_that_fails_is_an_error(capsys: Capture) -> None:
    (error,) = findings(capsys, "ball.rdla", "--attr-set", "/ball", "radius", "big", code=3)
    assert error["message"] == "--attr-set /ball radius big: 'big' is no number"


def test_a_terminal_is_told_no_commands(capsys: Capture) -> None:
    Path("esc.rdla").write_text(SCENE + 'ImageMap("/\\27[31m") { ["texture"] = "\\27[2J" }\n', encoding="utf-8")
    assert check(capsys, "esc.rdla")[0] == r"missing: /\x1b[31m.texture: there is no file \x1b[2J"


def test_neither_ray_nor_numba_is_imported(arras_ray: Run) -> None:
    """Nor is anything heavy for help alone."""
    heavy = {"ray", "numba", "llvmlite", "aiohttp", "rich", "OpenEXR"}
    for arguments, also in ((["check", "ball.rdla"], set()), (["--help"], {"numpy", "lupa"})):
        result = arras_ray("scene", *arguments, PYTHONPROFILEIMPORTTIME="1")
        assert result.returncode == 0
        imported = {line.rpartition("|")[2].strip().split(".")[0] for line in result.stderr.splitlines()}
        assert "click" in imported
        assert not imported & (heavy | also)
