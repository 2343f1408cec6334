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

LOOK_SECONDS = 0.1

LEVELS = {logging.CRITICAL: 0, logging.ERROR: 1, logging.WARNING: 2, logging.INFO: 3, logging.DEBUG: 4}
"""Arras' levels of Python's; what is below is a trace, 5."""

STDOUT_LEVEL, STDERR_LEVEL = 3, 2
MARK = "arras-log "
"""Begins a line that says its own level: MARK, a digit, a space."""

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
        handler.setFormatter(_Formatter())
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
        return [self._levelled(text) for text in texts if text and not text.startswith(NOISE)]

    def _levelled(self, text: str) -> tuple[int, str]:
        if text.startswith(MARK) and text[len(MARK) : len(MARK) + 1].isdigit():
            return int(text[len(MARK)]), text[len(MARK) + 2 :][:LINE_LENGTH]
        return self._level, text[:LINE_LENGTH]


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        level = next((LEVELS[at] for at in sorted(LEVELS, reverse=True) if record.levelno >= at), 5)
        text = f"{record.getMessage()}"
        if record.exc_info:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        return "\n".join(f"{MARK}{level} {line}" for line in text.splitlines())
