"""merge: adds what the mcrts rendered, and shows the picture so far.

With several merges each keeps some of the tiles. Parts are added on several threads; frames and control calls have
threads of their own and are answered while parts are added.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import numpy as np

from arras_ray.actors.deliveries import Deliveries
from arras_ray.actors.handshake import Joined, join
from arras_ray.actors.reasons import sentence
from arras_ray.errors import ResourcesError
from arras_ray.film import Film, shard_of_tile
from arras_ray.messages import PartialFrame, ProgressiveFrame, Receipt
from arras_ray.unit_plan import UnitPlan

NO_SYNC = -1
"""Before a film has begun; no message has this sync_id."""

OVER = ("FINISHED", "CANCELLED")

MAX_FRAME_TILES = 16
"""Of a frame, 1 MB: resolved and sent within 50 ms even while parts are added on all cores (benchmarks/merge.py)."""

READ_SECONDS = 20.0
"""How long the sums of a part may take to arrive; a frozen node would let us wait for ever."""


TRIES = 3
"""So often receipts are sent to dispatch."""


class Merge:
    """Computation `name` of a session. `begin`, then `accept` parts and ask for `frame` and `final`."""

    def __init__(self, name: str, session: str) -> None:
        self.name = name
        self.session = session
        self._dispatch: Any = None
        self._deliveries = Deliveries()
        self._plan = UnitPlan(1, 1, 1)
        self._film = Film(1, 1)
        self._sync_id = NO_SYNC
        self._samples = 0
        self._status = "STARTED"
        self._changed = threading.Condition()
        self._stats = {"parts": 0, "bytes": 0, "rendering": 0.0, "reading": 0.0, "adding": 0.0}

    def __repr__(self) -> str:
        return f"{self.name} of {self.session}"

    def join(self) -> Joined:
        """Where this computation runs."""
        return join(self.name)

    def begin(
        self, sync_id: int, width: int, height: int, spp: int, dispatch: Any, shard: int = 0, n_shards: int = 1
    ) -> None:
        """Start an empty film of width x height pixels for parts of `sync_id`, of which this merge keeps one shard.

        Raise ResourcesError.
        """
        self._dispatch = dispatch
        try:
            self._film = Film(width, height)
            shards = shard_of_tile(np.arange(self._film.n_tiles), width, height, n_shards)
            self._film.touch(np.flatnonzero(shards == shard))
            self._plan = UnitPlan(width, height, spp)
        except MemoryError:
            raise ResourcesError(
                f"{self.name} has not enough memory for a picture of {width} x {height} pixels",
                hint="render a smaller picture, or on a node with more memory",
            ) from None
        self._sync_id = sync_id

    def accept(self, parts: list[PartialFrame]) -> None:
        """Add parts and send dispatch a receipt for each. A part whose sums cannot be read is given back to it."""
        receipts = []
        for part in parts:
            if part.sync_id != self._sync_id:
                continue
            try:
                sums = self._read(part)
                if sums is None:
                    self._dispatch.unread.remote(part.lease_id, part.units["id"])
                    continue
                unit_ids = self._add(part, sums)
            except Exception as error:  # its lease would stay open for ever
                self._dispatch.fail.remote(f"{part.mcrt} sent what {self.name} cannot add: {sentence(error)}")
                return
            receipts.append(_receipt(part, unit_ids))
        if receipts:
            self._tell(receipts, TRIES)

    def frame(self, since: int, timeout: float) -> ProgressiveFrame | None:
        """Tiles that changed after version `since`; waits up to `timeout` seconds for one, then returns None.

        Of many tiles a frame holds only some: ask again for the others. Once the render is over the answer comes at
        once, with no tiles if nothing changed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._film.version > since or self._status in OVER, timeout)
            if self._film.version <= since and self._status not in OVER:
                return None
            version, status = self._film.version, self._status
            progress = self._progress
        frame = self._film.frame(since, self._sync_id, progress, status, MAX_FRAME_TILES)
        if frame.version < version:  # the last word is not spoken before the last tile is shown
            frame = replace(frame, status="RENDERING")
        return frame

    def final(self) -> ProgressiveFrame:
        """The whole picture of what was accepted so far."""
        return self._film.frame(0, self._sync_id, self._progress, self._status)

    def finish(self, status: str) -> None:
        """No more parts will come: FINISHED or CANCELLED."""
        with self._changed:
            self._status = status
            self._changed.notify_all()

    def ping(self) -> str:
        """The state this computation is in, answered while it adds."""
        return "ready"

    def stats(self) -> dict[str, float]:
        """Parts and bytes added so far, and seconds: of the mcrts rendering them, of all threads here on each step."""
        with self._changed:
            return dict(self._stats)

    @property
    def _progress(self) -> float:
        return self._samples / self._plan.total_samples

    def _tell(self, receipts: list[Receipt], tries: int) -> None:
        if tries:
            ref = self._dispatch.receipts.remote(receipts)
            self._deliveries.watch(ref, lambda: self._tell(receipts, tries - 1))

    def _add(self, part: PartialFrame, sums: np.ndarray) -> np.ndarray:
        begin = time.perf_counter()
        unit_ids = self._film.accept(part.units, sums)
        samples = int(self._plan.samples(unit_ids).sum())
        with self._changed:
            self._stats["parts"] += 1
            self._stats["bytes"] += sums.nbytes
            self._stats["rendering"] += part.seconds
            self._stats["adding"] += time.perf_counter() - begin
            self._samples += samples
            self._status = "RENDERING" if self._status == "STARTED" else self._status
            self._changed.notify_all()
        return unit_ids

    def _read(self, part: PartialFrame) -> np.ndarray | None:
        import ray
        from ray.exceptions import RayError

        begin = time.perf_counter()
        try:
            sums: np.ndarray = ray.get(part.sums[0], timeout=READ_SECONDS)
        except RayError:
            return None
        with self._changed:
            self._stats["reading"] += time.perf_counter() - begin
        return sums


def _receipt(part: PartialFrame, unit_ids: np.ndarray) -> Receipt:
    return Receipt(
        sync_id=part.sync_id,
        lease_id=part.lease_id,
        mcrt=part.mcrt,
        unit_ids=unit_ids,
        seconds=part.seconds,
        samples=part.samples,
        bad_samples=part.bad_samples,
        first_bad=part.first_bad,
    )
