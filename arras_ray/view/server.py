"""The server of a live view: one page, its parts, and a web socket for each viewer. On a thread of its own."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import WSCloseCode, web

from arras_ray.errors import ArrasRayError, UsageError
from arras_ray.view.admission import Admission
from arras_ray.view.coding import PictureNews
from arras_ray.view.live_files import LiveFiles
from arras_ray.view.picture import LivePicture
from arras_ray.view.status import StatusRows
from arras_ray.view.steering import Steering
from arras_ray.view.viewer import LONGEST_WISH, Viewer

if TYPE_CHECKING:
    from arras_ray.scene import SceneContext

PAGE = Path(__file__).parent / "page"

KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

NOT_ALLOWED = 4401
"""Close code for who has no cookie of this server."""

RECEIVED_BYTES = 8192
"""Of a viewer, kept by the system until they are read: a flood of messages is read in between other work."""

CLOSING_SECONDS = 0.05
"""So long who is closed may answer; meanwhile all it sends is still read."""

MOST_VIEWERS = 200

LEAVING_SECONDS = 0.5
"""At the end, for viewers to say goodbye."""

STATUS_SECONDS = 0.5
FRAME_SECONDS = 0.5

REFUSED = "This view opens with the link that arras-ray has printed; each such link opens once."


class ViewServer:
    """Shows a render, and lets who has the link steer it. Open from construction on; a context manager.

    host, port: where it listens; 0 is any free port. steerable: one of its links lets steer. files: scene files that
    are read again when they are saved. paused: the render is, and waits for the start button.
    Raise UsageError where it cannot listen.
    """

    def __init__(
        self,
        render: Any,
        context: SceneContext,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        files: LiveFiles | None = None,
        steerable: bool = True,
        paused: bool = False,
    ) -> None:
        self._render = render
        self._host = host
        self._files = files
        self._admission = Admission(steerable)
        self._paused = paused
        self._picture = LivePicture(render.width, render.height)
        self._rows = StatusRows(render)
        self._viewers: set[Viewer] = set()
        self._context = context
        self._page = {path.name: path.read_text("utf-8") for path in PAGE.iterdir() if path.suffix in KINDS}
        self._closing = threading.Event()
        self._why = ""
        """It has ended, if something is wrong."""
        self._latency: float | None = None
        self._seen_sync = -1
        self._seen_samples: dict[str, tuple[float, float]] = {}
        """Of each mcrt: when the newest samples that a viewer has drawn were rendered, and how long that took, ms."""
        self._status: dict[str, Any] | None = None
        """As it was told last."""
        self._problems: dict[str, tuple[str, ...]] = {}
        """What is not as it should be now, by whom it comes from."""
        # Threads of their own, so that who steers does not wait for pictures of others.
        self._coders = ThreadPoolExecutor(2, "view-coding")
        self._loop = asyncio.new_event_loop()
        started: list[Any] = []
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(port, started, ready), name="view", daemon=True)
        self._thread.start()
        ready.wait()
        if isinstance(started[0], BaseException):
            raise cannot_listen(host, port, started[0])
        self.port: int = started[0]
        self._frames = threading.Thread(target=self._take_frames, name="view-frames", daemon=True)
        self._frames.start()

    @property
    def address(self) -> str:
        """Where it listens, as in a link."""
        host = socket.gethostname() if self._host in ("0.0.0.0", "::") else self._host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"

    @property
    def link(self) -> str:
        """Opens once, for who may steer."""
        return f"{self.address}?token={self._admission.steer}"

    @property
    def watch_link(self) -> str:
        """For watchers."""
        return f"{self.address}?token={self._admission.watch}"

    @property
    def _is_loopback(self) -> bool:
        return self._host == "localhost" or _is_loopback(self._host)

    @property
    def _cookie(self) -> str:
        """Its cookie's name: browsers do not tell the ports of a machine apart."""
        return f"arras_ray_view_{self.port}"

    @property
    def n_viewers(self) -> int:
        """Viewers that are there now."""
        return len(self._viewers)

    @property
    def problems(self) -> list[str]:
        """What is not as it should be now, beyond what the render tells."""
        return [text for texts in list(self._problems.values()) for text in texts]

    def close(self) -> None:
        """Close all viewers and listen no more."""
        if not self._closing.is_set():
            self._closing.set()
            with suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._frames.join()
        self._coders.shutdown()

    def __enter__(self) -> ViewServer:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ArrasRayError):
            self._why = f"The view has ended: {error.message}"
        self.close()

    def _serve(self, port: int, started: list[Any], ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._main(port, started, ready))
        except BaseException as error:
            if started:
                raise
            started.append(error)
        finally:
            ready.set()
            self._loop.close()

    async def _main(self, port: int, started: list[Any], ready: threading.Event) -> None:
        self._stop, self._came = asyncio.Event(), asyncio.Event()
        size = (self._render.width, self._render.height)
        self._steering = Steering(self._context, self._render, self._picture, size=size)
        self._steering.playing = "paused" if self._paused else "rendering"
        application = web.Application(client_max_size=LONGEST_WISH)
        application.router.add_get("/", self._index)
        application.router.add_get("/page/{name}", self._part)
        application.router.add_get("/live", self._live)
        application.router.add_get("/favicon.ico", _no_icon)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=LEAVING_SECONDS)
        await runner.setup()
        site = web.TCPSite(runner, self._host, port)
        await site.start()
        server: Any = site._server
        for listening in server.sockets:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED_BYTES)
        started.append(server.sockets[0].getsockname()[1])
        ready.set()
        lasting: dict[str, Callable[[], Awaitable[None]]] = {
            "steering": partial(self._steering.run, self._tell_scene, partial(self._tell_problems, "steering")),
            "pivot": self._steering.locate,
            "status": self._tell_status,
        }
        if self._files is not None:
            lasting["files"] = partial(self._files.watch, self._steering.apply, partial(self._tell_problems, "files"))
        tasks = [asyncio.create_task(self._lasts(name, work)) for name, work in lasting.items()]
        await self._stop.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if leaving := [asyncio.create_task(viewer.close(self._why)) for viewer in self._viewers]:
            await asyncio.wait(leaving, timeout=LEAVING_SECONDS)
        await runner.cleanup()
        if left := asyncio.all_tasks() - {asyncio.current_task()}:
            for one in left:
                one.cancel()
            await asyncio.wait(left, timeout=LEAVING_SECONDS)

    async def _lasts(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Work that never ends, begun again whenever an error that nobody foresaw ends it."""
        while True:
            try:
                await work()
            except Exception as error:
                self._tell_problems(name, [f"the view's {name} failed and was begun again: {error!r}"])
                await asyncio.sleep(STATUS_SECONDS)

    async def _index(self, request: web.Request) -> web.StreamResponse:
        self._check_host(request)
        token = request.query.get("token")
        if token is not None:
            known = self._admission.role(request.cookies.get(self._cookie))
            # Who steers does not become a watcher by a watcher's link.
            cookie = self._admission.enter(token) if known is None or not known.steers else None
            if cookie is None and known is None:
                raise web.HTTPUnauthorized(text=REFUSED, headers=HEADERS)
            response = web.HTTPSeeOther("/", headers=HEADERS)
            if cookie is not None:
                response.set_cookie(self._cookie, cookie, httponly=True, samesite="Strict", path="/")
            raise response
        self._role(request)
        return web.Response(text=self._page["index.html"], content_type="text/html", headers=HEADERS)

    async def _part(self, request: web.Request) -> web.Response:
        self._check_host(request)
        self._role(request)
        name = request.match_info["name"]
        if name not in self._page:
            raise web.HTTPNotFound(text="there is no such part of the page", headers=HEADERS)
        return web.Response(text=self._page[name], content_type=KINDS[Path(name).suffix], headers=HEADERS)

    async def _live(self, request: web.Request) -> web.WebSocketResponse:
        self._check_host(request)
        live = web.WebSocketResponse(
            timeout=CLOSING_SECONDS, max_msg_size=LONGEST_WISH, heartbeat=20.0, autoping=False, compress=False
        )
        role = self._admission.role(request.cookies.get(self._cookie))
        scheme, _, host = request.headers.get("Origin", "").partition("://")
        own_page = scheme in ("http", "https") and host == request.host
        await live.prepare(request)
        if role is None or not own_page:
            await live.close(code=NOT_ALLOWED, message=b"this view opens with its link")
            return live
        if not role.steers and len(self._viewers) >= MOST_VIEWERS:
            await live.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"too many watch")
            return live
        viewer = Viewer(
            live,
            self._picture,
            steers=role.steers,
            wish=self._steering.hear,
            drawn=self._drawn,
            coders=self._coders,
            moves=lambda: self._steering.moves,
        )
        self._viewers.add(viewer)
        try:
            viewer.tell(self._steering.scene() | {"steer": viewer.steers, "heard": viewer.heard})
            if self._status is not None:
                viewer.tell(self._status)
            self._came.set()
            await viewer.run()
        finally:
            self._viewers.discard(viewer)
        return live

    def _role(self, request: web.Request) -> None:
        if self._admission.role(request.cookies.get(self._cookie)) is None:
            raise web.HTTPUnauthorized(text=REFUSED, headers=HEADERS)

    def _check_host(self, request: web.Request) -> None:
        """Where only this machine is served, refuse requests for another name: a page elsewhere may have had its name
        resolved to this machine."""
        name = request.host.rsplit(":", 1)[0].strip("[]")
        if self._is_loopback and name not in ("localhost", self._host) and not _is_loopback(name):
            raise web.HTTPForbidden(text="this view is not known by that name", headers=HEADERS)

    def _take_frames(self) -> None:
        """Take the render's frames as they come, for ever."""
        version = 0
        while not self._closing.is_set():
            try:
                frame = self._render.frame(version, FRAME_SECONDS)
                is_news = frame is not None and self._picture.take(frame)
            except Exception as error:  # on Ray: whoever shows frames is being replaced
                if not isinstance(error, ArrasRayError):
                    self._tell_problems("frames", [f"the picture could not be fetched: {error}"])
                self._closing.wait(FRAME_SECONDS)
                continue
            self._tell_problems("frames", [])
            if frame is None:
                self._closing.wait(0.02 if self._render.error is None else FRAME_SECONDS)
                continue
            version = frame.version
            if is_news:
                with suppress(RuntimeError):  # the loop is closed
                    self._loop.call_soon_threadsafe(self._look)

    def _look(self) -> None:
        for viewer in self._viewers:
            viewer.look()

    def _tell_scene(self) -> None:
        scene = self._steering.scene()
        for viewer in self._viewers:
            viewer.tell(scene | {"steer": viewer.steers, "heard": viewer.heard})

    async def _tell_status(self) -> None:
        """Tell viewers where the render stands, whenever that has changed; the first one who comes, at once."""
        last: dict[str, Any] = {}
        while True:
            if self._viewers:
                status = await self._ask_status()
                gist = status | {"mcrts": [row | {"cpu": None, "memory": None} for row in status["mcrts"]]}
                if gist != last:  # a process that only lives uses some of both
                    last, self._status = gist, status
                    for viewer in self._viewers:
                        viewer.tell(status)
            self._look()
            if self._viewers:
                await asyncio.sleep(STATUS_SECONDS)
            else:
                self._came.clear()
                await self._came.wait()

    async def _ask_status(self) -> dict[str, Any]:
        told = await self._loop.run_in_executor(None, self._rows.status)
        for row in told["mcrts"]:
            row["latency_ms"] = self._seen_samples.get(row["name"], (0.0, None))[1]
        told["warnings"] = [*told["warnings"], *self.problems]
        return told | {"type": "status", "playing": self._steering.playing, "latency_ms": self._latency}

    def _drawn(self, news: PictureNews) -> None:
        """A viewer has drawn a frame of these."""
        edited_at = self._steering.edited_at.get(news.sync_id)
        if news.sync_id > self._seen_sync and edited_at is not None:
            self._latency = _ms_since(edited_at)
        self._seen_sync = max(self._seen_sync, news.sync_id)
        for mcrt, rendered_at in news.rendered.items():
            if rendered_at > self._seen_samples.get(mcrt, (0.0, 0.0))[0]:
                self._seen_samples[mcrt] = rendered_at, _ms_since(rendered_at)

    def _tell_problems(self, source: str, texts: Sequence[str]) -> None:
        """Every viewer is told of these until the same source has others, or none."""
        self._problems[source] = tuple(texts)


def cannot_listen(host: str, port: int, why: object) -> UsageError:
    """What to raise where a view cannot be served."""
    return UsageError(f"the view cannot listen on {host}:{port}: {why}", hint="choose another address for the page")


def _ms_since(then: float) -> float:
    return round((time.monotonic() - then) * 1000.0, 1)


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


async def _no_icon(request: web.Request) -> web.Response:
    """Browsers ask for one by themselves."""
    return web.Response(status=204)
