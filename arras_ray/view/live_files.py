"""Scene files that are read again whenever they are saved, as changes of the scene."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from arras_ray.errors import ArrasRayError
from arras_ray.scene import Delta, SceneContext, rdlb
from arras_ray.scene.context import SceneWarning
from arras_ray.scene.raster import picture_size

LOOK_SECONDS = 0.2
SETTLE_SECONDS = 0.1
"""A file that was changed a moment ago may not be written to its end."""

MOST_WARNINGS = 8
"""Of a saved file, as many are told."""

Stamp = tuple[int, int, int]

T = TypeVar("T")


class LiveFiles:
    """The files a scene was read from, and that scene in RDLB. read() reads them all again; it may raise SceneError and
    others of ours. sized: the picture's size is another than the scene's, and stays when that changes. read_at: when
    they began to be read, time.time(). warnings: those of the scene that were told already."""

    def __init__(
        self,
        paths: Sequence[str | Path],
        scene: bytes,
        read: Callable[[], SceneContext],
        *,
        sized: bool = False,
        read_at: float | None = None,
        warnings: Iterable[SceneWarning] = (),
    ) -> None:
        self._paths = [Path(path) for path in paths]
        self._scene = scene
        self._read = read
        self._sized = sized
        self._shown: SceneContext | None = None
        """The scene as the files have made it: with all that is in them no more."""
        self._warned = {_key(warning) for warning in warnings}
        self._stamps = self._look()
        if read_at is not None:
            self._stamps = [stamp if stamp and stamp[2] < read_at * 1e9 else None for stamp in self._stamps]

    async def watch(
        self, changed: Callable[[bytes, tuple[int, int] | None], None], tell: Callable[[Sequence[str]], None]
    ) -> None:
        """Hand on what differs from the last time, in RDLB, with the size of the picture where that does, and tell all
        that is not as the files say; for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            stamps = self._look()
            if stamps == self._stamps:
                continue
            await asyncio.sleep(SETTLE_SECONDS)
            if self._look() != stamps:
                continue
            self._stamps = stamps
            try:
                delta, size = await _on_a_thread(self._differences)
                if self._look() != stamps:  # it was not the whole file, perhaps
                    continue
                if delta:
                    encoded = delta.to_rdlb()
                    changed(encoded, size)
                    assert self._shown is not None
                    rdlb.decode(encoded, self._shown)
            except ArrasRayError as error:
                tell([f"a saved file cannot be taken over: {error}"])
                continue
            tell([f"a saved file cannot be taken over as it is: {text}" for text in self._troubles(delta)])

    def _differences(self) -> tuple[Delta, tuple[int, int] | None]:
        """What the files say now and have not said before, and the picture's size if it is another."""
        if self._shown is None:
            self._shown = SceneContext.from_bytes(self._scene)
        after = self._read()
        size = None
        if not self._sized and picture_size(after) != picture_size(self._shown):
            size = picture_size(after)
        return Delta.between(self._shown, after), size

    def _troubles(self, delta: Delta) -> list[str]:
        """What of the files is not shown as they say."""
        new = [str(warning) for warning in delta.context.warnings if _key(warning) not in self._warned]
        more = [f"and {len(new) - MOST_WARNINGS} more like this"] if len(new) > MOST_WARNINGS else []
        return [*(f"{text}; start the view again" for text in delta.lost), *new[:MOST_WARNINGS], *more]

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


def _key(warning: SceneWarning) -> tuple[str, str, str]:
    """What tells it from others; its line changes with every line above it."""
    return warning.object, warning.attribute, warning.message


async def _on_a_thread(function: Callable[[], T]) -> T:
    """What a function returns on a thread of its own, which holds up nobody's end."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            result = function()
        except BaseException as error:
            tell(_fail, error)
        else:
            tell(_succeed, result)

    def tell(act: Callable[[asyncio.Future[T], Any], None], what: Any) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(act, future, what)

    threading.Thread(target=run, name="live-files", daemon=True).start()
    return await future


def _succeed(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
