"""How messages leave a process of a local session: in order, so many as may be under way, large ones written once."""

from __future__ import annotations

from collections.abc import Callable

from arras_ray.session.flow import Allowance
from arras_ray.session.message import Envelope
from arras_ray.session.shared_memory import SharedMemory
from arras_ray.session.wire import Frame, is_large, message_frame, share


class Sender:
    """Makes frames of envelopes, and sends them. All methods may be called from any thread."""

    def __init__(self, send: Callable[[Frame], None]) -> None:
        self._send = send
        self._allowance = Allowance()
        self._shared: dict[str, SharedMemory] = {}
        """Content of messages that are leaving, by instance id: there may be more receivers."""

    def let_out(self, receiver: str, envelope: Envelope) -> bool:
        """Send it, once there is room; False if there will be none. Raise MessageError where memory is short."""
        if not self._allowance.take(envelope.size):
            return False
        shared = None
        if is_large(envelope):
            if envelope.instance_id not in self._shared:
                self._shared[envelope.instance_id] = share(envelope)
            shared = self._shared[envelope.instance_id].duplicate()
        self._send(message_frame(receiver, envelope, shared))
        return True

    def forget(self, envelope: Envelope) -> None:
        """It has left to all its receivers."""
        self._shared.pop(envelope.instance_id, None)

    def passed(self, size: int, messages: int) -> None:
        """So many bytes and messages were passed on."""
        self._allowance.passed(size, messages)

    def close(self) -> None:
        """From now on nothing waits for room."""
        self._allowance.close()
