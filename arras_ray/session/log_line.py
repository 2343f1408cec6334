"""What computations write, line by line, with Arras' levels."""

from __future__ import annotations

from dataclasses import dataclass

FATAL, ERROR, WARN, INFO, DEBUG, TRACE = range(6)


@dataclass(frozen=True)
class LogLine:
    """A line that a computation wrote. level: 0 fatal, 1 error, 2 warning, 3 info, 4 debug, 5 trace."""

    computation: str
    level: int
    text: str
