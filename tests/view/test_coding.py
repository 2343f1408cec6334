"""Pixels on their way to viewers over slow links: what arrives, how little it is, and what a hostile page achieves."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import aiohttp
import numpy as np
import pytest
from view_pages import Page, of_jpeg, opened, run
from view_scenes import finished

from arras_ray.messages import TILE
from arras_ray.scene import SceneContext
from arras_ray.view import ViewServer
from arras_ray.view.coding import HALF, HalfFloats, Jpeg, PictureNews, TileGroup


def group(stride: int, pixels: np.ndarray) -> TileGroup:
    """Tiles 0, 1, ... with these pixels."""
    return TileGroup(stride, list(range(len(pixels))), [tile.astype(HALF).tobytes() for tile in pixels])


def near(page: Page, expected: np.ndarray, exposure: float = 0.0) -> bool:
    """Whether a page has a picture but for what JPEG does to it: 8 bits, what is too bright cut off."""
    if page.rgba.shape != expected.shape:
        return False
    shown = np.minimum(expected[..., :3] * 2.0**exposure, 1.0)
    off = np.abs(page.rgba[..., :3] * 2.0**exposure - shown)
    return bool(off.mean() < 0.01 and np.abs(page.rgba[..., 3] - expected[..., 3]).mean() < 0.01)


@pytest.mark.parametrize("stride", [8, 1])
@pytest.mark.parametrize("n", [1, 5])
def test_tiles_come_back_each_in_its_place(stride: int, n: int) -> None:
    side = TILE // stride
    values = np.random.default_rng(1).random((n, 1, 1, 4))
    pixels = np.broadcast_to(values, (n, side, side, 4)).copy()
    pixels[:, : side // 2] *= 0.5  # the lower half; 8 pixels of a JPEG are a block, so an edge is not exact
    frame = Jpeg(1.0).encode(PictureNews(1, 100, 100, {}, [group(stride, pixels / 2.0)]), 1)
    data = frame[4 + int.from_bytes(frame[:4], "little") :]
    across = int(np.ceil(np.sqrt(n)))
    back = of_jpeg(data, {"stride": stride, "tiles": list(range(n)), "across": across}, 1.0)
    np.testing.assert_allclose(back[..., :3], pixels[..., :3] / 2.0, atol=0.03)
    np.testing.assert_allclose(back[..., 3], pixels[..., 3] / 2.0, atol=0.03)


def test_what_is_no_colour_is_drawn_as_none() -> None:
    pixels = np.zeros((1, 8, 8, 4))
    pixels[..., 0], pixels[..., 1], pixels[..., 2] = np.nan, np.inf, -1.0
    frame = Jpeg(0.0).encode(PictureNews(1, 8, 8, {}, [group(8, pixels)]), 1)
    back = of_jpeg(frame[4 + int.from_bytes(frame[:4], "little") :], {"stride": 8, "tiles": [0], "across": 1}, 0.0)
    np.testing.assert_allclose(back[0, 4, 4], [0.0, 1.0, 0.0, 0.0], atol=0.02)


@pytest.mark.parametrize(("noise", "times"), [(0.02, 35), (0.2, 5)])
def test_a_picture_is_a_fraction_of_its_half_floats(noise: float, times: float) -> None:
    noisy = np.random.default_rng(2).normal(0.3, noise, (32, TILE, TILE, 4))
    noisy[..., 3] = 1.0
    news = PictureNews(1, 512, 256, {}, [group(1, noisy)])
    assert len(Jpeg(0.0).encode(news, 1)) * times < len(HalfFloats().encode(news, 1))


def test_a_page_may_have_its_pixels_as_jpeg_and_back(server: ViewServer, context: SceneContext) -> None:
    async def test() -> None:
        async with opened(server, server.watch_link) as page:  # watchers may, too: it changes nothing for others
            picture = finished(context)
            await page.say(type="coding", coding="jpeg", exposure=0.0)
            await page.until(lambda: page.jpeg == {"exposure": 0.0} and near(page, picture))
            await page.say(type="coding", coding="jpeg", exposure=2.5)
            await page.until(lambda: page.jpeg == {"exposure": 2.5} and near(page, picture, 2.5))
            await page.say(type="coding", coding="half")
            await page.becomes(picture)

    run(test)


@pytest.mark.parametrize(
    "wish",
    [{}, {"coding": "png"}, {"coding": "jpeg", "exposure": 1e9}, {"coding": "jpeg", "exposure": float("nan")}]
    + [{"coding": "jpeg", "exposure": "1"}, {"coding": ["jpeg"]}],
    ids=str,
)
def test_codings_without_sense_are_refused(server: ViewServer, context: SceneContext, wish: dict[str, Any]) -> None:
    async def test() -> None:
        async with opened(server) as page:
            await page.say(type="coding", **wish)
            await page.until(lambda: bool(page.refusals))
            await page.becomes(finished(context))

    run(test)


def test_endless_wishes_for_the_whole_picture_close_a_page(server: ViewServer) -> None:
    async def test() -> None:
        async with opened(server) as page:
            with suppress(ConnectionError):  # it is closed soon
                for exposure in range(20):
                    await page.say(type="coding", coding="jpeg", exposure=exposure)
            assert await page.until_closed() == aiohttp.WSCloseCode.POLICY_VIOLATION

    run(test)
