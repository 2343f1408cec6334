"""What a session would be without care for faults: an order whose supervisor hardly asks for heartbeats, saves no
films, has no keepers and gives computations no parents. For the measure of what that care costs.
"""

from __future__ import annotations

from typing import Any

from arras_ray.actors.orders import Order

BEAT_SECONDS = 25.0
"""The first heartbeats of a session are needed; after so long a short render is over."""

NEVER = 1e9


class QuietOrder(Order):
    """An order that changes the process of the supervisor it comes to."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        from arras_ray.actors import ends, health, render_supervisor

        self.__dict__.update(state, save_seconds=NEVER)
        health.BEAT_SECONDS = BEAT_SECONDS
        vars(render_supervisor)["KEEPERS_AFTER"] = NEVER
        ends.runtime_env = dict
