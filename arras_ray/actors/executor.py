"""executor: runs a user's computation of a session, in a process of its own.

`initialize` and then `run` have a thread as long as the computation lives (not the main one, which is Ray's). One that
cannot go on ends the process, with an exit code that tells why (see session/endings.py).
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

from arras_ray.actors.handshake import Heart, Joined, Pulse, join
from arras_ray.actors.line import Line, Store
from arras_ray.actors.outbox import Batch, Outbox
from arras_ray.actors.worker_log import WorkerLog
from arras_ray.session.endings import BAD_MESSAGE, DISCONNECTED, INIT_FAILED, START_FAILED
from arras_ray.session.host import Ended, Host, Part, abort_on_thread_exception
from arras_ray.session.message import CLIENT, Envelope, from_bytes, numbered, to_bytes

DRAIN_SECONDS = 2.0
"""At its end a computation waits so long for its client to fetch what it has sent."""

REPLY_SECONDS = 0.25
"""A call takes one of few threads; replies that take longer come with the other messages."""

LOST_SECONDS = 30.0
"""A computation that cannot reach another one ends by itself if the session does not in so long."""

log = logging.getLogger("arras_ray.computation")


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
        self._lines: dict[str, Line] | None = None
        self._early: list[tuple[str, Any, int, int]] = []
        """Receiver, content, number and size of messages from before the others were known."""
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._outbox = Outbox()
        self._log = WorkerLog(self._outbox.write)
        self._host = Host(part, self._let_out, posted=self._store.forget)

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
            self._enter_working_directory()
            self._host.load()
            self._host.configure("initialize")

        self._carefully(work)
        self._state = "ready"

    def run(self, partners: dict[str, Any]) -> None:
        """Start it, hand it its messages until `stop`, let it stop. partners: actors it may send to, by name."""
        self._meet({name: Line(actor) for name, actor in partners.items()})

        def work() -> None:
            self._host.configure("start")
            self._state = "running"
            self._host.run()
            self._state = "stopping"
            self._host.configure("stop")

        self._carefully(work)
        for line in (self._lines or {}).values():
            with suppress(Exception):  # the others stop as well
                line.flush()
        self.close()
        self._state = "stopped"

    def close(self) -> None:
        """Nothing comes from it any more: let its client have what there is. Also instead of `run`."""
        self._log.flush()
        self._outbox.drain(DRAIN_SECONDS)
        self._outbox.close()

    def deliver(self, envelope: Envelope | bytes, number: int = 0, line: str = "") -> None:
        """A message, the sender's `number`th to this computation on this line; the bytes of an envelope know both.
        Returns once it is queued, which may take until others are handled."""
        self._host.party.accept(_opened(envelope, number, line))

    def call(self, envelope: Envelope | bytes, number: int = 0, line: str = "") -> Any:
        """As `deliver`; returns the first message for the client with the same source id, as bytes or a reference to
        it, if it comes within REPLY_SECONDS."""
        message = _opened(envelope, number, line)
        self._outbox.expect(message.source_id)
        try:
            self._host.party.accept(message)
        finally:
            reply = self._outbox.reply(message.source_id, REPLY_SECONDS)
        return to_bytes(reply) if isinstance(reply, Envelope) else reply

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
        self._stopping.set()
        self._outbox.hurry()
        self._host.stop()

    def _enter_working_directory(self) -> None:
        if self._working_directory:
            try:
                os.chdir(self._working_directory)
            except OSError as error:
                text = f"cannot run in {self._working_directory}: {error.strerror}"
                log.error("%s", text)
                raise Ended(START_FAILED, text) from error

    def _meet(self, lines: dict[str, Line]) -> None:
        """These are the others: they get what was for them before."""
        with self._lock:
            self._lines = lines
            early, self._early = self._early, []
        for receiver, content, number, size in early:
            self._send(receiver, content, number, size)

    def _let_out(self, receiver: str, envelope: Envelope) -> None:
        if receiver == CLIENT:
            self._outbox.put(self._store.ref(envelope), envelope.size, envelope.source_id)
            return
        with self._lock:
            if self._lines is None:
                content = self._store.ref(envelope)
                self._early.append((receiver, content, envelope.number, envelope.size))
                return
        self._send(receiver, self._store.ref(envelope), envelope.number, envelope.size)

    def _send(self, receiver: str, content: Any, number: int, size: int) -> None:
        from ray.exceptions import RayError

        line = (self._lines or {}).get(receiver)
        if line is None:  # its array is shorter than it might be
            return
        try:
            line.send(content, number, size)
        except RayError:
            # It has died, most likely: that is the session's end, and this computation's fault is none of it.
            if not self._stopping.wait(LOST_SECONDS):
                log.exception("a message for %s could not be delivered", receiver)
                self._leave(DISCONNECTED)

    def _carefully(self, work: Callable[[], None]) -> None:
        """Do the computation's work; whatever ends it ends this process."""
        try:
            work()
        except Ended as ended:
            if ended.__cause__ is None and ended.code in (INIT_FAILED, BAD_MESSAGE):  # nobody has told yet
                log.error("%s", ended.text)
            self._leave(ended.code)
        except SystemExit as exiting:
            self._leave(_exit_code(exiting))

    def _leave(self, code: int) -> NoReturn:
        """End this process, once everything it wrote is on its way."""
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
            self._log.flush()
            self._outbox.drain(DRAIN_SECONDS)
        os._exit(code)


def _opened(envelope: Envelope | bytes, number: int, line: str) -> Envelope:
    return from_bytes(envelope) if isinstance(envelope, bytes) else numbered(envelope, number, line)


def _exit_code(exiting: SystemExit) -> int:
    """As Python itself has it: a number or nothing; anything else is told, and means 1."""
    if exiting.code is None or isinstance(exiting.code, int):
        return exiting.code or 0
    print(exiting.code, file=sys.stderr)
    return 1
