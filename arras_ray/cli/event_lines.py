"""Events as lines of JSON, as programs read them."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from arras_ray.errors import ArrasRayError


class EventLines:
    """Writes events to a stream, one JSON object a line; from any thread.

    Each has the schema's number, its name and the seconds since the first could be written.
    """

    schema: int
    """Rises when a field goes away or changes its meaning; new events and fields may come without."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._began = time.monotonic()

    def error(self, error: ArrasRayError) -> None:
        """What the command has failed of."""
        self._write(
            "error",
            kind=type(error).__name__,
            exit_code=error.exit_code,
            message=error.message,
            hint=error.hint,
            fields=error.fields,
        )

    def _write(self, event: str, **fields: Any) -> None:
        line = {"schema": self.schema, "event": event, "time": round(time.monotonic() - self._began, 3), **fields}
        with self._lock:
            self._stream.write(json.dumps(line, default=str) + "\n")
            self._stream.flush()
