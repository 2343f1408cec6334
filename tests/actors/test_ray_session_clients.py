"""Clients of sessions on Ray: those that die, leave, come back or watch, and what is left of them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from session_parts import Gate, Picture, Pixels
from session_stage import Stage, left, spec, take
from waiting import PATIENCE, until

from arras_ray.actors import names
from arras_ray.actors.cluster import Cluster
from arras_ray.errors import UsageError
from arras_ray.overview import Sessions
from arras_ray.ray_session import RaySession
from arras_ray.session.endings import Stopped
from arras_ray.session.message import GenericMessage
from arras_ray.session.party import MOST_MESSAGES
from arras_ray.session_start import attach_session

pytestmark = pytest.mark.usefixtures("parts")

ECHO = "self.reply(message.content, message)"
FORWARD = "self.send(message.content, source_id=message.source_id)"
HELLO = GenericMessage("hello")


def end(session: RaySession) -> None:
    """Shut a session down that is not the stage's."""
    assert session.shutdown().as_asked


BEGIN = """
import os, sys, time
import numpy as np
from arras_ray import session_start
from arras_ray.actors.cluster import connect
from session_parts import GenericMessage, Pixels
from session_stage import EVERYTHING, spec

folder = sys.argv[2]
held = f"message.content.value == 'hold' and hold({folder!r}); self.reply(message.content, message)"
cluster = connect(sys.argv[1])

def start(name, keep=False, message=held):
    a = spec("a", message=message, stop=f"Path({folder + '/stopped ' + name!r}).touch()")
    return session_start.start_session(cluster, name, [a], {"a": EVERYTHING}, keep=keep).wait_ready(90)
"""


def client(cluster: Cluster, folder: Path, script: str) -> subprocess.Popen[str]:
    """A client in a process of its own."""
    command = [sys.executable, "-c", BEGIN + script, cluster.address, str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def output(process: subprocess.Popen[str]) -> str:
    """All that a client says until it ends."""
    told, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, told
    return told


DIES = """
session_start.CLIENT_SECONDS = 4.0
sessions = [start("lost"), start("kept", keep=True)]
for session in sessions:
    assert session.call(GenericMessage("first")).content.value == "first"
sessions[1].send(GenericMessage("hold"))
print("ready", flush=True)
time.sleep(1000)
"""


@pytest.mark.slow
def test_a_client_that_is_killed_leaves_nothing_but_what_was_to_be_kept(
    start: Stage, ray_here: Cluster, gate: Gate
) -> None:
    process = client(ray_here, gate.folder, DIES)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    until(lambda: gate.is_reached, "a message to be held")
    process.kill()
    process.communicate()
    until(lambda: names.sessions() == ["kept"], "the session to end")
    until(lambda: all(name.startswith("kept") for name in left()), f"nothing to be left of it: {left()}")
    assert [path.name for path in gate.folder.glob("stopped *")] == ["stopped lost"]
    gate.open()
    session = attach_session(ray_here, "kept").wait_ready(PATIENCE)
    assert take(session, 1) == [GenericMessage("hold")]
    assert session.call(HELLO, timeout=PATIENCE).content == HELLO
    end(session)
    assert (gate.folder / "stopped kept").exists()
    with pytest.raises(UsageError, match="there is no session kept"):
        attach_session(ray_here, "kept")


LEAVES = """
count = "self.n = getattr(self, 'n', 0) + int(getattr(message.content, 'values', [0])[-1])"
tell = "hasattr(message.content, 'values') or self.reply(GenericMessage(str(self.n)), message)"
session = start("busy", message=f"hold({folder!r}); {count}; {tell}")
for number in range(40):
    session.send(Pixels(number, np.full(1 << 20, 1, np.uint8)))
session.disconnect()
print(session.stopped.exec_status, session.stopped.disconnect_reason)
cluster.close()
"""


@pytest.mark.slow
def test_what_a_client_has_sent_before_it_left_arrives(start: Stage, ray_here: Cluster, gate: Gate) -> None:
    assert output(client(ray_here, gate.folder, LEAVES)) == "running clientDisconnect\n"
    gate.open()
    session = attach_session(ray_here, "busy").wait_ready(PATIENCE)
    assert session.call(HELLO, timeout=PATIENCE).content == GenericMessage("40")
    end(session)


FORGETS = """
import ray
session_start.CLIENT_SECONDS = 4.0
session = start("forgotten")
session.send(GenericMessage("late"))
cluster.close()
stopped = session.wait_stopped(90)
print(stopped.exec_stopped_reason)
for use in (lambda: session.send(GenericMessage("?")), session.pause):
    try:
        use()
    except Exception as error:
        print(type(error).__name__)
print(session.shutdown() == stopped, session.status().state)
import threading
for thread in threading.enumerate():
    if thread.name in ("fetch", "keep-alive"):
        thread.join(90)
print(ray.is_initialized())
"""


@pytest.mark.slow
def test_a_cluster_that_is_left_without_a_shutdown_ends_the_handle_and_the_session(
    start: Stage, ray_here: Cluster, tmp_path: Path
) -> None:
    """And no other Ray is started for it."""
    assert output(client(ray_here, tmp_path, FORGETS)).splitlines() == [
        "this process has left the cluster that session forgotten is in",
        "ClusterError",
        "ClusterError",
        "True stopped",
        "False",
    ]
    until(lambda: left() == [], "the session to end")
    assert (tmp_path / "stopped forgotten").exists()


def test_a_watcher_hears_what_the_client_hears_from_then_on(start: Stage, ray_here: Cluster) -> None:
    session = start(spec("a", message=ECHO), name="seen").wait_ready(PATIENCE)
    session.send(GenericMessage("before"))
    assert take(session, 1) == [GenericMessage("before")]
    watcher = attach_session(ray_here, "seen", watch=True)
    assert session.call(GenericMessage("called"), timeout=PATIENCE).content.value == "called"
    session.send(GenericMessage("sent"))
    assert take(session, 1) == [GenericMessage("sent")]
    assert take(watcher.wait_ready(PATIENCE), 2) == [GenericMessage("called"), GenericMessage("sent")]
    for refused in (lambda: watcher.send(HELLO), watcher.pause, watcher.resume):
        with pytest.raises(UsageError, match="who watches session seen cannot"):
            refused()
    assert [row.name for row in watcher.status().computations] == ["a"]
    second = attach_session(ray_here, "seen", watch=True)
    assert second.shutdown().as_asked  # it leaves, and that is all
    assert session.call(HELLO, timeout=PATIENCE).content == HELLO
    assert take(watcher, 1) == [HELLO]
    assert session.shutdown() == Stopped()
    assert watcher.wait_stopped(PATIENCE).exec_status == "stopped"
    assert watcher.stopped is not None
    assert watcher.stopped.as_asked
    assert list(watcher.messages(PATIENCE)) == []


@pytest.mark.slow
def test_a_watcher_that_takes_nothing_holds_up_nobody(start: Stage, ray_here: Cluster) -> None:
    flood = f"for n in range({MOST_MESSAGES + 5000}): self.send(Picture(n))"
    session = start(spec("a", message=flood), name="seen").wait_ready(PATIENCE)
    watcher = attach_session(ray_here, "seen", watch=True)
    for _ in range(2):
        session.send(HELLO)
        assert [one.number for one in take(session, MOST_MESSAGES + 5000)] == list(range(MOST_MESSAGES + 5000))
    session.shutdown()
    until(lambda: watcher.stopped is not None, "the watcher to hear of it")
    seen = [message.content.number for message in watcher.messages(PATIENCE)]
    assert seen[0] == 0
    assert len(seen) >= MOST_MESSAGES


@pytest.mark.slow
def test_a_watcher_gives_no_credit_back(start: Stage, ray_here: Cluster) -> None:
    session = start(spec("a", initialCredit=1, message="for n in range(3): self.send(Picture(n))"), name="seen")
    watcher = attach_session(ray_here, "seen", watch=True).wait_ready(PATIENCE)
    session.wait_ready(PATIENCE).send(HELLO)
    pictures, watched = session.messages(PATIENCE), watcher.messages(PATIENCE)
    assert next(watched).content == next(pictures).content == Picture(0)
    session.send(HELLO)  # it answers with more pictures, for which there is no credit
    watched_next = threading.Thread(target=lambda: next(watched))  # handles the first one
    watched_next.start()
    until(lambda: session.status().computations[0].received == 2, "the second message")
    assert session.status().computations[0].sent == 1
    assert next(pictures).content == Picture(2)
    watched_next.join(PATIENCE)


def test_who_comes_back_gets_what_came_meanwhile(start: Stage, ray_here: Cluster, gate: Gate) -> None:
    held = f"message.content.value == 'hold' and hold({str(gate.folder)!r}); {FORWARD}"
    session = start(spec("a", message=held), name="mine").wait_ready(PATIENCE)
    assert session.call(GenericMessage("1"), timeout=PATIENCE).content.value == "1"
    session.send(GenericMessage("hold"))
    session.send(GenericMessage("2"))
    until(lambda: gate.is_reached, "the message to be held")
    session.disconnect()
    assert session.stopped == Stopped("running", "", "clientDisconnect")
    assert session.shutdown().as_asked  # it has left already: nothing happens
    gate.open()
    for text in ("3", "4"):
        back = attach_session(ray_here, "mine").wait_ready(PATIENCE)
        back.send(GenericMessage(text))
        assert back.call(GenericMessage("called"), timeout=PATIENCE).content.value == "called"
        expected = ["hold", "2", "3"] if text == "3" else ["4"]
        assert [one.value for one in take(back, len(expected))] == expected
        if text == "3":
            back.disconnect()
    end(back)


@pytest.mark.slow
def test_a_session_that_has_lost_its_client_can_be_stopped(start: Stage, ray_here: Cluster, tmp_path: Path) -> None:
    stop = f"(Path({str(tmp_path)!r}) / 'stopped').touch()"
    session = start(spec("a", stop=stop), name="alone", keep=True).wait_ready(PATIENCE)
    session.disconnect()
    Sessions(ray_here).stop("alone")
    assert (tmp_path / "stopped").exists()
    assert left() == []


def traces() -> set[str]:
    """Threads of this process, and its open files but for Ray's connections."""
    found = {f"thread {thread.name}" for thread in threading.enumerate()}
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # that of the list itself
            found.add(os.readlink(f"/proc/self/fd/{descriptor}"))
    return {one for one in found if not one.startswith("socket:")}


@pytest.mark.slow
def test_nothing_is_left_of_a_session_in_its_client(start: Stage, ray_here: Cluster) -> None:
    def use() -> None:
        session = start(spec("a", message=ECHO), name="short").wait_ready(PATIENCE)
        session.listen(message=lambda message: None)
        watcher = attach_session(ray_here, "short", watch=True).wait_ready(PATIENCE)
        session.call(Pixels(1, np.zeros(1 << 20)), timeout=PATIENCE)
        watcher.shutdown()
        session.shutdown()

    use()  # Ray makes connections and threads that it keeps
    before = traces()
    use()
    until(lambda: traces() <= before, f"everything to be given back: {traces() - before}")
