"""A render on Ray runs in a child of the command: Ray ends a process whose node is gone at once, without a word.

The parent waits, hands signals on, and says what happened. Linux only; elsewhere the command is one process.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress

from arras_ray.errors import ClusterError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

PR_SET_PDEATHSIG = 1

RAY_GAVE_UP = 1
"""Exit code of a process that Ray has ended."""

_told = -1


def guard(hint: str, what: str = "the render") -> int | None:
    """Go on in a child, where this returns None. The parent returns the child's exit code once it has ended.

    Raise ClusterError, with this hint, if Ray has ended the child.
    """
    global _told
    if sys.platform != "linux":
        return None
    sys.stdout.flush()
    ours, theirs = os.pipe()
    parent = os.getpid()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD, *SIGNALS))
    child = os.fork()
    if child == 0:
        os.close(ours)
        os.setpgid(0, 0)  # what is sent to the command's group, by a terminal or `kill`, comes to the child once
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:  # it died before that
            os._exit(RAY_GAVE_UP)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        _told = theirs
        return None
    os.close(theirs)
    code = os.waitstatus_to_exitcode(_wait(child))
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    told = os.read(ours, 1)
    os.close(ours)
    if told or code not in (RAY_GAVE_UP, -signal.SIGABRT):
        if code < 0:
            signal.signal(-code, signal.SIG_DFL)
            os.kill(os.getpid(), -code)
        return code
    raise ClusterError(f"Ray on this machine was lost, and {what} with it", hint=hint)


def told() -> None:
    """In the child: everything was said; how it ends now is how the command ends."""
    if _told >= 0:
        with suppress(OSError):
            os.write(_told, b".")


def _wait(child: int) -> int:
    """Hand signals on until the child has ended; returns its wait status."""
    while True:
        heard = signal.sigwaitinfo((signal.SIGCHLD, *SIGNALS))
        if heard.si_signo == signal.SIGCHLD:
            pid, status = os.waitpid(child, os.WNOHANG)  # it may have been stopped only
            if pid:
                return status
        else:
            os.kill(child, heard.si_signo)
