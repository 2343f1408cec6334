"""Those who want to hear of a session: they are called one after the other, on a thread of their own."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from arras_ray.session.log_line import WARN, LogLine

log = logging.getLogger("arras_ray.session")

MOST_LINES = 10_000
"""Lines that wait to be told; those beyond are left out, and counted."""

KEPT_LINES = 1000
"""Lines from before anybody listened, for the first who does."""


class Listeners:
    """Calls back, in the order of what happens. All methods may be called from any thread, and none blocks."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._callbacks: dict[str, list[Callable[[Any], None]]] = {}
        self._calls: deque[tuple[Callable[[Any], None], Any]] = deque()
        self._early: deque[LogLine] | None = deque(maxlen=KEPT_LINES)
        self._left_out = 0
        self._thread: threading.Thread | None = None
        """Calls as long as there is something to tell."""

    def add(self, event: str, callback: Callable[[Any], None], *happened: Any) -> None:
        """Call it from now on at this event, and at once with what has happened already."""
        with self._lock:
            self._callbacks.setdefault(event, []).append(callback)
            for value in happened:
                self._call(callback, value)

    def add_log(self, callback: Callable[[LogLine], None]) -> None:
        """Call it for each line from now on; the first to ask also hears the last ones from before."""
        with self._lock:
            early, self._early = self._early or (), None
            self._callbacks.setdefault("log", []).append(callback)
            for line in early:
                self._call(callback, line)

    def tell(self, event: str, value: Any) -> None:
        """This has happened."""
        with self._lock:
            for callback in self._callbacks.get(event, ()):
                self._call(callback, value)

    def tell_line(self, line: LogLine) -> None:
        """A computation has written this."""
        with self._lock:
            if self._early is not None:
                self._early.append(line)
            elif len(self._calls) >= MOST_LINES:
                self._left_out += 1
            else:
                self._tell_left_out()
                self.tell("log", line)

    def heard(self, timeout: float) -> None:
        """Return once all that was told was heard, or after `timeout` seconds; at once where listeners are called."""
        with self._lock:
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def _tell_left_out(self) -> None:
        if self._left_out:
            text = f"{self._left_out} lines were left out: there were more than could be shown"
            self._left_out = 0
            self.tell("log", LogLine("", WARN, text))

    def _call(self, callback: Callable[[Any], None], value: Any) -> None:
        self._calls.append((callback, value))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="listeners", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._calls:
                    self._tell_left_out()
                if not self._calls:
                    self._thread = None
                    return
                callback, value = self._calls.popleft()
            try:
                callback(value)
            except Exception:
                log.exception("a listener of a session failed")
