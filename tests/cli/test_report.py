"""What a user is told, in lines, in a live picture and as JSON, for one made-up render."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from arras_ray.cli.events import COMMON, EVENTS, SCHEMA, JsonReport
from arras_ray.cli.live import LiveReport
from arras_ray.cli.report import ErrorReport, LineReport, QuietReport, Report, make_report
from arras_ray.cli.summary import Summary, progress_of
from arras_ray.ended import Ended
from arras_ray.errors import SceneError
from arras_ray.messages import McrtRow, RenderStatus
from arras_ray.session.waiting_line import Waiting

DOCUMENT = Path(__file__).parents[2] / "docs" / "events.md"

ROWS = (
    McrtRow("mcrt_i0", "red", 2, 300_000, 2e6, 1, "rendering"),
    McrtRow("mcrt_i1", "blue", 1, 100_000, 1e6, 2, "rendering"),
)
STATUS = RenderStatus("rendering", 400_000, 1_600_000, 2.0, 200_000.0, ROWS)
SUMMARY = Summary(
    result="finished",
    exit_code=0,
    outputs=[Path("out.exr")],
    width=100,
    height=50,
    spp=64.0,
    samples=320_000,
    total_samples=320_000,
    seconds=1.5,
    rate=213_333.3,
    bad_samples=0,
    where=[
        {"computation": "dispatch", "node": "red", "pid": 6, "threads": None, "samples": 0},
        {"computation": "mcrt_i0", "node": "red", "pid": 7, "threads": 2, "samples": 320_000},
    ],
)


BENCHMARK = [
    "BENCHMARK Session startup time (session s-1 ) 01:02:05.062",
    "BENCHMARK Time to 10% on second render (session s-2 ) 00:00:00.250",
]
WARNINGS = "warning: DwaSkinMaterial: grey instead (3 times)\n  mcrt_i0 | one\n  mcrt_i0 | two\n"


def tell_everything(report: Report) -> None:
    report.start("1.2.3", ["a.rdla"], "ray")
    report.notice("no cluster")
    report.dashboard("http://127.0.0.1:8265")
    report.waiting(Waiting(2, 3, "mcrt_i0: no node has as many cores"))
    report.step("reading", "a.rdla")
    report.warning("DwaSkinMaterial: grey instead (3 times)")
    report.ended(Ended("mcrt_i0", "red", "exited", code=10, log=("one", "two")))
    report.ended(Ended("mcrt_i1", "red", "killed", signal=9, log=("not worth a look",)))
    report.step("compiling")
    report.progress(STATUS, 64, None)
    report.benchmark("initial", "s-1", "ready", 3725.0625)
    report.benchmark("second", "s-2", "10%", 0.25)
    report.done(SUMMARY)
    report.close()


def test_progress_in_the_units_people_ask_for() -> None:
    progress = progress_of(STATUS, 64, None)
    assert (progress.percent, progress.spp, progress.eta) == (25.0, 16.0, 6.0)
    assert [share for _, share in progress.shares] == [0.75, 0.25]


@pytest.mark.parametrize(("limit", "eta"), [(None, 6.0), (100.0, 6.0), (3.0, 1.0), (1.0, 0.0)])
def test_the_time_left_keeps_to_a_time_limit(limit: float | None, eta: float) -> None:
    assert progress_of(STATUS, 64, limit).eta == eta


def test_nobody_knows_the_time_left_before_the_first_samples() -> None:
    status = RenderStatus("placing", 0, 0, 0.0, 0.0)
    assert progress_of(status, 64, None).eta is None
    assert progress_of(status, 64, None).percent == 0


def test_lines() -> None:
    out, err = io.StringIO(), io.StringIO()
    tell_everything(LineReport(out, err))
    assert out.getvalue().splitlines() == [
        "no cluster",
        "Ray dashboard: http://127.0.0.1:8265",
        "waiting: 2nd of 3, mcrt_i0: no node has as many cores",
        "reading a.rdla",
        "compiling kernels for the first time",
        " 25.0 %  16.0/64 spp  0.20 M samples/s  elapsed 0:02  left 0:06",
        "    mcrt     node  share   rate              state",
        "    mcrt_i0  red   75.0 %  2.00 M samples/s  rendering",
        "    mcrt_i1  blue  25.0 %  1.00 M samples/s  rendering",
        *BENCHMARK,
        "  computation  node  pid  threads  share",
        "  dispatch     red     6",
        "  mcrt_i0      red     7        2  100.0 %",
        "finished: 100x50, 64 spp, 320.00 k samples in 1.50 s, 0.21 M samples/s",
        "wrote out.exr",
    ]
    assert err.getvalue() == WARNINGS


def test_quiet_keeps_warnings_and_the_benchmark() -> None:
    out, err = io.StringIO(), io.StringIO()
    tell_everything(QuietReport(out, err))
    assert out.getvalue().splitlines() == BENCHMARK
    assert err.getvalue() == WARNINGS


def test_errors_only_keeps_the_benchmark() -> None:
    out, err = io.StringIO(), io.StringIO()
    tell_everything(ErrorReport(out, err))
    assert out.getvalue().splitlines() == BENCHMARK
    assert err.getvalue() == ""


@pytest.mark.usefixtures("capsys")
@pytest.mark.parametrize(("level", "kind"), list(enumerate([ErrorReport, ErrorReport, QuietReport, *3 * [LineReport]])))
def test_the_log_level_chooses_how_much_is_told(level: int, kind: type) -> None:
    assert type(make_report(as_json=False, quiet=False, log_level=level)) is kind
    assert type(make_report(as_json=True, quiet=False, log_level=level)) is JsonReport


def test_the_live_picture_has_a_bar_and_a_row_for_each_mcrt() -> None:
    screen = io.StringIO()
    err = io.StringIO()
    report = LiveReport(
        Console(file=screen, force_terminal=True, width=110, color_system=None),
        Console(file=err, width=110, color_system=None),
    )
    tell_everything(report)
    report.progress(STATUS, 64, None)
    report.warning("mcrt_i1 on blue was lost")
    report.close()
    assert err.getvalue() == WARNINGS + "warning: mcrt_i1 on blue was lost\n"
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    assert "━" in shown
    assert re.search(r"25\.0 % +16\.0/64 spp +0\.20 M samples/s +elapsed 0:02 +left 0:06", shown)
    assert re.search(r"mcrt_i1 +blue +25\.0 % +1\.00 M samples/s +rendering", shown)
    assert "wrote out.exr" in shown
    assert "waiting: 2nd of 3, mcrt_i0: no node has as many cores" in shown
    assert BENCHMARK[1] in shown
    assert "warning" not in shown


def events(report_everything: bool = True) -> list[dict[str, Any]]:
    stream = io.StringIO()
    report = JsonReport(stream)
    tell_everything(report)
    report.error(SceneError("no camera", hint="add one", file=Path("a.rdla"), line=3))
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_every_event_has_its_fields_and_no_others() -> None:
    found = events()
    assert {event["event"] for event in found} == set(EVENTS)
    for event in found:
        assert tuple(event) == (*COMMON, *EVENTS[event["event"]])
        assert event["schema"] == SCHEMA


def test_an_error_event_says_where() -> None:
    assert events()[-1] | {"time": 0} == {
        "schema": 1,
        "event": "error",
        "time": 0,
        "kind": "SceneError",
        "exit_code": 3,
        "message": "no camera",
        "hint": "add one",
        "fields": {"file": "a.rdla", "line": 3},
    }


def test_the_document_has_every_event_and_field() -> None:
    sections = re.split(r"^## `(\w+)`$", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    documented = {
        name: tuple(
            field for line in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for field in re.findall(r"`(\w+)`", line)
        )
        for name, text in zip(sections[1::2], sections[2::2], strict=True)
    }
    assert documented == EVENTS
    common = re.findall(r"^\| `(\w+)` \|", sections[0], re.MULTILINE)
    assert tuple(common) == COMMON
