"""docs/scene.md: its code and its marked commands run, in order, and its other commands are ones there are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from arras_ray.cli.main import cli, run
from arras_ray.scene import Rgb, load_schema, read_scene

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "scene.md").read_text(encoding="utf-8")
STEPS = re.findall(r"(?:<!-- run -->\n```\n|```(?=python\n))(.*?)```", PAGE, re.DOTALL)


def test_the_page_does_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "scenes").symlink_to(ROOT / "scenes")
    monkeypatch.chdir(tmp_path)
    for step in STEPS:
        if step.startswith("python\n"):
            exec(step.removeprefix("python\n"), {})
            continue
        for line in step.splitlines():
            word, *arguments = shlex.split(line)
            assert word == "arras-ray"
            # diff exits as diff does
            assert run(arguments) == ("diff" in arguments), line
    out, err = capsys.readouterr()
    assert err == ""
    assert '["color"] = Rgb(1, 0.800000012, 0.600000024)' in out
    assert read_scene(["warm_box.rdlb"])["lamp"].get("intensity") == 2
    assert read_scene(["warmer_box.rdla"]) == read_scene(["warm_box.rdlb"])
    assert read_scene(["split_box.rdla", "split_box.rdlb"]) == read_scene(["scenes/cornell_box.rdla"])
    assert read_scene(["box.rdlb", "change.rdlb"]) == read_scene(["warm_box.rdlb"])
    assert read_scene(["box.rdlb"])["lamp"].get("color") != Rgb(1, 0.8, 0.6)


def test_there_are_steps_of_both_kinds() -> None:
    assert [step.startswith("python\n") for step in STEPS] == [True, False, False, False]


def commands() -> list[click.Command]:
    """All there are, of groups too."""
    groups = [command for command in cli.commands.values() if isinstance(command, click.Group)]
    return [*cli.commands.values(), *(command for group in groups for command in group.commands.values())]


def test_every_option_that_is_named_exists() -> None:
    known = {option for command in commands() for parameter in command.params for option in parameter.opts}
    assert set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", PAGE)) <= known


def test_numbers_are_those_of_the_schema() -> None:
    (classes,) = re.findall(r"RDL2's (\d+) classes", PAGE)
    assert int(classes) == len(load_schema())


@pytest.mark.parametrize("line", re.findall(r"^arras-ray render .*$", PAGE, re.MULTILINE))
def test_renders_are_ones_the_command_line_takes(line: str) -> None:
    name, *arguments = shlex.split(line)[1:]
    cli.commands[name].make_context(name, arguments)
