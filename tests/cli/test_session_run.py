"""`arras-ray session run --engine local`, through the installed command: what it tells, and its exit codes."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from command_line import Run, Start, assert_nothing_left, children

from arras_ray.cli.main import run
from arras_ray.session.definition import load_definition

FAULTS = Path(__file__).parents[2] / "sessions" / "faults"
TIME = "python:arras_ray.computations.time_computation:TimeComputation"


def write(folder: Path, client: dict[str, Any] | None = None, **blocks: dict[str, Any]) -> Path:
    """A definition of test computations; each accepts everything from the client, and the client from each."""
    whole = {
        name: {"dso": "libarras4_testcomputation.so", "messages": {"(client)": "*"}, **block}
        for name, block in blocks.items()
    }
    messages = dict.fromkeys(blocks, "*") if client is None else client
    path = folder / "test.sessiondef"
    path.write_text(json.dumps({"computations": {"(client)": {"messages": messages}, **whole}}), encoding="utf-8")
    return path


def events(stdout: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stdout.splitlines()]


def test_a_text_is_sent_and_its_answer_shown(arras_ray: Run, tmp_path: Path) -> None:
    file = write(tmp_path, testcomp={"forward": True})
    result = arras_ray("session", "run", file, "--engine", "local", "--send", "hello")
    assert result.returncode == 0, result.stderr
    assert result.stdout == "ready\ntestcomp: GenericMessage hello\nstopped: clientShutdown\n"
    assert result.stderr == ""


def test_events(arras_ray: Run, tmp_path: Path) -> None:
    file = write(tmp_path, testcomp={"reply": True, "arrayExpand": 2})
    result = arras_ray("session", "run", file, "--engine", "local", "--send", "a", "--send", "b", "--json")
    assert result.returncode == 0, result.stderr
    first, *messages, last = events(result.stdout)
    assert first["event"] == "ready"
    assert {message["event"] for message in messages} == {"message"}
    assert sorted((m["sender"], m["name"], m["value"]) for m in messages) == [
        (sender, "GenericMessage", value) for sender in ("testcomp_i0", "testcomp_i1") for value in "ab"
    ]
    assert len({m["source_id"] for m in messages}) == 2
    expected = {"event": "stopped", "execStatus": "stopped", "execStoppedReason": "clientShutdown"}
    assert expected.items() <= last.items()
    assert last["disconnectReason"] == "clientShutdown"


@pytest.mark.parametrize(
    ("block", "ready", "words"),
    [
        ({"errorInOnMessage": "segfault"}, True, "exited due to signal 11"),
        ({"errorInOnMessage": "throw"}, True, "exited due to a computation or message problem"),
        ({"errorInConfig": "invalid"}, False, "failed to initialize properly"),
        ({"dso": "libmichael_moorcock.so"}, False, "failed to load the computation dso"),
    ],
)
def test_a_computation_that_ends_the_session(
    block: dict[str, Any], ready: bool, words: str, arras_ray: Run, tmp_path: Path
) -> None:
    file = write(tmp_path, testcomp=block)
    result = arras_ray("session", "run", file, "--engine", "local", "--send", "hello", "--json")
    assert result.returncode == 6
    told = events(result.stdout)
    assert ("ready" in [event["event"] for event in told]) is ready
    stopped, error = (event for event in told if event["event"] in ("stopped", "error"))
    assert stopped["execStoppedReason"] == stopped["disconnectReason"] == f"compExited: testcomp {words}"
    assert (error["kind"], error["exit_code"]) == ("ComputationError", 6)
    assert f"compExited: testcomp {words}" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_end_is_noticed_without_a_text(arras_ray: Run, tmp_path: Path) -> None:
    file = write(tmp_path, testcomp={"errorInThread": "throw"})
    result = arras_ray("session", "run", file, "--engine", "local", "--timeout", "60")
    assert result.returncode == 6
    assert result.stdout.endswith("stopped: compExited: testcomp exited due to signal 6\n")
    assert "testcomp | RuntimeError: asked to throw" in result.stderr.splitlines()


def test_an_error_in_stop_is_logged_and_changes_nothing(arras_ray: Run, tmp_path: Path) -> None:
    file = write(tmp_path, testcomp={"errorInStop": "throw"})
    result = arras_ray("session", "run", file, "--engine", "local")
    assert result.returncode == 0
    assert result.stdout == "ready\nstopped: clientShutdown\n"
    assert "RuntimeError: asked to throw" in result.stderr
    quiet = arras_ray("session", "run", file, "--engine", "local", "--log-level", "0")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, result.stdout, "")


def test_no_answer(arras_ray: Run, tmp_path: Path) -> None:
    file = write(tmp_path, testcomp={})
    result = arras_ray("session", "run", file, "--engine", "local", "--send", "hello", "--timeout", "0.5")
    assert result.returncode == 5
    assert result.stdout == "ready\nstopped: clientShutdown\n"
    assert "no answer to 'hello' within 0.5 s" in result.stderr


def test_answers_from_some_are_enough_and_the_rest_is_warned_about(arras_ray: Run, tmp_path: Path) -> None:
    file = write(tmp_path, loud={"forward": True}, silent={})
    result = arras_ray("session", "run", file, "--engine", "local", "--send", "hello", "--timeout", "1")
    assert result.returncode == 0
    assert result.stdout == "ready\nloud: GenericMessage hello\nstopped: clientShutdown\n"
    assert result.stderr == "warning: silent did not answer everything within 1 s\n"


def test_an_answer_may_come_from_the_end_of_a_chain(arras_ray: Run) -> None:
    file = FAULTS / "slow_receiver.sessiondef"
    result = arras_ray("session", "run", file, "--engine", "local", "--send", "a", "--send", "b")
    assert result.returncode == 0, result.stderr
    assert result.stdout == "ready\nslow: GenericMessage a\nslow: GenericMessage b\nstopped: clientShutdown\n"


def test_a_client_that_accepts_nothing_gets_replies(arras_ray: Run, tmp_path: Path) -> None:
    file = write(tmp_path, client={}, testcomp={"reply": True})
    result = arras_ray("session", "run", file, "--engine", "local", "--send", "hello")
    assert result.returncode == 0, result.stderr
    assert "testcomp: GenericMessage hello\n" in result.stdout


def test_texts_that_nobody_accepts_are_refused(arras_ray: Run, tmp_path: Path) -> None:
    file = write(tmp_path, testcomp={"messages": {"(client)": {"ignore": ["GenericMessage"]}}})
    result = arras_ray("session", "run", file, "--engine", "local", "--send", "hello")
    assert result.returncode == 2
    assert result.stdout == ""
    assert "no computation of test accepts a GenericMessage from the client" in result.stderr
    assert arras_ray("session", "run", file, "--engine", "local").returncode == 0


def test_no_client_block_at_all(arras_ray: Run, tmp_path: Path) -> None:
    file = tmp_path / "alone.sessiondef"
    file.write_text('{"computations": {"alone": {"dso": "libarras4_time_example.so"}}}', encoding="utf-8")
    result = arras_ray("session", "run", file, "--engine", "local")
    assert (result.returncode, result.stdout) == (0, "ready\nstopped: clientShutdown\n")
    assert arras_ray("session", "run", file, "--engine", "local", "--send", "x").returncode == 2


def test_benchmark_computations_take_what_is_routed_to_them(arras_ray: Run, tmp_path: Path) -> None:
    names = ("benchcomp0", "benchcomp1")
    blocks = {
        name: {
            "dso": "libarras4_benchmark_computation.so",
            "duration": 0.5,
            "messages": dict.fromkeys(("(client)", *names), f"For_{name}"),
        }
        for name in names
    }
    file = write(tmp_path, client=dict.fromkeys(names, "For_client"), **blocks)
    result = arras_ray("session", "run", file, "--engine", "local", "--send", "go")
    assert result.returncode == 0, result.stderr
    reports = [line for line in result.stdout.splitlines() if "MB/s" in line]
    assert sorted(line.split()[:5] for line in reports) == [
        [f"{one}:", "GenericMessage", one, "with", f"{other}:"] for one, other in (names, names[::-1])
    ]


def test_other_targets(arras_ray: Run, tmp_path: Path) -> None:
    file = write(tmp_path, testcomp={"dso": "libmichael_moorcock.so"})
    given = ("--dso", f"libmichael_moorcock.so={TIME}")
    result = arras_ray("session", "run", file, "--engine", "local", "--send", "what time is it?", *given)
    assert result.returncode == 0, result.stderr
    assert "testcomp: GenericMessage 20" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--dso", "libx.so"), "--dso 'libx.so' is not NAME=TARGET"),
        (("--dso", "=python:a:B"), "is not NAME=TARGET"),
        (("--address", "localhost:6379"), "--address and --engine local"),
        (("--timeout", "-1"), "'--timeout': -1.0 is not in the range x>=0"),
        (("--log-level", "6"), "6 is not in the range 0<=x<=5"),
    ],
)
def test_wrong_arguments(
    arguments: tuple[str, ...], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["session", "run", str(write(tmp_path, testcomp={})), "--engine", "local", *arguments]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "place"),
    [('{"computations": {\n  "a": {"dso" 3}}}', "bad.sessiondef:2:"), (None, "bad.sessiondef: cannot read")],
)
def test_bad_definitions(text: str | None, place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.sessiondef"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    assert run(["session", "run", str(path), "--engine", "local", "--json"]) == 3
    out, err = capsys.readouterr()
    assert place in err
    (error,) = events(out)
    assert (error["event"], error["kind"], error["exit_code"]) == ("error", "DefinitionError", 3)


def test_an_interrupt_shuts_the_session_down(start_arras_ray: Start, tmp_path: Path) -> None:
    before = children()
    running = start_arras_ray("session", "run", write(tmp_path, testcomp={}), "--engine", "local", "--timeout", "100")
    running.wait_for("ready")
    running.process.send_signal(signal.SIGINT)
    assert running.end() == 130
    kinds = [event["event"] for event in running.events]
    assert kinds == ["ready", "stopped", "error"]
    assert running.events[-2]["execStoppedReason"] == "clientShutdown"
    assert_nothing_left(tmp_path, before)


@pytest.mark.slow  # each waits for the stop sequence, 5 s and 5 s more
@pytest.mark.parametrize(
    ("block", "code", "ready"),
    [
        ({"sleepInConfig": 1_000_000}, 5, False),
        ({"sleepInOnMessage": 1_000_000}, 5, True),
        ({"forward": True, "sleepInOnStop": 100_000}, 0, True),
        ({"sleepInOnMessage": 1_000_000, "ignoreSigterm": True}, 5, True),
    ],
    ids=["hang_in_configure", "hang_in_onmessage", "hangonstop", "hang_and_ignore_sigterm"],
)
def test_computations_that_hang_are_ended(
    block: dict[str, Any], code: int, ready: bool, arras_ray: Run, tmp_path: Path
) -> None:
    file = write(tmp_path, testcomp=block)
    times = ("--ready-timeout", "3", "--timeout", "1")
    result = arras_ray("session", "run", file, "--engine", "local", "--send", "x", "--json", *times)
    assert result.returncode == code
    told = events(result.stdout)
    assert ("ready" in [event["event"] for event in told]) is ready
    (stopped,) = (event for event in told if event["event"] == "stopped")
    assert stopped["execStoppedReason"] == "clientShutdown"


@pytest.mark.parametrize("file", sorted(FAULTS.glob("*.sessiondef")), ids=lambda path: path.stem)
def test_our_own_fault_sessions_can_be_run(file: Path) -> None:
    definition = load_definition(str(file))
    assert definition.document["name"] == file.stem
    assert all(computation.target for computation in definition.expand())
