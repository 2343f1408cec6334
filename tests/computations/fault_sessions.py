"""Definitions of sessions that fail on purpose, made from one template, and what a client sees of each."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from arras_ray.errors import ArrasRayError
from arras_ray.session.definition import SessionDefinition, parse_definition
from arras_ray.session.endings import Stopped
from arras_ray.session.handle import Session
from arras_ray.session.log_line import LogLine
from arras_ray.session.message import GenericMessage
from arras_ray.session_client import Client

HELLO = GenericMessage("hello")

SECONDS = 60.0
"""No test waits longer for anything."""


def block(dso: str = "libarras4_testcomputation.so", **options: Any) -> dict[str, Any]:
    """A computation that talks with the client."""
    requirements = {"computationAPI": "4.x", "resources": {"cores": 1, "memoryMB": 256}}
    return {"dso": dso, "requirements": requirements, "messages": {"(client)": "*"}, **options}


def session_of(name: str, **blocks: Mapping[str, Any]) -> SessionDefinition:
    """A definition with these blocks, from all of which the client accepts everything."""
    client = {"messages": dict.fromkeys(blocks, "*")}
    return parse_definition(json.dumps({"computations": {"(client)": client, **blocks}}), name)


@dataclass
class Seen:
    """What a client saw of a session."""

    is_ready: bool = False
    answers: list[tuple[str, Any]] = field(default_factory=list)
    """Sender and content of the messages with its source id."""
    stopped: Stopped = field(default_factory=Stopped)
    log: list[LogLine] = field(default_factory=list)
    error: ArrasRayError | None = None

    @property
    def text(self) -> str:
        """All lines of the log."""
        return "\n".join(line.text for line in self.log)


def talk(session: Session, seen: Seen, content: object, answers: int) -> None:
    """Wait until it is ready, send content, take so many answers."""
    session.wait_ready(SECONDS)
    seen.is_ready = True
    session.send(content, source_id="ours")
    if answers:
        for message in session.messages(SECONDS):
            assert message.source_id == "ours"
            seen.answers.append((message.sender, message.content))
            if len(seen.answers) == answers:
                return


def run_session(definition: SessionDefinition, answers: int, content: object = HELLO) -> Seen:
    """Run a local session, say hello, wait for so many answers, and shut it down."""
    seen = Seen()
    with Client("local:") as client:
        session = client.create(definition, log_level=5)
        over = threading.Event()
        session.listen(log=seen.log.append, stopped=lambda _: over.set())
        try:
            talk(session, seen, content, answers)
        except ArrasRayError as error:
            seen.error = error
        seen.stopped = session.shutdown()
        assert over.wait(SECONDS)
    return seen
