"""Telling a user what happens: lines for a pipe or a log, a live picture for a terminal, JSON for a program."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

from arras_ray.cli.report_lines import STEPS, benchmark_line, closing_lines, last_words
from arras_ray.cli.summary import Summary, progress_of
from arras_ray.cli.text import clock_text, rate_text, table_text, waiting_text
from arras_ray.errors import ArrasRayError, Interrupted

if TYPE_CHECKING:
    from arras_ray.ended import Ended
    from arras_ray.messages import RenderStatus
    from arras_ray.session.waiting_line import Waiting


class Report(Protocol):
    """Where a command tells what it does."""

    interval: float
    """Seconds between two calls of progress."""

    def start(self, version: str, scenes: list[str], engine: str) -> None: ...
    def step(self, name: str, detail: str = "") -> None: ...
    def notice(self, text: str) -> None: ...
    def dashboard(self, url: str) -> None: ...
    def waiting(self, waiting: Waiting) -> None: ...
    def warning(self, text: str) -> None: ...
    def ended(self, end: Ended) -> None: ...
    def progress(self, status: RenderStatus, spp: int, time_limit: float | None) -> None: ...
    def benchmark(self, render: str, session: str, reached: str, seconds: float) -> None: ...
    def done(self, summary: Summary) -> None: ...
    def error(self, error: ArrasRayError) -> None: ...
    def close(self) -> None: ...


class TellsErrors(Protocol):
    """Whatever an error is told to."""

    def error(self, error: ArrasRayError) -> None: ...


WARN = 2
"""Arras' log level that has warnings in it, and nothing that is less."""


def make_report(*, as_json: bool, quiet: bool, log_level: int | None = None) -> Report:
    """The report that fits the options and standard output. Rich is imported for a terminal only.

    log_level: 0 to 5 as Arras has them, None for what is told by default. --json tells everything at each.
    """
    if as_json:
        from arras_ray.cli.events import JsonReport

        return JsonReport(sys.stdout)
    if log_level is not None and log_level < WARN:
        return ErrorReport(sys.stdout, sys.stderr)
    if quiet or log_level == WARN:
        return QuietReport(sys.stdout, sys.stderr)
    if sys.stdout.isatty():
        from arras_ray.cli.live import LiveReport

        return LiveReport()
    return LineReport(sys.stdout, sys.stderr)


def known_error(error: Exception) -> ArrasRayError:
    """An error as users are told: one of ours as it is, any other as a bug of ours."""
    if isinstance(error, ArrasRayError):
        return error
    return ArrasRayError(
        f"internal error: {type(error).__name__}: {error}",
        hint="this is a bug in arras-ray; --debug shows where, please report it",
    )


@contextmanager
def errors_told(report: TellsErrors, interrupted: str) -> Iterator[None]:
    """Tell a report of each error that leaves this block. interrupted: what KeyboardInterrupt means; it leaves as
    Interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        error = Interrupted(interrupted)
        report.error(error)
        raise error from None
    except BrokenPipeError:
        raise  # nobody is there to be told
    except Exception as error:
        report.error(known_error(error))
        raise


class QuietReport:
    """Warnings, and what --benchmark was asked for; nothing else."""

    interval = 5.0

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self._out = out
        self._err = err

    def start(self, version: str, scenes: list[str], engine: str) -> None:
        pass

    def step(self, name: str, detail: str = "") -> None:
        pass

    def notice(self, text: str) -> None:
        pass

    def dashboard(self, url: str) -> None:
        pass

    def waiting(self, waiting: Waiting) -> None:
        pass

    def warning(self, text: str) -> None:
        print(f"warning: {text}", file=self._err, flush=True)

    def ended(self, end: Ended) -> None:
        """Its last words, where they may tell why; that it ended was a warning."""
        for line in last_words(end):
            print(line, file=self._err, flush=True)

    def progress(self, status: RenderStatus, spp: int, time_limit: float | None) -> None:
        pass

    def benchmark(self, render: str, session: str, reached: str, seconds: float) -> None:
        self._line(benchmark_line(render, session, reached, seconds))

    def done(self, summary: Summary) -> None:
        pass

    def error(self, error: ArrasRayError) -> None:
        """The command itself says errors on stderr, whatever the report."""

    def close(self) -> None:
        pass

    def _line(self, text: str) -> None:
        print(text, file=self._out, flush=True)


class ErrorReport(QuietReport):
    """Errors only, which the command says."""

    def warning(self, text: str) -> None:
        pass

    def ended(self, end: Ended) -> None:
        pass


class LineReport(QuietReport):
    """One line for each thing that happens, and one for progress every few seconds."""

    interval = 2.0

    def step(self, name: str, detail: str = "") -> None:
        self._line(f"{STEPS[name]} {detail}".rstrip())

    def notice(self, text: str) -> None:
        self._line(text)

    def dashboard(self, url: str) -> None:
        self._line(f"Ray dashboard: {url}")

    def waiting(self, waiting: Waiting) -> None:
        self._line(waiting_text(waiting))

    def progress(self, status: RenderStatus, spp: int, time_limit: float | None) -> None:
        progress = progress_of(status, spp, time_limit)
        self._line(
            f"{progress.percent:5.1f} %  {progress.spp:.1f}/{spp} spp  {rate_text(status.rate)}  "
            f"elapsed {clock_text(status.seconds)}  left {clock_text(progress.eta)}"
        )
        if len(progress.shares) > 1:
            rows = [
                (row.name, row.node, f"{100 * share:.1f} %", rate_text(row.rate), row.state)
                for row, share in progress.shares
            ]
            self._line(table_text(("mcrt", "node", "share", "rate", "state"), rows, indent="    "))

    def done(self, summary: Summary) -> None:
        for line in closing_lines(summary):
            self._line(line)
