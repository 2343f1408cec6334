"""One viewer: gets frames as fast as it says that it has drawn them, and only the newest; may send wishes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import replace
from typing import Any

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from arras_ray.errors import MessageError
from arras_ray.previews import SMOOTH, STRIDES
from arras_ray.view.coding import LARGEST_EXPOSURE, Coding, HalfFloats, Jpeg, PictureNews
from arras_ray.view.picture import WHOLE_TILE_BYTES, LivePicture, SentTiles

WINDOW = 2
"""Frames under way to a viewer. A page that is hidden draws none, and waits."""

BYTES_A_SECOND = 10e6
"""Of whole tiles: who refines a picture for an hour does not need more."""
BURST_BYTES = 5e6
"""A whole picture of 960 x 540 pixels comes at once."""
MOST_WHOLE = 32
"""Whole tiles of a frame, 1 MB: what waits behind it waits no longer than it takes to send."""
MOST_COARSE_BYTES = 2 << 20
"""Of coarse tiles of a frame, likewise: HD at a quarter of the resolution."""

COARSEST = STRIDES[0]
"""Stride at which a picture is first seen after a single edit; while it moves, one smooth frame for each scene is
enough."""

PATIENCE_SECONDS = 0.1
"""So long a frame waits for the whole picture to be a step finer: drawing one costs a page more than sending it."""

WISHES_A_SECOND = 1000
"""Pages send one for each frame of the screen."""
CODING_WISHES = 100
"""What one for another coding counts as: the whole picture is sent again."""

LONGEST_WISH = 4096
"""Bytes."""

ENDED = 4410
"""Close code of a view that has ended."""
LONGEST_REASON = 123
"""Bytes of why a socket is closed."""

TOO_MUCH = WSCloseCode.POLICY_VIOLATION, b"too much"


class Viewer:
    """A viewer behind a web socket, one that leaves pings to it.

    steers: it may send wishes; wish(message, tell) raises MessageError for bad ones. drawn(news): it has drawn a frame
    of these. moves(): whether the scene changes without a pause. coders: threads for codings that take long.
    """

    def __init__(
        self,
        socket: web.WebSocketResponse,
        picture: LivePicture,
        *,
        steers: bool,
        wish: Callable[[dict[str, Any], Callable[[dict[str, Any]], None]], None],
        drawn: Callable[[PictureNews], None],
        coders: Executor,
        moves: Callable[[], bool],
    ) -> None:
        self.steers = steers
        self.heard = 0
        """The number of its last wish that was heard."""
        self._socket = socket
        self._picture = picture
        self._wish = wish
        self._drawn = drawn
        self._coders = coders
        self._moves = moves
        self._news = asyncio.Event()
        self._texts: dict[str, str] = {}
        self._sent = SentTiles()
        self._coding: Coding = HalfFloats()
        self._number = 0
        self._under_way: dict[int, PictureNews] = {}
        """What frames that were not drawn yet are of, by number; without pixels."""
        self._allowance, self._allowed_at = BURST_BYTES, time.monotonic()
        self._wishes, self._wishes_at = 0, 0.0
        self._level, self._sent_at = (-1, 0), 0.0
        self._cut = False
        """Whether the last frame had not all coarse tiles."""

    def tell(self, message: dict[str, Any]) -> None:
        """Send this as soon as it may; of each type only the newest."""
        self._texts[message["type"]] = json.dumps(message, separators=(",", ":"), allow_nan=False)
        self._news.set()

    def look(self) -> None:
        """The picture has changed."""
        self._news.set()

    async def close(self, why: str) -> None:
        """The view has ended."""
        reason = why.encode()[:LONGEST_REASON].decode(errors="ignore").encode()
        with suppress(ConnectionError):
            await self._socket.close(code=ENDED, message=reason)

    async def run(self) -> None:
        """Serve it until it leaves or has to."""
        sending = asyncio.create_task(self._send())
        hearing = asyncio.create_task(self._hear())
        try:
            await asyncio.wait((sending, hearing), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                with suppress(ConnectionError):  # it is being closed, and that takes as long as it takes
                    sending.result()
            with suppress(ConnectionError):
                await hearing
        finally:
            for part in (sending, hearing):
                part.cancel()
            await asyncio.gather(sending, hearing, return_exceptions=True)

    async def _hear(self) -> None:
        async for message in self._socket:
            if (objection := self._hears(message)) is not None:
                code, why = objection
                await self._socket.close(code=code, message=why)
                return
            if message.type is WSMsgType.PING:
                await self._socket.pong(message.data)

    def _hears(self, message: WSMessage) -> tuple[WSCloseCode, bytes] | None:
        """Take a message in; why the socket has to be closed for it, if it has to."""
        if message.type in (WSMsgType.PING, WSMsgType.PONG):
            return TOO_MUCH if self._is_too_much() else None
        if message.type is not WSMsgType.TEXT:
            return WSCloseCode.UNSUPPORTED_DATA, b"text only"
        try:
            wish = json.loads(message.data)
            if not isinstance(wish, dict):
                raise MessageError("a message is a JSON object")
            if not self._answers(wish) and self._is_too_much(CODING_WISHES if wish.get("type") == "coding" else 1):
                return TOO_MUCH
            self._take(wish)
        except (ValueError, RecursionError, OverflowError):
            return WSCloseCode.INVALID_TEXT, b"no JSON"
        except MessageError as error:
            self.tell({"type": "refused", "reason": error.message})
        return None

    def _answers(self, wish: dict[str, Any]) -> bool:
        """Whether it answers a frame, which no page can do faster than those come."""
        return wish.get("type") == "ack" and isinstance(wish.get("frame"), int) and wish["frame"] in self._under_way

    def _is_too_much(self, wishes: int = 1) -> bool:
        """Count what a page says of itself."""
        now = time.monotonic()
        if now - self._wishes_at > 1.0:
            self._wishes, self._wishes_at = 0, now
        self._wishes += wishes
        return self._wishes > WISHES_A_SECOND

    def _take(self, wish: dict[str, Any]) -> None:
        if wish.get("type") == "ack":
            news = self._under_way.pop(wish.get("frame", -1), None) if isinstance(wish.get("frame"), int) else None
            if news is not None:
                self._drawn(news)
                self._news.set()
        elif wish.get("type") == "coding":
            self._coding = _coding(wish)
            self._sent.forget()
            self._news.set()
        elif self.steers:
            if isinstance(wish.get("number"), int):
                self.heard = wish["number"]
            self._wish(wish, self.tell)
        else:
            raise MessageError("watchers cannot steer")

    async def _send(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._texts:
                _, text = self._texts.popitem()
                await self._socket.send_str(text)
            if len(self._under_way) < WINDOW:
                await self._send_frame()

    async def _send_frame(self) -> None:
        now = time.monotonic()
        level = self._picture.level
        finer = level != self._level and level[1] <= (SMOOTH if self._moves() else COARSEST)
        if not finer and not self._cut and level[1] > 1 and now - self._sent_at < PATIENCE_SECONDS:
            asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self._news.set)
            return
        earned = (now - self._allowed_at) * BYTES_A_SECOND
        self._allowance, self._allowed_at = min(BURST_BYTES, self._allowance + earned), now
        most = max(0, min(MOST_WHOLE, int(self._allowance // WHOLE_TILE_BYTES)))
        news = self._picture.news(self._sent, most, MOST_COARSE_BYTES)
        if not news.groups:
            if not most:  # there may be tiles that have to wait for their turn
                wait = (WHOLE_TILE_BYTES - self._allowance) / BYTES_A_SECOND
                asyncio.get_running_loop().call_later(wait, self._news.set)
            return
        self._number += 1
        self._level, self._sent_at = level, now
        self._cut = news.n_coarse_bytes >= MOST_COARSE_BYTES
        self._under_way[self._number] = replace(news, groups=[])
        self._allowance -= news.n_bytes
        encode = self._coding.encode
        if isinstance(self._coding, HalfFloats):
            frame = encode(news, self._number)
        else:  # while others are served
            frame = await asyncio.get_running_loop().run_in_executor(self._coders, encode, news, self._number)
        await self._socket.send_bytes(frame)
        self._news.set()  # there may be more than fits into a frame


def _coding(wish: dict[str, Any]) -> Coding:
    """How a viewer wants its pixels. Raise MessageError."""
    name, exposure = wish.get("coding"), wish.get("exposure", 0.0)
    if name == "half":
        return HalfFloats()
    is_exposure = isinstance(exposure, int | float) and -LARGEST_EXPOSURE <= exposure <= LARGEST_EXPOSURE
    if name != "jpeg" or not is_exposure:
        raise MessageError(f"pixels cannot be coded like this: {str(wish)[:100]}")
    return Jpeg(float(exposure))
