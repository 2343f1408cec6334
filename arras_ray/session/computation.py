"""What users derive their computations from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any

from arras_ray.session.message import Message


class Result(Enum):
    """What became of a message or an operation. UNKNOWN is warned about, INVALID ends the computation."""

    SUCCESS = "success"
    UNKNOWN = "unknown"
    INVALID = "invalid"


class Computation:
    """A computation of a session. Its methods are called one at a time, on one thread of a process of its own.

    An exception that leaves a method ends the computation, and with it the session.
    """

    name: str
    """In the session; an element of an array is called ARRAY_i0, ARRAY_i1, ..."""
    session: str
    threads: int
    """How many it may compute on: the cores it was given."""

    _post: Callable[..., str]
    """Set by the host before `configure`."""

    def configure(self, op: str, config: Mapping[str, Any]) -> Result | None:
        """op is "initialize" (before the session is ready), "start" (once all are ready) or "stop" (it ends).

        config: the computation's block of the session definition, variables filled in, with "limits" added:
        {"maxThreads": n, "maxMemoryMB": m}. None means SUCCESS.
        """
        return None

    def on_message(self, message: Message) -> Result | None:
        """A message has come. None means SUCCESS."""
        return Result.UNKNOWN

    def on_idle(self) -> None:
        """There is no message to handle. Called again and again until one comes; it may take its time."""

    def send(
        self,
        content: Any,
        *,
        to: Iterable[str] = (),
        reply_to: Message | None = None,
        source_id: str = "",
        routing_name: str = "",
    ) -> str:
        """Send content to whoever accepts it from this computation, or to the parties named in `to`; returns the
        message's instance id. May be called from any thread.

        reply_to: a message whose sender alone gets this one, with that message's source id. routing_name: what routes
        know it by, instead of its type's name. Blocks while a receiver has too much waiting. Raise MessageError for
        content that cannot travel and parties that do not exist.
        """
        if reply_to is not None:
            to, source_id = (*to, reply_to.sender), source_id or reply_to.source_id
        return self._post(content, tuple(to), source_id, routing_name)
