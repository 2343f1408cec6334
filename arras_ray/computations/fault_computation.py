"""A computation that fails where its block of the definition tells it to: Arras' TestComputation.

    forward, reply                                      true: each message goes on along the routes, or back
    sleepInConfig, sleepInOnMessage, sleepInOnIdle,
    sleepInOnStop                                       seconds
    errorInConfig, errorInStart, errorInStop,
    errorInOnMessage                                    one of FAULTS
    errorInThread                                       "throw", on a thread that starts when the session is ready
    ignoreSigterm                                       true
    allocateInOnMessage                                 MB to take, and keep, for each message; not in Arras

Sleep comes before errors, and errors before answers.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

from arras_ray.session.computation import Computation, Result
from arras_ray.session.message import Message, UnknownContent

log = logging.getLogger("arras_ray.computation")

FAULTS = ("throw", "segfault", "invalid", "abort", "exit", "exit10", "sigterm", "sigkill")

ERROR_OPTIONS = ("errorInConfig", "errorInStart", "errorInStop", "errorInOnMessage")

SIG_IGN = 1
"""Of C's signal()."""


class FaultComputation(Computation):
    """Answers messages, sleeps and fails as its options say."""

    def __init__(self) -> None:
        self._options: Mapping[str, Any] = {}
        self._taken: list[bytearray] = []

    def configure(self, op: str, config: Mapping[str, Any]) -> Result | None:
        """Options are read at "initialize"; INVALID for an error that is none of FAULTS."""
        self._options = config
        if op == "initialize":
            for option in ERROR_OPTIONS:
                if config.get(option, "throw") not in FAULTS:
                    log.error("%s is one of %s, not %r", option, ", ".join(FAULTS), config[option])
                    return Result.INVALID
            if config.get("ignoreSigterm") is True:
                ignore_sigterm()
            self._sleep("sleepInConfig")
            return self._fail("errorInConfig")
        if op == "start":
            if config.get("errorInThread") == "throw":
                thread = threading.Thread(target=fail, args=("throw",))
                thread.start()
                thread.join()
            return self._fail("errorInStart")
        self._sleep("sleepInOnStop")
        return self._fail("errorInStop")

    def on_message(self, message: Message) -> Result | None:
        """Send the content on as it came, with its source id."""
        self._sleep("sleepInOnMessage")
        if (megabytes := self._options.get("allocateInOnMessage")) is not None:
            self._taken.append(bytearray(b"\1") * (int(megabytes) << 20))
        if self._fail("errorInOnMessage") is Result.INVALID:
            return Result.INVALID
        if isinstance(message.content, UnknownContent):
            return Result.UNKNOWN
        if self._options.get("forward") is True:
            self.send(message.content, source_id=message.source_id)
        if self._options.get("reply") is True:
            self.send(message.content, reply_to=message)
        return None

    def on_idle(self) -> None:
        """Sleep."""
        self._sleep("sleepInOnIdle")

    def _sleep(self, option: str) -> None:
        time.sleep(float(self._options.get(option, 0)))

    def _fail(self, option: str) -> Result | None:
        return fail(self._options[option]) if option in self._options else None


def fail(fault: str) -> Result | None:
    """Let one of FAULTS happen. Returns INVALID for "invalid", and nothing from a signal that is ignored."""
    if fault == "throw":
        raise RuntimeError("asked to throw")
    if fault == "invalid":
        return Result.INVALID
    if fault in ("exit", "exit10"):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(10 if fault == "exit10" else 0)
    if fault == "abort":
        os.abort()
    signal.raise_signal({"segfault": signal.SIGSEGV, "sigterm": signal.SIGTERM, "sigkill": signal.SIGKILL}[fault])
    return None


def ignore_sigterm() -> None:
    """Let SIGTERM pass this process by, from whatever thread; Python's own way works on its main thread only."""
    set_handler = ctypes.CDLL(None).signal
    set_handler.argtypes, set_handler.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
    set_handler(signal.SIGTERM, SIG_IGN)
