"""The folder a scene program may open files of with dofile: the scene file's own, and what is below."""

from __future__ import annotations

import stat
from pathlib import Path

from arras_ray.errors import SceneError

_INSIDE = "dofile opens files in the scene file's own folder and below"


class ProgramFolder:
    """folder: where relative paths count from; None for a program that is in no file and can open none."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def read(self, path: str, most: int) -> tuple[bytes, str]:
        """The bytes of a file and its name, of at most `most` bytes. Raises SceneError."""
        if self._folder is None:
            raise SceneError(f"dofile('{path}'): this program is in no file, and so has no folder", hint=_INSIDE)
        try:
            root = self._folder.resolve()
            target = (root / path).resolve()
            if not target.is_relative_to(root):
                raise SceneError(f"dofile('{path}') is outside the folder of the scene", hint=_INSIDE)
            found = target.stat()
            if not stat.S_ISREG(found.st_mode):
                raise SceneError(f"dofile('{path}') is no file", hint=_INSIDE)
            if found.st_size > most:
                raise SceneError(f"dofile('{path}') is larger than the memory that is left for the scene program")
            return target.read_bytes(), str(self._folder / path)
        except FileNotFoundError:
            raise SceneError(
                f"dofile('{path}'): there is no such file", hint=f"paths count from {self._folder}"
            ) from None
        except (OSError, ValueError, RuntimeError) as error:
            # a zero byte in a name is a ValueError, a circle of links a RuntimeError
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is no path"
            raise SceneError(f"dofile('{path}') cannot be read: {reason}", hint=_INSIDE) from None
