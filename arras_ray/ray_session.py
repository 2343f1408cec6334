"""Sessions on Ray: the client's end of one."""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from arras_ray.errors import ArrasRayError, ClusterError, UsageError
from arras_ray.session.endings import CLIENT_SHUTDOWN, Stopped
from arras_ray.session.handle import WARN, ComputationStatus, LogLine, Session, SessionStatus
from arras_ray.session.message import Envelope, Message, from_bytes, numbered
from arras_ray.session.routing import Rule
from arras_ray.session_link import ASK_SECONDS, SessionLink

if TYPE_CHECKING:
    from arras_ray.actors.line import Line
    from arras_ray.actors.orders import SessionState
    from arras_ray.actors.outbox import Batch

KEEP_ALIVE_SECONDS = 1.0
LOOK_SECONDS = 0.05

DISCONNECTED, SESSION_DELETED = "clientDisconnect", "sessionDeleted"

ASK_AGAIN_SECONDS = 1.0
LATE_SECONDS = 45.0
"""A session that has not stopped in so long is ended whatever it is at."""

LOST_SECONDS = 20.0
"""Who cannot be sent to has died. So long it may take until that has ended the session."""

LAST_SECONDS = 3.0
"""After the end, for what computations have sent before."""

KEPT_LINES = 100
"""Of each computation, to tell which of its last ones were heard."""


class RaySession(Session):
    """A session on Ray. comes_back: another client had it before. watches: it is somebody else's."""

    def __init__(
        self,
        name: str,
        link: SessionLink,
        routes: Mapping[str, Rule],
        names: frozenset[str],
        log_level: int,
        *,
        comes_back: bool = False,
        watches: bool = False,
    ) -> None:
        from arras_ray.actors.fetcher import Fetcher, Room
        from arras_ray.actors.line import Store

        self._store = Store()
        self._room = Room()
        super().__init__(
            name,
            {} if watches else routes,
            names,
            handled=lambda envelope: self._room.leave(envelope.size),
            posted=self._store.forget,
        )
        self._comes_back, self._watches = comes_back, watches
        self._link = link
        self._names = names
        self._log_level = log_level
        self._reader = secrets.token_hex(8)
        self._state: SessionState | None = None
        self._lines: dict[str, Line] = {}
        self._changed = threading.Condition()
        self._over = threading.Event()
        self._hurry = threading.Event()
        """Something is about to change: the supervisor is asked often."""
        self._paused = False
        self._numbers: dict[str, int] = {}
        """How many messages have come from each computation, by whatever way."""
        self._arriving = threading.Lock()
        self._calling = threading.local()
        """now: its next message is a call; reply: from whom it comes, and a reference to it."""
        self._last_lines: dict[str, deque[str]] = {}
        """What each computation was heard to write last."""
        self._membership: tuple[str, str] | None = _membership()
        self._fetcher = Fetcher(self._reader, self._takes)
        if comes_back or watches:
            self._meet(link.ask(link.supervisor.state.remote()))
        self._fetching = threading.Thread(
            target=self._fetcher.run, args=(lambda: self._is_joined,), name="fetch", daemon=True
        )
        self._fetching.start()
        self._keeping = threading.Thread(target=self._keep_alive, name="keep-alive", daemon=True)
        self._keeping.start()
        link.cluster.before_leaving(self)

    def call(self, content: Any, *, to: Iterable[str] = (), timeout: float | None = None) -> Message:
        """As Session has it. A reply that comes soon takes one call of Ray's."""
        self._calling.now = True
        try:
            return super().call(content, to=to, timeout=timeout)
        finally:
            self._calling.now = False

    def send(self, content: Any, *, to: Iterable[str] = (), source_id: str = "", routing_name: str = "") -> str:
        """As Session has it. What a call waits for is waited for here, where nobody else is held up."""
        import ray
        from ray.exceptions import RayError

        if self._watches:
            raise UsageError(f"who watches session {self.name} cannot send to it")
        instance_id = super().send(content, to=to, source_id=source_id, routing_name=routing_name)
        receiver, ref = self._calling.__dict__.pop("reply", ("", None))
        if ref is not None:
            try:
                reply = ray.get(ref)
                if reply is not None:
                    self._arrives(receiver, reply)
            except RayError:
                self.wait_stopped(LOST_SECONDS)
        return instance_id

    def status(self) -> SessionStatus:
        """Where the session and each of its computations stand."""
        if self.stopped is not None:
            return SessionStatus("stopped", (), self.stopped)
        _, _, rows = self._link.ask(self._link.supervisor.report.remote(), ASK_SECONDS)
        counts = {name: self._actor(name).counts.remote() for name in list(self._lines)}
        told: dict[str, tuple[int, int, int]] = {}
        for name, ref in counts.items():
            with suppress(ArrasRayError):
                told[name] = self._link.ask(ref, ASK_SECONDS)
        state = self._state.stage if self._state is not None else "placing"
        return SessionStatus(
            "paused" if self._paused and state == "ready" else state,
            tuple(
                ComputationStatus(row.name, row.node, row.pid, row.state, *told.get(row.name, (0, 0, 0)))
                for row in rows
                if row.name in self._names
            ),
            self.stopped,
        )

    def pause(self) -> None:
        """Let each computation stand still after the message it is at."""
        self._pause(True)

    def resume(self) -> None:
        """Let them go on."""
        self._pause(False)

    def disconnect(self) -> None:
        """Leave, once everything sent has arrived; the session goes on without a client until somebody stops it."""
        from ray.exceptions import RayError

        if not self._watches and self.stopped is None:
            for line in list(self._lines.values()):
                with suppress(RayError):  # who has died ends the session
                    line.flush()
            self._over.set()
            self._link.ask(self._link.supervisor.keep.remote(float("inf")))
        self._over.set()
        self._fetcher.leave()
        self._room.close()
        self._hurry.set()
        self._has_stopped(Stopped("running", "", DISCONNECTED))

    def leave_cluster(self) -> None:
        """This process leaves the cluster, and its threads have nothing to ask any more."""
        self._membership = None
        self._hurry.set()
        for thread in (self._fetching, self._keeping):
            if thread is not threading.current_thread():
                thread.join(LAST_SECONDS)

    def _deliver(self, receiver: str, envelope: Envelope) -> None:
        if self._watches:  # credit for what it has handled: its client returns it
            return
        with self._changed:
            self._changed.wait_for(lambda: receiver in self._lines or self._is_ready or self.stopped is not None)
            line = self._lines.get(receiver)
        if line is None:  # the session has ended, or its array is shorter than it might be
            return
        from ray.exceptions import RayError

        try:
            if getattr(self._calling, "now", False):
                self._calling.now = False  # of several receivers the first
                self._calling.reply = receiver, line.call(self._store.ref(envelope), envelope.number)
            else:
                line.send(self._store.ref(envelope), envelope.number, envelope.size)
        except RayError:
            self.wait_stopped(LOST_SECONDS)

    def _shutdown(self) -> None:
        if self._watches:
            self.disconnect()
            return
        deadline, asked = time.monotonic() + LATE_SECONDS, 0.0
        while self.stopped is None and self._link.error is None and time.monotonic() < deadline:
            stage = self._state.stage if self._state is not None else ""
            if stage not in ("stopping", "stopped") and time.monotonic() > asked + ASK_AGAIN_SECONDS:
                asked = time.monotonic()
                with suppress(ArrasRayError):  # another supervisor may be about to take over, and is asked as well
                    self._link.ask(self._link.supervisor.stop.remote(CLIENT_SHUTDOWN), ASK_SECONDS)
                self._hurry.set()
            time.sleep(LOOK_SECONDS)
        if time.monotonic() > deadline and self._is_joined:
            self._link.end()
        error = self._link.error
        self._has_stopped(_lost(error) if error is not None else Stopped(), error)

    def _pause(self, paused: bool) -> None:
        if self._watches:
            raise UsageError(f"who watches session {self.name} cannot pause it")
        if self.stopped is not None:
            self._raise(self.stopped, always=True)
        for ref in [self._actor(name).pause.remote(paused) for name in list(self._lines)]:
            self._link.ask(ref, ASK_SECONDS)
        self._paused = paused

    @property
    def _is_joined(self) -> bool:
        """Whether this process is still in the session's cluster; if not, Ray would join, or start, another one."""
        return _membership() == self._membership

    def _actor(self, name: str) -> Any:
        return self._lines[name].actor

    def _keep_alive(self) -> None:
        """Tell the supervisor that this client lives, and hear where the session stands, until it ends."""
        told: list[str] = []
        while not self._over.is_set():
            state = self._hear()
            if state is not None:
                self._state = state
                self.warnings += [text for text in state.warnings if text not in told]
                told += state.warnings
                self._meet(state)
                if state.stage == "ready":
                    self._becomes_ready()
                    with self._changed:
                        self._changed.notify_all()
            error = self._link.error or (state.error if state is not None else None)
            stopped = state.stopped if state is not None else None
            if self._watches and error is not None:  # its client has taken it down
                error, stopped = None, Stopped("stopped", "", SESSION_DELETED)
            if error is not None or stopped is not None:
                self._end(stopped or _lost(error), error)
                return
            steady = state is not None and state.stage == "ready" and not self._hurry.is_set()
            self._hurry.wait(KEEP_ALIVE_SECONDS) if steady else self._over.wait(LOOK_SECONDS)

    def _hear(self) -> SessionState | None:
        """What the supervisor tells, if it is reached."""
        if self._is_joined:
            try:
                return self._link.state() if self._watches else self._link.keep_alive()
            except Exception:
                if self._is_joined:
                    raise  # else the process has left the cluster meanwhile
        self._link.error = ClusterError(f"this process has left the cluster that session {self.name} is in")
        return None

    def _end(self, stopped: Stopped, error: ArrasRayError | None) -> None:
        """The session has stopped: take what was sent before, then give everything back."""
        self._over.set()
        self._fetcher.stop()
        self._room.close()
        self._fetching.join(LAST_SECONDS)
        for end in self._state.ends if self._state is not None else ():
            heard = list(self._last_lines.get(end.computation, ()))
            for text in end.log:
                if text in heard:
                    heard.remove(text)
                else:  # it had no time to tell
                    self._tell_line(end.computation, WARN, text)
        try:
            if not self._watches and self._is_joined:
                self._link.end()
        finally:
            self._has_stopped(stopped, error)
            with self._changed:
                self._changed.notify_all()

    def _meet(self, state: SessionState) -> None:
        """Get to know the computations that have joined."""
        from arras_ray.actors.line import Line
        from arras_ray.actors.names import find_actor

        for joined in state.computations:
            if joined.name not in self._lines:
                with suppress(ValueError):  # it ended just now
                    line = Line(find_actor(self.name, joined.name), self._reader)
                    since = 0
                    if self._comes_back or self._watches:
                        join = line.actor.own if self._comes_back else line.actor.watch
                        with suppress(ArrasRayError):
                            since = self._link.ask(join.remote(self._reader), ASK_SECONDS)
                    self._fetcher.add(joined.name, line.actor, since)
                    with self._changed:
                        self._lines[joined.name] = line
                        self._changed.notify_all()

    def _takes(self, name: str, batch: Batch) -> None:
        """This was fetched."""
        from ray.exceptions import RayError

        for level, text in batch.lines:
            self._tell_line(name, level, text)
        for message in batch.messages:
            with suppress(RayError):  # it has died since, and what it had sent last with it
                self._arrives(name, message)

    def _arrives(self, sender: str, message: Any) -> None:
        """A message, its bytes or a reference to it, has come."""
        import ray

        if isinstance(message, bytes):
            envelope = from_bytes(message)
        else:
            envelope = message if isinstance(message, Envelope) else ray.get(message)
        if not self._room.enter(envelope.size):
            return
        with self._arriving:
            number = self._numbers[sender] = self._numbers.get(sender, 0) + 1
            self._accept(numbered(envelope, number))

    def _tell_line(self, name: str, level: int, text: str) -> None:
        self._last_lines.setdefault(name, deque(maxlen=KEPT_LINES)).append(text)
        if level <= self._log_level:
            self._hears(LogLine(name, level, text))


def _lost(error: ArrasRayError | None) -> Stopped:
    """The end of a session that has failed as a whole."""
    return Stopped(exec_stopped_reason=str(error), disconnect_reason=str(error))


def _membership() -> tuple[str, str]:
    """Tells a process's time in one cluster from that in others; empty outside."""
    import ray

    if ray.is_initialized():
        with suppress(Exception):  # it is leaving just now
            context = ray.get_runtime_context()
            return context.gcs_address, context.get_job_id()
    return "", ""
