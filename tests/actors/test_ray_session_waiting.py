"""Who sends faster than others take waits, on a real Ray: what is under way has a bound."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from session_parts import Gate, Pixels
from session_stage import Stage, spec, take
from waiting import PATIENCE, until

from arras_ray.actors.line import MOST_BYTES
from arras_ray.errors import ArrasRayError, ComputationError
from arras_ray.ray_session import RaySession
from arras_ray.session.endings import Stopped
from arras_ray.session.handle import ComputationStatus
from arras_ray.session.message import GenericMessage
from arras_ray.session.party import MOST_WAITING
from arras_ray.session.routing import EVERYTHING

pytestmark = pytest.mark.usefixtures("parts")


class Blocked:
    """Sends 8 MB messages to a receiver that takes none, until it has to wait."""

    SIZE = 8 << 20
    COUNT = 100

    def __init__(self, session: RaySession, receiver: str) -> None:
        self.sent = 0
        self._session, self._receiver = session, receiver
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        with suppress(ArrasRayError):  # the session has ended
            for number in range(self.COUNT):
                self._session.send(Pixels(number, np.full(self.SIZE, number, np.uint8)), to=[self._receiver])
                self.sent += 1


def settled(count: Any) -> int:
    """A count that does not grow any more."""
    seen = [count()]
    pause = threading.Event()

    def is_steady() -> bool:
        pause.wait(0.05)
        seen.append(count())
        return len(seen) > 40 and len(set(seen[-40:])) == 1

    until(is_steady, "the sender to wait")
    return seen[-1]


@pytest.mark.slow
def test_a_client_waits_for_a_computation_that_takes_nothing(start: Stage, gate: Gate) -> None:
    held = f"hold({str(gate.folder)!r}); self.reply(GenericMessage(str(message.content.values[-1])), message)"
    session = start(spec("a", message=held)).wait_ready(PATIENCE)
    blocked = Blocked(session, "a")
    until(lambda: session.status().computations[0].waiting > MOST_WAITING, "a full inbox")
    sent = settled(lambda: blocked.sent)
    assert sent < Blocked.COUNT
    assert sent * Blocked.SIZE <= MOST_WAITING + MOST_BYTES + 3 * Blocked.SIZE
    gate.open()
    assert [one.value for one in take(session, Blocked.COUNT)] == [str(n) for n in range(Blocked.COUNT)]
    blocked.thread.join(PATIENCE)


@pytest.mark.slow
def test_who_waits_for_room_goes_on_when_the_session_ends(start: Stage, gate: Gate) -> None:
    held = f"hold({str(gate.folder)!r})"
    session = start(spec("a", message=held), stop_seconds=0.5).wait_ready(PATIENCE)
    blocked = Blocked(session, "a")
    until(lambda: session.status().computations[0].waiting > MOST_WAITING, "a full inbox")
    assert session.shutdown().as_asked
    blocked.thread.join(PATIENCE)
    assert not blocked.thread.is_alive()
    with pytest.raises(ComputationError, match="has ended: clientShutdown"):
        session.send(GenericMessage("?"))


@pytest.mark.slow
def test_a_computation_waits_for_one_that_takes_nothing(start: Stage, gate: Gate) -> None:
    flood = "for n in range(100): self.send(Pixels(n, np.full(8 << 20, n, np.uint8)))"
    held = f"hold({str(gate.folder)!r}); self.send(GenericMessage(str(message.content.values[-1])))"
    session = start(spec("a", message=flood), spec("b", accepts=["a"], message=held), client={"b": EVERYTHING})
    session.wait_ready(PATIENCE).send(GenericMessage("go"), to=["a"])

    def rows() -> dict[str, ComputationStatus]:
        return {row.name: row for row in session.status().computations}

    until(lambda: rows()["b"].waiting > MOST_WAITING, "a full inbox")
    sent = settled(lambda: rows()["a"].sent)
    assert sent < Blocked.COUNT
    assert sent * Blocked.SIZE <= MOST_WAITING + MOST_BYTES + 3 * Blocked.SIZE
    gate.open()
    assert [one.value for one in take(session, 100)] == [str(n) for n in range(100)]


@pytest.mark.slow
def test_a_computation_waits_for_a_client_that_takes_nothing(start: Stage) -> None:
    flood = "for n in range(100): self.send(Pixels(n, np.full(8 << 20, n, np.uint8)))"
    session = start(spec("a", message=flood)).wait_ready(PATIENCE)
    session.send(GenericMessage("go"))
    until(lambda: session.status().computations[0].sent * Blocked.SIZE > 2 * MOST_WAITING, "two full queues")
    sent = settled(lambda: session.status().computations[0].sent)
    assert sent < Blocked.COUNT
    assert sent * Blocked.SIZE <= 2 * MOST_WAITING + 4 * Blocked.SIZE
    messages = session.messages(PATIENCE)
    for number in range(Blocked.COUNT):
        assert int(next(messages).content.values[-1]) == number


@pytest.mark.slow
def test_a_client_that_takes_nothing_can_end_its_session(start: Stage, tmp_path: Path) -> None:
    """The computation stops in its own way, and what the client has it may still take."""
    flood = "for n in range(100): self.send(Pixels(n, np.full(8 << 20, n, np.uint8)))"
    stop = f"(Path({str(tmp_path)!r}) / 'stopped').touch()"
    session = start(spec("a", message=flood, stop=stop)).wait_ready(PATIENCE)
    session.send(GenericMessage("go"))
    until(lambda: session.status().computations[0].sent * Blocked.SIZE > 2 * MOST_WAITING, "two full queues")
    assert session.shutdown() == Stopped()
    assert (tmp_path / "stopped").exists()
    seen = [int(message.content.values[-1]) for message in session.messages(PATIENCE)]
    assert seen == list(range(len(seen)))
    assert len(seen) * Blocked.SIZE >= MOST_WAITING
    until(lambda: "fetch" not in [thread.name for thread in threading.enumerate()], "no thread to be left")
