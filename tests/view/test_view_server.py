"""The view's server, spoken to as a browser does: who is let in, what is sent, and what a hostile page achieves."""

from __future__ import annotations

import asyncio
import gc
import socket
from contextlib import suppress
from functools import partial
from itertools import count

import aiohttp
import pytest
from small_scenes import translate
from view_pages import Page, browser, opened, origin, run
from view_scenes import PATIENCE, balls, finished

from arras_ray.errors import UsageError
from arras_ray.local_view import LocalView
from arras_ray.scene import SceneContext
from arras_ray.view import ViewServer
from arras_ray.view.admission import Admission, Role
from arras_ray.view.viewer import ENDED

SPP = 4


def test_the_picture_comes_as_half_floats(server: ViewServer, context: SceneContext) -> None:
    async def test() -> None:
        async with opened(server) as page:
            await page.becomes(finished(context))
            await page.until(lambda: page.status["stage"] == "finished")
            (scene,) = page.scenes
            assert (scene["width"], scene["height"], scene["steer"]) == (150, 70, True)
            assert scene["camera"]["matrix"] == translate(0.0, 0.0, 5.0).ravel().tolist()
            assert scene["lights"] == [{"name": "panel", "color": [1.0, 1.0, 1.0]}]
            assert page.status["samples"] == 150 * 70 * SPP
            (row,) = page.status["mcrts"]
            assert 0.0 < row["latency_ms"] < PATIENCE * 1000.0  # since it was rendered
            assert (row["name"], row["threads"], row["samples"]) == ("mcrt_i0", 2, 150 * 70 * SPP)

    run(test)


def test_a_link_opens_once_and_only_its_own_cookie_is_let_in(server: ViewServer) -> None:
    async def test() -> None:
        link = server.link
        async with browser() as first, browser() as second:
            answer = await first.get(link, allow_redirects=False)
            assert (answer.status, answer.headers["Location"]) == (303, "/")
            assert "HttpOnly" in answer.headers["Set-Cookie"]
            assert "SameSite=Strict" in answer.headers["Set-Cookie"]
            page = await first.get(server.address)
            assert page.status == 200
            assert page.headers["Content-Security-Policy"].startswith("default-src 'self'")
            assert (await first.get(link)).status == 200  # again, by who has its cookie
            for url in (link, server.address, f"{server.address}?token=guess", f"{server.address}page/main.js"):
                assert (await second.get(url)).status == 401, url
            for name in ("view.py", "..%2f..%2fserver.py", "%2e%2e%2fserver.py"):
                assert (await first.get(f"{server.address}page/{name}")).status == 404

    run(test)


def test_who_steers_does_not_become_a_watcher(server: ViewServer) -> None:
    async def test() -> None:
        async with browser() as session:
            await session.get(server.link)
            await session.get(server.watch_link)
            async with session.ws_connect(f"{server.address}live", headers={"Origin": origin(server)}) as live:
                page = Page(live)
                await page.until(lambda: bool(page.scenes))
                assert page.scenes[0]["steer"] is True

    run(test)


def test_a_proxy_with_tls_may_stand_before_it(server: ViewServer) -> None:
    async def test() -> None:
        async with browser() as session:
            await session.get(server.link)
            headers = {"Origin": origin(server).replace("http:", "https:")}
            async with session.ws_connect(f"{server.address}live", headers=headers) as live:
                await Page(live).whole()

    run(test)


def test_two_views_may_be_open_in_one_browser(server: ViewServer, render: LocalView) -> None:
    async def test() -> None:
        with ViewServer(render, balls().context) as other:
            async with browser() as session:
                for one in (server, other):
                    await session.get(one.link)
                for one in (server, other):
                    assert (await session.get(one.address)).status == 200

    run(test)


@pytest.mark.parametrize(
    ("cookie", "headers"),
    [(False, {}), (True, {"Origin": "http://evil.example"}), (True, {"Origin": "null"}), (True, {})],
    ids=["no cookie", "another page", "no page", "no origin"],
)
def test_sockets_of_others_are_closed(server: ViewServer, cookie: bool, headers: dict[str, str]) -> None:
    async def test() -> None:
        async with browser() as session:
            if cookie:
                await session.get(server.link)
            else:
                headers["Origin"] = origin(server)
            async with session.ws_connect(f"{server.address}live", headers=headers) as live:
                assert (await live.receive()).type is aiohttp.WSMsgType.CLOSE
                assert live.close_code == 4401
        assert not server.n_viewers

    run(test)


def test_a_request_for_another_name_is_refused(server: ViewServer) -> None:
    async def test() -> None:
        async with browser() as session:
            answer = await session.get(server.link, headers={"Host": "evil.example"}, allow_redirects=False)
            assert answer.status == 403
            assert (await session.get(server.link)).status == 200

    run(test)


def test_it_ends_while_it_is_looked_at(
    render: LocalView, context: SceneContext, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        with ViewServer(render, context) as server:
            async with opened(server) as page, opened(server, server.watch_link) as watcher:
                await page.whole()
                await watcher.whole()
                ends = (page.until_closed(), watcher.until_closed(), asyncio.to_thread(server.close))
                assert (await asyncio.gather(*ends))[:2] == [ENDED, ENDED]

    run(test)
    gc.collect()
    assert not [record for record in caplog.records if record.name == "asyncio"]  # as of tasks nobody waited for


@pytest.mark.parametrize(
    "hostile",
    ["[1", "[]" * 5000, "[" * 4000, "7", b"\0\1", "\ud7ff" * 10000],
    ids=["no JSON", "huge", "deep", "no object", "binary", "huge unicode"],
)
def test_a_hostile_page_loses_its_own_socket_and_nothing_else(
    server: ViewServer, render: LocalView, hostile: str | bytes
) -> None:
    async def test() -> None:
        async with opened(server) as page, opened(server, server.watch_link) as other:
            if isinstance(hostile, bytes):
                await page.live.send_bytes(hostile)
            else:
                await page.live.send_str(hostile)
            open_still = (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY)
            while (message := await page.live.receive()).type in open_still:
                if message.type is aiohttp.WSMsgType.TEXT and "refused" in message.data:
                    break
            await other.whole(render.edit(b""))

    run(test)


def test_endless_messages_close_a_page(server: ViewServer) -> None:
    async def test() -> None:
        async with opened(server) as page:
            with suppress(ConnectionError):  # it is closed soon
                for _ in range(1500):
                    await page.say(type="ack", frame=10**9)
            assert await page.until_closed() == aiohttp.WSCloseCode.POLICY_VIOLATION

    run(test)


@pytest.mark.parametrize("kind", ["ping", "pong", "ack"])
def test_a_flood_ends_with_its_socket(server: ViewServer, kind: str) -> None:
    """Whoever floods does not listen, either."""

    async def test() -> None:
        async with opened(server) as page, opened(server, server.watch_link) as hostile:
            sends = {"ping": hostile.live.ping, "pong": hostile.live.pong, "ack": partial(hostile.say, type="ack")}
            await page.whole()
            with suppress(ConnectionError):  # that is how it ends
                while True:
                    await sends[kind]()
                    await asyncio.sleep(0)
            await page.say(type="camera", matrix=translate(0.5, 0.2, 4.0).ravel().tolist())
            await page.whole(sync_id=2)

    run(test)


def test_any_number_of_watchers_is_let_in() -> None:
    admission = Admission()
    assert all(admission.role(admission.enter(admission.watch)) == Role(steers=False) for _ in range(5000))


def test_who_does_not_acknowledge_gets_two_frames_and_then_the_newest(server: ViewServer) -> None:
    async def test() -> None:
        async with opened(server) as slow, opened(server, server.watch_link) as quick:
            await slow.until(lambda: slow.n_frames == 2, acknowledge=False)
            await quick.becomes(finished(balls().context))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await slow.until(lambda: slow.n_frames > 2)
            await slow.say(type="ack", frame=2)
            await slow.becomes(quick.rgba)

    run(test)


def test_nothing_is_sent_when_nothing_changes(server: ViewServer) -> None:
    async def test() -> None:
        async with opened(server) as page:
            await page.becomes(finished(balls().context))
            await page.until(lambda: page.status["stage"] == "finished")
            with suppress(TimeoutError):  # in the end, when the last frames' latency was told
                while True:
                    heard = count()
                    async with asyncio.timeout(1.5):
                        await page.until(lambda heard=heard: next(heard) > 0)

    run(test)


def test_an_address_that_is_taken_is_told(render: LocalView, context: SceneContext) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UsageError, match="cannot listen on 127"):
            ViewServer(render, context, port=taken.getsockname()[1])
