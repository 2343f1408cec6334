"""The command line itself: help, version, usage errors, and how errors leave it."""

from __future__ import annotations

from collections.abc import Callable

import click
import pytest
from click.testing import CliRunner

from arras_ray import __version__
from arras_ray.cli.main import cli, run
from arras_ray.cli.options import debug_option
from arras_ray.errors import ArrasRayError, ClusterError, ResourcesError, SceneError


def help_of(*command: str) -> str:
    result = CliRunner().invoke(cli, [*command, "--help"])
    assert result.exit_code == 0
    return result.output


def test_help_names_every_command() -> None:
    text = help_of()
    for name, command in cli.commands.items():
        assert name in text
        assert command.get_short_help_str(100) in text


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_help_of_a_command_explains_every_option(name: str) -> None:
    text = help_of(name)
    for parameter in cli.commands[name].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert all(word in text for word in parameter.opts)


def test_help_of_debug_pixel_says_where_the_origin_is() -> None:
    assert "from the BOTTOM" in help_of("debug-pixel")


def test_version() -> None:
    assert CliRunner().invoke(cli, ["--version"]).output == f"arras-ray {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["render"], "Missing argument 'SCENE [MORE]...'."),
        (["render", "a.rdla", "--spp", "0"], "Invalid value for '--spp': 0 is not in the range 1<=x<=65536."),
        (["render", "a.rdla", "--spp", "65537"], "'--spp': 65537 is not in the range 1<=x<=65536."),
        (["render", "a.rdla", "--size", "0", "9"], "'--size': 0 is not in the range"),
        (["render", "a.rdla", "--time", "0"], "'--time': 0.0 is not in the range x>0"),
        (["render", "a.rdla", "--engine", "gpu"], "'--engine': 'gpu' is not one of 'ray', 'local'"),
        (["render", "a.rdla", "-o", "a.jpg"], "cannot write a.jpg: its name does not end in .exr or .png"),
        (["render", "a.rdla", "-o", "a.exr", "-o", "./a.exr"], "the same output is named twice"),
        (["rnder"], "No such command 'rnder'"),
        (["debug-pixel", "a.rdla", "4"], "Missing argument"),
    ],
)
def test_usage_errors(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    first, hint = err.splitlines()
    assert first.startswith("arras-ray: ")
    assert message in first
    assert hint.startswith("  hint: ")
    assert "Traceback" not in out + err


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Makes a command `fail` that raises an error."""

    def make(error: BaseException) -> None:
        @click.command()
        @debug_option
        def fail() -> None:
            raise error

        monkeypatch.setitem(cli.commands, "fail", fail)

    return make


Fails = Callable[[BaseException], None]


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (
            SceneError("unexpected symbol", hint="look there", file="a.rdla", line=3),
            3,
            "arras-ray: a.rdla:3: unexpected symbol\n  hint: look there\n",
        ),
        (ClusterError("nobody answers"), 7, "arras-ray: nobody answers\n"),
        (
            ResourcesError(
                "the session does not fit", hint="fewer mcrts", text="computation  asked\nmcrt_i0      4 cores"
            ),
            4,
            "arras-ray: the session does not fit\ncomputation  asked\nmcrt_i0      4 cores\n  hint: fewer mcrts\n",
        ),
        (KeyboardInterrupt(), 130, "\narras-ray: interrupted\n"),
    ],
)
def test_errors_leave_as_a_sentence_and_a_code(
    error: ArrasRayError, code: int, text: str, fails: Fails, capsys: pytest.CaptureFixture[str]
) -> None:
    fails(error)
    assert run(["fail"]) == code
    assert capsys.readouterr().err == text


def test_an_unknown_error_is_called_a_bug(fails: Fails, capsys: pytest.CaptureFixture[str]) -> None:
    fails(KeyError("x"))
    assert run(["fail"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("arras-ray: internal error: KeyError: 'x'\n  hint: ")
    assert "Traceback" not in err


def test_debug_shows_the_traceback(fails: Fails, capsys: pytest.CaptureFixture[str]) -> None:
    fails(SceneError("no camera"))
    assert run(["fail", "--debug"]) == 3
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.endswith("arras-ray: no camera\n")
