"""How sessions on Ray end: each way a computation can fail, the stop sequence, and what dies from outside."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from session_parts import Gate
from session_stage import Stage, faulty, left, pid_of, spec, staging, take
from size_of_ray import CPUS
from waiting import PATIENCE, until

from arras_ray.actors import parent
from arras_ray.actors.cluster import Cluster
from arras_ray.computations.fault_message import FaultMessage
from arras_ray.errors import ArrasRayError, ComputationError, MessageError, ResourcesError
from arras_ray.overview import Sessions
from arras_ray.session.computation_spec import ComputationSpec
from arras_ray.session.endings import Stopped
from arras_ray.session.message import GenericMessage

pytestmark = pytest.mark.usefixtures("parts")

ECHO = "self.reply(message.content, message)"
HELLO = GenericMessage("hello")

THREW = "threw an exception (see log for details)"
MESSAGE_PROBLEM = "exited due to a computation or message problem"

WORDS = {
    "throw": THREW,
    "segfault": "exited due to signal 11",
    "invalid": "failed to initialize properly",
    "abort": "exited due to signal 6",
    "exit": "exited unexpectedly with code 0",
    "exit10": "exited with code 10",
    "sigterm": "exited due to signal 15",
    "sigkill": "exited due to signal 9",
}
"""Words for each fault, in configure."""

DETAILS = {
    "throw": "RuntimeError: asked to throw",
    "segfault": "Fatal Python error: Segmentation fault",
    "abort": "Fatal Python error: Aborted",
}


@dataclass(frozen=True)
class End:
    """How a session is to end by `testcomp`. ready: whether a client sees it ready, None where it may."""

    culprit: ComputationSpec
    words: str
    ready: bool | None
    detail: str = ""
    log: str = ""
    """Something its log says, beside the detail."""
    content: Any = HELLO


@dataclass
class Seen:
    """What a client saw."""

    is_ready: bool = False
    error: ArrasRayError | None = None
    stopped: Stopped = field(default_factory=Stopped)
    text: str = ""
    """The log, as far as it was there when the session had ended."""
    messages: list[Any] = field(default_factory=list)
    witness: bool = False
    """Whether the computation beside was stopped in its own way."""


def fault(option: str, what: str, words: str = "", ready: bool | None = True, **told: str) -> End:
    return End(faulty(**{option: what}), words or WORDS[what], ready, told.pop("detail", DETAILS.get(what, "")), **told)


def fault_message(what: str, step: str, hop: int, words: str, detail: str) -> End:
    return End(faulty(), words, True, detail, content=FaultMessage("x", what, step, hop))


LARGE = "self.send(Pixels(0, np.zeros(1 << 20)))"
"""A message that may be lost with its sender; it must not take others with it."""

INVALID = "configure('initialize') returned INVALID"

ENDS: dict[str, End] = {
    **{f"{what}_in_configure": fault("errorInConfig", what, ready=False) for what in WORDS},
    **{f"{what}_in_start": fault("errorInStart", what, ready=None) for what in WORDS},
    **{f"{what}_in_onmessage": fault("errorInOnMessage", what) for what in WORDS},
    "throw_in_onmessage": fault("errorInOnMessage", "throw", MESSAGE_PROBLEM),
    "invalid_in_configure": fault("errorInConfig", "invalid", ready=False, detail=INVALID),
    "invalid_in_start": fault("errorInStart", "invalid", ready=None, detail="configure('start') returned INVALID"),
    "invalid_in_onmessage": fault(
        "errorInOnMessage",
        "invalid",
        MESSAGE_PROBLEM,
        detail="on_message returned INVALID for a GenericMessage from (client)",
    ),
    "throw_in_thread": fault("errorInThread", "throw", WORDS["abort"], None, log="in fail"),
    "throw in deserialise": fault_message(
        "THROW", "deserialise", 1, MESSAGE_PROBLEM, "asked to throw in deserialise of hop 1"
    ),
    "segfault in deserialise": fault_message("SEGFAULT", "deserialise", 1, WORDS["segfault"], DETAILS["segfault"]),
    "damaged on its way": fault_message("CORRUPT", "serialise", 1, MESSAGE_PROBLEM, "damaged on its way"),
    "throw in serialise": fault_message("THROW", "serialise", 2, MESSAGE_PROBLEM, "asked to throw in serialise"),
    "session_bad_dso": End(
        replace(spec("testcomp", ""), dso="libmichael_moorcock.so"),
        "failed to load the computation dso",
        False,
        "there is no computation for the library 'libmichael_moorcock.so'",
    ),
    "not allowed": End(
        spec("testcomp", "size_of_ray:CPUS"),
        "failed to load the computation dso",
        False,
        "the module 'size_of_ray' may not be named: it is not installed",
    ),
    "session_bad_exe": End(
        replace(faulty(), unsupported="testcomp is for API 3, which is not supported"),
        "failed to start the program (error in execv())",
        False,
        "testcomp is for API 3, which is not supported",
    ),
    "no such folder": End(
        replace(faulty(), working_directory="/nowhere/at/all"),
        "failed to start the program (error in execv())",
        False,
        "cannot run in /nowhere/at/all: No such file or directory",
    ),
    "sys.exit in on_message": End(spec("testcomp", message="sys.exit('enough')"), "exited with code 1", True, "enough"),
    "sys.exit in start": End(spec("testcomp", start="sys.exit(3)"), "exited with code 3", None),
    "last words": End(
        spec("testcomp", message=f"print('these are'); {LARGE}; print('my last words', flush=True); os._exit(4)"),
        "exited with code 4",
        True,
        "my last words",
        "these are",
    ),
}

FEW = ("throw_in_configure", "segfault_in_onmessage", "last words")
"""For the fast tests; how each fault ends a process is tested without Ray as well."""


def run(start: Stage, end: End, folder: Path) -> Seen:
    """A session with a healthy computation beside."""
    folder.mkdir()
    seen, lines = Seen(), []
    bye = f"(Path({str(folder)!r}) / 'stopped').touch(); self.send(GenericMessage('bye'))"
    session = start(end.culprit, spec("second", accepts=(), stop=bye))
    session.listen(log=lambda line: lines.append(line.text))
    try:
        session.wait_ready(PATIENCE)
        seen.is_ready = True
        session.send(end.content)
        for message in session.messages(PATIENCE):
            seen.messages.append(message.content)
    except ArrasRayError as error:
        seen.error = error
    seen.stopped = session.shutdown()
    seen.text = "\n".join(lines)
    seen.witness = (folder / "stopped").exists()
    return seen


def run_all(cluster: Cluster, names: Iterable[str], folder: Path) -> dict[str, Seen]:
    """Three at a time; nothing is left of them."""
    names = list(names)
    with staging(cluster) as stage, ThreadPoolExecutor(3) as pool:
        return dict(zip(names, pool.map(lambda name: run(stage, ENDS[name], folder / name), names), strict=True))


@pytest.fixture(scope="module")
def few(ray_here: Cluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    return run_all(ray_here, FEW, tmp_path_factory.mktemp("few"))


@pytest.fixture(scope="module")
def many(ray_here: Cluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    return run_all(ray_here, (name for name in ENDS if name not in FEW), tmp_path_factory.mktemp("many"))


def check(seen: Seen, end: End) -> None:
    """It ended as the table says."""
    reason = f"compExited testcomp {end.words}"
    assert (seen.stopped.exec_status, seen.stopped.exec_stopped_reason) == ("stopped", reason), seen.text
    assert (seen.stopped.disconnect_reason, seen.stopped.computation) == (reason, "testcomp")
    assert isinstance(seen.error, ComputationError)
    assert (seen.error.computation, seen.error.hint) == ("testcomp", seen.stopped.detail)
    assert end.ready in (None, seen.is_ready)
    assert end.detail in seen.stopped.detail
    assert bool(end.detail) == bool(seen.stopped.detail), seen.stopped.detail
    assert end.detail in seen.text
    assert end.log in seen.text
    assert seen.witness is seen.is_ready or end.ready is None
    assert seen.messages[-1:] == [GenericMessage("bye")] * seen.witness


@pytest.mark.parametrize("name", FEW)
def test_a_computation_that_fails_ends_the_session_and_the_others_stop(few: dict[str, Seen], name: str) -> None:
    check(few[name], ENDS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ENDS if name not in FEW])
def test_each_way_to_fail_is_told(many: dict[str, Seen], name: str) -> None:
    check(many[name], ENDS[name])


def signals(cluster: Cluster) -> dict[str, int | None]:
    """By which signal each process ended, as its parent wrote it down: SESSION/COMPUTATION."""
    assert cluster.folder is not None
    (log,) = cluster.folder.glob(f"ray/session_20*/logs/{parent.LOG}")
    records = [json.loads(line) for line in log.read_text().splitlines()]
    return {record["computation"]: record.get("signal") for record in records}


@pytest.mark.slow
def test_who_does_not_stop_is_told_to_and_then_killed(start: Stage, ray_here: Cluster, tmp_path: Path) -> None:
    """The fault sessions that hang, beside computations that stop in their own way. They are at it at the same time."""
    touch = "(Path(config['folder']) / self.name).touch()"
    well = spec("well", message=ECHO, stop=f"hold(config['folder']); {touch}", folder=str(tmp_path))
    sessions = [
        start(faulty("hangs", sleepInConfig=1e5), well, stop_seconds=1.0),
        start(faulty("hangs", sleepInOnMessage=1e5), stop_seconds=1.0),
        start(faulty("hangs", sleepInOnMessage=1e5, ignoreSigterm=True), stop_seconds=1.0),
        start(faulty("hangs", sleepInOnStop=1e5), well, stop_seconds=1.0),
        start(faulty("hangs"), stop_seconds=1.0),
    ]
    for session in sessions[1:]:
        session.wait_ready(PATIENCE).send(HELLO, to=["hangs"])
    take(sessions[-1], 1)
    os.kill(pid_of(sessions[-1], "hangs"), signal.SIGSTOP)
    pids = [pid_of(session, "hangs") for session in sessions]
    until(lambda: [row.state for row in sessions[0].status().computations] == ["loading", "ready"], "the hang")
    Gate(tmp_path).open()
    with ThreadPoolExecutor(len(sessions)) as pool:
        ended = list(pool.map(lambda session: session.shutdown(), sessions))
    assert ended == [Stopped()] * 5
    until(lambda: not [pid for pid in pids if psutil.pid_exists(pid)], "the processes to be gone")
    ends = signals(ray_here)
    assert [ends[f"{session.name}/hangs"] for session in sessions] == [15, 15, 9, 15, 9]
    assert (tmp_path / "well").exists()


@pytest.mark.slow
def test_a_computation_that_fails_while_it_stops_changes_no_reason(start: Stage) -> None:
    session = start(faulty(errorInStop="throw")).wait_ready(PATIENCE)
    assert session.call(HELLO, timeout=PATIENCE).content == HELLO
    assert session.shutdown() == Stopped()
    assert "RuntimeError: asked to throw" in start.text


def test_one_that_is_killed_from_outside_is_named_and_not_those_who_send_to_it(start: Stage, tmp_path: Path) -> None:
    """Nor do those wait for ever who call it."""
    flood = "while True: self.send(Pixels(0, np.zeros(4)), to=['victim'])"
    called = f"message.sender == CLIENT and (Path({str(tmp_path)!r}) / 'called').touch()"
    senders = [spec(f"sender{n}", message=flood) for n in range(2)]
    session = start(*senders, spec("victim", accepts=(), message=called), stop_seconds=1.0).wait_ready(PATIENCE)
    session.send(HELLO)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(session.call, HELLO, to=["victim"])
        until(lambda: (tmp_path / "called").exists(), "the call to be handled")
        os.kill(pid_of(session, "victim"), signal.SIGKILL)
        assert isinstance(call.exception(PATIENCE), ComputationError)
    assert session.wait_stopped(PATIENCE).exec_stopped_reason == "compExited victim exited due to signal 9"
    with pytest.raises(ComputationError, match="victim exited due to signal 9"):
        session.send(HELLO)


@pytest.mark.slow
def test_one_that_takes_more_memory_than_it_has_is_ended_where_that_is_wished(start: Stage) -> None:
    session = start(faulty("greedy", allocateInOnMessage=400, memory=300), enforce_memory=True).wait_ready(PATIENCE)
    session.send(HELLO)
    stopped = session.wait_stopped(PATIENCE)
    assert stopped.exec_stopped_reason.startswith("compExited greedy ran out of memory: ")
    assert stopped.exec_stopped_reason.endswith(" MB of 300 MB")


def test_what_does_not_fit_is_refused_with_the_table(start: Stage) -> None:
    session = start(spec("a", cores=CPUS), spec("b", cores=1))
    with pytest.raises(ResourcesError) as refused:
        session.wait_ready(PATIENCE)
    assert [row.computation for row in refused.value.table] == ["a", "b"]
    assert not session.wait_stopped(PATIENCE).as_asked
    with pytest.raises(ResourcesError):
        session.send(HELLO)
    assert left() == []


def test_a_computation_that_cannot_join_is_told(start: Stage, tmp_path: Path) -> None:
    """Here because a package of its environment is damaged."""
    package = tmp_path / "numba-0.dist-info"
    package.mkdir()
    (package / "METADATA").write_bytes(b"Version: \xff")
    session = start(spec("a", fields={"environment": {"PYTHONPATH": str(tmp_path)}}))
    stopped = session.wait_stopped(PATIENCE)
    assert stopped.exec_stopped_reason.startswith("a failed: UnicodeDecodeError")


def test_ps_logs_and_stop_know_such_sessions(start: Stage, ray_here: Cluster, tmp_path: Path) -> None:
    say = f"log.error('an error'); print('got', message.content.value, flush=True); {ECHO}"
    stop = f"(Path({str(tmp_path)!r}) / 'stopped').touch()"
    session = start(spec("a", message=say, stop=stop, cores=1), name="seen").wait_ready(PATIENCE)
    session.call(HELLO, timeout=PATIENCE)
    sessions = Sessions(ray_here)
    (told,) = sessions.report()
    assert (told.name, told.stage, told.answers) == ("seen", "ready", True)
    rows = {row.name: row for row in told.computations}
    assert set(rows) == {"a", "supervisor"}
    assert (rows["a"].state, rows["a"].cpus, rows["a"].memory_limit) == ("ready", 1.0, 64 << 20)
    assert rows["a"].pid == pid_of(session, "a")

    def lines() -> list[tuple[str, int, str]]:
        return sorted((line.computation, line.level, line.text) for line in sessions.log("seen", "a"))

    until(lambda: len(lines()) == 2, "what it wrote")
    assert lines() == [("a", 1, "an error"), ("a", 3, "got hello")]
    sessions.stop("seen")
    stopped = session.wait_stopped(PATIENCE)
    assert stopped.exec_stopped_reason == "session seen was ended by somebody else (arras-ray stop)"
    assert not stopped.as_asked
    assert (tmp_path / "stopped").exists()
    assert sessions.report() == []


@pytest.mark.slow
def test_a_message_the_client_cannot_read_is_its_affair(start: Stage) -> None:
    session = start(faulty()).wait_ready(PATIENCE)
    session.send(FaultMessage("x", "CORRUPT", "deserialise", 2))
    with pytest.raises(MessageError, match="damaged"):
        next(session.messages(PATIENCE))
    assert session.call(HELLO, timeout=PATIENCE).content == HELLO
