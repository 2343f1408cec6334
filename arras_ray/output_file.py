"""Files that are written whole or not at all: under a temporary name in their folder, and renamed at the end."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from arras_ray.errors import OutputError

TEMPORARY = ".arras-ray-{}.tmp"

LEFT_SECONDS = 3600.0
"""A temporary file nobody has written to for so long was left by a process that was killed."""


@contextlib.contextmanager
def replacing(path: str | Path, *, durable: bool = False) -> Iterator[Path]:
    """Give a temporary file beside `path` that takes its place at the end, or is removed if anything goes wrong.

    durable: it takes the place only when all of it is on the disk, and so even a machine that loses its power keeps
    one of the two whole.
    """
    target = Path(os.path.realpath(path))  # a link stays a link
    temporary = target.with_name(TEMPORARY.format(secrets.token_hex(6)))
    try:
        # Made here and not by the writer: the user's umask decides who may read the file.
        os.close(os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o666))
        yield temporary
        if durable:
            _sync(temporary)
        temporary.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    if durable:
        with contextlib.suppress(OSError):  # some systems cannot sync a folder; the file is whole in any case
            _sync(target.parent)


def remove_leftovers(folder: Path) -> None:
    """Remove what writers that were killed have left in a folder: a checkpoint can be large."""
    for path in folder.glob(TEMPORARY.format("*")):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < time.time() - LEFT_SECONDS:
                path.unlink()


def _sync(path: Path) -> None:
    """Wait until a file or folder is on its disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def refusing(path: str | Path) -> Iterator[None]:
    """Turn what a writer raises into OutputError."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        # OpenEXR raises RuntimeError: 'Failed to write ... "the temporary file". No space left on device.'
        reason = error.strerror if isinstance(error, OSError) else str(error).rpartition('". ')[2].rstrip(".")
        raise OutputError(
            f"cannot write {path}: {reason or error}",
            hint="Check the folder's permissions and the space left, or name another.",
            path=str(path),
        ) from error
