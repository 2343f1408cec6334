"""The live view in a real browser: how soon an edit is seen, how smooth it moves, what it sends.

    edit       camera and light edits, from the input in the page to the first frame that covers it at 1/8 resolution
    orbit      frames a second while the camera turns without a pause, that cover the picture at 1/4 resolution
    start      from the command to the first picture on the screen, Ray's start included, and --engine local
    bytes      bytes a second to a page while 960x540 is refined, exact and as JPEG, and when nothing changes
    watchers   what 50 watchers cost the render, half of them acknowledging nothing

Two mcrts on a Ray of their own, 960 x 540 pixels. --scene FILE for another scene than the Cornell box.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import time
from pathlib import Path
from typing import Any

from harness import CORNELL_BOX, report, say
from view_browser import Browser, medians, viewing

RAY = ("--address", "local", "--num-mcrt", "2")

EDIT = """
    const [what, done] = arguments, before = window.arrasView.syncId, began = performance.now();
    const canvas = document.getElementById("picture");
    const look = () => {
      const shown = [...window.seen].find(([id, times]) => id > before && 8 in times);
      if (shown) { window.removeEventListener("arras-drawn", look); done(shown[1][8] - began); }
    };
    window.addEventListener("arras-drawn", look);
    if (what === "camera") {
      const move = (type, x, buttons) => canvas.dispatchEvent(new PointerEvent(type, {
        bubbles: true, clientX: x, clientY: 300, buttons, button: 0, pointerId: 1, altKey: true, isPrimary: true }));
      move("pointerdown", 500, 1); move("pointermove", 512, 1); move("pointerup", 512, 0);
    } else {
      const picker = document.querySelector("#lights input");
      picker.value = picker.value === "#ff8040" ? "#80c0ff" : "#ff8040";
      picker.dispatchEvent(new Event("input"));
    }
"""

ORBIT = """
    const [seconds, done] = arguments, canvas = document.getElementById("picture");
    const before = Math.max(...window.seen.keys());
    const move = (type, x, y, buttons) => canvas.dispatchEvent(new PointerEvent(type, {
      bubbles: true, clientX: x, clientY: y, buttons, button: 0, pointerId: 1, altKey: true, isPrimary: true }));
    let n = 0;
    move("pointerdown", 500, 300, 1);
    const timer = setInterval(() => {
      n++;
      move("pointermove", 500 + 120 * Math.sin(n / 30), 300 + 30 * Math.sin(n / 47), 1);
      if (n * 16 > seconds * 1000) {
        clearInterval(timer); move("pointerup", 500, 300, 0);
        done([...window.seen].filter(([id]) => id > before).map(([, times]) => times));
      }
    }, 16);
"""


JPEG = """
    const coding = document.getElementById("coding");
    coding.value = "jpeg";
    coding.dispatchEvent(new Event("change"));
"""


def edit(scene: Path, runs: int) -> dict[str, Any]:
    figures: dict[str, list[float]] = {"camera": [], "light": []}
    with viewing(scene, *RAY) as view, Browser() as browser:
        browser.open(view.steer)
        for what, times in figures.items():
            for _ in range(runs + 2):
                browser.until("window.arrasView.covered(1)")
                time.sleep(0.3)
                times.append(round(browser.wait(EDIT, what), 1))
            say(f"{what}: {times}")
            del times[:2]  # the page's own first times
    return {what: medians(times) for what, times in figures.items()}


def orbit(scene: Path, seconds: float) -> dict[str, Any]:
    with viewing(scene, *RAY) as view, Browser() as browser:
        browser.open(view.steer)
        browser.until("window.arrasView.covered(1)")
        browser.wait(ORBIT, 2.0)
        seen = browser.wait(ORBIT, seconds)
    eighth, quarter = (sum(str(stride) in times for times in seen) for stride in (8, 4))
    return {"frames_at_1/4": round(quarter / seconds, 1), "frames_at_1/8": round(eighth / seconds, 1)}


def start(scene: Path, runs: int) -> dict[str, Any]:
    figures: dict[str, list[float]] = {}
    with Browser() as browser:
        for name, options in (("ray", RAY), ("local", ("--engine", "local"))):
            for _ in range(runs):
                with viewing(scene, *options) as view:
                    browser.open(view.steer)
                    browser.until("window.arrasView.covered(8)")
                    figures.setdefault(name, []).append(round(time.perf_counter() - view.began, 2))
                    say(f"{name}: {figures[name][-1]} s")
                    browser.run("location.href = 'about:blank'")
    return {name: medians(values) for name, values in figures.items()}


def sent(scene: Path, seconds: float) -> dict[str, Any]:
    figures = {}
    with viewing(scene, *RAY) as view, Browser() as browser:
        browser.open(view.steer)
        browser.until("window.arrasView.covered(1)")
        for name in ("refining", "refining_jpeg", "stopped"):
            if name == "refining_jpeg":
                browser.run(JPEG)
                time.sleep(1.0)
            elif name == "stopped":
                browser.run("document.querySelector('[data-play=stopped]').click()")
                time.sleep(3.0)
            before = browser.get("bytes")
            time.sleep(seconds)
            figures[name] = round((browser.get("bytes") - before) / seconds / 1e6, 3)
            say(f"{name}: {figures[name]} MB/s")
    return {"MB_per_s": figures}


def watchers(scene: Path, seconds: float, count: int) -> dict[str, Any]:
    """Samples a second with and without watchers, and the processors that the watchers' own processes took."""
    with viewing(scene, *RAY) as view:
        asyncio.run(asyncio.wait_for(_rate(view.watch, 3.0), 60))
        alone = asyncio.run(_rate(view.watch, seconds))
        helpers = [multiprocessing.Process(target=_watch_all, args=(view.watch, count // 2, slow), daemon=True)
                   for slow in (False, True)]  # fmt: skip
        server = _cpu_of(view.process.pid)
        for helper in helpers:
            helper.start()
        time.sleep(3.0)
        theirs, ours = sum(_cpu_of(h.pid or 0) for h in helpers), _cpu_of(view.process.pid)
        watched = asyncio.run(_rate(view.watch, seconds))
        theirs = sum(_cpu_of(h.pid or 0) for h in helpers) - theirs
        ours = _cpu_of(view.process.pid) - ours
        for helper in helpers:
            helper.kill()
    cost = (theirs + ours) / seconds
    say(f"alone {alone:.0f}, watched {watched:.0f} samples/s; watchers took {theirs:.1f} s, the view {ours:.1f} s")
    return {
        "samples_per_s": {"alone": round(alone), "watched": round(watched)},
        "processors": {"watchers": round(theirs / seconds, 2), "view": round(ours / seconds, 2)},
        "lost": round(1 - watched / alone, 3),
        "lost_beyond_cpu": round(1 - watched / alone - cost / 2, 3),
        "count": count,
        "server_before": round(server, 1),
    }


def _cpu_of(pid: int) -> float:
    import psutil

    total = 0.0
    process = psutil.Process(pid)
    for one in [process, *process.children(recursive=True)]:
        name = " ".join(one.cmdline()[:1])
        if "Mcrt" not in name:
            times = one.cpu_times()
            total += times.user + times.system
    return total


async def _session(link: str) -> tuple[Any, Any]:
    import aiohttp

    session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
    await session.get(link)
    address = link.partition("?")[0]
    live = await session.ws_connect(f"{address}live", headers={"Origin": address.rstrip("/")}, max_msg_size=0)
    return session, live


async def _rate(link: str, seconds: float) -> float:
    """Samples a second, by what the view tells a page that takes no frames."""
    import aiohttp

    session, live = await _session(link)
    first = last = None
    try:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            message = await live.receive()
            if message.type is aiohttp.WSMsgType.TEXT:
                told = json.loads(message.data)
                if told["type"] == "status":
                    last = (time.monotonic(), told["samples"])
                    first = first or last
    finally:
        await session.close()
    if first is None or last is None or first == last:
        raise SystemExit("the view told nothing of its samples")
    return float(last[1] - first[1]) / (last[0] - first[0])


def _watch_all(link: str, count: int, slow: bool) -> None:
    async def one() -> None:
        import aiohttp

        session, live = await _session(link)
        async for message in live:
            if message.type is aiohttp.WSMsgType.BINARY and not slow:
                head = json.loads(message.data[4 : 4 + int.from_bytes(message.data[:4], "little")])
                await live.send_str(json.dumps({"type": "ack", "frame": head["frame"]}))
        await session.close()

    async def all_of_them() -> None:
        await asyncio.gather(*(one() for _ in range(count)))

    asyncio.run(all_of_them())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["edit", "orbit", "start", "bytes", "watchers"])
    parser.add_argument("--scene", type=Path, default=CORNELL_BOX)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--count", type=int, default=50)
    arguments = parser.parse_args()
    scene = arguments.scene.resolve()
    if arguments.what == "edit":
        figures = edit(scene, arguments.runs)
    elif arguments.what == "orbit":
        figures = orbit(scene, arguments.seconds)
    elif arguments.what == "start":
        figures = start(scene, arguments.runs)
    elif arguments.what == "bytes":
        figures = sent(scene, arguments.seconds)
    else:
        figures = watchers(scene, arguments.seconds, arguments.count)
    report(f"interactive {arguments.what}", {"scene": scene.name, **figures})


if __name__ == "__main__":
    main()
