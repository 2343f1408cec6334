"""Lines that reports have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arras_ray.cli.text import count_text, rate_text, table_text

if TYPE_CHECKING:
    from arras_ray.cli.summary import Summary
    from arras_ray.ended import Ended

OWN_ENDS = ("crashed", "exited", "out of memory")
"""Ends a computation brings upon itself."""

STEPS = {
    "reading": "reading",
    "flattening": "flattening",
    "compiling": "compiling kernels for the first time",
    "placing": "placing",
    "rendering": "rendering",
}
"""Each step's name and what a person reads."""


def last_words(end: Ended) -> list[str]:
    """The last lines of a computation that ended by itself."""
    return [f"  {end.computation} | {line}" for line in end.log[-5:]] if end.how in OWN_ENDS else []


def benchmark_line(render: str, session: str, reached: str, seconds: float) -> str:
    """A moment of a render as arras_render prints it, with milliseconds. render: initial or second."""
    what = "Session startup time" if reached == "ready" else f"Time to {reached} on {render} render"
    minutes, left = divmod(seconds, 60)
    return f"BENCHMARK {what} (session {session} ) {minutes // 60:02.0f}:{minutes % 60:02.0f}:{left:06.3f}"


def closing_lines(summary: Summary) -> list[str]:
    """Where each computation ran, totals, and the pictures' paths."""
    share_of = max(sum(int(row.get("samples") or 0) for row in summary.where), 1)
    rows = [
        (
            row["computation"],
            row["node"],
            row["pid"],
            "" if row["threads"] is None else row["threads"],
            f"{100 * row['samples'] / share_of:.1f} %" if row.get("samples") else "",
        )
        for row in summary.where
    ]
    ended = {
        "finished": "finished",
        "time_limit": "time is up",
        "interrupted": "stopped",
        "partial": "ended early",
    }[summary.result]
    return [
        table_text(("computation", "node", "pid", "threads", "share"), rows),
        f"{ended}: {summary.width}x{summary.height}, {summary.spp:.4g} spp, {count_text(summary.samples)} samples "
        f"in {summary.seconds:.2f} s, {rate_text(summary.rate)}",
        *(f"wrote {path}" for path in summary.outputs),
    ]
