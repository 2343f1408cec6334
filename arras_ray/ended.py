"""How a computation ended that was not meant to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Ended:
    """How a computation ended that was not meant to. rss and memory: private bytes it had at its last look, and its
    bundle's (0 unknown).

    how: "crashed", "killed", "out of memory", "exited", "hung", "node lost", or "died" when nobody saw it.
    code or signal is None where it does not apply. log: the last lines it wrote.
    """

    computation: str
    node: str
    how: str
    code: int | None = None
    signal: int | None = None
    rss: int = 0
    memory: int = 0
    log: tuple[str, ...] = ()
