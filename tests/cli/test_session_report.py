"""What `session run` writes: events as docs/sessions.md has them, lines for people."""

from __future__ import annotations

import io
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arras_ray.cli.session_report import COMMON, SessionEvents, SessionLines, SessionReport, value_of
from arras_ray.errors import ReadyTimeout
from arras_ray.session.endings import computation_ended
from arras_ray.session.log_line import LogLine
from arras_ray.session.message import GenericMessage, JSONMessage, Message, UnknownContent, pack, unpack
from arras_ray.session.waiting_line import Waiting

PAGE = (Path(__file__).parents[2] / "docs" / "sessions.md").read_text(encoding="utf-8")


def message(content: Any) -> Message:
    return unpack(pack(content, "testcomp", source_id="s"))


def tell_everything(report: SessionReport) -> None:
    report.cluster("a Ray of its own on this machine")
    report.waiting(Waiting(1, 12, "counter: no node has as many cores"))
    report.ready()
    report.message(message(GenericMessage("hello")))
    report.message(message(JSONMessage("go", {"x": 1})))
    report.log(LogLine("testcomp", 2, "hot"))
    report.warning("careful")
    report.stopped(computation_ended("testcomp", "exited with code 10", local=True, detail="why"))
    report.error(ReadyTimeout("late", hint="wait"))


def test_events_are_those_of_the_page() -> None:
    out = io.StringIO()
    tell_everything(SessionEvents(out))
    told = {event["event"]: event for event in map(json.loads, out.getvalue().splitlines())}
    table = PAGE[PAGE.index("| event | fields |") :].split("\n\n")[0]
    rows = {row.split("|")[1].strip(" `"): row.split("|")[2] for row in table.splitlines()[2:]}
    assert set(rows) == set(told)
    for name, event in told.items():
        fields = set(event) - set(COMMON)
        documented = set(re.findall(r"`(\w+)`", re.sub(r"\(.*?\)|: text.*", "", rows[name])))
        assert fields == documented, name


def test_events_have_their_values() -> None:
    out = io.StringIO()
    tell_everything(SessionEvents(out))
    told = [json.loads(line) for line in out.getvalue().splitlines()]
    assert told.pop(0)["note"] == "a Ray of its own on this machine"
    assert told.pop(0)["place"] == 1
    assert told[2]["value"] == {"name": "go", "arguments": {"x": 1}}
    assert (told[3]["level"], told[3]["text"]) == ("warning", "hot")
    assert told[5]["execStoppedReason"] == "compExited: testcomp exited with code 10"
    assert {event["schema"] for event in told} == {1}


def test_lines() -> None:
    out, err = io.StringIO(), io.StringIO()
    tell_everything(SessionLines(out, err))
    assert out.getvalue().splitlines() == [
        "a Ray of its own on this machine",
        "waiting: 1st of 12, counter: no node has as many cores",
        "ready",
        "testcomp: GenericMessage hello",
        'testcomp: JSONMessage {"name": "go", "arguments": {"x": 1}}',
        "stopped: compExited: testcomp exited with code 10",
    ]
    assert err.getvalue().splitlines() == ["testcomp | hot", "warning: careful"]


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (UnknownContent("Cup", "tea:Cup", "no tea"), "cannot be read: no tea"),
        ({"a": 1}, "{'a': 1}"),
        (JSONMessage("go", {"x": 1}), {"name": "go", "arguments": {"x": 1}}),
        (JSONMessage("go", {"x": {1}}), "JSONMessage(name='go', arguments={'x': {1}})"),
        (JSONMessage("go", {"x": math.nan}), "JSONMessage(name='go', arguments={'x': nan})"),
        (GenericMessage(b"x"), "GenericMessage(value=b'x')"),  # type: ignore[arg-type]
        (np.arange(3), "array([0, 1, 2])"),
        ("x" * 2000, "'" + "x" * 999 + "..."),
    ],
)
def test_values_of_other_contents(content: Any, value: str) -> None:
    assert value_of(content) == value


def test_a_line_may_have_letters_that_its_stream_has_not() -> None:
    out = io.TextIOWrapper(io.BytesIO(), "ascii")
    SessionLines(out, io.StringIO()).message(message(GenericMessage("\u00fc\udcff")))
    assert out.detach().getvalue() == b"testcomp: GenericMessage \\xfc\\udcff\n"
