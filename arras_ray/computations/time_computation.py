"""The small example: whatever it gets, it answers with the time."""

from __future__ import annotations

from datetime import datetime

from arras_ray.session.computation import Computation, Result
from arras_ray.session.message import GenericMessage, Message


class TimeComputation(Computation):
    """Replies to any message with the local time, as in 2026-03-09T14:05:00+01:00."""

    def on_message(self, message: Message) -> Result | None:
        """Reply with a GenericMessage."""
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        self.send(GenericMessage(now), reply_to=message)
        return None
