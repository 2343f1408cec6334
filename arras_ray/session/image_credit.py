"""Credit as Arras knows it: how many image frames may be under way to a receiver that has not handled them.

Kept for each connection. Frames are states: while there is no credit the newest one waits, and those before it are
dropped. Everything that is no image passes.
"""

from __future__ import annotations

from arras_ray.session.message import CreditUpdate, Envelope

OFF = -1


class ImageCredit:
    """Credit of one connection. initial: below 0 there is none to spend, and everything passes."""

    def __init__(self, initial: int) -> None:
        self._initial = max(OFF, initial)
        self._left = self._initial
        self._waiting: Envelope | None = None
        self._since = 0.0

    @property
    def left(self) -> int:
        """Frames that may be sent now; -1 any."""
        return self._left

    def may_send(self, envelope: Envelope, now: float) -> bool:
        """Spend credit on it, where it takes any; else it waits, in the place of an older one."""
        if self._left == OFF or not envelope.is_image:
            return True
        if self._left > 0 and self._waiting is None:
            self._left -= 1
            return True
        if self._waiting is None:
            self._since = now
        self._waiting = envelope.kept()
        return False

    def update(self, update: CreditUpdate) -> Envelope | None:
        """Take an update; returns a frame that waited and may go now. Set below 0 lets everything pass from then on.

        Raise ValueError for an unknown mode.
        """
        if update.mode not in ("Update", "Set", "Reset"):
            raise ValueError(f"a CreditUpdate has mode Update, Set or Reset, not {update.mode!r}")
        if self._left == OFF:
            return None
        if update.mode == "Reset":
            self._left = self._initial
        elif update.mode == "Set":
            self._left = max(OFF, update.value)
        else:
            self._left = max(0, self._left + update.value)
        if self._left == 0 or self._waiting is None:
            return None
        envelope, self._waiting = self._waiting, None
        if self._left != OFF:
            self._left -= 1
        return envelope

    def stuck_for(self, now: float) -> float:
        """Seconds for which a frame has waited for credit, 0 if none does."""
        return now - self._since if self._waiting is not None else 0.0
