"""`arras-ray view` as a user runs it, without a browser: its link, its end, the picture it writes, bad input."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from command_line import COMMAND, Run, environment

PATIENCE = 60.0


@pytest.fixture
def viewing(scene: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [str(COMMAND), "view", str(scene), "--engine", "local", "--no-browser", "-o", "out.exr"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def link_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("steer: "):
            return line.removeprefix("steer: ").strip()
    raise AssertionError("no link was printed")


async def see(link: str) -> int:
    """Open a link and look until there are samples; returns the picture's width."""
    address = link.partition("?")[0]
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        await session.get(link)
        async with session.ws_connect(f"{address}live", headers={"Origin": address.rstrip("/")}) as live:
            async with asyncio.timeout(PATIENCE):
                while True:
                    message = await live.receive()
                    if message.type is aiohttp.WSMsgType.TEXT:
                        continue
                    assert message.type is aiohttp.WSMsgType.BINARY
                    header = json.loads(message.data[4 : 4 + int.from_bytes(message.data[:4], "little")])
                    if any(group["stride"] == 1 for group in header["groups"]):
                        return int(header["width"])
                    await live.send_str(json.dumps({"type": "ack", "frame": header["frame"]}))


def test_a_link_is_printed_and_ctrl_c_writes_the_picture(viewing: subprocess.Popen[str], tmp_path: Path) -> None:
    assert asyncio.run(see(link_of(viewing))) == 48
    viewing.send_signal(signal.SIGINT)
    out, err = viewing.communicate(timeout=PATIENCE)
    assert (viewing.returncode, err) == (0, "")
    assert "wrote out.exr" in out
    assert (tmp_path / "out.exr").stat().st_size > 1500  # zeros alone would be 820


def test_nothing_is_written_where_there_is_nothing(scene: Path, tmp_path: Path) -> None:
    (tmp_path / "out.exr").write_text("an earlier one")
    command = [str(COMMAND), "view", str(scene), "--engine", "local", "--no-browser", "--delay", "-o", "out.exr"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        link_of(process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "nothing was written" in err
    assert (tmp_path / "out.exr").read_text() == "an earlier one"


def test_bad_input_is_told_before_anything_starts(arras_ray: Run, scene: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = arras_ray("view", scene, "--engine", "local", "--no-browser", "--page", f"127.0.0.1:{port}")
    assert result.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in result.stderr
    assert "rendering" not in result.stdout
    result = arras_ray("render", scene, "--engine", "local", "--no-browser")
    assert result.returncode == 2
    assert "add --view" in result.stderr
    result = arras_ray("view", scene, "--engine", "local", "--no-browser", "-o", "out.jpg")
    assert result.returncode == 2
    assert "cannot write out.jpg" in result.stderr
    result = arras_ray("view", "missing.rdla", "--engine", "local", "--no-browser")
    assert result.returncode == 3
    result = arras_ray("view", scene, "--engine", "local", "--no-browser", "--page", "here")
    assert result.returncode == 2
    assert "'here' is no HOST:PORT" in result.stderr


def test_a_batch_render_is_watched_and_not_steered(scene: Path, tmp_path: Path) -> None:
    command = [str(COMMAND), "render", str(scene), "--engine", "local", "--spp", "60000", "--view", "--no-browser"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        told = next(line for line in process.stdout if line.startswith(("steer: ", "watch: ")))
        assert told.startswith("watch: ")
        assert asyncio.run(see(told.removeprefix("watch: ").strip())) == 48
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (130, "")
    assert (tmp_path / "ball.exr").exists()


def test_benchmark_times_the_scene_and_an_edit(arras_ray: Run, scene: Path, tmp_path: Path) -> None:
    result = arras_ray("view", scene, "--engine", "local", "--benchmark", "--spp", "64", "-o", "out.png")
    assert result.returncode == 0, result.stderr
    told = [line for line in result.stdout.splitlines() if line.startswith("BENCHMARK Time to ")]
    marks = [
        f"{mark} on {which} render" for which in ("initial", "second") for mark in ("first frame", "1%", "10%", "100%")
    ]
    assert [line.split(" (")[0].removeprefix("BENCHMARK Time to ") for line in told] == marks
    assert (tmp_path / "out.png").exists()
