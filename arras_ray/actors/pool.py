"""The pool of mcrts: who is there, which leases are under way, and who was lost.

Ray's own ActorPool hands out all work at once and loses what a dead actor held. This one asks for a lease whenever a
member may have another one. How many it may have is its credit, kept by the ledger: a lease costs one credit of the
member's window, and merge's acceptance of the lease, not the end of the call, gives it back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from arras_ray.actors.reasons import sentence
from arras_ray.messages import Lease

LOOK_SECONDS = 0.05
"""Calls that were begun while the thread waits for others are looked at after so long."""


class ActorPool:
    """Members come and go at any time; one thread watches all their calls.

    next_lease(member) gives a lease, or None when the member's credits are spent or no work is left. ended(member,
    result) tells the result of a `render` call. lost(member, reason) tells, once, that a member died or raised; its
    leases must be leased again. failed(reason) tells that the pool itself cannot go on. They are called without a lock
    held, on the pool's thread or on `pump`'s.
    """

    def __init__(
        self,
        next_lease: Callable[[str], Lease | None],
        ended: Callable[[str, Any], None],
        lost: Callable[[str, str], None],
        failed: Callable[[str], None],
    ) -> None:
        self._next_lease = next_lease
        self._ended = ended
        self._lost = lost
        self._failed = failed
        self._members: dict[str, Any] = {}
        self._calls: dict[Any, str] = {}  # whose
        self._lock = threading.Lock()
        self._work = threading.Event()
        threading.Thread(target=self._watch, name="pool", daemon=True).start()

    @property
    def members(self) -> dict[str, Any]:
        """Actors by name."""
        with self._lock:
            return dict(self._members)

    def add(self, name: str, actor: Any) -> None:
        """A member is ready for leases; `pump` gives it some."""
        with self._lock:
            self._members[name] = actor

    def remove(self, name: str) -> bool:
        """Forget a member and its calls. False if it is none."""
        with self._lock:
            known = self._members.pop(name, None) is not None
            self._calls = {ref: member for ref, member in self._calls.items() if member != name}
        return known

    def pump(self) -> None:
        """Give out leases in turns until nobody may have another one."""
        hungry = self.members
        while hungry:
            hungry = {name: actor for name, actor in hungry.items() if self._begin(name, actor)}

    def _begin(self, name: str, actor: Any) -> bool:
        lease = self._next_lease(name)
        if lease is None:
            return False
        ref = actor.render.remote(lease)
        with self._lock:
            self._calls[ref] = name
        self._work.set()
        return True

    def _watch(self) -> None:
        try:
            self._take_all()
        except Exception as error:  # without this thread the render would wait for ever
            self._failed(f"the leases cannot be watched any more: {sentence(error)}")

    def _take_all(self) -> None:
        import ray

        while True:
            self._work.wait()
            with self._lock:
                refs = list(self._calls)
                if not refs:
                    self._work.clear()
                    continue
            ready, _ = ray.wait(refs, num_returns=1, timeout=LOOK_SECONDS)
            for ref in ready:
                self._take(ref)

    def _take(self, ref: Any) -> None:
        import ray
        from ray.exceptions import RayError, RayTaskError

        with self._lock:
            member = self._calls.pop(ref, None)
        if member is None:
            return
        try:
            result = ray.get(ref)
        except RayTaskError as error:
            reason = f"it failed: {sentence(error)}"
        except RayError as error:
            reason = f"its process died: {sentence(error)}"
        else:
            self._ended(member, result)
            return
        if self.remove(member):
            self._lost(member, reason)
