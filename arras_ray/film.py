"""The film: exact sums of all accepted samples, tile by tile, and which units they came from.

Samples are float64 multiples of a power of two, so addition is exact and its order does not show. The division by the
count happens only when tiles are resolved. Storage is tile-major: a unit is one contiguous block, and adding it runs
at memory speed.
"""

from __future__ import annotations

import threading
from functools import lru_cache

import numpy as np

from arras_ray.messages import N_CHANNELS, TILE, UNIT, ProgressiveFrame, tile_grid

N_LOCKS = 64
"""Locks over tiles. Two threads wait for each other only when their tiles are equal modulo this."""

RESOLVED_TOGETHER = 32
"""Tiles divided in one call, 5 MB: few hand-overs of the GIL, and little memory."""

BLOCKS_A_SHARD = 8
"""Morton blocks a shard should get at least, so that shards differ by no more than an eighth."""


class Film:
    """Sums of a width x height picture (pixels).

    sums: (n_tiles, TILE * TILE, N_CHANNELS) float64, zero for pixels outside the picture. Adding may happen on several
    threads at once, with frames taken in between. Memory is touched only where samples fall, so a shard's film costs
    its own tiles.
    """

    def __init__(self, width: int, height: int) -> None:
        if width < 1 or height < 1:
            raise ValueError(f"a film needs at least one pixel, not {width} x {height}")
        self.width = width
        self.height = height
        across, up = tile_grid(width, height)
        self.n_tiles = across * up
        self.sums = np.zeros((self.n_tiles, TILE * TILE, N_CHANNELS))
        self.version = 0
        self._tile_version = np.zeros(self.n_tiles, "i8")
        self._accepted = np.zeros(1024, "?")
        self._tile_locks = [threading.Lock() for _ in range(min(N_LOCKS, self.n_tiles))]
        self._version_lock = threading.Lock()
        self._accept_lock = threading.Lock()

    @property
    def accepted(self) -> np.ndarray:
        """Numbers of the units accepted so far, rising: (n,) i8."""
        return np.flatnonzero(self._accepted)

    def touch(self, tiles: np.ndarray) -> None:
        """Have the system give the memory of these tiles now: in the first pass adders would wait for it in turns.

        tiles: (n,) integers. Sums are not changed.
        """
        for tile in tiles.tolist():
            self.sums[tile] += 0.0

    def accept(self, units: np.ndarray, sums: np.ndarray) -> np.ndarray:
        """Add the units that were not accepted before and return their numbers, (n,) i8, in the order given.

        units: (n,) UNIT, sums: (n, TILE * TILE, N_CHANNELS) float64. A unit that comes again, in this call or a later
        one, is dropped. Raise ValueError, with nothing accepted, for shapes or numbers that do not belong here.
        """
        self._check(units, sums)
        ids = units["id"]
        if len(ids) and ids.min() < 0:
            raise ValueError(f"unit number {ids.min()} is negative")
        first = np.zeros(len(ids), "?")
        first[np.unique(ids, return_index=True)[1]] = True
        with self._accept_lock:
            self._grow(int(ids.max(initial=0)) + 1)
            fresh = first & ~self._accepted[ids]
            self._accepted[ids] = True
        if fresh.all():
            self._add(units, sums)
        elif fresh.any():
            # Slices, not a copy: dropped units are rare, copying all the others is not cheap.
            for i in np.flatnonzero(fresh):
                self._add(units[i : i + 1], sums[i : i + 1])
        new: np.ndarray = ids[fresh]
        return new

    def add(self, units: np.ndarray, sums: np.ndarray) -> None:
        """Add sums whether or not their units came before. Shapes and errors as in `accept`."""
        self._check(units, sums)
        self._add(units, sums)

    def resolve(self, tiles: np.ndarray) -> np.ndarray:
        """Means of some tiles: (n, TILE * TILE, 4) float32 R G B A, 0 where no sample fell. tiles: (n,) integers."""
        means = np.empty((len(tiles), TILE * TILE, 4), "f4")
        copies = np.empty((min(RESOLVED_TOGETHER, len(tiles)), TILE * TILE, N_CHANNELS))
        for begin in range(0, len(tiles), RESOLVED_TOGETHER):
            run = np.asarray(tiles[begin : begin + RESOLVED_TOGETHER])
            sums = copies[: len(run)]
            for tile, copy in zip(run.tolist(), sums, strict=True):
                # A tile is copied under its lock: half an addition would pair a sum with another count.
                with self._tile_locks[tile % len(self._tile_locks)]:
                    copy[:] = self.sums[tile]
            out = means[begin : begin + len(run)]
            np.divide(sums[..., :4], np.maximum(sums[..., 4:], 1), out=out, casting="same_kind", dtype="f8")
        return means

    def image(self) -> np.ndarray:
        """The picture so far: (height, width, 4) float32 R G B A, rows from the bottom up."""
        picture = np.zeros((self.height, self.width, 4), "f4")
        across = tile_grid(self.width, self.height)[0]
        for begin in range(0, self.n_tiles, across):
            row = np.arange(begin, begin + across)
            place_tiles(picture, row, self.resolve(row))
        return picture

    def changed_since(self, version: int) -> np.ndarray:
        """Tiles that changed after `version`, rising: (n,) i4."""
        return np.flatnonzero(self._tile_version > version).astype("i4")

    def frame(
        self, since: int, sync_id: int, progress: float, status: str, max_tiles: int | None = None
    ) -> ProgressiveFrame:
        """What changed after version `since`, resolved. A change made meanwhile comes in this frame or the next.

        Of more than max_tiles tiles those that changed first are taken, and others that changed with the last of them;
        the frame's version is then below the film's, and asking again gives the rest.
        """
        with self._version_lock:
            version = self.version
            tiles = self.changed_since(since)
            if max_tiles is not None and len(tiles) > max_tiles:
                changed = self._tile_version[tiles]
                version = int(np.partition(changed, max_tiles - 1)[max_tiles - 1])
                tiles = tiles[changed <= version]
        return ProgressiveFrame(
            sync_id=sync_id,
            width=self.width,
            height=self.height,
            version=version,
            tiles=tiles,
            pixels=self.resolve(tiles),
            progress=progress,
            status=status,
        )

    def _add(self, units: np.ndarray, sums: np.ndarray) -> None:
        tiles = units["tile"]
        for tile, part in zip(tiles.tolist(), sums, strict=True):
            with self._tile_locks[tile % len(self._tile_locks)]:
                target = self.sums[tile]
                np.add(target, part, out=target)  # frees the GIL for a block of this size
        with self._version_lock:
            self.version += 1
            self._tile_version[tiles] = self.version

    def _check(self, units: np.ndarray, sums: np.ndarray) -> None:
        if units.dtype != UNIT or units.ndim != 1:
            raise ValueError(f"units must be (n,) UNIT, not {units.shape} {units.dtype}")
        shape = (len(units), TILE * TILE, N_CHANNELS)
        if sums.shape != shape or sums.dtype != np.float64:
            raise ValueError(f"sums must be {shape} float64, not {sums.shape} {sums.dtype}")
        outside = (units["tile"] < 0) | (units["tile"] >= self.n_tiles)
        if outside.any():
            raise ValueError(f"tile {units['tile'][outside][0]} is not one of this film's {self.n_tiles}")

    def _grow(self, n_units: int) -> None:
        if n_units > len(self._accepted):
            grown = np.zeros(max(n_units, 2 * len(self._accepted)), "?")
            grown[: len(self._accepted)] = self._accepted
            self._accepted = grown


def place_tiles(picture: np.ndarray, tiles: np.ndarray, pixels: np.ndarray) -> None:
    """Write tiles into a picture in place, cut at its borders.

    picture: (height, width, c), rows from the bottom up. tiles: (n,) integers. pixels: (n, TILE * TILE, c).
    """
    height, width, channels = picture.shape
    across = tile_grid(width, height)[0]
    for tile, block in zip(np.asarray(tiles).tolist(), pixels, strict=True):
        y, x = tile // across * TILE, tile % across * TILE
        target = picture[y : y + TILE, x : x + TILE]
        target[:] = block.reshape(TILE, TILE, channels)[: target.shape[0], : target.shape[1]]


@lru_cache(maxsize=8)
def morton_tiles(width: int, height: int) -> np.ndarray:
    """Tile numbers of a picture along the Morton curve: (n_tiles,) i4, read-only.

    G. M. Morton, "A computer oriented geodetic data base and a new technique in file sequencing", IBM, 1966.
    """
    across, up = tile_grid(width, height)
    tiles = np.arange(across * up)
    code = _spread(tiles % across) | _spread(tiles // across) << 1
    order: np.ndarray = tiles[np.argsort(code)].astype("i4")
    order.flags.writeable = False
    return order


def shard_of_tile(tile: int | np.ndarray, width: int, height: int, n_shards: int) -> np.ndarray:
    """Which of n_shards merges keeps a tile, for one tile or an array of them: integers of the same shape.

    Runs along the Morton curve go round the shards, so that a lease, which is such a run too, reaches few shards and
    all shards have work at any time of a pass. Runs are 16, 4 or 1 tiles, the longest that spreads evenly.
    """
    if n_shards < 1:
        raise ValueError(f"there must be at least one shard, not {n_shards}")
    shards: np.ndarray = _shards(width, height, n_shards)[tile]
    return shards


@lru_cache(maxsize=8)
def _shards(width: int, height: int, n_shards: int) -> np.ndarray:
    order = morton_tiles(width, height)
    run = next(r for r in (16, 4, 1) if r == 1 or len(order) >= r * BLOCKS_A_SHARD * n_shards)
    shards = np.empty(len(order), "i4")
    shards[order] = np.arange(len(order)) // run % n_shards
    shards.flags.writeable = False
    return shards


def _spread(bits: np.ndarray) -> np.ndarray:
    """Put a zero between the lowest 16 bits of each number."""
    bits = (bits | bits << 8) & 0x00FF00FF
    bits = (bits | bits << 4) & 0x0F0F0F0F
    bits = (bits | bits << 2) & 0x33333333
    spread: np.ndarray = (bits | bits << 1) & 0x55555555
    return spread
