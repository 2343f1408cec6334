"""Arras' test sessions, each as its table of what a client must see says, with real processes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from fault_sessions import HELLO, SECONDS, Seen, block, run_session, session_of

from arras_ray.computations.fault_message import FaultMessage
from arras_ray.errors import ComputationError, MessageError, ReadyTimeout
from arras_ray.session.definition import SessionDefinition
from arras_ray.session.local_session import start_local

MESSAGE_PROBLEM = "exited due to a computation or message problem"
THREW = "threw an exception (see log for details)"

CLEAN: dict[str, tuple[SessionDefinition, int]] = {
    "simple_test": (session_of("simple", testcomp=block(forward=True)), 1),
    "reply_test": (session_of("reply", testcomp=block(reply=True)), 1),
    "both": (session_of("both", testcomp=block(forward=True, reply=True)), 2),
    "multi_test": (session_of("multi", testcomp=block(forward=True, arrayExpand=3)), 3),
    "noresources": (
        session_of(
            "none",
            testcomp=block(
                forward=True, requirements={"computationAPI": "4.x", "resources": {"cores": 0.0, "memoryMB": 0}}
            ),
        ),
        1,
    ),
    "chunking_test": (
        session_of("chunks", testcomp=block(forward=True, minChunkingBytes=1023, chunkSizeBytes=1024)),
        1,
    ),
    "sleepy_idle": (session_of("idle", testcomp=block(forward=True, sleepInOnIdle=0.3)), 1),
    "sleeps everywhere": (
        session_of("sleepy", testcomp=block(forward=True, sleepInConfig=0.1, sleepInOnMessage=0.1, sleepInOnStop=0.1)),
        1,
    ),
    "ignores SIGTERM": (session_of("ignores", testcomp=block(forward=True, ignoreSigterm=True)), 1),
    "allocates": (session_of("allocates", testcomp=block(forward=True, allocateInOnMessage=8)), 1),
}
"""Sessions that end as their client wishes, and how many answers a message has."""


@dataclass(frozen=True)
class End:
    """How a session is to end by a computation. ready: whether a client sees it ready, None where it may."""

    definition: SessionDefinition
    words: str
    ready: bool | None
    log: str = ""
    content: Any = HELLO


def fault(option: str, value: str, words: str, ready: bool | None, log: str = "") -> End:
    """A single computation with one fault."""
    return End(session_of("fault", testcomp=block(forward=True, **{option: value})), words, ready, log)


def beside_a_healthy_one(option: str, value: str, words: str, ready: bool | None) -> End:
    """Two computations; `second` is well."""
    bad, second = block(forward=True, **{option: value}), block(forward=True)
    return End(session_of("multi", testcomp=bad, second=second), words, ready)


def fault_message(what: str, step: str, hop: int, words: str, log: str = "") -> End:
    """A computation that forwards, and a message that goes wrong."""
    content = FaultMessage("x", what, step, hop)
    return End(session_of("message", testcomp=block(forward=True)), words, True, log, content)


EXITS = {
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

ENDS: dict[str, End] = {
    **{f"{what}_in_configure": fault("errorInConfig", what, EXITS[what], False) for what in EXITS},
    **{f"{what}_in_start": fault("errorInStart", what, EXITS[what], None) for what in EXITS},
    **{
        f"{what}_in_onmessage": fault(
            "errorInOnMessage", what, MESSAGE_PROBLEM if what in ("throw", "invalid") else EXITS[what], True
        )
        for what in EXITS
    },
    "throw_in_thread": fault("errorInThread", "throw", "exited due to signal 6", None, "asked to throw"),
    "unknown fault": fault("errorInStop", "explode", EXITS["invalid"], False, "errorInStop is one of throw, segfault"),
    "segfault_in_configure_multi": beside_a_healthy_one("errorInConfig", "segfault", EXITS["segfault"], False),
    "segfault_in_start_multi": beside_a_healthy_one("errorInStart", "segfault", EXITS["segfault"], None),
    "session_bad_dso": End(
        session_of("bad", testcomp=block("libmichael_moorcock.so")),
        "failed to load the computation dso",
        False,
        "libmichael_moorcock",
    ),
    "throw in deserialise": fault_message("THROW", "deserialise", 1, MESSAGE_PROBLEM, "in deserialise of hop 1"),
    "throw in serialise": fault_message("THROW", "serialise", 2, MESSAGE_PROBLEM, "in serialise of hop 2"),
    "segfault in deserialise": fault_message("SEGFAULT", "deserialise", 1, "exited due to signal 11"),
    "segfault in serialise": fault_message("SEGFAULT", "serialise", 2, "exited due to signal 11"),
    "damaged on its way": fault_message("CORRUPT", "serialise", 1, MESSAGE_PROBLEM, "damaged on its way"),
    "damaged on arrival": fault_message("CORRUPT", "deserialise", 1, MESSAGE_PROBLEM, "damaged on its way"),
}


@pytest.fixture(scope="module")
def sessions() -> Iterator[dict[str, Future[Seen]]]:
    """All of them, a few at a time: most of their time is that of starting Python."""
    with ThreadPoolExecutor(3) as pool:
        found = {name: pool.submit(run_session, *CLEAN[name]) for name in CLEAN}
        for name, end in ENDS.items():
            found[name] = pool.submit(run_session, end.definition, 100, end.content)
        yield found


@pytest.mark.parametrize("name", CLEAN)
def test_sessions_that_go_well(name: str, sessions: dict[str, Future[Seen]]) -> None:
    definition, answers = CLEAN[name]
    seen = sessions[name].result()
    assert seen.error is None, seen.text
    assert seen.is_ready
    length = definition.blocks["testcomp"].get("arrayExpand")
    senders = [f"testcomp_i{i}" for i in range(length)] if length else ["testcomp"] * answers
    assert sorted(seen.answers) == [(sender, HELLO) for sender in senders]
    assert (seen.stopped.exec_status, seen.stopped.exec_stopped_reason) == ("stopped", "clientShutdown")
    assert seen.stopped.disconnect_reason == "clientShutdown"
    assert not [line for line in seen.log if line.level <= 2], seen.text


@pytest.mark.parametrize("name", ENDS)
def test_sessions_that_a_computation_ends(name: str, sessions: dict[str, Future[Seen]]) -> None:
    end = ENDS[name]
    seen = sessions[name].result()
    assert seen.stopped.exec_status == "stopped"
    assert seen.stopped.exec_stopped_reason == f"compExited: testcomp {end.words}", seen.text
    assert seen.stopped.computation == "testcomp"
    assert isinstance(seen.error, ComputationError)
    assert seen.error.computation == "testcomp"
    assert end.ready is None or seen.is_ready is end.ready
    assert seen.answers == [] or "multi" in name
    assert end.log in seen.text


def test_throw_in_stop_changes_no_reason() -> None:
    seen = run_session(session_of("stop", testcomp=block(forward=True, errorInStop="throw")), 1)
    assert seen.answers == [("testcomp", HELLO)]
    assert seen.stopped.exec_stopped_reason == "clientShutdown"
    assert "RuntimeError: asked to throw" in seen.text


@pytest.mark.parametrize(
    ("what", "text"), [("THROW", "asked to throw in deserialise of hop 2"), ("CORRUPT", "damaged")]
)
def test_a_message_that_the_client_cannot_read(what: str, text: str) -> None:
    content = FaultMessage("x", what, "deserialise", 2)
    seen = run_session(session_of("message", testcomp=block(forward=True)), 1, content)
    assert isinstance(seen.error, MessageError)
    assert text in str(seen.error)
    assert seen.stopped.exec_stopped_reason == "clientShutdown"


@pytest.mark.parametrize(
    ("options", "ready", "killed_by"),
    [
        ({"sleepInConfig": 1_000_000}, False, 15),
        ({"sleepInOnStop": 100_000}, True, 15),
        ({"sleepInOnStop": 100_000, "ignoreSigterm": True}, True, 9),
        ({"dso": "libarras4_benchmark_computation.so", "sleepInOnStop": 100_000}, True, 15),
    ],
    ids=["hang_in_configure", "hangonstop", "hang_and_ignore_sigterm", "benchmark_hangonstop"],
)
def test_those_that_hang_are_ended(options: dict[str, Any], ready: bool, killed_by: int) -> None:
    definition = session_of("hang", testcomp=block(**options))
    over, seen = threading.Event(), Seen()
    session = start_local("hang", definition.expand(), definition.client_rules, stop_seconds=0.3)
    session.listen(log=seen.log.append, stopped=lambda _: over.set())
    with session:
        if ready:
            session.wait_ready(SECONDS)
        else:
            with pytest.raises(ReadyTimeout):
                session.wait_ready(0.5)
    assert over.wait(SECONDS)
    assert session.stopped is not None
    assert session.stopped.as_asked
    assert f"exited due to signal {killed_by} " in seen.text
