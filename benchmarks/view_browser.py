"""A view and a browser that looks at it, for benchmarks: `arras-ray view` and a headless Chromium."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from harness import COMMAND

PATIENCE = 120.0

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-background-networking",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--window-size=1100,760",
)

RECORD = """
    window.seen = new Map();
    window.addEventListener("arras-drawn", ({ detail }) => {
      const times = window.seen.get(detail.syncId) ?? {};
      for (const stride of [8, 4, 1])
        if (!(stride in times) && window.arrasView.covered(stride)) times[stride] = detail.time;
      window.seen.set(detail.syncId, times);
    });
"""
"""Remember when each state of the scene was first drawn whole, at 1/8, 1/4 and full resolution."""


@contextmanager
def viewing(scene: Path, *options: str) -> Iterator[View]:
    """A view of a scene, 960 x 540 pixels, on a cluster of its own or as the options say."""
    folder = Path(tempfile.mkdtemp(prefix="interactive-"))
    log = folder / "log"
    command = [COMMAND, "view", str(scene), "--no-browser", "--size", "960", "540", *options]
    environment = {**os.environ, "RAY_TMPDIR": str(folder), "RAY_AUTH_MODE": "disabled"}
    began = time.perf_counter()
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=folder, env=environment)
    try:
        deadline = time.monotonic() + PATIENCE
        while not (links := re.findall(r"(?:steer|watch): (\S+)", log.read_text())) or len(links) < 2:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the view did not start: {log.read_text()}")
            time.sleep(0.01)
        yield View(process, links[0], links[1], began)
    finally:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
        process.kill()
        shutil.rmtree(folder, ignore_errors=True)


class View:
    """began: time.perf_counter when its process was started."""

    def __init__(self, process: subprocess.Popen[Any], steer: str, watch: str, began: float) -> None:
        self.process, self.steer, self.watch, self.began = process, steer, watch, began


class Browser:
    """A page in Chromium. get(what): a value of its test surface."""

    def __init__(self) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        self._profile = tempfile.mkdtemp(prefix="profile-")
        options = webdriver.ChromeOptions()
        for flag in (*FLAGS, f"--user-data-dir={self._profile}"):
            options.add_argument(flag)
        self._driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        self._driver.set_script_timeout(PATIENCE)

    def open(self, link: str) -> None:
        self._driver.get(link)
        self.until("window.arrasView && window.arrasView.connected")
        self.run(RECORD)

    def run(self, script: str) -> Any:
        return self._driver.execute_script(script)

    def wait(self, script: str, *arguments: Any) -> Any:
        """Run a script that calls its last argument when it is done."""
        return self._driver.execute_async_script(script, *arguments)

    def get(self, what: str) -> Any:
        return self.run(f"return window.arrasView.{what}")

    def until(self, condition: str, seconds: float = PATIENCE) -> None:
        deadline = time.monotonic() + seconds
        while not self.run(f"return Boolean({condition})"):
            if time.monotonic() > deadline:
                raise SystemExit(f"waited in vain for {condition}")
            time.sleep(0.01)

    def close(self) -> None:
        self._driver.quit()
        shutil.rmtree(self._profile, ignore_errors=True)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def medians(values: Sequence[float]) -> dict[str, float]:
    """Median, lowest and highest."""
    ordered = sorted(values)
    return {"median": ordered[len(ordered) // 2], "lowest": ordered[0], "highest": ordered[-1]}
