"""Waiting for what a session is about to do: with patience, and saying what was waited for in vain."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from arras_ray import client
from arras_ray.client import SessionRender
from arras_ray.messages import RenderStatus

PATIENCE = 90.0
"""Seconds after which a test gives up; none waits that long when all is well."""


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for a condition; fail, with what was waited for, when it does not come."""
    deadline = time.monotonic() + PATIENCE
    while not (result := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)
    return result


def to_its_end(render: SessionRender) -> RenderStatus:
    """The status of a render that is over."""
    until(lambda: render.status().stage in client.OVER, f"the end of the render: {render.status()}")
    return render.status()
