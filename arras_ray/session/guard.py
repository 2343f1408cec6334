"""What ends process groups when the process that started them is gone, in whatever way."""

from __future__ import annotations

import subprocess
from contextlib import suppress

_SCRIPT = """
while read -r group; do groups="$groups -$group"; done
kill -s KILL -- $groups
"""
"""The end of its input is the end of whoever writes to it."""


class Guard:
    """A small process that waits for the end of this one, and then kills the groups it was told of."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _SCRIPT],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def add(self, group: int) -> None:
        """Kill this one too."""
        assert self._process.stdin is not None
        with suppress(OSError):  # somebody has killed it: then children do without
            self._process.stdin.write(b"%d\n" % group)
            self._process.stdin.flush()

    def close(self) -> None:
        """Nothing is left to be killed."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
