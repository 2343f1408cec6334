"""`arras-ray session run`: a session from its start to its end, with texts sent to it and its answers shown."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from arras_ray.cli.guard import guard
from arras_ray.cli.interrupt import Interrupt, interruptible
from arras_ray.cli.options import Settings, debug_option
from arras_ray.cli.report import errors_told
from arras_ray.cli.session_report import SessionEvents, SessionLines, SessionReport
from arras_ray.errors import ComputationError, MessageTimeout, UsageError
from arras_ray.session.waiting_line import Queue

if TYPE_CHECKING:
    from arras_ray.actors.cluster import Cluster
    from arras_ray.session.computation_spec import ComputationSpec
    from arras_ray.session.handle import Session
    from arras_ray.session.message import Message
    from arras_ray.session.routing import Rule
    from arras_ray.session.waiting_line import Waiting

ANSWER_SECONDS = 30.0

TOLD_SECONDS = 5.0

TEXT = "GenericMessage"
"""What a text is sent as."""


@click.command()
@click.argument("file")
@click.option(
    "--send",
    "texts",
    multiple=True,
    metavar="TEXT",
    help="Text for all computations that accept a GenericMessage from the client. May be repeated.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="For all answers; without --send, how long to show what comes. Default: 30; without --send, 0.",
)
@click.option(
    "--dso",
    "targets",
    multiple=True,
    metavar="NAME=TARGET",
    help="Computation for a library of the definition: python:package.module:Class. May be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Events on stdout, one JSON object a line.")
@click.option(
    "--engine",
    type=click.Choice(["ray", "local"]),
    default="ray",
    show_default=True,
    help="local: without Ray, each computation a process on this machine.",
)
@click.option(
    "--address",
    metavar="HOST:PORT",
    help="Ray cluster; `local` for one of our own. Default: $RAY_ADDRESS, a cluster on this machine, else our own.",
)
@click.option(
    "-l",
    "--log-level",
    type=click.IntRange(0, 5),
    help="Show what computations write up to this level: 0 fatal, 1 error, 2 warning, 3 info, 4 debug, 5 trace."
    " Default: the definition's logLevel, else 3.",
)
@click.option(
    "--ready-timeout",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="For the session to get ready.",
)
@click.option(
    "--enforce-memory", is_flag=True, help="End computations that take more than their memoryMB. On Ray only."
)
@click.option("--queue", is_flag=True, help="Wait for machines that are in use, in order, instead of failing.")
@debug_option
@click.pass_obj
def run(
    settings: Settings | None,
    file: str,
    texts: tuple[str, ...],
    timeout: float | None,
    targets: tuple[str, ...],
    as_json: bool,
    engine: str,
    address: str | None,
    log_level: int | None,
    ready_timeout: float,
    enforce_memory: bool,
    queue: bool,
) -> int:
    """Run the session of a definition.

    FILE is a path or a name. Each text is sent once the session is ready, and answered when messages with its source
    id have come from all computations that got it. Then the session is shut down.
    """
    if engine == "local" and address is not None:
        raise UsageError("--address and --engine local, which is this machine", hint="give one of them")
    if engine == "local" and enforce_memory:
        raise UsageError("--enforce-memory and --engine local, which does not see to memory", hint="give one of them")
    given, where = given_targets(targets), "local:" if engine == "local" else address
    conversation = Conversation(file, texts, timeout, given, where, log_level, ready_timeout, enforce_memory, queue)
    report: SessionReport = SessionEvents(sys.stdout) if as_json else SessionLines(sys.stdout, sys.stderr)
    with errors_told(report, "interrupted; the session was shut down"):
        if engine == "ray" and settings is not None and settings.own_process:
            code = guard("start it again once there is a Ray", "the session")
            if code is not None:
                return code
        with Interrupt() as interrupt:
            conversation.run(report, interrupt)
    return 0


@dataclass(frozen=True)
class Conversation:
    """What a command line asked for. dso: targets by the names of libraries. timeout: None for the usual."""

    file: str
    texts: tuple[str, ...]
    timeout: float | None
    dso: Mapping[str, str]
    address: str | None
    log_level: int | None
    ready_timeout: float
    enforce_memory: bool = False
    queue: bool = False

    def run(self, report: SessionReport, interrupt: Interrupt) -> None:
        """Do it all; what was started has ended on return, and on an error."""
        from arras_ray.session.definition import load_definition
        from arras_ray.session_client import Client

        definition = load_definition(self.file)
        audience = audience_of(definition.expand(dso=self.dso), definition.client_rules)
        if self.texts and not audience.routing_names:
            raise UsageError(
                f"no computation of {definition.name} accepts a {TEXT} from the client",
                hint='a block takes what its "messages" allow, as in {"(client)": "*"}; without --send it can be run',
            )
        with Client(self.address) as client:
            joined: list[Cluster] = []

            def join() -> None:
                if client.cluster is not None and not joined:
                    joined.append(client.cluster)
                    interrupt.after_ray_started(client.cluster.folder)
                    report.cluster(client.cluster.note)

            def wait(waiting: Waiting) -> None:
                join()
                report.waiting(waiting)

            with interrupt.held():  # a session that is made halfway cannot be ended
                session = client.create(
                    definition,
                    dso=self.dso,
                    log_level=self.log_level,
                    enforce_memory=self.enforce_memory,
                    queue=self.queue and Queue(wait, interrupt.requested),
                )
                join()
            over = threading.Event()
            session.listen(log=report.log, stopped=lambda _: over.set())
            try:
                # On a thread of its own, so that an interrupt never falls into the session's inner works.
                interruptible(lambda: self._converse(session, audience, report))
            finally:
                interrupt.gentle()
                stopped = session.shutdown()
                over.wait(TOLD_SECONDS)  # until the last line that was written before has been shown
                report.stopped(stopped)
            session.wait_ready(0)  # raises what has ended it, if that was not us

    def _converse(self, session: Session, audience: Audience, report: SessionReport) -> None:
        from arras_ray.session.message import new_id

        for warning in session.warnings:
            report.warning(warning)
        session.wait_ready(self.ready_timeout)
        report.ready()
        seconds = self.timeout if self.timeout is not None else ANSWER_SECONDS if self.texts else 0.0
        deadline = time.monotonic() + seconds
        answers: dict[str, set[str]] = {}
        for text in self.texts:
            answers[source_id := new_id()] = set()
            audience.send(session, text, source_id)
        while not answers or not all(audience.has_answered(senders) for senders in answers.values()):
            message = next_message(session, deadline - time.monotonic())
            if message is None:
                break
            report.message(message)
            answers.get(message.source_id, set()).add(message.sender)
        if session.stopped is not None:
            session.wait_ready(0)  # raises what has ended it, if that was a computation
            raise ComputationError(f"session {session.name} was ended by somebody else before all answers had come")
        missing = [repr(text) for text, senders in zip(self.texts, answers.values(), strict=True) if not senders]
        if missing:
            raise MessageTimeout(
                f"no answer to {', '.join(missing)} within {seconds:g} s",
                hint="a computation answers with the source id it got, and the client accepts what its block allows",
            )
        silent = {name for senders in answers.values() for name in audience.answering - senders}
        if silent:
            report.warning(f"{', '.join(sorted(silent))} did not answer everything within {seconds:g} s")


@dataclass(frozen=True)
class Audience:
    """Who gets a text from the client. routing_names: by computation. answering: those that may send to the client,
    and are waited for; where there are none, any answer will do."""

    routing_names: Mapping[str, str]
    answering: frozenset[str]

    def send(self, session: Session, text: str, source_id: str) -> None:
        """Send them a text."""
        from arras_ray.session.message import GenericMessage

        if TEXT in self.routing_names.values():
            session.send(GenericMessage(text), source_id=source_id)
        for name, routing_name in self.routing_names.items():
            if routing_name != TEXT:
                session.send(GenericMessage(text), to=(name,), source_id=source_id, routing_name=routing_name)

    def has_answered(self, senders: Set[str]) -> bool:
        """Whether nobody else is to be waited for."""
        return senders >= self.answering if self.answering else bool(senders)


def audience_of(computations: Sequence[ComputationSpec], client_rules: Mapping[str, Rule]) -> Audience:
    """Who accepts a text from the client: by its type or, as Arras' benchmark computations, by For_ and their name."""
    from arras_ray.session.computation_spec import session_routes
    from arras_ray.session.message import CLIENT

    routes = session_routes(computations, client_rules)
    names = {}
    for receiver, rule in routes.get(CLIENT, {}).items():
        own = f"For_{receiver}"
        if receiver != CLIENT and (rule.takes(TEXT) or own in rule.accept):
            names[receiver] = TEXT if rule.takes(TEXT) else own
    return Audience(names, frozenset(name for name in names if CLIENT in routes.get(name, {})))


def given_targets(pairs: Sequence[str]) -> dict[str, str]:
    """NAME=TARGET, split. Raise UsageError for anything else."""
    given = {}
    for pair in pairs:
        name, equals, target = pair.partition("=")
        if not (name and equals and target):
            raise UsageError(f"--dso {pair!r} is not NAME=TARGET", hint="as in libmine.so=python:package.module:Class")
        given[name] = target
    return given


def next_message(session: Session, seconds: float) -> Message | None:
    """The next message for the client; None if it does not come, or the session has ended as its client wished."""
    with suppress(MessageTimeout):
        for message in session.messages(max(0.0, seconds)):
            return message
    return None
