"""How local sessions end: in Arras' words, with the reason, and without a trace."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from stage import PATIENCE, Gate, Stage, eventually, spec

from arras_ray.errors import ComputationError, ReadyTimeout
from arras_ray.session import child
from arras_ray.session.endings import CLIENT_SHUTDOWN, Stopped
from arras_ray.session.handle import LogLine
from arras_ray.session.local_session import LocalSession
from arras_ray.session.local_supervisor import LocalSupervisor
from arras_ray.session.message import GenericMessage

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

HERE = Path(__file__).parent

SHORT = 0.2
"""Seconds to stop in, for computations that do not."""

THROWS = "raise RuntimeError('boom')"
THREW = "threw an exception (see log for details)"
PROBLEM = "exited due to a computation or message problem"

AT_START = [
    ("initialize", THROWS, THREW, "RuntimeError: boom"),
    (
        "initialize",
        "result = Result.INVALID",
        "failed to initialize properly",
        "configure('initialize') returned INVALID",
    ),
    ("initialize", "os.kill(0, 11)", "exited due to signal 11", "Fatal Python error: Segmentation fault"),
]

LATER = [
    ("start", THROWS, THREW, "RuntimeError: boom"),
    ("start", "os.abort()", "exited due to signal 6", "Fatal Python error: Aborted"),
    ("message", THROWS, PROBLEM, "RuntimeError: boom"),
    ("message", "result = Result.INVALID", PROBLEM, "on_message returned INVALID for a GenericMessage from (client)"),
    ("message", "os._exit(0)", "exited unexpectedly with code 0", ""),
    ("message", "raise SystemExit(10)", "exited with code 10", ""),
    ("message", "print('no licence', file=sys.stderr); os._exit(139)", "exited due to signal 11", "no licence"),
    ("message", "os.kill(os.getpid(), 15)", "exited due to signal 15", ""),
    ("message", "os.kill(os.getpid(), 9)", "exited due to signal 9", ""),
    ("message", "in_thread(lambda: 1 / 0)", "exited due to signal 6", "ZeroDivisionError: division by zero"),
    ("idle", THROWS, THREW, "RuntimeError: boom"),
]


def lines_of(session: LocalSession) -> list[LogLine]:
    """A list that the session's log goes to."""
    lines: list[LogLine] = []
    session.listen(log=lines.append)
    return lines


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(("when", "what", "words", "detail"), AT_START)
def test_a_failure_at_the_start_ends_the_session_before_it_is_ready(
    stage: Stage, when: str, what: str, words: str, detail: str
) -> None:
    session = stage(spec("script", **{when: what}))
    with pytest.raises(ComputationError) as caught:
        session.wait_ready(PATIENCE)
    reason = f"compExited: script {words}"
    assert (caught.value.computation, caught.value.how, caught.value.hint) == ("script", reason, detail)
    assert caught.value.exit_code == 6
    assert session.stopped == Stopped("stopped", reason, reason, "script", detail)


@pytest.mark.parametrize(("when", "what", "words", "detail"), LATER)
def test_a_failure_ends_the_session_with_the_reason(
    stage: Stage, when: str, what: str, words: str, detail: str
) -> None:
    session = stage(spec("script", "Idler", **{when: what}))
    session.send(GenericMessage("go"))
    stopped = session.wait_stopped(PATIENCE)
    reason = f"compExited: script {words}"
    assert stopped == Stopped("stopped", reason, reason, "script", detail)
    assert not stopped.as_asked
    with pytest.raises(ComputationError, match="has ended: compExited: script"):
        session.send(GenericMessage("more"))
    with pytest.raises(ComputationError, match="has ended: compExited: script"):
        next(session.messages())


@pytest.mark.parametrize(
    ("target", "words", "detail"),
    [
        ("Broken", THREW, "RuntimeError: no"),
        ("Missing", "failed to load the computation dso", "has no attribute 'Missing'"),
        ("NotOne", "failed to load the computation dso", "small_computations:NotOne is no computation"),
        ("stage:Gate", "failed to load the computation dso", "the module 'stage' may not be named"),
    ],
)
def test_what_cannot_be_loaded_ends_the_session(stage: Stage, target: str, words: str, detail: str) -> None:
    stopped = stage(spec("script", target)).wait_stopped(PATIENCE)
    assert stopped.exec_stopped_reason == f"compExited: script {words}"
    assert detail in stopped.detail


def test_a_process_that_cannot_be_started_ends_the_session(stage: Stage, tmp_path: Path) -> None:
    session = stage(spec("fine"), spec("lost", folder=str(tmp_path / "nowhere")), spec("never"))
    stopped = session.wait_stopped(PATIENCE)
    assert stopped.exec_stopped_reason == "compExited: lost failed to start the program (error in execv())"
    assert "nowhere" in stopped.detail


def test_the_others_stop_as_they_are_asked_to(stage: Stage, tmp_path: Path) -> None:
    told = tmp_path / "told"
    session = stage(spec("bad", message="os.kill(os.getpid(), 11)"), spec("good", stop=f"open({str(told)!r}, 'w')"))
    lines = lines_of(session)
    session.wait_ready(PATIENCE).send(GenericMessage("go"), to=["bad"])
    stopped = session.wait_stopped(PATIENCE)
    session.shutdown()
    assert stopped.computation == "bad"
    assert told.exists()
    assert not [line for line in lines if line.computation == "good"]
    assert lines[-1] == LogLine("bad", 1, "exited due to signal 11 [-11]")


def test_one_that_waits_for_the_others_too_long_ends_the_session(stage: Stage, gate: Gate) -> None:
    session = stage(
        spec("quick"), spec("slow", initialize=f"wait_at({gate.path!r})"), go_seconds=SHORT, stop_seconds=SHORT
    )
    stopped = session.wait_stopped(PATIENCE)
    assert stopped.exec_stopped_reason == "compExited: quick timed out waiting for a 'go' signal"


def test_shutdown_is_clean_and_may_be_asked_for_twice(stage: Stage) -> None:
    session = stage(spec("one"), spec("two"))
    lines = lines_of(session)
    session.wait_ready(PATIENCE)
    assert session.shutdown() == session.shutdown() == Stopped("stopped", CLIENT_SHUTDOWN, CLIENT_SHUTDOWN)
    assert session.status().state == "stopped"
    assert {row.state for row in session.status().computations} == {"stopped"}
    assert list(session.messages()) == []
    assert lines == []


def test_a_session_may_be_shut_down_before_it_is_ready(stage: Stage) -> None:
    session = stage(spec("one"))
    assert session.shutdown().as_asked
    with pytest.raises(ComputationError, match="clientShutdown"):
        session.wait_ready()


def test_messages_sent_before_the_end_are_still_there_after_it(stage: Stage) -> None:
    session = stage(
        spec("script", message="self.send(message.content, reply_to=message); os._exit(3)", stop="self.send('bye')")
    )
    session.send(GenericMessage("last"))
    session.wait_stopped(PATIENCE)
    messages = session.messages()
    assert next(messages).content.value == "last"
    with pytest.raises(ComputationError, match="exited with code 3"):
        next(messages)


def test_a_computation_may_send_while_it_stops(stage: Stage) -> None:
    session = stage(spec("script", stop="self.send({'samples': 7}, to=['(client)'])"), client={})
    session.wait_ready(PATIENCE).shutdown()
    assert [message.content for message in session.messages()] == [{"samples": 7}]


def test_an_exception_while_stopping_is_logged_and_the_end_is_clean(stage: Stage) -> None:
    session = stage(spec("script", stop=THROWS))
    lines = lines_of(session)
    assert session.wait_ready(PATIENCE).shutdown().as_asked
    texts = [line.text for line in lines]
    assert "RuntimeError: boom" in texts
    assert texts[-1] == f"{THREW} [13]"


def test_one_that_hangs_is_told_to_end(stage: Stage, gate: Gate) -> None:
    session = stage(spec("script", message=f"wait_at({gate.path!r})"), stop_seconds=SHORT)
    lines = lines_of(session)
    session.send(GenericMessage("go"))
    held = os.open(gate.path, os.O_WRONLY)  # it is at the gate now
    assert session.shutdown().as_asked
    os.close(held)
    assert [line.text for line in lines] == ["has not stopped within 0.2 s: SIGTERM", "exited due to signal 15 [-15]"]


def test_one_that_ignores_sigterm_is_killed(stage: Stage, gate: Gate) -> None:
    ignores = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    session = stage(spec("script", initialize=ignores, message=f"wait_at({gate.path!r})"), stop_seconds=SHORT)
    lines = lines_of(session)
    session.send(GenericMessage("go"))
    held = os.open(gate.path, os.O_WRONLY)
    assert session.shutdown().as_asked
    os.close(held)
    assert [line.text for line in lines][1:] == ["does not listen to SIGTERM: SIGKILL", "exited due to signal 9 [-9]"]


def test_one_that_never_gets_ready_times_out_and_can_be_ended(stage: Stage, gate: Gate) -> None:
    session = stage(spec("script", initialize=f"wait_at({gate.path!r})"), spec("other"), stop_seconds=SHORT)
    held = os.open(gate.path, os.O_WRONLY)
    with pytest.raises(ReadyTimeout, match=r"not ready within 0\.1 s"):
        session.wait_ready(0.1)
    assert session.status().state == "starting"
    assert session.shutdown().as_asked
    os.close(held)


def test_a_thread_that_never_ends_does_not_hold_up_the_end(stage: Stage, gate: Gate) -> None:
    """The exit code is the one the computation had told before its process had to be killed."""
    waits = f"import threading; threading.Thread(target=wait_at, args=({gate.path!r},)).start()"
    session = stage(spec("script", start=waits, message=THROWS), stop_seconds=SHORT)
    held = os.open(gate.path, os.O_WRONLY)
    session.send(GenericMessage("go"))
    stopped = session.wait_stopped(PATIENCE)
    os.close(held)
    assert stopped.exec_stopped_reason == f"compExited: script {PROBLEM}"


def test_what_is_no_frame_ends_only_the_session_that_sent_it(stage: Stage) -> None:
    other = stage(spec("echo", "Echo"))
    session = stage(spec("script", message="os.write(wire(), b'\\xff' * 100)"))
    session.send(GenericMessage("go"))
    stopped = session.wait_stopped(PATIENCE)
    assert stopped.exec_stopped_reason == f"compExited: script {PROBLEM}"
    assert stopped.detail == "it has sent what cannot be understood: what came is no frame"
    assert other.call(GenericMessage("alive"), timeout=PATIENCE).content.value == "alive"


def test_one_that_becomes_another_program_is_ended(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "DISCONNECTED_SECONDS", 0.05)
    session = stage(spec("script", message="os.execv('/bin/sleep', ['sleep', '1000'])"))
    session.send(GenericMessage("go"))
    stopped = session.wait_stopped(PATIENCE)
    assert stopped.exec_stopped_reason == "compExited: script was disconnected"


def test_the_children_of_a_computation_end_with_it(stage: Stage) -> None:
    sleeps = "import subprocess; self.send(subprocess.Popen(['sleep', '1000']).pid); "
    session = stage(spec("asked", start=sleeps), spec("failing", start=sleeps, message="os._exit(1)"))
    messages = session.messages(PATIENCE)
    pids = [next(messages).content, next(messages).content]
    assert not any(is_gone(pid) for pid in pids)
    session.send(GenericMessage("go"), to=["failing"])
    session.wait_stopped(PATIENCE)
    eventually(lambda: all(is_gone(pid) for pid in pids))


PARENT = """
import sys
from stage import spec
from arras_ray.session.local_session import start_local
from arras_ray.session.routing import EVERYTHING
before, after, *way = sys.argv[1:]
start = "import subprocess; self.send((os.getpid(), subprocess.Popen(['sleep', '1000']).pid))"
script = spec("script", start="\\n".join([before, start, after]))
session = start_local("test", [script], {"script": EVERYTHING})
print(*next(session.messages(60)).content, flush=True)
if "pause" in way:
    session.pause()
print("goes on", flush=True)
if "leave" not in way:
    input()
"""

NOT_TOLD = "import ctypes; ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)"
"""The system does not tell it of its parent's end."""

STUCK = "import ctypes; ctypes.PyDLL(None).sleep(1000)"
"""No thread of it does anything."""


@pytest.mark.parametrize(
    ("before", "after", "way"),
    [
        ("", "", ""),
        ("", "", "pause"),
        ("", "", "leave"),
        ("", STUCK, ""),
        (NOT_TOLD, "", "unguarded"),
        ("", STUCK, "unguarded"),
    ],
)
def test_nothing_outlives_the_client_however_it_ends(stage: Stage, before: str, after: str, way: str) -> None:
    """Killed, or at its end without a shutdown. If somebody has killed what guards the groups of processes, at least
    computations end."""
    client = subprocess.Popen(
        [sys.executable, "-c", PARENT, before, after, way],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=HERE,
    )
    with client:
        assert client.stdout is not None
        computation, its_child = (int(word) for word in client.stdout.readline().split())
        assert client.stdout.readline() == "goes on\n"
        if way == "unguarded":
            (guard,) = (child for child in psutil.Process(client.pid).children() if child.name() == "sh")
            guard.kill()
            eventually(lambda: guard.status() == psutil.STATUS_ZOMBIE)
        if way != "leave":
            client.kill()
    assert client.returncode == (0 if way == "leave" else -signal.SIGKILL)
    eventually(lambda: is_gone(computation))
    if way == "unguarded" and after == STUCK:
        os.kill(its_child, signal.SIGKILL)
    eventually(lambda: is_gone(its_child))


def test_ends_are_noticed_where_the_system_does_not_tell(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(pid: int) -> int:
        raise OSError("Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", missing)
    session = stage(spec("bad", message="os.kill(os.getpid(), 11)"), spec("good"))
    session.send(GenericMessage("go"), to=["bad"])
    assert session.wait_stopped(PATIENCE).exec_stopped_reason == "compExited: bad exited due to signal 11"


@pytest.mark.parametrize("where", ["_start", "_check_ready"])
def test_an_error_inside_ends_the_session(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    def fails(supervisor: LocalSupervisor) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(LocalSupervisor, where, fails)
    session = stage(spec("script"), stop_seconds=SHORT)
    session.wait_stopped(PATIENCE)
    with pytest.raises(Exception, match="a mistake of ours"):
        session.wait_ready()
    assert "a mistake of ours" in caplog.text
