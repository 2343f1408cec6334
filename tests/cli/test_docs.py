"""The README's commands: those marked `<!-- run -->` are run, all others are known to the command line."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
from command_line import Run

from arras_ray.cli.main import cli

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands(pattern: str) -> list[str]:
    """Lines `arras-ray ...` of the code blocks that match."""
    blocks = re.findall(pattern, README, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith("arras-ray ")]


def test_there_are_commands_to_run() -> None:
    assert len(commands(r"<!-- run -->\n```\n(.*?)```")) >= 2


@pytest.mark.parametrize("line", commands(r"<!-- run -->\n```\n(.*?)```"))
def test_marked_commands_run(line: str, arras_ray: Run, tmp_path: Path) -> None:
    (tmp_path / "scenes").symlink_to(ROOT / "scenes")
    result = arras_ray(*shlex.split(line)[1:])
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("line", commands(r"```\w*\n(.*?)```"))
def test_every_command_is_one_the_command_line_takes(line: str) -> None:
    name, *arguments = shlex.split(line, comments=True)[1:]
    command = cli.commands[name]
    command.make_context(name, [argument for argument in arguments if argument != "..."])


def test_every_option_that_is_named_exists() -> None:
    groups = [command for command in cli.commands.values() if isinstance(command, click.Group)]
    commands = [*cli.commands.values(), *(command for group in groups for command in group.commands.values())]
    known = {option for command in commands for p in command.params for option in p.opts}
    known |= {"--help", "--version"}
    named = set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", README))
    rays_own = re.findall(r"(?:^|`|\()ray start (?:[^\n`\\]|\\\n)*|ray get-auth-token [^\n]*", README, re.MULTILINE)
    rays_own_options = {option for text in rays_own for option in re.findall(r"--[a-z][a-z-]+", text)}
    assert named - rays_own_options - {"--num-cpus", "--object-store-memory", "--temp-dir"} <= known


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_links_lead_somewhere(path: str) -> None:
    assert (ROOT / path).exists()
