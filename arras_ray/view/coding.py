"""How pixels travel to a viewer: as half floats, or as JPEG over slow links.

A frame is the length of its header (uint32), the header in JSON, padded so that the pixels begin at a multiple of 8,
then the pixels of each of its groups of tiles. Little endian.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Protocol

import numpy as np

from arras_ray.frame_receiver import to_8bit
from arras_ray.image import jpeg
from arras_ray.messages import TILE

HALF = np.dtype("<f2")

QUALITY = 85
"""Of JPEG, 1 to 95."""

LARGEST_EXPOSURE = 32.0
"""Stops, either way."""


@dataclass(frozen=True)
class TileGroup:
    """Tiles that are known every `stride` pixels. pixels: half floats R G B A of each, rows from the bottom up."""

    stride: int
    tiles: list[int]
    pixels: list[bytes]

    @property
    def n_bytes(self) -> int:
        """Of its pixels."""
        return sum(map(len, self.pixels))

    @property
    def array(self) -> np.ndarray:
        """(n, TILE / stride, TILE / stride, 4) of HALF."""
        side = TILE // self.stride
        return np.frombuffer(b"".join(self.pixels), HALF).reshape(len(self.tiles), side, side, 4)


@dataclass(frozen=True)
class PictureNews:
    """What a viewer lacks of a picture. rendered: when the newest samples of each mcrt were that it has seen with
    these, by time.monotonic here."""

    sync_id: int
    width: int
    height: int
    rendered: dict[str, float]
    groups: list[TileGroup]

    @property
    def n_bytes(self) -> int:
        """Of its pixels as half floats."""
        return sum(group.n_bytes for group in self.groups)

    @property
    def n_coarse_bytes(self) -> int:
        """Those of tiles that are not whole."""
        return sum(group.n_bytes for group in self.groups if group.stride > 1)


class Coding(Protocol):
    """Makes frames of news."""

    def encode(self, news: PictureNews, number: int) -> bytes:
        """The frame of this number."""


class HalfFloats:
    """Pixels as they are. A group is {stride, tiles}, its pixels R G B A."""

    def encode(self, news: PictureNews, number: int) -> bytes:
        """The frame of this number."""
        groups = [{"stride": group.stride, "tiles": group.tiles} for group in news.groups]
        pixels = [one for group in news.groups for one in group.pixels]
        return _frame(news, number, {"groups": groups}, pixels)


class Jpeg:
    """Pixels as a screen shows them, with the sRGB curve, after `exposure` stops.

    A group is {stride, tiles, across, bytes}: a JPEG of a sheet of its tiles, so many side by side, the first at the
    top left, rows of a tile from the bottom up; below that the same again of alpha, in grey.
    """

    def __init__(self, exposure: float) -> None:
        self.exposure = exposure

    def encode(self, news: PictureNews, number: int) -> bytes:
        """The frame of this number."""
        groups: list[dict[str, Any]] = []
        sheets: list[bytes] = []
        for group in news.groups:
            across, sheet = self._sheet(group)
            groups.append({"stride": group.stride, "tiles": group.tiles, "across": across, "bytes": len(sheet)})
            sheets.append(sheet)
        return _frame(news, number, {"jpeg": {"exposure": self.exposure}, "groups": groups}, sheets)

    def _sheet(self, group: TileGroup) -> tuple[int, bytes]:
        bits = group.array.view("<u2")
        n, side = bits.shape[:2]
        across = int(np.ceil(np.sqrt(n)))
        down = -(-n // across)
        cells = np.zeros((2, down * across, side, side, 3), "u1")
        cells[0, :n] = self._colours[bits[..., :3]]
        cells[1, :n] = _alphas()[bits[..., 3:]]
        sheet = cells.reshape(2 * down, across, side, side, 3).swapaxes(1, 2).reshape(2 * down * side, across * side, 3)
        return across, jpeg(sheet, QUALITY)

    @cached_property
    def _colours(self) -> np.ndarray:
        """What is shown of each half float, by its bits."""
        with np.errstate(invalid="ignore"):
            return to_8bit(_all_halves() * np.float32(2.0**self.exposure))


@cache
def _alphas() -> np.ndarray:
    return to_8bit(_all_halves(), gamma=1.0)


def _all_halves() -> np.ndarray:
    """By their bits, as float32."""
    return np.arange(1 << 16, dtype="<u2").view(HALF).astype("f4")


def _frame(news: PictureNews, number: int, more: dict[str, Any], pixels: Sequence[bytes]) -> bytes:
    about = {"frame": number, "sync_id": news.sync_id, "width": news.width, "height": news.height}
    header = json.dumps(about | more, separators=(",", ":")).encode()
    header += b" " * (-(4 + len(header)) % 8)
    return b"".join((len(header).to_bytes(4, "little"), header, *pixels))
