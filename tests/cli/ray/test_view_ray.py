"""`arras-ray view` on a Ray of its own: an edit is seen, and a machine that dies is seen, and seen to be replaced."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from command_line import COMMAND, environment

PATIENCE = 120.0


@pytest.fixture
def viewing(scene: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [str(COMMAND), "view", str(scene), "--address", "local", "--num-mcrt", "2", "--no-browser"]
    with subprocess.Popen(
        [*command, "-o", "out.exr"], cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def mcrts(process: subprocess.Popen[str]) -> list[psutil.Process]:
    below = psutil.Process(process.pid).children(recursive=True)
    return [child for child in below if "".join(child.cmdline()[:1]).startswith("ray::Mcrt")]


async def look(viewing: subprocess.Popen[str], link: str) -> None:
    address = link.partition("?")[0]
    status: dict[str, Any] = {}
    seen: set[int] = set()
    sampled: set[int] = set()
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        await session.get(link)
        async with session.ws_connect(f"{address}live", headers={"Origin": address.rstrip("/")}) as live:

            async def until(condition: Callable[[], bool]) -> None:
                async with asyncio.timeout(PATIENCE):
                    while not condition():
                        message = await live.receive()
                        assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), message
                        if message.type is aiohttp.WSMsgType.BINARY:
                            length = int.from_bytes(message.data[:4], "little")
                            header = json.loads(message.data[4 : 4 + length])
                            seen.add(header["sync_id"])
                            if any(group["stride"] == 1 for group in header["groups"]):
                                sampled.add(header["sync_id"])
                            await live.send_str(json.dumps({"type": "ack", "frame": header["frame"]}))
                        elif '"type":"status"' in message.data:
                            status.update(json.loads(message.data))

            await until(lambda: bool(seen))
            matrix = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0.5, 0, 7, 1]
            await live.send_str(json.dumps({"type": "camera", "matrix": matrix}))
            await until(lambda: 2 in seen and status["samples"] > 0)
            await until(lambda: all(row["latency_ms"] is not None for row in status["mcrts"]))
            victims = {one.pid for one in mcrts(viewing)}
            assert len(victims) == 2
            psutil.Process(min(victims)).kill()
            await until(lambda: any("was killed by signal 9" in text for text in status["warnings"]))
            await until(
                lambda: (
                    [row["state"] for row in status["mcrts"]] == ["rendering"] * 2
                    and len({one.pid for one in mcrts(viewing)} - victims) == 1
                )
            )
            matrix[12] = -0.5
            await live.send_str(json.dumps({"type": "camera", "matrix": matrix}))
            await until(lambda: 3 in sampled)


def test_an_edit_and_the_loss_of_an_mcrt_are_seen(viewing: subprocess.Popen[str], tmp_path: Path) -> None:
    assert viewing.stdout is not None
    link = next(line.removeprefix("steer: ").strip() for line in viewing.stdout if line.startswith("steer: "))
    asyncio.run(look(viewing, link))
    viewing.send_signal(signal.SIGINT)
    out, _ = viewing.communicate(timeout=PATIENCE)
    assert viewing.returncode == 0
    assert "wrote out.exr" in out
    assert (tmp_path / "out.exr").exists()
