"""Those who listen to a session hear everything in its order, and hold nobody up."""

from __future__ import annotations

import logging
import threading

import pytest

from arras_ray.session import listeners
from arras_ray.session.listeners import Listeners
from arras_ray.session.log_line import LogLine, MarkingFormatter, logging_level, read_line

PATIENCE = 60.0


def line(number: int) -> LogLine:
    return LogLine("a", 3, str(number))


def test_the_first_who_listens_hears_the_last_lines_from_before(monkeypatch: pytest.MonkeyPatch) -> None:
    heard, late = list[LogLine](), list[LogLine]()
    told = Listeners()
    for number in range(listeners.KEPT_LINES + 5):
        told.tell_line(line(number))
    told.add_log(heard.append)
    told.add_log(late.append)
    told.tell_line(line(-1))
    told.heard(PATIENCE)
    assert heard == [*(line(number) for number in range(5, listeners.KEPT_LINES + 5)), line(-1)]
    assert late == [line(-1)]


def test_lines_beyond_what_can_be_told_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "MOST_LINES", 10)
    heard: list[LogLine] = []
    begun, go_on = threading.Event(), threading.Event()

    def slow(one: LogLine) -> None:
        begun.set()
        go_on.wait()
        heard.append(one)

    told = Listeners()
    told.add_log(slow)
    told.tell_line(line(0))
    begun.wait()
    for number in range(1, 16):
        told.tell_line(line(number))
    go_on.set()
    told.heard(PATIENCE)
    assert heard == [
        *(line(number) for number in range(11)),
        LogLine("", 2, "5 lines were left out: there were more than could be shown"),
    ]


def test_what_has_happened_is_told_to_those_who_come_late() -> None:
    heard: list[str] = []
    told = Listeners()
    told.add("ready", heard.append, "before")
    told.tell("ready", "now")
    told.tell("stopped", "nobody listens")
    told.heard(PATIENCE)
    assert heard == ["before", "now"]


def test_one_who_waits_from_a_listener_does_not_wait_for_itself() -> None:
    told, done = Listeners(), threading.Event()

    def waits(value: str) -> None:
        told.heard(PATIENCE)
        done.set()

    told.add("ready", waits, "now")
    assert done.wait(PATIENCE / 2)


@pytest.mark.parametrize(
    ("level", "told"),
    [(logging.CRITICAL, 0), (logging.ERROR, 1), (logging.WARNING, 2), (25, 3), (logging.INFO, 3), (10, 4), (5, 5)],
)
def test_levels_of_logging_become_those_of_arras(level: int, told: int) -> None:
    record = logging.LogRecord("name", level, "file", 1, "first %s\nsecond", ("line",), None)
    lines = MarkingFormatter().format(record).splitlines()
    assert [read_line(text, 3) for text in lines] == [(told, "first line"), (told, "second")]


def test_lines_without_a_level_of_their_own_have_that_of_their_stream() -> None:
    assert read_line("plain", 2) == (2, "plain")
    assert read_line("\x01arras-log x plain", 2) == (2, "\x01arras-log x plain")
    empty = logging.LogRecord("name", logging.ERROR, "file", 1, "", (), None)
    assert read_line(MarkingFormatter().format(empty), 3) == (1, "")


def test_logging_lets_through_what_is_asked_for() -> None:
    assert [logging_level(level) for level in range(-1, 7)] == [50, 50, 40, 30, 20, 10, 1, 1]
