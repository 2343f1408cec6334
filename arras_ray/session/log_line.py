"""What computations write, line by line, with Arras' levels.

Python's logging goes to stderr in a computation's process, with a mark before each line that tells its level.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

FATAL, ERROR, WARN, INFO, DEBUG, TRACE = range(6)

STDOUT_LEVEL, STDERR_LEVEL = INFO, WARN

_OF_LOGGING = ((logging.CRITICAL, FATAL), (logging.ERROR, ERROR), (logging.WARNING, WARN), (logging.INFO, INFO))
_TO_LOGGING = (logging.CRITICAL, logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG, 1)

_MARK = "\x01arras-log "


@dataclass(frozen=True)
class LogLine:
    """A line that a computation wrote. level: 0 fatal, 1 error, 2 warning, 3 info, 4 debug, 5 trace."""

    computation: str
    level: int
    text: str


def logging_level(level: int) -> int:
    """The level for Python's logging that lets everything through up to this one."""
    return _TO_LOGGING[max(FATAL, min(TRACE, level))]


class MarkingFormatter(logging.Formatter):
    """Formats a record as lines that `read_line` knows the level of."""

    def format(self, record: logging.LogRecord) -> str:
        """All lines of a record; those of its exception follow its message."""
        debug = DEBUG if record.levelno >= logging.DEBUG else TRACE
        level = next((ours for least, ours in _OF_LOGGING if record.levelno >= least), debug)
        return "\n".join(f"{_MARK}{level} {line}" for line in super().format(record).splitlines() or [""])


def read_line(text: str, level: int) -> tuple[int, str]:
    """The level and text of a line. level: that of lines that do not tell."""
    if not text.startswith(_MARK):
        return level, text
    told, _, rest = text.removeprefix(_MARK).partition(" ")
    return (int(told), rest) if told.isdecimal() else (level, text)
