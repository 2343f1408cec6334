"""A worker's own log: what it writes to stdout and stderr, by whatever means, Ray collects in two files. They are read
again here, line by line, and passed on."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from arras_ray.actors.ends import LINE_LENGTH, NOISE
from arras_ray.session.log_line import STDERR_LEVEL, STDOUT_LEVEL, MarkingFormatter, read_line

LOOK_SECONDS = 0.1

MOST_BYTES = 1 << 20
"""Of a file at a look; a computation that writes faster loses lines in the middle."""


class WorkerLog:
    """Calls write(level, text) for every new line. Nothing happens where stdout is no file."""

    def __init__(self, write: Callable[[int, str], None]) -> None:
        self._write = write
        self._files: list[_File] = []
        self._lock = threading.Lock()

    def start(self) -> None:
        """From here on; also Python's logging goes to stderr, with its levels."""
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(MarkingFormatter())
        root = logging.getLogger()
        root.addHandler(handler)
        root.setLevel(logging.DEBUG)
        for name in ("ray", "asyncio"):
            logging.getLogger(name).propagate = False
        for descriptor, level in ((1, STDOUT_LEVEL), (2, STDERR_LEVEL)):
            path = Path(f"/proc/self/fd/{descriptor}")
            if path.exists() and path.resolve().is_file():
                self._files.append(_File(path.resolve(), level))
        threading.Thread(target=self._watch, name="log", daemon=True).start()

    def flush(self) -> None:
        """Pass on what was written up to now."""
        sys.stdout.flush()
        sys.stderr.flush()
        with self._lock:
            for file in self._files:
                for level, text in file.lines():
                    self._write(level, text)

    def _watch(self) -> None:
        pause = threading.Event()
        while not pause.wait(LOOK_SECONDS):
            self.flush()


class _File:
    def __init__(self, path: Path, level: int) -> None:
        self._path, self._level = path, level
        self._at = path.stat().st_size
        self._rest = b""

    def lines(self) -> list[tuple[int, str]]:
        size = os.stat(self._path).st_size
        if size == self._at:
            return []
        if size - self._at > MOST_BYTES:
            self._at = size - MOST_BYTES
        with self._path.open("rb") as file:
            file.seek(self._at)
            data = self._rest + file.read(size - self._at)
        self._at = size
        *whole, self._rest = data.split(b"\n")
        texts = [line.decode(errors="replace").rstrip() for line in whole]
        levelled = [read_line(text, self._level) for text in texts if text and not text.startswith(NOISE)]
        return [(level, text[:LINE_LENGTH]) for level, text in levelled]
