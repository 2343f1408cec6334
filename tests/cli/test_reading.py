"""The options that say how a scene is read: their order, their errors, and that every command with a scene has them."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
import numpy as np
import pytest
from command_line import SCENE, Run

from arras_ray.cli.main import cli
from arras_ray.cli.reading import Edit, Reading, SceneCommand, reading_options
from arras_ray.cli.scene_command import scene as scene_group
from arras_ray.errors import SceneError
from arras_ray.image import read_exr
from arras_ray.scene import Rgb

OPTIONS = {"--strict", "--delta", "--attr-set", "--attr-bind", "--scene-var", "--rdla-set"}


def reading(line: str) -> Reading:
    """What a command line means."""

    @click.command(cls=SceneCommand)
    @click.argument("files", nargs=-1)
    @click.option("--size", nargs=2)
    @reading_options
    def command(files: tuple[str, ...], size: tuple[str, str] | None, reading: Reading) -> Reading:
        return reading

    found: Reading = command.main(shlex.split(line), standalone_mode=False)
    return found


@pytest.mark.parametrize(
    "command",
    [
        cli.commands["render"],
        cli.commands["debug-pixel"],
        *(scene_group.commands[name] for name in ("check", "print", "convert")),
    ],
    ids=lambda command: command.name,
)
def test_every_command_with_a_scene_has_them(command: click.Command) -> None:
    assert {option for parameter in command.params for option in parameter.opts} >= OPTIONS


def test_nothing_is_asked_by_default() -> None:
    assert reading("a.rdla") == Reading()


def test_edits_keep_their_order_across_options() -> None:
    """Words that look like options are values where values are due."""
    given = reading(
        "--attr-set /a:b.c x 1 a.rdla --scene-var frame 3 --attr-bind /a y --strict --delta one.rdla "
        "--size 4 --attr-set --attr-set /a x -2 --rdla-set n 5 --delta two.rdlb --scene-var fps 25 --rdla-set m m"
    )
    assert given == Reading(
        strict=False,
        variables=(("n", "5"), ("m", "m")),
        deltas=("one.rdla", "two.rdlb"),
        edits=(
            Edit("--attr-set", ("/a:b.c", "x", "1")),
            Edit("--scene-var", ("frame", "3")),
            Edit("--attr-bind", ("/a", "y", "--strict")),
            Edit("--attr-set", ("/a", "x", "-2")),
            Edit("--scene-var", ("fps", "25")),
        ),
    )
    assert reading(shlex.join(["a.rdla", *given.as_arguments()])) == given


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A scene with a texture."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ball.rdla").write_text(SCENE + 'ImageMap("/tex.a:b")\n', encoding="utf-8")
    return ["ball.rdla"]


def test_the_scene_is_changed_in_order(files: list[str]) -> None:
    Path("delta.rdla").write_text('DwaBaseMaterial("/grey") { ["albedo"] = Rgb(0, 1, 0) }', encoding="utf-8")
    line = "--attr-set /grey albedo 1,0,0 --attr-bind /grey albedo /tex.a:b --scene-var frame 12 --delta delta.rdla"
    context = reading(line).read(files)
    material = context["/grey"]
    assert material.get("albedo") == Rgb(1, 0, 0)
    assert material.binding("albedo") is context["/tex.a:b"]
    assert context.variables.get("frame") == 12
    assert not context.delta()
    line = "--attr-bind /grey albedo /tex.a:b --attr-set /grey albedo 1,0,0"
    assert reading(line).read(files)["/grey"].binding("albedo") is None


def test_lua_variables_are_those_of_the_scene_files_only(files: list[str]) -> None:
    Path("sized.rdla").write_text('SphereGeometry("/ball") { ["radius"] = size * 2 }', encoding="utf-8")
    assert reading("--rdla-set size '1 + 0.5'").read([*files, "sized.rdla"])["/ball"].get("radius") == 3
    with pytest.raises(SceneError, match="'size' is neither a variable"):
        reading("--rdla-set size 1 --delta sized.rdla").read(files)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("--attr-set /bal radius 1", "--attr-set /bal radius 1: the scene has no object named '/bal'"),
        ("--attr-bind /ball radius /grey", "--attr-bind /ball radius /grey: the attribute cannot be bound"),
        ("--scene-var frmae 1", "--scene-var frmae 1: no attribute named 'frmae' on class SceneVariables"),
        ("--delta gone.rdla", "there is no such scene file"),
    ],
)
def test_errors_name_the_option(line: str, told: str, files: list[str]) -> None:
    with pytest.raises(SceneError) as caught:
        reading(line).read(files)
    assert told in caught.value.message


def test_strict_reading_holds_for_deltas(files: list[str]) -> None:
    Path("odd.rdla").write_text('SphereGeometry("/ball") { ["radus"] = 1 }', encoding="utf-8")
    assert len(reading("--delta odd.rdla").read(files).warnings) == 1
    with pytest.raises(SceneError, match=r"odd\.rdla:1: no attribute named 'radus'"):
        reading("--delta odd.rdla --strict").read(files)


def test_debug_pixel_shows_the_scene_as_it_was_changed(arras_ray: Run, files: list[str]) -> None:
    Path("wide.rdla").write_text('SceneVariables { ["image_width"] = 20 }', encoding="utf-8")
    edits = ("--delta", "wide.rdla", "--attr-set", "/ball", "radius", "1e-3", "--scene-var", "image_height", "10")
    head, *vertices = arras_ray("debug-pixel", "ball.rdla", 9, 3, *edits).stdout.splitlines()
    assert head.endswith("picture 20x10")
    assert not any("/ball" in vertex for vertex in vertices)


def test_a_strict_render_refuses_what_it_would_skip(arras_ray: Run, files: list[str]) -> None:
    Path("ball.rdla").write_text(SCENE + 'SphereGeometry("/ball") { ["radus"] = 1 }', encoding="utf-8")
    result = arras_ray("render", "ball.rdla", "--engine", "local", "--strict")
    assert result.returncode == 3
    assert "no attribute named 'radus'" in result.stderr
    assert not Path("ball.exr").exists()


def test_delta_frames_are_a_picture_before_the_deltas_and_one_after_each(arras_ray: Run, files: list[str]) -> None:
    for name, width in (("wide.rdla", 20), ("wider.rdla", 30)):
        Path(name).write_text(f'SceneVariables {{ ["image_width"] = {width} }}', encoding="utf-8")
    deltas = ("--delta", "wide.rdla", "--delta", "wider.rdla", "--delta-frames")
    small = ("--engine", "local", "--spp", 1, "--scene-var", "image_height", 10)
    result = arras_ray("render", "ball.rdla", *small, *deltas, "-o", "one.exr", "-o", "two.##.png")
    assert result.returncode == 0, result.stderr
    alone = arras_ray("render", "ball.rdla", *small, "--delta", "wide.rdla", "-o", "alone.exr")
    assert alone.returncode == 0, alone.stderr
    pictures = [read_exr(f"one.{number:04}.exr")[0] for number in range(3)]
    assert [picture.shape[1] for picture in pictures[1:]] == [20, 30]
    np.testing.assert_array_equal(pictures[1], read_exr("alone.exr")[0])
    assert sorted(path.name for path in Path().glob("two.*")) == ["two.00.png", "two.01.png", "two.02.png"]


def test_delta_frames_have_no_checkpoint(arras_ray: Run, files: list[str]) -> None:
    result = arras_ray("render", "ball.rdla", "--engine", "local", "--delta-frames", "--checkpoint", "c.exr")
    assert result.returncode == 2
    assert "a checkpoint or --benchmark is of one" in result.stderr
