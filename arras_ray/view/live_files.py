"""Scene files that are read again whenever they are saved, as changes of the scene."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from arras_ray.errors import ArrasRayError
from arras_ray.scene import Delta, SceneContext

LOOK_SECONDS = 0.25

Stamp = tuple[int, int, int]


class LiveFiles:
    """The files a scene was read from. read() reads them all again; it may raise SceneError and others of ours."""

    def __init__(self, paths: Sequence[str | Path], read: Callable[[], SceneContext]) -> None:
        self._paths = [Path(path) for path in paths]
        self._read = read
        self._before: SceneContext | None = None
        self._stamps = self._look()

    async def watch(self, changed: Callable[[bytes], None], note: Callable[[str], None]) -> None:
        """Hand on what differs from the last time, in RDLB, and tell what could not be read; for ever."""
        loop = asyncio.get_running_loop()
        self._before = await loop.run_in_executor(None, self._try_read, note)
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            stamps = self._look()
            if stamps == self._stamps:
                continue
            self._stamps = stamps
            after = await loop.run_in_executor(None, self._try_read, note)
            if after is None:
                continue
            if self._before is not None:
                try:
                    delta = Delta.between(self._before, after)
                    for lost in delta.lost:
                        note(f"a saved file cannot be taken over as it is: {lost}; start the view again")
                    if delta:
                        changed(delta.to_rdlb())
                except ArrasRayError as error:
                    note(f"a saved file cannot be taken over: {error}")
                    continue
            self._before = after

    def _try_read(self, note: Callable[[str], None]) -> SceneContext | None:
        try:
            return self._read()
        except ArrasRayError as error:
            note(f"a saved file cannot be read: {error}")
            return None

    def _look(self) -> list[Stamp | None]:
        """What tells whether a file is another: its number, size and time; None for one that is away just now."""
        stamps: list[Stamp | None] = []
        for path in self._paths:
            stamp = None
            with suppress(OSError):
                found = path.stat()
                stamp = found.st_ino, found.st_size, found.st_mtime_ns
            stamps.append(stamp)
        return stamps
