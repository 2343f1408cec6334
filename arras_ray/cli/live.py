"""The report for a terminal: steps as lines, below them a progress bar and a row for each mcrt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from arras_ray.cli.report_lines import STEPS, benchmark_line, closing_lines, last_words
from arras_ray.cli.summary import Summary, progress_of
from arras_ray.cli.text import clock_text, rate_text, waiting_text

if TYPE_CHECKING:
    from arras_ray.ended import Ended
    from arras_ray.errors import ArrasRayError
    from arras_ray.messages import RenderStatus
    from arras_ray.session.waiting_line import Waiting


class LiveReport:
    """Draws with rich. The live part ends before closing lines, warnings and errors are printed."""

    interval = 0.1

    def __init__(self, console: Console | None = None, err: Console | None = None) -> None:
        self._console = console or Console()
        self._err = err or Console(stderr=True)
        self._live: Live | None = None

    def start(self, version: str, scenes: list[str], engine: str) -> None:
        """Nothing: the first line is the first thing that happens."""

    def step(self, name: str, detail: str = "") -> None:
        self._print(Text.assemble((STEPS[name], "cyan"), f" {detail}"))

    def notice(self, text: str) -> None:
        self._print(Text(text))

    def dashboard(self, url: str) -> None:
        self._print(Text(f"Ray dashboard: {url}"))

    def waiting(self, waiting: Waiting) -> None:
        self._print(Text(waiting_text(waiting)))

    def warning(self, text: str) -> None:
        if self._live is not None:
            self._live.transient = True  # the next progress draws it again, below the warning
            self.close()
        self._err.print(Text.assemble(("warning: ", "yellow"), text), soft_wrap=True)

    def ended(self, end: Ended) -> None:
        for line in last_words(end):
            self._err.print(Text(line, style="dim"), soft_wrap=True)

    def progress(self, status: RenderStatus, spp: int, time_limit: float | None) -> None:
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        self._live.update(picture(status, spp, time_limit), refresh=True)

    def benchmark(self, render: str, session: str, reached: str, seconds: float) -> None:
        self._print(Text(benchmark_line(render, session, reached, seconds)))

    def done(self, summary: Summary) -> None:
        self.close()
        for line in closing_lines(summary):
            self._print(Text(line))

    def error(self, error: ArrasRayError) -> None:
        self.close()

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _print(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True)


def picture(status: RenderStatus, spp: int, time_limit: float | None) -> Group:
    """The bar and the rows for one status."""
    progress = progress_of(status, spp, time_limit)
    bar = Table.grid(padding=(0, 2))
    bar.add_row(
        ProgressBar(total=100, completed=progress.percent, width=30),
        f"{progress.percent:.1f} %",
        f"{progress.spp:.1f}/{spp} spp",
        rate_text(status.rate),
        f"elapsed {clock_text(status.seconds)}",
        f"left {clock_text(progress.eta)}",
    )
    rows = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("mcrt", "node", "share", "rate", "state"):
        rows.add_column(name, justify="right" if name in ("share", "rate") else "left")
    for row, share in progress.shares:
        rows.add_row(row.name, row.node, f"{100 * share:.1f} %", rate_text(row.rate), row.state)
    return Group(bar, rows)
