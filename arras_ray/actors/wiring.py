"""Who of a session has to know whom, and telling them: the same steps at the start and after any loss."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from arras_ray.actors.calls import Calls
from arras_ray.actors.handshake import Kept, Loaded, Picture
from arras_ray.actors.reasons import ended, sentence
from arras_ray.actors.roster import COMPILING, LOADING, READY, STARTING, Member, Roster
from arras_ray.actors.saves import Saves
from arras_ray.edits import kept
from arras_ray.errors import ArrasRayError, ComputationError
from arras_ray.messages import RDLMessage

if TYPE_CHECKING:
    from ray.exceptions import RayTaskError

START_SECONDS = 1.0
"""After the first mcrt is ready the others get so long to be ready too, then the render begins."""

ANSWER_SECONDS = 30.0
"""For what touches a whole film, or waits behind it. Who is gone is known by the heartbeats long before."""


@dataclass
class Wiring:
    """Brings the members of a roster together; `arrange` does whatever can be done now.

    message: a reference to the scene, None as long as there is none. fail(error) ends the session. out(member, error):
    this mcrt cannot be used.
    """

    roster: Roster
    calls: Calls
    saves: Saves
    message: Any
    earlier_ends: tuple[int, ...]
    fail: Callable[[ArrasRayError], None]
    out: Callable[[Member, Exception], None]
    loaded: Loaded | None = None
    first_ready_at: float = 0.0
    begun_at: float | None = None
    """When the first lease was given, as far as this supervisor knows."""
    edits: list[RDLMessage] = field(default_factory=list)
    """What was changed since and still counts, oldest first."""
    _editing: threading.Lock = field(default_factory=threading.Lock)
    _told: SimpleQueue[tuple[Any, Callable[[Exception], None]]] = field(default_factory=SimpleQueue)
    """Calls that tell of edits, each with what to do when it fails."""

    def arrange(self) -> None:
        """Take every step whose conditions are met."""
        if self.message is None:
            return
        while not self._told.empty():
            call, failed = self._told.get()
            self.calls.ask(call, lambda _: None, failed, ANSWER_SECONDS)
        for mcrt in self.roster.mcrts:
            if mcrt.present and mcrt.state == STARTING and not mcrt.busy:
                self._load(mcrt)
        dispatch = self.roster.dispatch
        if self.loaded is None or not self._enough_ready():
            self._show_states()
            return
        for shard, merge in enumerate(self.roster.merges):
            if merge.present and not merge.busy:
                if not merge.begun:
                    self._begin_merge(merge, shard)
                elif dispatch.present and merge.wires != (dispatch.life,):
                    self._attach_merge(merge)
        if dispatch.present and not dispatch.busy:
            if not dispatch.begun:
                self._begin_dispatch()
            else:
                self._bring_merges_back()
        self._show_states()
        for mcrt in self.roster.mcrts:
            self._connect(mcrt)
        for member in list(self.roster.members.values()):
            self._show(member)

    def edit(self, messages: Sequence[RDLMessage], after: int) -> None:
        """Change the scene; tell everybody at once. after: sync_id of the scene before the first of them.

        Edits that are known are ignored, and all of them where one before them is not: the client sends those again.
        """
        with self._editing:
            new = [message for message in messages if message.sync_id > self.sync_id]
            if not new or self.loaded is None or after > self.sync_id:
                return
            for message in new:
                self.edits = kept(self.edits, message)
        members = list(self.roster.members.values())
        for member in sorted(members, key=lambda m: ("dispatch", "merge", "mcrt").index(m.kind), reverse=True):
            self._show(member)

    @property
    def sync_id(self) -> int:
        """Of the scene as it is now."""
        return self.edits[-1].sync_id if self.edits else self.loaded.sync_id if self.loaded else 0

    @property
    def rendering(self) -> bool:
        """Leases are given, or will be as soon as who was lost is back."""
        return self.begun_at is not None

    def has_loaded(self, mcrt: Member, loaded: Loaded) -> None:
        """An mcrt is ready. Told by its call, or by a heartbeat to a supervisor that came later."""
        if mcrt.state == READY:
            return
        mcrt.loaded = loaded
        mcrt.busy = False
        mcrt.faults = 0
        mcrt.become(READY)
        if self.loaded is None:
            self.loaded, self.first_ready_at = loaded, time.monotonic()

    def _show(self, member: Member) -> None:
        """Tell a member how the scene is now, if it does not know."""
        with self._editing:  # edits come on another thread than everything else
            knows = max(member.sync_id, member.loaded.sync_id if member.loaded is not None else 0)
            ready = member.state == READY if member.kind == "mcrt" else member.begun
            actor = member.actor
            if not self.edits or not ready or actor is None or knows == self.sync_id:
                return
            if member.kind == "mcrt":
                call = actor.edit.remote([message for message in self.edits if message.sync_id > knows], knows)
            else:
                call = actor.show.remote(self._picture)
            self._told.put((call, partial(self._could_not_tell, member, member.life, knows)))
            member.sync_id = self.sync_id

    def _could_not_tell(self, member: Member, life: int, knew: int, error: Exception) -> None:
        """A member was told of edits and may not have heard it: what it knew before counts again. One that has heard
        and cannot follow ends the session."""
        from ray.exceptions import RayTaskError

        if member.life != life:
            return
        if isinstance(error, RayTaskError):
            self.fail(_unable("follow an edit", member, error))
            return
        with self._editing:
            member.sync_id = min(member.sync_id, knew)

    def _load(self, mcrt: Member) -> None:
        mcrt.become(LOADING)
        life = mcrt.life

        def failed(error: Exception) -> None:
            from ray.exceptions import RayTaskError

            if mcrt.life != life or not isinstance(error, RayTaskError):
                return  # it died: the heartbeats tell
            if isinstance(error.cause, ArrasRayError):
                self.fail(error.cause)  # it is the scene's, and would be the same everywhere
            else:
                self.out(mcrt, error)

        def heard(loaded: Loaded) -> None:
            if mcrt.life == life:
                self.has_loaded(mcrt, loaded)

        # However long it takes: whether it lives the heartbeats tell.
        self.calls.ask(mcrt.actor.load.remote(self.message), heard, failed, float("inf"))

    def _enough_ready(self) -> bool:
        if self.rendering or time.monotonic() - self.first_ready_at > START_SECONDS:
            return True
        return not any(m.state in (STARTING, LOADING, COMPILING) for m in self.roster.mcrts)

    @property
    def _picture(self) -> Picture:
        loaded = self.loaded
        assert loaded is not None
        edits = self.edits  # they may be others a moment later
        if not edits:
            return Picture(loaded.sync_id, loaded.width, loaded.height, loaded.spp, self.earlier_ends)
        asked = {"width": loaded.width, "height": loaded.height, "spp": loaded.spp} | edits[-1].options
        return Picture(edits[-1].sync_id, asked["width"], asked["height"], asked["spp"], region=asked.get("region"))

    def _begin_merge(self, merge: Member, shard: int) -> None:
        """Give a merge its film: empty, as it was resumed from, or as the merge in its place had saved it."""
        dispatch = self.roster.dispatch
        known = dispatch.life if dispatch.present else -1

        def heard(kept: Kept) -> None:
            merge.begun, merge.kept, merge.wires = True, kept, (known,)

        saved = self.saves.latest(shard, len(self.roster.merges)) if not self.edits else None
        handle = dispatch.actor if dispatch.present else None
        call = merge.actor.begin.remote(self._picture, shard, len(self.roster.merges), saved, handle)
        self._step(merge, call, heard)

    def _attach_merge(self, merge: Member) -> None:
        """Its receipts go to the new dispatch from now on; what it has accepted before, it says in its answer."""
        dispatch = self.roster.dispatch
        life = dispatch.life

        def heard(kept: Kept) -> None:
            merge.kept, merge.wires = kept, (life,)

        self._step(merge, merge.actor.attach.remote(dispatch.actor), heard)

    def _begin_dispatch(self) -> None:
        dispatch, merges = self.roster.dispatch, self.roster.merges
        if not all(m.begun and m.wires == (dispatch.life,) for m in merges):
            return
        lives = tuple(m.life for m in merges)

        def heard(_: None) -> None:
            dispatch.begun, dispatch.wires = True, lives
            if self.begun_at is None:
                self.begun_at = time.monotonic()

        kept = [m.kept for m in merges]
        seconds = time.monotonic() - self.begun_at if self.begun_at is not None else 0.0
        self._step(
            dispatch, dispatch.actor.begin.remote(self._picture, [m.actor for m in merges], kept, seconds), heard
        )

    def _bring_merges_back(self) -> None:
        """Tell dispatch of merges that took another's place, and what they have kept of what that one had."""
        dispatch = self.roster.dispatch
        for shard, merge in enumerate(self.roster.merges):
            if merge.begun and merge.wires == (dispatch.life,) and dispatch.wires[shard] != merge.life:
                lives = (*dispatch.wires[:shard], merge.life, *dispatch.wires[shard + 1 :])

                def heard(_: None, lives: tuple[int, ...] = lives) -> None:
                    dispatch.wires = lives

                self._step(dispatch, dispatch.actor.merge_back.remote(merge.actor, merge.kept), heard)
                return

    def _connect(self, mcrt: Member) -> None:
        """Tell an mcrt where its parts go, then dispatch that it may have leases."""
        dispatch, merges = self.roster.dispatch, self.roster.merges
        lives = tuple(m.life for m in merges)
        wires = (dispatch.life, *lives)
        if mcrt.state != READY or mcrt.busy or not dispatch.begun or dispatch.wires != lives:
            return
        if not all(m.begun for m in merges):
            return
        if mcrt.wires != wires:

            def attached(_: None) -> None:
                mcrt.wires = wires

            self._step(mcrt, mcrt.actor.attach.remote([m.actor for m in merges], lives, dispatch.actor), attached)
        elif mcrt.introduced != dispatch.life:
            mcrt.introduced, mcrt.shown = dispatch.life, (dispatch.life, READY)
            assert mcrt.place is not None
            assert mcrt.loaded is not None
            warnings = mcrt.loaded.warnings if mcrt.loaded.sync_id == self.sync_id else ()
            dispatch.actor.mcrt_ready.remote(mcrt.name, mcrt.node, mcrt.place.threads, mcrt.actor, mcrt.life, warnings)

    def _show_states(self) -> None:
        """Dispatch shows the user every mcrt, also those it cannot use yet."""
        dispatch = self.roster.dispatch
        if not dispatch.present:
            return
        for mcrt in self.roster.mcrts:
            if mcrt.state != READY and mcrt.shown != (dispatch.life, mcrt.state):
                mcrt.shown = (dispatch.life, mcrt.state)
                threads = mcrt.place.threads if mcrt.place else 0
                dispatch.actor.mcrt_state.remote(mcrt.name, mcrt.node, threads, mcrt.state)

    def _step(self, member: Member, call: Any, heard: Callable[[Any], None]) -> None:
        """A step that a member is busy with; it is taken again, by `arrange`, if the answer does not come."""
        member.busy = True
        life = member.life

        def done(answer: Any) -> None:
            if member.life == life:
                member.busy = False
                heard(answer)

        def failed(error: Exception) -> None:
            from ray.exceptions import RayTaskError

            if member.life != life:
                return
            member.busy = False
            if isinstance(error, RayTaskError):
                self.fail(_unable("begin", member, error))

        self.calls.ask(call, done, failed, ANSWER_SECONDS)


def _unable(what: str, member: Member, error: RayTaskError) -> ArrasRayError:
    """Why a member could not do what it was told."""
    if isinstance(error.cause, ArrasRayError):
        return error.cause
    who = f"{member.name} on {member.node}"
    told = ended(error, who, "failed", computation=member.name, node=member.node)
    if isinstance(told, ComputationError):
        told.message = f"the render did not {what}: {who} failed: {sentence(error)}"
    return told
