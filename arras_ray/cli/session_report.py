"""Telling what happens in a session: lines for people, JSON for programs. docs/sessions.md describes the events."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from arras_ray.cli.event_lines import EventLines
from arras_ray.cli.text import waiting_text

if TYPE_CHECKING:
    from arras_ray.errors import ArrasRayError
    from arras_ray.session.endings import Stopped
    from arras_ray.session.log_line import LogLine
    from arras_ray.session.message import Message
    from arras_ray.session.waiting_line import Waiting

SCHEMA = 1
"""Of the events. Rises when a field goes away or changes its meaning; new events and fields may come without."""

COMMON = ("schema", "event", "time")

LEVELS = ("fatal", "error", "warning", "info", "debug", "trace")

MOST_LETTERS = 1000
"""Of a content that is no text."""


class SessionReport(Protocol):
    """Where a command tells of a session. `log` comes from other threads than the rest."""

    def cluster(self, note: str) -> None: ...
    def waiting(self, waiting: Waiting) -> None: ...
    def ready(self) -> None: ...
    def message(self, message: Message) -> None: ...
    def log(self, line: LogLine) -> None: ...
    def warning(self, text: str) -> None: ...
    def stopped(self, stopped: Stopped) -> None: ...
    def error(self, error: ArrasRayError) -> None: ...


class SessionLines:
    """Messages and states as lines on `out`; what computations write, and warnings, on `err`."""

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self._out, self._err = out, err

    def cluster(self, note: str) -> None:
        write_line(self._out, note)

    def waiting(self, waiting: Waiting) -> None:
        write_line(self._out, waiting_text(waiting))

    def ready(self) -> None:
        write_line(self._out, "ready")

    def message(self, message: Message) -> None:
        value = value_of(message.content)
        text = value if isinstance(value, str) else json.dumps(value)
        write_line(self._out, f"{message.sender}: {message.name} {text}")

    def log(self, line: LogLine) -> None:
        with suppress(BrokenPipeError):  # told where the command itself writes
            write_line(self._err, f"{line.computation} | {line.text}")

    def warning(self, text: str) -> None:
        write_line(self._err, f"warning: {text}")

    def stopped(self, stopped: Stopped) -> None:
        write_line(self._out, f"{stopped.exec_status}: {stopped.exec_stopped_reason}")

    def error(self, error: ArrasRayError) -> None:
        """The command itself says errors on stderr, whatever the report."""


class SessionEvents(EventLines):
    """One JSON object a line."""

    schema = SCHEMA

    def cluster(self, note: str) -> None:
        self._write("cluster", note=note)

    def waiting(self, waiting: Waiting) -> None:
        self._write("waiting", place=waiting.place, length=waiting.length, reason=waiting.reason)

    def ready(self) -> None:
        self._write("ready")

    def message(self, message: Message) -> None:
        self._write(
            "message",
            sender=message.sender,
            name=message.name,
            source_id=message.source_id,
            value=value_of(message.content),
        )

    def log(self, line: LogLine) -> None:
        with suppress(BrokenPipeError):  # told where the command itself writes
            self._write("log", computation=line.computation, level=LEVELS[line.level], text=line.text)

    def warning(self, text: str) -> None:
        self._write("warning", text=text)

    def stopped(self, stopped: Stopped) -> None:
        self._write(
            "stopped",
            execStatus=stopped.exec_status,
            execStoppedReason=stopped.exec_stopped_reason,
            disconnectReason=stopped.disconnect_reason,
            computation=stopped.computation,
            detail=stopped.detail,
        )


def write_line(stream: TextIO, text: str) -> None:
    """Write it at once; what the stream's encoding lacks, in escapes."""
    encoding = stream.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)


def value_of(content: Any) -> Any:
    """What JSON can tell of a message's content: a text, a JSONMessage's name and arguments, else its repr."""
    from arras_ray.session.message import GenericMessage, JSONMessage, UnknownContent

    if isinstance(content, UnknownContent):
        return f"cannot be read: {content.reason}"
    if isinstance(content, GenericMessage | JSONMessage):
        value = content.value if isinstance(content, GenericMessage) else asdict(content)
        with suppress(TypeError, ValueError):  # it need not be what JSON can tell
            json.dumps(value, allow_nan=False)
            return value
    text = repr(content)
    return text if len(text) <= MOST_LETTERS else text[:MOST_LETTERS] + "..."
