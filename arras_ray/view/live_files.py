"""Scene files that are read again whenever they are saved, as changes of the scene."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from arras_ray.errors import ArrasRayError
from arras_ray.scene import Delta, SceneContext
from arras_ray.scene.raster import picture_size

LOOK_SECONDS = 0.2
SETTLE_SECONDS = 0.1
"""A file that was changed a moment ago may not be written to its end."""

Stamp = tuple[int, int, int]

T = TypeVar("T")


class LiveFiles:
    """The files a scene was read from, and that scene in RDLB. read() reads them all again; it may raise SceneError and
    others of ours. sized: the picture's size is another than the scene's, and stays when that changes."""

    def __init__(
        self, paths: Sequence[str | Path], scene: bytes, read: Callable[[], SceneContext], *, sized: bool = False
    ) -> None:
        self._paths = [Path(path) for path in paths]
        self._scene = scene
        self._read = read
        self._sized = sized
        self._before: SceneContext | None = None
        self._lost: list[str] = []
        self._stamps = self._look()

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
                after, delta, size = await _on_a_thread(self._differences)
                if self._look() != stamps:  # it was not the whole file, perhaps
                    continue
                if delta:
                    changed(delta.to_rdlb(), size)
            except ArrasRayError as error:
                tell([f"a saved file cannot be taken over: {error}", *self._lost])
                continue
            self._before = after
            texts = [f"a saved file cannot be taken over as it is: {text}; start the view again" for text in delta.lost]
            self._lost += [text for text in texts if text not in self._lost]
            tell(self._lost)

    def _differences(self) -> tuple[SceneContext, Delta, tuple[int, int] | None]:
        """The scene as the files say now, what they did not say before, and the picture's size if it is another."""
        if self._before is None:
            self._before = SceneContext.from_bytes(self._scene)
        after = self._read()
        size = None
        if not self._sized and picture_size(after) != picture_size(self._before):
            size = picture_size(after)
        return after, Delta.between(self._before, after), size

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
