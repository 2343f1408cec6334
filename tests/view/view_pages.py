"""What a page does, without a browser: takes frames into a picture, acknowledges them, and says what it wants."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import numpy as np
from PIL import Image
from view_scenes import PATIENCE

from arras_ray.film import place_tiles
from arras_ray.messages import TILE, CoarseTiles
from arras_ray.previews import fill
from arras_ray.view import ViewServer


def origin(server: ViewServer) -> str:
    return server.address.rstrip("/")


@asynccontextmanager
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session


class Page:
    """What a page does: takes frames into a picture, and acknowledges them."""

    def __init__(self, live: aiohttp.ClientWebSocketResponse) -> None:
        self.live = live
        self.rgba = np.zeros((0, 0, 4), "f4")
        self.sync_id = -1
        self.strides: dict[int, int] = {}
        self.scenes: list[dict[str, Any]] = []
        self.status: dict[str, Any] = {}
        self.refusals: list[str] = []
        self.places: list[list[float] | None] = []
        self.n_frames = 0
        self.n_bytes = 0
        self.jpeg: dict[str, float] | None = None
        """Of the last frame."""

    async def until(self, condition: Callable[[], bool], *, acknowledge: bool = True) -> None:
        """Take what comes until this holds."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                message = await self.live.receive()
                assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), message
                if message.type is aiohttp.WSMsgType.BINARY:
                    number = self._frame(message.data)
                    if acknowledge:
                        await self.say(type="ack", frame=number)
                else:
                    self._text(json.loads(message.data))

    async def say(self, **message: Any) -> None:
        await self.live.send_str(json.dumps(message))

    async def becomes(self, expected: np.ndarray) -> None:
        """Take what comes until the picture is this one, as half floats."""
        await self.until(
            lambda: self.rgba.shape == expected.shape and np.allclose(self.rgba, expected, rtol=1e-3, atol=1e-6)
        )

    async def whole(self, sync_id: int = 1) -> None:
        """Take what comes until every pixel of this scene has a sample."""
        await self.until(lambda: self.covered(sync_id, 1))

    async def until_closed(self) -> int | None:
        """Take what comes, and nothing of it, until the server has closed; its close code."""
        async with asyncio.timeout(PATIENCE):
            while (await self.live.receive()).type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                pass
        return self.live.close_code

    def covered(self, sync_id: int, stride: int) -> bool:
        height, width = self.rgba.shape[:2]
        n_tiles = -(-width // TILE) * -(-height // TILE)
        known = sum(1 for of_tile in self.strides.values() if of_tile <= stride)
        return self.sync_id >= sync_id and n_tiles == known

    def _frame(self, data: bytes) -> int:
        length = int.from_bytes(data[:4], "little")
        header = json.loads(data[4 : 4 + length])
        assert (4 + length) % 8 == 0
        shape = (header["height"], header["width"], 4)
        if self.rgba.shape != shape:
            self.rgba = np.zeros(shape, "f4")
        if header["sync_id"] != self.sync_id:
            assert header["sync_id"] > self.sync_id
            self.sync_id, self.strides = header["sync_id"], {}
        self.jpeg = header.get("jpeg")
        rest = data[4 + length :]
        self.n_bytes += len(rest)
        for group in header["groups"]:
            side = TILE // group["stride"]
            n_bytes = group["bytes"] if self.jpeg else len(group["tiles"]) * side * side * 8
            pixels, rest = rest[:n_bytes], rest[n_bytes:]
            values = of_jpeg(pixels, group, **self.jpeg) if self.jpeg else np.frombuffer(pixels, "<f2").astype("f4")
            tiles = np.array(group["tiles"], "i4")
            coarse = CoarseTiles(group["stride"], tiles, values.reshape(len(tiles), side, side, 4))
            place_tiles(self.rgba, tiles, fill(coarse))
            self.strides.update(dict.fromkeys(group["tiles"], group["stride"]))
        assert not rest
        self.n_frames += 1
        number: int = header["frame"]
        return number

    def _text(self, message: dict[str, Any]) -> None:
        if message["type"] == "scene":
            self.scenes.append(message)
        elif message["type"] == "status":
            self.status = message
        elif message["type"] == "located":
            self.places.append(message["place"])
        else:
            self.refusals.append(message["reason"])


@asynccontextmanager
async def opened(server: ViewServer, link: str | None = None) -> AsyncIterator[Page]:
    """A page that was opened by a link, the one that steers unless another is given."""
    async with browser() as session:
        await session.get(link or server.link)
        async with session.ws_connect(f"{server.address}live", headers={"Origin": origin(server)}) as live:
            yield Page(live)


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), PATIENCE))  # type: ignore[arg-type]


def of_jpeg(data: bytes, group: dict[str, Any], exposure: float) -> np.ndarray:
    """The tiles of a JPEG, linear: (n, side, side, 4) float32."""
    side, n = TILE // group["stride"], len(group["tiles"])
    sheet = np.asarray(Image.open(io.BytesIO(data)), "f4") / 255
    across = group["across"]
    cells = sheet.reshape(-1, side, across, side, 3).swapaxes(1, 2).reshape(-1, side, side, 3)
    colours, alphas = np.split(cells, 2)
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4) / 2.0**exposure
    return np.concatenate([linear[:n], alphas[:n, ..., :1]], axis=-1)
