"""What the loss of its supervisor does to a session on Ray."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from session_parts import Gate
from session_stage import Stage, pid_of, spec, take
from waiting import PATIENCE, until

from arras_ray.ray_session import RaySession
from arras_ray.session.computation_spec import ComputationSpec
from arras_ray.session.endings import Stopped
from arras_ray.session.message import CLIENT, GenericMessage

pytestmark = pytest.mark.usefixtures("parts")

ECHO = "self.reply(message.content, message)"
HELLO = GenericMessage("hello")


def array(name: str, count: int, least: int, **options: Any) -> list[ComputationSpec]:
    """Elements of an array that may be shorter."""
    one = spec(name, **options)
    return [replace(one, name=f"{name}_i{i}", array=name, index=i, array_min=least) for i in range(count)]


@pytest.mark.slow
def test_an_array_may_be_shorter_than_it_was_to_be(start: Stage) -> None:
    """Messages for those that are left out go nowhere, and a supervisor that takes over knows of them."""
    crew = array("crew", 4, 2, cores=2, accepts=["a", CLIENT], message="self.send(message.content, to=[CLIENT])")
    session = start(spec("a", message="self.send(message.content)"), *crew).wait_ready(PATIENCE)
    assert session.warnings == ["crew_i3 found no place, and its array may be shorter: the session goes without it"]
    session.send(HELLO, to=["a"])
    session.send(HELLO)
    assert take(session, 9) == [HELLO] * 9
    replace_supervisor(session)
    until(lambda: session.status().state == "ready", "it to know how far everybody is")
    assert session.shutdown() == Stopped()


def pid_of_other(session: RaySession, before: int) -> bool:
    """Whether the session has another supervisor than that."""
    try:
        return pid_of(session, "supervisor") != before
    except Exception:  # it is not there yet
        return False


def replace_supervisor(session: RaySession) -> None:
    """Kill the supervisor; returns when another one is there."""
    before = pid_of(session, "supervisor")
    os.kill(before, signal.SIGKILL)
    until(lambda: pid_of_other(session, before), "another supervisor")


@pytest.mark.slow
def test_a_supervisor_that_dies_harms_nobody(start: Stage, tmp_path: Path) -> None:
    stop = "(Path(config['folder']) / self.name).touch()"
    session = start(
        spec("a", message="self.send(message.content, source_id=message.source_id)", stop=stop, folder=str(tmp_path)),
        spec("b", accepts=["a"], message="self.reply(message.content, message)", stop=stop, folder=str(tmp_path)),
    ).wait_ready(PATIENCE)
    session.send(HELLO)
    assert take(session, 1) == [HELLO]
    replace_supervisor(session)
    assert session.call(HELLO, timeout=PATIENCE).content == HELLO
    until(lambda: session.status().state == "ready", "the new supervisor to know")
    assert session.shutdown() == Stopped()
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


@pytest.mark.slow
def test_a_supervisor_that_dies_while_a_session_starts_or_stops_is_replaced(start: Stage, tmp_path: Path) -> None:
    begins, ends = Gate(tmp_path / "begins"), Gate(tmp_path / "ends")
    for gate in (begins, ends):
        gate.folder.mkdir()
    slow = spec("slow", message=ECHO, initialize=f"hold({str(begins.folder)!r})", stop=f"hold({str(ends.folder)!r})")
    session = start(slow, spec("quick", accepts=()), stop_seconds=60.0)
    until(lambda: begins.is_reached, "the configuration")
    replace_supervisor(session)
    begins.open()
    session.wait_ready(PATIENCE)
    assert session.call(HELLO, timeout=PATIENCE).content == HELLO
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(session.shutdown)
        until(lambda: ends.is_reached, "the end")
        replace_supervisor(session)
        ends.open()
        assert ended.result() == Stopped()


@pytest.mark.slow
def test_who_dies_with_the_supervisor_is_not_replaced(start: Stage) -> None:
    """Nobody would know what it knew."""
    session = start(spec("a", message=ECHO), spec("b", message=ECHO)).wait_ready(PATIENCE)
    for pid in (pid_of(session, "supervisor"), pid_of(session, "a")):
        os.kill(pid, signal.SIGKILL)
    assert session.wait_stopped(PATIENCE).exec_stopped_reason == "compExited a exited due to signal 9"
