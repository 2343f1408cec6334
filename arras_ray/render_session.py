"""A render as a session of messages: a scene is sent as an RDLMessage, the picture comes as ProgressiveFrames.

with Client() as client:
    session = client.create("mcrt_progressive_n", num_mcrt=4).wait_ready(60.0)
    session.send(RDLMessage(1, scene))
    for frame in session.frames():
        receiver.receive(frame)
        if frame.status == "FINISHED":
            break
    session.send(RDLMessage(2, delta.to_rdlb(), delta=True))
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from arras_ray.client import OVER, SessionRender
from arras_ray.edits import edit
from arras_ray.errors import ArrasRayError, MessageError, UsageError
from arras_ray.session.endings import Stopped
from arras_ray.session.handle import ComputationStatus, Session, SessionStatus
from arras_ray.session.log_line import WARN, LogLine
from arras_ray.session.message import Envelope, numbered, pack, unpack
from arras_ray.session.routing import Rule
from arras_ray.session_link import ASK_SECONDS, SessionLink

if TYPE_CHECKING:
    from arras_ray.actors.cluster import Cluster
    from arras_ray.messages import RDLMessage, RenderStatus

LOOK_SECONDS = 0.05
FRAME_SECONDS = 0.5
KEEP_ALIVE_SECONDS = 1.0

WINDOW = 2
"""Frames that may wait to be handled where the definition gives no credit. Newer states come in place of more."""

FRAME, CREDIT = "ProgressiveFrame", "CreditUpdate"


class RenderSession(Session):
    """A session of dispatch, mcrts and merges on Ray.

    dispatch: its name; merge: that of the merge frames come from, empty where the client accepts none; credit: how many
    may be under way.
    """

    def __init__(
        self,
        name: str,
        supervisor: Any,
        cluster: Cluster,
        routes: Mapping[str, Rule],
        names: frozenset[str],
        *,
        dispatch: str,
        merge: str,
        credit: int,
    ) -> None:
        super().__init__(name, routes, names, handled=self._frame_handled)
        self._link = SessionLink(name, supervisor, cluster)
        self._render = SessionRender(name, supervisor, cluster)
        self._dispatch, self._merge = dispatch, merge
        self._names = names
        self._scene: RDLMessage | None = None
        self._sending = threading.Lock()
        self._edits: list[RDLMessage] | None = []
        """Changes that came before it renders; None once it does."""
        self._under_way = threading.Semaphore(credit if credit > 0 else WINDOW)
        self._over = threading.Event()
        self._stage = "placing"
        self._thread = threading.Thread(target=self._watch, name="render", daemon=True)
        self._thread.start()

    def status(self) -> SessionStatus:
        """Where the session and each of its computations stand."""
        _, _, rows = self._link.ask(self._link.supervisor.report.remote(), ASK_SECONDS)
        computations = (ComputationStatus(row.name, row.node, row.pid, row.state) for row in rows)
        return SessionStatus(self._stage, tuple(c for c in computations if c.name in self._names), self.stopped)

    def render_status(self) -> RenderStatus:
        """Where the render stands: samples, rate, mcrts, warnings."""
        return self._render.status()

    def pause(self) -> None:
        """Raise UsageError: Arras pauses computations, and these go on or are stopped."""
        raise UsageError("a session that renders cannot be paused", hint="a checkpoint lets it go on later")

    def resume(self) -> None:
        """Raise UsageError, as `pause` does."""
        self.pause()

    def disconnect(self) -> None:
        """Raise UsageError: a render ends with its client."""
        raise UsageError("a render cannot do without its client")

    def _deliver(self, receiver: str, envelope: Envelope) -> None:
        if receiver == self._dispatch and envelope.name == "RDLMessage":
            self._take_scene(unpack(envelope).content)
        elif envelope.name != CREDIT:  # frames are counted where they are handled
            self._hears(LogLine(receiver, WARN, f"does not know what to do with a {envelope.name} from the client"))

    def _take_scene(self, message: RDLMessage) -> None:
        """The scene, or a change of it. Raise MessageError for a second scene, and for a change of none."""
        with self._sending:
            if message.delta == (self._scene is None):
                what = "it has no scene yet" if message.delta else "it has its scene; send what changes as a delta"
                raise MessageError(f"session {self.name} cannot take this: {what}", message_name="RDLMessage")
            if not message.delta:
                self._scene = message
            elif self._edits is not None:
                self._edits.append(edit(message.sync_id, message.payload, message.options))
            else:
                self._render.edit(message.payload, message.options, message.sync_id)

    def _shutdown(self) -> None:
        self._over.set()
        self._thread.join()
        self._render.close()
        self._has_stopped(Stopped())

    def _watch(self) -> None:
        """Begin the render as soon as there is a scene, then take its frames to the client."""
        error: ArrasRayError | None = None
        try:
            if self._begins():
                self._take_frames()
            error = self._render.error
        except ArrasRayError as raised:
            error = raised
        if error is not None and not self._over.is_set():
            with suppress(Exception):  # the first error is the one to tell
                self._render.close()
            reason = str(error)
            self._has_stopped(Stopped(exec_stopped_reason=reason, disconnect_reason=reason), error)

    def _begins(self) -> bool:
        """Wait until it renders; False when it will not."""
        sent = False
        while not self._over.wait(LOOK_SECONDS if self._scene is not None or not self._is_ready else FRAME_SECONDS):
            state = self._render.hear()
            if self._render.error is not None:
                return False
            if state is None:
                continue
            sent = sent and state.stage != "ready"  # a new supervisor has not heard of the scene
            self._stage = state.stage
            if state.stage == "ready":
                self._becomes_ready()
                if self._scene is not None and not sent:
                    self._link.ask(self._link.supervisor.scene.remote(self._scene))
                    sent = True
            elif state.stage == "rendering":
                self._render.begin(state, self._scene.options if self._scene is not None else None)
                with self._sending:
                    for message in self._edits or ():
                        self._render.edit(message.payload, message.options, message.sync_id)
                    self._edits = None
                return True
        return False

    def _take_frames(self) -> None:
        version, number = 0, 0
        told: set[str] = set()
        while not self._over.is_set():
            status = self._render.status()
            self._stage = status.stage
            for text in status.warnings:
                if text not in told:
                    told.add(text)
                    self._hears(LogLine(self._dispatch, WARN, text))
            if self._render.error is not None:
                return
            if not self._merge or not self._under_way.acquire(timeout=FRAME_SECONDS):
                self._over.wait(0.0 if self._merge else FRAME_SECONDS)
                continue
            frame = self._render.frame(version, FRAME_SECONDS)
            if frame is None:
                self._under_way.release()
                if status.stage in OVER:
                    self._over.wait(KEEP_ALIVE_SECONDS)
                continue
            version, number = frame.version, number + 1
            envelope = pack(frame, self._merge, source_id=str(frame.sync_id))
            self._accept(numbered(envelope, number))

    def _frame_handled(self, envelope: Envelope) -> None:
        if envelope.name == FRAME:
            self._under_way.release()
