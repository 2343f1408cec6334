"""The film: exact sums of all accepted samples, tile by tile, and which units they came from.

Samples are float64 multiples of a power of two, so addition is exact and its order does not show. The division by the
count happens only when tiles are resolved. Storage is tile-major: a unit is one contiguous block, and adding it runs
at memory speed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from itertools import count

import numpy as np

from arras_ray.messages import N_CHANNELS, TILE, UNIT, FilmState, ProgressiveFrame, Tally, tile_grid

N_LOCKS = 64
"""Locks over tiles. Two threads wait for each other only when their tiles are equal modulo this."""

RESOLVED_TOGETHER = 32
"""Tiles divided in one call, 5 MB: few hand-overs of the GIL, and little memory."""

FIRST_PASSES = 16
"""Passes there is room for at once; more come with the first unit of a later one."""

BLOCKS_A_SHARD = 8
"""Morton blocks a shard should get at least, so that shards differ by no more than an eighth."""


class Film:
    """Sums of a width x height picture (pixels).

    sums: (n_tiles, TILE * TILE, N_CHANNELS) float64, zero for pixels outside the picture. Adding may happen on several
    threads at once, with frames and saves taken in between. Memory is touched only where samples fall, so a shard's
    film costs its own tiles.

    A unit is added, and its acceptance written down, under the lock of its tile: whoever looks at a tile under that
    lock finds a unit wholly in it or not at all.
    """

    def __init__(self, width: int, height: int, version: int = 0) -> None:
        """version: of the film before this one, whose frames somebody has. Raise ValueError for a film of nothing."""
        if width < 1 or height < 1:
            raise ValueError(f"a film needs at least one pixel, not {width} x {height}")
        self.width = width
        self.height = height
        self._curve = morton_tiles(width, height)
        self.n_tiles = len(self._curve)
        self.sums = np.zeros((self.n_tiles, TILE * TILE, N_CHANNELS))
        self.version = version
        self._tile_version = np.zeros(self.n_tiles, "i8")
        # By tile and pass the rank at which the unit was accepted, from 1; 0 for not yet.
        self._order = np.zeros((self.n_tiles, FIRST_PASSES), "i4")
        self._ranks = count(1)  # next() is atomic
        self._tile_locks = [threading.Lock() for _ in range(min(N_LOCKS, self.n_tiles))]
        self._version_lock = threading.Lock()

    @property
    def accepted(self) -> np.ndarray:
        """Numbers of the units accepted so far, rising: (n,) i8."""
        return np.flatnonzero(self._order[self._curve].T)

    @property
    def begun(self) -> np.ndarray:
        """Which tiles have samples: (n_tiles,) bool."""
        return np.asarray(self._order.any(axis=1))

    @property
    def log(self) -> np.ndarray:
        """The units in the order in which they were accepted: (n,) i8.

        A unit that was accepted a second time has its last place only; -1 stands at the one it had before. So the log
        has each unit of a plan once, and nothing else, only if each was accepted once.
        """
        with self._all_tiles():
            order = self._order[self._curve].T.ravel()
        ids = np.flatnonzero(order)
        log = np.full(order.max(initial=0), -1, "i8")
        log[order[ids] - 1] = ids
        return log

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
        ids, tiles = units["id"], units["tile"]
        if len(ids) and ids.min() < 0:
            raise ValueError(f"unit number {ids.min()} is negative")
        passes, ranks = np.divmod(ids, self.n_tiles)
        wrong = self._curve[ranks] != tiles
        if wrong.any():
            raise ValueError(f"unit {ids[wrong][0]} is not of tile {tiles[wrong][0]}")
        self._make_room(int(passes.max(initial=0)) + 1)
        fresh = []
        n_locks = len(self._tile_locks)
        for n_pass, tile, part in zip(passes.tolist(), tiles.tolist(), sums, strict=True):
            with self._tile_locks[tile % n_locks]:
                fresh.append(self._accept_one(n_pass, tile, part))
        if any(fresh):
            self._changed(tiles[fresh])
        new: np.ndarray = ids[fresh]
        return new

    def add(self, units: np.ndarray, sums: np.ndarray) -> None:
        """Add sums whether or not their units came before. Shapes and errors as in `accept`."""
        self._check(units, sums)
        for tile, part in zip(units["tile"].tolist(), sums, strict=True):
            with self._tile_locks[tile % len(self._tile_locks)]:
                self._add_one(tile, part)
        self._changed(units["tile"])

    def save(self, tiles: np.ndarray | None = None, *, sync_id: int = 0, tally: Tally | None = None) -> FilmState:
        """What is in these tiles, all of them if None is given, while others may go on accepting.

        tiles: (n,) integers. Of each tile sums and acceptances are of one moment, another for every tile.
        """
        tiles = np.arange(self.n_tiles, dtype="i4") if tiles is None else np.asarray(tiles, "i4")
        sums = np.empty((len(tiles), TILE * TILE, N_CHANNELS))
        rows = []
        for tile, copy in zip(tiles.tolist(), sums, strict=True):
            with self._tile_locks[tile % len(self._tile_locks)]:
                copy[:] = self.sums[tile]
                rows.append(self._order[tile].copy())
        order = np.zeros((max(map(len, rows), default=0), len(tiles)), "i4")
        for i, row in enumerate(rows):
            order[: len(row), i] = row
        begun = np.flatnonzero(order.any(axis=1))
        order = order[: begun[-1] + 1 if len(begun) else 0]
        return FilmState(sync_id, self.width, self.height, tiles, sums, order, tally if tally is not None else Tally())

    def restore(self, state: FilmState) -> None:
        """Start from what was saved: this film must be empty yet. Its log goes on after the restored units.

        Those keep the order in which they were accepted, numbered anew: a film that is saved while units arrive may
        have a later one without an earlier. Raise ValueError, with nothing changed, for a state that does not fit.
        """
        if (state.width, state.height) != (self.width, self.height):
            raise ValueError(f"a film of {state.width} x {state.height} does not fit {self.width} x {self.height}")
        n = len(state.tiles)
        shape = (n, TILE * TILE, N_CHANNELS)
        if state.sums.shape != shape or state.sums.dtype != np.float64:
            raise ValueError(f"saved sums must be {shape} float64, not {state.sums.shape} {state.sums.dtype}")
        if state.order.ndim != 2 or state.order.shape[1] != n:
            raise ValueError(f"the order of {n} tiles cannot be {state.order.shape}")
        if n != len(np.unique(state.tiles)) or (n and not 0 <= state.tiles.min() <= state.tiles.max() < self.n_tiles):
            raise ValueError(f"a saved film names a tile twice, or one that is not of the {self.n_tiles}")
        self._make_room(len(state.order))
        places = np.nonzero(state.order)
        ranks = np.empty(len(places[0]), "i4")
        ranks[np.argsort(state.order[places], kind="stable")] = np.arange(1, len(ranks) + 1)
        with self._all_tiles():
            if self._order.any():
                raise ValueError("units were accepted before the film was to be restored")
            self.sums[state.tiles] = state.sums
            self._order[state.tiles[places[1]], places[0]] = ranks
            self._ranks = count(len(ranks) + 1)
        self._changed(state.tiles[state.order.any(axis=0)])

    def mark(self) -> int:
        """A new version, by which something that is no sample is told from what came before."""
        with self._version_lock:
            self.version += 1
            return self.version

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

    def _accept_one(self, n_pass: int, tile: int, part: np.ndarray) -> bool:
        """Add one unit unless it is in the film. Its tile is locked."""
        if self._order[tile, n_pass]:
            return False
        self._add_one(tile, part)
        self._order[tile, n_pass] = next(self._ranks)
        return True

    def _add_one(self, tile: int, part: np.ndarray) -> None:
        target = self.sums[tile]
        np.add(target, part, out=target)  # frees the GIL for a block of this size

    def _changed(self, tiles: np.ndarray) -> None:
        with self._version_lock:
            self.version += 1
            self._tile_version[tiles] = self.version

    @contextmanager
    def _all_tiles(self) -> Iterator[None]:
        with ExitStack() as stack:
            for lock in self._tile_locks:
                stack.enter_context(lock)
            yield

    def _check(self, units: np.ndarray, sums: np.ndarray) -> None:
        if units.dtype != UNIT or units.ndim != 1:
            raise ValueError(f"units must be (n,) UNIT, not {units.shape} {units.dtype}")
        shape = (len(units), TILE * TILE, N_CHANNELS)
        if sums.shape != shape or sums.dtype != np.float64:
            raise ValueError(f"sums must be {shape} float64, not {sums.shape} {sums.dtype}")
        outside = (units["tile"] < 0) | (units["tile"] >= self.n_tiles)
        if outside.any():
            raise ValueError(f"tile {units['tile'][outside][0]} is not one of this film's {self.n_tiles}")

    def _make_room(self, n_passes: int) -> None:
        if n_passes <= self._order.shape[1]:
            return
        with self._all_tiles():
            known = self._order.shape[1]
            if n_passes > known:
                grown = np.zeros((self.n_tiles, max(n_passes, 2 * known)), "i4")
                grown[:, :known] = self._order
                self._order = grown


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


def tiles_in(region: Sequence[int] | None, width: int, height: int) -> np.ndarray:
    """Which tiles of a picture a region touches, (n_tiles,) bool: all of them for None.

    region: raster pixels left, bottom, right, top, the last two not included, origin bottom-left.
    """
    across, up = tile_grid(width, height)
    if region is None:
        return np.ones(across * up, "?")
    left, bottom, right, top = region
    y, x = np.divmod(np.arange(across * up), across)
    touched: np.ndarray = (x * TILE < right) & ((x + 1) * TILE > left) & (y * TILE < top) & ((y + 1) * TILE > bottom)
    return touched


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
