"""Parts on their way from an mcrt to the merges: each is kept until the merge of its shard has it."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import Any

from arras_ray.messages import PartialFrame, PreviewFrame

UNAVAILABLE_SECONDS = 0.5
"""After a call that did not get through, the same merge is tried again so much later."""


@dataclass(frozen=True)
class _Sent:
    number: int
    shard: int
    part: PartialFrame
    call: Any
    life: int
    """Of the merge it was sent to."""


class Parts:
    """Sends parts; a part whose merge dies before it has it goes to the one that takes its place.

    How many are kept is bounded by the mcrt's lease window: without receipts it gets no new leases.
    """

    def __init__(self) -> None:
        self._merges: list[Any] = []
        self._lives: tuple[int, ...] = ()
        self._dispatch: Any = None
        self._open: dict[int, _Sent] = {}
        self._n_sent = 0
        self._lock = threading.Lock()
        self._calls: SimpleQueue[_Sent] = SimpleQueue()
        threading.Thread(target=self._watch, name="parts", daemon=True).start()

    @property
    def n_shards(self) -> int:
        """How many merges there are."""
        return len(self._merges)

    def attach(self, merges: list[Any], lives: tuple[int, ...], dispatch: Any) -> None:
        """Send to these merges from now on. What another one may not have got goes to the one in its place."""
        with self._lock:
            self._merges, self._lives, self._dispatch = merges, lives, dispatch
            again = [sent for sent in self._open.values() if sent.life != lives[sent.shard]]
        for sent in again:
            self._call(sent.number, sent.shard, sent.part)

    def send(self, shard: int, part: PartialFrame) -> None:
        """Hand a part, its sums an array, to the merge of its shard. Returns before it has it."""
        import ray

        part = replace(part, units=part.units.copy(), sums=[ray.put(part.sums)])
        with self._lock:
            self._n_sent += 1
            number = self._n_sent
        self._call(number, shard, part)

    def show(self, shard: int, frame: PreviewFrame) -> None:
        """Hand a preview to the merge of its shard. One that gets lost is not missed for long."""
        with self._lock:
            self._merges[shard].preview.remote(frame)

    def _call(self, number: int, shard: int, part: PartialFrame) -> None:
        with self._lock:
            sent = _Sent(number, shard, part, self._merges[shard].accept.remote([part]), self._lives[shard])
            self._open[number] = sent
        self._calls.put(sent)

    def _watch(self) -> None:
        """Forget the parts that have arrived, give back those that their merge cannot take."""
        import ray

        waiting: list[_Sent] = []
        while True:
            waiting += [self._calls.get()] if not waiting else []
            while not self._calls.empty():
                waiting.append(self._calls.get())
            ready = set(ray.wait([sent.call for sent in waiting], num_returns=1, timeout=UNAVAILABLE_SECONDS)[0])
            for sent in [sent for sent in waiting if sent.call in ready]:
                waiting.remove(sent)
                self._ended(sent)

    def _ended(self, sent: _Sent) -> None:
        import ray
        from ray.exceptions import ActorUnavailableError, RayActorError, RayError

        try:
            ray.get(sent.call)
        except ActorUnavailableError:  # a moment's trouble, or the merge is gone and Ray does not know yet
            time.sleep(UNAVAILABLE_SECONDS)
            if sent.life == self._lives[sent.shard]:
                self._call(sent.number, sent.shard, sent.part)
            return
        except RayActorError:
            return  # another one will take its place, and get the part
        except RayError:  # it has raised: whatever it was, the part is not in its film
            with suppress(Exception):
                self._dispatch.unread.remote(sent.part.lease_id, sent.part.units["id"])
        with self._lock:
            if self._open.get(sent.number) is sent:
                del self._open[sent.number]
