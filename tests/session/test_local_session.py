"""A local session as its client has it: what it hears, sees and may do; and what its computations are given."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import psutil
import pytest
from stage import PATIENCE, Gate, Stage, eventually, spec

from arras_ray.errors import ComputationError, MessageTimeout, OutputError, ReadyTimeout, UsageError
from arras_ray.session.handle import LogLine, Session
from arras_ray.session.local_session import share_cores
from arras_ray.session.message import GenericMessage, Message

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

SPEAK = r"""
print("to stdout")
print("to stderr", file=sys.stderr)
log.critical("fatal")
log.error("error")
log.warning("warning")
log.info("info\nof two lines")
log.debug("debug")
log.log(5, "trace")
os.write(1, b"no utf-8: \xff\n")
os.write(1, b"no end of line")
"""


def spoken(stage: Stage, level: int) -> set[tuple[int, str]]:
    """What a computation that speaks is heard to say at a level."""
    session = stage(spec("speaker", message=SPEAK + "os._exit(0)"), log_level=level)
    lines: list[LogLine] = []
    session.listen(log=lines.append)
    session.send(GenericMessage("speak"))
    session.wait_stopped(PATIENCE)
    session.shutdown()
    assert {line.computation for line in lines} == {"speaker"}
    return {(line.level, line.text) for line in lines}


def test_each_line_a_computation_writes_is_heard_with_its_level(stage: Stage) -> None:
    assert spoken(stage, 5) == {
        (3, "to stdout"),
        (2, "to stderr"),
        (0, "fatal"),
        (1, "error"),
        (2, "warning"),
        (3, "info"),
        (3, "of two lines"),
        (4, "debug"),
        (5, "trace"),
        (3, "no utf-8: \ufffd"),
        (3, "no end of line"),
        (1, "exited unexpectedly with code 0"),
    }


def test_lines_above_the_level_are_not_heard(stage: Stage) -> None:
    assert {level for level, _ in spoken(stage, 1)} == {0, 1}


def test_a_line_without_end_is_heard_in_pieces(stage: Stage) -> None:
    length = 300_000
    session = stage(spec("speaker", message=f"os.write(1, b'x' * {length}); self.send('done')"))
    lines: list[LogLine] = []
    session.listen(log=lines.append)
    session.send("go")
    assert next(session.messages(PATIENCE)).content == "done"
    session.shutdown()
    assert sum(len(line.text) for line in lines) == length
    assert max(len(line.text) for line in lines) <= 2 << 16


def test_the_log_can_be_kept_in_a_file(stage: Stage, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("before\n")
    session = stage(spec("one", start="print('hello')"), keep_log=path)
    session.wait_ready(PATIENCE).shutdown()
    before, line = path.read_text().splitlines()
    assert before == "before"
    assert line.split(" ", 1)[1] == "one 3 hello"


def test_a_log_that_cannot_be_kept_is_an_error(stage: Stage, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write the log"):
        stage(spec("one"), keep_log=tmp_path / "missing" / "log")


def test_what_was_written_before_anybody_listened_is_not_lost(stage: Stage) -> None:
    session = stage(spec("one", start="print('early')")).wait_ready(PATIENCE)
    session.shutdown()
    lines: list[LogLine] = []
    session.listen(log=lines.append)
    eventually(lambda: lines == [LogLine("one", 3, "early")])


def test_environment_folder_threads_and_limits_are_those_asked_for(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OURS", "ours")
    monkeypatch.setenv("CHANGED", "ours")
    tell = """
names = ("OURS", "CHANGED", "NEW", "OMP_NUM_THREADS")
self.send({
    "environment": [os.environ.get(name) for name in names],
    "folder": os.getcwd(),
    "path": [entry for entry in sys.path if entry in ("", os.getcwd())],
    "threads": self.threads,
    "limits": config["limits"],
    "who": [self.name, self.session],
    "stdin": sys.stdin.read(),
})
"""
    session = stage(
        spec(
            "one",
            start=tell,
            environment={"CHANGED": "theirs", "NEW": "new"},
            folder=str(tmp_path),
            cores=(3, 3),
        ),
        name="shot 7",
    )
    assert next(session.messages(PATIENCE)).content == {
        "environment": ["ours", "theirs", "new", "3"],
        "folder": str(tmp_path),
        "path": [],
        "threads": 3,
        "limits": {"maxThreads": 3, "maxMemoryMB": 1024},
        "who": ["one", "shot 7"],
        "stdin": "",
    }


@pytest.mark.parametrize(
    ("asked", "cores", "given"),
    [
        ([(1, 1), (1, None)], 8, [1, 7]),
        ([(2, 2), (1, None), (1, None)], 9, [2, 4, 3]),
        ([(1, None), (1, 3)], 8, [5, 3]),
        ([(4, None), (1, None)], 6, [4, 2]),
        ([(0, 0), (1, None)], 2, [1, 1]),
        ([(8, 8), (1, None)], 2, [8, 1]),
    ],
)
def test_cores_are_shared(asked: list[tuple[float, float | None]], cores: int, given: list[int]) -> None:
    """Fixed ones get what they ask; those with a range share evenly what is left, within it; everybody has one."""
    specs = [spec(f"c{number}", cores=one) for number, one in enumerate(asked)]
    assert list(share_cores(specs, cores).values()) == given


def test_what_this_machine_does_not_give_is_told(stage: Stage) -> None:
    session = stage(spec("one", cores=(2, 2)), spec("two"), cores=2)
    assert session.warnings == ["the session asks for 3 cores, 2 are shared"]


def test_status_tells_where_each_computation_stands(stage: Stage, gate: Gate) -> None:
    session = stage(spec("one", "Echo"), spec("two", initialize=f"wait_at({gate.path!r})"))
    assert session.status().state == "starting"
    eventually(lambda: session.status().computations[0].state == "ready")
    assert session.status().computations[1].state == "starting"
    gate.open()
    session.wait_ready(PATIENCE)
    session.call(GenericMessage("?"), to=["one"], timeout=PATIENCE)
    eventually(lambda: session.status().computations[0].waiting == 0)
    one, two = session.status().computations
    assert session.status().state == "ready"
    assert (one.name, one.node, one.state, one.received, one.sent) == ("one", socket.gethostname(), "running", 1, 1)
    assert (two.received, two.sent) == (0, 0)
    assert {psutil.Process(row.pid).ppid() for row in (one, two)} == {os.getpid()}


def test_paused_computations_stand_still(stage: Stage) -> None:
    session = stage(spec("one", "Echo"), spec("two", "Echo")).wait_ready(PATIENCE)
    session.pause()
    assert session.status().state == "paused"
    processes = [psutil.Process(row.pid) for row in session.status().computations]
    eventually(lambda: {process.status() for process in processes} == {psutil.STATUS_STOPPED})
    session.send(GenericMessage("later"), to=["one"])
    with pytest.raises(MessageTimeout):
        next(session.messages(0.05))
    session.resume()
    assert session.status().state == "ready"
    assert next(session.messages(PATIENCE)).content.value == "later"


def test_a_paused_session_can_be_shut_down(stage: Stage) -> None:
    session = stage(spec("one", stop="self.send('bye', to=['(client)'])")).wait_ready(PATIENCE)
    session.pause()
    assert session.shutdown().as_asked
    assert [message.content for message in session.messages()] == ["bye"]
    with pytest.raises(ComputationError):
        session.pause()


def test_a_local_session_cannot_do_without_its_client(stage: Stage) -> None:
    session = stage(spec("one"))
    with pytest.raises(UsageError, match="cannot do without its client"):
        session.disconnect()


def test_leaving_the_block_ends_the_session_and_its_error_is_the_one_told(stage: Stage) -> None:
    session = stage(spec("one", message="os._exit(10)"))
    with pytest.raises(ComputationError, match="code 10"), session:
        session.call(GenericMessage("go"), timeout=PATIENCE)
    assert session.stopped is not None


def test_sessions_do_not_meet(stage: Stage) -> None:
    sessions = [stage(spec("echo", "Echo"), name=name) for name in ("one", "two")]
    for session in sessions:
        session.send(GenericMessage(session.name))
    for session in sessions:
        assert next(session.messages(PATIENCE)).content.value == session.name
    sessions[0].shutdown()
    assert sessions[1].call(GenericMessage("alive"), timeout=PATIENCE).content.value == "alive"


def test_a_session_of_nothing_is_ready_until_it_is_ended(stage: Stage) -> None:
    assert stage().wait_ready(PATIENCE).shutdown().as_asked


class Heard:
    """What a session calls back."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.threads: set[int] = set()
        self.over = threading.Event()

    def __call__(self, event: Any) -> None:
        self.threads.add(threading.get_ident())
        if isinstance(event, Message):
            self.events.append(event.content)
        else:
            self.events.append(type(event).__name__)

    def stopped(self, event: Any) -> None:
        self(event)
        self.over.set()


def test_who_listens_is_called_on_threads_of_the_session(stage: Stage) -> None:
    session = stage(spec("one", message="print('line'); self.send('reply')"))
    heard, replies = Heard(), Heard()

    def ready(it: Session) -> None:
        heard(it)
        it.send("go")

    session.listen(message=replies, log=heard, ready=ready, stopped=heard.stopped)
    eventually(lambda: replies.events == ["reply"])
    session.shutdown()
    assert heard.over.wait(PATIENCE)
    assert heard.events == ["LocalSession", "LogLine", "Stopped"]
    assert threading.get_ident() not in heard.threads | replies.threads
    late = Heard()
    session.listen(ready=late, stopped=late.stopped)
    assert late.over.wait(PATIENCE)
    assert late.events == ["LocalSession", "Stopped"]


def test_a_listener_may_shut_the_session_down(stage: Stage) -> None:
    session = stage(spec("one", start="print('enough')"))
    session.listen(log=lambda line: session.shutdown())
    assert session.wait_stopped(PATIENCE).as_asked


def test_a_listener_that_fails_disturbs_nobody(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    session = stage(spec("echo", "Echo"))
    heard = Heard()
    session.listen(message=lambda message: {}[message.content.value], ready=lambda it: 1 / 0)
    session.listen(message=heard, ready=heard)
    for text in ("one", "two"):
        session.send(GenericMessage(text))
    eventually(lambda: caplog.text.count("KeyError") == 2)
    eventually(lambda: "LocalSession" in heard.events)
    assert "ZeroDivisionError" in caplog.text


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(coroutine)


def test_async_forms_do_the_same(stage: Stage) -> None:
    async def talk() -> None:
        session = await stage(spec("echo", "Echo")).ready_async(PATIENCE)
        replies = await asyncio.gather(
            *(session.call_async(GenericMessage(str(n)), timeout=PATIENCE) for n in range(20))
        )
        assert [reply.content.value for reply in replies] == [str(n) for n in range(20)]
        await session.send_async(GenericMessage("more"), source_id="id")
        messages = session.messages_async(PATIENCE)
        assert (await anext(messages)).source_id == "id"
        await messages.aclose()
        with pytest.raises(MessageTimeout, match="has not ended within"):
            await session.stopped_async(0.01)
        with pytest.raises(MessageTimeout, match="there was no message within"):
            await anext(session.messages_async(0.01))
        assert (await session.shutdown_async()).as_asked
        assert (await session.stopped_async(PATIENCE)).as_asked
        assert [message async for message in session.messages_async()] == []

    run(talk())


def test_async_forms_hear_of_failures(stage: Stage, gate: Gate) -> None:
    async def talk() -> None:
        session = stage(spec("one", initialize=f"wait_at({gate.path!r})", message="os._exit(10)"))
        with pytest.raises(ReadyTimeout):
            await session.ready_async(0.01)
        await asyncio.to_thread(gate.open)
        with pytest.raises(ComputationError, match="exited with code 10"):
            await session.call_async(GenericMessage("?"), timeout=PATIENCE)
        with pytest.raises(ComputationError, match="exited with code 10"):
            await anext(session.messages_async())

    run(talk())


def test_a_cancelled_wait_takes_no_message_with_it(stage: Stage) -> None:
    async def talk() -> None:
        session = stage(spec("echo", "Echo"))
        waiting = asyncio.create_task(anext(session.messages_async()))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        session.send(GenericMessage("kept"))
        assert (await anext(session.messages_async(PATIENCE))).content.value == "kept"

    run(talk())


def test_calls_from_many_threads_get_their_own_answers(stage: Stage) -> None:
    session = stage(spec("echo", "Echo")).wait_ready(PATIENCE)
    wrong: list[str] = []

    def call(name: str) -> None:
        for number in range(50):
            text = json.dumps([name, number])
            reply = session.call(GenericMessage(text), timeout=PATIENCE)
            wrong.extend([reply.content.value] if reply.content.value != text else [])

    threads = [threading.Thread(target=call, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
