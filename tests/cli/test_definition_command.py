"""`arras-ray session list`, `check` and `show`, on definitions of our own and on this machine alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from arras_ray.cli.definition_command import Machines, placement_lines, printable
from arras_ray.cli.definition_tables import computations_table, routes_table, rule_text, span
from arras_ray.cli.main import run
from arras_ray.cli.session_command import session
from arras_ray.session.definition import MB, load_definition, parse_definition
from arras_ray.session.node import NodeFacts
from arras_ray.session.routing import Rule

GB = 1024 * MB
ECHO = """{
  "name": "echo", // "a", "b"
  "description": "sends back\\nwhat it gets",
  "computations": {
    "(client)": { "messages": { "echo": "*" } },
    "echo": {
      "dso": "libarras4_testcomputation.so",
      "arrayExpand": 3,
      "forward": true,
      "requirements": { "computationAPI": "4.x", "resources": { "cores": 0, "memoryMB": 64 } },
      "messages": { "(client)": ["GenericMessage"], "echo": { "ignore": "Noise" }, "nobody": "*", },
    },
  }
}
"""

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes definitions into a folder of ARRAS_SESSION_PATH."""
    folder = tmp_path / "sessions"
    folder.mkdir()
    monkeypatch.setenv("ARRAS_SESSION_PATH", str(folder))

    def to(name: str, text: str = ECHO) -> Path:
        path = folder / f"{name}.sessiondef"
        path.write_text(text, encoding="utf-8")
        return path

    return to


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    out, err = capsys.readouterr()
    assert err == ""
    return out.splitlines()


# Help and usage


@pytest.mark.parametrize("name", ["list", "check", "show"])
def test_help_explains_every_option(name: str) -> None:
    text = CliRunner().invoke(session, [name, "--help"]).output
    for parameter in session.commands[name].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert all(word in text for word in parameter.opts)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check"], "Missing argument 'FILE...'."),
        (["show"], "Missing argument 'FILE'."),
        (["show", "a", "b"], "Got unexpected extra argument (b)"),
        (["show", "a", "--num-mcrt", "0"], "'--num-mcrt': 0 is not in the range"),
        (["check", "mcrt_progressive", "--dso", "mine"], "--dso 'mine' is not NAME=TARGET"),
        (["list", "x"], "Got unexpected extra argument (x)"),
    ],
)
def test_usage_errors(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["session", *arguments]) == 2
    assert message in capsys.readouterr().err.splitlines()[0]


# list


def test_list_names_every_definition_and_tells_of_those_that_cannot_be_read(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    echo = write("echo")
    broken = write("broken", "{\n  'a': 1}")
    write("mcrt_progressive", '{"description": "our \\u001b[31mown", "computations": {}}')
    write("silent", '{"description": 4, "computations": {}}')
    (echo.parent / "folder.sessiondef").mkdir()
    assert run(["session", "list"]) == 0
    header, *rows = lines(capsys)
    assert header.split() == ["name", "file", "description"]
    assert [row.split()[0] for row in rows] == [
        "broken",
        "echo",
        "folder",
        "mcrt_progressive",
        "mcrt_progressive_n",
        "silent",
    ]
    assert f"error: {broken}:2:3: not valid JSON" in rows[0]
    assert rows[1].endswith(f"{echo}              sends back what it gets")
    assert "cannot read the session definition: Is a directory" in rows[2]
    assert rows[3].endswith("our  [31mown")
    assert rows[5].endswith("silent.sessiondef")


# check


def test_check_tells_each_finding_with_its_place(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    echo = write("echo")
    bad = write("bad", ECHO.replace("libarras4_testcomputation.so", "libmine.so").replace('"cores": 0', '"cores": "*"'))
    assert run(["session", "check", "echo", str(bad), "nobody"]) == 3
    told = lines(capsys)
    assert told[:2] == [
        f"{echo}:11:84: note: echo accepts messages from nobody, which is nobody: that has no effect",
        f"{echo}: 1 note",
    ]
    assert told[2:4] == [f'{bad}:10:65: error: cores must be a number, not "*"', f"{bad}: 1 error"]
    assert told[4] == "nobody: error: there is no session named nobody"
    assert told[5].startswith("  hint: Looked in ")
    assert told[6] == "nobody: 1 error"


def test_check_is_content_with_what_only_has_notes(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write("echo")
    assert run(["session", "check", "echo", "mcrt_progressive"]) == 0
    assert lines(capsys)[-1].endswith("mcrt_progressive.sessiondef: ok")


def test_check_knows_the_users_own_libraries(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write("mine", ECHO.replace("libarras4_testcomputation.so", "libmine.so"))
    assert run(["session", "check", "mine"]) == 3
    assert "no computation stands for the library 'libmine.so'" in capsys.readouterr().out
    assert run(["session", "check", "mine", "--dso", "libmine=python:mine:One"]) == 0


def test_check_for_programs(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    echo, bad = write("echo"), write("bad", "{\n!")
    assert run(["session", "check", "echo", str(bad), "--json"]) == 3
    (line,) = lines(capsys)
    told = json.loads(line)
    assert (told["schema"], [file["file"] for file in told["files"]]) == (1, [str(echo), str(bad)])
    assert [file["ok"] for file in told["files"]] == [True, False]
    ((note,), (error,)) = [file["findings"] for file in told["files"]]
    assert error == {
        "level": "error",
        "message": 'not valid JSON: a name in double quotes or "}" should stand here, not !',
        "hint": "Session definitions are JSON; // and /* */ comments and trailing commas are allowed.",
        "file": str(bad),
        "line": 2,
        "column": 1,
        "computation": None,
        "field": None,
    }
    assert (note["level"], note["computation"], note["field"]) == ("note", "echo", "messages.nobody")


def test_what_a_terminal_would_obey_is_not_printed(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write("evil", '{"computations": {"a": {"dso": "libmine.so"}, "(client)": {"messages": {"\\u001b[31m": "*"}}}}')
    assert run(["session", "check", "evil"]) == 3
    assert "\x1b" not in capsys.readouterr().out
    write("evil", "\x1b]0;title\x07")
    assert run(["session", "show", "evil"]) == 3
    assert "\x1b" not in capsys.readouterr().err


# show


def test_show_on_this_machine_alone(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    echo = write("echo")
    assert run(["session", "show", "echo", "--address", "local"]) == 0
    told = lines(capsys)
    assert told[:2] == ["session echo: sends back what it gets", f"  {echo}"]
    target = "arras_ray.computations.fault_computation:FaultComputation"
    assert [line.split() for line in told[2:6]] == [
        ["computation", "runs", "cores", "MB"],
        ["echo_i0", target, "0", "64", "entry"],
        ["echo_i1", target, "0", "64"],
        ["echo_i2", target, "0", "64"],
    ]
    start = told.index("routes:")
    assert [line.split() for line in told[start + 1 : start + 6]] == [
        ["from", "to", "what"],
        ["(client)", "->", "echo_i0", "...", "echo_i2", "(3)", "GenericMessage"],
        ["echo_i0", "...", "echo_i2", "(3)", "->", "(client)", "everything"],
        ["echo_i0", "...", "echo_i2", "(3)", "->", "echo_i0", "...", "echo_i2", "(3)", "all", "but", "Noise"],
        ["places", "now", "on", "a", "Ray", "of", "its", "own", "on", "this", "machine:"],
    ]
    assert [line.split()[::2] for line in told[start + 7 :]] == [[f"echo_i{i}", "0", "64"] for i in range(3)]


def test_show_takes_a_number_of_mcrts(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["session", "show", "mcrt_progressive_n", "--num-mcrt", "2", "--address", "local"]) == 0
    told = lines(capsys)
    assert sum(line.startswith("  mcrt_i1  ") for line in told) == 2
    assert not any("mcrt_i2" in line for line in told)


def test_show_tells_why_it_cannot_be_placed(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write("pinned", ECHO.replace('"computationAPI"', '"hostname_pin": "far", "computationAPI"'))
    assert run(["session", "show", "pinned", "--address", "local"]) == 0
    told = lines(capsys)
    assert "on far" in told[3]
    assert told[-5].startswith("no place now on a Ray of its own on this machine: the session asks for more than there")
    assert told[-1].startswith("  echo_i2      0 cores 64 MB")
    assert told[-1].endswith("pinned to far, which is not there")


def test_show_of_a_bad_definition_ends_with_3(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    bad = write("bad", ECHO.replace("3,", "-3,"))
    assert run(["session", "show", "bad"]) == 3
    out, err = capsys.readouterr()
    assert (out, err.splitlines()[0]) == ("", f"arras-ray: {bad}:8:7: arrayExpand cannot be -3")


def test_show_of_a_cluster_that_does_not_answer_ends_with_7(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["session", "show", "mcrt_progressive", "--address", "127.0.0.1:9"]) == 7
    assert "no Ray cluster answers at 127.0.0.1:9" in capsys.readouterr().err


def test_what_a_computation_asks_is_told() -> None:
    labels = {"zone": "a", "rack": "!b"}
    block: dict[str, Any] = {
        "dso": "libmine.so",
        "arrayExpand": 2,
        "arrayMin": 1,
        "requirements": {
            "hostname_pin": "far",
            "local_only": True,
            "labels": labels,
            "resources": {"minCores": 2, "maxCores": 6, "gpus": 1},
        },
    }
    other = {"dso": "python:mine:One", "requirements": {"no_local": "yes"}}
    d = parse_definition(json.dumps({"computations": {"a": block, "b": other}}))
    header, first, second, third = computations_table(d.expand()).splitlines()
    assert header.split() == ["computation", "runs", "cores", "MB", "GPUs"]
    said = (
        "on far; on the client's machine; on nodes with zone: a, rack: !b; 1 of these at least; "
        "libmine.so is a library of computationAPI 3, as it names none, and only 4.x is supported"
    )
    assert first.split(maxsplit=6) == ["a_i0", "libmine.so:", "unknown", "2-6", "16384", "1", f"entry; {said}"]
    assert second.endswith(said)
    assert third.split(maxsplit=4) == ["b", "mine:One", "1", "16384", "not on the client's machine"]


def test_elements_that_get_the_same_are_one_row() -> None:
    d = parse_definition(
        json.dumps(
            {
                "computations": {
                    "(client)": {"messages": {"a_i1": "One"}},
                    "a": {"dso": "libmine.so", "arrayExpand": 4, "messages": {"b": {"accept": ["Two", "One"]}}},
                    "b": {"dso": "libmine.so", "messages": {"a": "*", "a_i3": "Three"}},
                }
            }
        )
    )
    rows = [" ".join(line.split()) for line in routes_table(d.expand(), d.client_rules).splitlines()]
    assert rows == [
        "from to what",
        "a_i0, a_i2 -> b everything",
        "a_i1 -> (client) One",
        "a_i1 -> b everything",
        "a_i3 -> b Three",
        "b -> a_i0 ... a_i3 (4) One, Two",
    ]


def test_words_of_rules_and_names() -> None:
    assert [rule_text(Rule()), rule_text(Rule(ignore=frozenset("BA")))] == ["everything", "all but A, B"]
    assert [span(["a"]), span(["a", "b"]), span(["a", "b", "c"])] == ["a", "a, b", "a ... c (3)"]
    assert printable(" a\n b\t\x07c\x9b ") == "a b  c "


def test_places_on_a_cluster() -> None:
    computations = load_definition("mcrt_progressive_n", {}).expand(3)
    there = Machines("Ray at head", [NodeFacts("1", "one", 8, 4 * GB), NodeFacts("2", "two", 4, 4 * GB)], "1", "busy")
    told = "\n".join(placement_lines(computations, there)).splitlines()
    assert told == [
        "places now on Ray at head:",
        "  computation  node  cores  threads    MB",
        "  dispatch     one       0        1   256",
        "  mcrt_i0      one       4        4  1024",
        "  mcrt_i1      two       4        4  1024",
        "  mcrt_i2      one       4        4  1024",
        "  merge        one       0        1   512",
        "  busy",
    ]


def test_elements_that_are_left_out_are_named() -> None:
    computations = [
        replace(one, array_min=1) if one.array else one for one in load_definition("mcrt_progressive_n", {}).expand(3)
    ]
    told = placement_lines(computations, Machines("Ray", [NodeFacts("1", "one", 2, 4 * GB)], ""))
    assert told[-1] == "  no room, and left out: mcrt_i2"
