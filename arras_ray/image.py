"""Picture files: OpenEXR with metadata, and PNG to look at.

Pictures come with their rows from the bottom up, as everywhere inside, and are turned over here. A file is written
under a temporary name in its folder and renamed, so that a picture that was there stays whole until the new one is.
"""

from __future__ import annotations

import contextlib
import io
import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from arras_ray.errors import OutputError
from arras_ray.frame_receiver import to_8bit
from arras_ray.output_file import refusing, replacing

ENDINGS = (".exr", ".png")

REC709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)
"""x and y of red, green, blue and white: ITU-R BT.709, white D65."""

HALF_MAX = 65504.0

_STRUCTURE = {
    "channels",
    "chunkCount",
    "compression",
    "dataWindow",
    "displayWindow",
    "lineOrder",
    "name",
    "pixelAspectRatio",
    "screenWindowCenter",
    "screenWindowWidth",
    "type",
}
"""Header attributes that say how pixels are stored; all others are metadata."""


def check_writable(path: str | Path) -> None:
    """Raise OutputError if a picture could not be written to `path`. Nothing is changed there."""
    path = Path(path)
    if path.suffix.lower() not in ENDINGS:
        message = f"cannot tell the format of {path}: it ends in neither of {', '.join(ENDINGS)}"
        raise OutputError(message, hint="Name the picture like out.exr or out.png.", path=str(path))
    folder = path.parent
    if not folder.is_dir():
        reason = "is not a folder" if folder.exists() else "does not exist"
        hint = "Create it first, or name another."
        raise OutputError(f"cannot write {path}: {folder} {reason}", hint=hint, path=str(path))
    with refusing(path):
        if _is_folder(path):
            raise OutputError(f"{path} is a folder", hint="Name a file in it.", path=str(path))
        with contextlib.suppress(_Untouched), replacing(path):
            raise _Untouched


def write_image(
    path: str | Path, picture: np.ndarray, metadata: Mapping[str, Any] | None = None, *, half: bool = False
) -> None:
    """Write a picture in the format its name ends in; arguments and errors as in `write_exr`. PNG has no metadata."""
    check_writable(path)
    if Path(path).suffix.lower() == ".exr":
        write_exr(path, picture, metadata, half=half)
    else:
        write_png(path, picture)


def write_exr(
    path: str | Path, picture: np.ndarray, metadata: Mapping[str, Any] | None = None, *, half: bool = False
) -> None:
    """Write (height, width, 4) R G B A, rows from the bottom up, as a scanline EXR with ZIP compression.

    Channels are float32, or half with values cut at its largest. metadata: header attributes by name; text, integers,
    floats and lists of text as they are, None left out, all else as JSON. Raise OutputError if it cannot be written,
    ValueError for another shape or a name that says how pixels are stored.
    """
    _check_shape(picture)
    header = header_of(metadata or {})
    import OpenEXR  # slow to import, and a render that fails early does not need it

    pixels = picture[::-1]
    pixels = np.clip(pixels, -HALF_MAX, HALF_MAX).astype("f2") if half else pixels.astype("f4")
    header |= {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with refusing(path), replacing(path) as temporary:
        OpenEXR.File(header, {"RGBA": np.ascontiguousarray(pixels)}).write(str(temporary))


def write_png(path: str | Path, picture: np.ndarray) -> None:
    """Write the colours of (height, width, 4) R G B A, rows from the bottom up, as an 8-bit sRGB PNG over black.

    W3C, Portable Network Graphics, third edition, 2025. Errors as in `write_exr`.
    """
    _check_shape(picture)
    from PIL import Image, PngImagePlugin  # slow to import

    eight_bits = Image.fromarray(np.ascontiguousarray(to_8bit(picture[::-1, :, :3])))
    info = PngImagePlugin.PngInfo()
    info.add(b"sRGB", b"\0")
    with refusing(path), replacing(path) as temporary:
        eight_bits.save(temporary, "PNG", pnginfo=info)


def jpeg(eight_bits: np.ndarray, quality: int) -> bytes:
    """(height, width, 3) uint8 as a JPEG, the first row at the top. quality: 1 to 95. Blocks of 8 x 8 pixels are coded
    each by itself, colours as finely as brightness."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(eight_bits).save(stream, "JPEG", quality=quality, subsampling=0)
    return stream.getvalue()


def read_exr(path: str | Path) -> tuple[np.ndarray, dict[str, Any]]:
    """Read an EXR: (height, width, 4) float32 R G B A, rows from the bottom up, and its metadata.

    Raise OSError if it cannot be read, ValueError if it has no R, G, B and A.
    """
    import OpenEXR

    Path(path).open("rb").close()  # says better what is wrong than OpenEXR does
    try:
        with OpenEXR.File(str(path), separate_channels=True) as file:
            header = dict(file.header())
            channels = {name: channel.pixels for name, channel in file.channels().items()}
    except RuntimeError as error:
        raise OSError(str(error)) from error
    if not set("RGBA") <= set(channels):
        raise ValueError(f"{path} has channels {', '.join(sorted(channels))}, not R, G, B and A")
    picture: np.ndarray = np.stack([channels[name] for name in "RGBA"], axis=-1)[::-1].astype("f4")
    return picture, metadata_of(header)


def header_of(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Header attributes for metadata, as `write_exr` describes them, with the colours' chromaticities.

    Raise ValueError for a name that says how pixels are stored.
    """
    taken = _STRUCTURE.intersection(metadata)
    if taken:
        raise ValueError(f"metadata cannot be named {', '.join(sorted(taken))}")
    attributes = {name: _attribute(value) for name, value in metadata.items() if value is not None}
    return {"chromaticities": REC709} | attributes


def metadata_of(header: Mapping[str, Any]) -> dict[str, Any]:
    """What of a header does not say how pixels are stored."""
    return {name: value for name, value in header.items() if name not in _STRUCTURE}


def _is_folder(path: Path) -> bool:
    """Whether `path` is a folder; unlike Path.is_dir, raise OSError for a name that no file could have."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        return False


class _Untouched(Exception):
    """Leaves `replacing` without a file."""


def _check_shape(picture: np.ndarray) -> None:
    if picture.ndim != 3 or picture.shape[2] != 4 or not picture.size:
        raise ValueError(f"a picture must be (height, width, 4), not {picture.shape}")


def _attribute(value: Any) -> Any:
    """A value as OpenEXR stores it: its integers have 32 bits, and larger ones would be cut without a word."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, float):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return value if -(2**31) <= value < 2**31 else str(value)
    if isinstance(value, (list, tuple)) and value and all(isinstance(item, str) for item in value):
        return [_attribute(item) for item in value]
    return json.dumps(value)
