"""Where a render stands, as viewers are told: its own figures and a row for each mcrt."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from arras_ray.errors import ArrasRayError

BEAT_SECONDS = 3.0
"""An mcrt whose processor time is the same for so long uses none."""


class StatusRows:
    """Asks a render how it stands. For one thread at a time."""

    def __init__(self, render: Any) -> None:
        self._render = render
        self._cpu: dict[str, tuple[float, float, int | None]] = {}
        """Of each mcrt: when it was asked, its seconds of processor time then, and what that came to in percent."""

    def status(self) -> dict[str, Any]:
        """Stage, progress, samples, rate and the mcrts' rows; cpu in percent, memory in bytes, or None."""
        status = self._render.status()
        usage: dict[str, tuple[float, int]] = {}
        with suppress(ArrasRayError):
            usage = self._render.usage()
        return {
            "stage": status.stage,
            "progress": round(status.samples / max(status.total_samples, 1), 6),
            "samples": status.samples,
            "total_samples": status.total_samples,
            "seconds": round(status.seconds, 1),
            "rate": round(status.rate),
            "width": self._render.width,
            "height": self._render.height,
            "mcrts": [
                {
                    "name": row.name,
                    "node": row.node,
                    "threads": row.threads,
                    "state": row.state,
                    "samples": row.samples,
                    "rate": round(row.rate),
                    "open_leases": row.open_leases,
                    "cpu": self._cpu_of(row.name, usage),
                    "memory": usage[row.name][1] if row.name in usage else None,
                }
                for row in status.mcrts
            ],
            "warnings": list(status.warnings),
            "error": status.error,
        }

    def _cpu_of(self, name: str, usage: dict[str, tuple[float, int]]) -> int | None:
        """Percent of a processor that an mcrt used since it was asked last."""
        if name not in usage:
            return None
        now, seconds = time.monotonic(), usage[name][0]
        asked_at, before, percent = self._cpu.get(name, (now, seconds, None))
        if seconds == before and now - asked_at < BEAT_SECONDS:  # what is told is as old as the last heartbeat
            self._cpu[name] = asked_at, before, percent
            return percent
        percent = round(100.0 * (seconds - before) / (now - asked_at))
        self._cpu[name] = now, seconds, percent
        return percent
