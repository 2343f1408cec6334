"""merge: adds what the mcrts rendered, and shows the picture so far.

With several merges each keeps some of the tiles. Parts are added on several threads; frames and control calls have
threads of their own and are answered while parts are added.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from arras_ray.actors.deliveries import Deliveries
from arras_ray.actors.handshake import Heart, Joined, Kept, Picture, Pulse, join
from arras_ray.actors.reasons import sentence
from arras_ray.errors import ResourcesError
from arras_ray.film import Film, shard_of_tile
from arras_ray.messages import CHANNELS, FilmState, PartialFrame, PreviewFrame, ProgressiveFrame, Receipt
from arras_ray.previews import Previews
from arras_ray.snapshots import Snapshots
from arras_ray.tallies import Tallies
from arras_ray.unit_plan import UnitPlan

NO_SYNC = -1
"""Before a film has begun; no message has this sync_id."""

OVER = ("FINISHED", "CANCELLED")

MAX_FRAME_TILES = 16
"""Of a frame, 1 MB: resolved and sent within 50 ms even while parts are added on all cores (benchmarks/merge.py)."""

READ_SECONDS = 20.0
"""How long the sums of a part may take to arrive; a frozen node would let us wait for ever."""

EDIT_SECONDS = 2.0
"""So much later than others a merge may hear that the scene is another."""

COUNT = CHANNELS.index("count")

TRIES = 3
"""So often receipts are sent to dispatch."""


class Merge:
    """Computation `name` of a session. `begin`, then `accept` parts and ask for `frame` and `final`."""

    def __init__(self, name: str, session: str, life: int) -> None:
        self.name = name
        self.session = session
        self.life = life
        self._heart = Heart()
        self._dispatch: Any = None
        self._deliveries = Deliveries()
        self._plan = UnitPlan(1, 1, 1)
        self._film = Film(1, 1)
        self._previews = Previews(1)
        self._snapshots = Snapshots()
        self._sync_id = NO_SYNC
        self._n_shards = 1
        self._shard = 0
        self._tallies = Tallies()
        self._samples = 0
        self._saved = 0  # version of the film
        self._status = "STARTED"
        self._changed = threading.Condition()
        self._stats = {"parts": 0, "bytes": 0, "rendering": 0.0, "reading": 0.0, "adding": 0.0}

    def __repr__(self) -> str:
        return f"{self.name} of {self.session}"

    def join(self, enforce_memory: bool = False) -> Joined:
        """Where this computation runs. enforce_memory: it is killed when it takes more than its bundle has."""
        return join(self.name, self.session, self.life, enforce_memory)

    def begin(
        self, picture: Picture, shard: int = 0, n_shards: int = 1, saved: FilmState | None = None, dispatch: Any = None
    ) -> Kept:
        """Start a film for parts of this picture, of which this merge keeps one shard: empty, or with what an earlier
        one has `saved`. Returns what is in it. Raise ResourcesError.
        """
        with self._room_for(picture):
            film = self._new_film(picture, shard, n_shards)
            film.touch(self._tiles)
            plan = UnitPlan(picture.width, picture.height, picture.spp, picture.earlier_ends)
        if saved is not None:
            film.restore(saved)
            # The tally was taken a moment after the sums; what is bad the sums themselves tell.
            bad = int(plan.samples(film.accepted).sum()) - int(saved.sums[..., COUNT].sum())
            self._tallies.put(shard, replace(saved.tally, bad_samples=bad))
        with self._changed:
            self._film, self._plan, self._shard, self._dispatch = film, plan, shard, dispatch
            self._n_shards = n_shards
            self._samples = int(plan.samples(film.accepted).sum())
            self._sync_id = picture.sync_id
            self._changed.notify_all()
        return self._kept()

    def show(self, picture: Picture) -> None:
        """The scene is another from now on: start an empty film. Parts and previews of earlier ones are not wanted.

        Raise ResourcesError.
        """
        with self._changed:
            if picture.sync_id <= self._sync_id:
                return
            with self._room_for(picture):
                self._film = self._new_film(picture, self._shard, self._n_shards)
                self._plan = UnitPlan(picture.width, picture.height, picture.spp)
            self._tallies, self._samples, self._saved = Tallies(), 0, self._film.version
            self._sync_id, self._status = picture.sync_id, "STARTED"
            self._changed.notify_all()

    def attach(self, dispatch: Any) -> Kept:
        """Send receipts to this dispatch from now on; returns what was accepted before."""
        with self._changed:
            self._dispatch = dispatch
        return self._kept()

    def preview(self, frame: PreviewFrame) -> None:
        """Show this where nothing better is known yet."""
        with self._changed:
            if self._shows(frame.sync_id):
                self._previews.put(frame.coarse, self._film.mark())
                self._changed.notify_all()

    def accept(self, parts: list[PartialFrame]) -> None:
        """Add parts and send dispatch a receipt for each. A part whose sums cannot be read is given back to it."""
        receipts = []
        for part in parts:
            with self._changed:
                if not self._shows(part.sync_id):
                    continue
                film, plan = self._film, self._plan
            try:
                sums = self._read(part)
                if sums is None:
                    self._dispatch.unread.remote(part.lease_id, part.units["id"])
                    continue
                receipt = self._add(part, sums, film, plan)
                receipts += [receipt] if receipt is not None else []
            except Exception as error:  # its lease would stay open for ever
                self._dispatch.fail.remote(f"{part.mcrt} sent what {self.name} cannot add: {sentence(error)}")
                return
        if receipts:
            self._tell(receipts, TRIES)

    def save(self, news_only: bool = False) -> FilmState | None:
        """What has been accepted; with news_only None if it is no more than when it was asked last."""
        if self._sync_id == NO_SYNC or (news_only and self._film.version == self._saved):
            return None
        self._saved = self._film.version
        return self._film.save(self._tiles, sync_id=self._sync_id, tally=self._tallies.of(self._shard))

    def log(self) -> np.ndarray:
        """The units in the order in which they were accepted: (n,) i8."""
        return self._film.log

    def frame(self, since: int, timeout: float) -> ProgressiveFrame | None:
        """Tiles that changed after version `since`; waits up to `timeout` seconds for one, then returns None.

        Of many tiles a frame holds only some: ask again for the others. Once the render is over the answer comes at
        once, with no tiles if nothing changed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._film.version > since or self._status in OVER, timeout)
            if self._film.version <= since and self._status not in OVER:
                return None
            film, previews, sync_id = self._film, self._previews, self._sync_id
            version, status = film.version, self._status
            progress = self._progress
        frame = film.frame(since, sync_id, progress, status, MAX_FRAME_TILES)
        with self._changed:
            frame = replace(frame, ages=self._snapshots.ages(since, frame.version))
        if frame.version < version:  # the last word is not spoken before the last tile is shown
            frame = replace(frame, status="RENDERING")
        if sync_id != NO_SYNC and (coarse := previews.between(since, frame.version, film.begun)):
            frame = replace(frame, coarse=coarse)
        return frame

    def final(self) -> ProgressiveFrame:
        """The whole picture of what was accepted so far."""
        return self._film.frame(0, self._sync_id, self._progress, self._status)

    def finish(self, status: str, sync_id: int) -> None:
        """No more parts of this scene will come: FINISHED or CANCELLED."""
        with self._changed:
            if sync_id == self._sync_id:
                self._status = status
                self._changed.notify_all()

    def ping(self) -> Pulse:
        """A heartbeat, answered while it adds."""
        return self._heart.beat("ready", begun=self._sync_id != NO_SYNC)

    def stats(self) -> dict[str, float]:
        """Parts and bytes added so far, and seconds: of the mcrts rendering them, of all threads here on each step."""
        with self._changed:
            return dict(self._stats)

    @contextmanager
    def _room_for(self, picture: Picture) -> Iterator[None]:
        """Raise ResourcesError where there is no memory for it."""
        try:
            yield
        except MemoryError:
            raise ResourcesError(
                f"{self.name} has not enough memory for a picture of {picture.width} x {picture.height} pixels",
                hint="render a smaller picture, or on a node with more memory",
            ) from None

    def _new_film(self, picture: Picture, shard: int, n_shards: int) -> Film:
        """An empty film of a picture, and what belongs to it: the tiles of this merge, no previews."""
        film = Film(picture.width, picture.height, self._film.version)
        shards = shard_of_tile(np.arange(film.n_tiles), picture.width, picture.height, n_shards)
        self._tiles = np.flatnonzero(shards == shard)
        self._previews = Previews(film.n_tiles)
        return film

    def _shows(self, sync_id: int) -> bool:
        """Whether this is the state of the scene that is rendered. Who rendered may know of it a moment earlier. Called
        with the lock held, which is given up meanwhile."""
        self._changed.wait_for(lambda: sync_id <= self._sync_id, EDIT_SECONDS)
        return sync_id == self._sync_id

    @property
    def _progress(self) -> float:
        return self._samples / self._plan.total_samples

    def _kept(self) -> Kept:
        return Kept(self._shard, self.life, self._sync_id, self._film.accepted, self._tallies.of(self._shard))

    def _tell(self, receipts: list[Receipt], tries: int) -> None:
        if tries:
            ref = self._dispatch.receipts.remote(receipts)
            self._deliveries.watch(ref, lambda: self._tell(receipts, tries - 1))

    def _add(self, part: PartialFrame, sums: np.ndarray, film: Film, plan: UnitPlan) -> Receipt | None:
        """Add a part to the film of its scene; None if that is no more. Its receipt names all its units: one that came
        before was accepted too, and a receipt may have been lost; of bad samples only those that are new."""
        begin = time.perf_counter()
        new = film.accept(part.units, sums)
        samples = int(plan.samples(new).sum())
        bad, first_bad = 0, None
        if part.bad_samples and len(new):
            counted = sums[np.isin(part.units["id"], new), :, COUNT].sum()
            bad, first_bad = samples - int(counted), part.first_bad
        with self._changed:
            if film is not self._film:
                return None
            self._tallies.add(self._shard, part.mcrt, samples, bad, first_bad)
            self._stats["parts"] += 1
            self._stats["bytes"] += sums.nbytes
            self._stats["rendering"] += part.seconds
            self._stats["adding"] += time.perf_counter() - begin
            self._samples += samples
            if len(new):
                self._snapshots.took(part.mcrt, part.life, part.rendered_at, film.version)
            self._status = "RENDERING" if self._status == "STARTED" else self._status
            self._changed.notify_all()
        return Receipt(
            sync_id=part.sync_id,
            lease_id=part.lease_id,
            mcrt=part.mcrt,
            unit_ids=part.units["id"].copy(),
            seconds=part.seconds,
            samples=part.samples,
            bad_samples=bad,
            first_bad=first_bad,
            shard=self._shard,
            life=self.life,
        )

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
