"""A cluster made with `ray start`, as users make theirs: a head with a token, in a folder of its own."""

from __future__ import annotations

import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

PATIENCE = 60.0


@dataclass(frozen=True)
class Head:
    """A head that runs. environment: what a user of it sets."""

    address: str
    environment: dict[str, str]


@contextmanager
def running_head(cpus: int = 2, **variables: str) -> Iterator[Head]:
    """A head with so many cores; it and all workers see these variables. Nothing is left of it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="ar-", dir="/tmp"))
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text("0123456789abcdef" * 4, encoding="ascii")
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--port=0"]
    command += [f"--num-cpus={cpus}", "--object-store-memory=100000000", "--include-dashboard=false"]
    command += ["--disable-usage-stats", "--dashboard-agent-listen-port=0", f"--temp-dir={folder / 'ray'}"]
    command += ["--min-worker-port=0", "--max-worker-port=0", f"--ray-client-server-port={free_port()}"]
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), **variables}
    with (folder / "log").open("wb") as log:
        process = psutil.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + PATIENCE
        while (address := re.search(r"--address='(.+?)'", (folder / "log").read_text(encoding="utf-8"))) is None:
            assert process.poll() is None, (folder / "log").read_text(encoding="utf-8")
            assert time.monotonic() < deadline, (folder / "log").read_text(encoding="utf-8")
            time.sleep(0.05)
        yield Head(address[1], {"RAY_AUTH_TOKEN_PATH": str(token)})
    finally:
        with suppress(psutil.NoSuchProcess):
            below = process.children(recursive=True)
            process.terminate()
            process.wait(PATIENCE)
            psutil.wait_procs(below, timeout=PATIENCE)
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """One that nobody listens on, below those that systems give to whoever connects to something in the meantime."""
    while True:
        port = random.randrange(20000, 32768)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
