"""executor: runs a user's computation of a session, in a process of its own.

`initialize` and then `run` have a thread as long as the computation lives (not the main one, which is Ray's). One that
cannot go on ends the process, with an exit code that tells why (see session/endings.py).
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

from arras_ray.actors.handshake import Heart, Joined, Pulse, join
from arras_ray.actors.line import Line, Store
from arras_ray.actors.outbox import Batch, Outbox
from arras_ray.actors.worker_log import WorkerLog
from arras_ray.session.endings import DISCONNECTED
from arras_ray.session.host import Ended, Host, Part, abort_on_thread_exception
from arras_ray.session.message import CLIENT, Envelope, numbered

DRAIN_SECONDS = 2.0
"""At its end a computation waits so long for its client to fetch what it has sent."""

REPLY_SECONDS = 0.25
"""A call takes one of few threads; replies that take longer come with the other messages."""


class Executor:
    """Runs the computation that `part` names. life tells it from those before it in its place."""

    def __init__(self, name: str, session: str, life: int, part: Part, working_directory: str = "") -> None:
        # Ray's own handler waits for the main thread, which is Ray's: the computation has another one.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self.name = name
        self.session = session
        self._life = life
        self._working_directory = working_directory
        self._heart = Heart()
        self._state = "starting"
        self._store = Store()
        self._lines: dict[str, Line] = {}
        self._outbox = Outbox()
        self._log = WorkerLog(self._outbox.write)
        self._host = Host(part, self._let_out)

    def __repr__(self) -> str:
        return f"{self.name} of {self.session}"

    def join(self, enforce_memory: bool = False) -> Joined:
        """Where this computation runs. enforce_memory: it is killed when it takes more than its bundle has."""
        return join(self.name, self.session, self._life, enforce_memory, self._host.part.threads)

    def ping(self) -> Pulse:
        """A heartbeat. State: starting, loading, ready (it waits for all others), running, stopping or stopped."""
        return self._heart.beat(self._state)

    def initialize(self) -> None:
        """Load the computation and configure it for the first time."""
        self._state = "loading"
        self._log.start()
        abort_on_thread_exception()

        def work() -> None:
            if self._working_directory:
                os.chdir(self._working_directory)
            self._host.load()
            self._host.configure("initialize")

        self._carefully(work)
        self._state = "ready"

    def run(self, partners: dict[str, Any]) -> None:
        """Start it, hand it its messages until `stop`, let it stop. partners: actors it may send to, by name."""
        self._lines = {name: Line(actor) for name, actor in partners.items()}

        def work() -> None:
            self._host.configure("start")
            self._state = "running"
            self._host.run()
            self._state = "stopping"
            self._host.configure("stop")

        self._carefully(work)
        for line in self._lines.values():
            with suppress(Exception):  # the others stop as well
                line.flush()
        self._log.flush()
        self._outbox.drain(DRAIN_SECONDS)
        self._outbox.close()
        self._state = "stopped"

    def deliver(self, envelope: Envelope, number: int, line: str) -> None:
        """A message, the sender's `number`th to this computation on this line. Returns once it is queued, which may
        take until others are handled."""
        self._host.party.accept(numbered(envelope, number, line))

    def call(self, envelope: Envelope, number: int, line: str) -> Any:
        """As `deliver`; returns the first message for the client with the same source id, or a reference to it, if it
        comes within REPLY_SECONDS."""
        self._outbox.expect(envelope.source_id)
        try:
            self.deliver(envelope, number, line)
        finally:
            reply = self._outbox.reply(envelope.source_id, REPLY_SECONDS)
        return reply

    def fetch(self, reader: str, since: int, line: int, timeout: float) -> Batch:
        """What is there for clients; see Outbox."""
        return self._outbox.fetch(reader, since, line, timeout)

    def own(self, reader: str) -> int:
        """This reader is the session's client from now on; returns where to go on with `fetch`."""
        return self._outbox.own(reader)

    def watch(self, reader: str) -> int:
        """This reader watches from now on; returns where to begin with `fetch`."""
        return self._outbox.watch(reader)

    def counts(self) -> tuple[int, int, int]:
        """Messages received and sent, and bytes of those that wait."""
        party = self._host.party
        return party.received, party.sent, party.waiting

    def pause(self, paused: bool) -> None:
        """Stand still after the message under way, or go on."""
        self._host.party.pause(paused)

    def stop(self) -> None:
        """Let `run` end after the message under way."""
        self._host.stop()

    def _let_out(self, receiver: str, envelope: Envelope) -> None:
        if receiver == CLIENT:
            self._outbox.put(self._store.ref(envelope), envelope.size, envelope.source_id)
            return
        line = self._lines.get(receiver)
        if line is None:
            raise RuntimeError(f"a {envelope.name} was sent to {receiver} before the session was ready")
        line.send(self._store.ref(envelope), envelope.number, envelope.size)

    def _carefully(self, work: Callable[[], None]) -> None:
        """Do the computation's work; whatever ends it ends this process."""
        from ray.exceptions import RayError

        try:
            work()
        except Ended as ended:
            self._leave(ended.code)
        except SystemExit as exiting:
            code = exiting.code
            self._leave(code if isinstance(code, int) else int(code is not None))
        except RayError:
            logging.getLogger("arras_ray.computation").exception("a message could not be delivered")
            self._leave(DISCONNECTED)

    def _leave(self, code: int) -> NoReturn:
        """End this process, once everything it wrote is on its way."""
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
            self._log.flush()
            self._outbox.drain(DRAIN_SECONDS)
        os._exit(code)
