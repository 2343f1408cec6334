"""Credit: how many things a partner may have under way at once, each named by its serial number.

A lease costs an mcrt one credit of its window; merge's acceptance gives it back. Naming each spent credit by a serial
makes a refund that arrives twice, or late, harmless: it cannot raise the limit, and a lost one can be found.
"""

from __future__ import annotations


class Credit:
    """A window of `limit` credits. Not thread-safe: its owner decides alone."""

    def __init__(self, limit: int) -> None:
        """Raise ValueError for a limit below 1, which could never be spent."""
        if limit < 1:
            raise ValueError(f"a credit limit must be at least 1, not {limit}")
        self.limit = limit
        self._open: set[int] = set()

    @property
    def left(self) -> int:
        """Credits that can still be spent."""
        return self.limit - len(self._open)

    @property
    def open(self) -> frozenset[int]:
        """Serials that were spent and not given back."""
        return frozenset(self._open)

    def spend(self, serial: int) -> None:
        """Spend one credit under `serial`. Raise ValueError when none is left or the serial is under way already."""
        if serial in self._open:
            raise ValueError(f"credit {serial} is spent already")
        if self.left == 0:
            raise ValueError(f"all {self.limit} credits are spent")
        self._open.add(serial)

    def refund(self, serial: int) -> bool:
        """Give the credit of `serial` back. False, and nothing changes, if it is unknown or was given back before."""
        if serial not in self._open:
            return False
        self._open.remove(serial)
        return True
