"""`ps`, `scale` and `stop` without Ray: what they refuse, and what `ps` prints of what was found."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from pathlib import Path

import pytest

from arras_ray.actors.ends import End
from arras_ray.cli.main import cli, run
from arras_ray.cli.sessions_command import as_object, lines
from arras_ray.overview import ComputationUse, NodeUse, SessionUse
from arras_ray.pace import Deadlines

DOCS = (Path(__file__).parents[2] / "docs" / "faults.md").read_text(encoding="utf-8")
MB = 1 << 20
COMMANDS = (["ps"], ["ps", "--json"], ["scale", "shot", "--num-mcrt", "2"], ["stop", "shot"])


def mcrt(**changes: object) -> ComputationUse:
    whole = ComputationUse("mcrt_i0", "far", "aaaaaaaa1", 4711, "ready", 2.0, 30.0, 900 * MB, 1024 * MB, 20.0)
    return dataclasses.replace(whole, **changes)


def node(name: str, number: str, **changes: object) -> NodeUse:
    return dataclasses.replace(NodeUse(number, name, True, 8.0, 6.0, 4096 * MB, 1024 * MB), **changes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stop"], "Missing argument 'SESSION'."),
        (["scale", "shot"], "Missing option '--num-mcrt'."),
        (["scale", "shot", "--num-mcrt", "0"], "Invalid value for '--num-mcrt': 0 is not in the range x>=1."),
        (["scale", "shot", "--num-mcrt", "many"], "'many' is not a valid integer range."),
        (["ps", "shot"], "Got unexpected extra argument (shot)"),
    ],
)
def test_usage_errors(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert message in err.splitlines()[0]
    assert out == ""


@pytest.mark.parametrize("arguments", COMMANDS)
@pytest.mark.parametrize("address", [None, "local"])
def test_no_cluster_is_told_and_none_is_started(
    arguments: list[str],
    address: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # where Ray would write down that it runs
    assert run([*arguments, *(["--address", address] if address else [])]) == 7
    out, err = capsys.readouterr()
    message, hint = err.splitlines()
    assert message == "arras-ray: no Ray cluster was found"
    assert "a Ray that a render starts for itself belongs to that render" in hint
    assert out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", COMMANDS)
def test_a_cluster_that_does_not_answer_is_told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*arguments, "--address", "127.0.0.1:9"]) == 7
    out, err = capsys.readouterr()
    assert err.splitlines()[0] == "arras-ray: no Ray cluster answers at 127.0.0.1:9"
    assert out == ""


def test_nothing_runs() -> None:
    assert lines([], [node("far", "a")]) == [
        "no sessions",
        "node  free cpus  of cpus  free MB  of MB\nfar           6        8     1024   4096",
    ]


def test_what_a_session_uses() -> None:
    supervisor = mcrt(name="supervisor", node_id="", cpus=0.0, memory_limit=0, cpu_seconds=1.0)
    late = mcrt(name="mcrt_i1", pid=0, state="starting", cpus=0.5, cpu_seconds=0.0, memory=0, memory_limit=0, age=0.0)
    session = SessionUse("shot", "rendering", 75.0, (supervisor, mcrt(), late))
    first, table, _ = lines([session], [node("far", "aaaaaaaa1")])
    assert first == "session shot: rendering, 1:15 old"
    assert table.splitlines() == [
        "  computation  node   pid  state     cpus  mean CPU %   MB  of MB  age",
        "  supervisor   far   4711  ready        0           5  900         0:20",
        "  mcrt_i0      far   4711  ready        2         150  900   1024  0:20",
        "  mcrt_i1      far         starting   0.5",
    ]


def test_a_supervisor_that_does_not_answer() -> None:
    told = lines([SessionUse("mute"), SessionUse("shot", "placing", 1.0)], [node("far", "a")])
    assert told[0] == "session mute: its supervisor does not answer"
    assert told[1] == "session shot: placing, 0:01 old"


def test_nodes_of_one_name_are_told_apart() -> None:
    nodes = [node("far", "aaaaaaaa1"), node("far", "bbbbbbbb2"), node("near", "cccccccc3")]
    _, computations, told = lines([SessionUse("shot", "rendering", 1.0, (mcrt(),))], nodes)
    assert "mcrt_i0      far aaaaaa" in computations
    assert [line.split("  ")[0] for line in told.splitlines()] == ["node", "far aaaaaa", "far bbbbbb", "near"]


def test_dead_nodes_are_counted() -> None:
    dead = [node(name, f"{name}{i}", alive=False) for i, name in enumerate(["old", "far", "far"])]
    told = lines([], [node("far", "a"), *dead])
    assert told[-1] == "dead nodes: far (2), old"
    assert told[-2].splitlines()[1].startswith("far   ")


def test_the_object_of_json_is_the_one_described() -> None:
    found = as_object([SessionUse("shot", "rendering", 1.0, (mcrt(),)), SessionUse("mute")], [node("far", "a")])
    told = json.loads(json.dumps(found))
    described = {
        kind: set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.*?) \|", text, re.MULTILINE))))
        for kind, text in re.findall(r"^Fields of (.+?):\n\n(.*?)(?:\n\n|\Z)", DOCS, re.MULTILINE | re.DOTALL)
    }
    (session, mute), (one_node,) = told["sessions"], told["nodes"]
    assert described == {
        "the object": set(told),
        "a session": set(session),
        "a computation": set(session["computations"][0]),
        "a node": set(one_node),
    }
    assert (session["answers"], mute["answers"]) == (True, False)


def test_the_deadlines_are_those_described() -> None:
    described = re.findall(r"^\| `(\w+)` \| (\d+) \|", DOCS, re.MULTILINE)
    known = [(field.name, field.default) for field in dataclasses.fields(Deadlines)]
    assert [(name, float(default)) for name, default in described] == known


def test_the_sentences_on_ends_are_those_described() -> None:
    described = re.findall(r"^\| (.+?) \|", DOCS.partition("| sentence |")[2].partition("\n\n")[0], re.MULTILINE)
    ends = [
        End("mcrt_i0", "far", "crashed", signal=11),
        End("mcrt_i0", "far", "killed", signal=9),
        End("mcrt_i0", "far", "out of memory", rss=1203 * MB, memory=1024 * MB),
        End("mcrt_i0", "far", "out of memory"),
        End("mcrt_i0", "far", "exited", code=1),
        End("mcrt_i0", "far", "hung"),
        End("mcrt_i0", "far", "node lost"),
        End("mcrt_i0", "far", "died"),
    ]
    assert described == [end.sentence for end in ends]


@pytest.mark.parametrize("line", re.findall(r"^arras-ray .*", DOCS, re.MULTILINE))
def test_every_command_that_is_described_is_one(line: str) -> None:
    name, *arguments = shlex.split(line)[1:]
    cli.commands[name].make_context(name, arguments)
