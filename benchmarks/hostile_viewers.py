"""What a viewer who means harm can do to the others of a view: how soon an edit is seen while one floods it.

The scene is small and rendered in one process, so that the server is what is timed: from a camera's move, sent by one
page, to the first frame of it. Each kind of hostile viewer runs in a process of its own, goes on for as long as it is
let, and comes again at once when it is closed. `busy` is what a process that only counts costs the others.

    ping, pong, text     messages without end
    empty                pieces of a message that never ends, each without a byte
    stranger             messages without end, without a cookie
    storm                connections that are opened and left, without end
    half                 500 requests that are never finished

python benchmarks/hostile_viewers.py [--seconds S] [KIND ...]
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import multiprocessing
import os
import socket
import statistics
import time
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from harness import CORNELL_BOX, report, say
from view_browser import viewing

MASK = bytes(4)
FRAMES = {
    "ping": b"\x89\x80" + MASK,
    "pong": b"\x8a\x80" + MASK,
    "text": b"\x81\x82" + MASK + b"{}",
    "empty": b"\x00\x80" + MASK,
    "stranger": b"\x89\x80" + MASK,
}
KINDS = ("alone", "busy", *FRAMES, "storm", "half")


def upgraded(host: str, port: int, cookie: str) -> socket.socket:
    """A web socket's connection."""
    connection = socket.create_connection((host, port))
    key = base64.b64encode(os.urandom(16)).decode()
    lines = (
        "GET /live HTTP/1.1",
        f"Host: {host}:{port}",
        f"Origin: http://{host}:{port}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
        f"Cookie: {cookie}",
        "",
        "",
    )
    connection.sendall("\r\n".join(lines).encode())
    return connection


def harm(kind: str, host: str, port: int, cookie: str) -> None:
    """For ever."""
    if kind == "busy":
        while True:
            pass
    if kind == "half":
        kept = [socket.create_connection((host, port)) for _ in range(500)]
        for one in kept:
            one.sendall(b"GET / HTTP/1.1\r\n")
        time.sleep(1e6)
    while True:
        with suppress(OSError), upgraded(host, port, "none=1" if kind == "stranger" else cookie) as connection:
            if kind == "storm":
                continue
            if kind == "empty":
                connection.sendall(b"\x01\x81" + MASK + b"{")
            while True:
                connection.sendall(FRAMES[kind] * 1000)


async def cookie_of(link: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(link, allow_redirects=False) as answer:
        return answer.headers["Set-Cookie"].partition(";")[0]


async def latencies(address: str, cookie: str, seconds: float) -> list[float]:
    """Of edits, ms."""
    found: list[float] = []
    heard = -1
    headers = {"Origin": address.rstrip("/"), "Cookie": cookie}
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{address}live", headers=headers) as live:

        async def frame() -> int:
            while True:
                message = await live.receive()
                if message.type is aiohttp.WSMsgType.BINARY:
                    head = json.loads(message.data[4 : 4 + int.from_bytes(message.data[:4], "little")])
                    await live.send_str(json.dumps({"type": "ack", "frame": head["frame"]}))
                    return int(head["sync_id"])
                if message.type is not aiohttp.WSMsgType.TEXT:
                    raise SystemExit(f"the page lost its socket: {message}")

        heard = await frame()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            matrix = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0.01 * (len(found) % 50), 0, 7, 1]
            began = time.perf_counter()
            await live.send_str(json.dumps({"type": "camera", "matrix": matrix}))
            before = heard
            while heard == before:
                heard = await frame()
            found.append(1000 * (time.perf_counter() - began))
            await asyncio.sleep(0.05)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND", default=list(KINDS))
    parser.add_argument("--seconds", type=float, default=8.0)
    arguments = parser.parse_args()
    if unknown := set(arguments.kinds) - set(KINDS):
        parser.error(f"there is no kind {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}")
    figures: dict[str, Any] = {}
    with viewing(CORNELL_BOX, "--engine", "local", "--threads", "1", "--size", "64", "64", "--spp", "1") as view:
        parts = urlsplit(view.steer)
        address = f"http://{parts.netloc}/"
        steer, watch = asyncio.run(cookie_of(view.steer)), asyncio.run(cookie_of(view.watch))
        for kind in arguments.kinds:
            harming = (kind, parts.hostname, parts.port, watch)
            hostile = multiprocessing.Process(target=harm, args=harming, daemon=True)
            if kind != "alone":
                hostile.start()
                time.sleep(1.0)
            found = asyncio.run(latencies(address, steer, arguments.seconds))
            if kind != "alone":
                hostile.kill()
                hostile.join()
                time.sleep(1.0)
            figures[kind] = {"median": round(statistics.median(found), 1), "most": round(max(found), 1)}
            say(f"{kind:10} {figures[kind]}")
    report("hostile_viewers", {"edit_to_frame_ms": figures})


if __name__ == "__main__":
    main()
