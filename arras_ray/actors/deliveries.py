"""Calls between computations whose answers nobody waits for; one that gets lost must not go unnoticed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any


class Deliveries:
    """Watches calls, on a thread of its own; each that ends in an error is told."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[tuple[Any, Callable[[], None]]] = SimpleQueue()
        threading.Thread(target=self._watch, name="deliveries", daemon=True).start()

    def watch(self, ref: Any, lost: Callable[[], None]) -> None:
        """Call `lost`, on the watching thread, if the call behind `ref` was lost or raised."""
        self._calls.put((ref, lost))

    def _watch(self) -> None:
        import ray

        while True:
            ref, lost = self._calls.get()
            try:
                ray.get(ref)
            except Exception:  # whatever it was, it was not delivered
                with suppress(Exception):
                    lost()
            del ref, lost  # of a call that was watched nothing is kept
