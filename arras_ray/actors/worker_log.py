"""A worker's own log: what it writes to stdout and stderr, by whatever means, Ray collects in two files. They are read
again here, line by line."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from arras_ray.actors.ends import LINE_LENGTH, NOISE
from arras_ray.session.log_line import STDERR_LEVEL, STDOUT_LEVEL, MarkingFormatter, read_line

LOOK_SECONDS = 0.1

MOST_BYTES = 1 << 20
"""Of a file at a look; a process that writes faster loses lines in the middle."""

Lines = list[tuple[int, str]]
"""Level and text of each."""


class WorkerLog:
    """Calls write(level, text) for every new line of this process. Nothing happens where stdout is no file."""

    def __init__(self, write: Callable[[int, str], None]) -> None:
        self._write = write
        self._at: dict[tuple[Path, int], int] = {}
        """Where to go on in each file; with the level of its lines."""
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
                self._at[path.resolve(), level] = path.stat().st_size
        threading.Thread(target=self._watch, name="log", daemon=True).start()

    def flush(self) -> None:
        """Pass on what was written up to now."""
        sys.stdout.flush()
        sys.stderr.flush()
        with self._lock:
            for (path, level), at in self._at.items():
                lines, self._at[path, level] = read_new(path, level, at)
                for told, text in lines:
                    self._write(told, text)

    def _watch(self) -> None:
        pause = threading.Event()
        while not pause.wait(LOOK_SECONDS):
            with suppress(OSError, ValueError):  # a full disk, or a stream that was closed
                self.flush()


def read_process(logs: Path, pid: int, at: tuple[int, int]) -> tuple[Lines, tuple[int, int]]:
    """Lines a worker of this node wrote after `at`, bytes of its two files: what came last hand back to go on."""
    lines: Lines = []
    places = []
    for (ending, level), begin in zip((("out", STDOUT_LEVEL), ("err", STDERR_LEVEL)), at, strict=True):
        files = sorted(logs.glob(f"worker-*-{pid}.{ending}"), key=lambda path: path.stat().st_mtime)
        new, place = read_new(files[-1], level, begin) if files else ([], begin)
        lines += new
        places.append(place)
    return lines, (places[0], places[1])


def read_new(path: Path, level: int, at: int) -> tuple[Lines, int]:
    """Whole lines of a log after byte `at`, and where to go on. level: of lines that do not tell theirs."""
    size = os.stat(path).st_size
    if size == at:
        return [], at
    with path.open("rb") as file:
        file.seek(max(at, size - MOST_BYTES))
        begin = file.tell()
        whole, _, rest = file.read(size - begin).rpartition(b"\n")
    texts = [line.decode(errors="replace").rstrip() for line in whole.split(b"\n")]
    told = [read_line(text, level) for text in texts if text and not text.startswith(NOISE)]
    return [(own, text[:LINE_LENGTH]) for own, text in told], size - len(rest)
