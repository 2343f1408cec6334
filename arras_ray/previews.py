"""What is shown before there is a picture: every mcrt renders another region coarsely, then less so.

Previews are thrown away: they are in no film, and who loses one loses nothing but a moment.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import numpy as np

from arras_ray.film import morton_tiles, tiles_in
from arras_ray.messages import FULL_MASK, UNIT, CoarseTiles, Lease

STRIDES = (8, 4, 2)
"""Of one preview after the other, coarsest first; each takes four times as long as the one before."""

SMOOTH = STRIDES[1]
"""Where one scene follows another without a pause, this fine a picture of each is wanted, and none before it."""

MOVING_SECONDS = 0.4
"""Edits that follow each other sooner are of one motion."""

REST_SECONDS = 0.1
"""In a motion mcrts wait so long for the next scene before they render finer than what is seen of it: that would be
cancelled, and keeps a machine from showing what it has."""


class PreviewPlan:
    """Leases the tiles of a picture as previews, the coarsest first, each once.

    Pure decisions, as the ledger's. ids: of leases, other ones than a ledger's. region: as `film.tiles_in` has it. now:
    seconds of a clock. after: the plan of the scene before. Of a motion that was smooth so far the coarsest preview,
    which nobody would see, is left out; the finest one of any motion waits until the others are rendered and for
    REST_SECONDS, but no longer than MOVING_SECONDS in all: one that never comes holds nobody up.
    """

    def __init__(
        self,
        width: int,
        height: int,
        sync_id: int,
        ids: Iterator[int],
        *,
        now: float,
        region: Sequence[int] | None = None,
        after: PreviewPlan | None = None,
    ) -> None:
        self.sync_id = sync_id
        self._began = now
        moves = after is not None and now - after._began < MOVING_SECONDS
        smooth = moves and after is not None and after._is_smooth
        self._waits = moves
        """What is finer waits for previews under way."""
        self._rests_until = now + MOVING_SECONDS if moves else now
        self._strides = tuple(stride for stride in STRIDES if stride <= SMOOTH) if smooth else STRIDES
        tiles = morton_tiles(width, height)
        self._tiles = tiles[tiles_in(region, width, height)[tiles]]
        self._queue = [(stride, self._tiles) for stride in self._strides if len(self._tiles)]
        self._open: dict[int, Lease] = {}
        self._ids = ids

    @property
    def left(self) -> bool:
        """Something is to be leased still."""
        return bool(self._queue)

    @property
    def _is_smooth(self) -> bool:
        """All of the picture was rendered so finely."""
        under_way = [stride for stride, _ in self._queue] + [lease.stride for lease in self._open.values()]
        return max(under_way, default=0) < SMOOTH

    def rest(self, now: float) -> float:
        """Seconds until nothing waits any more."""
        return max(0.0, self._rests_until - now)

    def lease(self, mcrt: str, n_mcrts: int, now: float) -> Lease | None:
        """The next run for an mcrt, one of n_mcrts that share the work; None when it has two, nothing is left, or all
        that is left waits.

        Of the coarsest each gets its region at once; of the others smaller ones, so that who is quick takes more.
        """
        if not self._queue or sum(lease.mcrt == mcrt for lease in self._open.values()) >= 2:
            return None
        stride, tiles = self._queue[0]
        if stride < SMOOTH and now < self._rests_until:
            return None
        n = -(-len(self._tiles) // (n_mcrts * self._strides[0] // stride))
        self._queue[:1] = [(stride, tiles[n:])] if len(tiles) > n else []
        units = np.zeros(len(tiles[:n]), UNIT)
        units["id"] = units["tile"] = tiles[:n]
        units["end"], units["mask"] = 1, FULL_MASK
        lease = Lease(next(self._ids), self.sync_id, mcrt, units, stride)
        self._open[lease.lease_id] = lease
        return lease

    def ended(self, lease_id: int, unfinished: np.ndarray, now: float) -> bool:
        """A lease was rendered but for some tiles, which others shall try; one that nobody knows is ignored.

        Returns whether what is seen of a motion is complete with it: then what is finer waits for `rest(now)` seconds.
        """
        lease = self._open.pop(lease_id, None)
        if lease is not None and len(unfinished):
            self._queue.insert(0, (lease.stride, np.asarray(unfinished, "i4")))
        complete = self._waits and self._is_smooth
        if complete:
            self._waits, self._rests_until = False, min(self._rests_until, now + REST_SECONDS)
        return complete

    def lost(self, mcrt: str, now: float) -> None:
        """An mcrt is gone: what it had is leased again."""
        for lease in [lease for lease in self._open.values() if lease.mcrt == mcrt]:
            self.ended(lease.lease_id, lease.units["tile"], now)


class Previews:
    """The previews of a picture's tiles: of each the newest that is no coarser than the one before it.

    Its methods may be called from any thread.
    """

    def __init__(self, n_tiles: int) -> None:
        self._strides = np.full(n_tiles, max(STRIDES) + 1, "i4")
        self._versions = np.zeros(n_tiles, "i8")
        self._pixels: dict[int, np.ndarray] = {}
        self._lock = threading.Lock()

    def put(self, coarse: CoarseTiles, version: int) -> None:
        """Take previews in; `version` tells them from earlier ones. Raise ValueError for tiles that do not exist."""
        if len(coarse.tiles) and not 0 <= coarse.tiles.min() <= coarse.tiles.max() < len(self._strides):
            raise ValueError(f"a preview names a tile that is not one of the {len(self._strides)}")
        with self._lock:
            for tile, pixels in zip(coarse.tiles.tolist(), coarse.pixels, strict=True):
                if coarse.stride <= self._strides[tile]:
                    self._strides[tile], self._versions[tile], self._pixels[tile] = coarse.stride, version, pixels

    def between(self, since: int, version: int, hidden: np.ndarray) -> tuple[CoarseTiles, ...]:
        """Those put after version `since` up to `version`, by stride. hidden: (n_tiles,) bool, tiles that have more."""
        with self._lock:
            tiles = np.flatnonzero((self._versions > since) & (self._versions <= version) & ~hidden)
            strides = self._strides[tiles]
            groups = [(int(stride), tiles[strides == stride].astype("i4")) for stride in np.unique(strides)[::-1]]
            return tuple(
                CoarseTiles(stride, group, np.stack([self._pixels[tile] for tile in group.tolist()]))
                for stride, group in groups
            )


def fill(coarse: CoarseTiles) -> np.ndarray:
    """Whole tiles of coarse ones: (n, TILE * TILE, 4) float32."""
    whole = coarse.pixels.repeat(coarse.stride, axis=1).repeat(coarse.stride, axis=2)
    filled: np.ndarray = whole.reshape(len(coarse.tiles), -1, 4)
    return filled
