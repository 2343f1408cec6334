"""The host of a computation: loads it, hands it its messages one by one, configures and stops it."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from arras_ray.errors import LoadError, MessageError
from arras_ray.session import dso
from arras_ray.session.computation import Computation, Result
from arras_ray.session.endings import BAD_MESSAGE, EXCEPTION, INIT_FAILED, LOAD_FAILED, START_FAILED
from arras_ray.session.image_credit import OFF
from arras_ray.session.message import Envelope, UnknownContent, unpack
from arras_ray.session.party import Party
from arras_ray.session.routing import Rule

log = logging.getLogger("arras_ray.computation")

IDLE_SECONDS = 0.005
"""Between two calls of on_idle."""

STUCK_SECONDS = 10.0
"""A receiver that returns no credit for so long is reported, and again each time as long."""


@dataclass(frozen=True)
class Part:
    """What a computation's process is to run. routes: who accepts what from it; parties: everybody there is.

    config: its block, variables filled in. memory: bytes. unsupported: why it cannot be started, if it cannot.
    """

    session: str
    name: str
    dso: str
    target: str
    config: Mapping[str, Any] = field(default_factory=dict)
    routes: Mapping[str, Rule] = field(default_factory=dict)
    parties: frozenset[str] = frozenset()
    threads: int = 1
    memory: int = 0
    unsupported: str = ""


class Ended(Exception):
    """The computation cannot go on. code: the exit code its process should have; text: why, in a sentence."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class Host:
    """Runs one computation. `load`, `configure` and `run` belong to one thread, and raise Ended.

    outlet, handled, posted: see Party. Messages that come go to `party.accept`.
    """

    def __init__(
        self,
        part: Part,
        outlet: Callable[[str, Envelope], object],
        *,
        handled: Callable[[Envelope], None] | None = None,
        posted: Callable[[Envelope], None] | None = None,
    ) -> None:
        self.part = part
        self.party = Party(
            part.name,
            part.routes,
            part.parties,
            outlet,
            initial_credit=_whole_number(part.config.get("initialCredit"), OFF),
            returns_credit=part.config.get("sendCredit") is True,
            handled=handled,
            posted=posted,
        )
        self._computation = Computation()
        self._told_stuck: dict[str, float] = {}
        self._looked_for_stuck = 0.0

    def load(self) -> None:
        """Import the computation's class and make it."""
        if self.part.unsupported:
            log.error("%s", self.part.unsupported)
            raise Ended(START_FAILED, self.part.unsupported)
        try:
            self._computation = dso.load(self.part.dso, self.part.target)()
        except LoadError as error:
            log.error("%s", error)
            raise Ended(LOAD_FAILED, str(error)) from error
        except Exception as error:
            raise _threw(EXCEPTION, error) from error
        self._computation.name = self.part.name
        self._computation.session = self.part.session
        self._computation.threads = self.part.threads
        self._computation._post = self.party.post

    def configure(self, op: str) -> None:
        """Tell the computation to "initialize", "start" or "stop"."""
        limits = {"maxThreads": self.part.threads, "maxMemoryMB": self.part.memory >> 20}
        try:
            result = self._computation.configure(op, {**self.part.config, "limits": limits})
        except Exception as error:
            raise _threw(EXCEPTION, error) from error
        if result is Result.INVALID:
            raise Ended(INIT_FAILED, f"configure({op!r}) returned INVALID")

    def run(self) -> None:
        """Handle messages, and idle, until `stop`; what waits then is not handled any more."""
        idles = type(self._computation).on_idle is not Computation.on_idle
        while not self.party.closed:
            try:
                envelope = self.party.take(IDLE_SECONDS if idles else STUCK_SECONDS / 4)
            except MessageError as error:
                raise _threw(BAD_MESSAGE, error) from error
            if envelope is not None:
                try:
                    self._handle(envelope)
                finally:
                    self.party.done(envelope)
            elif idles and not self.party.closed:
                try:
                    self._computation.on_idle()
                except Exception as error:
                    raise _threw(EXCEPTION, error) from error
            self._report_stuck()

    def stop(self) -> None:
        """Let `run` return after what it is at. From any thread."""
        self.party.close()

    def _handle(self, envelope: Envelope) -> None:
        try:
            message = unpack(envelope)
            if isinstance(message.content, UnknownContent):
                log.warning("cannot read a %s from %s: %s", message.name, message.sender, message.content.reason)
            result = self._computation.on_message(message)
        except Exception as error:
            raise _threw(BAD_MESSAGE, error) from error
        if result is Result.UNKNOWN:
            log.warning("does not know what to do with a %s from %s", message.name, message.sender)
        elif result is Result.INVALID:
            raise Ended(BAD_MESSAGE, f"on_message returned INVALID for a {message.name} from {message.sender}")

    def _report_stuck(self) -> None:
        now = time.monotonic()
        if now < self._looked_for_stuck + STUCK_SECONDS / 10:
            return
        self._looked_for_stuck = now
        stuck = self.party.stuck()
        for receiver in [*self._told_stuck]:
            if receiver not in stuck:
                del self._told_stuck[receiver]
        for receiver, seconds in stuck.items():
            if seconds > self._told_stuck.get(receiver, 0.0) + STUCK_SECONDS:
                self._told_stuck[receiver] = seconds
                log.warning("%s has returned no credit for %.0f s: image frames wait", receiver, seconds)


def abort_on_thread_exception() -> None:
    """From now on an exception that leaves a thread of this process ends it with SIGABRT, as in Arras."""

    def hook(arguments: threading.ExceptHookArgs) -> None:
        sys.__excepthook__(arguments.exc_type, arguments.exc_value or arguments.exc_type(), arguments.exc_traceback)
        sys.stderr.flush()
        faulthandler.disable()  # where it happened has just been told
        os.kill(os.getpid(), signal.SIGABRT)

    threading.excepthook = hook


def _whole_number(value: Any, default: int) -> int:
    """A number as definitions write it (`2.0` means 2), or the default for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value // 1:
        return default
    return int(value)


def _threw(code: int, error: BaseException) -> Ended:
    log.error("%s: %s", type(error).__name__, error, exc_info=error)
    return Ended(code, f"{type(error).__name__}: {error}")
