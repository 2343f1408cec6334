"""Which pictures a render writes, and writing them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arras_ray.errors import OutputError, UsageError

if TYPE_CHECKING:
    import numpy as np


def chosen_outputs(given: Sequence[str], from_scene: str, scene: str) -> list[Path]:
    """Paths to write: those given, else the scene's own output_file, else the scene's name in the current folder.

    from_scene: what the scene sets as output_file, empty if it does not. Raise UsageError for a kind of file we cannot
    write, or for the same path twice.
    """
    from arras_ray.image import ENDINGS

    if given:
        paths = [Path(path) for path in given]
    elif Path(from_scene).suffix.lower() in ENDINGS:
        paths = [Path(from_scene)]
    else:
        paths = [Path(Path(scene).stem + ".exr")]
    for path in paths:
        if path.suffix.lower() not in ENDINGS:
            raise UsageError(
                f"cannot write {path}: its name does not end in {' or '.join(ENDINGS)}",
                hint=f"name it {path.with_suffix('.exr')}" if path.name else "give a file name",
            )
    if len({path.absolute() for path in paths}) < len(paths):
        raise UsageError("the same output is named twice", hint="give each -o another path")
    return paths


def numbered(path: Path, number: int) -> Path:
    """The path of one of several pictures: with its number in the place of each run of `#`, else before the ending."""
    from arras_ray.scene import frame_path

    name = path.name if "#" in path.name else f"{path.stem}.####{path.suffix}"
    return path.with_name(frame_path(name, number))


def check_outputs(paths: Sequence[Path]) -> None:
    """Raise OutputError now if one of them could not be written at the end."""
    from arras_ray.image import check_writable

    for path in paths:
        check_writable(path)


def write_outputs(
    paths: Sequence[Path], picture: np.ndarray, *, half: bool, metadata: dict[str, Any]
) -> tuple[list[Path], list[OutputError]]:
    """Write the picture, (height, width, 4) float32 with rows from the bottom up, to each path.

    Every path is tried: returns those that were written, and what was wrong with the others.
    """
    from arras_ray.image import write_image

    written: list[Path] = []
    errors: list[OutputError] = []
    for path in paths:
        try:
            write_image(path, picture, metadata, half=half)
        except OutputError as error:
            errors.append(error)
        else:
            written.append(path)
    return written, errors
