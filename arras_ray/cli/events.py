"""The events of `--json`, one object a line. docs/events.md describes them for readers, a test compares the two."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arras_ray.cli.event_lines import EventLines
from arras_ray.cli.summary import Summary, progress_of

if TYPE_CHECKING:
    from arras_ray.ended import Ended
    from arras_ray.messages import RenderStatus
    from arras_ray.session.waiting_line import Waiting

SCHEMA = 1

COMMON = ("schema", "event", "time")

EVENTS: dict[str, tuple[str, ...]] = {
    "start": ("version", "scenes", "engine"),
    "step": ("name", "detail"),
    "notice": ("text",),
    "dashboard": ("url",),
    "waiting": ("place", "length", "reason"),
    "warning": ("text",),
    "ended": ("computation", "node", "how", "code", "signal", "rss", "memory", "log"),
    "progress": (
        "stage",
        "percent",
        "spp",
        "total_spp",
        "samples",
        "total_samples",
        "samples_per_second",
        "elapsed",
        "eta",
        "mcrts",
    ),
    "benchmark": ("render", "session", "reached", "seconds"),
    "done": (
        "result",
        "exit_code",
        "outputs",
        "width",
        "height",
        "spp",
        "samples",
        "total_samples",
        "seconds",
        "samples_per_second",
        "bad_samples",
        "computations",
    ),
    "error": ("kind", "exit_code", "message", "hint", "fields"),
}
"""Fields of each event, besides the common ones."""

INTERVAL = 0.5
"""Seconds between two progress events."""


class JsonReport(EventLines):
    """Writes events to a stream."""

    schema = SCHEMA
    interval = INTERVAL

    def start(self, version: str, scenes: list[str], engine: str) -> None:
        self._write("start", version=version, scenes=scenes, engine=engine)

    def step(self, name: str, detail: str = "") -> None:
        self._write("step", name=name, detail=detail)

    def notice(self, text: str) -> None:
        self._write("notice", text=text)

    def dashboard(self, url: str) -> None:
        self._write("dashboard", url=url)

    def waiting(self, waiting: Waiting) -> None:
        self._write("waiting", place=waiting.place, length=waiting.length, reason=waiting.reason)

    def warning(self, text: str) -> None:
        self._write("warning", text=text)

    def ended(self, end: Ended) -> None:
        self._write(
            "ended",
            computation=end.computation,
            node=end.node,
            how=end.how,
            code=end.code,
            signal=end.signal,
            rss=end.rss,
            memory=end.memory,
            log=list(end.log),
        )

    def progress(self, status: RenderStatus, spp: int, time_limit: float | None) -> None:
        progress = progress_of(status, spp, time_limit)
        self._write(
            "progress",
            stage=status.stage,
            percent=round(progress.percent, 3),
            spp=round(progress.spp, 3),
            total_spp=spp,
            samples=status.samples,
            total_samples=status.total_samples,
            samples_per_second=round(status.rate, 1),
            elapsed=round(status.seconds, 3),
            eta=None if progress.eta is None else round(progress.eta, 3),
            mcrts=[
                {
                    "name": row.name,
                    "node": row.node,
                    "threads": row.threads,
                    "samples": row.samples,
                    "share": round(share, 4),
                    "samples_per_second": round(row.rate, 1),
                    "open_leases": row.open_leases,
                    "state": row.state,
                }
                for row, share in progress.shares
            ],
        )

    def benchmark(self, render: str, session: str, reached: str, seconds: float) -> None:
        self._write("benchmark", render=render, session=session, reached=reached, seconds=round(seconds, 3))

    def done(self, summary: Summary) -> None:
        self._write(
            "done",
            result=summary.result,
            exit_code=summary.exit_code,
            outputs=[str(path) for path in summary.outputs],
            width=summary.width,
            height=summary.height,
            spp=round(summary.spp, 3),
            samples=summary.samples,
            total_samples=summary.total_samples,
            seconds=round(summary.seconds, 3),
            samples_per_second=round(summary.rate, 1),
            bad_samples=summary.bad_samples,
            computations=summary.where,
        )

    def close(self) -> None:
        self._stream.flush()
