"""A client's ear for the computations of its session: at each a call waits that returns what it has for the client; and
how much a client may have that it has not handled."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from arras_ray.actors.outbox import Batch
from arras_ray.session.party import MOST_MESSAGES, MOST_WAITING

LOOK_SECONDS = 0.05
FETCH_SECONDS = 10.0
"""The longest a computation keeps a client waiting for news."""

LEAVE_SECONDS = 3.0


class Room:
    """For messages that have come and are not handled: who brings more than there is room for waits. All methods may be
    called from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._bytes = self._messages = 0
        self._over = False

    def enter(self, size: int) -> bool:
        """One more, as soon as there is room; False if there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or not self._is_full)
            if self._is_full:
                return False
            self._bytes += size
            self._messages += 1
            return True

    def leave(self, size: int) -> None:
        """One is handled."""
        with self._changed:
            self._bytes -= size
            self._messages -= 1
            self._changed.notify_all()

    def close(self) -> None:
        """From now on nobody waits."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    @property
    def _is_full(self) -> bool:
        return self._bytes > MOST_WAITING or self._messages >= MOST_MESSAGES


class Fetcher:
    """Calls takes(name, batch) for everything computations have for `reader`, each message once, in order."""

    def __init__(self, reader: str, takes: Callable[[str, Batch], None]) -> None:
        self._reader = reader
        self._takes = takes
        self._actors: dict[str, Any] = {}
        self._places: dict[str, tuple[int, int]] = {}
        """Numbers of the last message and line of each that were fetched."""
        self._asked: dict[Any, str] = {}
        self._over = threading.Event()
        self._left = threading.Event()
        self._taking = threading.Lock()

    def add(self, name: str, actor: Any, since: int) -> None:
        """One more computation. since: number of the message before the first that is wanted."""
        self._places[name] = since, 0
        self._actors[name] = actor

    def stop(self) -> None:
        """Take what there is, and no more."""
        self._over.set()

    def leave(self) -> None:
        """Take nothing more, also of what is there: it is for somebody else. Returns once computations know what was
        taken."""
        import ray
        from ray.exceptions import RayError

        self._left.set()
        if not self._taking.acquire(timeout=LEAVE_SECONDS):  # who gets it now gets what is not taken yet once more
            return
        self._taking.release()
        with suppress(RayError):
            refs = [actor.fetch.remote(self._reader, *self._places[name], 0.0) for name, actor in self._actors.items()]
            if refs:
                ray.wait(refs, num_returns=len(refs), timeout=LEAVE_SECONDS)

    def run(self, is_joined: Callable[[], bool]) -> None:
        """Fetch until `stop`, as long as this process is in the cluster."""
        while is_joined() and not self._left.is_set() and (self._actors or not self._over.is_set()):
            try:
                self._look()
            except Exception:
                if is_joined():
                    raise  # else the process has left the cluster meanwhile

    def _look(self) -> None:
        import ray

        self._ask()
        if not self._asked:
            self._over.wait(LOOK_SECONDS)
            return
        ready, _ = ray.wait(list(self._asked), num_returns=1, timeout=LOOK_SECONDS)
        for ref in ready:
            with self._taking:
                if not self._left.is_set():
                    self._take(self._asked.pop(ref), ref)

    def _ask(self) -> None:
        seconds = 0.0 if self._over.is_set() else FETCH_SECONDS
        for name, actor in list(self._actors.items()):
            if name not in self._asked.values():
                self._asked[actor.fetch.remote(self._reader, *self._places[name], seconds)] = name

    def _take(self, name: str, ref: Any) -> None:
        import ray
        from ray.exceptions import ActorUnavailableError, RayError

        over = self._over.is_set()
        try:
            batch: Batch = ray.get(ref)
        except RayError as error:
            if over or not isinstance(error, ActorUnavailableError):  # it has ended: the supervisor tells
                del self._actors[name]
            time.sleep(LOOK_SECONDS)
            return
        self._places[name] = batch.since, batch.line
        if (batch.closed or over) and not batch.messages:
            del self._actors[name]
        self._takes(name, batch)
