"""Checkpoints: a render's exact sums in a file, from which it goes on to the same bits.

The file is a multi-part OpenEXR. Its first part is the picture so far, for any viewer. Its second part is the film's
sums, each float64 as two UINT channels, and in its header which units they hold, in what order these were accepted, and
what they were rendered from. It is written beside the old one, synced and renamed, so one of the two is always whole.
"""

from __future__ import annotations

import base64
import json
import mmap
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from arras_ray.errors import CheckpointError
from arras_ray.film import morton_tiles
from arras_ray.identity import Identity
from arras_ray.image import header_of, metadata_of
from arras_ray.messages import CHANNELS, N_CHANNELS, TILE, BadSample, FilmState, Tally, tile_grid
from arras_ray.output_file import refusing, replacing
from arras_ray.unit_plan import UnitPlan

FORMAT = 1
"""Rises when a file can no longer be read as an older one was, or when units are numbered otherwise."""

STATE, ORDER, CHECKSUM = "arrasRayState", "arrasRayOrder", "arrasRayChecksum"
"""Attributes of the second part: JSON; ranks of acceptance, zlib in base64; CRC-32 of all else in the file."""

UNSEALED = "0" * 8

SEAL = b"arrasRayChecksum\0string\0" + len(UNSEALED).to_bytes(4, "little")
"""What stands in a file before its checksum: name, type and length of an EXR attribute."""

HINT = "`arras-ray render --checkpoint FILE` writes one."

EXR_MAGIC = b"\x76\x2f\x31\x01"

PLANES = tuple(f"{channel}.{word}" for channel in CHANNELS for word in ("low", "high"))
"""Channels of the second part: the words of each sum, in the order they have in memory."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read. state: all tiles of the picture. ends: where passes end, samples. spp: what the
    render was asked for, samples a pixel. seconds: rendered so far. metadata: of the picture."""

    path: str
    state: FilmState
    ends: tuple[int, ...]
    spp: int
    identity: Identity
    seconds: float
    metadata: dict[str, Any]

    @property
    def begun(self) -> tuple[int, ...]:
        """Ends of the passes of which a unit was accepted, and of those before: a render that goes on keeps them."""
        passes = np.flatnonzero(self.state.order.any(axis=1))
        return self.ends[: int(passes[-1]) + 1] if len(passes) else ()

    @property
    def spp_so_far(self) -> float:
        """Samples a pixel that were accepted, on average."""
        return spp_of([self.state], self.ends)

    def refuse_fewer(self, spp: int) -> None:
        """Raise CheckpointError if a render of `spp` samples a pixel cannot go on from here."""
        begun = self.begun
        if begun and spp < begun[-1]:
            raise CheckpointError(
                f"{self.path} holds {begun[-1]} spp; fewer cannot be taken away",
                hint=f"Ask for --spp {begun[-1]} or more.",
                path=self.path,
            )


def write_checkpoint(
    path: str | Path,
    states: Sequence[FilmState],
    *,
    ends: Sequence[int],
    spp: int,
    identity: Identity,
    seconds: float = 0.0,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write the films of one render, of which each tile is in one state at most; other tiles have no samples.

    ends: where the plan's passes end. metadata: of the picture, as for `image.write_exr`. Raise OutputError, with the
    file that was there untouched, if it cannot be written; ValueError for states that do not belong together.
    """
    import OpenEXR

    state = _joined(states)
    picture, planes = _rasters(state)
    record = {
        "format": FORMAT,
        "width": state.width,
        "height": state.height,
        "sync_id": state.sync_id,
        "ends": [int(end) for end in ends],
        "spp": int(spp),
        "seconds": float(seconds),
        "tally": asdict(state.tally),
        "identity": asdict(identity),
    }
    sums = {STATE: json.dumps(record), ORDER: _packed(_by_tile(state)), CHECKSUM: UNSEALED}
    # 1920x1080 at 20 spp, CPU seconds for both parts and MB: RLE 0.19, 79; ZIP 0.59, 53; none 0.07, 116. With the rest,
    # writing costs 0.27 s. ZSTD (0.40, 42) is too new: other programs would not even show the picture.
    stored = {"compression": OpenEXR.RLE_COMPRESSION, "type": OpenEXR.scanlineimage}
    parts = [
        OpenEXR.Part(header_of(metadata or {}) | stored, {"RGBA": picture}, "picture"),
        OpenEXR.Part(header_of(sums) | stored, dict(zip(PLANES, planes, strict=True)), "sums"),
    ]
    with refusing(path), replacing(path, durable=True) as temporary:
        OpenEXR.File(parts).write(str(temporary))
        _seal(temporary)


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read and check a checkpoint. Raise CheckpointError if there is none, or it is damaged."""
    import OpenEXR

    _check_seal(path)
    with OpenEXR.File(str(path), separate_channels=True) as file:
        picture, sums = file.parts
        record = json.loads(sums.header[STATE])
        if record["format"] != FORMAT:
            raise CheckpointError(
                f"{path} was written by another version of arras-ray: its format is {record['format']}, not {FORMAT}",
                hint="Go on with the version it was begun with.",
                path=str(path),
            )
        width, height, tally = record["width"], record["height"], record["tally"]
        n_tiles = len(_places(width, height))
        state = FilmState(
            sync_id=record["sync_id"],
            width=width,
            height=height,
            tiles=np.arange(n_tiles, dtype="i4"),
            sums=_sums([sums.channels[name].pixels for name in PLANES], width, height),
            order=_unpacked(sums.header[ORDER], n_tiles),
            tally=Tally(
                tally["samples"],
                tally["bad_samples"],
                BadSample(**tally["first_bad"]) if tally["first_bad"] else None,
            ),
        )
        return Checkpoint(
            path=str(path),
            state=state,
            ends=tuple(record["ends"]),
            spp=record["spp"],
            identity=Identity(**record["identity"]),
            seconds=record["seconds"],
            metadata=metadata_of(picture.header),
        )


def is_checkpoint(path: str | Path) -> bool:
    """Whether there is a checkpoint, whole or not."""
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(SEAL) >= 0
    except (OSError, ValueError):  # no file, or an empty one
        return False


def spp_of(states: Sequence[FilmState], ends: Sequence[int]) -> float:
    """Samples a pixel that films of one render have accepted, on average. ends: where the plan's passes end."""
    samples = 0
    for state in states:
        plan = UnitPlan(state.width, state.height, ends[-1], ends)
        passes, columns = np.nonzero(state.order)
        ranks = np.argsort(morton_tiles(state.width, state.height))
        samples += int(plan.samples(passes * plan.n_tiles + ranks[state.tiles[columns]]).sum())
    return samples / (states[0].width * states[0].height)


def _joined(states: Sequence[FilmState]) -> FilmState:
    """The films of several merges as one, with the tiles in the order given.

    Ranks of acceptance go on from one state to the next. Raise ValueError for a tile that comes twice, and for states
    of different pictures.
    """
    first = states[0]
    if len({(state.sync_id, state.width, state.height) for state in states}) > 1:
        raise ValueError("states of different pictures cannot be joined")
    tiles = np.concatenate([state.tiles for state in states])
    if len(np.unique(tiles)) < len(tiles):
        raise ValueError("a tile is in two states")
    if len(states) == 1:
        return first
    orders = []
    last = 0
    n_passes = max(len(state.order) for state in states)
    for state in states:
        order = np.zeros((n_passes, len(state.tiles)), "i4")
        order[: len(state.order)] = np.where(state.order > 0, state.order + last, 0)
        last = max(last, int(order.max(initial=0)))
        orders.append(order)
    return FilmState(
        sync_id=first.sync_id,
        width=first.width,
        height=first.height,
        tiles=tiles,
        sums=np.concatenate([state.sums for state in states]),
        order=np.concatenate(orders, axis=1),
        tally=_added([state.tally for state in states]),
    )


def _added(tallies: Sequence[Tally]) -> Tally:
    samples: dict[str, int] = {}
    for tally in tallies:
        for mcrt, n in tally.samples.items():
            samples[mcrt] = samples.get(mcrt, 0) + n
    bad = [tally.first_bad for tally in tallies if tally.first_bad is not None]
    return Tally(
        samples=samples,
        bad_samples=sum(tally.bad_samples for tally in tallies),
        first_bad=min(bad, key=lambda b: (b.sample, b.y, b.x), default=None),
    )


def _places(width: int, height: int) -> list[tuple[slice, slice]]:
    """Rows and columns of each tile inside the picture, rows from the top."""
    across, up = tile_grid(width, height)
    return [
        (slice(max(height - (y + 1) * TILE, 0), height - y * TILE), slice(x * TILE, min((x + 1) * TILE, width)))
        for y in range(up)
        for x in range(across)
    ]


def _by_tile(state: FilmState) -> np.ndarray:
    """Ranks of acceptance with a column for every tile of the picture, (n_passes, n_tiles) i4."""
    order = np.zeros((len(state.order), len(_places(state.width, state.height))), "i4")
    order[:, state.tiles] = state.order
    return order


def _rasters(state: FilmState) -> tuple[np.ndarray, np.ndarray]:
    """The picture, (height, width, 4) float32, and the words of its sums, (len(PLANES), height, width) u4; rows from
    the top."""
    picture = np.zeros((state.height, state.width, 4), "f4")
    planes = np.zeros((len(PLANES), state.height, state.width), "<u4")
    places = _places(state.width, state.height)
    for tile, block in zip(state.tiles.tolist(), state.sums, strict=True):
        rows, columns = places[tile]
        height, width = rows.stop - rows.start, columns.stop - columns.start
        sums = block.reshape(TILE, TILE, N_CHANNELS)[height - 1 :: -1, :width]
        np.divide(
            sums[..., :4], np.maximum(sums[..., 4:], 1), out=picture[rows, columns], casting="same_kind", dtype="f8"
        )
        words = block.astype("<f8", copy=False).view("<u4").reshape(TILE, TILE, len(PLANES))[height - 1 :: -1, :width]
        planes[:, rows, columns] = words.transpose(2, 0, 1)
    return picture, planes


def _sums(planes: Sequence[np.ndarray], width: int, height: int) -> np.ndarray:
    """Tile-major sums, (n_tiles, TILE * TILE, N_CHANNELS) float64, of the words `_rasters` made."""
    places = _places(width, height)
    words = np.zeros((len(places), TILE, TILE, len(PLANES)), "<u4")
    for tile, (rows, columns) in zip(words, places, strict=True):
        inside = tile[: rows.stop - rows.start, : columns.stop - columns.start]
        for i, plane in enumerate(planes):
            inside[..., i] = plane[rows, columns][::-1]
    sums: np.ndarray = words.reshape(len(places), TILE * TILE, len(PLANES)).view("<f8").astype("f8", copy=False)
    return sums


def _packed(order: np.ndarray) -> str:
    return base64.b64encode(zlib.compress(np.ascontiguousarray(order, "<i4").tobytes(), 1)).decode()


def _unpacked(text: str, n_tiles: int) -> np.ndarray:
    order: np.ndarray = np.frombuffer(zlib.decompress(base64.b64decode(text)), "<i4").reshape(-1, n_tiles).astype("i4")
    return order


def _checksum(content: mmap.mmap) -> tuple[int, str, str]:
    """Where a file's checksum stands, what stands there, and what should: CRC-32 of all the rest. (-1, "", "") for a
    file without one."""
    at = content.find(SEAL) + len(SEAL)
    if at < len(SEAL):
        return -1, "", ""
    end = at + len(UNSEALED)
    with memoryview(content) as view:
        crc = zlib.crc32(view[end:], zlib.crc32(view[:at]))
    return at, content[at:end].decode("latin-1"), f"{crc:08x}"


def _seal(path: Path) -> None:
    """Write the checksum of a finished file into its place."""
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as content:
        at, _, checksum = _checksum(content)
        content[at : at + len(checksum)] = checksum.encode()


def _check_seal(path: str | Path) -> None:
    """Raise CheckpointError unless this is a whole checkpoint; then OpenEXR, which writes a line to standard output for
    each fault it meets, has nothing to say."""
    try:
        with open(path, "rb") as file:
            if file.read(len(EXR_MAGIC)) != EXR_MAGIC:
                raise CheckpointError(f"{path} is no checkpoint: it is not an EXR file", hint=HINT, path=str(path))
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                at, found, checksum = _checksum(content)
    except OSError as error:
        raise CheckpointError(
            f"cannot read the checkpoint {path}: {error.strerror}",
            hint="Check its name and permissions.",
            path=str(path),
        ) from error
    if at < 0:
        raise CheckpointError(
            f"{path} is no checkpoint: it is a picture without the sums it was made of", hint=HINT, path=str(path)
        )
    if found != checksum:
        raise CheckpointError(
            f"{path} is cut off or damaged", hint="Go on from a copy of it, or render from the start.", path=str(path)
        )
