"""The files a scene names: textures, volumes, fonts, whatever an attribute of kind file name holds."""

from __future__ import annotations

import glob
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from arras_ray.scene.context import SceneContext
from arras_ray.scene.scene_object import SceneObject

_FRAME = re.compile(r"#+")
_TILE = re.compile("<udim>", re.IGNORECASE)
_TILE_NUMBER = "[1-9][0-9][0-9][0-9]"
"""The file names it fits, as `glob` has them."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that an attribute names.

    path: as it is written. file: the same at the scene's frame; a relative one counts from the current folder, as it
    does when MoonRay opens it. found: whether it is there now or, where it stands for tiles, any of them.
    """

    object: SceneObject
    attribute: str
    path: str
    file: str
    found: bool


def assets(context: SceneContext) -> Iterator[Asset]:
    """The files that are named by attributes which are not at their defaults, object by object."""
    frame = context.variables.get("frame")
    there: dict[str, bool] = {}
    for item in context:
        for attribute in item.scene_class.attributes.values():
            if not attribute.filename or item.is_default(attribute.name):
                continue
            path = item.get(attribute.name)
            if not path:
                continue
            file = frame_path(path, frame)
            if file not in there:
                there[file] = is_there(file)
            yield Asset(item, attribute.name, path, file, there[file])


def frame_path(text: str, frame: float) -> str:
    """A file name with the frame's whole number in the place of each run of `#`, with zeros to the run's length."""
    if not math.isfinite(frame):
        return text
    return _FRAME.sub(lambda run: f"{math.trunc(frame):0{len(run[0])}d}", text)


def is_there(file: str) -> bool:
    """Whether there is a file of this name or, for a name with `<UDIM>`, any of its tiles."""
    if not _TILE.search(file):
        return os.path.exists(file) and not os.path.isdir(file)
    pattern = _TILE_NUMBER.join(map(glob.escape, _TILE.split(file)))
    try:
        return any(not os.path.isdir(tile) for tile in glob.iglob(pattern))
    except ValueError:  # a name no file can have
        return False
