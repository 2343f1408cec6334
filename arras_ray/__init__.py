"""Progressive distributed rendering of MoonRay scenes on Ray.

The names below are what users' own computations and clients need; each is loaded when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from arras_ray.errors import ArrasRayError
    from arras_ray.frame_receiver import FrameReceiver
    from arras_ray.messages import ProgressiveFrame, RDLMessage
    from arras_ray.session.computation import Computation, Result
    from arras_ray.session.definition import SessionDefinition, load_definition, parse_definition, read_definition
    from arras_ray.session.endings import Stopped
    from arras_ray.session.handle import ComputationStatus, Session, SessionStatus
    from arras_ray.session.log_line import LogLine
    from arras_ray.session.message import CLIENT, CreditUpdate, GenericMessage, JSONMessage, Message, UnknownContent
    from arras_ray.session.options import SessionOptions
    from arras_ray.session_client import Client

__version__ = "0.1.0"

_ROOMS = {
    "errors": ("ArrasRayError",),
    "frame_receiver": ("FrameReceiver",),
    "messages": ("ProgressiveFrame", "RDLMessage"),
    "session.computation": ("Computation", "Result"),
    "session.definition": ("SessionDefinition", "load_definition", "parse_definition", "read_definition"),
    "session.endings": ("Stopped",),
    "session.handle": ("ComputationStatus", "Session", "SessionStatus"),
    "session.log_line": ("LogLine",),
    "session.message": ("CLIENT", "CreditUpdate", "GenericMessage", "JSONMessage", "Message", "UnknownContent"),
    "session.options": ("SessionOptions",),
    "session_client": ("Client",),
}
"""Where each name comes from."""

__all__ = [
    "CLIENT",
    "ArrasRayError",
    "Client",
    "Computation",
    "ComputationStatus",
    "CreditUpdate",
    "FrameReceiver",
    "GenericMessage",
    "JSONMessage",
    "LogLine",
    "Message",
    "ProgressiveFrame",
    "RDLMessage",
    "Result",
    "Session",
    "SessionDefinition",
    "SessionOptions",
    "SessionStatus",
    "Stopped",
    "UnknownContent",
    "__version__",
    "load_definition",
    "parse_definition",
    "read_definition",
]


def __getattr__(name: str) -> Any:
    for room, names in _ROOMS.items():
        if name in names:
            return getattr(import_module(f"arras_ray.{room}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
