"""The newest picture as viewers get it: tiles of half floats, coarse or whole, and who lacks which."""

from __future__ import annotations

import threading
import time

import numpy as np

from arras_ray.messages import TILE, ProgressiveFrame, tile_grid
from arras_ray.view.coding import HALF, PictureNews, TileGroup

LARGEST_HALF = 65504.0

NOTHING = 1 << 30
"""Stride of a tile of which nothing is known."""

WHOLE_TILE_BYTES = TILE * TILE * 4 * HALF.itemsize


class LivePicture:
    """The newest pixels of width x height. Its methods may be called from any thread, `take` from one."""

    def __init__(self, width: int, height: int) -> None:
        self._lock = threading.Lock()
        self._version = 0
        self._rendered: dict[str, float] = {}
        self.sync_id = -1
        self._clear(width, height)

    def take(self, frame: ProgressiveFrame) -> bool:
        """Take a frame in; False for one of a scene that is no more. One of a newer scene begins an empty picture."""
        if frame.sync_id < self.sync_id:
            return False
        coarse = [(of.stride, of.tiles, _halves(of.pixels)) for of in frame.coarse]
        whole = _halves(frame.pixels)  # before others have to wait
        with self._lock:
            if frame.sync_id > self.sync_id or (frame.width, frame.height) != (self.width, self.height):
                self._clear(frame.width, frame.height)
                self._rendered = {}
            self.sync_id = frame.sync_id
            self._version += 1
            now = time.monotonic()
            self._rendered |= {mcrt: now - age for mcrt, age in frame.ages.items()}
            for stride, tiles, halves in coarse:
                self._put(stride, tiles, halves)
            self._put(1, frame.tiles, whole)
            return True

    def covered(self, sync_id: int, stride: int) -> bool:
        """Whether all of it is known of this scene, or a newer one, at least every `stride` pixels."""
        return self.sync_id > sync_id or (self.sync_id == sync_id and int(self._strides.max()) <= stride)

    @property
    def level(self) -> tuple[int, int]:
        """How much is known of all of it: the newest sync_id, and the coarsest stride of a tile, NOTHING at first."""
        with self._lock:
            return self.sync_id, int(self._strides.max())

    def news(self, sent: SentTiles, max_whole: int, max_coarse_bytes: int) -> PictureNews:
        """What a viewer lacks, remembered in `sent` as sent.

        Of whole tiles it has at most max_whole, of coarse ones, which come first, about so many bytes; those that have
        waited longest.
        """
        with self._lock:
            sent.follow(self.sync_id, len(self._strides))
            lacking = self._versions > sent.versions
            if not sent.owed.any():
                sent.owed, sent.rendered = lacking.copy(), dict(self._rendered)
            groups: list[TileGroup] = []
            for stride in (8, 4, 2, 1):
                tiles = np.flatnonzero(lacking & (self._strides == stride))
                most = max_whole if stride == 1 else -(-max_coarse_bytes * stride**2 // WHOLE_TILE_BYTES)
                if len(tiles) > most:
                    tiles = tiles[np.argsort(sent.versions[tiles], kind="stable")[:most]]
                if len(tiles):
                    max_coarse_bytes -= len(tiles) * WHOLE_TILE_BYTES // stride**2
                    sent.versions[tiles], sent.owed[tiles] = self._versions[tiles], False
                    numbers = tiles.tolist()
                    groups.append(TileGroup(stride, numbers, [self._pixels[tile] for tile in numbers]))
            rendered = {} if sent.owed.any() else sent.rendered
            return PictureNews(self.sync_id, self.width, self.height, rendered, groups)

    def _clear(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        across, up = tile_grid(width, height)
        self._strides = np.full(across * up, NOTHING, "i4")
        self._versions = np.zeros(across * up, "i8")
        self._pixels: dict[int, bytes] = {}

    def _put(self, stride: int, tiles: np.ndarray, halves: list[bytes]) -> None:
        for tile, half in zip(tiles.tolist(), halves, strict=True):
            if stride <= self._strides[tile]:
                self._strides[tile], self._versions[tile] = stride, self._version
                self._pixels[tile] = half


def _halves(pixels: np.ndarray) -> list[bytes]:
    """Of each tile."""
    return [tile.tobytes() for tile in np.clip(pixels, -LARGEST_HALF, LARGEST_HALF).astype(HALF)]


class SentTiles:
    """What a viewer has: of each tile the version that was sent last.

    owed: tiles that it lacked at some moment, and lacks still. rendered: when the newest samples of each mcrt were
    rendered, as it was known at that moment.
    """

    def __init__(self) -> None:
        self.versions = np.zeros(0, "i8")
        self.owed = np.zeros(0, bool)
        self.rendered: dict[str, float] = {}
        self._sync_id = -1

    def forget(self) -> None:
        """Everything is to be sent again."""
        self.versions[:] = 0

    def follow(self, sync_id: int, n_tiles: int) -> None:
        """Forget what was sent of another scene."""
        if sync_id != self._sync_id or n_tiles != len(self.versions):
            self._sync_id, self.versions, self.owed = sync_id, np.zeros(n_tiles, "i8"), np.zeros(n_tiles, bool)
