"""How computations and sessions end, in Arras' words.

A computation's process that fails by itself ends with one of the exit codes below; the words for codes and signals are
what `execStoppedReason` says.
"""

from __future__ import annotations

from dataclasses import dataclass

START_FAILED = 5
LOAD_FAILED = 6
GO_TIMEOUT = 7
INIT_FAILED = 8
EXCEPTION = 13
DISCONNECTED = 20
BAD_MESSAGE = 21

_WORDS = {
    0: "exited unexpectedly with code 0",
    START_FAILED: "failed to start the program (error in execv())",
    LOAD_FAILED: "failed to load the computation dso",
    GO_TIMEOUT: "timed out waiting for a 'go' signal",
    INIT_FAILED: "failed to initialize properly",
    EXCEPTION: "threw an exception (see log for details)",
    DISCONNECTED: "was disconnected",
    BAD_MESSAGE: "exited due to a computation or message problem",
}

SHELL_SIGNALS = range(129, 160)
"""Exit codes by which a shell tells of a signal."""

CLIENT_SHUTDOWN = "clientShutdown"
CLIENT_LOST = "Client failed to connect"


@dataclass(frozen=True)
class Stopped:
    """How a session ended, as a client hears it: execStatus, execStoppedReason and disconnectReason of Arras.

    computation: whose end it was, empty if it was nobody's fault. detail: what is known beside, for people.
    """

    exec_status: str = "stopped"
    exec_stopped_reason: str = CLIENT_SHUTDOWN
    disconnect_reason: str = CLIENT_SHUTDOWN
    computation: str = ""
    detail: str = ""

    @property
    def as_asked(self) -> bool:
        """Whether its client wished it to end, or has left it."""
        return self.exec_stopped_reason in (CLIENT_SHUTDOWN, "")


def exit_words(code: int | None, signal: int | None = None) -> str:
    """What an exit code, or a signal, of a computation that should have gone on means."""
    if signal is not None:
        return f"exited due to signal {signal}"
    if code is None:
        return "was disconnected"
    if code in SHELL_SIGNALS:
        return f"exited due to signal {code - 128}"
    return _WORDS.get(code, f"exited with code {code}")


def computation_ended(name: str, words: str, *, local: bool, detail: str = "") -> Stopped:
    """The end of a session by one of its computations. Local sessions spell it with a colon, as in Arras."""
    reason = f"compExited{':' if local else ''} {name} {words}"
    return Stopped(exec_stopped_reason=reason, disconnect_reason=reason, computation=name, detail=detail)
