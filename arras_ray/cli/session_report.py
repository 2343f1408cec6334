"""Telling what happens in a session: lines for people, JSON for programs. docs/sessions.md describes the events."""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, TextIO

if TYPE_CHECKING:
    from arras_ray.errors import ArrasRayError
    from arras_ray.session.endings import Stopped
    from arras_ray.session.log_line import LogLine
    from arras_ray.session.message import Message

SCHEMA = 1
"""Of the events. Rises when a field goes away or changes its meaning; new events and fields may come without."""

COMMON = ("schema", "event", "time")

LEVELS = ("fatal", "error", "warning", "info", "debug", "trace")

MOST_LETTERS = 1000
"""Of a content that is no text."""


class SessionReport(Protocol):
    """Where a command tells of a session. `log` comes from other threads than the rest."""

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

    def ready(self) -> None:
        print("ready", file=self._out, flush=True)

    def message(self, message: Message) -> None:
        text = value_of(message.content)
        text = text if isinstance(text, str) else json.dumps(text)
        print(f"{message.sender}: {message.name} {text}", file=self._out, flush=True)

    def log(self, line: LogLine) -> None:
        with suppress(BrokenPipeError):  # told where the command itself writes
            print(f"{line.computation} | {line.text}", file=self._err, flush=True)

    def warning(self, text: str) -> None:
        print(f"warning: {text}", file=self._err, flush=True)

    def stopped(self, stopped: Stopped) -> None:
        print(f"{stopped.exec_status}: {stopped.exec_stopped_reason}", file=self._out, flush=True)

    def error(self, error: ArrasRayError) -> None:
        """The command itself says errors on stderr, whatever the report."""


class SessionEvents:
    """One JSON object a line."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._began = time.monotonic()

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

    def error(self, error: ArrasRayError) -> None:
        self._write(
            "error",
            kind=type(error).__name__,
            exit_code=error.exit_code,
            message=error.message,
            hint=error.hint,
            fields=error.fields,
        )

    def _write(self, event: str, **fields: Any) -> None:
        line = {"schema": SCHEMA, "event": event, "time": round(time.monotonic() - self._began, 3), **fields}
        with self._lock:
            self._out.write(json.dumps(line, default=str) + "\n")
            self._out.flush()


def value_of(content: Any) -> Any:
    """What JSON can tell of a message's content: a text, a JSONMessage's name and arguments, else its repr."""
    from arras_ray.session.message import GenericMessage, JSONMessage, UnknownContent

    if isinstance(content, GenericMessage):
        return content.value
    if isinstance(content, JSONMessage):
        return {"name": content.name, "arguments": content.arguments}
    if isinstance(content, UnknownContent):
        return f"cannot be read: {content.reason}"
    text = repr(content)
    return text if len(text) <= MOST_LETTERS else text[:MOST_LETTERS] + "..."
